//! What the webhook is told: flags, and environment variables of the same meaning. Names are Karpenter's where it has one.

use clap::Parser;
use std::net::SocketAddr;
use std::time::Duration;

/// The server in the cluster: watches pods and nodes, knocks on the event bus, and validates pools and classes.
#[derive(Clone, Debug, Parser)]
#[command(version, name = "webhook")]
pub(crate) struct Options {
    /// The cluster's name.
    #[arg(long, env = "CLUSTER_NAME")]
    pub(crate) cluster_name: String,
    /// The event bus [default: joiner-<cluster>].
    #[arg(long, env = "EVENT_BUS_NAME")]
    event_bus_name: Option<String>,
    /// How long pods and nodes may be quiet before a knock: 500ms, 1s.
    #[arg(long, env = "BATCH_IDLE_DURATION", default_value = "1s", value_parser = duration)]
    pub(crate) batch_idle_duration: Duration,
    /// How long a knock is put off at most: 10s.
    #[arg(long, env = "BATCH_MAX_DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) batch_max_duration: Duration,
    /// The namespace of the lease and of the certificate's Secret.
    #[arg(long, env = "POD_NAMESPACE", default_value = "joiner")]
    pub(crate) namespace: String,
    /// This replica's name in the election [default: HOSTNAME, which is the pod's name, and a random part].
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Where admission reviews are served over TLS.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8443")]
    pub(crate) listen: SocketAddr,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "METRICS_LISTEN", default_value = "0.0.0.0:8080")]
    pub(crate) metrics_listen: SocketAddr,
    /// Names and addresses by which API servers call; with commas between [default: the Service's names].
    #[arg(long, env = "ADMISSION_HOSTS", value_delimiter = ',')]
    admission_hosts: Vec<String>,
    /// Serves no admission: only watches and knocks.
    #[arg(long, env = "NO_ADMISSION")]
    pub(crate) no_admission: bool,
}

impl Options {
    /// The event bus.
    pub(crate) fn event_bus(&self) -> String {
        self.event_bus_name.clone().unwrap_or_else(|| format!("joiner-{}", self.cluster_name))
    }

    /// The names that the certificate is for.
    pub(crate) fn hosts(&self) -> Vec<String> {
        if !self.admission_hosts.is_empty() {
            return self.admission_hosts.clone();
        }
        let service = format!("joiner-webhook.{}.svc", self.namespace);
        vec![format!("{service}.cluster.local"), service]
    }

    /// This replica's name in the election. No two processes share one, even if they share a host name.
    pub(crate) fn replica(&self) -> String {
        let name = self.identity.clone().or_else(|| std::env::var("HOSTNAME").ok());
        format!("{}_{:08x}", name.unwrap_or_else(|| "webhook".to_owned()), fastrand::u32(..))
    }
}

/// A duration as Go writes them, of one unit: `500ms`, `1s`, `1.5s`, `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|character: char| character != '.' && !character.is_ascii_digit());
    let (amount, unit) = text.split_at(at.unwrap_or(text.len()));
    let unit_s = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("{text:?} has no unit; write 500ms, 1s or 1m")),
    };
    let amount = amount
        .parse::<f64>()
        .map_err(|_| format!("{text:?} is no duration; write 500ms, 1s or 1m"))?;
    Duration::try_from_secs_f64(amount * unit_s).map_err(|error| format!("{text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(flags: &[&str]) -> Options {
        Options::try_parse_from([&["webhook", "--cluster-name", "blue"], flags].concat()).unwrap()
    }

    #[test]
    fn durations_are_gos() {
        let check = |text: &str, expected_ms: Option<u64>| {
            assert_eq!(duration(text).ok(), expected_ms.map(Duration::from_millis), "{text}");
        };
        check("1s", Some(1000));
        check("1.5s", Some(1500));
        check("250ms", Some(250));
        check("2m", Some(120_000));
        check("1", None);
        check("s", None);
        check("-1s", None);
        check("1h", None);
    }

    #[test]
    fn names_follow_from_the_cluster_and_the_namespace() {
        let defaults = options(&[]);
        assert_eq!(defaults.event_bus(), "joiner-blue");
        assert!(defaults.hosts().contains(&"joiner-webhook.joiner.svc".to_owned()));
        assert_ne!(defaults.replica(), defaults.replica());
        let given = options(&["--event-bus-name", "b", "--admission-hosts", "127.0.0.1,localhost"]);
        assert_eq!(given.event_bus(), "b");
        assert_eq!(given.hosts(), ["127.0.0.1", "localhost"]);
    }
}
