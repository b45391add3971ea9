//! The webhook, the functions' rights and the custom resources go; what is not the installer's stays and is told.

use crate::change::{Change, Verb};
use crate::cluster::objects::{Named, Objects};
use crate::cluster::wait::{Looked, until};
use crate::cluster::{base, crds, own};
use crate::problem::Problem;
use crate::site::Site;
use crate::steps::{Changes, Done, Progress, Work};
use model::mode::NAMESPACE;
use serde_json::Value;
use std::time::Duration;

/// A namespace and definitions are gone within seconds, if nothing of theirs has a finalizer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The webhook and the custom resources go.
pub(in crate::steps) struct Webhook;

/// All that the step webhook applies, and the extras of the pools, last ones first: admission goes before its server.
fn applied() -> Result<Vec<Value>, Problem> {
    let mut all = Vec::new();
    let extras = [base::ARM[0], base::GPU[0]];
    for (file, text) in [base::FUNCTIONS, base::WEBHOOK].into_iter().chain(extras) {
        all.extend(base::documents(file, text)?.into_iter().map(|written| written.object));
    }
    all.retain(|object| object["kind"] != "Namespace");
    all.sort_by_key(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        !kind.ends_with("WebhookConfiguration")
    });
    Ok(all)
}

/// What goes of an object that is there.
async fn goes(objects: &Objects, of: &Named) -> Result<Option<Change>, Problem> {
    Ok(objects.get(of).await?.map(|live| match own::is_own(&live) {
        true => Change::remove(of.to_string(), ""),
        false => Change::keep(of.to_string(), "it is not the installer's and stays"),
    }))
}

fn namespace() -> Named {
    Named::new("v1", "Namespace", None, NAMESPACE)
}

/// Objects of pools and classes that are there still: they go with their definitions, or stay with those of another.
async fn left(objects: &Objects) -> Result<Vec<Change>, Problem> {
    let mut changes = Vec::new();
    for definition in crds::brought()? {
        let Some(live) = objects.get(&Named::of(&definition)).await? else { continue };
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default();
        let group = definition["spec"]["group"].as_str().unwrap_or_default();
        let version = definition["spec"]["versions"][0]["name"].as_str().unwrap_or_default();
        for object in objects.list(&format!("{group}/{version}"), kind, "").await? {
            let name = Named::of(&object).to_string();
            changes.push(match own::is_own(&live) {
                true => Change::remove(name, "with its definition"),
                false => Change::keep(name, "left"),
            });
        }
    }
    Ok(changes)
}

async fn remove(objects: &Objects, of: &Named, progress: Progress<'_>) -> Result<(), Problem> {
    if goes(objects, of).await?.is_some_and(|change| change.verb == Verb::Remove) {
        progress(&of.to_string());
        objects.delete(of).await?;
    }
    Ok(())
}

impl Work for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        let mut changes = Vec::new();
        for object in applied()?.iter().chain(&crds::brought()?) {
            changes.extend(goes(&objects, &Named::of(object)).await?);
        }
        changes.extend(goes(&objects, &namespace()).await?);
        changes.extend(left(&objects).await?);
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        for object in applied()? {
            remove(&objects, &Named::of(&object), progress).await?;
        }
        for definition in crds::brought()? {
            remove(&objects, &Named::of(&definition), progress).await?;
        }
        objects.forget_kinds();
        remove(&objects, &namespace(), progress).await?;
        // The API server says yes at once, and takes them away when nothing of theirs is left.
        let mut going = crds::brought()?.iter().map(Named::of).collect::<Vec<_>>();
        going.push(namespace());
        let look = || async {
            for of in &going {
                if objects.get(of).await?.is_some_and(|live| own::is_own(&live)) {
                    return Ok(Looked::NotYet(format!("{of} is being deleted")));
                }
            }
            Ok(Looked::Ready)
        };
        let names = (
            "namespace and custom resources",
            "see what holds it (its status, finalizers of its objects), then run the same command again",
        );
        until(names, PATIENCE, progress, look).await
    }
}
