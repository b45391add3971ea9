//! One installation: its settings, its clients, and turns under its lease.

use crate::aws_memory::AwsMemory;
use crate::configuration::{self, Configuration, MODE, Mode, SETTINGS_CONFIG_MAP};
use crate::lease::{Asked, Held, LeaseError};
use crate::live::Live;
use crate::memory::{ForgetError, Memory};
use crate::observed::ObserveError;
use crate::standing::{Standing, Told};
use crate::turn::{Hall, take_turn};
use crate::{Report, Trigger, heed, telemetry};
use aws_config::{BehaviorVersion, SdkConfig};
use execute::ec2::Ec2Cloud;
use execute::{Cloud, Kubernetes};
use model::account::redacted;
use model::mode::MODE_SINCE;
use model::{ClusterFacts, Timestamp};
use observe::cloud::CloudReader;
use observe::cluster::{ClusterReader, Connection};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The lease is lengthened so often: three times before it would end.
const RENEW_EVERY: Duration = Duration::from_secs(5);

const HOUR_S: i64 = 3600;
const MINUTE_S: i64 = 60;
/// A launch template that no launch has named for so many seconds is deleted; it is made anew if it is needed again.
const TEMPLATES_UNUSED_S: i64 = 86_400;

/// Why a function cannot work.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// A setting.
    #[error(transparent)]
    Setting(#[from] crate::configuration::SettingError),
    /// The catalog in the binary.
    #[error(transparent)]
    Catalog(#[from] catalog::CatalogError),
    /// The cluster could not be found in AWS.
    #[error(transparent)]
    Cloud(#[from] observe::cloud::CloudReadError),
    /// The API server could not be reached.
    #[error(transparent)]
    Connection(#[from] observe::cluster::ConnectionError),
    /// The ConfigMap of settings could not be read.
    #[error(transparent)]
    Memory(#[from] ForgetError),
    /// There is no region or there are no credentials.
    #[error("{0} is missing: Lambda sets it, elsewhere set it yourself")]
    Missing(&'static str),
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The world could not be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The lease.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// Claims could not be read, so that it is not known whose the instances are.
    #[error("claims cannot be read, so that nobody knows whose the instances are: {0}")]
    Claims(String),
    /// It cannot be told whether the installation is paused, so that nothing is done.
    #[error("nobody knows whether joiner is paused: {0}")]
    Mode(String),
}

/// What a knock came to.
#[derive(Debug)]
pub enum Knocked {
    /// A turn was taken.
    Turned(Box<Report>),
    /// Another turn has the lease and looks again.
    Busy,
    /// The installation is paused: nothing was read or written.
    Paused,
}

/// The clients of one installation, kept while the function is warm.
pub struct Installation {
    settings: Configuration,
    dead_letters: Option<String>,
    kube: kube::Client,
    live: Live,
    cloud: Ec2Cloud,
    cluster: Kubernetes,
    memory: AwsMemory,
    /// The mode where the ConfigMap of settings says nothing.
    of_environment: Mode,
    told: Told,
}

impl Installation {
    /// By the environment, and the ConfigMap of settings over it.
    ///
    /// # Errors
    /// If a setting is wrong, or the cluster cannot be found or reached.
    pub async fn from_environment() -> Result<Self, InstallationError> {
        let environment = |name: &str| std::env::var(name).ok();
        let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
        Self::new(&environment, &aws, None).await
    }

    /// By settings from elsewhere, and these clients. Where `kube` is not given, the cluster is reached as the settings say.
    ///
    /// # Errors
    /// As `from_environment`.
    pub async fn new(
        environment: &impl Fn(&str) -> Option<String>,
        aws: &SdkConfig,
        kube: Option<kube::Client>,
    ) -> Result<Self, InstallationError> {
        let first = Configuration::read(environment, &BTreeMap::new())?;
        let mut reader = CloudReader::new(aws, catalog::Catalog::embedded()?);
        let now = Timestamp(jiff::Timestamp::now().as_second());
        let mut facts = reader.cluster(&first.cluster_name, now).await?;
        if let Some(endpoint) = &first.cluster_endpoint {
            facts.endpoint.clone_from(endpoint);
        }
        let kube = match kube {
            Some(kube) => kube,
            None => connect(&first, &facts, aws).await?,
        };
        let over =
            AwsMemory::new(aws, kube.clone(), &first).read_config_map(SETTINGS_CONFIG_MAP).await?;
        let settings = Configuration::read(environment, &strings(&over))?;
        let memory = AwsMemory::new(aws, kube.clone(), &settings);
        let cloud = Ec2Cloud::new(
            &aws_sdk_ec2::Config::new(aws),
            &aws_sdk_iam::Config::new(aws),
            &settings.cluster_name,
            settings.default_instance_profile.clone(),
        );
        Ok(Self {
            live: Live::new(ClusterReader::new(kube.clone()), reader, memory.clone(), &settings),
            dead_letters: environment("DEAD_LETTER_QUEUE_URL"),
            cluster: Kubernetes::new(kube.clone()),
            of_environment: first.mode,
            told: Told::default(),
            settings,
            kube,
            cloud,
            memory,
        })
    }

    /// Sends a message that cannot be read to the dead-letter queue.
    ///
    /// # Errors
    /// If there is none, or it does not take the message, or joiner is paused: then SQS moves it there itself.
    pub(crate) async fn bury(&mut self, body: &str, reason: &str) -> Result<(), ForgetError> {
        let forget = |problem: String| ForgetError { what: "dead letter", problem };
        self.look_at_mode().await.map_err(|error| forget(error.to_string()))?;
        if self.settings.mode == Mode::Paused {
            return Err(forget("joiner is paused".to_owned()));
        }
        let missing = || forget("DEAD_LETTER_QUEUE_URL is not set".to_owned());
        let queue = self.dead_letters.as_deref().ok_or_else(missing)?;
        self.memory.bury(queue, body, reason).await
    }

    /// Looks what the installation may do now, and returns since when it does. A pause must count at once, in warm functions too.
    async fn look_at_mode(&mut self) -> Result<String, TurnError> {
        let unknown = |error: &dyn std::fmt::Display| TurnError::Mode(error.to_string());
        let data = self.memory.read_config_map(SETTINGS_CONFIG_MAP).await;
        let data = strings(&data.map_err(|error| unknown(&error))?);
        let said = data.get(MODE).filter(|text| !text.trim().is_empty()).cloned();
        let said = said.unwrap_or_else(|| self.of_environment.to_string());
        self.settings.mode = configuration::mode(Some(said)).map_err(|error| unknown(&error))?;
        self.live.keeps = self.settings.mode == Mode::Act;
        Ok(data.get(MODE_SINCE).cloned().unwrap_or_default())
    }

    /// Heeds what AWS told of instances, at once and without the lease, and returns what a turn is to look at. A paused installation
    /// does not look: when it is resumed, AWS is asked itself.
    pub(crate) async fn heed(&mut self, triggers: Vec<Trigger>) -> Result<Vec<Trigger>, TurnError> {
        self.look_at_mode().await?;
        if self.settings.mode == Mode::Paused {
            return Ok(triggers);
        }
        let instances = heed::instances(&self.kube).await;
        let instances =
            instances.map_err(|error| TurnError::Claims(redacted(&error.to_string())))?;
        let now = Timestamp(jiff::Timestamp::now().as_second());
        let heeded = heed::heeded(triggers, &instances, now);
        if self.settings.mode == Mode::Observe {
            telemetry::would_heed(&heeded);
            return Ok(heeded.triggers);
        }
        let of_metrics = (self.settings.metrics, self.settings.cluster_name.as_str());
        heed::carry_out(&heeded, now, (&self.cluster, &self.memory), of_metrics).await;
        Ok(heeded.triggers)
    }

    /// Takes a turn under the lease, or leaves word with the turn that has it. A turn that only observes needs no lease, for it
    /// writes nothing; a paused installation takes none.
    ///
    /// # Errors
    /// If the mode, the lease or the world cannot be read, or the lease is lost on the way.
    pub async fn knock(&mut self, trigger: &str, request_id: &str) -> Result<Knocked, TurnError> {
        let since = self.look_at_mode().await?;
        let turn = turn_name(request_id, jiff::Timestamp::now());
        match self.settings.mode {
            Mode::Act => self.knock_for_the_lease(&turn, trigger).await,
            Mode::Observe => {
                let hall = hall(&self.settings, &self.cloud, &self.cluster, &self.memory);
                let work: Pin<Box<dyn Future<Output = _>>> =
                    Box::pin(take_turn(&turn, trigger, &mut self.live, &hall));
                Ok(Knocked::Turned(Box::new(work.await?)))
            }
            Mode::Paused => {
                telemetry::paused(trigger, &since);
                Ok(Knocked::Paused)
            }
        }
    }

    async fn knock_for_the_lease(
        &mut self,
        turn: &str,
        trigger: &str,
    ) -> Result<Knocked, TurnError> {
        let held = match Held::ask(&self.kube, turn).await? {
            Asked::Held(held) => *held,
            Asked::Taken { ends_in_s, first } => {
                // Should the holder be dead, the first that came after it sees to it that somebody looks again.
                if first {
                    self.wake_in(ends_in_s + 1).await;
                }
                return Ok(Knocked::Busy);
            }
        };
        let (held, answer) = self.turn(held, turn, trigger).await?;
        let wake_at = match &answer {
            Ok(report) => report.wake_at,
            Err(_) => None,
        };
        let wake_at = wake_at.filter(|at| !held.wakes_by(*at));
        let now = held.server_now.as_second();
        if let Some(at) = wake_at {
            self.wake_in((at - now).max(1)).await;
        }
        if held.release(wake_at.map(|at| at.max(now + 1))).await? {
            self.wake_in(0).await;
        }
        Ok(Knocked::Turned(Box::new(answer?)))
    }

    /// The turn, beside which the lease is kept. A turn that loses it stops where it is, like one that is killed.
    async fn turn(
        &mut self,
        mut held: Held,
        turn: &str,
        trigger: &str,
    ) -> Result<(Held, Result<Report, ObserveError>), TurnError> {
        let hall = hall(&self.settings, &self.cloud, &self.cluster, &self.memory);
        // On the heap: the future of a whole turn is deep, and too large for the stacks that it would be moved over.
        let work: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(take_turn(turn, trigger, &mut self.live, &hall));
        let renewals = async {
            let mut ticks = tokio::time::interval(RENEW_EVERY);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                if let Err(error) = held.renew().await {
                    return error;
                }
            }
        };
        let answer = tokio::select! {
            answer = work => answer,
            lost = renewals => return Err(lost.into()),
        };
        Ok((held, answer))
    }

    /// What the minute's tick does beside its turn, and without the lease: prices every twelve hours, old launch templates once an hour.
    pub async fn housekeep(&mut self) {
        self.live.refresh_market().await;
        if self.settings.mode != Mode::Act {
            return;
        }
        if jiff::Timestamp::now().as_second() % HOUR_S >= MINUTE_S {
            return;
        }
        match self.cloud.clean_launch_templates(TEMPLATES_UNUSED_S).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(
                count,
                "launch templates that no launch has named for a day are deleted"
            ),
            Err(error) => tracing::warn!(%error, "old launch templates stay"),
        }
    }

    /// Writes what became of a turn for `joiner status`: when it acted or failed, else once a minute.
    pub(crate) async fn tell(&mut self, function: &'static str, standing: Standing) {
        let now = jiff::Timestamp::now().as_second();
        if self.settings.mode == Mode::Paused || !self.told.is_due(&standing, now) {
            return;
        }
        let data = standing.to_config_map_data(function);
        let written = self.memory.write_config_map(crate::standing::STATUS_CONFIG_MAP, data).await;
        if let Err(error) = written {
            tracing::warn!(%error, "`joiner status` will not know of this turn");
        }
    }

    async fn wake_in(&self, seconds: i64) {
        if let Err(error) = self.memory.wake_in(seconds).await {
            tracing::warn!(%error, "the next minute follows up instead");
        }
    }
}

/// What turns need.
fn hall<'a>(
    settings: &Configuration,
    cloud: &'a Ec2Cloud,
    cluster: &'a Kubernetes,
    memory: &'a AwsMemory,
) -> Hall<'a, Ec2Cloud, Kubernetes, AwsMemory> {
    let steps = settings.planner_steps;
    let options = steps.map_or_else(planner::Options::default, |steps| planner::Options { steps });
    Hall { cloud, cluster, memory, options, metrics: settings.metrics, mode: settings.mode }
}

/// In an account by DescribeCluster and an STS token; by a kubeconfig where one is named.
async fn connect(
    settings: &Configuration,
    facts: &ClusterFacts,
    aws: &SdkConfig,
) -> Result<kube::Client, InstallationError> {
    if let Some(file) = &settings.kubeconfig {
        return Ok(Connection::from_kubeconfig(Some(file.as_ref()), None).await?.client);
    }
    let region = aws.region().ok_or(InstallationError::Missing("AWS_REGION"))?;
    let credentials = aws.credentials_provider();
    let credentials = credentials.ok_or(InstallationError::Missing("AWS_ACCESS_KEY_ID"))?;
    Ok(Connection::from_eks(facts, credentials, region.as_ref())?.client)
}

fn strings(data: &Value) -> BTreeMap<String, String> {
    let pairs = data.as_object().into_iter().flatten();
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    pairs.filter_map(text).collect()
}

/// `20261122t231841-1a2b3c4d`: sorts by time, and is another one for every invocation.
fn turn_name(request_id: &str, now: jiff::Timestamp) -> String {
    let letters = request_id.chars().filter(char::is_ascii_alphanumeric);
    let short = letters.map(|letter| letter.to_ascii_lowercase()).take(8).collect::<String>();
    format!("{}-{short}", now.strftime("%Y%m%dt%H%M%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_named_by_time_and_invocation() {
        let at = "2026-11-22T23:18:41Z".parse().unwrap();
        let name = turn_name("8476A536-e9f4-11e8-9739-2dfe598c3fcd", at);
        assert_eq!(name, "20261122t231841-8476a536");
    }
}
