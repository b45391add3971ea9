//! The nodes as they stand, from which some are emptied on trial: their pods go into free room, or become demand for new nodes.
//!
//! Every change is logged, so that a trial is undone in the time that it took.

use super::targets::Targets;
use crate::packing::bitset::Bitset;
use crate::packing::problem::how_many;
use crate::scheduling::{
    Attachments, Candidates, Class, Demands, Slot, Standing, Topology, fits, take,
};
use model::Pod;
use std::collections::BTreeMap;

/// Pods of classes.
pub(super) type Load<'a> = Vec<(usize, Vec<&'a Pod>)>;

/// A node, as far as its going matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Host<'a> {
    /// Whether it may go.
    pub(super) candidate: bool,
    /// Whether it goes.
    pub(super) gone: bool,
    /// What it costs, in micro-dollars an hour.
    pub(super) price: u64,
    /// What its going must save, for the pods of its own.
    pub(super) toll: u64,
    /// The pods on it that can be moved, by class.
    pub(super) load: Load<'a>,
}

/// What a class's next place depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// Room alone.
    Plain,
    /// What else is on the node too: once refused there, always refused.
    Apart,
    /// The cell too.
    Celled,
    /// Pods that it follows to their node.
    Follows,
}

enum Undo<'a> {
    Taken { host: usize, class: usize, count: usize, attached: Option<Attachments<'a>> },
    Gone { host: usize, load: Load<'a> },
    Wanted { class: usize, cell: Option<usize>, count: usize },
}

/// A moment to which trials are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(usize);

/// The nodes with their pods, and the demand for new ones.
pub(super) struct Fleet<'a, 's> {
    pub(super) classes: &'s [Class<'a>],
    candidates: &'s Candidates<'a>,
    fitting: &'s [Bitset],
    natures: Vec<Nature>,
    pub(super) slots: Vec<Slot<'a>>,
    pub(super) topology: Topology,
    pub(super) hosts: Vec<Host<'a>>,
    targets: Targets,
    /// By node, the trial that last changed it: what it refuses since may be undone.
    changed: Vec<u32>,
    trial: u32,
    /// What waits for new nodes.
    pub(super) demands: Demands<'a>,
    log: Vec<Undo<'a>>,
    /// How many more looks at nodes the search may take.
    pub(super) looks: u64,
}

impl<'a, 's> Fleet<'a, 's> {
    /// The nodes with the movable pods put back where they run.
    pub(super) fn new(
        classes: &'s [Class<'a>],
        candidates: &'s Candidates<'a>,
        fitting: &'s [Bitset],
        (slots, topology): (Vec<Slot<'a>>, Topology),
        hosts: Vec<Host<'a>>,
        looks: u64,
    ) -> Self {
        let natures = classes.iter().map(|class| nature(class, &topology)).collect::<Vec<_>>();
        let hosts_count = hosts.len();
        let mut fleet = Self {
            classes,
            candidates,
            fitting,
            natures,
            targets: Targets::new(classes, candidates.cells.len()),
            slots,
            topology,
            hosts,
            changed: vec![0; hosts_count],
            trial: 0,
            demands: Demands::new(),
            log: Vec::new(),
            looks,
        };
        for host in 0..fleet.hosts.len() {
            fleet.put_back(host);
        }
        fleet
    }

    /// Counts the pods that run there: their room, ports and volumes are taken already.
    fn put_back(&mut self, host: usize) {
        for (class, pods) in &self.hosts[host].load {
            let terms = &self.classes[*class].terms;
            self.topology.place(terms, Some(host), Some(self.slots[host].cell), pods.len() as u32);
        }
    }

    /// Puts a pod where it is planned to go; from there it is not moved on.
    pub(super) fn put_planned(&mut self, host: usize, class: usize, pod: &'a Pod) {
        self.put(host, class, &[pod]);
        self.hosts[host].load.retain_mut(|(own, pods)| {
            if *own == class {
                pods.pop();
            }
            !pods.is_empty()
        });
        self.log.clear();
    }

    /// Has pods go to these nodes, in this order.
    pub(super) fn aim(&mut self, order: Vec<u32>) {
        self.targets.aim(order);
        self.log.clear();
    }

    /// Now: a trial begins.
    pub(super) fn mark(&mut self) -> Mark {
        self.trial += 1;
        Mark(self.log.len())
    }

