//! The custom resources: Joiner's, or those that another brought.

use super::base;
use super::objects::{Named, Objects};
use super::own;
use crate::change::Change;
use crate::problem::Problem;
use serde_json::{Value, json};

/// What is to be done with one definition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    /// What is told.
    pub(crate) change: Change,
    /// What is to be applied, if anything is.
    pub(crate) object: Option<Value>,
}

/// The definitions that are brought along.
///
/// # Errors
/// Never in practice: a test reads them.
pub(crate) fn brought() -> Result<Vec<Value>, Problem> {
    let mut all = Vec::new();
    for (file, text) in base::CRDS {
        all.extend(base::documents(file, text)?.into_iter().map(|written| written.object));
    }
    Ok(all)
}

/// The versions that a definition serves.
fn served(definition: &Value) -> Vec<String> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true);
    served.filter_map(|version| version["name"].as_str().map(str::to_owned)).collect()
}

/// All definitions, with what is to be done. Those of others stay as they are while they serve what Joiner reads. Where they do not,
/// they can be taken over (`replace`), if nothing is stored yet that would lose its meaning.
///
/// # Errors
/// If the API server does not tell.
pub(crate) async fn look(objects: &Objects, replace: bool) -> Result<Vec<Definition>, Problem> {
    let mut all = Vec::new();
    for wanted in brought()? {
        all.push(look_at(objects, &wanted, replace).await?);
    }
    Ok(all)
}

async fn look_at(objects: &Objects, wanted: &Value, replace: bool) -> Result<Definition, Problem> {
    let of = Named::of(wanted);
    let name = of.to_string();
    let Some(live) = objects.get(&of).await? else {
        let object = Some(own::marked(wanted.clone()));
        return Ok(Definition { change: Change::create(name, ""), object });
    };
    if own::is_own(&live) {
        let object = own::marked(wanted.clone());
        return Ok(Definition { change: own::look(objects, &object).await?, object: Some(object) });
    }
    let missing = missing(&served(wanted), &served(&live));
    if missing.is_empty() {
        return Ok(Definition {
            change: Change::keep(name, "another's, and as good"),
            object: None,
        });
    }
    let missing = missing.join(" and ");
    if stored(objects, &live).await? > 0 {
        let detail = format!(
            "another's, does not serve {missing}, and objects of it are stored; bring Karpenter to 1.1 or later first, which converts them"
        );
        return Ok(Definition { change: Change::conflict(name, detail), object: None });
    }
    if !replace {
        let detail =
            format!("another's, and does not serve {missing}; --replace-karpenter updates it");
        return Ok(Definition { change: Change::conflict(name, detail), object: None });
    }
    let change = Change::update(name, format!("{missing} is served besides"));
    Ok(Definition { change, object: Some(beside(wanted, &served(&live))) })
}

/// Whether the API server serves all that Joiner reads.
///
/// # Errors
/// If it does not tell.
pub(crate) async fn all_served(objects: &Objects) -> Result<bool, Problem> {
    for wanted in brought()? {
        let group = wanted["spec"]["group"].as_str().unwrap_or_default();
        let kind = wanted["spec"]["names"]["kind"].as_str().unwrap_or_default();
        for version in served(&wanted) {
            if !objects.serves(&format!("{group}/{version}"), kind).await? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn missing(wanted: &[String], there: &[String]) -> Vec<String> {
    wanted.iter().filter(|version| !there.contains(version)).cloned().collect()
}

/// The definition, that also goes on serving versions which somebody else still reads.
fn beside(wanted: &Value, there: &[String]) -> Value {
    let mut object = wanted.clone();
    for version in object["spec"]["versions"].as_array_mut().into_iter().flatten() {
        if version["name"].as_str().is_some_and(|name| there.iter().any(|other| other == name)) {
            version["served"] = json!(true);
        }
    }
    object
}

/// How many objects are stored of a definition.
async fn stored(objects: &Objects, live: &Value) -> Result<usize, Problem> {
    let group = live["spec"]["group"].as_str().unwrap_or_default();
    let kind = live["spec"]["names"]["kind"].as_str().unwrap_or_default();
    let Some(version) = served(live).into_iter().next() else { return Ok(0) };
    Ok(objects.list(&format!("{group}/{version}"), kind, "").await?.len())
}

/// Applies what is to be applied.
///
/// # Errors
/// The first that the API server refuses.
pub(crate) async fn apply(
    objects: &Objects,
    all: &[Definition],
    progress: &dyn Fn(&str),
) -> Result<(), Problem> {
    for definition in all.iter().filter(|one| one.change.verb != crate::change::Verb::Keep) {
        let Some(object) = &definition.object else { continue };
        progress(&definition.change.object);
        if object["spec"]["conversion"]["webhook"].is_null() {
            without_conversion(objects, &Named::of(object)).await?;
        }
        objects.apply(object, false).await?;
    }
    objects.forget_kinds();
    established(objects, progress).await
}

/// A webhook for conversion whose server goes would have the API server fail every read.
async fn without_conversion(objects: &Objects, of: &Named) -> Result<(), Problem> {
    match objects.get(of).await? {
        Some(live) if !live["spec"]["conversion"]["webhook"].is_null() => {
            let patch =
                json!({ "spec": { "conversion": { "strategy": "None", "webhook": null } } });
            objects.patch(of, "", &patch).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Waits until the API server serves them all.
async fn established(objects: &Objects, progress: &dyn Fn(&str)) -> Result<(), Problem> {
    use super::wait::{Looked, until};
    let look = || async {
        for definition in brought()? {
            let of = Named::of(&definition);
            let live = objects.get(&of).await?.unwrap_or_default();
            let all = live["status"]["conditions"].as_array().into_iter().flatten();
            let holds =
                |kind: &str| all.clone().any(|one| one["type"] == kind && one["status"] == "True");
            if !holds("Established") {
                return Ok(Looked::NotYet(format!("{of} is not served yet")));
            }
        }
        Ok(Looked::Ready)
    };
    let names = ("custom resources", "look at their conditions with `kubectl describe crd`");
    until(names, std::time::Duration::from_secs(60), progress, look).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_others_read_go_on_being_served() {
        let version = |name: &str, served: bool| json!({ "name": name, "served": served });
        let ours =
            json!({ "spec": { "versions": [version("v1", true), version("v1beta1", false)] } });
        assert_eq!(served(&ours), ["v1"]);
        let both = beside(&ours, &["v1beta1".to_owned()]);
        assert_eq!(served(&both), ["v1", "v1beta1"]);
        assert_eq!(missing(&served(&ours), &["v1beta1".to_owned()]), ["v1"]);
    }
}
