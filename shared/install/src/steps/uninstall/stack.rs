//! The CloudFormation stack goes, roles and rules with it.

use crate::change::Change;
use crate::site::Site;
use crate::stack::{self, change_set, parameters};
use crate::steps::{Doing, Progress, Step};

/// The stack.
pub(in crate::steps) struct Stack;

impl Step for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn look<'a>(&'a self, site: &'a Site) -> Doing<'a, Vec<Change>> {
        Box::pin(async {
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
        })
    }

    fn carry_out<'a>(
        &'a self,
        site: &'a Site,
        _changes: &'a [Change],
        progress: Progress<'a>,
    ) -> Doing<'a, ()> {
        Box::pin(async move { change_set::delete(site, progress).await })
    }
}
