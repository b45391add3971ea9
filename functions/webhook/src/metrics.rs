//! What the webhook tells of itself: Prometheus metrics, and from the same numbers whether it is ready.

use crate::board::Topic;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Pods without a node.
    Pods,
    /// Nodes.
    Nodes,
    /// NodeClaims.
    NodeClaims,
    /// NodePools.
    NodePools,
    /// Provisioners.
    Provisioners,
    /// EC2NodeClasses.
    Ec2NodeClasses,
    /// AWSNodeTemplates.
    AwsNodeTemplates,
}

impl Watched {
    const ALL: [Self; 7] = [
        Self::Pods,
        Self::Nodes,
        Self::NodeClaims,
        Self::NodePools,
        Self::Provisioners,
        Self::Ec2NodeClasses,
        Self::AwsNodeTemplates,
    ];

    /// The plural name, as in the API's paths.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Nodes => "nodes",
            Self::NodeClaims => "nodeclaims",
            Self::NodePools => "nodepools",
            Self::Provisioners => "provisioners",
            Self::Ec2NodeClasses => "ec2nodeclasses",
            Self::AwsNodeTemplates => "awsnodetemplates",
        }
    }
}

#[derive(Debug, Default)]
struct Watch {
    synced: AtomicBool,
    restarts: AtomicU64,
    heard_at_s: AtomicI64,
}

#[derive(Debug, Default)]
struct Sent {
    taken: AtomicU64,
    failed: AtomicU64,
}

/// All numbers. Shared by all tasks.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    watches: [Watch; Watched::ALL.len()],
    sent: [Sent; Topic::ALL.len()],
    admitted: AtomicU64,
    denied: AtomicU64,
    defaulted: AtomicU64,
    pending_pods: AtomicU64,
    outbox: AtomicU64,
    leads: AtomicBool,
    certificate_until_s: AtomicI64,
}

/// What became of an admission request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Allowed as it is.
    Allowed,
    /// Allowed, with defaults added.
    Defaulted,
    /// Refused.
    Denied,
}

impl Metrics {
    /// A watch has said something.
    pub(crate) fn heard(&self, watched: Watched) {
        let now = jiff::Timestamp::now().as_second();
        self.watches[watched as usize].heard_at_s.store(now, Relaxed);
    }

    /// A watch has listed everything.
    pub(crate) fn synced(&self, watched: Watched) {
        self.watches[watched as usize].synced.store(true, Relaxed);
    }

    /// A kind is not installed: there is nothing of it to know.
    pub(crate) fn absent(&self, watched: Watched) {
        self.synced(watched);
    }

    /// A watch broke.
    pub(crate) fn restarted(&self, watched: Watched) {
        self.watches[watched as usize].restarts.fetch_add(1, Relaxed);
    }

    /// A knock was taken by the bus or not.
    pub(crate) fn sent(&self, topic: Topic, taken: bool) {
        let sent = &self.sent[topic as usize];
        if taken { &sent.taken } else { &sent.failed }.fetch_add(1, Relaxed);
    }

