//! The kubelet's settings as command-line flags, for bootstraps that take them so.

use super::{Bootstrap, TemplateError};
use model::Labels;

impl Bootstrap<'_> {
    /// All flags, separated by a space, checked to be safe within single quotes but for the double quotes of our own.
    pub(super) fn kubelet_flags(&self) -> Result<String, TemplateError> {
        let mut flags = vec![format!("--node-labels=\"{}\"", self.joined_labels()?)];
        flags.push(format!("--register-with-taints=\"{}\"", self.joined_taints()?));
        flags.extend(self.amount_flags()?);
        Ok(flags.join(" "))
    }

    /// `key=value` of all labels, separated by commas.
    pub(super) fn joined_labels(&self) -> Result<String, TemplateError> {
        let joined = joined(&self.labels, "=");
        self.quotable("labels", &joined)?;
        Ok(joined)
    }

    fn joined_taints(&self) -> Result<String, TemplateError> {
        let each = self.taints.iter().map(|taint| {
            format!("{}={}:{}", taint.key, taint.value, taint.effect.as_str()).replace("=:", ":")
        });
        let joined = each.collect::<Vec<_>>().join(",");
        self.quotable("taints", &joined)?;
        Ok(joined)
    }

    fn amount_flags(&self) -> Result<Vec<String>, TemplateError> {
        let kubelet = &self.kubelet;
        let mut flags = Vec::new();
        let mut number = |flag: &str, value: Option<i64>| {
            flags.extend(value.map(|value| format!("--{flag}={value}")));
        };
        number("max-pods", self.max_pods);
        number("pods-per-core", kubelet.pods_per_core);
        number("eviction-max-pod-grace-period", kubelet.eviction_max_pod_grace_period);
        number("image-gc-high-threshold", kubelet.image_gc_high_threshold_percent);
        number("image-gc-low-threshold", kubelet.image_gc_low_threshold_percent);
        flags.extend(kubelet.cpu_cfs_quota.map(|quota| format!("--cpu-cfs-quota={quota}")));
        for (flag, map, sign) in [
            ("system-reserved", &kubelet.system_reserved, "="),
            ("kube-reserved", &kubelet.kube_reserved, "="),
            ("eviction-hard", &kubelet.eviction_hard, "<"),
            ("eviction-soft", &kubelet.eviction_soft, "<"),
            ("eviction-soft-grace-period", &kubelet.eviction_soft_grace_period, "="),
        ] {
            if !map.is_empty() {
                let joined = joined(map, sign);
                self.quotable("kubelet", &joined)?;
                flags.push(format!("--{flag}={joined}"));
            }
        }
        Ok(flags)
    }
}

fn joined(map: &Labels, sign: &str) -> String {
    map.iter().map(|(key, value)| format!("{key}{sign}{value}")).collect::<Vec<_>>().join(",")
}
