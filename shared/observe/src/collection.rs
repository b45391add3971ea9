//! All objects of a dump, as they come.

use crate::custom;
use crate::documents::{Document, DocumentError};
use crate::finding::{DumpFinding, Place, Severity};
use crate::intern::Interner;
use crate::kinds::metadata::{self, Metadata};
use crate::kinds::{node, pod, volumes, workloads};
use crate::wire::{FieldError, deep, text};
use model::volume::StorageClass;
use model::{Duration, NodeClaim, NodeClass, NodePool, PodId, Snapshot, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    /// Objects of the core kinds; the rest of the snapshot is filled in when all is read.
    pub(crate) snapshot: Snapshot,
    pub(crate) findings: Vec<DumpFinding>,
    pub(crate) unreadable_pods: Vec<String>,
    /// Nodes that run pods of which nothing is known.
    pub(crate) nodes_of_unreadable: BTreeSet<String>,
    /// Pods that must not be disrupted for some time after their creation.
    pub(crate) protected: Vec<(PodId, Duration)>,
    /// Default storage classes, of which the newest counts.
    pub(crate) default_classes: Vec<(Option<Timestamp>, String)>,
    /// Where pools stand, for findings about them that only show when all is read.
    pub(crate) pool_places: BTreeMap<String, Place>,
    /// Zone ids by zone name, as node classes tell them.
    pub(crate) zone_ids: BTreeMap<String, String>,
    /// How often each kind occurs.
    pub(crate) kinds: BTreeMap<String, usize>,
    pub(crate) latest: Option<Timestamp>,
    pub(crate) interner: Interner,
}

impl Collection {
    /// Takes one document, or the reason why it cannot be read.
    pub(crate) fn take(&mut self, result: Result<Document, DocumentError>) {
        match result {
            Ok(document) => self.object(&document),
            Err(error) => self.findings.push(syntax(error)),
        }
    }

    fn object(&mut self, document: &Document) {
        let value = &document.value;
        let of = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (of("apiVersion"), of("kind"));
        let name = name_of(kind, value);
        let place = Place {
            file: document.file.clone(),
            document: document.document,
            item: document.item,
            line: document.line,
        };
        let here = Here { place, name };
        for warning in &document.warnings {
            let place = Place { line: warning.line, ..here.place.clone() };
            let here = Here { place, name: here.name.clone() };
            let (path, message) = (warning.path.clone(), warning.message.clone());
            self.findings.push(here.finding(Severity::Warning, "key-repeated", path, message));
        }
        if kind.is_empty() {
            let message = "the object has no kind, so that nothing is known of it".to_owned();
            let finding =
                here.finding(Severity::Warning, "kind-missing", "kind".to_owned(), message);
            return self.findings.push(finding);
        }
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        self.latest = self.latest.max(pod::latest_moment(value));
        if let Err(error) = self.read(version, kind, value, &here) {
            self.unreadable(kind, value, &here, error);
        }
    }

    fn read(
        &mut self,
        version: &str,
        kind: &str,
        value: &Value,
        here: &Here,
    ) -> Result<(), FieldError> {
        let metadata = || metadata::read(value);
        let core = &mut self.snapshot;
        match (version, kind) {
            ("v1", "Pod") => self.pod(value, metadata()?)?,
            ("v1", "Node") => return self.node(value, metadata()?),
            ("v1", "Namespace") => {
                let metadata = metadata()?;
                core.namespaces.insert(metadata.name, metadata.labels);
            }
            ("v1", "PersistentVolume") => core.volumes.push(volumes::volume(value, metadata()?)?),
            ("v1", "PersistentVolumeClaim") => {
                core.volume_claims.push(volumes::claim(value, metadata()?)?);
            }
            ("storage.k8s.io/v1" | "storage.k8s.io/v1beta1", "StorageClass") => {
                self.storage_class(value, metadata()?)?;
            }
            ("storage.k8s.io/v1" | "storage.k8s.io/v1beta1", "CSINode") => {
                core.csi_nodes.push(volumes::csi_node(value, metadata()?)?);
            }
            ("apps/v1", "DaemonSet") => {
                let daemon_set = workloads::daemon_set(value, metadata()?, &mut self.interner)?;
                core.daemon_sets.push(daemon_set);
            }
            ("policy/v1" | "policy/v1beta1", "PodDisruptionBudget") => {
                let budget = workloads::disruption_budget(value, metadata()?)?;
                core.pod_disruption_budgets.push(budget);
            }
            _ => custom::take(self, value, here),
        }
        Ok(())
    }