    /// Everything since then never happened.
    pub(super) fn undo(&mut self, mark: Mark) {
        while self.log.len() > mark.0 {
            match self.log.pop() {
                Some(Undo::Taken { host, class, count, attached }) => {
                    self.untake(host, class, count, attached);
                }
                Some(Undo::Gone { host, load }) => {
                    for (class, pods) in &load {
                        let (terms, cell) =
                            (&self.classes[*class].terms, Some(self.slots[host].cell));
                        self.topology.place(terms, Some(host), cell, pods.len() as u32);
                    }
                    self.hosts[host].load = load;
                    self.hosts[host].gone = false;
                }
                Some(Undo::Wanted { class, cell, count }) => self.unwant(class, cell, count),
                None => return,
            }
        }
    }

    fn untake(
        &mut self,
        host: usize,
        class: usize,
        count: usize,
        attached: Option<Attachments<'a>>,
    ) {
        let of = &self.classes[class];
        let slot = &mut self.slots[host];
        take(&mut slot.room, &of.size, -(count as i64));
        slot.ports.truncate(slot.ports.len() - of.spec.host_ports.len());
        if let Some(attached) = attached {
            slot.set_attached(attached);
        }
        self.topology.withdraw(&of.terms, Some(host), Some(slot.cell), count as u32);
        let load = &mut self.hosts[host].load;
        if let Some(at) = load.iter().rposition(|(own, _)| *own == class) {
            let left = load[at].1.len().saturating_sub(count);
            load[at].1.truncate(left);
            if left == 0 {
                load.remove(at);
            }
        }
    }

    fn unwant(&mut self, class: usize, cell: Option<usize>, count: usize) {
        if cell.is_some() {
            self.topology.withdraw(&self.classes[class].terms, None, cell, count as u32);
        }
        if let Some(pods) = self.demands.get_mut(&(class, cell)) {
            pods.truncate(pods.len().saturating_sub(count));
        }
        self.demands.retain(|_, pods| !pods.is_empty());
    }

    /// Empties these nodes; what finds no room on others is wanted on new nodes if `buy`. False if that is not possible;
    /// the caller then undoes it.
    pub(super) fn empty(&mut self, hosts: &[usize], buy: bool) -> bool {
        let mut waiting: BTreeMap<usize, Vec<&'a Pod>> = BTreeMap::new();
        for host in hosts {
            let load = std::mem::take(&mut self.hosts[*host].load);
            let cell = Some(self.slots[*host].cell);
            for (class, pods) in &load {
                let terms = &self.classes[*class].terms;
                self.topology.withdraw(terms, Some(*host), cell, pods.len() as u32);
                waiting.entry(*class).or_default().extend(pods);
            }
            self.hosts[*host].gone = true;
            self.changed[*host] = self.trial;
            self.log.push(Undo::Gone { host: *host, load });
        }
        // Classes come with the largest pods first: what is hard to place fails early.
        waiting.into_iter().all(|(class, pods)| self.place(class, &pods, buy))
    }

