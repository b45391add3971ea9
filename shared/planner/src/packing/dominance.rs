//! Kinds that another kind makes pointless are left out: dearer or equal, no larger in any dimension, and allowed no other items.

use super::problem::Kind;

/// The indices of the kinds that remain, cheapest first. Among equals the first remains.
pub(crate) fn undominated(kinds: &[Kind]) -> Vec<usize> {
    let mut order = (0..kinds.len()).collect::<Vec<_>>();
    order.sort_by(|a, b| {
        (kinds[*a].price, &kinds[*b].capacity, *a).cmp(&(kinds[*b].price, &kinds[*a].capacity, *b))
    });
    let mut kept: Vec<usize> = Vec::new();
    for index in order {
        if !kinds[index].allowed.is_empty()
            && !kept.iter().any(|other| dominates(&kinds[*other], &kinds[index]))
        {
            kept.push(index);
        }
    }
    kept
}

/// Whether whatever fits on `other` fits on `kind` for no more.
fn dominates(kind: &Kind, other: &Kind) -> bool {
    kind.price <= other.price
        && kind.capacity.iter().zip(&other.capacity).all(|(mine, theirs)| mine >= theirs)
        && kind.allowed.covers(&other.allowed)
}

#[cfg(test)]
mod tests {
    use super::super::bitset::Bitset;
    use super::*;

    fn kind(price: u64, capacity: &[i64], allowed: &[usize]) -> Kind {
        let mut set = Bitset::new(4);
        allowed.iter().for_each(|item| set.insert(*item));
        Kind { capacity: capacity.to_vec(), price, allowed: set }
    }

    #[test]
    fn what_costs_more_and_holds_no_more_is_left_out() {
        let kinds = [
            kind(10, &[4, 4], &[0, 1]),
            kind(12, &[4, 3], &[0, 1]),
            kind(12, &[4, 8], &[0]),
            kind(9, &[4, 4], &[1]),
        ];
        assert_eq!(undominated(&kinds), [3, 0, 2]);
    }

    #[test]
    fn of_equal_kinds_the_first_remains() {
        let kinds = [kind(10, &[4], &[0]), kind(10, &[4], &[0])];
        assert_eq!(undominated(&kinds), [0]);
    }

    #[test]
    fn a_kind_that_may_hold_nothing_is_left_out() {
        assert_eq!(undominated(&[kind(1, &[4], &[])]), Vec::<usize>::new());
    }
}
