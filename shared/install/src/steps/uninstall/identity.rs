//! The functions' user goes from aws-auth; what others may use stays, and is told.

use crate::aws_auth;
use crate::change::Change;
use crate::site::Site;
use crate::steps::{Changes, Done, Progress, Work};

/// The functions' user, and what of identities is left.
pub(in crate::steps) struct Identity;

impl Work for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    async fn look(&self, site: &Site) -> Changes {
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
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], _progress: Progress<'_>) -> Done {
        aws_auth::write(site, None).await
    }
}
