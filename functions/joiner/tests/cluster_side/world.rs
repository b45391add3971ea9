//! A cluster to install in: a real API server, simulated kubelets, an account that is emulated.

use super::stack::Stack;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::types::Tag;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use base64::Engine;
use install::{Event, Options, Site, Step, StepError};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

/// Whatever a test waits for comes within seconds; two minutes are for machines that are busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Steps of the cluster's side. The account's side is IAM, CloudFormation and ECR, which are tested where they are emulated in full.
const OWN_STEPS: [&str; 8] = [
    "karpenter",
    "namespace",
    "webhook",
    "pools",
    "verify",
    "takeover",
    "cluster-autoscaler",
    "mode",
];

/// Tests of one binary take turns: they share its stack.
static ONE: Mutex<()> = Mutex::const_new(());

pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/kube-system/deployments";
pub(crate) const PROVISIONERS: &str = "/apis/karpenter.sh/v1alpha5/provisioners";
pub(crate) const TEMPLATES: &str = "/apis/karpenter.k8s.aws/v1alpha1/awsnodetemplates";
pub(crate) const CLAIMS: &str = "/apis/karpenter.sh/v1/nodeclaims";
pub(crate) const POOLS: &str = "/apis/karpenter.sh/v1/nodepools";
pub(crate) const CLASSES: &str = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses";
pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(crate) const SETTINGS: &str = "/api/v1/namespaces/joiner/configmaps/joiner-settings";
const NAMESPACE: &str = "/api/v1/namespaces/joiner";

/// What a run of steps told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) lines: Vec<String>,
    /// Whether it ended well; the step and why if it did not.
    pub(crate) end: Option<StepError>,
}

impl Told {
    pub(crate) fn has(&self, part: &str) -> bool {
        self.lines.iter().any(|line| line.contains(part))
    }

    /// The error of a step of that name.
    pub(crate) fn failed(&self, step: &str) -> String {
        let end = self.end.as_ref().unwrap_or_else(|| panic!("it ended well: {self:#?}"));
        assert_eq!(end.step, step, "{end}");
        end.to_string()
    }

    pub(crate) fn ended_well(self) -> Self {
        assert_eq!(self.end, None, "{:#?}", self.lines);
        self
    }
}

pub(crate) struct World {
    pub(crate) stack: &'static Stack,
    pub(crate) config: SdkConfig,
    pub(crate) site: Site,
    _one: MutexGuard<'static, ()>,
}

impl World {
    /// A cluster with nothing of Joiner's in it; `None` if there are no real parts.
    pub(crate) async fn open() -> Option<Self> {
        let one = ONE.lock().await;
        let stack = Stack::get()?;
        let config = config(stack).await;
        let site = Site::find(&config, options(stack)).await.unwrap();
        let world = Self { stack, config, site, _one: one };
        world.clean().await;
        world.make_outputs().await;
        world.make_system_nodes().await;
        Some(world)
    }

    /// What the steps of the account's side would have left: the stack's outputs.
    async fn make_outputs(&self) {
        let topic =
            json!({ "Type": "AWS::SQS::Queue", "Properties": { "QueueName": "joiner-outputs" } });
        let output = |value: &str| json!({ "Value": value });
        let template = json!({
            "Resources": { "Queue": topic },
            "Outputs": {
                "BusName": output("joiner-demo"), "WebhookRoleArn": output("arn:aws:iam::000000000000:role/joiner-webhook"),
            },
        });
        let name = &self.site.names.stack;
        let made = self.site.aws.cloudformation.create_stack().stack_name(name);
        let _ = made.template_body(template.to_string()).send().await;
        self.eventually("the stack has outputs", async || {
            matches!(self.site.outputs().await, Ok(Some(_)))
        })
        .await;
    }

    /// Two nodes that no pool manages.
    async fn make_system_nodes(&self) {
        let there = self.list(NODES).await.len();
        for _ in there..2 {
            self.launch("role=default").await;
        }
        self.eventually("two nodes are ready", async || {
            self.list(NODES).await.iter().filter(|node| is_ready(node)).count() >= 2
        })
        .await;
    }

