//! Joiner's nodes are drained and ended, while the functions still can: their claims are deleted, and turns do the rest.

use crate::change::Change;
use crate::cluster::objects::{Named, Objects};
use crate::cluster::wait::{Looked, until};
use crate::problem::Problem;
use crate::site::Site;
use crate::steps::namespace::{of_mode, settings};
use crate::steps::{Doing, Progress, Step};
use model::labels::LAUNCH;
use model::mode::{MODE, Mode};
use serde_json::{Value, json};
use std::time::Duration;

const API: &str = "karpenter.sh/v1";
const KIND: &str = "NodeClaim";
/// Pods end within their grace, disruption budgets allow one after another.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// The pools, which are deleted first: nothing new is bought for pods that are drained.
const POOLS: [(&str, &str); 2] = [("karpenter.sh/v1alpha5", "Provisioner"), (API, "NodePool")];

/// Joiner's nodes are drained and ended.
pub(in crate::steps) struct Drain;

/// The claims that Joiner made or took over.
async fn claims(objects: &Objects) -> Result<Vec<Value>, Problem> {
    let mut all = objects.list(API, KIND, "").await?;
    all.retain(|claim| claim["metadata"]["annotations"][LAUNCH].is_string());
    Ok(all)
}

/// Pools of the installation; those of a person stay, and are told.
async fn pools(objects: &Objects) -> Result<Vec<Value>, Problem> {
    let mut all = Vec::new();
    for (api_version, kind) in POOLS {
        all.extend(objects.list(api_version, kind, "").await?);
    }
    Ok(all)
}

fn paused(data: &Value) -> bool {
    data["data"][MODE] != Mode::Act.as_str()
}

async fn look(site: &Site) -> Result<Vec<Change>, Problem> {
    let objects = Objects::new(&site.kube);
    let claims = claims(&objects).await?;
    let mut changes = Vec::new();
    for pool in pools(&objects).await? {
        changes.push(Change::remove(Named::of(&pool).to_string(), ""));
    }
    for claim in &claims {
        let node = claim["status"]["nodeName"].as_str().unwrap_or("no node yet");
        changes.push(Change::remove(
            Named::of(claim).to_string(),
            format!("{node} is drained and ended"),
        ));
    }
    let mode = objects.get(&settings()).await?;
    if !claims.is_empty() && mode.as_ref().is_some_and(paused) {
        changes.push(Change::update(settings().to_string(), "mode act: nodes are ended by turns"));
    }
    Ok(changes)
}

async fn carry_out(site: &Site, progress: Progress<'_>) -> Result<(), Problem> {
    let objects = Objects::new(&site.kube);
    let own = claims(&objects).await?;
    for pool in pools(&objects).await? {
        progress(&format!("{} goes", Named::of(&pool)));
        objects.delete(&Named::of(&pool)).await?;
    }
    if own.is_empty() {
        return Ok(());
    }
    if objects.get(&settings()).await?.as_ref().is_some_and(paused) {
        objects.patch(&settings(), "", &json!({ "data": of_mode(Mode::Act) })).await?;
    }
    for claim in &own {
        objects.delete(&Named::of(claim)).await?;
    }
    let look = || async {
        let left = claims(&objects).await?.len();
        Ok(if left == 0 { Looked::Ready } else { Looked::NotYet(format!("{left} nodes are left")) })
    };
    let names = (
        "Joiner's nodes",
        "see what holds them with `joiner explain node NAME`: disruption budgets, do-not-disrupt, volumes; then run the same command again",
    );
    until(names, PATIENCE, progress, look).await
}

impl Step for Drain {
    fn name(&self) -> &'static str {
        "drain"
    }

    fn look<'a>(&'a self, site: &'a Site) -> Doing<'a, Vec<Change>> {
        Box::pin(look(site))
    }

    fn carry_out<'a>(
        &'a self,
        site: &'a Site,
        _changes: &'a [Change],
        progress: Progress<'a>,
    ) -> Doing<'a, ()> {
        Box::pin(carry_out(site, progress))
    }
}
