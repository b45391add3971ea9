//! Where a class looks for room on what is there: slots by cell, shared by all classes that are restricted alike.

use super::classes::Class;
use super::place::may_hold;
use super::slots::Slot;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Slots in the order in which they are tried.
type List = Rc<[u32]>;

/// What a restriction allows.
#[derive(Clone)]
struct Allowed {
    all: List,
    /// By cell, ascending.
    by_cell: Rc<[(usize, List)]>,
}

/// The restrictions of classes by labels, taints and volumes.
pub(crate) struct Restrictions {
    /// By class, its restriction.
    of_class: Vec<usize>,
    /// By restriction, what it allows.
    allowed: Vec<Allowed>,
}

impl Restrictions {
    /// Those of the classes, on these slots.
    pub(crate) fn new(classes: &[Class<'_>], slots: &[Slot<'_>]) -> Self {
        let mut known = BTreeMap::new();
        let mut found = Self { of_class: Vec::with_capacity(classes.len()), allowed: Vec::new() };
        for class in classes {
            let spec = class.spec;
            let key = (&spec.node_selector, &spec.node_affinity, &spec.tolerations, &class.volumes);
            let next = known.len();
            let restriction = *known.entry(key).or_insert(next);
            if restriction == next {
                found.allowed.push(Allowed::new(class, slots));
            }
            found.of_class.push(restriction);
        }
        found
    }

    /// The slots that the class may be on, whatever room they have.
    pub(crate) fn slots(&self, class: usize) -> &[u32] {
        &self.allowed[self.of_class[class]].all
    }
}

impl Allowed {
    fn new(class: &Class<'_>, slots: &[Slot<'_>]) -> Self {
        let holds = |at: &u32| may_hold(class, &slots[*at as usize]);
        let all = (0..slots.len() as u32).filter(holds).collect::<List>();
        let mut by_cell: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for at in all.iter() {
            by_cell.entry(slots[*at as usize].cell).or_default().push(*at);
        }
        let by_cell = by_cell.into_iter().map(|(cell, list)| (cell, list.into())).collect();
        Self { all, by_cell }
    }
}

/// What one class still looks for while it is placed.
pub(super) struct Search {
    /// The slots that may hold one more.
    all: List,
    by_cells: Rc<[(usize, List)]>,
    /// How many slots at the beginning of each list refuse the class for good; the last is for the list of all.
    refused: Vec<usize>,
    /// The cells in which the class can be at all.
    pub(super) cells: Vec<usize>,
    /// Whether rules over keys bind it.
    pub(super) by_cell: bool,
    /// Whether the class would rather be on some slots, so that its own order counts.
    ordered: bool,
}

impl Search {
    /// The search of a class that can be bought in some cells, too.
    pub(super) fn new(
        restrictions: &Restrictions,
        (class, of): (usize, &Class<'_>),
        slots: &[Slot<'_>],
        bought_in: impl Iterator<Item = usize>,
        by_cell: bool,
    ) -> Self {
        let allowed = restrictions.allowed[restrictions.of_class[class]].clone();
        let cells = allowed.by_cell.iter().map(|(cell, _)| *cell).chain(bought_in);
        let cells = cells.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let rank = |at: &u32| slots[*at as usize].preference(of.spec);
        let ordered = allowed.all.iter().any(|at| rank(at) != 0);
        let all = if ordered {
            let mut all = allowed.all.to_vec();
            all.sort_by_cached_key(|at| (Reverse(rank(at)), *at));
            all.into()
        } else {
            allowed.all
        };
        let refused = vec![0; allowed.by_cell.len() + 1];
        Self { all, by_cells: allowed.by_cell, refused, cells, by_cell, ordered }
    }

    /// All slots, in order.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + use<> {
        let all = self.all.clone();
        (0..all.len()).map(move |at| all[at] as usize)
    }

    /// The first slot that takes one more: of all, or of these cells in this order. `takes` says so, but for rules over
    /// keys; `in_cell` says it by those. What refuses once refuses for good, unless the class follows others.
    pub(super) fn find(
        &mut self,
        cells: &[usize],
        follows: bool,
        takes: impl Fn(usize) -> bool,
        in_cell: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if !self.by_cell || self.ordered {
            let last = self.refused.len() - 1;
            let keep = follows || self.by_cell;
            let takes = |slot| in_cell(slot) && takes(slot);
            return first(&self.all, &mut self.refused[last], keep, takes);
        }
        cells.iter().find_map(|cell| {
            let at = self.by_cells.binary_search_by_key(cell, |(known, _)| *known).ok()?;
            first(&self.by_cells[at].1, &mut self.refused[at], follows, &takes)
        })
    }
}

fn first(
    list: &[u32],
    refused: &mut usize,
    keep: bool,
    takes: impl Fn(usize) -> bool,
) -> Option<usize> {
    let found = (*refused..list.len()).find(|at| takes(list[*at] as usize));
    if !keep {
        *refused = found.unwrap_or(list.len());
    }
    found.map(|at| list[at] as usize)
}
