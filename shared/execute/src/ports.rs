//! The two ports through which a plan reaches the world, and what can go wrong there.

use model::node_class::{ClusterFacts, ResolvedNodeClass};
use model::{Alternative, CapacityType, Labels};
use serde_json::Value;
use std::future::Future;

/// What a call to AWS came to, by what the caller can do about it. Messages name the call, the object and the cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// Too many calls: a later turn tries again.
    #[error("{call}: throttled by AWS; the next turn tries again")]
    Throttled {
        /// The API call.
        call: &'static str,
    },
    /// The role lacks a permission.
    #[error("{call}: denied; add to the function's role: {statement}")]
    Denied {
        /// The API call.
        call: &'static str,
        /// The policy statement that would grant it, as JSON.
        statement: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error("{call}: the AWS credentials are refused ({code}); renew them")]
    Credentials {
        /// The API call.
        call: &'static str,
        /// AWS's code: `ExpiredToken`.
        code: String,
    },
    /// What was named is not there.
    #[error("{call}: {what} is not there ({code})")]
    NotFound {
        /// The API call.
        call: &'static str,
        /// The object.
        what: String,
        /// AWS's code.
        code: String,
    },
    /// AWS refuses the request, and would again.
    #[error("{call}: {message} ({code})")]
    Refused {
        /// The API call.
        call: &'static str,
        /// AWS's code.
        code: String,
        /// AWS's message, without account ids.
        message: String,
    },
    /// No answer, or one that does not tell whether it was done.
    #[error("{call}: no certain answer ({message}); the next turn looks what became of it")]
    Unknown {
        /// The API call.
        call: &'static str,
        /// What is known.
        message: String,
    },
}

/// One call of CreateFleet: so many instances of any of these offerings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRequest {
    /// The client token and the tag `joiner.dev/batch`.
    pub batch: String,
    /// How many instances.
    pub size: u32,
    /// The pool.
    pub node_pool: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// What to buy, cheapest first.
    pub offerings: Vec<Alternative>,
    /// The node's labels, which the bootstrap passes to the kubelet.
    pub labels: Labels,
    /// The node's taints and startup taints, as `key=value:Effect`; `karpenter.sh/unregistered:NoExecute` is added by the bootstrap.
    pub taints: Vec<model::Taint>,
    /// Kubelet settings of the pool, where the API keeps them there (legacy, v1beta1).
    pub pool_kubelet: Option<model::node_class::KubeletSettings>,
    /// The most pods on each offered type, by type's name (capacity `pods`): what the kubelet is told, so that it counts as the planner did.
    pub max_pods: std::collections::BTreeMap<String, i64>,
    /// What else must be known of each offered type, by type's name.
    pub types: std::collections::BTreeMap<String, TypeFacts>,
}

/// What must be known of an offered instance type to make its launch template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeFacts {
    /// The labels that every node of it carries (`InstanceType::labels`): its image is chosen by them.
    pub labels: Labels,
    /// How many Elastic Fabric Adapters to attach: the type's capacity `vpc.amazonaws.com/efa` if the pods ask for any, else 0.
    pub efa: u32,
}

/// An instance that a call bought.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bought {
    /// Its id.
    pub id: String,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Its image.
    pub image_id: String,
}

/// Why an offering was not bought.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The type; `*` if the refusal is of all.
    pub instance_type: String,
    /// The zone; `*` if the refusal is of all.
    pub zone: String,
    /// EC2's code.
    pub code: String,
    /// EC2's message, without account ids.
    pub message: String,
    /// Whether it means that there is no capacity now (ICE codes), rather than that the request is wrong.
    pub no_capacity: bool,
}

/// What CreateFleet answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetAnswer {
    /// What was bought, by id.
    pub bought: Vec<Bought>,
    /// What was not.
    pub refused: Vec<Refusal>,
}

