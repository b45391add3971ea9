//! Images of classes, by every way of naming them.

use super::wire::{NOW, Wire, class, image, images, parameter, usual};
use crate::cloud::Facts;
use model::{Timestamp, labels};
use serde_json::{Value, json};

/// Each image with what it asks of a type: `ami-1 amd64 gpu=no accelerator=no`.
async fn found(wire: &Wire, class: Value) -> Result<Vec<String>, String> {
    let reading = wire.read(&[class], &mut Facts::default(), NOW).await.unwrap();
    let class = &reading.classes[0];
    if let Some((condition, message)) = class.problems.first() {
        assert_eq!(condition, "AMIsReady");
        return Err(message.clone());
    }
    let text = |image: &model::node_class::Image| {
        let mut text = image.id.clone();
        for (key, set) in image.requirements.iter() {
            let key = key.trim_start_matches(labels::INSTANCE_LABEL_PREFIX);
            let key = key.trim_start_matches("instance-").trim_end_matches("-count");
            let set = set.to_string().replace("In [", "").replace(']', "");
            text = match (key, set.as_str()) {
                (labels::ARCH, arch) => format!("{text} {arch}"),
                (_, "DoesNotExist") => format!("{text} {key}=no"),
                (_, "Exists") => format!("{text} {key}=yes"),
                (_, set) => format!("{text} {key}={set}"),
            };
        }
        if image.deprecated { format!("{text} deprecated") } else { text }
    };
    Ok(class.images.iter().map(text).collect())
}

async fn check(wire: &Wire, fields: Value, expected: &[&str]) {
    let found = found(wire, class(fields.clone())).await;
    assert_eq!(found.unwrap(), expected, "{fields}");
}

fn alias(alias: &str) -> Value {
    json!({ "amiSelectorTerms": [{ "alias": alias }] })
}

