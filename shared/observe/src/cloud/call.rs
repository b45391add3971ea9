//! The calls that reading AWS makes, and the permissions that they need.

use std::fmt;

/// One action of an AWS service, as IAM names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The service's prefix in IAM: `ec2`.
    pub service: &'static str,
    /// The action: `DescribeInstances`.
    pub action: &'static str,
    /// What the permission is for: `*`, or the resource after the region of its ARN, in which `{}` stands for the name.
    resource: &'static str,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.action)
    }
}

const fn ec2(action: &'static str) -> Call {
    Call { service: "ec2", action, resource: "*" }
}

/// Instances by the cluster's tag; made every turn.
pub const DESCRIBE_INSTANCES: Call = ec2("DescribeInstances");
/// Scheduled events and failing checks of instances.
pub const DESCRIBE_INSTANCE_STATUS: Call = ec2("DescribeInstanceStatus");
/// Spot requests whose instances are about to be taken back.
pub const DESCRIBE_SPOT_INSTANCE_REQUESTS: Call = ec2("DescribeSpotInstanceRequests");
/// Subnets of classes.
pub const DESCRIBE_SUBNETS: Call = ec2("DescribeSubnets");
/// Security groups of classes.
pub const DESCRIBE_SECURITY_GROUPS: Call = ec2("DescribeSecurityGroups");
/// Images of classes.
pub const DESCRIBE_IMAGES: Call = ec2("DescribeImages");
/// Capacity reservations of classes that select any.
pub const DESCRIBE_CAPACITY_RESERVATIONS: Call = ec2("DescribeCapacityReservations");
/// Instance types that the embedded catalog does not know.
pub const DESCRIBE_INSTANCE_TYPES: Call = ec2("DescribeInstanceTypes");
/// Which types each zone offers.
pub const DESCRIBE_INSTANCE_TYPE_OFFERINGS: Call = ec2("DescribeInstanceTypeOfferings");
/// Spot prices.
pub const DESCRIBE_SPOT_PRICE_HISTORY: Call = ec2("DescribeSpotPriceHistory");
/// The ids of the region's zones.
pub const DESCRIBE_AVAILABILITY_ZONES: Call = ec2("DescribeAvailabilityZones");
/// Public parameters that name images.
pub const GET_PARAMETER: Call =
    Call { service: "ssm", action: "GetParameter", resource: "parameter{}" };
/// List prices.
pub const GET_PRODUCTS: Call = Call { service: "pricing", action: "GetProducts", resource: "*" };
/// The cluster's endpoint, version and network.
pub const DESCRIBE_CLUSTER: Call =
    Call { service: "eks", action: "DescribeCluster", resource: "cluster/{}" };

/// Every call that this crate makes, by service and action: the read policy must allow them all.
pub const CALLS: [Call; 14] = [
    DESCRIBE_AVAILABILITY_ZONES,
    DESCRIBE_CAPACITY_RESERVATIONS,
    DESCRIBE_IMAGES,
    DESCRIBE_INSTANCE_STATUS,
    DESCRIBE_INSTANCE_TYPE_OFFERINGS,
    DESCRIBE_INSTANCE_TYPES,
    DESCRIBE_INSTANCES,
    DESCRIBE_SECURITY_GROUPS,
    DESCRIBE_SPOT_INSTANCE_REQUESTS,
    DESCRIBE_SPOT_PRICE_HISTORY,
    DESCRIBE_SUBNETS,
    DESCRIBE_CLUSTER,
    GET_PRODUCTS,
    GET_PARAMETER,
];

impl Call {
    /// The policy statement that allows this call, for the cluster or parameter of that name where the action knows such.
    /// Accounts are left open, because policies are attached inside one.
    pub fn statement(self, region: &str, name: &str) -> String {
        let resource = match self.resource {
            "*" => "*".to_owned(),
            resource => {
                let account = if name.starts_with("/aws/service/") { "" } else { "*" };
                let resource = resource.replace("{}", &parameter_scope(name));
                format!("arn:{}:{}:{region}:{account}:{resource}", partition(region), self.service)
            }
        };
        format!(r#"{{"Effect":"Allow","Action":"{self}","Resource":"{resource}"}}"#)
    }
}

/// Public parameters are allowed as a whole: their names change with every version of Kubernetes.
fn parameter_scope(name: &str) -> String {
    if name.starts_with("/aws/service/") { "/aws/service/*".to_owned() } else { name.to_owned() }
}

/// The partition of a region: the second part of its ARNs.
pub(crate) fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_as_little_as_the_action_permits() {
        let check = |call: Call, region: &str, name: &str, resource: &str| {
            let expected =
                format!(r#"{{"Effect":"Allow","Action":"{call}","Resource":"{resource}"}}"#);
            assert_eq!(call.statement(region, name), expected);
        };
        check(DESCRIBE_INSTANCES, "us-east-1", "demo", "*");
        check(DESCRIBE_CLUSTER, "us-east-1", "demo", "arn:aws:eks:us-east-1:*:cluster/demo");
        check(DESCRIBE_CLUSTER, "cn-north-1", "demo", "arn:aws-cn:eks:cn-north-1:*:cluster/demo");
        check(
            GET_PARAMETER,
            "us-gov-west-1",
            "/aws/service/eks/optimized-ami/1.33/x",
            "arn:aws-us-gov:ssm:us-gov-west-1::parameter/aws/service/*",
        );
        check(GET_PARAMETER, "us-east-1", "/golden", "arn:aws:ssm:us-east-1:*:parameter/golden");
    }
}
