//! The objects of one kind, kept between turns.

use super::api::{Api, Target};
use super::error::ClusterReadError;
use super::kinds::Kind;
use super::mask::{self, ListMetadata, parse_list};
use crate::entry::{Entry, Here, name_of};
use crate::intern::Interner;
use model::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Objects of one page.
const PAGE: usize = 500;
/// How often a list that expired is begun anew.
const ATTEMPTS: usize = 3;

/// Namespace and name.
pub(crate) type Key = (Arc<str>, Arc<str>);

/// The objects of one kind.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) kind: &'static Kind,
    path: String,
    /// Only objects of this field selector.
    selector: Option<String>,
    objects: BTreeMap<Key, Entry>,
    /// The objects as they came, for kinds that others read on.
    raw: BTreeMap<Key, Value>,
    keeps_raw: bool,
    interner: Interner,
    /// The version up to which `objects` is known to be whole; `None` if a full list is due.
    version: Option<u64>,
    /// When it was last known to be so.
    read_at: Option<Timestamp>,
    /// The API server does not serve the kind.
    absent: bool,
}

/// How far a warm copy must come: the version of a consistent read, and how many objects there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) version: u64,
    pub(crate) count: Option<u64>,
}

impl Store {
    pub(crate) fn new(kind: &'static Kind) -> Self {
        Self {
            kind,
            path: kind.path(),
            selector: None,
            objects: BTreeMap::new(),
            raw: BTreeMap::new(),
            keeps_raw: false,
            interner: Interner::default(),
            version: None,
            read_at: None,
            absent: false,
        }
    }

    /// The same, with the objects as they come beside what was read of them.
    pub(crate) fn keeping_raw(self) -> Self {
        Self { keeps_raw: true, ..self }
    }

    /// Only the objects of a namespace (all if it is empty) that match a field selector.
    pub(crate) fn selecting(self, namespace: &str, selector: &str) -> Self {
        let kind = self.kind;
        let path = match namespace {
            "" => kind.path(),
            _ => format!("/api/{}/namespaces/{namespace}/{}", kind.version, kind.plural),
        };
        Self { path, selector: Some(selector.to_owned()), ..self }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.objects.values()
    }

    pub(crate) fn raw(&self) -> impl Iterator<Item = &Value> {
        self.raw.values()
    }

    pub(crate) fn is_warm(&self) -> bool {
        self.version.is_some()
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.absent
    }

    pub(crate) fn version(&self) -> Option<u64> {
        self.version
    }

    /// For how many seconds the copy has not been looked at; `None` if there is none.
    pub(crate) fn age_s(&self, now: Timestamp) -> Option<i64> {
        self.read_at.map(|at| now.since(at).0)
    }

    /// Makes the next read a full list.
    pub(crate) fn distrust(&mut self) {
        self.version = None;
    }

    /// Frees everything.
    pub(crate) fn forget(&mut self) {
        (self.version, self.read_at) = (None, None);
        self.objects = BTreeMap::new();
        self.interner = Interner::default();
    }

    /// Notes that the copy is whole as of this version.
    pub(crate) fn confirm(&mut self, version: u64, api: &Api) {
        self.version = Some(version);
        self.read_at = Some(api.now());
        self.interner.prune();
    }

    pub(crate) fn len(&self) -> u64 {
        self.objects.len() as u64
    }

    /// The path and query of a request with these parameters.
    pub(crate) fn address(&self, parameters: &str) -> String {
        let selector = self.selector.as_deref().map(encode);
        let selector = selector.map(|text| format!("&fieldSelector={text}")).unwrap_or_default();
        format!("{}?{parameters}{selector}", self.path)
    }

    fn page(&self, limit: usize, next: Option<&str>) -> String {
        let next = next.map(|token| format!("&continue={}", encode(token))).unwrap_or_default();
        self.address(&format!("limit={limit}{next}"))
    }

