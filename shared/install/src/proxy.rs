//! The proxy by which a VPC without a way out reaches AWS, as gen3's VPCs do: for functions in it, and for the webhook.

use crate::cluster::objects::{Named, Objects};
use crate::network;
use crate::problem::Problem;
use crate::site::Site;
use crate::stack::{self, endpoints, parameters};
use model::mode::NAMESPACE;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The variable that the SDK of AWS reads; the API server is never reached by it.
const VARIABLE: &str = "HTTPS_PROXY";
/// What is said to have none.
const NONE: &str = "none";

/// The one that was named; else the one that an earlier run has set; else, where subnets for nodes do not lead out by themselves, the one
/// that all workloads of the cluster which name any agree on.
pub(crate) async fn of(site: &Site) -> Result<Option<String>, Problem> {
    if let Some(named) = &site.options.proxy {
        return checked(named).map(|url| (named != NONE).then_some(url));
    }
    let stack = stack::describe(site).await?;
    let set = stack.as_ref().and_then(|stack| parameters::value(stack, "HttpsProxy"));
    if let Some(set) = set.filter(|set| !set.is_empty()) {
        return Ok(Some(set.to_owned()));
    }
    let objects = Objects::new(&site.kube);
    let webhook = Named::new("apps/v1", "Deployment", Some(NAMESPACE), "joiner-webhook");
    if let Some(own) = objects.get(&webhook).await?.as_ref().and_then(|own| only(&named(own))) {
        return Ok(Some(own));
    }
    let nets = network::subnets(site).await?;
    let nodes = nets.iter().filter(|net| net.is_for_nodes()).collect::<Vec<_>>();
    if endpoints::all_lead_out(site, &nodes).await? {
        return Ok(None);
    }
    let mut all = BTreeSet::new();
    for kind in ["Deployment", "DaemonSet"] {
        all.extend(objects.list("apps/v1", kind, "").await?.iter().flat_map(named));
    }
    Ok(only(&all))
}

fn only(all: &BTreeSet<String>) -> Option<String> {
    (all.len() == 1).then(|| all.first().cloned()).flatten()
}

/// The proxies that a workload's containers name, of the form that can be used.
fn named(workload: &Value) -> BTreeSet<String> {
    let containers = workload["spec"]["template"]["spec"]["containers"].as_array();
    let all = containers.into_iter().flatten().flat_map(|one| one["env"].as_array()).flatten();
    let known = all
        .filter(|one| one["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(VARIABLE)));
    known.filter_map(|one| checked(one["value"].as_str()?).ok()).collect()
}

/// Whether it can be used.
///
/// # Errors
/// How it must be written.
pub(crate) fn check(url: &str) -> Result<(), Problem> {
    checked(url).map(drop)
}

/// `http://HOST:PORT`: the template makes a rule for the port, and whoever reads the environment sees what is in it.
fn checked(url: &str) -> Result<String, Problem> {
    let url = url.trim_end_matches('/');
    let parts = url.strip_prefix("http://").and_then(|rest| rest.split_once(':'));
    let good = parts.is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok()
    });
    if good || url == NONE {
        return Ok(url.to_owned());
    }
    let cause = "it must be http://HOST:PORT without a user's name, as http://cloud-proxy.internal.io:3128, or none";
    Err(Problem::input("--proxy", cause))
}

/// The webhook's objects, with the proxy where they need it.
pub(crate) fn set(object: &mut Value, proxy: &str) {
    let port = proxy.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    if object["kind"] == "Deployment" {
        let container = &mut object["spec"]["template"]["spec"]["containers"][0];
        if let Some(env) = container["env"].as_array_mut() {
            env.push(json!({ "name": VARIABLE, "value": proxy }));
        }
    }
    if object["kind"] == "NetworkPolicy"
        && let Some(ports) = object["spec"]["egress"][0]["ports"].as_array_mut()
    {
        ports.push(json!({ "port": port, "protocol": "TCP" }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_a_host_and_a_port() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(checked(url).ok().as_deref(), expected, "{url}");
        };
        check("http://cloud-proxy.internal.io:3128", Some("http://cloud-proxy.internal.io:3128"));
        check("http://10.0.0.1:3128/", Some("http://10.0.0.1:3128"));
        check("none", Some("none"));
        check("cloud-proxy:3128", None);
        check("http://cloud-proxy", None);
        check("http://user:word@cloud-proxy:3128", None);
        check("https://cloud-proxy:3128", None);
        check("http://cloud-proxy:99999", None);
    }

    #[test]
    fn workloads_that_agree_tell_the_proxy() {
        let of = |pairs: &[(&str, &str)]| {
            let env = pairs.iter().map(|(name, value)| json!({ "name": name, "value": value }));
            let containers = json!([{ "env": env.collect::<Vec<_>>() }]);
            only(&named(
                &json!({ "spec": { "template": { "spec": { "containers": containers } } } }),
            ))
        };
        assert_eq!(
            of(&[("https_proxy", "http://p:1/"), ("HTTPS_PROXY", "http://p:1")]).unwrap(),
            "http://p:1"
        );
        assert_eq!(of(&[("HTTPS_PROXY", "http://p:1"), ("https_proxy", "http://q:1")]), None);
        assert_eq!(of(&[("NO_PROXY", "http://p:1")]), None);
    }
}
