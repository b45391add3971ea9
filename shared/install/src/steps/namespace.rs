//! The namespace of Joiner's own objects, and the settings that a first installation begins with.

use super::{Changes, Done, Progress, Work};
use crate::change::Change;
use crate::cluster::base;
use crate::cluster::objects::{Named, Objects};
use crate::cluster::own;
use crate::problem::Problem;
use crate::site::Site;
use model::mode::{MODE, MODE_SINCE, Mode, NAMESPACE, SETTINGS_CONFIG_MAP};
use serde_json::{Value, json};

/// The namespace, and settings for the functions: until the last step they decide and act on nothing.
pub(super) struct Namespace;

/// The ConfigMap of settings.
pub(super) fn settings() -> Named {
    Named::new("v1", "ConfigMap", Some(NAMESPACE), SETTINGS_CONFIG_MAP)
}

/// The settings with a mode, since now.
pub(super) fn of_mode(mode: Mode) -> Value {
    let now = jiff::Timestamp::now();
    json!({ MODE: mode, MODE_SINCE: format!("{now:.0}") })
}

/// The setting that tells when an uninstallation has paused the functions, so that nobody takes it for a pause of people.
const DRAINED: &str = "DRAINED";

/// The settings once nodes are drained: nothing is bought any more.
pub(super) fn drained() -> Value {
    let mut data = of_mode(Mode::Paused);
    data[DRAINED] = data[MODE_SINCE].clone();
    data
}

/// Whether it was an uninstallation that paused the functions, and no person since.
pub(super) fn is_drained(data: &Value) -> bool {
    data[DRAINED].is_string() && data[DRAINED] == data[MODE_SINCE]
}

fn manifest() -> Result<Value, Problem> {
    let (file, text) = base::WEBHOOK;
    let mut all = base::documents(file, text)?.into_iter().map(|written| written.object);
    let found = all.find(|object| object["kind"] == "Namespace");
    let found = found.ok_or_else(|| Problem::input(file, "has no Namespace"))?;
    Ok(own::marked(found))
}

impl Work for Namespace {
    fn name(&self) -> &'static str {
        "namespace"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        let namespace = manifest()?;
        let of = Named::of(&namespace);
        let live = objects.get(&of).await?;
        if live.as_ref().is_some_and(|live| live["status"]["phase"] == "Terminating") {
            let detail =
                "it is still being deleted; wait until `kubectl get namespace joiner` finds none";
            return Ok(vec![Change::conflict(of.to_string(), detail)]);
        }
        let mut changes = vec![match live {
            None => Change::create(of.to_string(), ""),
            // One that was there before is used, and stays when Joiner goes.
            Some(live) if !own::is_own(&live) => {
                Change::keep(of.to_string(), "it was there before")
            }
            Some(_) => own::look(&objects, &namespace).await?,
        }];
        let of = settings();
        changes.push(match objects.get(&of).await? {
            Some(_) => Change::keep(of.to_string(), ""),
            None => Change::create(of.to_string(), "mode observe, until the last step"),
        });
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], _progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        let namespace = manifest()?;
        let live = objects.get(&Named::of(&namespace)).await?;
        if live.is_none_or(|live| own::is_own(&live)) {
            objects.apply(&namespace, false).await?;
        }
        if objects.get(&settings()).await?.is_none() {
            let metadata = json!({ "name": SETTINGS_CONFIG_MAP, "namespace": NAMESPACE });
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": of_mode(Mode::Observe),
            });
            objects.create(&object).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_people_outlasts_an_installation_and_that_of_an_uninstallation_does_not() {
        let mut data = drained();
        assert!(is_drained(&data));
        data[MODE_SINCE] = json!("2026-01-31T12:00:00Z");
        assert!(!is_drained(&data), "somebody has paused since");
        assert!(!is_drained(&of_mode(Mode::Paused)));
    }
}
