//! A Karpenter that is there: refused, or taken over with its pools, classes and running nodes, none of which is replaced.

use super::namespace::settings;
use super::{Changes, Done, Progress, Work};
use crate::change::Change;
use crate::cluster::adopt::{self, Adoption};
use crate::cluster::backup::Backup;
use crate::cluster::crds;
use crate::cluster::objects::{Named, Objects};
use crate::cluster::own::is_own;
use crate::cluster::wait::{Looked, until};
use crate::options::Mode;
use crate::problem::Problem;
use crate::site::Site;
use serde_json::{Value, json};
use std::time::Duration;

/// The Secret that holds what was taken away.
pub(super) const BACKUP: &str = "joiner-backup-karpenter";
/// Its pods end within their grace.
const PATIENCE: Duration = Duration::from_secs(180);

/// The kinds of pools.
pub(super) const POOLS: [(&str, &str); 2] =
    [("karpenter.sh/v1alpha5", "Provisioner"), ("karpenter.sh/v1", "NodePool")];
/// Settings of Karpenter's that Joiner knows by the same names.
const SETTINGS: [&str; 4] = [
    "aws.defaultInstanceProfile",
    "aws.isolatedVPC",
    "aws.reservedENIs",
    "aws.vmMemoryOverheadPercent",
];

/// Before anything is changed, whether there is one; and once Joiner is proved, the takeover.
pub(super) struct Karpenter {
    /// Whether this is the takeover.
    pub(super) takes_over: bool,
}

/// Whether a Karpenter works in the cluster.
pub(super) async fn is_there(site: &Site) -> Result<bool, Problem> {
    let objects = Objects::new(&site.kube);
    Ok(deployments(&objects).await?.iter().any(|each| each["spec"]["replicas"] != 0))
}