    fn place(&mut self, class: usize, pods: &[&'a Pod], buy: bool) -> bool {
        let left = match self.natures[class] {
            Nature::Plain => self.fill(class, pods),
            Nature::Apart | Nature::Follows => self.place_each(class, pods),
            Nature::Celled => return self.place_by_cell(class, pods, buy),
        };
        left.is_empty() || (buy && self.want(class, None, left))
    }

    /// As many as there is room for, node after node.
    fn fill<'p>(&mut self, class: usize, pods: &'p [&'a Pod]) -> &'p [&'a Pod] {
        let mut list = self.lend(class, None);
        let (mut kept, mut seen, mut left) = (0, 0, pods);
        while seen < list.len() && !left.is_empty() {
            let host = list[seen] as usize;
            let (size, room) = (&self.classes[class].size, &self.slots[host].room);
            let fits = !self.hosts[host].gone && fits(size, room);
            let count = if fits { (how_many(room, size) as usize).min(left.len()) } else { 0 };
            let (here, rest) = left.split_at(count);
            self.put(host, class, here);
            left = rest;
            list[kept] = list[seen];
            kept += usize::from(count > 0 || self.changed[host] == self.trial);
            seen += 1;
        }
        self.give_back(class, None, list, kept, seen);
        left
    }

    fn lend(&mut self, class: usize, cell: Option<usize>) -> Vec<u32> {
        let (list, looks) = self.targets.lend(class, cell, self.classes, &self.slots);
        self.looks = self.looks.saturating_sub(looks as u64);
        list
    }

    /// Of the list's first `seen` nodes only the first `kept` may still take one more.
    fn give_back(
        &mut self,
        class: usize,
        cell: Option<usize>,
        mut list: Vec<u32>,
        kept: usize,
        seen: usize,
    ) {
        self.looks = self.looks.saturating_sub(seen as u64 + 1);
        list.drain(kept..seen);
        self.targets.give_back(class, cell, list);
    }

    /// One after another, as each changes what the next may do.
    fn place_each<'p>(&mut self, class: usize, pods: &'p [&'a Pod]) -> &'p [&'a Pod] {
        for (at, pod) in pods.iter().enumerate() {
            let Some(host) = self.find(class, None) else { return &pods[at..] };
            self.put(host, class, &[*pod]);
        }
        &[]
    }

    fn place_by_cell(&mut self, class: usize, pods: &[&'a Pod], buy: bool) -> bool {
        for pod in pods {
            let cells = self.cells_in_order(class);
            let there = cells.iter().find_map(|cell| self.find(class, Some(*cell)));
            if let Some(host) = there {
                self.put(host, class, &[*pod]);
                continue;
            }
            let possible =
                |cell: &&usize| self.candidates.of_cell[**cell].meets(&self.fitting[class]);
            let Some(cell) = cells.iter().find(possible).filter(|_| buy) else { return false };
            if !self.want(class, Some(*cell), &[*pod]) {
                return false;
            }
        }
        true
    }

    /// The cells that admit one more, the emptiest first, those with the pods asked for before others.
    fn cells_in_order(&self, class: usize) -> Vec<usize> {
        let terms = &self.classes[class].terms;
        let admits = |cell: &usize| self.topology.admits_cell(terms, *cell);
        let mut cells = (0..self.candidates.cells.len())
            .filter(|cell| admits(cell).is_ok())
            .collect::<Vec<_>>();
        cells.sort_by_key(|cell| {
            (!self.topology.attracts(terms, *cell), self.topology.crowd(terms, *cell), *cell)
        });
        cells
    }

    /// The first node in order that takes one more of the class.
    fn find(&mut self, class: usize, cell: Option<usize>) -> Option<usize> {
        let mut list = self.lend(class, cell);
        let follows = self.topology.follows(&self.classes[class].terms);
        let standing = Standing { slots: &self.slots, topology: &self.topology };
        let (mut kept, mut seen, mut found) = (0, 0, None);
        while seen < list.len() && found.is_none() {
            let host = list[seen] as usize;
            let takes = !self.hosts[host].gone
                && standing.admits(&self.classes[class], host, false).is_ok();
            found = takes.then_some(host);
            list[kept] = list[seen];
            kept += usize::from(takes || follows || self.changed[host] == self.trial);
            seen += 1;
        }
        self.give_back(class, cell, list, kept, seen);
        found
    }

    fn put(&mut self, host: usize, class: usize, pods: &[&'a Pod]) {
        if pods.is_empty() {
            return;
        }
        self.changed[host] = self.trial;
        let of = &self.classes[class];
        let slot = &mut self.slots[host];
        let attached = (!of.attachments.is_empty()).then(|| slot.attached().clone());
        take(&mut slot.room, &of.size, pods.len() as i64);
        slot.ports.extend(of.spec.host_ports.iter().cloned());
        slot.attach(&of.attachments);
        self.topology.place(&of.terms, Some(host), Some(slot.cell), pods.len() as u32);
        let load = &mut self.hosts[host].load;
        match load.iter_mut().find(|(own, _)| *own == class) {
            Some((_, own)) => own.extend(pods),
            None => load.push((class, pods.to_vec())),
        }
        self.log.push(Undo::Taken { host, class, count: pods.len(), attached });
    }

    /// Wants the pods on new nodes; false if none may hold them.
    fn want(&mut self, class: usize, cell: Option<usize>, pods: &[&'a Pod]) -> bool {
        if self.fitting[class].is_empty() || self.topology.follows(&self.classes[class].terms) {
            return false;
        }
        if cell.is_some() {
            self.topology.place(&self.classes[class].terms, None, cell, pods.len() as u32);
        }
        self.demands.entry((class, cell)).or_default().extend(pods);
        self.log.push(Undo::Wanted { class, cell, count: pods.len() });
        true
    }
}

fn nature(class: &Class<'_>, topology: &Topology) -> Nature {
    let terms = &class.terms;
    let free = terms.spreads.is_empty()
        && terms.antis.is_empty()
        && terms.affinities.is_empty()
        && terms.matches.is_empty()
        && class.attachments.is_empty()
        && class.spec.host_ports.is_empty();
    if free {
        Nature::Plain
    } else if topology.needs_cell(terms) {
        Nature::Celled
    } else if topology.follows(terms) {
        Nature::Follows
    } else {
        Nature::Apart
    }
}