    /// Reads all objects, page by page. A kind that the server does not serve has none, if it may be missing.
    pub(crate) async fn list(&mut self, api: &Api) -> Result<(), ClusterReadError> {
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.list_once(api).await;
            match &result {
                Err(ClusterReadError::Gone { .. }) => {}
                Err(ClusterReadError::NotFound { .. }) if self.kind.custom => {
                    self.forget();
                    (self.absent, self.read_at) = (true, Some(api.now()));
                    return Ok(());
                }
                Ok(()) | Err(_) => return result,
            }
        }
        result
    }

    async fn list_once(&mut self, api: &Api) -> Result<(), ClusterReadError> {
        let mut fresh = Self { keeps_raw: self.keeps_raw, ..Self::new(self.kind) };
        let mut buffer = Vec::new();
        let mut first = None;
        let mut next = None;
        loop {
            let page = self.page(PAGE, next.as_deref());
            let metadata = fresh.list_page(api, &page, &mut buffer).await?;
            first.get_or_insert_with(|| metadata.resource_version.clone());
            next = metadata.next;
            if next.is_none() {
                break;
            }
        }
        self.objects = fresh.objects;
        self.raw = fresh.raw;
        self.interner = fresh.interner;
        self.absent = false;
        self.read_at = Some(api.now());
        // Versions are numbers up to now, and promised to be since Kubernetes 1.35; where one is not, every turn lists.
        self.version = first.and_then(|version| version.parse().ok());
        Ok(())
    }

    async fn list_page(
        &mut self,
        api: &Api,
        page: &str,
        buffer: &mut Vec<u8>,
    ) -> Result<ListMetadata, ClusterReadError> {
        let target = self.target("list");
        api.get(target, page).await?.read_to(target, buffer).await?;
        let mask = self.kind.mask;
        parse_list(buffer, mask, &mut |object| self.put(object))
            .map_err(|error| target.malformed(error))
    }

    /// A consistent read of one object: it tells the present version and how many objects there are, and has the server bring its
    /// watch cache up to that version before it answers.
    pub(crate) async fn mark(&self, api: &Api) -> Result<Option<Mark>, ClusterReadError> {
        let target = self.target("list");
        let mut buffer = Vec::new();
        let page = self.page(1, None);
        api.get(target, &page).await?.read_to(target, &mut buffer).await?;
        let mut seen = 0;
        let metadata = parse_list(&buffer, &mask::NONE, &mut |_| seen += 1)
            .map_err(|error| target.malformed(error))?;
        let count = match (&metadata.next, metadata.remaining) {
            (None, _) => Some(seen),
            (Some(_), remaining) => remaining.map(|remaining| remaining + seen),
        };
        let version = metadata.resource_version.parse().ok();
        Ok(version.map(|version| Mark { version, count }))
    }

    pub(crate) fn target(&self, verb: &'static str) -> Target<'static> {
        Target { kind: self.kind, verb }
    }

    /// Takes an object as it is now.
    pub(crate) fn put(&mut self, mut object: Value) {
        let (version, kind) = (self.kind.api_version(), self.kind.name);
        if let Value::Object(fields) = &mut object {
            // Items of a list do not say what they are.
            fields.insert("apiVersion".to_owned(), Value::from(version.as_str()));
            fields.insert("kind".to_owned(), Value::from(kind));
        }
        let key = self.key(&object);
        let here = Here { place: None, name: name_of(kind, &object) };
        let entry = Entry::read(&version, kind, &object, &here, &mut self.interner);
        if self.keeps_raw {
            self.raw.insert(key.clone(), object);
        }
        self.objects.insert(key, entry);
    }

    /// Drops an object that was deleted.
    pub(crate) fn remove(&mut self, object: &Value) {
        let key = self.key(object);
        self.objects.remove(&key);
        self.raw.remove(&key);
    }

    fn key(&mut self, object: &Value) -> Key {
        let of = |key: &str| object.get("metadata")?.get(key)?.as_str();
        let namespace = self.interner.name(of("namespace").unwrap_or_default());
        (namespace, of("name").unwrap_or_default().into())
    }
}

/// The text as a part of a query.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let byte = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
