//! Pods that must share a node with each other and have to do with no others.

use super::classes::Class;
use super::dimensions::fits;
use super::place::Placer;
use super::search::Search;
use model::Pod;

impl<'a> Placer<'a, '_> {
    /// Pods that follow only each other are one load: on a node that has room for all, or as demand that is bought whole.
    pub(super) fn place_together(
        &mut self,
        class: usize,
        pods: &[&'a Pod],
        search: &Search,
    ) -> bool {
        if search.by_cell || !self.keeps_to_itself(class, pods.len()) {
            return false;
        }
        let total =
            self.classes[class].size.iter().map(|size| size.saturating_mul(pods.len() as i64));
        let total = total.collect::<Vec<_>>();
        let roomy = |slot: &usize| {
            fits(&total, &self.slots[*slot].room) && self.admits_slot(class, *slot, false).is_ok()
        };
        if let Some(slot) = search.slots().find(roomy) {
            self.put_on_slot(class, slot, pods);
            return true;
        }
        let whole = self.candidates.large_enough(&self.fitting[class], &total);
        if whole.is_empty() {
            return false;
        }
        self.bundles.insert(class, whole);
        self.demands.entry((class, None)).or_default().extend(pods);
        true
    }

    /// Whether the class has no rule but to share a node with its own pods, all of which wait, and no other class has to do with it.
    fn keeps_to_itself(&self, class: usize, waiting: usize) -> bool {
        let own = &self.classes[class];
        let [term] = own.terms.affinities[..] else { return false };
        let others = self.classes.iter().enumerate().filter(|(other, _)| *other != class);
        let strangers = |other: &Class<'_>| {
            !other.terms.matches(term) && !other.terms.affinities.contains(&term)
        };
        waiting == own.pods.len()
            && own.terms.matches == [term]
            && own.terms.spreads.is_empty()
            && own.terms.antis.is_empty()
            && own.spec.host_ports.is_empty()
            && own.attachments.is_empty()
            && self.topology.total(term) == 0
            && others.into_iter().all(|(_, other)| strangers(other))
    }
}