/// AWS, as far as plans change it. Every call may be repeated without harm.
pub trait Cloud: Send + Sync {
    /// Makes the launch templates that the request needs (by content hash; those that exist are used) and asks for the
    /// instances. A repeated batch gets the first answer again. A launch template deleted meanwhile is made anew, once.
    fn launch(
        &self,
        request: &FleetRequest,
        class: &ResolvedNodeClass,
        cluster: &ClusterFacts,
    ) -> impl Future<Output = Result<FleetAnswer, CloudError>> + Send;

    /// Makes what launches of the class will need and what takes EC2 seconds to learn of: its instance profile, whose name is returned.
    fn prepare(
        &self,
        class: &ResolvedNodeClass,
        cluster: &ClusterFacts,
    ) -> impl Future<Output = Result<Option<String>, CloudError>> + Send;

    /// Terminates instances; those that are gone already count as terminated. Returns the ids whose termination is certain.
    fn terminate(
        &self,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<String>, CloudError>> + Send;

    /// Puts tags on an instance.
    fn tag(&self, id: &str, tags: &Labels) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Deletes launch templates of this cluster that no call has named for so long (`keep` holds those still in use); returns how many.
    fn clean_launch_templates(
        &self,
        unused_for_s: i64,
    ) -> impl Future<Output = Result<usize, CloudError>> + Send;
}

/// What a call to the API server came to, by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// It is not there.
    #[error("{object} is not there")]
    NotFound {
        /// The object.
        object: String,
    },
    /// It is there already, has changed meanwhile, or has another uid.
    #[error("{object}: {message}")]
    Conflict {
        /// The object.
        object: String,
        /// The API server's message.
        message: String,
    },
    /// Not now: a disruption budget forbids an eviction, or the API server is busy.
    #[error("{object}: not now ({message}); a later turn tries again")]
    Later {
        /// The object.
        object: String,
        /// The API server's message.
        message: String,
    },
    /// RBAC forbids it, or the login is not known.
    #[error("{object}: denied ({message}); grant it to the group joiner:functions")]
    Denied {
        /// The object.
        object: String,
        /// The API server's message, which names the verb and resource.
        message: String,
    },
    /// The API server refuses the object, and would again.
    #[error("{object}: refused: {message}")]
    Refused {
        /// The object.
        object: String,
        /// The API server's message.
        message: String,
    },
    /// No answer, or one that does not tell whether it was done.
    #[error("{object}: no certain answer ({message}); the next turn looks what became of it")]
    Unknown {
        /// The object.
        object: String,
        /// What is known.
        message: String,
    },
}

/// Names an object: `karpenter.sh/v1`, `nodeclaims`, a namespace where it has one, its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `v1`, `karpenter.sh/v1`.
    pub api_version: &'static str,
    /// The plural: `nodes`.
    pub resource: &'static str,
    /// The namespace; `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.resource, self.name),
            None => write!(f, "{}/{}", self.resource, self.name),
        }
    }
}

/// The cluster, as far as plans change it.
pub trait Cluster: Send + Sync {
    /// Creates an object (`of.name` may be empty with `generateName`) and returns it as stored.
    fn create(
        &self,
        of: &ObjectRef,
        object: &Value,
    ) -> impl Future<Output = Result<Value, ClusterError>> + Send;

    /// Reads one object.
    fn get(&self, of: &ObjectRef) -> impl Future<Output = Result<Value, ClusterError>> + Send;

    /// The pods that are bound to the node, as the API server's store has them at this moment.
    fn pods_on(&self, node: &str) -> impl Future<Output = Result<Vec<Value>, ClusterError>> + Send;

    /// Merge-patches an object or its `status`, and returns it as stored. A `metadata.resourceVersion` in the patch makes it conditional.
    fn patch(
        &self,
        of: &ObjectRef,
        subresource: Option<&'static str>,
        patch: &Value,
    ) -> impl Future<Output = Result<Value, ClusterError>> + Send;

    /// Deletes an object, if it still has this uid; with a grace in seconds for pods.
    fn delete(
        &self,
        of: &ObjectRef,
        uid: Option<&str>,
        grace_s: Option<i64>,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Evicts a pod, if it still has this uid. `Later` if a disruption budget forbids it.
    fn evict(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;
}
