//! The template's roles may do what the code does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use observe::cloud::call::CALLS;

const WRITES: [&str; 12] = [
    "ec2:CreateFleet",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateTags",
    "ec2:DeleteLaunchTemplate",
    "ec2:DescribeLaunchTemplates",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
    "iam:AddRoleToInstanceProfile",
    "iam:CreateInstanceProfile",
    "iam:GetInstanceProfile",
    "iam:PassRole",
    "iam:TagInstanceProfile",
];

#[test]
fn every_call_is_in_a_policy() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/template.yaml");
    let template = std::fs::read_to_string(path).unwrap();
    let allowed = |action: &str| {
        template.lines().any(|line| {
            let words = line.split([' ', ',', '[', ']', '"']);
            !line.trim_start().starts_with('#') && words.into_iter().any(|word| word == action)
        })
    };
    for call in CALLS.map(|call| call.to_string()).iter().map(String::as_str).chain(WRITES) {
        assert!(allowed(call), "{call} is in no policy of infra/template.yaml");
    }
}
