//! The functions' user goes from aws-auth; what others may use stays, and is told.

use crate::aws_auth;
use crate::change::Change;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step};

/// The functions' user, and what of identities is left.
pub(in crate::steps) struct Identity;

impl Step for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn look<'a>(&'a self, site: &'a Site) -> Doing<'a, Vec<Change>> {
        Box::pin(async {
            let left = "is left, because others may use it";
            let mut changes = vec![
                Change::keep("service-linked role AWSServiceRoleForEC2Spot", left),
                Change::keep("OIDC provider of the cluster", left),
            ];
            // Also where access entries are read: the cluster may have had none when Joiner was installed.
            if aws_auth::has_ours(&aws_auth::read(site).await?) {
                let map = "ConfigMap kube-system/aws-auth";
                changes.push(Change::remove(map, "the entry of the group joiner:functions"));
            }
            Ok(changes)
        })
    }

    fn carry_out<'a>(
        &'a self,
        site: &'a Site,
        _changes: &'a [Change],
        _progress: Progress<'a>,
    ) -> Doing<'a, ()> {
        Box::pin(async { aws_auth::write(site, None).await })
    }
}