    /// An instance that becomes a node with these labels; its id.
    pub(crate) async fn launch(&self, labels: &str) -> String {
        let ec2 = &self.site.aws.ec2;
        let images = ec2.describe_images().send().await.unwrap();
        let old = |name: Option<&str>| {
            name.is_some_and(|name| name.starts_with("amazon-eks-node-") && !name.contains("arm64"))
        };
        let image = images.images().iter().find(|image| old(image.name())).unwrap();
        let subnets = ec2.describe_subnets().send().await.unwrap();
        let mut all = subnets.subnets().iter();
        let subnet = all
            .find(|subnet| {
                subnet.tags().iter().any(|tag| tag.key() == Some("karpenter.sh/discovery"))
            })
            .unwrap();
        let (cluster, endpoint, authority) =
            (&self.site.cluster, &self.site.endpoint, &self.site.certificate_authority);
        let script = format!(
            "#!/bin/bash\n/etc/eks/bootstrap.sh {cluster} --apiserver-endpoint {endpoint} --b64-cluster-ca {authority} --kubelet-extra-args '--node-labels={labels}'\n"
        );
        let made = ec2
            .run_instances()
            .image_id(image.image_id().unwrap())
            .instance_type("m5.xlarge".into());
        let made = made.min_count(1).max_count(1).subnet_id(subnet.subnet_id().unwrap());
        let encoded = base64::engine::general_purpose::STANDARD.encode(script);
        let groups = ec2.describe_security_groups().send().await.unwrap();
        let groups = groups.security_groups().iter().filter(|group| {
            group.tags().iter().any(|tag| tag.key() == Some("karpenter.sh/discovery"))
        });
        let groups = groups.filter_map(|group| group.group_id()).map(str::to_owned).collect();
        let made = made.set_security_group_ids(Some(groups));
        let made = made.user_data(encoded).send().await.unwrap();
        made.instances()[0].instance_id().unwrap().to_owned()
    }

    /// What Karpenter writes on instances, beside what it says of itself in these.
    pub(crate) async fn tag(&self, instance: &str, tags: &[(&str, &str)]) {
        let cluster = format!("kubernetes.io/cluster/{}", self.site.cluster);
        let all = [(cluster.as_str(), "owned")].into_iter().chain(tags.iter().copied());
        let all = all.map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tagged = self.site.aws.ec2.create_tags().resources(instance);
        tagged.set_tags(Some(all.collect())).send().await.unwrap();
    }

    /// The image of an instance.
    pub(crate) async fn image_of(&self, instance: &str) -> String {
        let found = self.site.aws.ec2.describe_instances().instance_ids(instance).send().await;
        let found = found.unwrap();
        found.reservations()[0].instances()[0].image_id().unwrap().to_owned()
    }

    /// The node of an instance, once it is ready.
    pub(crate) async fn node_of(&self, instance: &str) -> Value {
        let find = async || {
            let mut nodes = self.list(NODES).await.into_iter();
            nodes.find(|node| {
                let id = node["spec"]["providerID"].as_str().unwrap_or_default();
                id.ends_with(instance) && is_ready(node)
            })
        };
        self.eventually("the instance is a node", async || find().await.is_some()).await;
        find().await.unwrap()
    }

    /// Takes away all that tests and the installer make.
    async fn clean(&self) {
        for path in [CLAIMS, POOLS, PROVISIONERS, CLASSES, TEMPLATES] {
            for object in self.list(path).await {
                self.delete(path, &object).await;
            }
        }
        for node in self.list(NODES).await {
            let labels = &node["metadata"]["labels"];
            if labels["karpenter.sh/provisioner-name"].is_string()
                || labels["karpenter.sh/nodepool"].is_string()
            {
                let id = node["spec"]["providerID"]
                    .as_str()
                    .unwrap()
                    .rsplit('/')
                    .next()
                    .unwrap()
                    .to_owned();
                let _ = self.site.aws.ec2.terminate_instances().instance_ids(id).send().await;
                self.delete(NODES, &node).await;
            }
        }
        for path in [
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            DEPLOYMENTS,
            "/apis/apps/v1/namespaces/karpenter/deployments",
            "/apis/apps/v1/namespaces/kube-system/daemonsets",
        ] {
            for object in self.list(path).await {
                let name = object["metadata"]["name"].as_str().unwrap();
                if ["joiner", "scaler", "karpenter", "binfmt"].iter().any(|own| name.contains(own))
                {
                    self.delete(path, &object).await;
                }
            }
        }
        for object in self.list(CRDS).await {
            self.delete(CRDS, &object).await;
        }
        let _ = self.api("DELETE", NAMESPACE, &Value::Null).await;
        self.eventually("nothing of Joiner's is left", async || {
            self.list(CRDS).await.is_empty() && self.get(NAMESPACE).await.is_none()
        })
        .await;
    }

