//! What EKS knows of the cluster.

use super::call::DESCRIBE_CLUSTER;
use super::clients::Clients;
use super::error::CloudReadError;
use aws_sdk_eks::types::{Cluster, IpFamily};
use model::ClusterFacts;

/// Reads the cluster of that name.
pub(crate) async fn read(clients: &Clients, name: &str) -> Result<ClusterFacts, CloudReadError> {
    clients.gate.pass(DESCRIBE_CLUSTER)?;
    let answer = clients.eks.describe_cluster().name(name).send().await;
    let error = match answer {
        Ok(answer) => match answer.cluster {
            Some(cluster) => return Ok(facts(&cluster, name, &clients.region)),
            None => None,
        },
        Err(error) => Some(error),
    };
    let missing = error.as_ref().and_then(|error| error.as_service_error());
    match error {
        Some(error) if !missing.is_some_and(|error| error.is_resource_not_found_exception()) => {
            Err(CloudReadError::of(DESCRIBE_CLUSTER, &clients.region, name, &error))
        }
        _ => Err(CloudReadError::NotFound {
            call: DESCRIBE_CLUSTER,
            what: format!("the EKS cluster {name} in {}", clients.region),
        }),
    }
}

fn facts(cluster: &Cluster, name: &str, region: &str) -> ClusterFacts {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let network = cluster.kubernetes_network_config();
    let ipv6 = network.and_then(|network| network.ip_family()) == Some(&IpFamily::Ipv6);
    let cidr = network.and_then(|network| match ipv6 {
        true => network.service_ipv6_cidr(),
        false => network.service_ipv4_cidr(),
    });
    ClusterFacts {
        name: name.to_owned(),
        endpoint: text(cluster.endpoint()),
        certificate_authority: text(cluster.certificate_authority().and_then(|ca| ca.data())),
        version: text(cluster.version()),
        service_cidr: text(cidr),
        ipv6,
        vpc_id: text(cluster.resources_vpc_config().and_then(|vpc| vpc.vpc_id())),
        region: region.to_owned(),
    }
}
