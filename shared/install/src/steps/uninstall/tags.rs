//! Discovery tags that the installer wrote go; those that were there before come back.

use crate::change::{Change, Verb};
use crate::network;
use crate::problem::Problem;
use crate::site::Site;
use crate::steps::tags::{self, Tagging};
use crate::steps::{Changes, Done, Progress, Work};

/// Discovery tags that the installer wrote.
pub(in crate::steps) struct Tags;

impl Work for Tags {
    fn name(&self) -> &'static str {
        "tags"
    }

    async fn look(&self, site: &Site) -> Changes {
        Ok(remembered(site).await?.iter().map(change).collect())
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], _progress: Progress<'_>) -> Done {
        for tagging in
            remembered(site).await?.iter().filter(|tagging| change(tagging).verb == Verb::Remove)
        {
            tags::put_back(site, tagging).await?;
        }
        Ok(())
    }
}

async fn remembered(site: &Site) -> Result<Vec<Tagging>, Problem> {
    let (nets, groups) = (network::subnets(site).await?, network::groups(site).await?);
    Ok(tags::all(site, &nets, &groups))
}

fn change(tagging: &Tagging) -> Change {
    let object = tagging.object.clone();
    match (&tagging.remembered, &tagging.found) {
        (Some(memory), _) => Change::remove(object, format!("the discovery tag ({memory})")),
        (None, found) => {
            let found = found.as_deref().unwrap_or("none");
            Change::keep(object, format!("the discovery tag is not the installer's: {found}"))
        }
    }
}
