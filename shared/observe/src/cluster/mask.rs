//! Parsing only what is kept of an object, item by item.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Which fields of an object are kept; everything else is skipped while it is parsed. Lists are looked through: the mask is
/// that of each item.
#[derive(Debug)]
pub(crate) struct Mask {
    /// Fields with masks of their own.
    pub(crate) fields: &'static [(&'static str, Mask)],
    /// Whether all other fields are kept.
    pub(crate) others: bool,
}

/// Keeps everything.
pub(crate) const ALL: Mask = Mask { fields: &[], others: true };
/// Keeps nothing.
pub(crate) const NONE: Mask = Mask { fields: &[], others: false };

/// Keeps these fields alone.
pub(crate) const fn only(fields: &'static [(&'static str, Mask)]) -> Mask {
    Mask { fields, others: false }
}

/// Keeps all, and of these fields what their masks say.
pub(crate) const fn except(fields: &'static [(&'static str, Mask)]) -> Mask {
    Mask { fields, others: true }
}

impl Mask {
    fn of(&self, key: &str) -> &Mask {
        let named = self.fields.iter().find(|(name, _)| *name == key);
        named.map_or(if self.others { &ALL } else { &NONE }, |(_, mask)| mask)
    }

    fn skips(&self) -> bool {
        self.fields.is_empty() && !self.others
    }
}

impl<'de> DeserializeSeed<'de> for &Mask {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Mask {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = fields.next_key::<std::borrow::Cow<'de, str>>()? {
            let mask = self.of(&key);
            if mask.skips() {
                fields.next_value::<IgnoredAny>()?;
            } else {
                let value = fields.next_value_seed(mask)?;
                map.insert(key.into_owned(), value);
            }
        }
        Ok(Value::Object(map))
    }
}

/// What a list says beside its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListMetadata {
    pub(crate) resource_version: String,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<String>,
    /// How many items come after this page, where the server says so.
    pub(crate) remaining: Option<u64>,
}

/// Parses a list and hands over its items one by one.
pub(crate) fn parse_list(
    bytes: &[u8],
    mask: &Mask,
    item: &mut dyn FnMut(Value),
) -> serde_json::Result<ListMetadata> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let metadata = ListSeed { mask, item }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(metadata)
}

struct ListSeed<'a> {
    mask: &'a Mask,
    item: &'a mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = ListMetadata;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ListMetadata, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = ListMetadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<ListMetadata, A::Error> {
        let mut metadata = ListMetadata::default();
        while let Some(key) = fields.next_key::<std::borrow::Cow<'de, str>>()? {
            match &*key {
                "metadata" => metadata = list_metadata(&fields.next_value::<Value>()?),
                "items" => {
                    fields.next_value_seed(Items { mask: self.mask, item: &mut *self.item })?;
                }
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(metadata)
    }
}

fn list_metadata(value: &Value) -> ListMetadata {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    ListMetadata {
        resource_version: text("resourceVersion"),
        next: Some(text("continue")).filter(|token| !token.is_empty()),
        remaining: value.get("remainingItemCount").and_then(Value::as_u64),
    }
}

struct Items<'a> {
    mask: &'a Mask,
    item: &'a mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // An empty list of a custom resource may be null.
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element_seed(self.mask)? {
            (self.item)(item);
        }
        Ok(())
    }
}

/// Parses one event of a watch: its type, and what the mask keeps of its object.
pub(crate) fn parse_event(line: &[u8], mask: &'static Mask) -> serde_json::Result<(String, Value)> {
    let mut kind = String::new();
    let mut object = Value::Null;
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    EventSeed { mask, kind: &mut kind, object: &mut object }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    if kind == "ERROR" {
        // A status, of which the mask of another kind would leave nothing.
        let mut event = serde_json::from_slice::<Value>(line)?;
        object = event["object"].take();
    }
    Ok((kind, object))
}

struct EventSeed<'a> {
    mask: &'static Mask,
    kind: &'a mut String,
    object: &'a mut Value,
}

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key::<std::borrow::Cow<'de, str>>()? {
            match &*key {
                "type" => *self.kind = fields.next_value()?,
                "object" => *self.object = fields.next_value_seed(self.mask)?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MASK: Mask = only(&[
        ("metadata", except(&[("managedFields", NONE)])),
        ("spec", only(&[("containers", only(&[("name", ALL)]))])),
    ]);

    fn check(object: Value, kept: Value) {
        let list = json!({ "metadata": { "resourceVersion": "7" }, "items": [object] }).to_string();
        let mut items = Vec::new();
        parse_list(list.as_bytes(), &MASK, &mut |item| items.push(item)).unwrap();
        assert_eq!(items, [kept]);
    }

    #[test]
    fn only_what_the_mask_names_is_kept() {
        let containers = json!([{ "name": "a", "env": [{ "value": "secret" }] }, { "name": "b" }]);
        let object = json!({
            "metadata": { "name": "x", "managedFields": [{}], "labels": { "a": "b" } },
            "spec": { "containers": containers, "volumes": [1] },
            "status": {},
        });
        check(
            object,
            json!({
                "metadata": { "name": "x", "labels": { "a": "b" } },
                "spec": { "containers": [{ "name": "a" }, { "name": "b" }] },
            }),
        );
    }

    #[test]
    fn an_object_of_the_wrong_shape_stays_as_it_is() {
        check(
            json!({ "metadata": 3, "spec": [null, "x"] }),
            json!({ "metadata": 3, "spec": [null, "x"] }),
        );
        check(json!("x"), json!("x"));
    }

    #[test]
    fn a_list_tells_its_version_its_next_page_and_how_many_remain() {
        let check = |list: Value, expected: (&str, Option<&str>, Option<u64>)| {
            let text = list.to_string();
            let found = parse_list(text.as_bytes(), &MASK, &mut |_| {}).unwrap();
            let next = expected.1.map(str::to_owned);
            let version = expected.0.to_owned();
            assert_eq!(
                found,
                ListMetadata { resource_version: version, next, remaining: expected.2 }
            );
        };
        check(json!({ "metadata": { "resourceVersion": "7" }, "items": null }), ("7", None, None));
        let page = json!({ "resourceVersion": "7", "continue": "abc", "remainingItemCount": 9 });
        check(json!({ "items": [], "metadata": page }), ("7", Some("abc"), Some(9)));
    }

    #[test]
    fn a_list_cut_short_is_an_error() {
        let text = r#"{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{}},"#;
        assert!(parse_list(text.as_bytes(), &MASK, &mut |_| {}).is_err());
    }

    #[test]
    fn an_error_among_events_keeps_its_status() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#;
        let (kind, object) = parse_event(line, &MASK).unwrap();
        assert_eq!((kind.as_str(), &object["code"]), ("ERROR", &json!(410)));
    }
}
