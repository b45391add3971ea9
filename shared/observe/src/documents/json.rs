//! JSON documents, one after another, read as a stream; repeated keys are found on the way.

use super::DocumentWarning;
use super::delivery::{Delivery, Item};
use super::path::FieldPath;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::BufRead;

/// Reads all documents of a stream. JSON has no marks to begin again at, so that an error ends the stream.
pub(crate) fn read(reader: &mut dyn BufRead, delivery: &mut Delivery<'_, '_>) {
    let mut parser = serde_json::Deserializer::from_reader(reader);
    loop {
        let begun = Cell::new(false);
        let root = Root { delivery: RefCell::new(&mut *delivery), begun: &begun };
        let Err(error) = (&mut parser).deserialize_any(root) else { continue };
        if error.is_eof() && !begun.get() {
            return;
        }
        if !begun.get() {
            delivery.begin();
        }
        let (line, column) = (error.line(), error.column());
        let message = plain_message(&error);
        return delivery.fail(Some(line), Some(column), message);
    }
}

/// The message without its place, which is told apart.
fn plain_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.clone(), |(plain, _)| plain.to_owned())
}

/// A whole document.
struct Root<'d, 'b, 's, 'f> {
    delivery: RefCell<&'d mut Delivery<'s, 'f>>,
    begun: &'b Cell<bool>,
}

impl Root<'_, '_, '_, '_> {
    fn begin(&self) {
        self.begun.set(true);
        self.delivery.borrow_mut().begin();
    }

    fn single<E: Error>(self, value: Value) -> Result<(), E> {
        self.begin();
        self.delivery.borrow_mut().object(Item { value, warnings: Vec::new(), line: None });
        Ok(())
    }
}

impl<'de> Visitor<'de> for Root<'_, '_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.single(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.single(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.single(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.single(Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.single(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.single(Value::Null)
    }

    /// An array of objects is taken as their list.
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.begin();
        let list = Map::from_iter([("kind".to_owned(), Value::from("List"))]);
        elements_of(&mut elements, &list, *self.delivery.borrow_mut())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.begin();
        let mut delivery = self.delivery.borrow_mut();
        let warnings = RefCell::new(Vec::new());
        let mut map = Map::new();
        let mut listed = false;
        while let Some(key) = entries.next_key::<String>()? {
            if key == "items" && !listed && Delivery::may_be_list(&map) {
                listed = entries.next_value_seed(Items { root: &map, delivery: &mut delivery })?;
                continue;
            }
            let path = FieldPath::ROOT.key(&key);
            let value = entries.next_value_seed(Node { path: &path, warnings: &warnings })?;
            insert(&mut map, key, value, &FieldPath::ROOT, &warnings);
        }
        if listed {
            delivery.end_list(map, None);
        } else {
            let warnings = warnings.into_inner();
            delivery.object(Item { value: Value::Object(map), warnings, line: None });
        }
        Ok(())
    }
}

fn elements_of<'de, A: SeqAccess<'de>>(
    elements: &mut A,
    root: &Map<String, Value>,
    delivery: &mut Delivery<'_, '_>,
) -> Result<(), A::Error> {
    let warnings = RefCell::new(Vec::new());
    while let Some(value) =
        elements.next_element_seed(Node { path: &FieldPath::ROOT, warnings: &warnings })?
    {
        delivery.item(root, Item { value, warnings: warnings.take(), line: None });
    }
    Ok(())
}

/// The `items` of what may be a list; gives whether they were an array.
struct Items<'a, 'd, 's, 'f> {
    root: &'a Map<String, Value>,
    delivery: &'d mut Delivery<'s, 'f>,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_, '_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_, '_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of Kubernetes objects")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        elements_of(&mut elements, self.root, self.delivery).map(|()| true)
    }
}

/// A value within an object.
#[derive(Clone, Copy)]
struct Node<'a> {
    path: &'a FieldPath<'a>,
    warnings: &'a RefCell<Vec<DocumentWarning>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let path = self.path.index(values.len());
            match elements.next_element_seed(Node { path: &path, ..self })? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = self.path.key(&key);
            let value = entries.next_value_seed(Node { path: &path, ..self })?;
            insert(&mut map, key, value, self.path, self.warnings);
        }
        Ok(Value::Object(map))
    }
}

fn insert(
    map: &mut Map<String, Value>,
    key: String,
    value: Value,
    path: &FieldPath<'_>,
    warnings: &RefCell<Vec<DocumentWarning>>,
) {
    if map.contains_key(&key) {
        let path = path.key(&key).render();
        let message = "the key is repeated; its last value counts".to_owned();
        warnings.borrow_mut().push(DocumentWarning { path, message, line: None });
    }
    map.insert(key, value);
}
