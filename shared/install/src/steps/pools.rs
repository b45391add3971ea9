//! Pools and classes: the base ones or those of a folder. What people have changed in the cluster since stays, unless it is to be
//! overwritten.

use super::{Changes, Done, Progress, Work};
use crate::change::{Change, Verb};
use crate::cluster::base::{self, Written};
use crate::cluster::merge::{Difference, Merged, as_stored, merge};
use crate::cluster::objects::{Named, Objects, plain};
use crate::cluster::own::{self, is_own};
use crate::options::Mode;
use crate::problem::Problem;
use crate::site::Site;
use model::labels::DISCOVERY;
use serde_json::{Value, json};

/// Annotation of what the installer applies: what that was, as the API server stored it.
const APPLIED: &str = "joiner.dev/applied";
/// The pool by whose presence one knows that an extra was asked for, and the extra's file.
const ARM_POOL: &str = "arm";
const GPU_POOL: &str = "gpu";

/// Pools and classes.
pub(super) struct Pools;

/// What is wanted, and what is not.
struct Wanted {
    objects: Vec<Written>,
    /// What was asked for once and is not any more.
    gone: Vec<Named>,
    findings: Vec<Change>,
}

/// One object, and what is to be done with it.
struct Doings {
    change: Vec<Change>,
    object: Option<Value>,
}

async fn wanted(site: &Site, objects: &Objects) -> Result<Wanted, Problem> {
    let vpc = &site.vpc.name;
    let mut files = match &site.options.config {
        Some(folder) => base::folder(folder)?,
        None => base::brought(&base::POOLS),
    };
    let mut gone = Vec::new();
    let extras =
        [(ARM_POOL, site.options.arm, &base::ARM), (GPU_POOL, site.options.gpu, &base::GPU)];
    for (pool, asked, brought) in extras {
        let pool = Named::new("karpenter.sh/v1alpha5", "Provisioner", None, pool);
        // What was asked for once stays until it is asked to go.
        let there = objects.get(&pool).await?.is_some_and(|live| is_own(&live));
        if asked.unwrap_or(there) {
            files.extend(base::brought(brought));
        } else if there {
            let all = base::of_vpc(&base::brought(brought), vpc)?;
            // Pools first: their nodes go while what serves them is still there.
            gone.extend(all.iter().rev().map(|written| Named::of(&written.object)));
        }
    }
    let all = base::of_vpc(&files, vpc)?;
    let mut findings = Vec::new();
    for written in &all {
        findings.extend(check(written, vpc)?);
    }
    Ok(Wanted { objects: all, gone, findings })
}

/// Refuses what cannot be used, and tells selectors of another VPC.
fn check(written: &Written, vpc: &str) -> Result<Vec<Change>, Problem> {
    let named =
        written.object["metadata"]["name"].is_string() && written.object["kind"].is_string();
    if !named {
        return Err(Problem::input(&written.place, "has no kind or no metadata.name"));
    }
    let findings = api::read(&written.object).map(|reading| reading.findings).unwrap_or_default();
    if let Some(error) = findings.iter().find(|finding| finding.severity == api::Severity::Error) {
        return Err(Problem::input(format!("{}: {}", written.place, error.path), &error.message));
    }
    let mut foreign = Vec::new();
    discovery(&written.object["spec"], &mut foreign);
    foreign.retain(|value| value != vpc && !value.starts_with(&format!("{vpc}-")));
    let object = Named::of(&written.object).to_string();
    let told = |value: &String| {
        let detail = format!(
            "{}: it selects {DISCOVERY}={value}, which is not the VPC's name {vpc}: subnets and groups of another VPC, or none, would be found",
            written.place
        );
        Change::keep(object.clone(), detail)
    };
    Ok(foreign.iter().map(told).collect())
}

