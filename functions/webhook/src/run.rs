//! The wiring: watches, election, knocks, admission and metrics as tasks of one process, and its orderly end.

use crate::batch::Batcher;
use crate::board::Change;
use crate::bus::Bus;
use crate::certificate::Served;
use crate::clock::Clock;
use crate::http::{Request, Response};
use crate::keeper::Keeper;
use crate::knock::Knock;
use crate::knocker::Knocker;
use crate::lease::Candidate;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::server::Server;
use crate::watches::Watches;
use crate::{admission, bus};
use anyhow::Context;
use kube::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::EnvFilter;

/// How many changes may wait for the board; watches wait when it is full.
const CHANGES: usize = 64;
/// How long the last knocks may take when the process ends.
const LAST: Duration = Duration::from_secs(6);

/// The kube client logs bodies that it cannot read, and a body may be a Secret.
const LOGS: &str = "info,kube_client=error,kube_runtime=error";

/// Logs in JSON, as RUST_LOG says.
pub(crate) fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGS));
    tracing_subscriber::fmt().json().with_env_filter(filter).init();
}

/// Runs until the process is told to end.
///
/// # Errors
/// If there is no cluster to be reached, or an address cannot be listened on.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    // Both kube and the AWS SDK use this provider; a second call finds it there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock = Clock::start();
    let metrics = Arc::new(Metrics::default());
    let (stop_sender, stop) = watch::channel(false);
    let (leading_sender, leading) = watch::channel(None);
    let client = Client::try_default().await.context("no cluster: set KUBECONFIG or run in one")?;
    let bus = Bus::connect(&options.event_bus()).await;
    let mut tasks = JoinSet::new();
    serve_metrics(&options, &metrics, &stop, &mut tasks).await?;
    if !options.no_admission {
        serve_admission(&options, &client, &metrics, (clock, &leading, &stop), &mut tasks).await?;
    }
    let (changes_sender, changes) = mpsc::channel(CHANGES);
    let watches = Watches {
        client: client.clone(),
        changes: changes_sender,
        metrics: Arc::clone(&metrics),
        clock,
    };
    tokio::spawn(watches.run());
    let replica = options.replica();
    tracing::info!(
        cluster = options.cluster_name,
        bus = options.event_bus(),
        replica,
        "webhook started"
    );
    let (election_end, election_stop) = watch::channel(false);
    let candidate = Candidate::new(client, &options.namespace, &replica, clock);
    let election = tokio::spawn(candidate.run(leading_sender, election_stop));
    let batcher = Batcher::new(options.batch_idle_duration, options.batch_max_duration);
    let knocker = Knocker::new(&options.cluster_name, batcher);
    let mut knocking = Knocking { knocker, bus: Arc::new(bus), clock, metrics, leading };
    knocking.run(changes, told_to_end()?).await;
    tracing::info!("webhook ends");
    stop_sender.send_replace(true);
    knocking.last().await;
    election_end.send_replace(true);
    election.await.context("the election broke")?;
    tasks.join_all().await;
    Ok(())
}

async fn serve_metrics(
    options: &Options,
    metrics: &Arc<Metrics>,
    stop: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let (metrics, admission) = (Arc::clone(metrics), !options.no_admission);
    let answer = move |request: Request| report(&request, &metrics, admission);
    let address = options.metrics_listen;
    let server = Server::bind(address, None, answer).await;
    let server = server
        .with_context(|| format!("cannot listen on {address}: choose another --metrics-listen"))?;
    tracing::info!(address = %server.address()?, "serving metrics");
    tasks.spawn(server.run(stop.clone()));
    Ok(())
}

fn report(request: &Request, metrics: &Metrics, admission: bool) -> Response {
    match request.path.as_str() {
        "/healthz" => Response::text(200, "ok"),
        "/readyz" => match metrics.not_ready(admission).as_slice() {
            [] => Response::text(200, "ok"),
            reasons => Response::text(503, reasons.join("\n")),
        },
        "/metrics" => Response {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics.text().into_bytes(),
        },
        _ => Response::text(404, "not found; there are /metrics, /healthz and /readyz"),
    }
}

