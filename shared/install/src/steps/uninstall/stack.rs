//! The CloudFormation stack goes, roles and rules with it.

use crate::change::Change;
use crate::site::Site;
use crate::stack::{self, change_set, parameters};
use crate::steps::{Changes, Done, Progress, Work};

/// The stack.
pub(in crate::steps) struct Stack;

impl Work for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    async fn look(&self, site: &Site) -> Changes {
        let object = format!("stack {}", site.names.stack);
        let Some(found) = stack::describe(site).await? else { return Ok(Vec::new()) };
        let of = parameters::value(&found, "ClusterName").unwrap_or(&site.cluster);
        if of != site.cluster {
            return Ok(vec![Change::conflict(object, format!("it belongs to cluster {of}"))]);
        }
        let two = parameters::value(&found, "SystemNodes").is_some_and(|kind| kind != "none");
        let nodes = if two { ", and the two nodes that it made" } else { "" };
        let told = format!("rules, queues, kept turns, functions, roles{nodes}");
        Ok(vec![Change::remove(object, told)])
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        change_set::delete(site, progress).await
    }
}
