//! The cluster of a kubeconfig, read-only.

use super::input::ClusterArguments;
use ::runtime::standing::STATUS_CONFIG_MAP;
use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use catalog::Catalog;
use execute::ClusterError;
use execute::Kubernetes;
use execute::ports::{Cluster as _, ObjectRef};
use model::labels::ROTATE;
use model::mode::{NAMESPACE, SETTINGS_CONFIG_MAP};
use model::pool::ApiVersion;
use observe::cloud::CloudReader;
use observe::cluster::{ClusterReader, Connection, Scope, list_objects};
use observe::live::{Observation, snapshot_of_cluster};
use observe::observer::{Observer, ObserverError, Sources};
use observe::{Dump, DumpOptions};
use serde_json::Value;

/// Reads the cluster as a plan needs it, and with AWS credentials what AWS has for it. Without them the catalog stands in for AWS.
pub(super) fn read(
    arguments: &ClusterArguments,
    catalog: &Catalog,
    options: &DumpOptions,
    all_pods: bool,
) -> Result<Dump> {
    runtime()?.block_on(async {
        let connection = connect(arguments).await?;
        let mut reader = ClusterReader::new(connection.client.clone());
        let without = match aws(arguments, &connection).await {
            Ok(aws) => match read_with_aws(&connection, &aws, catalog, options, all_pods).await {
                Ok(dump) => return Ok(dump),
                Err(ObserverError::Cluster(error)) => {
                    return Err(error).with_context(|| of(&connection));
                }
                Err(ObserverError::Cloud(error)) => error.to_string(),
            },
            Err(reason) => reason,
        };
        let scope = Scope { all_pods, ..Scope::default() };
        let read = snapshot_of_cluster(&mut reader, catalog, options, &scope).await;
        let Observation { snapshot, findings, unreadable_pods, objects, .. } =
            read.with_context(|| of(&connection))?;
        eprintln!(
            "joiner: AWS was not asked: {without}. Zones, prices and capacity are the catalog's."
        );
        Ok(Dump { snapshot, findings, unreadable_pods, objects })
    })
}

/// The AWS configuration and the EKS cluster's name, or why AWS cannot be asked.
async fn aws(
    arguments: &ClusterArguments,
    connection: &Connection,
) -> Result<(SdkConfig, String), String> {
    // `arn:aws:eks:us-east-1:111122223333:cluster/shop`, as `aws eks update-kubeconfig` names contexts.
    let of_context = connection.name.split_once(":cluster/").map(|(_, name)| name.to_owned());
    let name = arguments.cluster.clone().or(of_context);
    let name = name.ok_or("the context does not name an EKS cluster; say --cluster NAME")?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let provider = config.credentials_provider().ok_or("there are no credentials")?;
    let credentials = provider.provide_credentials().await;
    credentials.map_err(|error| format!("there are no credentials ({error})"))?;
    config.region().ok_or("there is no region; set AWS_REGION")?;
    Ok((config, name))
}

async fn read_with_aws(
    connection: &Connection,
    (aws, name): &(SdkConfig, String),
    catalog: &Catalog,
    options: &DumpOptions,
    all_pods: bool,
) -> Result<Dump, ObserverError> {
    let sources = Sources {
        cluster_name: name.clone(),
        isolated_vpc: false,
        settings: options.settings,
        namespace: "joiner".to_owned(),
        facts_config_map: "joiner-facts".to_owned(),
        offerings_config_map: "joiner-offerings".to_owned(),
        all_pods,
    };
    let reader = ClusterReader::new(connection.client.clone());
    let cloud = CloudReader::new(aws, catalog.clone());
    let seen = Observer::new(reader, cloud, sources).observe().await?;
    for stale in &seen.stale {
        eprintln!("joiner: not read: {stale}");
    }
    let (findings, unreadable_pods) = (seen.findings, seen.unreadable_pods);
    Ok(Dump { snapshot: seen.snapshot, findings, unreadable_pods, objects: seen.count })
}

/// A turn that a function kept, from the stack's bucket.
pub(super) fn kept_turn(bucket: &str, cluster: &str, turn: &str) -> Result<Vec<u8>> {
    runtime()?.block_on(async {
        let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
        ::runtime::aws_memory::read_turn(&config, bucket, cluster, turn).await.map_err(Into::into)
    })
}

/// Takes the objects of one kind.
type Each<'a> = dyn FnMut(&str, Result<Option<Vec<Value>>>) -> Result<()> + 'a;

/// All objects of these kinds as a dump keeps them, or why they could not be read; `None` for kinds that the cluster does not have.
pub(super) fn objects(
    arguments: &ClusterArguments,
    kinds: &[&str],
    each: &mut Each<'_>,
) -> Result<()> {
    runtime()?.block_on(async {
        let connection = connect(arguments).await?;
        for kind in kinds {
            let mask = |object| super::dump::masked(&object);
            let objects = list_objects(&connection.client, kind, mask).await;
            each(kind, objects.with_context(|| of(&connection)))?;
        }
        Ok(())
    })
}

fn of(connection: &Connection) -> String {
    format!("the cluster of the context {:?}", connection.name)
}

