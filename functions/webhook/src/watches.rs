//! Watches of the cluster: each keeps one kind up to date on the board, for as long as the process lives.
//!
//! A watch that breaks or is too old (410) lists again, after a pause that grows to half a minute with a random part.
//! A kind whose definition is not installed is looked for again in the same way, in each version that it may be served in.

use crate::board::{Change, Delta, Spec, Uid};
use crate::clock::Clock;
use crate::kinds::{ClaimWire, NodeWire, PodWire, Slim, Wire};
use crate::metrics::{Metrics, Watched};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, pin_mut};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta, Status};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use model::account::redacted;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Objects in a page: with pods of 5 KB a page takes 1 MB while it is read.
const PAGE: u32 = 200;
/// The first pause after a failure, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Pods without a node: only those can be provisionable, and the API server sends no others.
const UNBOUND: &str = "spec.nodeName=";

const KARPENTER: &str = "karpenter.sh";
const PROVIDER: &str = "karpenter.k8s.aws";

/// A custom kind and the versions that it may be served in, newest first.
struct Custom {
    watched: Watched,
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
}

const CLAIMS: Custom = custom(Watched::NodeClaims, KARPENTER, &["v1", "v1beta1"], "NodeClaim");
static SPECS: [Custom; 4] = [
    custom(Watched::NodePools, KARPENTER, &["v1", "v1beta1"], "NodePool"),
    custom(Watched::Provisioners, KARPENTER, &["v1alpha5"], "Provisioner"),
    custom(Watched::Ec2NodeClasses, PROVIDER, &["v1", "v1beta1"], "EC2NodeClass"),
    custom(Watched::AwsNodeTemplates, PROVIDER, &["v1alpha1"], "AWSNodeTemplate"),
];

const fn custom(
    watched: Watched,
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
) -> Custom {
    Custom { watched, group, versions, kind }
}

impl Custom {
    fn resource(&self, version: &str) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: version.to_owned(),
            api_version: format!("{}/{version}", self.group),
            kind: self.kind.to_owned(),
            plural: self.watched.name().to_owned(),
        }
    }
}

/// What all watches share.
#[derive(Clone)]
pub(crate) struct Watches {
    /// The cluster.
    pub(crate) client: Client,
    /// Where changes go.
    pub(crate) changes: mpsc::Sender<Change>,
    /// Where is told how they fare.
    pub(crate) metrics: Arc<Metrics>,
    /// The clock.
    pub(crate) clock: Clock,
}

/// Why a watch ended.
enum End {
    /// Nobody listens any more.
    Closed,
    /// The kind is not installed in this version.
    Missing,
}

impl Watches {
    /// Watches everything; ends when nobody listens any more.
    pub(crate) async fn run(self) {
        let specs = SPECS.iter().map(|custom| self.specs(custom).boxed());
        let specs = futures::future::join_all(specs);
        tokio::join!(self.pods(), self.nodes(), self.claims(), specs);
    }

    async fn pods(&self) {
        let config = config().fields(UNBOUND);
        let stream = watcher::watcher(Api::<Slim<PodWire>>::all(self.client.clone()), config);
        self.follow(Watched::Pods, stream, slim, Change::Pods).await;
    }

    async fn nodes(&self) {
        let stream = watcher::watcher(Api::<Slim<NodeWire>>::all(self.client.clone()), config());
        self.follow(Watched::Nodes, stream, slim, Change::Nodes).await;
    }

