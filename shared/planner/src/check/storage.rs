//! Volumes as the kube-scheduler sees them: where each can be used or made, and how many a node attaches.

use model::pod::{NodeSelectorTerm, PodVolume};
use model::volume::{StorageClass, Volume, VolumeClaim};
use model::{Labels, Pod, Snapshot, labels};
use std::collections::{BTreeMap, BTreeSet};

/// Claims, volumes and classes by name, and what nodes can attach.
pub(super) struct Storage<'a> {
    claims: BTreeMap<(&'a str, &'a str), &'a VolumeClaim>,
    volumes: BTreeMap<&'a str, &'a Volume>,
    classes: &'a [StorageClass],
    limits: BTreeMap<&'a str, &'a [(String, u32)]>,
}

impl<'a> Storage<'a> {
    /// Of the snapshot.
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let claim = |claim: &'a VolumeClaim| ((&*claim.namespace, &*claim.name), claim);
        let limits = snapshot.csi_nodes.iter();
        Self {
            claims: snapshot.volume_claims.iter().map(claim).collect(),
            volumes: snapshot.volumes.iter().map(|volume| (&*volume.name, volume)).collect(),
            classes: &snapshot.storage_classes,
            limits: limits.map(|csi| (&*csi.node, csi.limits.as_slice())).collect(),
        }
    }

    fn claim(&self, pod: &Pod, volume: &PodVolume) -> Option<&'a VolumeClaim> {
        let name = match volume {
            PodVolume::Claim(name) => name.clone(),
            PodVolume::Ephemeral { volume, .. } => format!("{}-{volume}", pod.id.name),
        };
        self.claims.get(&(&*pod.id.namespace, &*name)).copied()
    }

    fn volume(&self, pod: &Pod, volume: &PodVolume) -> Option<&'a Volume> {
        self.volumes.get(self.claim(pod, volume)?.volume.as_deref()?).copied()
    }

    /// The class that makes the volume, if it is not there yet.
    fn class(&self, pod: &Pod, volume: &PodVolume) -> Option<&'a StorageClass> {
        let claim = self.claim(pod, volume);
        let named = match (claim, volume) {
            (Some(claim), _) => claim.storage_class.clone(),
            (None, PodVolume::Ephemeral { storage_class, .. }) => storage_class.clone(),
            (None, PodVolume::Claim(_)) => return None,
        };
        let mut found = self.classes.iter().filter(|class| match &named {
            Some(name) => class.name == *name,
            None => class.is_default,
        });
        if named.is_some() {
            return found.next();
        }
        let newest = |class: &&StorageClass| class.created_at;
        let mut defaults = found.collect::<Vec<_>>();
        defaults.sort_by(|a, b| (newest(b), &a.name).cmp(&(newest(a), &b.name)));
        defaults.first().copied()
    }

    /// What is wrong with the pod's volumes on a node with these labels. `there` are the hostnames of nodes that stay.
    pub(super) fn problems(
        &self,
        pod: &Pod,
        own: &Labels,
        there: &BTreeSet<String>,
    ) -> Vec<String> {
        let problem = |volume: &PodVolume| match self.volume(pod, volume) {
            Some(found) => {
                let usable = usable(&found.node_affinity, own, found.local.then_some(there));
                (!usable).then(|| format!("cannot use volume {}", found.name))
            }
            None => match self.class(pod, volume) {
                None => Some(format!("cannot get its volume {volume:?}: nothing makes it")),
                Some(class) if !class.waits_for_consumer => {
                    Some(format!("cannot get its volume {volume:?}: it is bound elsewhere first"))
                }
                Some(class) => {
                    let usable = usable(&class.allowed_topologies, own, None);
                    (!usable).then(|| format!("cannot have a volume of {} made", class.name))
                }
            },
        };
        pod.spec.volumes.iter().filter_map(problem).collect()
    }

    /// The drivers that would attach more to the node than they can.
    pub(super) fn too_many(&self, node: &str, running: &[&Pod], planned: &[&Pod]) -> Vec<String> {
        let Some(limits) = self.limits.get(node) else { return Vec::new() };
        let adds = planned.iter().flat_map(|pod| self.attached(pod)).collect::<BTreeSet<_>>();
        let all = running.iter().chain(planned).flat_map(|pod| self.attached(pod));
        let all = all.collect::<BTreeSet<_>>();
        let problem = |(driver, limit): &(String, u32)| {
            let of_driver = |(own, _): &&(String, String)| own == driver;
            let count = all.iter().filter(of_driver).count();
            let grows = adds.iter().any(|own| own.0 == *driver);
            let over = grows && count > *limit as usize;
            over.then(|| format!("attaches {count} volumes of {driver} but can attach {limit}"))
        };
        limits.iter().filter_map(problem).collect()
    }

    /// The pod's volumes, by driver and name.
    fn attached(&self, pod: &Pod) -> Vec<(String, String)> {
        let named = |volume: &PodVolume| match self.volume(pod, volume) {
            Some(found) => Some((found.driver.clone()?, found.name.clone())),
            None => {
                let of_pod = match volume {
                    PodVolume::Claim(name) => format!("{}/{name}", pod.id.namespace),
                    PodVolume::Ephemeral { volume, .. } => format!("{}:{volume}", pod.id),
                };
                Some((self.class(pod, volume)?.provisioner.clone(), of_pod))
            }
        };
        pod.spec.volumes.iter().filter_map(named).collect()
    }
}

/// Whether one of the terms holds. A local volume's node that is gone is no reason against another one.
fn usable(terms: &[NodeSelectorTerm], own: &Labels, there: Option<&BTreeSet<String>>) -> bool {
    let lost = |requirement: &model::Requirement| {
        let gone = |there: &BTreeSet<String>| {
            !there.iter().any(|name| requirement.value_set().allows(Some(name)))
        };
        requirement.key == labels::HOSTNAME && there.is_some_and(gone)
    };
    let holds = |term: &NodeSelectorTerm| {
        let mut kept = term.requirements.iter().filter(|requirement| !lost(requirement));
        kept.all(|requirement| requirement.matches(own))
    };
    terms.is_empty() || terms.iter().any(holds)
}
