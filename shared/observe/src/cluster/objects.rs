//! Whole objects, kind by kind, for whoever writes them elsewhere (`joiner dump`).

use super::api::{Api, Target};
use super::error::ClusterReadError;
use super::kinds::{self, Kind};
use super::mask::{ALL, parse_list};
use serde_json::Value;

const PAGE: usize = 500;
const ATTEMPTS: usize = 3;

/// All objects of a kind that the reader knows, by its Kubernetes name (`Pod`, `EC2NodeClass`), read whole and page by page and kept as
/// `keep` makes them; `None` if the cluster does not have the kind.
///
/// # Errors
/// As for any read.
pub async fn list_objects<T>(
    client: &kube::Client,
    kind: &str,
    keep: impl Fn(Value) -> T,
) -> Result<Option<Vec<T>>, ClusterReadError> {
    let single = [&kinds::POD, &kinds::NODE, &kinds::NODE_CLAIM];
    let mut known = single.into_iter().chain(&kinds::QUICK).chain(&kinds::SLOW);
    let Some(kind) = known.find(|known| known.name == kind) else {
        return Ok(None);
    };
    let api = Api::new(client.clone());
    let mut result = Ok(Vec::new());
    for _ in 0..ATTEMPTS {
        result = list(&api, kind, &keep).await;
        if !matches!(result, Err(ClusterReadError::Gone { .. })) {
            break;
        }
    }
    match result {
        Err(ClusterReadError::NotFound { .. }) if kind.custom => Ok(None),
        other => other.map(Some),
    }
}

async fn list<T>(
    api: &Api,
    kind: &Kind,
    keep: impl Fn(Value) -> T,
) -> Result<Vec<T>, ClusterReadError> {
    let target = Target { kind, verb: "list" };
    let (version, mut buffer, mut kept) = (kind.api_version(), Vec::new(), Vec::new());
    let mut next = String::new();
    loop {
        let path = format!("{}?limit={PAGE}{next}", kind.path());
        api.get(target, &path).await?.read_to(target, &mut buffer).await?;
        let metadata = parse_list(&buffer, &ALL, &mut |mut object| {
            if let Value::Object(fields) = &mut object {
                fields.insert("apiVersion".to_owned(), Value::from(version.as_str()));
                fields.insert("kind".to_owned(), Value::from(kind.name));
            }
            kept.push(keep(object));
        })
        .map_err(|error| target.malformed(error))?;
        let Some(token) = metadata.next else { return Ok(kept) };
        next = format!("&continue={}", super::store::encode(&token));
    }
}
