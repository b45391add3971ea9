//! The user data of each image family: the user's own first and unchanged, then what makes the node join.
//!
//! Behaviour as in karpenter-provider-aws `pkg/providers/amifamily/bootstrap`.

mod al2;
mod al2023;
mod bottlerocket;
mod kubelet;
mod mime;
mod windows;
mod yaml;

use super::error::TemplateError;
use super::labels::{node_labels, node_taints};
use crate::ports::FleetRequest;
use model::node_class::{ClusterFacts, KubeletSettings, NodeClassSpec};
use model::pool::ImageFamily;
use model::{Labels, Taint};
use std::net::IpAddr;

/// EC2's limit for user data before it is encoded, in bytes.
const LIMIT: usize = 16 * 1024;

/// All that a bootstrap is made of.
struct Bootstrap<'a> {
    spec: &'a NodeClassSpec,
    cluster: &'a ClusterFacts,
    labels: Labels,
    taints: Vec<Taint>,
    kubelet: KubeletSettings,
    max_pods: Option<i64>,
}

/// The user data of one template, not encoded yet.
pub(super) fn render(
    request: &FleetRequest,
    spec: &NodeClassSpec,
    cluster: &ClusterFacts,
    max_pods: Option<i64>,
) -> Result<String, TemplateError> {
    let bootstrap = bootstrap(request, spec, cluster, max_pods);
    let text = match spec.image_family {
        ImageFamily::Al2 | ImageFamily::Ubuntu => al2::render(&bootstrap)?,
        ImageFamily::Al2023 => al2023::render(&bootstrap)?,
        ImageFamily::Bottlerocket => bottlerocket::render(&bootstrap)?,
        ImageFamily::Windows2019 | ImageFamily::Windows2022 | ImageFamily::Windows2025 => {
            windows::render(&bootstrap)?
        }
        ImageFamily::Custom => spec.user_data.clone().unwrap_or_default(),
    };
    if text.len() > LIMIT {
        let message = format!(
            "with what makes the node join it has {} bytes, and EC2 takes at most {LIMIT}; let a short script fetch the long one",
            text.len()
        );
        return Err(TemplateError::new(spec, "userData", &message));
    }
    Ok(text)
}

fn bootstrap<'a>(
    request: &FleetRequest,
    spec: &'a NodeClassSpec,
    cluster: &'a ClusterFacts,
    max_pods: Option<i64>,
) -> Bootstrap<'a> {
    let mut kubelet =
        spec.kubelet.clone().or_else(|| request.pool_kubelet.clone()).unwrap_or_default();
    if kubelet.cluster_dns.is_empty() {
        kubelet.cluster_dns = dns_address(&cluster.service_cidr).into_iter().collect();
    }
    let max_pods = max_pods.or(kubelet.max_pods);
    let (labels, taints) = (node_labels(request, spec), node_taints(request));
    Bootstrap { spec, cluster, labels, taints, kubelet, max_pods }
}

/// The tenth address of the service range, which EKS gives to the cluster's DNS.
fn dns_address(service_cidr: &str) -> Option<String> {
    let (network, _) = service_cidr.split_once('/')?;
    match network.parse().ok()? {
        IpAddr::V4(address) => {
            Some(std::net::Ipv4Addr::from(u32::from(address).checked_add(10)?).to_string())
        }
        IpAddr::V6(address) => {
            Some(std::net::Ipv6Addr::from(u128::from(address).checked_add(10)?).to_string())
        }
    }
}

impl Bootstrap<'_> {
    /// The user's user data; `None` if there is none but white space.
    fn users(&self) -> Option<&str> {
        self.spec.user_data.as_deref().filter(|text| !text.trim().is_empty())
    }

    fn error(&self, field: &'static str, message: &str) -> TemplateError {
        TemplateError::new(self.spec, field, message)
    }

    /// Refuses what would leave the quotes of a shell's or PowerShell's word. Kubernetes allows none of it in labels and taints.
    fn quotable(&self, field: &'static str, text: &str) -> Result<(), TemplateError> {
        let breaks = |c: char| c.is_control() || "'\"`$\\".contains(c);
        match text.chars().find(|c| breaks(*c)) {
            None => Ok(()),
            Some(c) => {
                let message = format!("{c:?} cannot be passed to the node's bootstrap; remove it");
                Err(self.error(field, &message))
            }
        }
    }
}

#[cfg(test)]
mod tests;
