//! From what a parser reads to the objects that the sink gets: lists are taken apart here.

use super::{Document, DocumentError, DocumentWarning, Sink};
use serde_json::{Map, Value};

/// Hands objects to the sink with their place.
pub(crate) struct Delivery<'s, 'f> {
    file: String,
    /// The document being read, from 1.
    document: usize,
    sink: &'s mut Sink<'f>,
    list: List,
}

/// The list being read, if the document turns out to be one.
#[derive(Default)]
struct List {
    items: usize,
    /// Items without a kind, which wait for the kind of the list.
    waiting: Vec<Item>,
}

/// An element of a list.
pub(crate) struct Item {
    pub(crate) value: Value,
    pub(crate) warnings: Vec<DocumentWarning>,
    pub(crate) line: Option<usize>,
}

impl<'s, 'f> Delivery<'s, 'f> {
    pub(crate) fn new(file: &str, sink: &'s mut Sink<'f>) -> Self {
        Self { file: file.to_owned(), document: 0, sink, list: List::default() }
    }

    /// Begins the next document.
    pub(crate) fn begin(&mut self) {
        self.document += 1;
        self.list = List::default();
    }

    /// Whether the `items` of an object with these other fields are those of a list, as far as that is known yet.
    pub(crate) fn may_be_list(root: &Map<String, Value>) -> bool {
        root.get("kind").is_none_or(|kind| kind.as_str().is_some_and(|kind| kind.ends_with("List")))
    }

    /// Takes an element of the document's `items`; `root` is what has been read of the document beside them.
    pub(crate) fn item(&mut self, root: &Map<String, Value>, mut item: Item) {
        self.list.items += 1;
        let kind = item.value.get("kind");
        if kind.is_none() && !name_kind(root, &mut item.value) {
            return self.list.waiting.push(item);
        }
        let number = self.list.items;
        self.send(Some(number), item);
    }

    /// Ends a document of which `items` were delivered one by one.
    pub(crate) fn end_list(&mut self, root: Map<String, Value>, line: Option<usize>) {
        let waiting = std::mem::take(&mut self.list.waiting);
        if !Self::may_be_list(&root) {
            return self.send_whole(root, waiting, line);
        }
        let first = self.list.items - waiting.len() + 1;
        for (index, mut item) in waiting.into_iter().enumerate() {
            name_kind(&root, &mut item.value);
            self.send(Some(first + index), item);
        }
        if !root.contains_key("kind") {
            self.fail(None, None, "the list has no kind: the file seems to be cut off".to_owned());
        }
    }

    /// Takes a document that is no list.
    pub(crate) fn object(&mut self, item: Item) {
        match item.value {
            Value::Null => {}
            Value::Object(_) => self.send(None, item),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let message = "not a Kubernetes object but a single value or an array".to_owned();
                self.fail(item.line, None, message);
            }
        }
    }

    /// Reports that the document cannot be read further.
    pub(crate) fn fail(&mut self, line: Option<usize>, column: Option<usize>, message: String) {
        let (file, document) = (self.file.clone(), self.document);
        (self.sink)(Err(DocumentError { file, document, line, column, message }));
    }

    /// An object of another kind that happens to have a field `items`.
    fn send_whole(&mut self, mut root: Map<String, Value>, items: Vec<Item>, line: Option<usize>) {
        let mut warnings = Vec::new();
        let take = |item: Item| {
            warnings.extend(item.warnings);
            item.value
        };
        let items = items.into_iter().map(take).collect();
        root.insert("items".to_owned(), Value::Array(items));
        self.send(None, Item { value: Value::Object(root), warnings, line });
    }

    fn send(&mut self, number: Option<usize>, item: Item) {
        let Item { value, warnings, line } = item;
        let (file, document) = (self.file.clone(), self.document);
        (self.sink)(Ok(Document { file, document, item: number, line, value, warnings }));
    }
}

/// Gives an element of a typed list (`PodList`) the kind that the API server left out; whether the list has one.
fn name_kind(list: &Map<String, Value>, value: &mut Value) -> bool {
    let kind = list.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
    let (Some(kind), Some(object)) = (kind, value.as_object_mut()) else { return kind.is_some() };
    if !kind.is_empty() && !object.contains_key("kind") {
        object.insert("kind".to_owned(), Value::from(kind));
        if let Some(version) = list.get("apiVersion") {
            object.entry("apiVersion").or_insert_with(|| version.clone());
        }
    }
    true
}
