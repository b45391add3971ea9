//! One object, read: what it says, what is odd about it.

use crate::custom;
use crate::finding::{DumpFinding, Place, Severity};
use crate::intern::Interner;
use crate::kinds::buffers::{self, Buffer, Template};
use crate::kinds::metadata::{self, Metadata};
use crate::kinds::{attachment, node, pod, volumes, workloads};
use crate::wire::{FieldError, deep, text};
use model::snapshot::{DaemonSet, PodDisruptionBudget};
use model::volume::{CsiNode, StorageClass, Volume, VolumeClaim};
use model::{Labels, Node, Timestamp};
use serde_json::Value;

/// What one object gave. It can be kept and added to any number of collections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) items: Vec<Item>,
    pub(crate) findings: Vec<DumpFinding>,
}

/// A part of the snapshot that comes from one object.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are pods: a box for each would be one more piece of memory"
)]
pub(crate) enum Item {
    Pod(pod::ReadPod),
    /// A pod that cannot be read: `namespace/name`, and its node.
    UnreadablePod(Box<(String, Option<String>)>),
    /// A node, and since when it has been empty.
    Node(Box<(Node, Option<Timestamp>)>),
    Namespace(Box<(String, Labels)>),
    Volume(Box<Volume>),
    VolumeClaim(Box<VolumeClaim>),
    /// A storage class, and when it was created: of several default ones the newest counts.
    StorageClass(Box<(StorageClass, Option<Timestamp>)>),
    CsiNode(Box<CsiNode>),
    DaemonSet(Box<DaemonSet>),
    DisruptionBudget(Box<PodDisruptionBudget>),
    Attachment(Box<attachment::Attachment>),
    Buffer(Box<Buffer>),
    Template(Box<Template>),
    Custom(Box<custom::Custom>),
}

impl Entry {
    /// Reads one object of any kind; of no interest, it has neither items nor findings.
    pub(crate) fn read(
        version: &str,
        kind: &str,
        value: &Value,
        here: &Here,
        interner: &mut Interner,
    ) -> Self {
        let mut entry = Self::default();
        if let Err(error) = entry.fill(version, kind, value, here, interner) {
            entry.unreadable(kind, value, here, error);
        }
        entry
    }

    fn fill(
        &mut self,
        version: &str,
        kind: &str,
        value: &Value,
        here: &Here,
        interner: &mut Interner,
    ) -> Result<(), FieldError> {
        let metadata = || metadata::read(value);
        let item = match (version, kind) {
            ("v1", "Pod") => Item::Pod(pod::read(value, metadata()?, interner)?),
            ("v1", "Node") => return self.node(value, metadata()?),
            ("v1", "Namespace") => {
                let metadata = metadata()?;
                Item::Namespace(Box::new((metadata.name, metadata.labels)))
            }
            ("v1", "PersistentVolume") => {
                Item::Volume(Box::new(volumes::volume(value, metadata()?)?))
            }
            ("v1", "PersistentVolumeClaim") => {
                Item::VolumeClaim(Box::new(volumes::claim(value, metadata()?)?))
            }
            ("storage.k8s.io/v1" | "storage.k8s.io/v1beta1", "StorageClass") => {
                let metadata = metadata()?;
                let created_at = metadata.created_at;
                let class = volumes::storage_class(value, metadata)?;
                Item::StorageClass(Box::new((class, created_at)))
            }
            ("storage.k8s.io/v1" | "storage.k8s.io/v1beta1", "CSINode") => {
                Item::CsiNode(Box::new(volumes::csi_node(value, metadata()?)?))
            }
            ("storage.k8s.io/v1", "VolumeAttachment") => match attachment::read(value)? {
                Some(attachment) => Item::Attachment(Box::new(attachment)),
                None => return Ok(()),
            },
            ("apps/v1", "DaemonSet") => {
                Item::DaemonSet(Box::new(workloads::daemon_set(value, metadata()?, interner)?))
            }
            ("policy/v1" | "policy/v1beta1", "PodDisruptionBudget") => {
                let budget = workloads::disruption_budget(value, metadata()?)?;
                Item::DisruptionBudget(Box::new(budget))
            }
            (
                "autoscaling.x-k8s.io/v1beta1" | "autoscaling.x-k8s.io/v1alpha1",
                "CapacityBuffer",
            ) => match buffers::buffer(value, metadata()?)? {
                Some(buffer) => Item::Buffer(Box::new(buffer)),
                None => return Ok(()),
            },
            ("v1", "PodTemplate") => {
                Item::Template(Box::new(buffers::template(value, metadata()?)?))
            }
            _ => {
                let Some((custom, findings)) = custom::read(value, here) else { return Ok(()) };
                self.findings.extend(findings);
                Item::Custom(Box::new(custom))
            }
        };
        // Exactly one: room for more would be the largest part of what a large cluster takes.
        self.items = vec![item];
        Ok(())
    }

    /// A node that can be read in part only stays, for its pods are there; nothing new goes on it.
    fn node(&mut self, value: &Value, metadata: Metadata) -> Result<(), FieldError> {
        let empty_since = node::empty_since(&metadata);
        let read = node::read(value, metadata.clone());
        let (node, result) = match read {
            Ok(node) => (node, Ok(())),
            Err(error) => {
                let mut node = node::bare(metadata);
                node::cordon(&mut node);
                (node, Err(error))
            }
        };
        self.items = vec![Item::Node(Box::new((node, empty_since)))];
        result
    }

    fn unreadable(&mut self, kind: &str, value: &Value, here: &Here, error: FieldError) {
        let consequence = match kind {
            "Pod" => "nothing is planned for the pod",
            "Node" => "nothing new is planned onto the node",
            _ => "the object is left out",
        };
        if kind == "Pod" {
            let name = here.name.trim_start_matches("Pod ").to_owned();
            let node = deep(value, &["spec", "nodeName"], text).ok().flatten();
            self.items = vec![Item::UnreadablePod(Box::new((name, node.map(str::to_owned))))];
        }
        let message = format!("{}: {consequence}", error.message);
        let finding = here.finding(Severity::Error, "unreadable", error.path, message);
        self.findings.push(finding);
    }
}

/// The object being read.
pub(crate) struct Here {
    /// Where it stands in a file; `None` in a live cluster.
    pub(crate) place: Option<Place>,
    /// `Pod shop/cart-0`.
    pub(crate) name: String,
}

impl Here {
    pub(crate) fn finding(
        &self,
        severity: Severity,
        rule: &str,
        path: String,
        message: String,
    ) -> DumpFinding {
        let (place, object) = (self.place.clone(), self.name.clone());
        DumpFinding { severity, place, object, path, rule: rule.to_owned(), message }
    }
}

/// `Pod shop/cart-0`, from whatever can be read of it.
pub(crate) fn name_of(kind: &str, value: &Value) -> String {
    let of = |key: &str| value.get("metadata")?.get(key)?.as_str();
    let kind = if kind.is_empty() { "(no kind)" } else { kind };
    let name = of("name").or_else(|| of("generateName")).unwrap_or("(no name)");
    let namespaced = matches!(
        kind,
        "Pod"
            | "DaemonSet"
            | "PodDisruptionBudget"
            | "PersistentVolumeClaim"
            | "CapacityBuffer"
            | "PodTemplate"
    );
    match of("namespace").or(namespaced.then_some("default")) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
