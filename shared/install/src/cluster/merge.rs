//! Three versions of an object: what was last applied, what is there, and what is wanted. What people changed meanwhile stays.
//!
//! A field is a leaf: lists are compared as a whole, as the API server does for custom resources.

use serde_json::{Map, Value};

/// The parts of an object that are applied; the rest is the API server's.
const NOT_APPLIED: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It becomes what is wanted.
    Set(String),
    /// It is no longer wanted, and goes.
    Drop(String),
    /// Somebody has changed it: it stays as it is, unless it is to be overwritten.
    Kept(String),
}

/// What comes of the three.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Merged {
    /// What is to be applied.
    pub(crate) object: Value,
    /// In what it differs from what is there.
    pub(crate) differences: Vec<Difference>,
}

/// What is to be applied where `live` is there. `base` is what was applied last, if that is known.
pub(crate) fn merge(base: Option<&Value>, live: &Value, wanted: &Value, overwrite: bool) -> Merged {
    let mut merge = Merge { overwrite, based: base.is_some(), differences: Vec::new() };
    let mut object = wanted.clone();
    for (part, _) in parts(wanted, base) {
        let of = |object: &Value| object.get(&part).cloned();
        let merged = merge.field(&part, base.and_then(of), of(live), of(wanted));
        set(&mut object, &part, merged);
    }
    for part in ["labels", "annotations"] {
        let of = |object: &Value| object["metadata"].get(part).cloned();
        let path = format!("metadata.{part}");
        let merged = merge.field(&path, base.and_then(of), of(live), of(wanted));
        set(&mut object["metadata"], part, merged);
    }
    Merged { object, differences: merge.differences }
}

/// The fields beside metadata, by name.
fn parts(wanted: &Value, base: Option<&Value>) -> Map<String, Value> {
    let all = [Some(wanted), base].into_iter().flatten().filter_map(Value::as_object).flatten();
    let kept = all.filter(|(name, _)| !NOT_APPLIED.contains(&name.as_str()));
    kept.map(|(name, _)| (name.clone(), Value::Null)).collect()
}

fn set(object: &mut Value, name: &str, value: Option<Value>) {
    match (object.as_object_mut(), value) {
        (Some(map), Some(value)) => {
            map.insert(name.to_owned(), value);
        }
        (Some(map), None) => {
            map.remove(name);
        }
        (None, _) => {}
    }
}

struct Merge {
    overwrite: bool,
    based: bool,
    differences: Vec<Difference>,
}

impl Merge {
    /// What is to be applied of this field; `None` if nothing is.
    fn field(
        &mut self,
        path: &str,
        base: Option<Value>,
        live: Option<Value>,
        wanted: Option<Value>,
    ) -> Option<Value> {
        let branch = [&base, &live, &wanted].into_iter().flatten().all(Value::is_object);
        if branch
            && (live.is_some() || wanted.is_some())
            && wanted.as_ref().or(base.as_ref()).is_some()
        {
            return self.branch(path, base, live, wanted);
        }
        self.leaf(path, base, live, wanted)
    }

    fn branch(
        &mut self,
        path: &str,
        base: Option<Value>,
        live: Option<Value>,
        wanted: Option<Value>,
    ) -> Option<Value> {
        let sides = [&base, &wanted].into_iter().flatten().filter_map(Value::as_object);
        let mut names = sides.flat_map(Map::keys).cloned().collect::<Vec<_>>();
        names.sort();
        names.dedup();
        let asked = wanted.is_some();
        let empty = wanted.as_ref().and_then(Value::as_object).is_some_and(Map::is_empty);
        let mut merged = Map::new();
        for name in names {
            let of = |side: &Option<Value>| side.as_ref().and_then(|side| side.get(&name)).cloned();
            let below = step(path, &name);
            if let Some(value) = self.field(&below, of(&base), of(&live), of(&wanted)) {
                merged.insert(name, value);
            }
        }
        (!merged.is_empty() || asked && empty).then_some(Value::Object(merged))
    }

    fn leaf(
        &mut self,
        path: &str,
        base: Option<Value>,
        live: Option<Value>,
        wanted: Option<Value>,
    ) -> Option<Value> {
        if live == wanted {
            return wanted;
        }
        // Where nobody knows what was applied, a field that is there is somebody's, and one that is not was never meant to be away.
        let untouched = if self.based { live == base } else { live.is_none() };
        if untouched || self.overwrite {
            self.differences.push(match (&live, &wanted) {
                (Some(from), Some(to)) => {
                    Difference::Set(format!("{path}: {} -> {}", shown(from), shown(to)))
                }
                (None, Some(to)) => Difference::Set(format!("{path}: {}", shown(to))),
                (_, None) => Difference::Drop(path.to_owned()),
            });
            return wanted;
        }
        // What is no longer wanted and was changed by somebody is theirs from now on.
        if let Some(wanted) = &wanted {
            let is = live.as_ref().map_or_else(|| "removed".to_owned(), shown);
            let text = format!("{path}: {is} (configuration: {})", shown(wanted));
            self.differences.push(Difference::Kept(text));
        }
        wanted.and(live)
    }
}

