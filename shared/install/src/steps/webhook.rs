//! The custom resources, the functions' rights, the webhook; and the wait until it is ready on two nodes.

use super::{Changes, Done, Progress, Work};
use crate::change::Change;
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Looked, until};
use crate::cluster::{base, crds, own, webhook};
use crate::problem::Problem;
use crate::proxy;
use crate::site::Site;
use serde_json::Value;
use std::time::Duration;

/// Images are pulled, certificates made, a leader elected: seconds, on new nodes minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// The custom resources, the functions' rights, the webhook.
pub(super) struct Webhook;

/// All objects but the custom resources and the namespace; `None` while the image or the role is not there.
async fn wanted(site: &Site) -> Result<Option<Vec<Value>>, Problem> {
    let image = site.webhook_image().await?;
    let role = site.outputs().await?.and_then(|outputs| outputs.webhook_role_arn);
    let (Some(image), Some(role)) = (image, role) else { return Ok(None) };
    let values = [
        ("${CLUSTER_NAME}", site.cluster.as_str()),
        ("${AWS_REGION}", &site.region),
        ("${WEBHOOK_IMAGE}", &image),
        ("${WEBHOOK_ROLE}", &role),
    ];
    let mut objects = Vec::new();
    for (file, text) in [base::FUNCTIONS, base::WEBHOOK] {
        let text =
            values.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value));
        let all = base::documents(file, &text)?.into_iter().map(|written| written.object);
        objects.extend(all.filter(|object| object["kind"] != "Namespace").map(own::marked));
    }
    if let Some(proxy) = proxy::of(site).await? {
        objects.iter_mut().for_each(|object| proxy::set(object, &proxy));
    }
    Ok(Some(objects))
}

/// Waits until two replicas are ready on two nodes that Joiner does not manage.
pub(super) async fn ready(
    objects: &Objects,
    patience: Duration,
    progress: Progress<'_>,
) -> Result<(), Problem> {
    let look = || async {
        let found = webhook::look(objects).await?;
        Ok(found.problem().map_or(Looked::Ready, Looked::NotYet))
    };
    let names = (
        "webhook joiner/joiner-webhook",
        "see `kubectl -n joiner describe pods`; there must be two nodes that are not Joiner's, then run the same command again",
    );
    until(names, patience, progress, look).await
}

impl Work for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        let definitions = crds::look(&objects, site.options.replace_karpenter).await?;
        let mut changes = definitions.into_iter().map(|one| one.change).collect::<Vec<_>>();
        match wanted(site).await? {
            None => changes
                .push(Change::create("webhook", "once the steps delivery and stack are done")),
            Some(wanted) => {
                changes.extend(own::look_at_all(&objects, &wanted).await?);
                let ready = webhook::look(&objects).await?;
                changes.extend(ready.problem().map(|problem| Change::update("webhook", problem)));
            }
        }
        let nodes = webhook::nodes(&objects).await?;
        // They may come with the stack, so that a dry run only tells it; the webhook then waits for them.
        let detail = || format!("{nodes} of the 2 nodes outside Joiner's management are ready");
        changes.extend((nodes < 2).then(|| Change::update("system nodes", detail())));
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, changes: &[Change], progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        let definitions = crds::look(&objects, site.options.replace_karpenter).await?;
        crds::apply(&objects, &definitions, progress).await?;
        let Some(wanted) = wanted(site).await? else {
            let todo = "the steps delivery and stack make them; run `joiner install` again";
            return Err(Problem::not_found("the webhook's image or role", "", todo));
        };
        own::apply_all(&objects, &wanted, changes, progress).await?;
        ready(&objects, PATIENCE, progress).await
    }
}
