//! What an installation decides: one struct, from the environment and one ConfigMap over it. Names are upstream's where they exist.

use std::collections::BTreeMap;
use std::fmt;

/// The ConfigMap whose data override the environment, key by key; keys as in the environment or in upstream's
/// `karpenter-global-settings` (`aws.vmMemoryOverheadPercent`).
pub use model::mode::{MODE, Mode, NAMESPACE, SETTINGS_CONFIG_MAP};

/// The settings of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// `CLUSTER_NAME`: the EKS cluster. Must be given.
    pub cluster_name: String,
    /// `CLUSTER_ENDPOINT`: the API server, instead of DescribeCluster's answer.
    pub cluster_endpoint: Option<String>,
    /// `KUBECONFIG`: for trials outside EKS: log in by this file instead of an STS token.
    pub kubeconfig: Option<String>,
    /// `ISOLATED_VPC`: no calls of services without a VPC endpoint (prices).
    pub isolated_vpc: bool,
    /// `VM_MEMORY_OVERHEAD_PERCENT`: the share of memory that the hypervisor keeps, in thousandths; 75 unless set.
    pub vm_memory_overhead_per_mille: u32,
    /// `RESERVED_ENIS`: network interfaces that pods do not get.
    pub reserved_enis: u32,
    /// `DEFAULT_INSTANCE_PROFILE`: for legacy node templates without one.
    pub default_instance_profile: Option<String>,
    /// `FOLLOW_UP_QUEUE_URL`: the queue of on-schedule, for delayed messages; without it the next minute follows up.
    pub follow_up_queue_url: Option<String>,
    /// `TURNS_BUCKET`: where snapshots and plans of acting turns are kept; without it they are not.
    pub turns_bucket: Option<String>,
    /// `METRICS`: `few` (default: ten), `all`, or `none`.
    pub metrics: Metrics,
    /// `LOG_LEVEL`: `error`, `warn`, `info`, `debug`.
    pub log_level: String,
    /// `PLANNER_STEPS`: how hard the planner looks, see `planner::Options`.
    pub planner_steps: Option<u64>,
    /// `MODE`: `act` (default), `observe` or `paused`. Read anew for every turn, so that a pause counts at once.
    pub mode: Mode,
}

/// Which metrics are written: each custom metric costs $0.30 a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    /// None.
    None,
    /// At most ten.
    #[default]
    Few,
    /// Upstream's full set, as far as it means the same here.
    All,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting {name}: {problem}")]
pub struct SettingError {
    /// The setting.
    pub name: &'static str,
    /// What is wrong with it and what to write.
    pub problem: String,
}

/// Upstream's names of the same settings in `karpenter-global-settings`.
const ALIASES: [(&str, &str); 6] = [
    ("DEFAULT_INSTANCE_PROFILE", "aws.defaultInstanceProfile"),
    ("CLUSTER_NAME", "aws.clusterName"),
    ("CLUSTER_ENDPOINT", "aws.clusterEndpoint"),
    ("ISOLATED_VPC", "aws.isolatedVPC"),
    ("VM_MEMORY_OVERHEAD_PERCENT", "aws.vmMemoryOverheadPercent"),
    ("RESERVED_ENIS", "aws.reservedENIs"),
];

impl Configuration {
    /// From the environment and the ConfigMap's data, which come first.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn read(
        environment: &impl Fn(&str) -> Option<String>,
        config_map: &BTreeMap<String, String>,
    ) -> Result<Self, SettingError> {
        let text = |name: &str| {
            let alias = ALIASES.iter().find(|(own, _)| *own == name).map(|(_, alias)| *alias);
            let over =
                [Some(name), alias].into_iter().flatten().find_map(|key| config_map.get(key));
            over.cloned().or_else(|| environment(name)).filter(|text| !text.trim().is_empty())
        };
        let name = "CLUSTER_NAME";
        let missing =
            || SettingError { name, problem: "must be the EKS cluster's name".to_owned() };
        Ok(Self {
            cluster_name: text(name).ok_or_else(missing)?,
            cluster_endpoint: text("CLUSTER_ENDPOINT"),
            kubeconfig: text("KUBECONFIG"),
            isolated_vpc: boolean("ISOLATED_VPC", text("ISOLATED_VPC"))?,
            vm_memory_overhead_per_mille: per_mille(text("VM_MEMORY_OVERHEAD_PERCENT"))?,
            reserved_enis: number("RESERVED_ENIS", text("RESERVED_ENIS"))?.unwrap_or(0),
            default_instance_profile: text("DEFAULT_INSTANCE_PROFILE"),
            follow_up_queue_url: text("FOLLOW_UP_QUEUE_URL"),
            turns_bucket: text("TURNS_BUCKET"),
            metrics: metrics(text("METRICS"))?,
            log_level: text("LOG_LEVEL").unwrap_or_else(|| "info".to_owned()),
            planner_steps: number("PLANNER_STEPS", text("PLANNER_STEPS"))?,
            mode: mode(text(MODE))?,
        })
    }
}