/// The values of the discovery tag in selectors, wherever they stand.
fn discovery(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                // Tags are put on instances, and select nothing; those of a selector's term do.
                match inner.as_str() {
                    Some(text) if name == DISCOVERY => found.push(text.to_owned()),
                    _ if name == "tags" && fields.contains_key("subnetSelector") => {}
                    _ if name == "tags" && fields.contains_key("subnetSelectorTerms") => {}
                    _ => discovery(inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| discovery(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is to be done with one object.
async fn decide(site: &Site, objects: &Objects, written: &Written) -> Result<Doings, Problem> {
    let wanted = own::marked(written.object.clone());
    let of = Named::of(&wanted);
    let name = of.to_string();
    if !objects.serves(&of.api_version, &of.kind).await? {
        let change = vec![Change::create(name, "once the step webhook has brought its kind")];
        return Ok(Doings { change, object: Some(wanted) });
    }
    let Some(live) = objects.get(&of).await? else {
        return Ok(Doings { change: vec![Change::create(name, "")], object: Some(wanted) });
    };
    let base = applied(&live);
    if base.is_none() && !is_own(&live) && !site.options.overwrite {
        // What it lacks it may lack on purpose: an expiry that is added would replace nodes.
        let detail = "another's, stays as it is; --overwrite makes it the configuration's";
        return Ok(Doings { change: vec![Change::keep(name, detail)], object: None });
    }
    // As the API server and the webhook would store it, so that their defaults are nobody's change.
    let stored = as_stored(&wanted, &objects.apply(&without_applied(&wanted), true).await?);
    let merged = merge(base.as_ref(), &without_applied(&live), &stored, site.options.overwrite);
    Ok(told(&name, merged, &live, base.as_ref() != Some(&essence(&stored))))
}

fn told(name: &str, merged: Merged, live: &Value, base_differs: bool) -> Doings {
    let (mut changed, mut kept) = (Vec::new(), Vec::new());
    for difference in merged.differences {
        match difference {
            Difference::Set(text) => changed.push(text),
            Difference::Drop(text) => changed.push(format!("{text}: removed")),
            Difference::Kept(text) => kept.push(text),
        }
    }
    let mut change = Vec::new();
    if !changed.is_empty() {
        change.push(Change::update(name, changed.join("; ")));
    }
    if !kept.is_empty() {
        let detail = format!(
            "changed in the cluster, stays (--overwrite takes it back): {}",
            kept.join("; ")
        );
        change.push(Change::keep(name, detail));
    }
    if change.is_empty() {
        change.push(Change::keep(name, ""));
    }
    let write = !changed.is_empty() || base_differs && is_own(live);
    Doings { change, object: write.then_some(merged.object) }
}

/// The part of an object that is compared: without what only the installer writes.
fn essence(object: &Value) -> Value {
    let mut object = plain(object);
    if let Some(fields) = object["metadata"].as_object_mut() {
        fields.retain(|name, _| name == "labels" || name == "annotations" || name == "name");
    }
    without_applied(&object)
}

fn without_applied(object: &Value) -> Value {
    let mut object = object.clone();
    let empty = match object["metadata"]["annotations"].as_object_mut() {
        Some(annotations) => {
            annotations.remove(APPLIED);
            annotations.is_empty()
        }
        None => true,
    };
    if empty && let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("annotations");
    }
    object
}

/// What was applied last, if the installer did.
fn applied(live: &Value) -> Option<Value> {
    serde_json::from_str(live["metadata"]["annotations"][APPLIED].as_str()?).ok()
}

/// Applies an object, and notes on it what the configuration says, as the API server stores it.
async fn apply(objects: &Objects, object: &Value, configured: &Value) -> Result<(), Problem> {
    let configured = own::marked(configured.clone());
    let dry = objects.apply(&without_applied(&configured), true).await?;
    let base = essence(&as_stored(&configured, &dry));
    let mut object = object.clone();
    object["metadata"]["annotations"][APPLIED] = json!(base.to_string());
    objects.apply(&object, false).await.map(drop)
}

/// Beside a Karpenter that works, or after it, its pools are those of the cluster, and no others are made unless a folder says so.
async fn beside_karpenter(site: &Site) -> Result<Option<Change>, Problem> {
    let options = &site.options;
    let asked = options.replace_karpenter || options.mode == Mode::Observe;
    if !asked || options.config.is_some() {
        return Ok(None);
    }
    let told = |detail| Ok(Some(Change::keep("pools and classes", detail)));
    match options.mode {
        Mode::Observe if super::karpenter::is_there(site).await? => {
            told("Karpenter's are read; none are made beside them")
        }
        Mode::Act if super::karpenter::has_pools(site).await? => {
            told("Karpenter's are taken over as they are; none are made beside them")
        }
        Mode::Act | Mode::Observe => Ok(None),
    }
}

fn written_as(written: &Written) -> String {
    format!("{} ({})", Named::of(&written.object), written.place)
}

impl Work for Pools {
    fn name(&self) -> &'static str {
        "pools"
    }

    async fn look(&self, site: &Site) -> Changes {
        if let Some(change) = beside_karpenter(site).await? {
            return Ok(vec![change]);
        }
        let objects = Objects::new(&site.kube);
        let wanted = wanted(site, &objects).await?;
        let mut changes = wanted.findings;
        for written in &wanted.objects {
            changes.extend(decide(site, &objects, written).await?.change);
        }
        for of in wanted.gone {
            if objects.get(&of).await?.is_some_and(|live| is_own(&live)) {
                changes.push(Change::remove(of.to_string(), "not asked for any more"));
            }
        }
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        if beside_karpenter(site).await?.is_some() {
            return Ok(());
        }
        let objects = Objects::new(&site.kube);
        let wanted = wanted(site, &objects).await?;
        for written in &wanted.objects {
            let doings = decide(site, &objects, written).await?;
            let Some(object) = doings.object else { continue };
            if doings.change.iter().any(|change| change.verb != Verb::Keep) {
                progress(&written_as(written));
            }
            apply(&objects, &object, &written.object).await?;
        }
        for of in &wanted.gone {
            if objects.get(of).await?.is_some_and(|live| is_own(&live)) {
                progress(&format!("{of} goes"));
                objects.delete(of).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(object: Value) -> Written {
        Written { place: "a.yaml:1".to_owned(), object }
    }

    #[test]
    fn rows_29_and_30_a_selector_of_another_vpc_is_told() {
        let told = |spec: Value| {
            let object = json!({
                "apiVersion": "x/v1", "kind": "Other", "metadata": { "name": "a" }, "spec": spec,
            });
            check(&written(object), "qa").unwrap().len()
        };
        let selector = |value: &str| json!({ "subnetSelector": { DISCOVERY: value } });
        assert_eq!(told(selector("qa")), 0);
        assert_eq!(told(selector("qa-jupyter")), 0);
        assert_eq!(told(selector("prod")), 1);
        assert_eq!(told(selector("true")), 1);
        assert_eq!(told(selector("qaa")), 1);
        let term = json!({ "subnetSelectorTerms": [{ "tags": { DISCOVERY: "prod" } }], "tags": { DISCOVERY: "x" } });
        assert_eq!(told(term), 1, "the term counts, tags of instances do not");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place() {
        let bad = json!({
            "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner", "metadata": { "name": "a" },
            "spec": { "providerRef": { "name": "a" }, "consolidation": { "enabled": true }, "ttlSecondsAfterEmpty": 30 },
        });
        let error = check(&written(bad), "qa").unwrap_err().to_string();
        assert!(error.starts_with("a.yaml:1: spec"), "{error}");
        assert!(check(&written(json!({ "kind": "A" })), "qa").is_err());
    }

    #[test]
    fn every_base_pool_is_one_that_can_be_used() {
        let files = [base::POOLS.as_slice(), &base::ARM, &base::GPU].concat();
        for each in base::of_vpc(&base::brought(&files), "qa").unwrap() {
            assert_eq!(check(&each, "qa").unwrap(), [], "{}", each.place);
        }
    }
}
