//! The network: subnets, security groups, the way to AWS.

use super::found;
use crate::change::{Change, Verb};
use crate::network::{self, Net};
use crate::problem::Problem;
use crate::proxy;
use crate::site::Site;
use crate::stack::parameters;
use crate::steps::tags;
use std::collections::BTreeSet;

pub(super) async fn look(site: &Site) -> Vec<Change> {
    vec![
        found("subnets for nodes", subnets(site).await),
        found("security groups for nodes", groups(site).await),
        found("discovery tags", discovery(site).await),
        found("the functions' way to AWS and the API server", egress(site).await),
    ]
}

async fn subnets(site: &Site) -> Result<Change, Problem> {
    let object = format!("private subnets of VPC {}", site.vpc.name);
    let nets = network::subnets(site).await?;
    let nodes = nets.iter().filter(|net| net.is_for_nodes()).collect::<Vec<_>>();
    let zones = nodes.iter().map(|net| net.zone.as_str()).collect::<BTreeSet<_>>();
    let told =
        format!("{} in {}", nodes.len(), zones.iter().copied().collect::<Vec<_>>().join(", "));
    Ok(match zones.len() {
        0 => Change::conflict(object, missing(&nets)),
        1 => Change::conflict(
            object,
            format!(
                "{told}: two zones are needed; make one in another zone and name it eks_private_N"
            ),
        ),
        _ => Change::keep(object, told),
    })
}

fn missing(nets: &[Net]) -> String {
    format!(
        "none of its {} subnets is private and meant for nodes: aws ec2 create-tags --resources SUBNET --tags Key=kubernetes.io/role/internal-elb,Value=1",
        nets.len()
    )
}

async fn groups(site: &Site) -> Result<Change, Problem> {
    let groups = network::groups(site).await?;
    let all = tags::all(site, &[], &groups);
    let vpc = &site.vpc.name;
    let own = all.iter().filter(|tagging| tagging.wanted.as_ref() == Some(vpc)).collect::<Vec<_>>();
    let object = format!("security groups of nodes in VPC {vpc}");
    Ok(match own.len() {
        0 => Change::conflict(
            object,
            format!(
                "neither {vpc}-nodes-sg nor ssh_eks_{vpc} nor EKS's own is there: aws ec2 create-tags --resources GROUP --tags Key=Name,Value={vpc}-nodes-sg"
            ),
        ),
        number => Change::keep(object, format!("{number}, and {} of pools", all.len() - number)),
    })
}

/// What the step `tags` would stumble over is told here already.
async fn discovery(site: &Site) -> Result<Change, Problem> {
    let force = site.options.force;
    let changes = tags::read(site).await?.into_iter().map(|tagging| tagging.change(force));
    let changes = changes.collect::<Vec<_>>();
    let count = |verb: Verb| changes.iter().filter(|change| change.verb == verb).count();
    let object = "discovery tags";
    Ok(match changes.iter().find(|change| change.verb == Verb::Conflict) {
        Some(first) => {
            let more = count(Verb::Conflict) - 1;
            Change::conflict(
                object,
                format!("{}: {} ({more} more like this)", first.object, first.detail),
            )
        }
        None => Change::keep(
            object,
            format!(
                "{} are right, {} are missing and made by the step tags",
                count(Verb::Keep),
                count(Verb::Create)
            ),
        ),
    })
}

async fn egress(site: &Site) -> Result<Change, Problem> {
    let object = "the functions' way to AWS and the API server";
    let proxy = proxy::of(site).await?;
    if site.public_endpoint {
        let webhook = proxy.map(|proxy| format!("; the webhook's is the proxy {proxy}"));
        let told = "in no VPC: the API server's endpoint is public";
        return Ok(Change::keep(object, format!("{told}{}", webhook.unwrap_or_default())));
    }
    if let Some(proxy) = proxy {
        return Ok(Change::keep(object, format!("in the cluster's VPC, by the proxy {proxy}")));
    }
    let values = parameters::in_vpc(site, None).await?;
    let endpoints = values.get("PrivateEndpoints").map_or("none", String::as_str);
    Ok(Change::keep(
        object,
        match endpoints {
            "none" => "in the cluster's VPC, by what it has".to_owned(),
            made => format!("in the cluster's VPC; the stack makes endpoints: {made}"),
        },
    ))
}
