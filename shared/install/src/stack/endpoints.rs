//! Which endpoints a VPC lacks for functions in it.

use crate::calls::EC2_DESCRIBE_VPC_ENDPOINTS;
use crate::network::Net;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use aws_sdk_ec2::types::{Filter, RouteTable};
use std::collections::BTreeSet;

/// Endpoints that gen3's VPCs have (its terraform: ec2, sts, autoscaling, ecr, ebs, logs), of those that functions need.
const GEN3: [&str; 2] = ["ec2", "sts"];
/// Those that it lacks, which the template's choice `gen3` makes.
const LACKING: [&str; 4] = ["eks", "events", "sqs", "ssm"];

/// The template's choice of endpoints: `none`, `gen3` or `all`.
pub(crate) async fn needed(site: &Site, nets: &[&Net]) -> Result<&'static str, Problem> {
    let object = format!("endpoints of VPC {}", site.vpc.name);
    let by_vpc = Filter::builder().name("vpc-id").values(&site.vpc.id).build();
    let answer = site.aws.ec2.describe_vpc_endpoints().filters(by_vpc).send().await;
    let answer = answer.map_err(|error| of_aws(EC2_DESCRIBE_VPC_ENDPOINTS, &object, &error))?;
    let names = answer.vpc_endpoints().iter().filter_map(|endpoint| endpoint.service_name());
    let there = names.filter_map(|name| name.rsplit('.').next()).collect::<BTreeSet<_>>();
    choice(&there, all_lead_out(site, nets).await?, &site.vpc.name)
}

fn choice(there: &BTreeSet<&str>, leads_out: bool, vpc: &str) -> Result<&'static str, Problem> {
    let has = |names: &[&str]| names.iter().filter(|name| there.contains(*name)).count();
    match (has(&GEN3), has(&LACKING)) {
        (2, 4) => Ok("none"),
        _ if leads_out => Ok("none"),
        (2, 0) => Ok("gen3"),
        (0, 0) => Ok("all"),
        _ => {
            let all = GEN3.iter().chain(&LACKING).filter(|name| !there.contains(*name));
            let missing = all.copied().collect::<Vec<_>>().join(", ");
            Err(Problem::not_found(
                format!("endpoints of VPC {vpc} for {missing}"),
                "functions in it could not reach them, and the template makes either all or those that gen3's VPCs lack",
                "make them with `aws ec2 create-vpc-endpoint --vpc-endpoint-type Interface`, or a NAT gateway, or name a proxy with --proxy",
            ))
        }
    }
}

/// Whether every one of these subnets leads out by itself.
pub(crate) async fn all_lead_out(site: &Site, nets: &[&Net]) -> Result<bool, Problem> {
    let routes = crate::network::routes(site).await?;
    Ok(nets.iter().all(|net| leads_out(&net.id, &routes)))
}

/// Whether the subnet's default route goes by a NAT or transit gateway.
fn leads_out(subnet: &str, routes: &[RouteTable]) -> bool {
    crate::network::table_of(subnet, routes).is_some_and(|table| {
        table.routes().iter().any(|route| {
            route.destination_cidr_block() == Some("0.0.0.0/0")
                && (route.nat_gateway_id().is_some() || route.transit_gateway_id().is_some())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_made() {
        let check = |there: &[&str], out, expected: Option<&str>| {
            let there = there.iter().copied().collect::<BTreeSet<_>>();
            assert_eq!(choice(&there, out, "qa").ok(), expected, "{there:?}");
        };
        check(&[], false, Some("all"));
        check(&[], true, Some("none"));
        check(&["ec2", "sts", "logs"], false, Some("gen3"));
        check(&["ec2", "sts", "eks", "events", "sqs", "ssm"], false, Some("none"));
        check(&["ec2", "sts", "sqs"], false, None);
        check(&["ec2", "sts", "sqs"], true, Some("none"));
    }
}