    async fn delete(&self, path: &str, object: &Value) {
        let one = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
        if object["metadata"]["finalizers"].is_array() && path != CRDS {
            let _ = self.api("PATCH", &one, &json!({ "metadata": { "finalizers": null } })).await;
        }
        let _ = self.api("DELETE", &one, &Value::Null).await;
    }

    pub(crate) async fn api(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", kind).body(bytes).unwrap();
        self.site.kube.request::<Value>(request).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        self.api("GET", path, &Value::Null).await.ok()
    }

    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn make(&self, path: &str, object: &Value) -> Value {
        let made = self.api("POST", path, object).await;
        made.unwrap_or_else(|error| panic!("{path}: {error}: {object}"))
    }

    pub(crate) async fn eventually(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        while !condition().await {
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            ticks.tick().await;
        }
    }

    /// The site, with other options.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Options)) -> Site {
        let mut site = self.site.clone();
        change(&mut site.options);
        site
    }
}

fn is_ready(node: &Value) -> bool {
    let all = node["status"]["conditions"].as_array().into_iter().flatten();
    all.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The emulators have two addresses, as their environment says.
#[allow(deprecated, reason = "what takes its place is in a crate of the SDK's own")]
async fn config(stack: &'static Stack) -> SdkConfig {
    let (key, secret) =
        (stack.variable("AWS_ACCESS_KEY_ID"), stack.variable("AWS_SECRET_ACCESS_KEY"));
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(stack.variable("AWS_REGION").to_owned()))
        .credentials_provider(aws_credential_types::Credentials::new(
            key, secret, None, None, "test",
        ))
        .load()
        .await;
    config.into_builder().service_config(Endpoints(stack)).build()
}

/// The endpoints of this stack, also where the environment has those of another.
#[derive(Debug)]
struct Endpoints(&'static Stack);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let own = ["EC2", "EKS", "IAM", "SSM", "Pricing", "Auto Scaling"];
        let name = if own.contains(&key.service_id()) {
            "AWS_ENDPOINT_URL_EC2"
        } else {
            "AWS_ENDPOINT_URL"
        };
        (key.profile() == "endpoint_url").then(|| self.0.variable(name).to_owned())
    }
}

fn options(stack: &Stack) -> Options {
    Options {
        cluster: stack.variable("CLUSTER_NAME").to_owned(),
        kubeconfig: Some(stack.variable("KUBECONFIG").into()),
        webhook_image: Some("example.com/joiner/webhook:test".to_owned()),
        ..Options::default()
    }
}

/// The steps of the cluster's side among these.
pub(crate) fn own(steps: Vec<Box<dyn Step>>) -> Vec<Box<dyn Step>> {
    steps.into_iter().filter(|step| OWN_STEPS.contains(&step.name())).collect()
}

/// Runs the steps.
pub(crate) async fn run(steps: &[Box<dyn Step>], site: &Site) -> Told {
    let lines = RefCell::new(Vec::new());
    let end = install::carry_out(steps, site, &|event| note(&lines, event)).await;
    Told { lines: lines.into_inner(), end: end.err() }
}

/// Looks only.
pub(crate) async fn look(steps: &[Box<dyn Step>], site: &Site) -> Told {
    let lines = RefCell::new(Vec::new());
    let end = install::look(steps, site, &|event| note(&lines, event)).await;
    Told { lines: lines.into_inner(), end: end.err() }
}

fn note(lines: &RefCell<Vec<String>>, event: Event<'_>) {
    let line = match event {
        Event::Begins { step, .. } => format!("[{step}]"),
        Event::Found(change) => change.to_string(),
        Event::Progress(text) => format!("... {text}"),
        Event::Done { step, changed } => format!("done {step} {changed}"),
    };
    lines.borrow_mut().push(line);
}