/// The mode as it is written; `act` if nothing is.
pub(crate) fn mode(text: Option<String>) -> Result<Mode, SettingError> {
    let parse =
        |text: String| text.parse().map_err(|_| wrong(MODE, &text, "act, observe or paused"));
    text.map_or(Ok(Mode::default()), parse)
}

fn wrong(name: &'static str, text: &str, wanted: impl fmt::Display) -> SettingError {
    SettingError { name, problem: format!("{text:?} is not {wanted}") }
}

fn boolean(name: &'static str, text: Option<String>) -> Result<bool, SettingError> {
    match text.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(wrong(name, other, "true or false")),
    }
}

fn number<N: std::str::FromStr>(
    name: &'static str,
    text: Option<String>,
) -> Result<Option<N>, SettingError> {
    let parse = |text: String| text.parse().map_err(|_| wrong(name, &text, "a whole number"));
    text.map(parse).transpose()
}

/// Upstream writes a fraction (`0.075`); at most three digits count.
fn per_mille(text: Option<String>) -> Result<u32, SettingError> {
    const NAME: &str = "VM_MEMORY_OVERHEAD_PERCENT";
    let Some(text) = text else { return Ok(75) };
    let no =
        || wrong(NAME, &text, "a fraction from 0 to 1 with at most three digits, such as 0.075");
    let (whole, digits) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse::<u32>().map_err(|_| no())?;
    let digits = format!("{digits:0<3}");
    let digits =
        (digits.len() == 3).then(|| digits.parse::<u32>().ok()).flatten().ok_or_else(no)?;
    let sum = whole.saturating_mul(1000).saturating_add(digits);
    if sum <= 1000 { Ok(sum) } else { Err(no()) }
}

fn metrics(text: Option<String>) -> Result<Metrics, SettingError> {
    match text.as_deref() {
        None | Some("few") => Ok(Metrics::Few),
        Some("all") => Ok(Metrics::All),
        Some("none") => Ok(Metrics::None),
        Some(other) => Err(wrong("METRICS", other, "few, all or none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], over: &[(&str, &str)]) -> Result<Configuration, String> {
        let find = |name: &str| {
            let pair = pairs.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| (*value).to_owned())
        };
        let over = over.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Configuration::read(&find, &over.collect()).map_err(|error| error.to_string())
    }

    fn check(name: &str, value: &str, expected: &str) {
        let error = read(&[("CLUSTER_NAME", "c"), (name, value)], &[]).unwrap_err();
        assert_eq!(error, expected);
    }

    #[test]
    fn defaults_are_upstreams() {
        let read = read(&[("CLUSTER_NAME", "c")], &[]).unwrap();
        assert_eq!((read.vm_memory_overhead_per_mille, read.isolated_vpc), (75, false));
    }

    #[test]
    fn the_config_map_comes_first_and_knows_upstreams_names() {
        let over = [("aws.vmMemoryOverheadPercent", "0.1"), ("aws.clusterName", "b")];
        let read = read(&[("CLUSTER_NAME", "a")], &over).unwrap();
        assert_eq!((read.cluster_name.as_str(), read.vm_memory_overhead_per_mille), ("b", 100));
    }

    #[test]
    fn the_mode_is_act_unless_something_is_said() {
        let of = |pairs: &[(&str, &str)], over: &[(&str, &str)]| read(pairs, over).unwrap().mode;
        let cluster = ("CLUSTER_NAME", "c");
        assert_eq!(of(&[cluster], &[]), Mode::Act);
        assert_eq!(of(&[cluster, ("MODE", "observe")], &[]), Mode::Observe);
        assert_eq!(of(&[cluster, ("MODE", "observe")], &[("MODE", "paused")]), Mode::Paused);
        assert_eq!(of(&[cluster, ("MODE", "paused")], &[("MODE", "act")]), Mode::Act);
        check("MODE", "off", "setting MODE: \"off\" is not act, observe or paused");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = read(&[], &[]).unwrap_err();
        assert_eq!(error, "setting CLUSTER_NAME: must be the EKS cluster's name");
        check("ISOLATED_VPC", "yes", "setting ISOLATED_VPC: \"yes\" is not true or false");
        check("RESERVED_ENIS", "-1", "setting RESERVED_ENIS: \"-1\" is not a whole number");
        check(
            "VM_MEMORY_OVERHEAD_PERCENT",
            "7.5",
            "setting VM_MEMORY_OVERHEAD_PERCENT: \"7.5\" is not a fraction from 0 to 1 with at most three digits, such as 0.075",
        );
    }
}
