//! The cluster's side of an installation, on a real API server: installed, killed after each step, edited, taken over, taken away.
//! Rows are those of gen3's page on Karpenter, by its order of statements.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "cluster_side/kills.rs"]
mod kills;
#[path = "cluster_side/modern.rs"]
mod modern;
#[path = "../../../shared/runtime/tests/real/stack.rs"]
mod stack;
#[path = "cluster_side/world.rs"]
mod world;

use install::{Mode, steps};
use serde_json::{Value, json};
use world::{
    CLAIMS, CRDS, DEPLOYMENTS, NODES, PROVISIONERS, SETTINGS, TEMPLATES, World, look, own, run,
};

const BINFMT: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/binfmt";
const KARPENTER: &str = "/apis/apps/v1/namespaces/karpenter/deployments/karpenter";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn deployment(name: &str, label: (&str, &str), image: &str) -> Value {
    let labels = json!({ label.0: label.1 });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "serviceAccountName": name, "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": image }] },
            },
        },
    })
}

/// Cluster Autoscaler under another name, with its rights.
async fn make_autoscaler(world: &World) {
    let account = json!({ "metadata": { "name": "scaler" } });
    let _ = world.api("POST", "/api/v1/namespaces/kube-system/serviceaccounts", &account).await;
    let role = json!({ "metadata": { "name": "scaler" }, "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get"] }] });
    world.make(&format!("{RBAC}/clusterroles"), &role).await;
    let binding = json!({
        "metadata": { "name": "scaler" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "scaler" },
        "subjects": [{ "kind": "ServiceAccount", "name": "scaler", "namespace": "kube-system" }],
    });
    world.make(&format!("{RBAC}/clusterrolebindings"), &binding).await;
    let image = "registry.k8s.io/autoscaling/cluster-autoscaler:v1.30.0";
    world.make(DEPLOYMENTS, &deployment("scaler", ("app", "scaler"), image)).await;
}

async fn autoscaler(world: &World) -> Option<Value> {
    world.get(&format!("{DEPLOYMENTS}/scaler")).await
}

async fn cpu_limit(world: &World) -> Value {
    let pool = world.get(&format!("{PROVISIONERS}/default")).await.unwrap();
    pool["spec"]["limits"]["resources"]["cpu"].clone()
}