/// `spec.subnetSelector["karpenter.sh/discovery"]`.
fn step(path: &str, name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if plain { format!("{path}.{name}") } else { format!("{path}[{name:?}]") }
}

/// A value in one line.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    format!("{}...", text.chars().take(LONGEST).collect::<String>())
}

/// The fields of `stored` that `wanted` names: what became of it under the API server's defaults and webhooks.
pub(crate) fn as_stored(wanted: &Value, stored: &Value) -> Value {
    let mut object = wanted.clone();
    let names = wanted.as_object().into_iter().flatten().map(|(name, _)| name);
    for name in names.filter(|name| !NOT_APPLIED.contains(&name.as_str())) {
        object[name] = restricted(&wanted[name], stored.get(name));
    }
    object
}

fn restricted(wanted: &Value, stored: Option<&Value>) -> Value {
    match (wanted, stored) {
        (Value::Object(fields), Some(Value::Object(stored))) => {
            let of = |(name, value): (&String, &Value)| {
                (name.clone(), restricted(value, stored.get(name)))
            };
            fields.iter().map(of).collect::<Map<_, _>>().into()
        }
        (_, Some(stored)) => stored.clone(),
        (wanted, None) => wanted.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The spec that is applied, and what is told.
    fn check(
        base: Option<Value>,
        live: Value,
        wanted: Value,
        overwrite: bool,
        expected: Value,
        told: &[&str],
    ) {
        let of = |spec: Value| json!({ "kind": "P", "metadata": { "name": "a" }, "spec": spec });
        let merged = merge(base.map(of).as_ref(), &of(live), &of(wanted), overwrite);
        assert_eq!(merged.object["spec"], expected);
        let told_so = merged.differences.iter().map(|difference| match difference {
            Difference::Set(text) => format!("set {text}"),
            Difference::Drop(text) => format!("drop {text}"),
            Difference::Kept(text) => format!("kept {text}"),
        });
        assert_eq!(told_so.collect::<Vec<_>>(), told);
    }

    #[test]
    fn what_nobody_touched_follows_the_configuration() {
        let a = json!({ "cpu": 1, "list": [1] });
        check(Some(a.clone()), a.clone(), a.clone(), false, a.clone(), &[]);
        let b = json!({ "cpu": 2, "list": [1, 2] });
        let told = ["set spec.cpu: 1 -> 2", "set spec.list: [1] -> [1,2]"];
        check(Some(a.clone()), a.clone(), b.clone(), false, b, &told);
        let less = json!({ "list": [1] });
        check(Some(a.clone()), a.clone(), less.clone(), false, less, &["drop spec.cpu"]);
        let more = json!({ "cpu": 1, "list": [1], "new": { "x": true } });
        check(Some(a.clone()), a, more.clone(), false, more, &["set spec.new.x: true"]);
    }

    #[test]
    fn what_somebody_changed_stays_and_is_told() {
        let base = json!({ "limits": { "cpu": 1000 }, "ttl": 30 });
        let live = json!({ "limits": { "cpu": 5, "memory": "1Gi" }, "weight": 7 });
        let told = [
            "kept spec.limits.cpu: 5 (configuration: 1000)",
            "kept spec.ttl: removed (configuration: 30)",
        ];
        let kept = json!({ "limits": { "cpu": 5 } });
        check(Some(base.clone()), live.clone(), base.clone(), false, kept, &told);
        let told = ["set spec.limits.cpu: 5 -> 1000", "set spec.ttl: 30"];
        check(Some(base.clone()), live.clone(), base.clone(), true, base.clone(), &told);
        // No longer wanted, and changed: it is theirs.
        check(Some(base), live, json!({ "limits": {} }), false, json!({ "limits": {} }), &[]);
    }

    #[test]
    fn of_an_object_of_others_nothing_is_changed_that_is_there() {
        let live = json!({ "a": 1 });
        let wanted = json!({ "a": 2, "b": 3 });
        let told = ["kept spec.a: 1 (configuration: 2)", "set spec.b: 3"];
        check(None, live, wanted, false, json!({ "a": 1, "b": 3 }), &told);
    }

    #[test]
    fn what_the_api_server_made_of_a_value_counts_as_that_value() {
        let wanted = json!({ "kind": "P", "spec": { "list": [{ "a": 1 }], "deep": { "x": 1 } } });
        let stored = json!({ "kind": "P", "spec": { "list": [{ "a": 1, "b": "default" }], "deep": { "x": 1, "y": 2 } }, "status": 1 });
        let expected = json!({ "kind": "P", "spec": { "list": [{ "a": 1, "b": "default" }], "deep": { "x": 1 } } });
        assert_eq!(as_stored(&wanted, &stored), expected);
    }
}
