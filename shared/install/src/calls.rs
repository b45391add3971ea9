//! Every call of AWS that installing and uninstalling make, for those who grant the permissions. CloudFormation makes more in the name of
//! whoever installs: what infra/template.yaml consists of.

use crate::problem_of::Call;

pub(crate) const AUTOSCALING_DELETE_TAGS: Call = Call::new("autoscaling", "DeleteTags", "*");
pub(crate) const AUTOSCALING_DESCRIBE_AUTO_SCALING_GROUPS: Call =
    Call::new("autoscaling", "DescribeAutoScalingGroups", "*");
pub(crate) const AUTOSCALING_DESCRIBE_AUTO_SCALING_INSTANCES: Call =
    Call::new("autoscaling", "DescribeAutoScalingInstances", "*");
pub(crate) const AUTOSCALING_TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP: Call =
    Call::new("autoscaling", "TerminateInstanceInAutoScalingGroup", "*");
pub(crate) const AUTOSCALING_UPDATE_AUTO_SCALING_GROUP: Call =
    Call::new("autoscaling", "UpdateAutoScalingGroup", "*");
pub(crate) const CLOUDFORMATION_CREATE_CHANGE_SET: Call =
    Call::new("cloudformation", "CreateChangeSet", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const CLOUDFORMATION_DELETE_CHANGE_SET: Call =
    Call::new("cloudformation", "DeleteChangeSet", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const CLOUDFORMATION_DELETE_STACK: Call =
    Call::new("cloudformation", "DeleteStack", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const CLOUDFORMATION_DESCRIBE_CHANGE_SET: Call =
    Call::new("cloudformation", "DescribeChangeSet", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const CLOUDFORMATION_DESCRIBE_STACKS: Call =
    Call::new("cloudformation", "DescribeStacks", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const CLOUDFORMATION_DESCRIBE_STACK_EVENTS: Call =
    Call::new("cloudformation", "DescribeStackEvents", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const CLOUDFORMATION_DESCRIBE_STACK_RESOURCE: Call = Call::new(
    "cloudformation",
    "DescribeStackResource",
    "arn:aws:cloudformation:*:*:stack/joiner-*",
);
pub(crate) const CLOUDFORMATION_EXECUTE_CHANGE_SET: Call =
    Call::new("cloudformation", "ExecuteChangeSet", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const CLOUDFORMATION_GET_TEMPLATE: Call =
    Call::new("cloudformation", "GetTemplate", "arn:aws:cloudformation:*:*:stack/joiner-*");
pub(crate) const EC2_CREATE_TAGS: Call = Call::new("ec2", "CreateTags", "arn:aws:ec2:*:*:*/*");
pub(crate) const EC2_DELETE_TAGS: Call = Call::new("ec2", "DeleteTags", "arn:aws:ec2:*:*:*/*");
pub(crate) const EC2_DESCRIBE_LAUNCH_TEMPLATES: Call =
    Call::new("ec2", "DescribeLaunchTemplates", "*");
pub(crate) const EC2_DESCRIBE_ROUTE_TABLES: Call = Call::new("ec2", "DescribeRouteTables", "*");
pub(crate) const EC2_DESCRIBE_SECURITY_GROUPS: Call =
    Call::new("ec2", "DescribeSecurityGroups", "*");
pub(crate) const EC2_DESCRIBE_SUBNETS: Call = Call::new("ec2", "DescribeSubnets", "*");
pub(crate) const EC2_DESCRIBE_VPCS: Call = Call::new("ec2", "DescribeVpcs", "*");
pub(crate) const EC2_DESCRIBE_VPC_ENDPOINTS: Call = Call::new("ec2", "DescribeVpcEndpoints", "*");
pub(crate) const ECR_BATCH_CHECK_LAYER_AVAILABILITY: Call =
    Call::new("ecr", "BatchCheckLayerAvailability", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_COMPLETE_LAYER_UPLOAD: Call =
    Call::new("ecr", "CompleteLayerUpload", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_CREATE_REPOSITORY: Call =
    Call::new("ecr", "CreateRepository", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_DELETE_REPOSITORY: Call =
    Call::new("ecr", "DeleteRepository", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_DESCRIBE_IMAGES: Call =
    Call::new("ecr", "DescribeImages", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_DESCRIBE_REPOSITORIES: Call =
    Call::new("ecr", "DescribeRepositories", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_INITIATE_LAYER_UPLOAD: Call =
    Call::new("ecr", "InitiateLayerUpload", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_PUT_IMAGE: Call =
    Call::new("ecr", "PutImage", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const ECR_UPLOAD_LAYER_PART: Call =
    Call::new("ecr", "UploadLayerPart", "arn:aws:ecr:*:*:repository/joiner/*");
pub(crate) const EKS_DESCRIBE_ACCESS_ENTRY: Call =
    Call::new("eks", "DescribeAccessEntry", "arn:aws:eks:*:*:access-entry/*");
pub(crate) const EKS_DESCRIBE_CLUSTER: Call =
    Call::new("eks", "DescribeCluster", "arn:aws:eks:*:*:cluster/*");
pub(crate) const EKS_DESCRIBE_NODEGROUP: Call =
    Call::new("eks", "DescribeNodegroup", "arn:aws:eks:*:*:nodegroup/*/*/*");
pub(crate) const EKS_LIST_NODEGROUPS: Call =
    Call::new("eks", "ListNodegroups", "arn:aws:eks:*:*:cluster/*");
pub(crate) const IAM_ADD_CLIENT_ID_TO_OPEN_ID_CONNECT_PROVIDER: Call =
    Call::new("iam", "AddClientIDToOpenIDConnectProvider", "arn:aws:iam::*:oidc-provider/*");
pub(crate) const IAM_CREATE_OPEN_ID_CONNECT_PROVIDER: Call =
    Call::new("iam", "CreateOpenIDConnectProvider", "arn:aws:iam::*:oidc-provider/*");
pub(crate) const IAM_CREATE_SERVICE_LINKED_ROLE: Call = Call::new(
    "iam",
    "CreateServiceLinkedRole",
    "arn:aws:iam::*:role/aws-service-role/spot.amazonaws.com/*",
);
pub(crate) const IAM_GET_INSTANCE_PROFILE: Call =
    Call::new("iam", "GetInstanceProfile", "arn:aws:iam::*:instance-profile/*");
pub(crate) const IAM_GET_OPEN_ID_CONNECT_PROVIDER: Call =
    Call::new("iam", "GetOpenIDConnectProvider", "arn:aws:iam::*:oidc-provider/*");
pub(crate) const IAM_GET_ROLE: Call = Call::new("iam", "GetRole", "arn:aws:iam::*:role/*");
pub(crate) const IAM_LIST_INSTANCE_PROFILES_FOR_ROLE: Call =
    Call::new("iam", "ListInstanceProfilesForRole", "arn:aws:iam::*:role/*");
pub(crate) const IAM_LIST_ROLES: Call = Call::new("iam", "ListRoles", "*");
pub(crate) const IAM_SIMULATE_PRINCIPAL_POLICY: Call =
    Call::new("iam", "SimulatePrincipalPolicy", "arn:aws:iam::*:role/*");
pub(crate) const LAMBDA_GET_ACCOUNT_SETTINGS: Call = Call::new("lambda", "GetAccountSettings", "*");
pub(crate) const LAMBDA_INVOKE_FUNCTION: Call =
    Call::new("lambda", "InvokeFunction", "arn:aws:lambda:*:*:function:joiner-*");
pub(crate) const LAMBDA_LIST_EVENT_SOURCE_MAPPINGS: Call =
    Call::new("lambda", "ListEventSourceMappings", "*");
pub(crate) const LAMBDA_UPDATE_EVENT_SOURCE_MAPPING: Call =
    Call::new("lambda", "UpdateEventSourceMapping", "*");
pub(crate) const S3_CREATE_BUCKET: Call = Call::new("s3", "CreateBucket", "arn:aws:s3:::joiner-*");
pub(crate) const S3_DELETE_BUCKET: Call = Call::new("s3", "DeleteBucket", "arn:aws:s3:::joiner-*");
pub(crate) const S3_DELETE_OBJECT: Call =
    Call::new("s3", "DeleteObject", "arn:aws:s3:::joiner-*/*");
pub(crate) const S3_GET_OBJECT: Call = Call::new("s3", "GetObject", "arn:aws:s3:::joiner-*/*");
pub(crate) const S3_LIST_BUCKET: Call = Call::new("s3", "ListBucket", "arn:aws:s3:::joiner-*");
pub(crate) const S3_PUT_BUCKET_PUBLIC_ACCESS_BLOCK: Call =
    Call::new("s3", "PutBucketPublicAccessBlock", "arn:aws:s3:::joiner-*");
pub(crate) const S3_PUT_BUCKET_TAGGING: Call =
    Call::new("s3", "PutBucketTagging", "arn:aws:s3:::joiner-*");
pub(crate) const S3_PUT_OBJECT: Call = Call::new("s3", "PutObject", "arn:aws:s3:::joiner-*/*");
pub(crate) const SERVICEQUOTAS_GET_SERVICE_QUOTA: Call =
    Call::new("servicequotas", "GetServiceQuota", "*");
pub(crate) const STS_GET_CALLER_IDENTITY: Call = Call::new("sts", "GetCallerIdentity", "*");

// Those of a dry decision, which the crate observe makes, market data not read anew.
const EC2_DESCRIBE_CAPACITY_RESERVATIONS: Call =
    Call::new("ec2", "DescribeCapacityReservations", "*");
const EC2_DESCRIBE_IMAGES: Call = Call::new("ec2", "DescribeImages", "*");
const EC2_DESCRIBE_INSTANCES: Call = Call::new("ec2", "DescribeInstances", "*");
const EC2_DESCRIBE_INSTANCE_STATUS: Call = Call::new("ec2", "DescribeInstanceStatus", "*");
const EC2_DESCRIBE_SPOT_INSTANCE_REQUESTS: Call =
    Call::new("ec2", "DescribeSpotInstanceRequests", "*");
const SSM_GET_PARAMETER: Call =
    Call::new("ssm", "GetParameter", "arn:aws:ssm:*::parameter/aws/service/*");

/// All of them, by service and action.
pub(crate) const ALL: &[Call] = &[
    AUTOSCALING_DELETE_TAGS,
    AUTOSCALING_DESCRIBE_AUTO_SCALING_GROUPS,
    AUTOSCALING_DESCRIBE_AUTO_SCALING_INSTANCES,
    AUTOSCALING_TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP,
    AUTOSCALING_UPDATE_AUTO_SCALING_GROUP,
    CLOUDFORMATION_CREATE_CHANGE_SET,
    CLOUDFORMATION_DELETE_CHANGE_SET,
    CLOUDFORMATION_DELETE_STACK,
    CLOUDFORMATION_DESCRIBE_CHANGE_SET,
    CLOUDFORMATION_DESCRIBE_STACKS,
    CLOUDFORMATION_DESCRIBE_STACK_EVENTS,
    CLOUDFORMATION_DESCRIBE_STACK_RESOURCE,
    CLOUDFORMATION_EXECUTE_CHANGE_SET,
    CLOUDFORMATION_GET_TEMPLATE,
    EC2_CREATE_TAGS,
    EC2_DELETE_TAGS,
    EC2_DESCRIBE_CAPACITY_RESERVATIONS,
    EC2_DESCRIBE_IMAGES,
    EC2_DESCRIBE_INSTANCES,
    EC2_DESCRIBE_INSTANCE_STATUS,
    EC2_DESCRIBE_LAUNCH_TEMPLATES,
    EC2_DESCRIBE_ROUTE_TABLES,
    EC2_DESCRIBE_SECURITY_GROUPS,
    EC2_DESCRIBE_SPOT_INSTANCE_REQUESTS,
    EC2_DESCRIBE_SUBNETS,
    EC2_DESCRIBE_VPCS,
    EC2_DESCRIBE_VPC_ENDPOINTS,
    ECR_BATCH_CHECK_LAYER_AVAILABILITY,
    ECR_COMPLETE_LAYER_UPLOAD,
    ECR_CREATE_REPOSITORY,
    ECR_DELETE_REPOSITORY,
    ECR_DESCRIBE_IMAGES,
    ECR_DESCRIBE_REPOSITORIES,
    ECR_INITIATE_LAYER_UPLOAD,
    ECR_PUT_IMAGE,
    ECR_UPLOAD_LAYER_PART,
    EKS_DESCRIBE_ACCESS_ENTRY,
    EKS_DESCRIBE_CLUSTER,
    EKS_DESCRIBE_NODEGROUP,
    EKS_LIST_NODEGROUPS,
    IAM_ADD_CLIENT_ID_TO_OPEN_ID_CONNECT_PROVIDER,
    IAM_CREATE_OPEN_ID_CONNECT_PROVIDER,
    IAM_CREATE_SERVICE_LINKED_ROLE,
    IAM_GET_INSTANCE_PROFILE,
    IAM_GET_OPEN_ID_CONNECT_PROVIDER,
    IAM_GET_ROLE,
    IAM_LIST_INSTANCE_PROFILES_FOR_ROLE,
    IAM_LIST_ROLES,
    IAM_SIMULATE_PRINCIPAL_POLICY,
    LAMBDA_GET_ACCOUNT_SETTINGS,
    LAMBDA_INVOKE_FUNCTION,
    LAMBDA_LIST_EVENT_SOURCE_MAPPINGS,
    LAMBDA_UPDATE_EVENT_SOURCE_MAPPING,
    S3_CREATE_BUCKET,
    S3_DELETE_BUCKET,
    S3_DELETE_OBJECT,
    S3_GET_OBJECT,
    S3_LIST_BUCKET,
    S3_PUT_BUCKET_PUBLIC_ACCESS_BLOCK,
    S3_PUT_BUCKET_TAGGING,
    S3_PUT_OBJECT,
    SERVICEQUOTAS_GET_SERVICE_QUOTA,
    SSM_GET_PARAMETER,
    STS_GET_CALLER_IDENTITY,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_readme_lists_them_all_and_no_others() {
        let readme = include_str!("../../../README.md");
        let listed = readme.split("What whoever installs needs").nth(1).unwrap_or_default();
        let listed = listed.lines().nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        let all = ALL.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), all);
    }
}
