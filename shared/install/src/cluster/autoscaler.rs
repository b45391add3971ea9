//! Cluster Autoscaler, whatever it is called, and all that belongs to it alone.

use super::objects::{Named, Objects};
use crate::problem::Problem;
use serde_json::Value;

/// By what it is known.
const NAME: &str = "cluster-autoscaler";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// What was found: the Deployments, and in the order in which they go, what belongs to them alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Its Deployments.
    pub(crate) deployments: Vec<Value>,
    /// Bindings, roles, service accounts.
    pub(crate) rights: Vec<Value>,
    /// Releases of Helm that will still list it.
    pub(crate) releases: Vec<String>,
}

impl Found {
    /// All of it, in the order in which it goes; the other way round it comes back.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.deployments.iter().chain(&self.rights)
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether it is Cluster Autoscaler: by its name, its labels, its image or its command.
fn is_autoscaler(deployment: &Value) -> bool {
    if text(deployment, "/metadata/name").contains(NAME) {
        return true;
    }
    let keys = ["app", "k8s-app", "app.kubernetes.io/name", "app.kubernetes.io/component"];
    let labels = &deployment["metadata"]["labels"];
    let labelled = keys.iter().any(|key| {
        labels[*key]
            .as_str()
            .is_some_and(|value| value == NAME || value.ends_with("-cluster-autoscaler"))
    });
    let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let runs = containers.into_iter().flatten().any(|one| {
        let image = text(one, "/image").rsplit('/').next().unwrap_or_default();
        let image = image.split(['@', ':']).next().unwrap_or_default();
        image == NAME || text(one, "/command/0").ends_with(NAME)
    });
    labelled || runs
}

/// Looks for it in all namespaces.
///
/// # Errors
/// If the API server does not tell.
pub(crate) async fn find(objects: &Objects) -> Result<Found, Problem> {
    let mut deployments = objects.list("apps/v1", "Deployment", "").await?;
    deployments.retain(is_autoscaler);
    if deployments.is_empty() {
        return Ok(Found::default());
    }
    let mut kinds = Vec::new();
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        kinds.extend(objects.list(RBAC, kind, "").await?);
    }
    let mut roles = objects.list(RBAC, "Role", "").await?;
    roles.extend(objects.list(RBAC, "ClusterRole", "").await?);
    let accounts = objects.list("v1", "ServiceAccount", "").await?;
    let pods = objects.list("v1", "Pod", "").await?;
    Ok(belonging(deployments, &kinds, &roles, &accounts, &pods))
}

/// What belongs to the Deployments alone: a service account that other pods use too, and whatever else is shared, stays.
fn belonging(
    deployments: Vec<Value>,
    bindings: &[Value],
    roles: &[Value],
    accounts: &[Value],
    pods: &[Value],
) -> Found {
    let mut found = Found::default();
    let own = |account: &&Value| {
        let (space, name) = (text(account, "/metadata/namespace"), text(account, "/metadata/name"));
        let used = |deployment: &Value| {
            text(deployment, "/metadata/namespace") == space
                && text(deployment, "/spec/template/spec/serviceAccountName") == name
        };
        name != "default"
            && deployments.iter().any(used)
            && !others_use(pods, &deployments, space, name)
    };
    let accounts = accounts.iter().filter(own).collect::<Vec<_>>();
    let subject_is_own = |subject: &Value| {
        subject["kind"] == "ServiceAccount"
            && accounts.iter().any(|account| {
                account["metadata"]["name"] == subject["name"]
                    && account["metadata"]["namespace"] == subject["namespace"]
            })
    };
    let is_own = |binding: &&Value| {
        let subjects = binding["subjects"].as_array();
        subjects.is_some_and(|all| !all.is_empty() && all.iter().all(subject_is_own))
    };
    let own_bindings = bindings.iter().filter(is_own).collect::<Vec<_>>();
    let refers = |binding: &Value, role: &Value| {
        binding["roleRef"]["kind"] == role["kind"]
            && binding["roleRef"]["name"] == role["metadata"]["name"]
            && (role["kind"] == "ClusterRole"
                || binding["metadata"]["namespace"] == role["metadata"]["namespace"])
    };
    // Roles that come with Kubernetes, or that another binding gives too, stay.
    let own_roles = roles.iter().filter(|role| {
        let built_in = role["metadata"]["labels"]["kubernetes.io/bootstrapping"].is_string();
        let by_own = own_bindings.iter().any(|binding| refers(binding, role));
        let by_all = bindings.iter().filter(|binding| refers(binding, role)).count();
        let by_own_count = own_bindings.iter().filter(|binding| refers(binding, role)).count();
        !built_in && by_own && by_all == by_own_count
    });
    found.rights.extend(own_bindings.iter().map(|one| (*one).clone()));
    found.rights.extend(own_roles.cloned());
    found.rights.extend(accounts.into_iter().cloned());
    let release = |one: &Value| {
        let name = text(one, "/metadata/annotations/meta.helm.sh~1release-name");
        (!name.is_empty()).then(|| format!("{name} in {}", text(one, "/metadata/namespace")))
    };
    found.releases.extend(deployments.iter().filter_map(release));
    found.deployments = deployments;
    found
}

