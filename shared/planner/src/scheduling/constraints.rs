//! Constraints between pods of a new node, as limits on what one node may hold.

use super::classes::Class;
use super::topology::{Level, Topology};
use std::collections::BTreeMap;

/// For each class listed: the groups that it counts in and the classes that it must not share a node with, by position in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostRules {
    /// By position, the groups.
    pub(crate) groups: Vec<Vec<usize>>,
    /// By group, how many of its pods one node may hold.
    pub(crate) limits: Vec<u32>,
    /// By position, the positions that it must not share a node with.
    pub(crate) conflicts: Vec<Vec<usize>>,
}

impl HostRules {
    /// The rules among these classes. A new node is empty, so only pending pods matter.
    pub(crate) fn new(classes: &[&Class<'_>], topology: &Topology) -> Self {
        let mut rules = Self {
            groups: vec![Vec::new(); classes.len()],
            limits: Vec::new(),
            conflicts: vec![Vec::new(); classes.len()],
        };
        let mut spreads: BTreeMap<usize, u32> = BTreeMap::new();
        let mut antis: std::collections::BTreeSet<usize> = std::collections::BTreeSet::new();
        for class in classes {
            let over_hosts = class.terms.spreads.iter();
            for spread in over_hosts.filter(|spread| topology.level(spread.term) == Level::Host) {
                spreads
                    .entry(spread.term)
                    .and_modify(|least| *least = (*least).min(spread.skew))
                    .or_insert(spread.skew);
            }
            antis.extend(
                class
                    .terms
                    .antis
                    .iter()
                    .copied()
                    .filter(|term| topology.level(*term) == Level::Host),
            );
        }
        for (term, skew) in spreads {
            rules.add(classes, skew, term, |class| {
                class.terms.spreads.iter().any(|spread| spread.term == term)
            });
        }
        for term in antis {
            rules.add(classes, 1, term, |class| class.terms.antis.contains(&term));
        }
        rules.add_ports(classes);
        rules.conflicts.iter_mut().for_each(|conflicts| {
            conflicts.sort_unstable();
            conflicts.dedup();
        });
        rules
    }

    /// Those who have the term and are counted by it share a limit; those who have it stay away from the others it counts.
    fn add(
        &mut self,
        classes: &[&Class<'_>],
        limit: u32,
        term: usize,
        has: impl Fn(&Class<'_>) -> bool,
    ) {
        let counted = |class: &Class<'_>| class.terms.matches(term);
        let members = |wanted: &dyn Fn(&Class<'_>) -> bool| {
            (0..classes.len()).filter(|at| wanted(classes[*at])).collect::<Vec<_>>()
        };
        let group = members(&|class| has(class) && counted(class));
        let outside = members(&|class| !has(class) && counted(class));
        if !group.is_empty() {
            self.limits.push(limit);
            group.iter().for_each(|at| self.groups[*at].push(self.limits.len() - 1));
        }
        for holder in members(&|class| has(class)) {
            outside.iter().for_each(|other| self.conflict(holder, *other));
            if limit == 1 && !counted(classes[holder]) {
                group.iter().for_each(|other| self.conflict(holder, *other));
            }
        }
    }

    fn add_ports(&mut self, classes: &[&Class<'_>]) {
        let clash = |a: &Class<'_>, b: &Class<'_>| {
            a.spec
                .host_ports
                .iter()
                .any(|mine| b.spec.host_ports.iter().any(|theirs| mine.conflicts(theirs)))
        };
        for (at, class) in
            classes.iter().enumerate().filter(|(_, class)| !class.spec.host_ports.is_empty())
        {
            self.limits.push(1);
            self.groups[at].push(self.limits.len() - 1);
            for (other, theirs) in classes.iter().enumerate().skip(at + 1) {
                if clash(class, theirs) {
                    self.conflict(at, other);
                }
            }
        }
    }

    fn conflict(&mut self, a: usize, b: usize) {
        if a != b {
            self.conflicts[a].push(b);
            self.conflicts[b].push(a);
        }
    }
}
