//! Who is on a new node, as far as rules over hosts ask.

use super::terms::{Level, Terms};
use super::topology::Topology;

/// What one rule over hosts finds on a node.
#[derive(Clone, Copy, Debug)]
struct Tally {
    term: usize,
    /// The pods that it counts.
    counted: u32,
    /// The least skew among pods that have it as a spread.
    skew: u32,
    /// The pods that have it as an anti-affinity.
    repelling: u32,
}

/// By rule, what is on a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies(Vec<Tally>);

impl Tallies {
    /// The rules by which pods with these terms keep each other from a node, and how many may share one.
    pub(super) fn limits<'t>(
        terms: &'t Terms,
        topology: &'t Topology,
    ) -> impl Iterator<Item = (usize, u32)> + 't {
        let over_hosts = |term: usize| topology.level(term) == Level::Host;
        let spreads =
            terms.spreads.iter().filter(move |spread| spread.own && over_hosts(spread.term));
        let antis =
            terms.antis.iter().filter(move |term| over_hosts(**term) && terms.matches(**term));
        spreads.map(|spread| (spread.term, spread.skew)).chain(antis.map(|term| (*term, 1)))
    }

    fn get(&self, term: usize) -> Tally {
        let nothing = Tally { term, counted: 0, skew: u32::MAX, repelling: 0 };
        self.0.iter().find(|tally| tally.term == term).copied().unwrap_or(nothing)
    }

    fn entry(&mut self, term: usize) -> &mut Tally {
        let at = self.0.iter().position(|tally| tally.term == term).unwrap_or_else(|| {
            self.0.push(Tally { term, counted: 0, skew: u32::MAX, repelling: 0 });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Whether one more pod with these terms may come, whatever the order in which the kube-scheduler binds.
    pub(super) fn admit(&self, terms: &Terms, topology: &Topology) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let over_hosts = |term: usize| topology.level(term) == Level::Host;
        let mut spreads = terms.spreads.iter().filter(|spread| over_hosts(spread.term));
        let mut antis = terms.antis.iter().filter(|term| over_hosts(**term));
        let mut matches = terms.matches.iter().filter(|term| over_hosts(**term));
        spreads.all(|spread| self.get(spread.term).counted + u32::from(spread.own) <= spread.skew)
            && antis.all(|term| self.get(*term).counted == 0)
            && matches.all(|term| {
                let tally = self.get(*term);
                tally.repelling == 0 && tally.counted < tally.skew
            })
    }

    /// Counts pods with these terms; returns the rules that counted none before.
    pub(super) fn add(&mut self, terms: &Terms, topology: &Topology, count: u32) -> Vec<usize> {
        let over_hosts = |term: usize| topology.level(term) == Level::Host;
        let mut new = Vec::new();
        for term in terms.matches.iter().filter(|term| over_hosts(**term)) {
            let tally = self.entry(*term);
            if tally.counted == 0 {
                new.push(*term);
            }
            tally.counted += count;
        }
        for spread in terms.spreads.iter().filter(|spread| over_hosts(spread.term)) {
            let tally = self.entry(spread.term);
            tally.skew = tally.skew.min(spread.skew);
        }
        for term in terms.antis.iter().filter(|term| over_hosts(**term)) {
            self.entry(*term).repelling += count;
        }
        new
    }
}
