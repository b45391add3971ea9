//! From now on Joiner acts, or goes on observing.

use super::namespace::{is_drained, of_mode, settings};
use super::{Changes, Done, Progress, Work};
use crate::change::Change;
use crate::cluster::objects::Objects;
use crate::options;
use crate::site::Site;
use model::mode::{MODE, MODE_SINCE, Mode as Allowed};
use serde_json::json;

/// What the functions may do once all is there. Before, they only observe: so they buy nothing beside an autoscaler that still works.
pub(super) struct Mode;

fn wanted(site: &Site) -> Allowed {
    match site.options.mode {
        options::Mode::Act => Allowed::Act,
        options::Mode::Observe => Allowed::Observe,
    }
}

impl Work for Mode {
    fn name(&self) -> &'static str {
        "mode"
    }

    async fn look(&self, site: &Site) -> Changes {
        let of = settings();
        let wanted = wanted(site);
        let Some(live) = Objects::new(&site.kube).get(&of).await? else {
            return Ok(vec![Change::update(of.to_string(), format!("mode {wanted}"))]);
        };
        let now = live["data"][MODE].as_str().unwrap_or_default();
        Ok(vec![match now {
            "paused" if !is_drained(&live["data"]) => {
                let since = live["data"][MODE_SINCE].as_str().unwrap_or_default();
                let detail = format!("paused since {since}; `joiner resume` ends it");
                Change::keep(of.to_string(), detail)
            }
            now if now == wanted.as_str() => Change::keep(of.to_string(), format!("mode {wanted}")),
            now => Change::update(of.to_string(), format!("mode {now} -> {wanted}")),
        }])
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], _progress: Progress<'_>) -> Done {
        let patch = json!({ "data": of_mode(wanted(site)) });
        Objects::new(&site.kube).patch(&settings(), "", &patch).await.map(drop)
    }
}