async fn serve_admission(
    options: &Options,
    client: &Client,
    metrics: &Arc<Metrics>,
    (clock, leading, stop): (Clock, &watch::Receiver<Option<Duration>>, &watch::Receiver<bool>),
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let served = Arc::new(Served::default());
    let keeper = Keeper::new(
        client.clone(),
        &options.namespace,
        options.hosts(),
        Arc::clone(&served),
        Arc::clone(metrics),
        clock,
    );
    tokio::spawn(keeper.clone().follow());
    tokio::spawn(keeper.run(leading.clone()));
    let tls = TlsAcceptor::from(Arc::new(served.config()?));
    let metrics = Arc::clone(metrics);
    let answer = move |request: Request| admission::answer(&request, &metrics);
    let address = options.listen;
    let server = Server::bind(address, Some(tls), answer).await;
    let server =
        server.with_context(|| format!("cannot listen on {address}: choose another --listen"))?;
    tracing::info!(address = %server.address()?, "serving admission");
    tasks.spawn(server.run(stop.clone()));
    Ok(())
}

/// Ends when the process is told to.
fn told_to_end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// What the bus said to knocks.
type Answer = (Vec<Knock>, Vec<Knock>, Option<bus::BusError>);

/// The machine of knocks, driven.
struct Knocking {
    knocker: Knocker,
    bus: Arc<Bus>,
    clock: Clock,
    metrics: Arc<Metrics>,
    leading: watch::Receiver<Option<Duration>>,
}

impl Knocking {
    async fn run(&mut self, mut changes: mpsc::Receiver<Change>, end: impl Future<Output = ()>) {
        let mut sending = JoinSet::new();
        tokio::pin!(end);
        loop {
            let now = self.clock.now();
            let due = self.knocker.due(now).unwrap_or(Duration::MAX);
            self.metrics.now(
                self.knocker.pending(),
                self.knocker.waiting(),
                self.leading.borrow().is_some(),
            );
            tokio::select! {
                () = &mut end => break,
                Ok(()) = self.leading.changed() => {
                    let until = *self.leading.borrow_and_update();
                    self.knocker.lead(until, self.clock.now());
                }
                Some(change) = changes.recv() => self.knocker.change(change, self.clock.now()),
                Some(Ok(answer)) = sending.join_next() => self.heard(answer),
                () = self.clock.until(due) => {
                    let knocks = self.knocker.take(self.clock.now());
                    if !knocks.is_empty() {
                        sending.spawn(put(Arc::clone(&self.bus), knocks));
                    }
                }
            }
        }
        while let Some(Ok(answer)) = sending.join_next().await {
            self.heard(answer);
        }
    }

    /// Sends what waits, before the process ends; whatever fails, the next leader knocks for.
    async fn last(&mut self) {
        let knocks = self.knocker.flush(self.clock.now());
        if knocks.is_empty() {
            return;
        }
        match tokio::time::timeout(LAST, put(Arc::clone(&self.bus), knocks)).await {
            Ok(answer) => self.heard(answer),
            Err(_) => {
                tracing::warn!("the last knocks were not answered in time; the next leader knocks")
            }
        }
    }

    fn heard(&mut self, (sent, failed, error): Answer) {
        for knock in sent.iter().filter(|knock| !failed.contains(knock)) {
            self.metrics.sent(knock.topic, true);
            tracing::info!(
                detail_type = knock.topic.detail_type(),
                detail = knock.detail(),
                "knocked"
            );
        }
        for knock in &failed {
            self.metrics.sent(knock.topic, false);
        }
        if let Some(error) = error {
            tracing::warn!(%error, knocks = failed.len(), "knocks were not taken");
        }
        self.knocker.sent(failed, self.clock.now(), fastrand::f64());
    }
}

async fn put(bus: Arc<Bus>, knocks: Vec<Knock>) -> Answer {
    let (failed, error) = bus.put(knocks.clone()).await;
    (knocks, failed, error)
}
