//! The steps, each in a file of its own, and their order.

mod access;
mod canary;
mod cluster_autoscaler;
mod delivery;
mod identity;
mod karpenter;
mod mode;
mod namespace;
mod pools;
mod preflight;
mod probe;
mod rotate;
mod stack;
mod tags;
mod uninstall;
mod verify;
mod webhook;

use crate::change::Change;
use crate::problem::Problem;
use crate::site::Site;
use futures::future::LocalBoxFuture;

/// What a step returns in time.
pub type Doing<'a, T> = LocalBoxFuture<'a, Result<T, Problem>>;

/// Takes what a step tells while it is carried out: a line without an end.
pub type Progress<'a> = &'a dyn Fn(&str);

/// One step: from looking at what is there to what it should be.
///
/// All that a step needs to know it finds in the account and the cluster, never in what an earlier step remembered: so a step may be
/// the first to run after a kill, and running it again changes nothing.
pub trait Step {
    /// Its name, in one word.
    fn name(&self) -> &'static str;

    /// Reads what is there and says what would change; changes nothing. A step that builds on one that was not carried out yet says so in
    /// the change's detail, for a dry run looks at them all. What `--force` goes over is an update with it and a conflict without.
    fn look<'a>(&'a self, site: &'a Site) -> Doing<'a, Vec<Change>>;

    /// Makes it so. Called with what [`Step::look`] has just found, if any of it changes.
    fn carry_out<'a>(
        &'a self,
        site: &'a Site,
        changes: &'a [Change],
        progress: Progress<'a>,
    ) -> Doing<'a, ()>;

    /// Whether it is carried out even where nothing changes, because it proves something.
    fn proves(&self) -> bool;
}

/// What a look finds.
type Changes = Result<Vec<Change>, Problem>;

/// How it ends to carry something out.
type Done = Result<(), Problem>;

/// A [`Step`] as it is written down: its futures are boxed in one place.
trait Work {
    fn name(&self) -> &'static str;
    async fn look(&self, site: &Site) -> Changes;
    async fn carry_out(&self, site: &Site, changes: &[Change], progress: Progress<'_>) -> Done;
    fn proves(&self) -> bool {
        false
    }
}

impl<W: Work> Step for W {
    fn name(&self) -> &'static str {
        Work::name(self)
    }

    fn look<'a>(&'a self, site: &'a Site) -> Doing<'a, Vec<Change>> {
        Box::pin(Work::look(self, site))
    }

    fn carry_out<'a>(
        &'a self,
        site: &'a Site,
        changes: &'a [Change],
        progress: Progress<'a>,
    ) -> Doing<'a, ()> {
        Box::pin(Work::carry_out(self, site, changes, progress))
    }

    fn proves(&self) -> bool {
        Work::proves(self)
    }
}

/// What is looked at before anything is changed.
pub fn preflight() -> Vec<Box<dyn Step>> {
    vec![Box::new(preflight::Preflight)]
}

/// From a cluster to a scaled one.
pub fn install() -> Vec<Box<dyn Step>> {
    vec![
        Box::new(preflight::Preflight),
        Box::new(karpenter::Karpenter { takes_over: false }),
        Box::new(namespace::Namespace),
        Box::new(identity::Identity),
        Box::new(tags::Tags),
        Box::new(delivery::Delivery),
        Box::new(stack::Stack),
        Box::new(access::Access),
        Box::new(webhook::Webhook),
        Box::new(probe::Probe),
        Box::new(pools::Pools),
        Box::new(verify::Verify),
        Box::new(karpenter::Karpenter { takes_over: true }),
        Box::new(cluster_autoscaler::ClusterAutoscaler),
        Box::new(mode::Mode),
    ]
}

/// And back: nodes first, roles last.
pub fn uninstall() -> Vec<Box<dyn Step>> {
    vec![
        Box::new(uninstall::drain::Drain),
        Box::new(uninstall::functions::Functions),
        Box::new(uninstall::cluster_autoscaler::ClusterAutoscaler),
        Box::new(uninstall::webhook::Webhook),
        Box::new(uninstall::stack::Stack),
        Box::new(uninstall::delivery::Delivery),
        Box::new(uninstall::tags::Tags),
        Box::new(uninstall::identity::Identity),
    ]
}

/// The pools and classes alone: `joiner update`.
pub fn update() -> Vec<Box<dyn Step>> {
    vec![Box::new(pools::Pools)]
}

/// The two nodes outside Joiner's management, one at a time, and the proof: `joiner rotate-system-nodes`.
pub fn rotate_system_nodes() -> Vec<Box<dyn Step>> {
    vec![Box::new(rotate::Rotate), Box::new(verify::Verify)]
}

/// The proof alone: `joiner verify`.
pub fn verify() -> Vec<Box<dyn Step>> {
    vec![Box::new(verify::Verify)]
}

/// The proof with a pod that is made, gets a node of the pool (of the first that can be served if none is named), and goes again.
pub fn verify_by_canary(pool: Option<String>) -> Vec<Box<dyn Step>> {
    vec![Box::new(verify::Verify), Box::new(canary::Canary { pool })]
}