/// Whether there are pools that the installer did not make.
pub(super) async fn has_pools(site: &Site) -> Result<bool, Problem> {
    let objects = Objects::new(&site.kube);
    for (api_version, kind) in POOLS {
        if objects.list(api_version, kind, "").await?.iter().any(|pool| !is_own(pool)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Karpenter's Deployments, whatever they are called.
async fn deployments(objects: &Objects) -> Result<Vec<Value>, Problem> {
    let all = objects.list("apps/v1", "Deployment", "").await?;
    Ok(all.into_iter().filter(is_karpenter).collect())
}

fn is_karpenter(deployment: &Value) -> bool {
    if deployment["metadata"]["namespace"] == model::mode::NAMESPACE {
        return false;
    }
    let labels = &deployment["metadata"]["labels"];
    let labelled =
        ["app.kubernetes.io/name", "app"].iter().any(|label| labels[*label] == "karpenter");
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
    let runs = containers.into_iter().flatten().any(|one| {
        let image = one["image"].as_str().unwrap_or_default();
        image.contains("karpenter/controller") || image.contains("/karpenter:")
    });
    labelled || runs
}

/// The webhooks of Karpenter's own that stand before its kinds: without their server the API server would refuse every pool.
async fn webhooks(objects: &Objects) -> Result<Vec<Value>, Problem> {
    let mut all = Vec::new();
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let found = objects.list("admissionregistration.k8s.io/v1", kind, "").await?;
        all.extend(found.into_iter().filter(|one| {
            let name = one["metadata"]["name"].as_str().unwrap_or_default();
            name.contains(".karpenter.")
        }));
    }
    Ok(all)
}

async fn look_whether_it_is_there(site: &Site) -> Result<Vec<Change>, Problem> {
    let objects = Objects::new(&site.kube);
    let running = deployments(&objects).await?;
    let running = running.iter().filter(|each| each["spec"]["replicas"] != 0);
    let told = |each: &Value| {
        let name = Named::of(each).to_string();
        match (site.options.mode, site.options.replace_karpenter) {
            (Mode::Observe, _) => Change::keep(name, "Karpenter works on; Joiner only observes"),
            (Mode::Act, true) => {
                Change::keep(name, "Karpenter; it is taken over once Joiner is proved")
            }
            (Mode::Act, false) => Change::conflict(
                name,
                "Karpenter scales this cluster; --replace-karpenter takes over its pools and nodes, --mode observe only looks",
            ),
        }
    };
    Ok(running.map(told).collect())
}

/// What a takeover has to do.
struct Takeover {
    deployments: Vec<Value>,
    webhooks: Vec<Value>,
    adoption: Adoption,
}

async fn takeover(site: &Site, objects: &Objects) -> Result<Option<Takeover>, Problem> {
    if site.options.mode == Mode::Observe {
        return Ok(None);
    }
    let deployments = deployments(objects).await?;
    let begun = !Backup::new(objects, BACKUP).read().await?.is_empty();
    if !site.options.replace_karpenter || deployments.is_empty() && !begun {
        return Ok(None);
    }
    let webhooks = webhooks(objects).await?;
    let adoption = adopt::look(objects).await?;
    Ok(Some(Takeover { deployments, webhooks, adoption }))
}

async fn look(site: &Site) -> Result<Vec<Change>, Problem> {
    let objects = Objects::new(&site.kube);
    let Some(takeover) = takeover(site, &objects).await? else { return Ok(Vec::new()) };
    let mut changes = Vec::new();
    for each in &takeover.deployments {
        let name = Named::of(each).to_string();
        changes.push(match each["spec"]["replicas"] == 0 {
            true => Change::keep(name, "scaled to zero"),
            false => Change::update(name, "scaled to zero; kept restorable"),
        });
    }
    let goes = |each: &Value| Change::remove(Named::of(each).to_string(), "kept restorable");
    changes.extend(takeover.webhooks.iter().map(goes));
    changes.extend(takeover.adoption.changes());
    Ok(changes)
}

async fn carry_out(site: &Site, progress: Progress<'_>) -> Result<(), Problem> {
    let objects = Objects::new(&site.kube);
    let Some(takeover) = takeover(site, &objects).await? else { return Ok(()) };
    super::webhook::ready(&objects, Duration::ZERO, progress).await?;
    let mut kept = takeover.deployments.clone();
    kept.retain(|each| each["spec"]["replicas"] != 0);
    kept.extend(takeover.webhooks.iter().cloned());
    Backup::new(&objects, BACKUP).add(&kept).await?;
    for each in &takeover.deployments {
        let of = Named::of(each);
        progress(&format!("{of} is scaled to zero"));
        objects.patch(&of, "", &json!({ "spec": { "replicas": 0 } })).await?;
    }
    for each in &takeover.deployments {
        gone(&objects, each, progress).await?;
    }
    for each in &takeover.webhooks {
        objects.delete(&Named::of(each)).await?;
    }
    take_settings(&objects, &takeover.deployments).await?;
    // Nobody else reads the older versions any more.
    let definitions = crds::look(&objects, true).await?;
    crds::apply(&objects, &definitions, progress).await?;
    // Nothing writes on claims meanwhile: Karpenter is gone, and Joiner only observes until the last step.
    adopt::carry_out(&objects, &adopt::look(&objects).await?, progress).await
}

/// Settings that change what nodes are made of go on as they were, unless Joiner has its own.
async fn take_settings(objects: &Objects, deployments: &[Value]) -> Result<(), Problem> {
    let own = objects.get(&settings()).await?.unwrap_or_default();
    let mut taken = serde_json::Map::new();
    for each in deployments {
        let space = each["metadata"]["namespace"].as_str();
        let theirs = Named::new("v1", "ConfigMap", space, "karpenter-global-settings");
        let theirs = objects.get(&theirs).await?.unwrap_or_default();
        let known = SETTINGS.iter().filter(|name| own["data"][**name].is_null());
        let known = known.filter_map(|name| Some((*name, theirs["data"][*name].as_str()?)));
        let told = known.filter(|(_, value)| !value.is_empty());
        taken.extend(told.map(|(name, value)| (name.to_owned(), json!(value))));
    }
    if taken.is_empty() {
        return Ok(());
    }
    objects.patch(&settings(), "", &json!({ "data": taken })).await.map(drop)
}

/// Waits until no pod of the Deployment is left.
pub(super) async fn gone(
    objects: &Objects,
    deployment: &Value,
    progress: Progress<'_>,
) -> Result<(), Problem> {
    let of = Named::of(deployment);
    let labels = deployment["spec"]["selector"]["matchLabels"].as_object();
    let pairs = labels.into_iter().flatten();
    let pairs = pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let selector = pairs.collect::<Vec<_>>().join(",");
    let look = || async {
        let pods = objects.list("v1", "Pod", &selector).await?;
        let own = pods
            .iter()
            .filter(|pod| pod["metadata"]["namespace"].as_str() == of.namespace.as_deref());
        let left = own.count();
        Ok(match left {
            0 => Looked::Ready,
            left => Looked::NotYet(format!("{left} of its pods are still there")),
        })
    };
    let name = of.to_string();
    let names = (name.as_str(), "see what keeps its pods, then run the same command again");
    until(names, PATIENCE, progress, look).await
}

impl Work for Karpenter {
    fn name(&self) -> &'static str {
        if self.takes_over { "takeover" } else { "karpenter" }
    }

    async fn look(&self, site: &Site) -> Changes {
        if self.takes_over { look(site).await } else { look_whether_it_is_there(site).await }
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        if self.takes_over { carry_out(site, progress).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn karpenter_is_known_by_its_labels_or_its_image() {
        let check = |labels: Value, image: &str, namespace: &str, expected: bool| {
            let deployment = json!({
                "metadata": { "name": "x", "namespace": namespace, "labels": labels },
                "spec": { "template": { "spec": { "containers": [{ "image": image }] } } },
            });
            assert_eq!(is_karpenter(&deployment), expected, "{deployment}");
        };
        let name = "app.kubernetes.io/name";
        check(json!({ name: "karpenter" }), "x", "karpenter", true);
        check(
            json!({}),
            "public.ecr.aws/karpenter/controller:v0.32.9@sha256:0",
            "kube-system",
            true,
        );
        check(json!({}), "mirror.example/karpenter:1.0", "tools", true);
        check(json!({ name: "joiner-webhook" }), "joiner", "joiner", false);
        check(json!({ name: "shop" }), "example.com/not-karpenter-at-all", "shop", false);
    }
}
