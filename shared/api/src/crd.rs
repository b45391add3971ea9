//! The CustomResourceDefinitions of the kinds that Joiner reads.

use crate::{aws_node_template, ec2_node_class, node_claim, node_overlay, node_pool, provisioner};
use serde_json::{Value, json};

/// A served or known version: name, schema, whether it is served, and columns of `kubectl get` as (name, JSON path).
struct Version {
    name: &'static str,
    schema: fn() -> &'static Value,
    served: bool,
    columns: &'static [(&'static str, &'static str)],
}

struct Kind {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: &'static [&'static str],
    /// The first version is the one stored.
    versions: &'static [Version],
}

const READY: (&str, &str) = ("Ready", ".status.conditions[?(@.type==\"Ready\")].status");
const AGE: (&str, &str) = ("Age", ".metadata.creationTimestamp");
const POOL_COLUMNS: &[(&str, &str)] = &[
    ("NodeClass", ".spec.template.spec.nodeClassRef.name"),
    ("Nodes", ".status.resources.nodes"),
    READY,
    AGE,
    ("Weight", ".spec.weight"),
];
const CLAIM_COLUMNS: &[(&str, &str)] = &[
    ("Type", ".metadata.labels.node\\.kubernetes\\.io/instance-type"),
    ("Capacity", ".metadata.labels.karpenter\\.sh/capacity-type"),
    ("Zone", ".metadata.labels.topology\\.kubernetes\\.io/zone"),
    ("Node", ".status.nodeName"),
    READY,
    AGE,
];
const CLASS_COLUMNS: &[(&str, &str)] = &[READY, AGE, ("Role", ".spec.role")];

/// v1beta1 objects are read from files, but not served: without a conversion webhook an API server would store them without their
/// kubelet settings and expiry, and say nothing. Karpenter 1.1 and later do not serve them either.
const KINDS: &[Kind] = &[
    Kind {
        group: "karpenter.sh",
        kind: "Provisioner",
        plural: "provisioners",
        singular: "provisioner",
        short_names: &[],
        versions: &[Version {
            name: "v1alpha5",
            schema: provisioner::schema,
            served: true,
            columns: &[("Template", ".spec.providerRef.name"), ("Weight", ".spec.weight"), AGE],
        }],
    },
    Kind {
        group: "karpenter.k8s.aws",
        kind: "AWSNodeTemplate",
        plural: "awsnodetemplates",
        singular: "awsnodetemplate",
        short_names: &[],
        versions: &[Version {
            name: "v1alpha1",
            schema: aws_node_template::schema,
            served: true,
            columns: &[AGE],
        }],
    },
    Kind {
        group: "karpenter.sh",
        kind: "NodePool",
        plural: "nodepools",
        singular: "nodepool",
        short_names: &[],
        versions: &[
            Version { name: "v1", schema: node_pool::schema, served: true, columns: POOL_COLUMNS },
            Version {
                name: "v1beta1",
                schema: node_pool::beta_schema,
                served: false,
                columns: POOL_COLUMNS,
            },
        ],
    },
    Kind {
        group: "karpenter.sh",
        kind: "NodeClaim",
        plural: "nodeclaims",
        singular: "nodeclaim",
        short_names: &[],
        versions: &[
            Version {
                name: "v1",
                schema: node_claim::schema,
                served: true,
                columns: CLAIM_COLUMNS,
            },
            Version {
                name: "v1beta1",
                schema: node_claim::beta_schema,
                served: false,
                columns: CLAIM_COLUMNS,
            },
        ],
    },
    Kind {
        group: "karpenter.sh",
        kind: "NodeOverlay",
        plural: "nodeoverlays",
        singular: "nodeoverlay",
        short_names: &["overlays"],
        versions: &[Version {
            name: "v1alpha1",
            schema: node_overlay::schema,
            served: true,
            columns: &[READY, AGE, ("Weight", ".spec.weight")],
        }],
    },
    Kind {
        group: "karpenter.k8s.aws",
        kind: "EC2NodeClass",
        plural: "ec2nodeclasses",
        singular: "ec2nodeclass",
        short_names: &["ec2nc", "ec2ncs"],
        versions: &[
            Version {
                name: "v1",
                schema: ec2_node_class::schema,
                served: true,
                columns: CLASS_COLUMNS,
            },
            Version {
                name: "v1beta1",
                schema: ec2_node_class::beta_schema,
                served: false,
                columns: CLASS_COLUMNS,
            },
        ],
    },
];

/// The CustomResourceDefinitions (apiextensions.k8s.io/v1) of all kinds, legacy first.
pub fn custom_resource_definitions() -> Vec<Value> {
    KINDS.iter().map(definition).collect()
}

fn definition(kind: &Kind) -> Value {
    let Kind { group, plural, singular, short_names, .. } = kind;
    let versions: Vec<_> = kind.versions.iter().enumerate().map(version).collect();
    let mut names = json!({
        "categories": ["karpenter"],
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": plural,
        "singular": singular,
    });
    if !short_names.is_empty() {
        names["shortNames"] = json!(short_names);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "names": names, "scope": "Cluster", "versions": versions },
    })
}

fn version((index, version): (usize, &Version)) -> Value {
    let column = |(name, path): &(&str, &str)| {
        let kind = match *name {
            "Age" => "date",
            "Weight" => "integer",
            _ => "string",
        };
        json!({ "name": name, "type": kind, "jsonPath": path })
    };
    json!({
        "name": version.name,
        "served": version.served,
        "storage": index == 0,
        "subresources": { "status": {} },
        "additionalPrinterColumns": version.columns.iter().map(column).collect::<Vec<_>>(),
        "schema": { "openAPIV3Schema": (version.schema)() },
    })
}
