//! All objects of a dump, as they come.

use crate::custom::Custom;
use crate::documents::{Document, DocumentError};
use crate::entry::{Entry, Here, Item, name_of};
use crate::finding::{DumpFinding, Place, Severity};
use crate::intern::Interner;
use crate::kinds::attachment::Attachment;
use crate::kinds::buffers::{Buffer, Template};
use crate::kinds::pod;
use api::Object;
use model::{Duration, NodeOverlay, PodId, Snapshot, Timestamp};
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
    /// Node overlays, with where they stand.
    pub(crate) overlays: Vec<(NodeOverlay, Option<Place>)>,
    /// Capacity buffers.
    pub(crate) buffers: Vec<Buffer>,
    /// Pod templates, which buffers name.
    pub(crate) templates: Vec<Template>,
    /// Zone ids by zone name, as node classes tell them.
    pub(crate) zone_ids: BTreeMap<String, String>,
    /// How often each kind occurs.
    pub(crate) kinds: BTreeMap<String, usize>,
    pub(crate) latest: Option<Timestamp>,
    pub(crate) interner: Interner,
    /// Whether it is all that the cluster has, so that nothing was forgotten.
    pub(crate) live: bool,
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
        for warning in &document.warnings {
            let place = Some(Place { line: warning.line, ..place.clone() });
            let here = Here { place, name: name.clone() };
            let (path, message) = (warning.path.clone(), warning.message.clone());
            self.findings.push(here.finding(Severity::Warning, "key-repeated", path, message));
        }
        let here = Here { place: Some(place), name };
        if kind.is_empty() {
            let message = "the object has no kind, so that nothing is known of it".to_owned();
            let finding =
                here.finding(Severity::Warning, "kind-missing", "kind".to_owned(), message);
            return self.findings.push(finding);
        }
        self.latest = self.latest.max(pod::latest_moment(value));
        let entry = Entry::read(version, kind, value, &here, &mut self.interner);
        self.add(kind, entry, here.place.as_ref());
    }

    /// Adds what an object of this kind gave.
    pub(crate) fn add(&mut self, kind: &str, entry: Entry, place: Option<&Place>) {
        match self.kinds.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.kinds.insert(kind.to_owned(), 1)),
        }
        self.findings.extend(entry.findings);
        entry.items.into_iter().for_each(|item| self.item(item, place));
    }

    fn item(&mut self, item: Item, place: Option<&Place>) {
        let core = &mut self.snapshot;
        match item {
            Item::Pod(read) => {
                self.protected.extend(read.protected_for.map(|span| (read.pod.id.clone(), span)));
                core.pods.push(read.pod);
            }
            Item::UnreadablePod(pod) => {
                self.unreadable_pods.push(pod.0);
                self.nodes_of_unreadable.extend(pod.1);
            }
            Item::Node(read) => {
                let (node, since) = *read;
                core.empty_since.extend(since.map(|since| (node.name.to_string(), since)));
                core.nodes.push(node);
            }
            Item::Namespace(read) => drop(core.namespaces.insert(read.0, read.1)),
            Item::Volume(volume) => core.volumes.push(*volume),
            Item::VolumeClaim(claim) => core.volume_claims.push(*claim),
            Item::StorageClass(read) => {
                let (class, created_at) = *read;
                let name = class.is_default.then(|| class.name.clone());
                self.default_classes.extend(name.map(|name| (created_at, name)));
                core.storage_classes.push(class);
            }
            Item::CsiNode(node) => core.csi_nodes.push(*node),
            Item::DaemonSet(set) => core.daemon_sets.push(*set),
            Item::DisruptionBudget(budget) => core.pod_disruption_budgets.push(*budget),
            Item::Attachment(attachment) => {
                let Attachment { node, volume } = *attachment;
                core.attached_volumes.entry(node).or_default().push(volume);
            }
            Item::Buffer(buffer) => self.buffers.push(*buffer),
            Item::Template(template) => self.templates.push(*template),
            Item::Custom(read) => self.custom(*read, place),
        }
    }

    fn custom(&mut self, custom: Custom, place: Option<&Place>) {
        self.zone_ids.extend(custom.zone_ids);
        for object in custom.objects {
            match object {
                Object::NodePool(pool) => {
                    self.pool_places.extend(place.map(|place| (pool.name.clone(), place.clone())));
                    self.snapshot.node_pools.push(pool);
                }
                Object::NodeClass(class) => self.snapshot.node_classes.push(class),
                Object::NodeClaim(claim) => self.snapshot.node_claims.push(claim),
                Object::NodeOverlay(overlay) => self.overlays.push((overlay, place.cloned())),
            }
        }
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