/// A parameter for each variant, named by a part of its path, and its image.
fn with_variants(variants: &[(&str, &str, &str)]) -> Wire {
    let wire = usual();
    wire.fail("target=GetParameter", 400, r#"{"__type":"ParameterNotFound","message":""}"#);
    for (path, id, _) in variants {
        wire.answer(&format!("target=GetParameter {path}"), parameter(id));
    }
    let list = variants.iter().map(|(_, id, arch)| image(id, arch, "11-01", "", &[]));
    wire.answer("Action=DescribeImages", images(&list.collect::<Vec<_>>()));
    wire
}

#[tokio::test]
async fn each_familys_own_images_are_found_by_their_parameters() {
    const EKS: &str = "/aws/service/eks/optimized-ami/1.33";
    let al2023 = |path: &str| format!("{EKS}/amazon-linux-2023/{path}/recommended/image_id");
    let wire = with_variants(&[
        (&al2023("x86_64/standard"), "ami-1", "x86_64"),
        (&al2023("arm64/standard"), "ami-2", "arm64"),
        (&al2023("x86_64/nvidia"), "ami-3", "x86_64"),
        (&al2023("x86_64/neuron"), "ami-4", "x86_64"),
    ]);
    check(
        &wire,
        json!({}),
        &[
            "ami-1 accelerator=no gpu=no amd64",
            "ami-2 accelerator=no gpu=no arm64",
            "ami-3 gpu=yes amd64",
            "ami-4 accelerator=yes amd64",
        ],
    )
    .await;
}

/// Checks which parameters are asked for.
async fn check_parameters(class: Value, expected: &[&str]) {
    let wire = usual();
    wire.read(&[class], &mut Facts::default(), NOW).await.unwrap();
    let asked = wire.requests();
    let name = |request: &String| {
        let body = request.split_once(r#""Name":""#)?.1;
        Some(body.split('"').next()?.to_owned())
    };
    let mut names = asked.iter().filter_map(name).collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn parameters_are_those_of_the_alias_and_version() {
    check_parameters(
        class(alias("al2023@v20250915")),
        &[
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/arm64/nvidia/amazon-eks-node-al2023-arm64-nvidia-1.33-v20250915/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/arm64/standard/amazon-eks-node-al2023-arm64-standard-1.33-v20250915/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64/neuron/amazon-eks-node-al2023-x86_64-neuron-1.33-v20250915/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64/nvidia/amazon-eks-node-al2023-x86_64-nvidia-1.33-v20250915/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64/standard/amazon-eks-node-al2023-x86_64-standard-1.33-v20250915/image_id",
        ],
    )
    .await;
    check_parameters(
        class(alias("bottlerocket@v1.20.4")),
        &[
            "/aws/service/bottlerocket/aws-k8s-1.33-nvidia/arm64/1.20.4/image_id",
            "/aws/service/bottlerocket/aws-k8s-1.33-nvidia/x86_64/1.20.4/image_id",
            "/aws/service/bottlerocket/aws-k8s-1.33/arm64/1.20.4/image_id",
            "/aws/service/bottlerocket/aws-k8s-1.33/x86_64/1.20.4/image_id",
        ],
    )
    .await;
    check_parameters(
        class(alias("al2@v20240807")),
        &[
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2-arm64/amazon-eks-arm64-node-1.33-v20240807/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2-gpu/amazon-eks-gpu-node-1.33-v20240807/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2/amazon-eks-node-1.33-v20240807/image_id",
        ],
    )
    .await;
    check_parameters(
        class(alias("windows2022@latest")),
        &["/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-EKS_Optimized-1.33/image_id"],
    )
    .await;
    let own = json!({ "amiFamily": "AL2", "amiSelectorTerms": [{ "ssmParameter": "/golden" }] });
    check_parameters(class(own), &["/golden"]).await;
}

#[tokio::test]
async fn a_legacy_template_without_a_selector_uses_its_familys_own_images() {
    let template = |family: &str| {
        json!({
            "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate", "metadata": { "name": "x" },
            "spec": { "amiFamily": family, "subnetSelector": { "a": "b" }, "securityGroupSelector": { "a": "b" } }
        })
    };
    check_parameters(
        template("Ubuntu"),
        &[
            "/aws/service/canonical/ubuntu/eks/20.04/1.33/stable/current/amd64/hvm/ebs-gp2/ami-id",
            "/aws/service/canonical/ubuntu/eks/20.04/1.33/stable/current/arm64/hvm/ebs-gp2/ami-id",
        ],
    )
    .await;
    check_parameters(
        template("AL2"),
        &[
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2-arm64/recommended/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2-gpu/recommended/image_id",
            "/aws/service/eks/optimized-ami/1.33/amazon-linux-2/recommended/image_id",
        ],
    )
    .await;
}

#[tokio::test]
async fn one_image_may_serve_two_kinds_of_types() {
    let wire = with_variants(&[("amazon-linux-2-gpu", "ami-1", "x86_64")]);
    check(&wire, alias("al2@latest"), &["ami-1 accelerator=yes amd64", "ami-1 gpu=yes amd64"])
        .await;
    let wire = with_variants(&[("Windows_Server-2019", "ami-1", "x86_64")]);
    check(&wire, alias("windows2019@latest"), &["ami-1 amd64 kubernetes.io/os=windows"]).await;
}

#[tokio::test]
async fn the_newest_image_that_is_not_deprecated_is_used() {
    let wire = usual();
    wire.answer(
        "Action=DescribeImages",
        images(&[
            image("ami-1", "x86_64", "01-01", "", &[]),
            image("ami-2", "x86_64", "03-01", "04-01", &[]),
            image("ami-3", "x86_64", "02-01", "12-31", &[]),
            image("ami-4", "arm64", "01-01", "02-01", &[]),
            image("ami-5", "i386", "01-01", "", &[]),
        ]),
    );
    let named = json!({ "amiFamily": "Custom", "amiSelectorTerms": [{ "name": "golden-*" }] });
    check(&wire, named.clone(), &["ami-3 amd64", "ami-4 arm64 deprecated"]).await;
    let asked = wire.requests().into_iter().find(|request| request.contains("DescribeImages"));
    let asked = asked.unwrap();
    for part in [
        "Owner.1=self&Owner.2=amazon",
        "Name=name&Filter.1.Value.1=golden-*",
        "Name=state&Filter.2.Value.1=available",
        "IncludeDeprecated=true",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[tokio::test]
async fn owners_are_ones_own_and_amazon_only_where_a_name_could_be_anyones() {
    let check = async |term: Value, expected: &[&str]| {
        let wire = usual();
        let fields = json!({ "amiFamily": "Custom", "amiSelectorTerms": [term] });
        wire.read(&[class(fields)], &mut Facts::default(), NOW).await.unwrap();
        let asked =
            wire.requests().into_iter().find(|request| request.contains("DescribeImages")).unwrap();
        let owners = asked.split('&').filter(|part| part.starts_with("Owner.")).collect::<Vec<_>>();
        assert_eq!(owners, expected, "{asked}");
    };
    check(json!({ "name": "x" }), &["Owner.1=self", "Owner.2=amazon"]).await;
    check(json!({ "name": "x", "owner": "amazon" }), &["Owner.1=amazon"]).await;
    check(json!({ "tags": { "a": "b" } }), &[]).await;
    check(json!({ "id": "ami-1" }), &[]).await;
}

#[tokio::test]
async fn tags_of_an_image_are_requirements_in_the_legacy_api_only() {
    let wire = usual();
    let tags = [
        ("karpenter.k8s.aws/instance-category", "m"),
        ("team", "x"),
        ("kubernetes.io/arch", "arm64"),
    ];
    wire.answer("Action=DescribeImages", images(&[image("ami-1", "x86_64", "01-01", "", &tags)]));
    let template = json!({
        "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate", "metadata": { "name": "x" },
        "spec": {
            "amiSelector": { "aws::name": "EKS-FIPS*", "aws::owners": "143731057154" },
            "subnetSelector": { "karpenter.sh/discovery": "demo" }, "securityGroupSelector": { "karpenter.sh/discovery": "demo" }
        }
    });
    assert_eq!(found(&wire, template).await.unwrap(), ["ami-1 category=m amd64"]);
    let asked = wire.requests().concat();
    assert!(
        asked.contains("Owner.1=143731057154") && asked.contains("Value.1=EKS-FIPS*"),
        "{asked}"
    );
    let modern = json!({ "amiFamily": "Custom", "amiSelectorTerms": [{ "id": "ami-1" }] });
    check(&wire, modern, &["ami-1 amd64"]).await;
}

#[tokio::test]
async fn an_image_that_is_gone_is_told_with_what_to_do() {
    let check = async |wire: Wire, fields: Value, expected: &str| {
        let found = found(&wire, class(fields)).await;
        assert_eq!(found.unwrap_err(), expected);
    };
    let empty = || {
        let wire = usual();
        wire.answer("Action=DescribeImages", images(&[]));
        wire
    };
    let custom = |terms: Value| json!({ "amiFamily": "Custom", "amiSelectorTerms": terms });
    check(
        empty(),
        custom(json!([{ "id": "ami-9" }, { "name": "golden", "owner": "123456789012" }, { "ssmParameter": "/golden" }])),
        "no available image in us-east-1 has the id ami-9 or the name golden and the owner given or the id that the parameter /golden holds; it may be gone or not shared with this account: correct amiSelectorTerms",
    )
    .await;
    let gone = with_variants(&[]);
    check(
        gone,
        alias("al2@latest"),
        "no image of Al2 latest for Kubernetes 1.33 in us-east-1: there is no parameter /aws/service/eks/optimized-ami/1.33/amazon-linux-2/recommended/image_id (nor its variants) that names an image; correct amiSelectorTerms, or choose a family that supports this version",
    )
    .await;
}

#[tokio::test]
async fn a_parameter_whose_image_is_gone_is_read_again() {
    let wire = with_variants(&[("x86_64/standard", "ami-1", "x86_64")]);
    let mut memory = Facts::default();
    let classes = [class(json!({}))];
    wire.read(&classes, &mut memory, NOW).await.unwrap();
    wire.answer("target=GetParameter x86_64/standard", parameter("ami-2"))
        .answer("Action=DescribeImages", images(&[]));
    let gone = wire.read(&classes, &mut memory, Timestamp(NOW.0 + 300)).await.unwrap();
    assert_eq!(gone.classes[0].images, []);
    wire.answer("Action=DescribeImages", images(&[image("ami-2", "x86_64", "11-02", "", &[])]));
    let new = wire.read(&classes, &mut memory, Timestamp(NOW.0 + 301)).await.unwrap();
    assert_eq!(new.classes[0].images[0].id, "ami-2");
}