    async fn claims(&self) {
        let watch = |resource| -> BoxFuture<'_, End> {
            let api = Api::<Slim<ClaimWire>>::all_with(self.client.clone(), &resource);
            let stream = watcher::watcher(api, config());
            self.follow(CLAIMS.watched, stream, slim, Change::Claims).boxed()
        };
        self.each_version(&CLAIMS, watch).await;
    }

    async fn specs(&self, custom: &'static Custom) {
        let watch = |resource| -> BoxFuture<'_, End> {
            let api =
                Api::<PartialObjectMeta<DynamicObject>>::all_with(self.client.clone(), &resource);
            let stream = watcher::watcher(api, config());
            let change = |delta| Change::Specs(custom.kind, delta);
            self.follow(custom.watched, stream, spec, change).boxed()
        };
        self.each_version(custom, watch).await;
    }

    /// Watches the kind in the first version that is served, and looks again when none is.
    async fn each_version<'a>(
        &'a self,
        custom: &Custom,
        watch: impl Fn(ApiResource) -> BoxFuture<'a, End>,
    ) {
        let mut pause = PAUSE;
        for version in custom.versions.iter().cycle() {
            match watch(custom.resource(version)).await {
                End::Closed => return,
                End::Missing => self.metrics.absent(custom.watched),
            }
            if Some(version) == custom.versions.last() {
                self.rest(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            if self.changes.is_closed() {
                return;
            }
        }
    }

    /// Passes on what a stream of watch events says.
    async fn follow<K, T>(
        &self,
        watched: Watched,
        stream: impl Stream<Item = watcher::Result<Event<K>>>,
        keep: impl Fn(K) -> (Uid, Option<T>),
        change: impl Fn(Delta<T>) -> Change,
    ) -> End {
        pin_mut!(stream);
        let mut listed = BTreeMap::new();
        let mut pause = PAUSE;
        while let Some(event) = stream.next().await {
            let delta = match event {
                Ok(event) => {
                    pause = PAUSE;
                    self.metrics.heard(watched);
                    fold(&mut listed, event, &keep)
                }
                Err(error) if is_missing(&error) => return End::Missing,
                Err(error) => {
                    self.metrics.restarted(watched);
                    tracing::warn!(kind = watched.name(), error = %cause(&error), "a watch broke; it begins again");
                    self.rest(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    None
                }
            };
            if matches!(delta, Some(Delta::Replace(_))) {
                self.metrics.synced(watched);
            }
            if let Some(delta) = delta
                && self.changes.send(change(delta)).await.is_err()
            {
                return End::Closed;
            }
        }
        End::Closed
    }

    async fn rest(&self, pause: Duration) {
        let pause = pause.mul_f64(0.5 + 0.5 * fastrand::f64());
        self.clock.until(self.clock.now() + pause).await;
    }
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// The change that an event says, if it says one yet: a list is one change, when it is whole.
fn fold<K, T>(
    listed: &mut BTreeMap<Uid, T>,
    event: Event<K>,
    keep: impl Fn(K) -> (Uid, Option<T>),
) -> Option<Delta<T>> {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            if let (uid, Some(kept)) = keep(object) {
                listed.insert(uid, kept);
            }
        }
        Event::InitDone => return Some(Delta::Replace(std::mem::take(listed))),
        Event::Apply(object) => {
            return Some(match keep(object) {
                (uid, Some(kept)) => Delta::Apply(uid, kept),
                (uid, None) => Delta::Delete(uid),
            });
        }
        Event::Delete(object) => return Some(Delta::Delete(keep(object).0)),
    }
    None
}

fn uid(object: &impl Resource) -> Uid {
    object.meta().uid.as_deref().unwrap_or_default().into()
}

fn slim<W: Wire>(object: Slim<W>) -> (Uid, Option<W::Kept>) {
    (uid(&object), object.kept)
}

fn spec(object: PartialObjectMeta<DynamicObject>) -> (Uid, Option<Spec>) {
    (uid(&object), Some((object.name_any().into(), object.metadata.generation.unwrap_or(0))))
}

fn is_missing(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| status.code == 404)
}

/// What the API server said, if the error is its answer to a call.
fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

/// The error in short, with the permission that is missing if one is.
fn cause(error: &watcher::Error) -> String {
    redacted(&match status(error) {
        Some(status) if status.code == 403 => {
            format!(
                "{}; grant it in the ClusterRole joiner-webhook (verbs list and watch)",
                status.message
            )
        }
        Some(status) => format!("{} ({})", status.message, status.code),
        None => error.to_string(),
    })
}

#[cfg(test)]
#[path = "watches/tests.rs"]
mod tests;
