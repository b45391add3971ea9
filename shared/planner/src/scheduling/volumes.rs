//! Where a pod's bound volumes let it be.

use model::labels::HOSTNAME;
use model::pod::{NodeSelectorTerm, PodVolume};
use model::reason::Unsupported;
use model::volume::{Volume, VolumeClaim};
use model::{Pod, Reason, Requirement, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// For each volume the places where it can be used: alternatives, of which one must match.
pub(crate) type VolumeTerms = Vec<Vec<NodeSelectorTerm>>;

/// Volumes attached to a node: driver and name.
pub(crate) type Attachments<'a> = BTreeSet<(&'a str, &'a str)>;

/// The claims and volumes of a snapshot, by name.
pub(crate) struct Volumes<'a> {
    /// By namespace and name.
    claims: BTreeMap<&'a str, BTreeMap<&'a str, &'a VolumeClaim>>,
    volumes: BTreeMap<&'a str, &'a Volume>,
    /// The nodes that stay.
    hostnames: BTreeSet<&'a str>,
}

impl<'a> Volumes<'a> {
    /// Indexes the snapshot's claims and volumes.
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut claims: BTreeMap<&str, BTreeMap<&str, &VolumeClaim>> = BTreeMap::new();
        for claim in &snapshot.volume_claims {
            claims.entry(&claim.namespace).or_default().insert(&claim.name, claim);
        }
        let volumes = snapshot.volumes.iter().map(|volume| (volume.name.as_str(), volume));
        let staying = snapshot.nodes.iter().filter(|node| !node.deleting);
        let hostnames = staying.filter_map(|node| node.label(HOSTNAME)).collect();
        Self { claims, volumes: volumes.collect(), hostnames }
    }

    fn claim(&self, namespace: &str, name: &str) -> Option<&'a VolumeClaim> {
        self.claims.get(namespace)?.get(name).copied()
    }

    /// The places of all the pod's volumes, or why it cannot be placed.
    pub(crate) fn terms(&self, pod: &Pod) -> Result<VolumeTerms, Reason> {
        let mut terms = VolumeTerms::new();
        for volume in &pod.spec.volumes {
            let places = self.places(&pod.id.namespace, &claim_name(pod, volume))?;
            if !places.is_empty() {
                terms.push(places);
            }
        }
        terms.sort();
        terms.dedup();
        Ok(terms)
    }

    /// The bound volumes that the pod's node must attach.
    pub(crate) fn attachments(&self, pod: &Pod) -> Attachments<'a> {
        let bound = |volume: &PodVolume| {
            let claim = self.claim(&pod.id.namespace, &claim_name(pod, volume))?;
            let volume = self.volumes.get(claim.volume.as_deref()?)?;
            Some((volume.driver.as_deref()?, volume.name.as_str()))
        };
        pod.spec.volumes.iter().filter_map(bound).collect()
    }

    /// The pod's claim whose volume can be used in these places only.
    pub(crate) fn claim_in(&self, pod: &Pod, places: &[NodeSelectorTerm]) -> Option<String> {
        let mut names = pod.spec.volumes.iter().map(|volume| claim_name(pod, volume));
        names.find(|name| self.places(&pod.id.namespace, name).is_ok_and(|own| own == places))
    }

    fn places(&self, namespace: &str, name: &str) -> Result<Vec<NodeSelectorTerm>, Reason> {
        let broken =
            |problem: &str| Reason::Volume { claim: name.to_owned(), problem: problem.to_owned() };
        let claim = self.claim(namespace, name).ok_or_else(|| broken("there is no such claim"))?;
        if claim.deleting {
            return Err(broken("the claim is being deleted"));
        }
        if claim.phase == "Lost" {
            return Err(broken("the claim has lost its volume"));
        }
        let Some(volume) = &claim.volume else {
            return Err(Reason::Unsupported { feature: Unsupported::UnboundVolume });
        };
        let volume = self
            .volumes
            .get(volume.as_str())
            .ok_or_else(|| broken("its volume is not in the snapshot"))?;
        Ok(if volume.local {
            self.without_lost_nodes(&volume.node_affinity)
        } else {
            volume.node_affinity.clone()
        })
    }

    /// A local volume ties its pod to a node that is there; one that is gone is no reason against a new node,
    /// for the pod could not run anywhere else either (Karpenter leaves such hostnames out too).
    fn without_lost_nodes(&self, terms: &[NodeSelectorTerm]) -> Vec<NodeSelectorTerm> {
        let there = |requirement: &Requirement| {
            let set = requirement.value_set();
            requirement.key != HOSTNAME || self.hostnames.iter().any(|name| set.allows(Some(name)))
        };
        let kept = |term: &NodeSelectorTerm| NodeSelectorTerm {
            requirements: term.requirements.iter().filter(|r| there(r)).cloned().collect(),
            fields: term.fields.clone(),
        };
        let terms = terms.iter().map(kept).collect::<Vec<_>>();
        let anywhere =
            |term: &NodeSelectorTerm| term.requirements.is_empty() && term.fields.is_empty();
        if terms.iter().any(anywhere) { Vec::new() } else { terms }
    }
}

fn claim_name(pod: &Pod, volume: &PodVolume) -> String {
    match volume {
        PodVolume::Claim(name) => name.clone(),
        PodVolume::Ephemeral { volume, .. } => format!("{}-{volume}", pod.id.name),
    }
}
