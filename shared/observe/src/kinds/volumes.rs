//! `PersistentVolume`, `PersistentVolumeClaim`, `StorageClass`, `CSINode`.

use super::metadata::Metadata;
use super::selectors::node_selector;
use crate::wire::{Read, deep, field, integer, list, mapping, required, string, text};
use model::labels::normalize;
use model::pod::NodeSelectorTerm;
use model::volume::{CsiNode, StorageClass, Volume, VolumeClaim};
use model::{Operator, Requirement};
use serde_json::Value;

/// In-tree volume sources and provisioners, and the CSI drivers that took their place (Kubernetes' `csi-translation-lib`).
const MIGRATED: [(&str, &str, &str); 6] = [
    ("awsElasticBlockStore", "kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("gcePersistentDisk", "kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("azureDisk", "kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("azureFile", "kubernetes.io/azure-file", "file.csi.azure.com"),
    ("cinder", "kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("vsphereVolume", "kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
];

/// Old zone labels of volumes may list several zones with this between them.
const ZONE_SEPARATOR: &str = "__";

/// Reads a persistent volume.
pub(crate) fn volume(object: &Value, metadata: Metadata) -> Read<Volume> {
    let spec = required(object, "spec", |spec| mapping(spec).map(|_| spec))?;
    let affinity = deep(spec, &["nodeAffinity", "required"], node_selector);
    let affinity = affinity.map_err(|error| error.under("spec"))?;
    let in_tree = MIGRATED.iter().find(|(source, _, _)| spec.get(source).is_some());
    let csi = deep(object, &["spec", "csi", "driver"], text)?;
    Ok(Volume {
        node_affinity: affinity.unwrap_or_else(|| by_zone_labels(&metadata)),
        driver: csi.or(in_tree.map(|(_, _, driver)| *driver)).map(str::to_owned),
        local: spec.get("local").is_some() || spec.get("hostPath").is_some(),
        name: metadata.name,
    })
}

/// The place of a volume from before volumes had node affinity.
fn by_zone_labels(metadata: &Metadata) -> Vec<NodeSelectorTerm> {
    let place = |key: &str| matches!(key, model::labels::ZONE | model::labels::REGION);
    let requirement = |(key, value): (&String, &String)| {
        let values = value.split(ZONE_SEPARATOR);
        let key = normalize(key);
        place(key).then(|| Requirement::new(key, Operator::In, values))
    };
    let mut requirements = metadata.labels.iter().filter_map(requirement).collect::<Vec<_>>();
    requirements.sort();
    requirements.dedup();
    if requirements.is_empty() {
        return Vec::new();
    }
    vec![NodeSelectorTerm { requirements, fields: Vec::new() }]
}

/// Reads a claim.
pub(crate) fn claim(object: &Value, metadata: Metadata) -> Read<VolumeClaim> {
    let of = |path: &[&str]| deep(object, path, text).map(|text| text.map(str::to_owned));
    let volume = of(&["spec", "volumeName"])?.filter(|name| !name.is_empty());
    let phase = of(&["status", "phase"])?;
    Ok(VolumeClaim {
        phase: phase.unwrap_or_else(|| "Pending".to_owned()),
        volume,
        storage_class: of(&["spec", "storageClassName"])?,
        deleting: metadata.deletion_at.is_some(),
        namespace: metadata.namespace,
        name: metadata.name,
    })
}

/// Reads a storage class.
pub(crate) fn storage_class(object: &Value, metadata: Metadata) -> Read<StorageClass> {
    let provisioner = required(object, "provisioner", text)?;
    let migrated = MIGRATED.iter().find(|(_, in_tree, _)| *in_tree == provisioner);
    let default = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ];
    Ok(StorageClass {
        provisioner: migrated.map_or(provisioner, |(_, _, driver)| driver).to_owned(),
        waits_for_consumer: field(object, "volumeBindingMode", text)?
            == Some("WaitForFirstConsumer"),
        allowed_topologies: list(object, "allowedTopologies", topology)?,
        created_at: metadata.created_at,
        is_default: default.iter().any(|key| metadata.annotation(key) == Some("true")),
        name: metadata.name,
    })
}

fn topology(term: &Value) -> Read<NodeSelectorTerm> {
    let expression = |value| {
        let key = required(value, "key", text)?;
        Ok(Requirement::new(normalize(key), Operator::In, list(value, "values", string)?))
    };
    let mut requirements = list(term, "matchLabelExpressions", expression)?;
    requirements.sort();
    Ok(NodeSelectorTerm { requirements, fields: Vec::new() })
}

/// Reads the attachment limits of a node.
pub(crate) fn csi_node(object: &Value, metadata: Metadata) -> Read<CsiNode> {
    let driver = |driver| {
        let name = required(driver, "name", string)?;
        let count = deep(driver, &["allocatable", "count"], integer)?;
        Ok(count.and_then(|count| u32::try_from(count).ok()).map(|count| (name, count)))
    };
    let limits = field(object, "spec", |spec| list(spec, "drivers", driver))?;
    let mut limits = limits.unwrap_or_default().into_iter().flatten().collect::<Vec<_>>();
    limits.sort();
    Ok(CsiNode { node: metadata.name, limits })
}
