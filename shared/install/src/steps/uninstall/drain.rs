//! Joiner's nodes are drained and ended, while the functions still can: their claims are deleted, and turns do the rest.

use crate::change::Change;
use crate::cluster::objects::{Named, Objects};
use crate::cluster::own::is_own;
use crate::cluster::wait::{Looked, until};
use crate::problem::Problem;
use crate::site::Site;
use crate::steps::karpenter::POOLS;
use crate::steps::namespace::{drained, of_mode, settings};
use crate::steps::{Changes, Done, Progress, Work};
use model::labels::LAUNCH;
use model::mode::{MODE, Mode};
use serde_json::{Value, json};
use std::time::Duration;

/// Annotation of a pool whose limits are held at 0: what they were, as JSON.
const LIMITS_BEFORE: &str = "joiner.dev/limits-before";
const API: &str = "karpenter.sh/v1";
const KIND: &str = "NodeClaim";
/// Pods end within their grace, disruption budgets allow one after another.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// Joiner's nodes are drained and ended.
pub(in crate::steps) struct Drain;

/// The claims that Joiner made or took over.
async fn claims(objects: &Objects) -> Result<Vec<Value>, Problem> {
    let mut all = objects.list(API, KIND, "").await?;
    all.retain(|claim| claim["metadata"]["annotations"][LAUNCH].is_string());
    Ok(all)
}

/// Pools that the installer made, which are deleted first, so that nothing new is bought for pods that are drained; and those of
/// others, which stay.
async fn pools(objects: &Objects) -> Result<(Vec<Value>, Vec<Value>), Problem> {
    let mut all = Vec::new();
    for (api_version, kind) in POOLS {
        all.extend(objects.list(api_version, kind, "").await?);
    }
    Ok(all.into_iter().partition(is_own))
}

fn paused(data: &Value) -> bool {
    data["data"][MODE] != Mode::Act.as_str()
}

fn is_held(pool: &Value) -> bool {
    pool["metadata"]["annotations"][LIMITS_BEFORE].is_string()
}

/// Pools that stay must not buy places for pods that are drained: their limit is 0, and what it was is noted on them.
async fn hold(objects: &Objects, pools: &[Value]) -> Result<(), Problem> {
    for pool in pools.iter().filter(|pool| !is_held(pool)) {
        let none = json!({ "cpu": "0" });
        let legacy = pool["kind"] == "Provisioner";
        let limits = if legacy { json!({ "resources": none }) } else { none };
        let annotations = json!({ LIMITS_BEFORE: pool["spec"]["limits"].to_string() });
        let patch =
            json!({ "metadata": { "annotations": annotations }, "spec": { "limits": limits } });
        objects.patch(&Named::of(pool), "", &patch).await?;
    }
    Ok(())
}

async fn release(objects: &Objects, pools: &[Value]) -> Result<(), Problem> {
    for pool in pools.iter().filter(|pool| is_held(pool)) {
        let of = Named::of(pool);
        let before = pool["metadata"]["annotations"][LIMITS_BEFORE].as_str().unwrap_or_default();
        let before = serde_json::from_str::<Value>(before).unwrap_or_default();
        // A merge would leave what was added: the limits go as a whole, then come as they were.
        objects.patch(&of, "", &json!({ "spec": { "limits": null } })).await?;
        let annotations = json!({ LIMITS_BEFORE: null });
        let patch =
            json!({ "metadata": { "annotations": annotations }, "spec": { "limits": before } });
        objects.patch(&of, "", &patch).await?;
    }
    Ok(())
}

impl Work for Drain {
    fn name(&self) -> &'static str {
        "drain"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        let claims = claims(&objects).await?;
        let mut changes = Vec::new();
        let (own, others) = pools(&objects).await?;
        changes.extend(own.iter().map(|pool| Change::remove(Named::of(pool).to_string(), "")));
        let stays = "is not the installer's and stays; while nodes are drained its limit is 0";
        changes.extend(others.iter().map(|pool| {
            let name = Named::of(pool).to_string();
            if is_held(pool) {
                Change::update(name, "gets its limits back")
            } else {
                Change::keep(name, stays)
            }
        }));
        for claim in &claims {
            let node = claim["status"]["nodeName"].as_str().unwrap_or("no node yet");
            changes.push(Change::remove(
                Named::of(claim).to_string(),
                format!("{node} is drained and ended"),
            ));
        }
        let mode = objects.get(&settings()).await?;
        if !claims.is_empty() && mode.as_ref().is_some_and(paused) {
            changes
                .push(Change::update(settings().to_string(), "mode act: nodes are ended by turns"));
        }
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        let own = claims(&objects).await?;
        let (made, others) = pools(&objects).await?;
        for pool in made {
            progress(&format!("{} goes", Named::of(&pool)));
            objects.delete(&Named::of(&pool)).await?;
        }
        if own.is_empty() {
            return release(&objects, &others).await;
        }
        hold(&objects, &others).await?;
        if objects.get(&settings()).await?.as_ref().is_some_and(paused) {
            objects.patch(&settings(), "", &json!({ "data": of_mode(Mode::Act) })).await?;
        }
        for claim in &own {
            objects.delete(&Named::of(claim)).await?;
        }
        let look = || async {
            let left = claims(&objects).await?.len();
            Ok(if left == 0 {
                Looked::Ready
            } else {
                Looked::NotYet(format!("{left} nodes are left"))
            })
        };
        let names = (
            "Joiner's nodes",
            "see what holds them with `joiner explain node NAME`: disruption budgets, do-not-disrupt, volumes; then run the same command again",
        );
        until(names, PATIENCE, progress, look).await?;
        // The functions are still there, pods wait, and pools of others may buy again from here on.
        objects.patch(&settings(), "", &json!({ "data": drained() })).await?;
        release(&objects, &pools(&objects).await?.1).await
    }
}