/// Versions of all that the installer applies: whatever is written changes one.
async fn versions(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    let paths = [
        PROVISIONERS,
        TEMPLATES,
        CRDS,
        "/api/v1/namespaces/joiner/configmaps",
        "/apis/apps/v1/namespaces/joiner/deployments",
        "/api/v1/namespaces/joiner/services",
        "/apis/policy/v1/namespaces/joiner/poddisruptionbudgets",
    ];
    for path in paths {
        for object in world.list(path).await {
            let metadata = &object["metadata"];
            // Status is the API server's; the generation counts what is written of the rest.
            let version = if metadata["generation"].is_null() {
                &metadata["resourceVersion"]
            } else {
                &metadata["generation"]
            };
            all.push(format!(
                "{path} {} {version} {}",
                metadata["name"], metadata["annotations"]["joiner.dev/applied"]
            ));
        }
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

/// Rows 10, 16, 17, 18, 20, 21, 31: installed in order, killed after every step, and resumed.
async fn installs_whenever_it_is_killed(world: &World) {
    let site = world.with(|_| {});
    let count = own(steps::install()).len();
    for alive in 1..=count {
        let all = own(steps::install());
        run(&all[..alive], &site).await.ended_well();
        let reached = all[alive - 1].name();
        if reached != "cluster-autoscaler" && reached != "mode" {
            let stays = autoscaler(world).await.unwrap();
            assert_eq!(
                stays["spec"]["replicas"], 1,
                "after {reached}: it must work until Joiner is proved"
            );
            let settings = world.get(SETTINGS).await;
            assert!(settings.is_none_or(|map| map["data"]["MODE"] == "observe"), "after {reached}");
        }
    }
    assert_eq!(autoscaler(world).await, None, "row 10");
    assert_eq!(world.get(&format!("{RBAC}/clusterroles/scaler")).await, None, "row 10");
    assert_eq!(world.get(SETTINGS).await.unwrap()["data"]["MODE"], "act");
    let account =
        world.get("/api/v1/namespaces/joiner/serviceaccounts/joiner-webhook").await.unwrap();
    let role = &account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"];
    assert_eq!(role, "arn:aws:iam::000000000000:role/joiner-webhook", "row 18");
    let names = world.list(PROVISIONERS).await;
    let names = names.iter().map(|pool| pool["metadata"]["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["default", "jupyter", "workflow"], "row 21");
    let class = world.get(&format!("{TEMPLATES}/jupyter")).await.unwrap();
    let group = &class["spec"]["securityGroupSelector"]["karpenter.sh/discovery"];
    assert_eq!(group, &json!(format!("{}-jupyter", site.vpc.name)), "row 30");
}

async fn installs_again_without_a_change(world: &World) {
    let before = versions(world).await;
    let told = run(&own(steps::install()), &world.site).await.ended_well();
    let changed = told
        .lines
        .iter()
        .filter(|line| ["create", "update", "remove"].iter().any(|verb| line.starts_with(verb)));
    assert_eq!(changed.collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(versions(world).await, before);
    assert!(told.has("pool default: a pod that waits would get"), "row 35: {told:#?}");
}

/// Rows 24, 25 and 26: edits on the fly stay, the folder is for the longer term.
async fn keeps_edits(world: &World) {
    let path = format!("{PROVISIONERS}/default");
    let edit = json!({ "spec": { "limits": { "resources": { "cpu": "7" } }, "weight": 5, "ttlSecondsUntilExpired": null } });
    world.api("PATCH", &format!("{path}?fieldManager=kubectl-edit"), &edit).await.unwrap();
    let told = run(&own(steps::update()), &world.site).await.ended_well();
    assert!(told.has("changed in the cluster, stays"), "{told:#?}");
    assert!(told.has("spec.limits.resources.cpu: \"7\" (configuration: 1000)"), "{told:#?}");
    let pool = world.get(&path).await.unwrap();
    assert_eq!(pool["spec"]["limits"]["resources"]["cpu"], "7", "row 24");
    assert_eq!(
        (&pool["spec"]["weight"], &pool["spec"]["ttlSecondsUntilExpired"]),
        (&json!(5), &Value::Null)
    );
    let told = look(&own(steps::update()), &world.with(|options| options.overwrite = true)).await;
    assert!(told.has("spec.limits.resources.cpu: \"7\" -> 1000"), "{told:#?}");
    assert_eq!(cpu_limit(world).await, "7", "looking changes nothing");
    run(&own(steps::update()), &world.with(|options| options.overwrite = true)).await.ended_well();
    let pool = world.get(&path).await.unwrap();
    assert_eq!(cpu_limit(world).await, 1000);
    assert_eq!(
        (&pool["spec"]["weight"], &pool["spec"]["ttlSecondsUntilExpired"]),
        (&json!(5), &json!(604_800))
    );
}

/// Row 26: a folder of one's own takes the base's place; what it changes is applied, what it cannot mean is refused.
async fn takes_a_folder(world: &World) {
    let folder = std::env::temp_dir().join(format!("joiner-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pool = |cpu: u32| {
        format!(
            "apiVersion: karpenter.sh/v1alpha5\nkind: Provisioner\nmetadata: {{name: default}}\nspec:\n  providerRef: {{name: default}}\n  limits: {{resources: {{cpu: {cpu}}}}}\n  labels: {{vpc: VPC_NAME}}\n"
        )
    };
    std::fs::write(folder.join("pool.yaml"), pool(50)).unwrap();
    let site = world.with(|options| options.config = Some(folder.clone()));
    run(&own(steps::update()), &site).await.ended_well();
    let live = world.get(&format!("{PROVISIONERS}/default")).await.unwrap();
    assert_eq!(live["spec"]["limits"]["resources"]["cpu"], 50);
    assert_eq!(live["spec"]["labels"]["vpc"], json!(site.vpc.name));
    std::fs::write(folder.join("bad.yaml"), "kind: Provisioner\napiVersion: karpenter.sh/v1alpha5\nmetadata: {name: b}\nspec: {weight: x}\n").unwrap();
    std::fs::write(folder.join("pool.yaml"), pool(60)).unwrap();
    let told = run(&own(steps::update()), &site).await;
    let error = told.failed("pools");
    assert!(error.contains("bad.yaml:1: spec"), "{error}");
    assert_eq!(cpu_limit(world).await, 50, "nothing is applied of a folder with an error");
    std::fs::remove_dir_all(&folder).unwrap();
    run(&own(steps::update()), &world.site).await.ended_well();
    assert_eq!(cpu_limit(world).await, 1000);
}

/// Row 23: Arm is added beside the default pool, stays through updates, and goes when it is asked to.
async fn adds_arm_and_takes_it_back(world: &World) {
    let arm = format!("{PROVISIONERS}/arm");
    run(&own(steps::update()), &world.with(|options| options.arm = Some(true))).await.ended_well();
    assert!(world.get(&arm).await.is_some() && world.get(BINFMT).await.is_some());
    run(&own(steps::update()), &world.site).await.ended_well();
    assert!(world.get(&arm).await.is_some(), "it stays though nothing is said of it");
    let default = world.get(&format!("{PROVISIONERS}/default")).await.unwrap();
    let arch = default["spec"]["requirements"].as_array().unwrap();
    assert!(arch.iter().any(|one| one["values"] == json!(["amd64"])), "amd64 is served as before");
    let told = run(&own(steps::update()), &world.with(|options| options.arm = Some(false))).await;
    assert!(told.ended_well().has("remove    provisioner arm"));
    world.eventually("arm is gone", async || world.get(&arm).await.is_none()).await;
    world.eventually("binfmt is gone", async || world.get(BINFMT).await.is_none()).await;
    assert!(world.get(&format!("{PROVISIONERS}/default")).await.is_some());
}

/// Pools of accelerators and what makes their devices known come when they are asked for, stay, and go again.
async fn adds_gpus_and_takes_them_back(world: &World) {
    let names = async |path: &str| {
        let all = world.list(path).await;
        let names = all.iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let daemons = "/apis/apps/v1/daemonsets";
    let before = (names(PROVISIONERS).await, names(TEMPLATES).await, names(daemons).await);
    run(&own(steps::update()), &world.with(|options| options.gpu = Some(true))).await.ended_well();
    let with = (names(PROVISIONERS).await, names(TEMPLATES).await, names(daemons).await);
    for pool in ["gpu", "gpu-shared"] {
        assert!(with.0.contains(&pool.to_owned()), "{with:?}");
    }
    assert!(with.1.contains(&"gpu".to_owned()) && with.2.len() > before.2.len(), "{with:?}");
    let told = run(&own(steps::update()), &world.site).await.ended_well();
    assert!(!told.lines.iter().any(|line| line.starts_with("remove")), "they stay: {told:#?}");
    run(&own(steps::update()), &world.with(|options| options.gpu = Some(false))).await.ended_well();
    let after = async || (names(PROVISIONERS).await, names(TEMPLATES).await, names(daemons).await);
    world.eventually("they are gone", async || after().await == before).await;
}

/// The way back: what was there before is there again, and nothing of Joiner's is left.
async fn goes_without_a_trace(world: &World) {
    let back = || {
        steps::uninstall()
            .into_iter()
            .filter(|step| ["drain", "cluster-autoscaler", "webhook"].contains(&step.name()))
            .collect::<Vec<_>>()
    };
    run(&back()[..1], &world.site).await.ended_well();
    run(&back()[..2], &world.site).await.ended_well();
    let scaler = autoscaler(world).await.unwrap();
    assert_eq!(scaler["spec"]["replicas"], 1, "row 10, reversed");
    assert!(world.get(&format!("{RBAC}/clusterrolebindings/scaler")).await.is_some());
    run(&back(), &world.site).await.ended_well();
    assert!(world.get("/api/v1/namespaces/joiner").await.is_none());
    assert_eq!(world.list(CRDS).await.len(), 0);
    for path in ["clusterroles", "clusterrolebindings"] {
        let all = world.list(&format!("{RBAC}/{path}")).await;
        let left =
            all.iter().filter(|one| one["metadata"]["name"].as_str().unwrap().contains("joiner"));
        assert_eq!(left.count(), 0, "{path}");
    }
    let told = look(&back(), &world.site).await.ended_well();
    assert!(!told.has("remove"), "{told:#?}");
}

#[tokio::test]
async fn from_a_cluster_to_a_scaled_one_and_back() {
    let Some(world) = World::open().await else { return };
    make_autoscaler(&world).await;
    installs_whenever_it_is_killed(&world).await;
    installs_again_without_a_change(&world).await;
    keeps_edits(&world).await;
    takes_a_folder(&world).await;
    adds_arm_and_takes_it_back(&world).await;
    adds_gpus_and_takes_them_back(&world).await;
    goes_without_a_trace(&world).await;
}

/// Rows 8, 10 and 14: where no pool can be served Joiner is not proved, and Cluster Autoscaler goes on.
#[tokio::test]
async fn cluster_autoscaler_stays_where_nothing_can_be_decided() {
    let Some(world) = World::open().await else { return };
    make_autoscaler(&world).await;
    let folder = std::env::temp_dir().join(format!("joiner-nothing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = "apiVersion: karpenter.sh/v1alpha5\nkind: Provisioner\nmetadata: {name: default}\nspec: {providerRef: {name: gone}}\n";
    std::fs::write(folder.join("pool.yaml"), text).unwrap();
    let site = world.with(|options| options.config = Some(folder.clone()));
    let told = run(&own(steps::install()), &site).await;
    let error = told.failed("verify");
    assert!(error.contains("no pool can be served: default"), "{error}");
    assert_eq!(autoscaler(&world).await.unwrap()["spec"]["replicas"], 1);
    assert_eq!(world.get(SETTINGS).await.unwrap()["data"]["MODE"], "observe", "nothing acts yet");
    // Beside it, whoever observes leaves it alone.
    std::fs::remove_dir_all(&folder).unwrap();
    let site = world.with(|options| options.mode = Mode::Observe);
    run(&own(steps::install()), &site).await.ended_well();
    assert_eq!(autoscaler(&world).await.unwrap()["spec"]["replicas"], 1);
    assert_eq!(world.get(SETTINGS).await.unwrap()["data"]["MODE"], "observe");
}

/// A Karpenter of the time of Provisioners: it runs, its node too, and its webhooks stand before its kinds.
async fn make_karpenter(world: &World) -> String {
    for definition in api::custom_resource_definitions() {
        world.make(CRDS, &definition).await;
    }
    let _ = world
        .api("POST", "/api/v1/namespaces", &json!({ "metadata": { "name": "karpenter" } }))
        .await;
    let deployments = "/apis/apps/v1/namespaces/karpenter/deployments";
    let account = json!({ "metadata": { "name": "karpenter" } });
    let _ = world.api("POST", "/api/v1/namespaces/karpenter/serviceaccounts", &account).await;
    let label = ("app.kubernetes.io/name", "karpenter");
    world
        .make(
            deployments,
            &deployment("karpenter", label, "public.ecr.aws/karpenter/controller:v0.27.0"),
        )
        .await;
    let settings = json!({ "metadata": { "name": "karpenter-global-settings" }, "data": { "aws.defaultInstanceProfile": "theirs" } });
    let _ = world.api("POST", "/api/v1/namespaces/karpenter/configmaps", &settings).await;
    world
        .eventually("provisioners are served", async || world.get(PROVISIONERS).await.is_some())
        .await;
    let pool = json!({
        "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner", "metadata": { "name": "default" },
        "spec": {
            "providerRef": { "name": "default" }, "limits": { "resources": { "cpu": 333 } }, "consolidation": { "enabled": false },
        },
    });
    world.make(PROVISIONERS, &pool).await;
    let discovery = json!({ "karpenter.sh/discovery": world.site.vpc.name });
    let class = json!({
        "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate", "metadata": { "name": "default" },
        "spec": { "subnetSelector": discovery, "securityGroupSelector": discovery },
    });
    world.make(TEMPLATES, &class).await;
    let instance = world.launch("karpenter.sh/provisioner-name=default,karpenter.sh/capacity-type=on-demand,karpenter.sh/initialized=true").await;
    world.tag(&instance, &[("karpenter.sh/provisioner-name", "default")]).await;
    let client = json!({ "service": { "name": "karpenter", "namespace": "karpenter" } });
    // Nobody answers for it here, so that it stands before nothing that is written while Karpenter works.
    let rules = json!([{ "apiGroups": ["karpenter.sh"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["nodepools"] }]);
    let webhook = json!({
        "metadata": { "name": "validation.webhook.karpenter.sh" },
        "webhooks": [{
            "name": "validation.webhook.karpenter.sh", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": client, "rules": rules,
        }],
    });
    world
        .make("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", &webhook)
        .await;
    instance
}

/// An installed Karpenter is refused, or taken over with its pools, classes and running nodes, none of which is replaced.
#[tokio::test]
async fn a_karpenter_is_refused_or_taken_over_with_its_nodes() {
    let Some(world) = World::open().await else { return };
    let instance = make_karpenter(&world).await;
    let node = world.node_of(&instance).await;
    let error = run(&own(steps::install()), &world.site).await.failed("karpenter");
    assert!(error.contains("--replace-karpenter"), "{error}");
    assert!(world.get("/api/v1/namespaces/joiner").await.is_none(), "nothing was changed");

    let site = world.with(|options| options.replace_karpenter = true);
    let told = run(&own(steps::install()), &site).await.ended_well();
    assert!(told.has("gets a claim of Joiner's; it runs on"), "{told:#?}");
    let pool = world.get(&format!("{PROVISIONERS}/default")).await.unwrap();
    assert_eq!(pool["spec"]["limits"]["resources"]["cpu"], 333, "its pool is taken over as it is");
    assert_eq!(pool["spec"]["ttlSecondsUntilExpired"], Value::Null);
    assert_eq!(world.list(PROVISIONERS).await.len(), 1, "and none is made beside it");
    let profile = &world.get(SETTINGS).await.unwrap()["data"]["aws.defaultInstanceProfile"];
    assert_eq!(profile, "theirs", "its settings go on");
    let webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let left = world.list(webhooks).await;
    let theirs = |one: &&Value| one["metadata"]["name"] == "validation.webhook.karpenter.sh";
    assert_eq!(
        left.iter().filter(theirs).count(),
        0,
        "a webhook without a server would refuse every pool"
    );
    assert_eq!(world.get(KARPENTER).await.unwrap()["spec"]["replicas"], 0);
    let claims = world.list(CLAIMS).await;
    let [claim] = &claims[..] else { panic!("{claims:#?}") };
    assert_eq!(claim["status"]["nodeName"], node["metadata"]["name"]);
    assert!(claim["metadata"]["annotations"]["joiner.dev/launch"].is_string());
    let after = world.node_of(&instance).await;
    assert_eq!(after["metadata"]["uid"], node["metadata"]["uid"], "the same node");
    run(&own(steps::install()), &site).await.ended_well();
    assert_eq!(world.list(CLAIMS).await.len(), 1, "once more is the same");

    // Joiner acts from now on, and lets the node run.
    let mut function = function(&world).await;
    for number in 0..3 {
        let report = turn(&mut function, number).await;
        assert_eq!((report.launched, report.terminated), (0, 0), "{report:#?}");
    }
    let after = world.node_of(&instance).await;
    assert_eq!(after["metadata"]["uid"], node["metadata"]["uid"]);
    assert_eq!(after["spec"]["unschedulable"], Value::Null);

    gives_karpenter_back(&world, &mut function, &node).await;
}

/// And back: the node is drained and ended by turns, then Karpenter works again, with its pool as it was.
async fn gives_karpenter_back(
    world: &World,
    function: &mut runtime::installation::Installation,
    node: &Value,
) {
    let back = steps::uninstall()
        .into_iter()
        .filter(|step| ["drain", "cluster-autoscaler"].contains(&step.name()))
        .collect::<Vec<_>>();
    let turns = async {
        let mut number = 3;
        loop {
            // In the end it is paused, so that nothing is bought for pods that were drained.
            function.knock("Schedule", &format!("{number:08}")).await.unwrap();
            number += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        told = run(&back, &world.site) => drop(told.ended_well()),
        () = turns => {}
    }
    assert_eq!(world.list(CLAIMS).await, Vec::<Value>::new());
    assert_eq!(world.get(SETTINGS).await.unwrap()["data"]["MODE"], "paused");
    assert_eq!(world.get(KARPENTER).await.unwrap()["spec"]["replicas"], 1);
    assert_eq!(cpu_limit(world).await, 333, "its limits are what they were");
    let state = world.list(NODES).await;
    assert!(
        !state.iter().any(|one| one["metadata"]["uid"] == node["metadata"]["uid"]),
        "it is gone"
    );
}

async fn function(world: &World) -> runtime::installation::Installation {
    let name = world.stack.variable("CLUSTER_NAME").to_owned();
    let environment = move |setting: &str| match setting {
        "CLUSTER_NAME" => Some(name.clone()),
        "METRICS" => Some("none".to_owned()),
        _ => None,
    };
    let kube = Some(world.site.kube.clone());
    runtime::installation::Installation::new(&environment, &world.config, kube).await.unwrap()
}

async fn turn(function: &mut runtime::installation::Installation, number: u32) -> runtime::Report {
    match function.knock("Schedule", &format!("{number:08}")).await.unwrap() {
        runtime::installation::Knocked::Turned(report) => *report,
        other @ (runtime::installation::Knocked::Busy | runtime::installation::Knocked::Paused) => {
            panic!("no turn: {other:?}")
        }
    }
}
