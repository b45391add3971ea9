//! The functions' user in the cluster.

use super::{Changes, Done, Progress, Work};
use crate::aws_auth;
use crate::change::Change;
use crate::problem::Problem;
use crate::site::{Authentication, Site};

/// The functions' role as a user of the group `joiner:functions`: by the stack's access entry, or in aws-auth.
pub(super) struct Access;

impl Work for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    async fn look(&self, site: &Site) -> Changes {
        Ok(vec![change(site).await?])
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], _progress: Progress<'_>) -> Done {
        let outputs = site.outputs().await?.unwrap_or_default();
        let Some(arn) = outputs.functions_role_arn else {
            let todo = "run the same command again, which makes the stack";
            return Err(Problem::not_found("the functions' role", "the stack has none yet", todo));
        };
        aws_auth::write(site, Some(&arn)).await
    }
}

async fn change(site: &Site) -> Result<Change, Problem> {
    let object = "the functions' user in the cluster";
    if site.authentication == Authentication::AccessEntries {
        return Ok(Change::keep(object, "an access entry of the stack"));
    }
    let arn = site.outputs().await?.and_then(|outputs| outputs.functions_role_arn);
    let detail = "an entry in ConfigMap kube-system/aws-auth";
    let Some(arn) = arn else {
        return Ok(Change::create(object, format!("{detail}, when there is a stack")));
    };
    let there = aws_auth::maps_role(&aws_auth::read(site).await?, &arn);
    Ok(if there { Change::keep(object, detail) } else { Change::create(object, detail) })
}
