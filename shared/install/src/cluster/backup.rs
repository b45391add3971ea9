//! What is taken away is kept in the cluster first, so that it can be put back as it was.

use super::objects::{Named, Objects, plain};
use super::own::{JOINER, MANAGED_BY};
use crate::change::Change;
use crate::problem::Problem;
use serde_json::{Value, json};

/// Where backups lie.
pub(crate) const NAMESPACE: &str = "joiner";

/// A backup: a Secret, because what is kept may hold such things in its environment.
pub(crate) struct Backup<'a> {
    objects: &'a Objects,
    of: Named,
}

impl<'a> Backup<'a> {
    /// The backup of that name.
    pub(crate) fn new(objects: &'a Objects, name: &str) -> Self {
        Self { objects, of: Named::new("v1", "Secret", Some(NAMESPACE), name) }
    }

    /// What is kept, in the order in which it was; none if there is no backup.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn read(&self) -> Result<Vec<Value>, Problem> {
        let Some(secret) = self.objects.get(&self.of).await? else { return Ok(Vec::new()) };
        let broken = |cause: String| {
            Problem::conflict(
                self.of.to_string(),
                format!("cannot be read: {cause}"),
                "restore by hand what it holds, then delete it",
            )
        };
        let text = secret["data"]["objects"].as_str().unwrap_or_default();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
        let bytes = bytes.map_err(|error| broken(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))
    }

    /// Keeps these objects beside those that are kept already, which stay as they are: they were kept before anything was changed.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) async fn add(&self, objects: &[Value]) -> Result<(), Problem> {
        let mut all = self.read().await?;
        for object in objects {
            if !all.iter().any(|kept| Named::of(kept) == Named::of(object)) {
                all.push(plain(object));
            }
        }
        let metadata = json!({ "name": self.of.name, "namespace": NAMESPACE, "labels": { MANAGED_BY: JOINER } });
        let text = serde_json::to_string(&all).unwrap_or_default();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": { "objects": text },
        });
        self.objects.apply(&secret, false).await.map(drop)
    }

    /// What putting back would change.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn look(&self) -> Result<Vec<Change>, Problem> {
        let mut changes = Vec::new();
        for kept in self.read().await? {
            let of = Named::of(&kept);
            let change = match self.objects.get(&of).await? {
                None => Change::create(of.to_string(), "as it was before Joiner"),
                Some(live) if live["spec"]["replicas"] != kept["spec"]["replicas"] => {
                    let replicas =
                        format!("{} replicas, as before Joiner", kept["spec"]["replicas"]);
                    Change::update(of.to_string(), replicas)
                }
                Some(_) => Change::keep(of.to_string(), ""),
            };
            changes.push(change);
        }
        Ok(changes)
    }

    /// Puts back what is not there, and the number of replicas of what is; then the backup goes. What is there is left as it is
    /// otherwise: somebody may have changed it since.
    ///
    /// # Errors
    /// The first object that cannot be put back.
    pub(crate) async fn restore(&self, progress: &dyn Fn(&str)) -> Result<(), Problem> {
        for kept in self.read().await? {
            let of = Named::of(&kept);
            match self.objects.get(&of).await? {
                None => {
                    progress(&of.to_string());
                    self.objects.create(&kept).await?;
                }
                Some(live) if live["spec"]["replicas"] != kept["spec"]["replicas"] => {
                    progress(&of.to_string());
                    let patch = json!({ "spec": { "replicas": kept["spec"]["replicas"] } });
                    self.objects.patch(&of, "", &patch).await?;
                }
                Some(_) => {}
            }
        }
        self.objects.delete(&self.of).await.map(drop)
    }
}