async fn connect(arguments: &ClusterArguments) -> Result<Connection> {
    let (file, context) = (arguments.kubeconfig.as_deref(), arguments.context.as_deref());
    let connection = Connection::from_kubeconfig(file, context).await;
    connection.context(
        "no cluster can be read; name one with --kubeconfig and --context, or files with -f",
    )
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")
}

/// Writes on the pool that its nodes made before `moment` are to be replaced.
pub(super) fn rotate(
    arguments: &ClusterArguments,
    pool: &model::NodePool,
    moment: &str,
) -> Result<()> {
    let (api_version, resource) = match pool.api_version {
        ApiVersion::Legacy => ("karpenter.sh/v1alpha5", "provisioners"),
        ApiVersion::V1Beta1 => ("karpenter.sh/v1beta1", "nodepools"),
        ApiVersion::V1 => ("karpenter.sh/v1", "nodepools"),
        ApiVersion::BuiltIn => bail!(
            "pool {} is joiner's own stand-in for a cluster without pools; there is nothing to write on",
            pool.name
        ),
    };
    let of = ObjectRef { api_version, resource, namespace: None, name: pool.name.clone() };
    let annotations = serde_json::Map::from_iter([(ROTATE.to_owned(), Value::from(moment))]);
    let patch = serde_json::json!({ "metadata": { "annotations": annotations } });
    runtime()?.block_on(async {
        let connection = connect(arguments).await?;
        let written = Kubernetes::new(connection.client.clone()).patch(&of, None, &patch).await;
        written.map(drop).with_context(|| of_pool(&connection, &pool.name))
    })
}

/// What the functions and the webhook leave in the cluster.
pub(super) struct Left {
    /// The data of the ConfigMap of settings.
    pub(super) settings: Value,
    /// The data of the ConfigMap of last turns.
    pub(super) status: Value,
    /// Ready replicas of the webhook.
    pub(super) webhook_ready: u64,
    /// The turn that holds the lease; empty if none does.
    pub(super) lease_holder: String,
}

/// Reads what functions and webhook leave; what is not there is empty.
pub(super) fn left(arguments: &ClusterArguments) -> Result<Left> {
    let settings = Settings::open(arguments)?;
    let of =
        |api_version, resource, name: &str| ObjectRef { api_version, resource, ..config_map(name) };
    let read = |of: ObjectRef| settings.get(&of);
    let lease = read(of("coordination.k8s.io/v1", "leases", "joiner"))?;
    let webhook = read(of("apps/v1", "deployments", "joiner-webhook"))?;
    Ok(Left {
        settings: settings.read()?,
        status: read(config_map(STATUS_CONFIG_MAP))?["data"].clone(),
        webhook_ready: webhook["status"]["readyReplicas"].as_u64().unwrap_or(0),
        lease_holder: lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned(),
    })
}

/// The ConfigMap of settings.
pub(super) struct Settings {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
    of: ObjectRef,
}

impl Settings {
    /// Of the cluster named.
    pub(super) fn open(arguments: &ClusterArguments) -> Result<Self> {
        let runtime = runtime()?;
        let connection = runtime.block_on(connect(arguments))?;
        Ok(Self { runtime, connection, of: config_map(SETTINGS_CONFIG_MAP) })
    }

    /// Its data; `Null` if it is not there.
    pub(super) fn read(&self) -> Result<Value> {
        Ok(self.get(&self.of)?["data"].clone())
    }

    fn get(&self, object: &ObjectRef) -> Result<Value> {
        match self.runtime.block_on(self.cluster().get(object)) {
            Ok(object) => Ok(object),
            Err(ClusterError::NotFound { .. }) => Ok(Value::Null),
            Err(error) => Err(error).with_context(|| of(&self.connection)),
        }
    }

    /// Merges into its data; it is made if it is not there.
    pub(super) fn write(&self, data: &Value) -> Result<()> {
        let patch = serde_json::json!({ "data": data });
        let written = self.runtime.block_on(async {
            match self.cluster().patch(&self.of, None, &patch).await {
                Err(ClusterError::NotFound { .. }) => self.create(data).await,
                other => other,
            }
        });
        match written {
            Err(ClusterError::NotFound { .. }) => bail!(
                "{} has no namespace {NAMESPACE}: joiner is not installed there",
                of(&self.connection)
            ),
            other => other.map(drop).with_context(|| of(&self.connection)),
        }
    }

    async fn create(&self, data: &Value) -> Result<Value, ClusterError> {
        let metadata = serde_json::json!({ "name": self.of.name, "namespace": NAMESPACE });
        let mut kept = data.clone();
        if let Some(data) = kept.as_object_mut() {
            data.retain(|_, value| !value.is_null());
        }
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": kept,
        });
        self.cluster().create(&self.of, &object).await
    }

    fn cluster(&self) -> Kubernetes {
        Kubernetes::new(self.connection.client.clone())
    }
}

fn config_map(name: &str) -> ObjectRef {
    let (namespace, name) = (Some(NAMESPACE.to_owned()), name.to_owned());
    ObjectRef { api_version: "v1", resource: "configmaps", namespace, name }
}

fn of_pool(connection: &Connection, pool: &str) -> String {
    format!("pool {pool} of {}", of(connection))
}
