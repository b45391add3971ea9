//! Where a pod's volumes let it be: those that are there, and those that are made where the pod goes.

use model::labels::HOSTNAME;
use model::pod::{NodeSelectorTerm, PodVolume};
use model::volume::{StorageClass, Volume, VolumeClaim};
use model::{Pod, Reason, Requirement, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// For each volume the places where it can be used: alternatives, of which one must match.
pub(crate) type VolumeTerms = Vec<Vec<NodeSelectorTerm>>;

/// Volumes attached to a node: driver and name; one that is not made yet is named by its claim's namespace and name, or by its
/// pod's and its own.
pub(crate) type Attachments<'a> = BTreeSet<(&'a str, &'a str, &'a str)>;

/// The provisioner of classes whose volumes people make.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// The claims and volumes of a snapshot, by name.
pub(crate) struct Volumes<'a> {
    /// By namespace and name.
    claims: BTreeMap<&'a str, BTreeMap<&'a str, &'a VolumeClaim>>,
    volumes: BTreeMap<&'a str, &'a Volume>,
    classes: BTreeMap<&'a str, &'a StorageClass>,
    default_class: Option<&'a StorageClass>,
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
        let classes = &snapshot.storage_classes;
        let age = |class: &&StorageClass| (class.created_at, std::cmp::Reverse(class.name.clone()));
        Self {
            claims,
            volumes: volumes.collect(),
            classes: classes.iter().map(|class| (class.name.as_str(), class)).collect(),
            default_class: classes.iter().filter(|class| class.is_default).max_by_key(age),
            hostnames,
        }
    }

    fn claim(&self, namespace: &str, name: &str) -> Option<&'a VolumeClaim> {
        self.claims.get(namespace)?.get(name).copied()
    }

    /// The places of all the pod's volumes, or why it cannot be placed.
    pub(crate) fn terms(&self, pod: &Pod) -> Result<VolumeTerms, Reason> {
        let mut terms = VolumeTerms::new();
        for volume in &pod.spec.volumes {
            let places = self.places(pod, volume)?;
            if !places.is_empty() {
                terms.push(places);
            }
        }
        terms.sort();
        terms.dedup();
        Ok(terms)
    }

    /// The volumes that the pod's node must attach.
    pub(crate) fn attachments(&self, pod: &'a Pod) -> Attachments<'a> {
        let attached = |volume: &'a PodVolume| {
            let claim = self.claim(&pod.id.namespace, &claim_name(pod, volume));
            if let Some(name) = claim.and_then(|claim| claim.volume.as_deref()) {
                let volume = self.volumes.get(name)?;
                return Some((volume.driver.as_deref()?, "", volume.name.as_str()));
            }
            let driver = self.class(claim, volume)?.provisioner.as_str();
            Some(match (claim, volume) {
                (Some(claim), _) => (driver, claim.namespace.as_str(), claim.name.as_str()),
                (None, PodVolume::Claim(name)) => (driver, &*pod.id.namespace, name.as_str()),
                (None, PodVolume::Ephemeral { volume, .. }) => {
                    (driver, &*pod.id.name, volume.as_str())
                }
            })
        };
        pod.spec.volumes.iter().filter_map(attached).collect()
    }

    /// The class of a volume that is not there yet: the one named, else the default one. An empty name means none.
    fn class(
        &self,
        claim: Option<&'a VolumeClaim>,
        volume: &'a PodVolume,
    ) -> Option<&'a StorageClass> {
        let named = match (claim, volume) {
            (Some(claim), _) => claim.storage_class.as_deref(),
            (None, PodVolume::Ephemeral { storage_class, .. }) => storage_class.as_deref(),
            (None, PodVolume::Claim(_)) => return None,
        };
        match named {
            Some(name) => self.classes.get(name).copied(),
            None => self.default_class,
        }
    }

    /// The pod's claim whose volume can be used in these places only.
    pub(crate) fn claim_in(&self, pod: &Pod, places: &[NodeSelectorTerm]) -> Option<String> {
        let mut volumes = pod.spec.volumes.iter();
        let found = volumes.find(|volume| self.places(pod, volume).is_ok_and(|own| own == places));
        found.map(|volume| claim_name(pod, volume))
    }

    fn places(&self, pod: &Pod, volume: &PodVolume) -> Result<Vec<NodeSelectorTerm>, Reason> {
        let name = claim_name(pod, volume);
        let broken =
            |problem: &str| Reason::Volume { claim: name.clone(), problem: problem.to_owned() };
        let claim = match (self.claim(&pod.id.namespace, &name), volume) {
            (Some(claim), _) => claim,
            // The claim of an ephemeral volume is made for its pod, sooner or later.
            (None, PodVolume::Ephemeral { storage_class, .. }) => {
                return self.to_be_made(storage_class.as_deref()).map_err(|why| broken(&why));
            }
            (None, PodVolume::Claim(_)) => return Err(broken("there is no such claim")),
        };
        if claim.deleting {
            return Err(broken("the claim is being deleted"));
        }
        if claim.phase == "Lost" {
            return Err(broken("the claim has lost its volume"));
        }
        let Some(volume) = &claim.volume else {
            return self.to_be_made(claim.storage_class.as_deref()).map_err(|why| broken(&why));
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

    /// Where a volume of the class can be made, or why none is. It is made where its pod goes, if the class waits for that.
    fn to_be_made(&self, class: Option<&str>) -> Result<Vec<NodeSelectorTerm>, String> {
        let found = match class {
            Some("") => return Err("it is not bound, and names no storage class".to_owned()),
            Some(name) => {
                let known = self.classes.get(name).copied();
                known.ok_or_else(|| format!("there is no storage class {name}"))?
            }
            None => self
                .default_class
                .ok_or("it is not bound, and there is no default storage class")?,
        };
        if found.provisioner == NO_PROVISIONER {
            return Err(format!(
                "it is not bound, and storage class {} makes no volumes",
                found.name
            ));
        }
        if !found.waits_for_consumer {
            let name = &found.name;
            return Err(format!(
                "it is not bound yet; storage class {name} binds without waiting for its pod"
            ));
        }
        Ok(found.allowed_topologies.clone())
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
