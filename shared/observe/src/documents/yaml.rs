//! YAML documents, from the parser's events.

use super::delivery::{Delivery, Item};
use super::lines::Lines;
use super::path::FieldPath;
use super::{DEEPEST, DocumentWarning, scalar};
use saphyr_parser::{BufferedInput, Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::rc::Rc;

/// Values that aliases of one document may stand for, together: no object of Kubernetes comes near it, a YAML bomb passes it at once.
const MOST_ALIASED_VALUES: usize = 100_000;

/// Reads all documents of a stream, of which `skipped` blank lines are gone already.
pub(crate) fn read(reader: &mut dyn BufRead, skipped: usize, delivery: &mut Delivery<'_, '_>) {
    let mut lines = Lines::new(reader, skipped);
    while let Some(first_line) = lines.next_document() {
        delivery.begin();
        let result = Tree::new(&mut lines, first_line).read(delivery);
        if let Some(failure) = lines.take_failure() {
            delivery.fail(Some(failure.line), None, failure.message);
        } else if let Err(error) = result {
            delivery.fail(Some(error.line), Some(error.column), error.message);
        }
        lines.skip_document();
    }
    if let Some(failure) = lines.take_failure() {
        delivery.begin();
        delivery.fail(Some(failure.line), None, failure.message);
    }
}

/// Where and why a document cannot be read further.
struct Broken {
    line: usize,
    column: usize,
    message: String,
}

type Next = (Event<'static>, Span);

/// Builds the tree of one document.
struct Tree<'l, 'r> {
    parser: Parser<'static, BufferedInput<&'l mut Lines<'r>>>,
    /// What the parser's line numbers lack: the lines before the document.
    lines_before: usize,
    failed: Rc<Cell<bool>>,
    /// Values by anchor, with the number of values in them.
    anchors: BTreeMap<usize, (Value, usize)>,
    aliased_values: usize,
    warnings: Vec<DocumentWarning>,
}

impl<'l, 'r> Tree<'l, 'r> {
    fn new(lines: &'l mut Lines<'r>, first_line: usize) -> Self {
        let anchors = BTreeMap::new();
        Self {
            failed: lines.failed(),
            parser: Parser::new(BufferedInput::new(lines)),
            lines_before: first_line - 1,
            anchors,
            aliased_values: 0,
            warnings: Vec::new(),
        }
    }

    /// Reads the document and delivers it, or its items if it is a list.
    fn read(mut self, delivery: &mut Delivery<'_, '_>) -> Result<(), Broken> {
        let (event, span) = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(()),
                node => break node,
            }
        };
        let line = Some(self.line(span.start));
        if matches!(event, Event::MappingStart(0, _)) {
            return self.root_mapping(delivery, line);
        }
        let value = self.node((event, span), &FieldPath::ROOT, 0)?;
        delivery.object(Item { value, warnings: self.warnings, line });
        Ok(())
    }

    fn root_mapping(
        mut self,
        delivery: &mut Delivery<'_, '_>,
        line: Option<usize>,
    ) -> Result<(), Broken> {
        let mut mapping = Mapping::default();
        let mut listed = false;
        while let Some((key, span)) = self.key()? {
            let next = self.next()?;
            let sequence = matches!(next.0, Event::SequenceStart(0, _));
            if key == "items" && sequence && !listed && Delivery::may_be_list(&mapping.map) {
                listed = true;
                self.items(&mapping.map, delivery)?;
                continue;
            }
            let value = self.node(next, &FieldPath::ROOT.key(&key), 1)?;
            self.insert(&mut mapping, key, value, span, &FieldPath::ROOT);
        }
        let root = mapping.finish();
        if listed {
            delivery.end_list(root, line);
        } else {
            let warnings = self.warnings;
            delivery.object(Item { value: Value::Object(root), warnings, line });
        }
        Ok(())
    }

    fn items(
        &mut self,
        root: &Map<String, Value>,
        delivery: &mut Delivery<'_, '_>,
    ) -> Result<(), Broken> {
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                return Ok(());
            }
            let line = Some(self.line(next.1.start));
            let value = self.node(next, &FieldPath::ROOT, 2)?;
            let warnings = std::mem::take(&mut self.warnings);
            delivery.item(root, Item { value, warnings, line });
        }
    }

    fn node(&mut self, next: Next, path: &FieldPath<'_>, depth: usize) -> Result<Value, Broken> {
        let (event, span) = next;
        if depth > DEEPEST {
            return Err(self.broken(span.start, format!("nested deeper than {DEEPEST} levels")));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar_value(text, style, tag)),
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(path, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(path, depth)?),
            Event::Alias(anchor) => (0, self.alias(anchor, span)?),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                return Err(self.broken(span.start, "a value is missing".to_owned()));
            }
        };
        if anchor > 0 {
            let size = count_values(&value);
            self.anchors.insert(anchor, (value.clone(), size));
        }
        Ok(value)
    }

    fn sequence(&mut self, path: &FieldPath<'_>, depth: usize) -> Result<Value, Broken> {
        let mut elements = Vec::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                return Ok(Value::Array(elements));
            }
            elements.push(self.node(next, &path.index(elements.len()), depth + 1)?);
        }
    }

    fn mapping(&mut self, path: &FieldPath<'_>, depth: usize) -> Result<Value, Broken> {
        let mut mapping = Mapping::default();
        while let Some((key, span)) = self.key()? {
            let next = self.next()?;
            let value = self.node(next, &path.key(&key), depth + 1)?;
            self.insert(&mut mapping, key, value, span, path);
        }
        Ok(Value::Object(mapping.finish()))
    }

    /// The next key of a mapping, or `None` at its end.
    fn key(&mut self) -> Result<Option<(String, Span)>, Broken> {
        let (event, span) = self.next()?;
        match event {
            Event::MappingEnd => Ok(None),
            Event::Scalar(text, ScalarStyle::Plain, _, _) => Ok(Some((scalar::key(&text), span))),
            Event::Scalar(text, _, _, _) => Ok(Some((text.into_owned(), span))),
            Event::Alias(anchor) => match self.alias(anchor, span)? {
                Value::String(text) => Ok(Some((text, span))),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_) => Err(self.no_key(span)),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..) => Err(self.no_key(span)),
        }
    }

    fn insert(
        &mut self,
        mapping: &mut Mapping,
        key: String,
        value: Value,
        span: Span,
        path: &FieldPath<'_>,
    ) {
        if key == "<<" {
            return mapping.merges.push(value);
        }
        if mapping.map.contains_key(&key) {
            let path = path.key(&key).render();
            let message = "the key is repeated; its last value counts".to_owned();
            let line = Some(self.line(span.start));
            self.warnings.push(DocumentWarning { path, message, line });
        }
        mapping.map.insert(key, value);
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Value, Broken> {
        let Some((value, size)) = self.anchors.get(&anchor) else {
            let message = "the alias stands inside of what it names".to_owned();
            return Err(self.broken(span.start, message));
        };
        self.aliased_values += size;
        if self.aliased_values > MOST_ALIASED_VALUES {
            let message =
                format!("aliases stand for more than {MOST_ALIASED_VALUES} values in all");
            return Err(self.broken(span.start, message));
        }
        Ok(value.clone())
    }

    fn next(&mut self) -> Result<Next, Broken> {
        match self.parser.next_event() {
            // What follows a line that cannot be read is not the document's end; the line itself is reported.
            Some(Ok((_, span))) if self.failed.get() => {
                Err(self.broken(span.start, "broken".to_owned()))
            }
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => {
                let message = "the document ends in the middle".to_owned();
                Err(self.broken(Marker::new(0, 1, 0), message))
            }
        }
    }

    fn no_key(&self, span: Span) -> Broken {
        self.broken(span.start, "a key must be a scalar".to_owned())
    }

    fn syntax(&self, error: &ScanError) -> Broken {
        self.broken(*error.marker(), error.info().to_owned())
    }

    fn broken(&self, at: Marker, message: String) -> Broken {
        Broken { line: self.line(at), column: at.col() + 1, message }
    }

    fn line(&self, at: Marker) -> usize {
        at.line() + self.lines_before
    }
}

/// A mapping under construction; merged ones give way to keys of its own.
#[derive(Default)]
struct Mapping {
    map: Map<String, Value>,
    merges: Vec<Value>,
}

impl Mapping {
    fn finish(mut self) -> Map<String, Value> {
        for merge in self.merges {
            let sources = if let Value::Array(sources) = merge { sources } else { vec![merge] };
            for (key, value) in sources.into_iter().filter_map(into_object).flatten() {
                self.map.entry(key).or_insert(value);
            }
        }
        self.map
    }
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(map) = value { Some(map) } else { None }
}

fn scalar_value(
    text: Cow<'static, str>,
    style: ScalarStyle,
    tag: Option<Cow<'static, Tag>>,
) -> Value {
    let text_tag = tag.is_some_and(|tag| tag.suffix == "str" || tag.suffix == "binary");
    if style == ScalarStyle::Plain && !text_tag {
        scalar::resolve(&text)
    } else {
        Value::String(text.into_owned())
    }
}

/// The values in a tree, itself included.
fn count_values(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(count_values).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count_values).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}