    fn pod(&mut self, value: &Value, metadata: Metadata) -> Result<(), FieldError> {
        let read = pod::read(value, metadata, &mut self.interner)?;
        self.protected.extend(read.protected_for.map(|span| (read.pod.id.clone(), span)));
        self.snapshot.pods.push(read.pod);
        Ok(())
    }

    /// A node that can be read in part only stays, for its pods are there; nothing new goes on it.
    fn node(&mut self, value: &Value, metadata: Metadata) -> Result<(), FieldError> {
        if let Some(since) = node::empty_since(&metadata) {
            self.snapshot.empty_since.insert(metadata.name.clone(), since);
        }
        let read = node::read(value, metadata.clone());
        let (node, result) = match read {
            Ok(node) => (node, Ok(())),
            Err(error) => {
                let mut node = node::bare(metadata);
                node::cordon(&mut node);
                (node, Err(error))
            }
        };
        self.snapshot.nodes.push(node);
        result
    }

    fn storage_class(&mut self, value: &Value, metadata: Metadata) -> Result<(), FieldError> {
        let created_at = metadata.created_at;
        let class: StorageClass = volumes::storage_class(value, metadata)?;
        if class.is_default {
            self.default_classes.push((created_at, class.name.clone()));
        }
        self.snapshot.storage_classes.push(class);
        Ok(())
    }

    fn unreadable(&mut self, kind: &str, value: &Value, here: &Here, error: FieldError) {
        let consequence = match kind {
            "Pod" => "nothing is planned for the pod",
            "Node" => "nothing new is planned onto the node",
            _ => "the object is left out",
        };
        if kind == "Pod" {
            self.unreadable_pods.push(here.name.trim_start_matches("Pod ").to_owned());
            let node = deep(value, &["spec", "nodeName"], text).ok().flatten();
            self.nodes_of_unreadable.extend(node.map(str::to_owned));
        }
        let message = format!("{}: {consequence}", error.message);
        let finding = here.finding(Severity::Error, "unreadable", error.path, message);
        self.findings.push(finding);
    }

    /// Takes what a custom resource gave.
    pub(crate) fn pool(&mut self, pool: NodePool, here: &Here) {
        self.pool_places.insert(pool.name.clone(), here.place.clone());
        self.snapshot.node_pools.push(pool);
    }

    pub(crate) fn class(&mut self, class: NodeClass) {
        self.snapshot.node_classes.push(class);
    }

    pub(crate) fn claim(&mut self, claim: NodeClaim) {
        self.snapshot.node_claims.push(claim);
    }
}

/// The object being read.
pub(crate) struct Here {
    pub(crate) place: Place,
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
        let (place, object) = (Some(self.place.clone()), self.name.clone());
        DumpFinding { severity, place, object, path, rule: rule.to_owned(), message }
    }
}

/// `Pod shop/cart-0`, from whatever can be read of it.
fn name_of(kind: &str, value: &Value) -> String {
    let of = |key: &str| value.get("metadata")?.get(key)?.as_str();
    let kind = if kind.is_empty() { "(no kind)" } else { kind };
    let name = of("name").or_else(|| of("generateName")).unwrap_or("(no name)");
    let namespaced =
        matches!(kind, "Pod" | "DaemonSet" | "PodDisruptionBudget" | "PersistentVolumeClaim");
    match of("namespace").or(namespaced.then_some("default")) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn syntax(error: DocumentError) -> DumpFinding {
    let DocumentError { file, document, line, column, message } = error;
    let column = column.map(|column| format!(" (column {column})")).unwrap_or_default();
    DumpFinding {
        severity: Severity::Error,
        place: Some(Place { file, document, item: None, line }),
        object: format!("document {document}"),
        path: String::new(),
        rule: "syntax".to_owned(),
        message: format!("{message}{column}: the document cannot be read from here on"),
    }
}