    /// An admission request was answered.
    pub(crate) fn answered(&self, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Allowed => &self.admitted,
            Verdict::Defaulted => &self.defaulted,
            Verdict::Denied => &self.denied,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// How many pods are provisionable, how many knocks wait, and whether this replica leads.
    pub(crate) fn now(&self, pending_pods: usize, outbox: usize, leads: bool) {
        self.pending_pods.store(pending_pods as u64, Relaxed);
        self.outbox.store(outbox as u64, Relaxed);
        self.leads.store(leads, Relaxed);
    }

    /// Until when the certificate holds that is served.
    pub(crate) fn certificate(&self, until_s: i64) {
        self.certificate_until_s.store(until_s, Relaxed);
    }

    /// What keeps the webhook from being ready; empty if nothing does.
    pub(crate) fn not_ready(&self, admission: bool) -> Vec<String> {
        let unsynced = Watched::ALL.into_iter().filter(|watched| !self.is_synced(*watched));
        let mut reasons = unsynced
            .map(|watched| format!("{} are not listed yet", watched.name()))
            .collect::<Vec<_>>();
        if admission && self.certificate_until_s.load(Relaxed) == 0 {
            reasons.push("there is no certificate yet".to_owned());
        }
        reasons
    }

    fn is_synced(&self, watched: Watched) -> bool {
        self.watches[watched as usize].synced.load(Relaxed)
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut page = Page::default();
        page.family(
            "joiner_webhook_events_total",
            "counter",
            "Knocks by topic and by whether the bus took them.",
        );
        for topic in Topic::ALL {
            let sent = &self.sent[topic as usize];
            for (result, value) in [("sent", &sent.taken), ("failed", &sent.failed)] {
                let labels =
                    format!("{{detail_type=\"{}\",result=\"{result}\"}}", topic.detail_type());
                page.sample(&labels, value.load(Relaxed));
            }
        }
        page.family(
            "joiner_webhook_admission_requests_total",
            "counter",
            "Admission requests by answer.",
        );
        for (result, value) in
            [("allowed", &self.admitted), ("defaulted", &self.defaulted), ("denied", &self.denied)]
        {
            page.sample(&format!("{{result=\"{result}\"}}"), value.load(Relaxed));
        }
        self.gauges(&mut page);
        self.watch_families(&mut page);
        page.text
    }

    fn gauges(&self, page: &mut Page) {
        page.gauge(
            "joiner_webhook_pending_pods",
            "Provisionable pods.",
            self.pending_pods.load(Relaxed),
        );
        page.gauge(
            "joiner_webhook_outbox_length",
            "Knocks that wait to be sent.",
            self.outbox.load(Relaxed),
        );
        page.gauge(
            "joiner_webhook_leader",
            "1 if this replica knocks.",
            self.leads.load(Relaxed).into(),
        );
        let until = self.certificate_until_s.load(Relaxed).unsigned_abs();
        page.gauge(
            "joiner_webhook_certificate_expiry_timestamp_seconds",
            "When the certificate ends.",
            until,
        );
        let synced = Watched::ALL.into_iter().all(|watched| self.is_synced(watched));
        page.gauge(
            "karpenter_cluster_state_synced",
            "1 if all watches have listed everything.",
            synced.into(),
        );
        page.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
    }

    fn watch_families(&self, page: &mut Page) {
        let label = |watched: Watched| format!("{{resource=\"{}\"}}", watched.name());
        page.family(
            "joiner_webhook_watch_restarts_total",
            "counter",
            "Watches that broke and began again.",
        );
        for watched in Watched::ALL {
            page.sample(&label(watched), self.watches[watched as usize].restarts.load(Relaxed));
        }
        let help = "When a watch last said something.";
        page.family("joiner_webhook_watch_last_event_timestamp_seconds", "gauge", help);
        for watched in Watched::ALL {
            let heard = self.watches[watched as usize].heard_at_s.load(Relaxed);
            page.sample(&label(watched), heard.unsigned_abs());
        }
    }
}

/// Resident memory by the kernel's count; 0 where there is no /proc.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, labels: &str, value: u64) {
        let _ = writeln!(self.text, "{}{labels} {value}", self.name);
    }

    fn gauge(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.sample("", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_all_is_listed_and_the_certificate_is_there() {
        let metrics = Metrics::default();
        assert_eq!(metrics.not_ready(true).len(), Watched::ALL.len() + 1);
        Watched::ALL.into_iter().for_each(|watched| metrics.synced(watched));
        assert_eq!(metrics.not_ready(true), ["there is no certificate yet"]);
        assert_eq!(metrics.not_ready(false), [""; 0]);
        metrics.certificate(1);
        assert_eq!(metrics.not_ready(true), [""; 0]);
    }

    #[test]
    fn the_page_is_prometheus_text() {
        let metrics = Metrics::default();
        metrics.sent(Topic::NodeDeleting, true);
        metrics.now(3, 1, true);
        let text = metrics.text();
        for line in [
            "# TYPE joiner_webhook_events_total counter",
            "joiner_webhook_events_total{detail_type=\"Node Deleting\",result=\"sent\"} 1",
            "joiner_webhook_pending_pods 3",
            "joiner_webhook_leader 1",
            "karpenter_cluster_state_synced 0",
            "joiner_webhook_watch_restarts_total{resource=\"pods\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