/// Whether a pod that is none of the Deployments' runs by the service account.
fn others_use(pods: &[Value], deployments: &[Value], space: &str, account: &str) -> bool {
    let of_a_deployment = |pod: &Value| {
        deployments.iter().any(|deployment| {
            let name = text(deployment, "/metadata/name");
            text(pod, "/metadata/ownerReferences/0/name").starts_with(&format!("{name}-"))
        })
    };
    pods.iter().any(|pod| {
        text(pod, "/metadata/namespace") == space
            && text(pod, "/spec/serviceAccountName") == account
            && !of_a_deployment(pod)
    })
}

/// Whether it still works.
pub(crate) fn works(deployment: &Value) -> bool {
    deployment["spec"]["replicas"] != 0
}

/// In a line each.
pub(crate) fn named(object: &Value) -> String {
    Named::of(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(name: &str, labels: Value, image: &str) -> Value {
        json!({
            "kind": "Deployment", "metadata": { "name": name, "namespace": "kube-system", "labels": labels },
            "spec": { "template": { "spec": { "serviceAccountName": "cas", "containers": [{ "image": image }] } } },
        })
    }

    /// Row 10 of gen3's page: Cluster Autoscaler goes, under whatever name.
    #[test]
    fn row_10_it_is_found_under_other_names_too() {
        let check = |name: &str, labels: Value, image: &str, expected: bool| {
            assert_eq!(is_autoscaler(&deployment(name, labels, image)), expected, "{name} {image}");
        };
        check("cluster-autoscaler", json!({}), "x", true);
        check("cluster-autoscaler-aws-cluster-autoscaler", json!({}), "x", true);
        check("scaler", json!({ "app": "cluster-autoscaler" }), "x", true);
        check("scaler", json!({ "app.kubernetes.io/name": "aws-cluster-autoscaler" }), "x", true);
        check("scaler", json!({}), "registry.k8s.io/autoscaling/cluster-autoscaler:v1.30.0", true);
        check("scaler", json!({}), "mirror:5000/cluster-autoscaler@sha256:00", true);
        check(
            "vpa",
            json!({ "app": "vertical-pod-autoscaler" }),
            "registry.k8s.io/autoscaling/vpa-recommender:1",
            false,
        );
        check("web", json!({}), "example.com/not-cluster-autoscaler-docs:1", false);
    }

    fn binding(kind: &str, role: &str, accounts: &[&str]) -> Value {
        let subject = |name: &&str| json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" });
        let subjects = accounts.iter().map(subject).collect::<Vec<_>>();
        json!({
            "kind": format!("{kind}Binding"), "metadata": { "name": role, "namespace": "kube-system" },
            "roleRef": { "kind": kind, "name": role }, "subjects": subjects,
        })
    }

    #[test]
    fn what_is_shared_stays() {
        let role = |kind: &str, name: &str, labels: Value| json!({ "kind": kind, "metadata": { "name": name, "namespace": "kube-system", "labels": labels } });
        let account = |name: &str| json!({ "kind": "ServiceAccount", "metadata": { "name": name, "namespace": "kube-system" } });
        let bindings = [
            binding("ClusterRole", "own", &["cas"]),
            binding("ClusterRole", "view", &["cas"]),
            binding("ClusterRole", "both", &["cas"]),
            binding("ClusterRole", "both", &["other"]),
            binding("Role", "mixed", &["cas", "other"]),
        ];
        let roles = [
            role("ClusterRole", "own", json!({})),
            role("ClusterRole", "view", json!({ "kubernetes.io/bootstrapping": "rbac-defaults" })),
            role("ClusterRole", "both", json!({})),
            role("Role", "mixed", json!({})),
        ];
        let accounts = [account("cas"), account("other")];
        let all = || vec![deployment("cluster-autoscaler", json!({}), "x")];
        let found = belonging(all(), &bindings, &roles, &accounts, &[]);
        let names = found.rights.iter().map(named).collect::<Vec<_>>();
        assert_eq!(
            names,
            [
                "clusterrolebinding kube-system/own",
                "clusterrolebinding kube-system/view",
                "clusterrolebinding kube-system/both",
                "clusterrole kube-system/own",
                "serviceaccount kube-system/cas",
            ]
        );
        let pod = json!({ "metadata": { "namespace": "kube-system", "name": "x" }, "spec": { "serviceAccountName": "cas" } });
        let found = belonging(all(), &bindings, &roles, &accounts, &[pod]);
        assert_eq!(found.rights, Vec::<Value>::new());
    }
}
