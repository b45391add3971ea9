//! Which nodes may take pods of a class, in the order in which they are tried.

use crate::scheduling::{Class, Slot, may_hold};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The lists, made when they are first asked for. A node that refuses a class for good is taken off its lists, so that
/// looking for room stays short however full the nodes become.
pub(super) struct Targets {
    /// All nodes that may take pods, the best first.
    order: Vec<u32>,
    /// By class, which restriction it has.
    restrictions: Vec<usize>,
    /// By restriction, the nodes that it allows: the beginning of the lists of all classes restricted alike.
    allowed: Vec<Option<Rc<[u32]>>>,
    /// By class and cell (all cells first), the nodes that may have room.
    open: Vec<Vec<Option<Vec<u32>>>>,
}

impl Targets {
    /// No nodes yet.
    pub(super) fn new(classes: &[Class<'_>], cells: usize) -> Self {
        let mut known = BTreeMap::new();
        let mut restrictions = Vec::new();
        for class in classes {
            let spec = class.spec;
            let key = (&spec.node_selector, &spec.node_affinity, &spec.tolerations);
            let next = known.len();
            restrictions.push(*known.entry((key, &class.volumes)).or_insert(next));
        }
        let (allowed, open) = (vec![None; known.len()], vec![vec![None; cells + 1]; classes.len()]);
        Self { order: Vec::new(), restrictions, allowed, open }
    }

    /// Takes this order from now on.
    pub(super) fn aim(&mut self, order: Vec<u32>) {
        self.order = order;
        self.allowed.fill(None);
        self.open.iter_mut().for_each(|open| open.fill(None));
    }

    /// Lends the nodes for the class, in one cell or in all, and says how many had to be looked at for that.
    pub(super) fn lend(
        &mut self,
        class: usize,
        cell: Option<usize>,
        classes: &[Class<'_>],
        slots: &[Slot<'_>],
    ) -> (Vec<u32>, usize) {
        if let Some(list) = self.open[class][which(cell)].take() {
            return (list, 0);
        }
        let of = self.restrictions[class];
        let allowed = self.allowed[of].get_or_insert_with(|| {
            let holds = |at: &u32| may_hold(&classes[class], &slots[*at as usize]);
            self.order.iter().copied().filter(holds).collect()
        });
        let here = |at: &u32| cell.is_none() || Some(slots[*at as usize].cell) == cell;
        (allowed.iter().copied().filter(here).collect(), allowed.len())
    }

    /// Takes a list back without the nodes that refuse the class for good.
    pub(super) fn give_back(&mut self, class: usize, cell: Option<usize>, list: Vec<u32>) {
        self.open[class][which(cell)] = Some(list);
    }
}

fn which(cell: Option<usize>) -> usize {
    cell.map_or(0, |cell| cell + 1)
}
