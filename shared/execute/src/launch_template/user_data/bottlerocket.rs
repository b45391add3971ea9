//! Bottlerocket: the user's TOML, with the settings that make the node join written over it.

use super::{Bootstrap, TemplateError};
use model::Labels;
use toml::{Table, Value};

pub(super) fn render(bootstrap: &Bootstrap) -> Result<String, TemplateError> {
    let refuse = |message: String| bootstrap.error("userData", &message);
    let users = bootstrap.users().unwrap_or_default();
    let mut all = users.parse::<Table>().map_err(|error| {
        let place = error.span().map_or(0, |span| users[..span.start].matches('\n').count() + 1);
        refuse(format!("it is not TOML, as Bottlerocket asks (line {place}: {})", error.message()))
    })?;
    let settings = table(&mut all, "settings").map_err(refuse)?;
    if bootstrap.spec.instance_store_raid0 {
        let commands = table(settings, "bootstrap-commands").map_err(refuse)?;
        commands.insert("000-mount-instance-storage".to_owned(), mount_local_disks());
    }
    let kubernetes = table(settings, "kubernetes").map_err(refuse)?;
    write_cluster(bootstrap, kubernetes);
    write_kubelet(bootstrap, kubernetes);
    merge_labels(bootstrap, kubernetes).map_err(refuse)?;
    merge_taints(bootstrap, kubernetes).map_err(refuse)?;
    toml::to_string(&all).map_err(|error| refuse(format!("it cannot be written again: {error}")))
}

/// The table at `key`, made if it is not there.
fn table<'a>(parent: &'a mut Table, key: &str) -> Result<&'a mut Table, String> {
    let entry = parent.entry(key).or_insert_with(|| Value::Table(Table::new()));
    entry.as_table_mut().ok_or_else(|| format!("`{key}` must be a table"))
}

fn write_cluster(bootstrap: &Bootstrap, kubernetes: &mut Table) {
    let cluster = bootstrap.cluster;
    let mut set = |key: &str, value: &str| {
        if !value.is_empty() {
            kubernetes.insert(key.to_owned(), Value::String(value.to_owned()));
        }
    };
    set("cluster-name", &cluster.name);
    set("api-server", &cluster.endpoint);
    set("cluster-certificate", &cluster.certificate_authority);
    match bootstrap.kubelet.cluster_dns.as_slice() {
        [] => {}
        [one] => set("cluster-dns-ip", one),
        several => {
            let list = several.iter().cloned().map(Value::String).collect();
            kubernetes.insert("cluster-dns-ip".to_owned(), Value::Array(list));
        }
    }
}

fn write_kubelet(bootstrap: &Bootstrap, kubernetes: &mut Table) {
    let kubelet = &bootstrap.kubelet;
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            kubernetes.insert(key.to_owned(), value);
        }
    };
    let strings = |map: &Labels| (!map.is_empty()).then(|| Value::Table(string_table(map.clone())));
    let percent = |value: Option<i64>| value.map(|value| Value::String(value.to_string()));
    set("max-pods", bootstrap.max_pods.map(Value::Integer));
    set("kube-reserved", strings(&kubelet.kube_reserved));
    set("system-reserved", strings(&kubelet.system_reserved));
    set("eviction-hard", strings(&kubelet.eviction_hard));
    set("eviction-soft", strings(&kubelet.eviction_soft));
    set("eviction-soft-grace-period", strings(&kubelet.eviction_soft_grace_period));
    set("eviction-max-pod-grace-period", kubelet.eviction_max_pod_grace_period.map(Value::Integer));
    set("image-gc-high-threshold-percent", percent(kubelet.image_gc_high_threshold_percent));
    set("image-gc-low-threshold-percent", percent(kubelet.image_gc_low_threshold_percent));
    set("cpu-cfs-quota-enforced", kubelet.cpu_cfs_quota.map(Value::Boolean));
}

fn string_table(map: Labels) -> Table {
    map.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
}

fn merge_labels(bootstrap: &Bootstrap, kubernetes: &mut Table) -> Result<(), String> {
    let labels = table(kubernetes, "node-labels")?;
    labels.extend(string_table(bootstrap.labels.clone()));
    Ok(())
}

/// Taints are lists of `value:effect` by key; the user's stay beside ours.
fn merge_taints(bootstrap: &Bootstrap, kubernetes: &mut Table) -> Result<(), String> {
    let taints = table(kubernetes, "node-taints")?;
    for taint in &bootstrap.taints {
        let text = Value::String(format!("{}:{}", taint.value, taint.effect.as_str()));
        let present = taints.entry(taint.key.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::String(one) = present {
            *present = Value::Array(vec![Value::String(one.clone())]);
        }
        let list = present.as_array_mut().ok_or("`node-taints` must hold lists of strings")?;
        if !list.contains(&text) {
            list.push(text);
        }
    }
    Ok(())
}

/// The bootstrap command that joins the local disks and puts pods' data on them.
fn mount_local_disks() -> Value {
    let command = |words: &[&str]| {
        Value::Array(words.iter().map(|word| Value::String((*word).to_owned())).collect())
    };
    let directories = ["/var/lib/containerd", "/var/lib/kubelet", "/var/log/pods"];
    let bind = [&["apiclient", "ephemeral-storage", "bind", "--dirs"], &directories[..]].concat();
    let commands = vec![command(&["apiclient", "ephemeral-storage", "init"]), command(&bind)];
    let mut table = Table::new();
    table.insert("commands".to_owned(), Value::Array(commands));
    table.insert("mode".to_owned(), Value::String("always".to_owned()));
    table.insert("essential".to_owned(), Value::Boolean(true));
    Value::Table(table)
}
