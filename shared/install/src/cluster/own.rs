//! The installer's own objects: applied as they are, because nobody else changes them.

use super::objects::{Named, Objects, plain};
use crate::change::{Change, Verb};
use crate::problem::Problem;
use serde_json::{Value, json};

/// The label of what the installer made, which it may take away again.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub(crate) const JOINER: &str = "joiner";

/// Whether the installer made the object.
pub(crate) fn is_own(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY] == JOINER
}

/// The object with the label of what the installer made.
pub(crate) fn marked(mut object: Value) -> Value {
    object["metadata"]["labels"][MANAGED_BY] = json!(JOINER);
    object
}

/// What applying the object would change.
///
/// # Errors
/// If the API server does not tell, or would refuse.
pub(crate) async fn look(objects: &Objects, object: &Value) -> Result<Change, Problem> {
    let of = Named::of(object);
    let Some(live) = objects.get(&of).await? else {
        return Ok(Change::create(of.to_string(), ""));
    };
    let becomes = objects.apply(object, true).await?;
    if plain(&live) == plain(&becomes) {
        return Ok(Change::keep(of.to_string(), ""));
    }
    Ok(Change::update(of.to_string(), differing(&live, &becomes).join(", ")))
}

/// The fields at the second level that differ: `spec.replicas`.
fn differing(live: &Value, becomes: &Value) -> Vec<String> {
    let (live, becomes) = (plain(live), plain(becomes));
    let mut fields = Vec::new();
    for (name, part) in becomes.as_object().into_iter().flatten() {
        match part.as_object() {
            Some(inner) => {
                let differs = |(field, value): &(&String, &Value)| {
                    live[name].get(field.as_str()) != Some(*value)
                };
                fields.extend(
                    inner.iter().filter(differs).map(|(field, _)| format!("{name}.{field}")),
                );
            }
            None if live.get(name) != Some(part) => fields.push(name.clone()),
            None => {}
        }
    }
    fields
}

/// What applying each would change. A namespace that is not there yet would have the API server refuse what lies in it, so that all of
/// it counts as new.
///
/// # Errors
/// As `look`.
pub(crate) async fn look_at_all(objects: &Objects, all: &[Value]) -> Result<Vec<Change>, Problem> {
    let mut changes = Vec::new();
    for object in all {
        let of = Named::of(object);
        let there = match &of.namespace {
            None => objects.serves(&of.api_version, &of.kind).await?,
            Some(space) => {
                objects.get(&Named::new("v1", "Namespace", None, space)).await?.is_some()
            }
        };
        changes.push(if there {
            look(objects, object).await?
        } else {
            Change::create(of.to_string(), "")
        });
    }
    Ok(changes)
}

/// Applies those that change.
///
/// # Errors
/// The first that the API server refuses.
pub(crate) async fn apply_all(
    objects: &Objects,
    all: &[Value],
    changes: &[Change],
    progress: &dyn Fn(&str),
) -> Result<(), Problem> {
    for object in all {
        let name = Named::of(object).to_string();
        let kept = |change: &&Change| change.verb == Verb::Keep && change.object == name;
        if changes.iter().any(|change| kept(&change)) {
            continue;
        }
        progress(&name);
        objects.apply(object, false).await?;
    }
    Ok(())
}
