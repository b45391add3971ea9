//! What a pod asks for in all (Kubernetes' rule for effective requests).

use crate::wire::{Read, field, list, resources, text};
use model::Resources;
use model::resources::{CPU, MEMORY, PODS};
use serde_json::Value;
use std::collections::BTreeMap;

/// Requests of the pod with this spec: regular containers and sidecars together, or what some init container needs beside
/// the sidecars before it, whichever is more; pod-level resources in their place; overhead on top; and one pod.
/// `status` shows what is allocated during a resize in place, which counts where it is more.
pub(crate) fn effective(spec: &Value, status: Option<&Value>) -> Read<Resources> {
    let allocated = status.map(allocated).transpose()?.unwrap_or_default();
    let requests = |container: &Value| container_requests(container, &allocated);
    let mut total = Resources::new();
    for container in list(spec, "containers", requests)? {
        total.add(&container);
    }
    let mut sidecars = Resources::new();
    let mut starting = Resources::new();
    let restarts = |container: &Value| {
        Ok((requests(container)?, field(container, "restartPolicy", text)? == Some("Always")))
    };
    for (mut container, sidecar) in list(spec, "initContainers", restarts)? {
        if sidecar {
            sidecars.add(&container);
        } else {
            container.add(&sidecars);
            starting.maximum(&container);
        }
    }
    total.add(&sidecars);
    total.maximum(&starting);
    for (name, amount) in pod_level(spec, &total)?.iter() {
        total.set(name.clone(), amount);
    }
    total.add(&field(spec, "overhead", resources)?.unwrap_or_default());
    Ok(total.with(PODS, 1))
}

/// A limit is also the request where none is given, as the API server has it.
fn container_requests(container: &Value, allocated: &BTreeMap<&str, Resources>) -> Read<Resources> {
    let mut requests = field(container, "resources", requests_or_limits)?.unwrap_or_default();
    let name = field(container, "name", text)?.unwrap_or_default();
    if let Some(allocated) = allocated.get(name) {
        requests.maximum(allocated);
    }
    Ok(requests)
}

fn requests_or_limits(value: &Value) -> Read<Resources> {
    let mut amounts = field(value, "limits", resources)?.unwrap_or_default();
    let requests = field(value, "requests", resources)?.unwrap_or_default();
    // A request of zero is given all the same, and keeps the limit from standing in.
    let zero = |name: &str| value["requests"].get(name).is_some() && !requests.contains(name);
    amounts = amounts.iter().filter(|(name, _)| !zero(name.as_str())).map(owned).collect();
    for (name, amount) in requests.iter() {
        amounts.set(name.clone(), amount);
    }
    Ok(amounts)
}

fn owned((name, amount): (&model::ResourceName, i64)) -> (model::ResourceName, i64) {
    (name.clone(), amount)
}

/// Resources given for the pod as a whole: CPU, memory and huge pages. A limit counts only where neither the pod nor a container requests.
fn pod_level(spec: &Value, containers: &Resources) -> Read<Resources> {
    let Some(level) = field(spec, "resources", |value| Ok(value.clone()))? else {
        return Ok(Resources::new());
    };
    let in_resources = |error: crate::wire::FieldError| error.under("resources");
    let limits = field(&level, "limits", resources).map_err(in_resources)?.unwrap_or_default();
    let requests = field(&level, "requests", resources).map_err(in_resources)?.unwrap_or_default();
    let limits = limits.iter().filter(|(name, _)| !containers.contains(name.as_str()));
    let mut amounts = limits.map(owned).collect::<Resources>();
    for (name, amount) in requests.iter() {
        amounts.set(name.clone(), amount);
    }
    let supported = |name: &str| matches!(name, CPU | MEMORY) || name.starts_with("hugepages-");
    Ok(amounts.iter().filter(|(name, _)| supported(name.as_str())).map(owned).collect())
}

/// What the kubelet has set aside for each container.
fn allocated(status: &Value) -> Read<BTreeMap<&str, Resources>> {
    let mut all = BTreeMap::new();
    for key in ["containerStatuses", "initContainerStatuses"] {
        let of_container = |status| {
            let name = field(status, "name", text)?.unwrap_or_default();
            let amounts = field(status, "allocatedResources", resources)?.unwrap_or_default();
            Ok((name, amounts))
        };
        all.extend(list(status, key, of_container)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(spec: Value, cpu_milli: i64, memory: i64) {
        let requests = effective(&spec, None).unwrap();
        assert_eq!((requests.get(CPU), requests.get(MEMORY)), (cpu_milli, memory), "{spec}");
        assert_eq!(requests.get(PODS), 1);
    }

    fn cpu(amount: &str) -> Value {
        json!({"resources": {"requests": {"cpu": amount}}})
    }

    fn sidecar(amount: &str) -> Value {
        json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": amount}}})
    }

    #[test]
    fn containers_add_up_and_init_containers_run_one_by_one() {
        check(json!({"containers": [cpu("1"), cpu("500m")]}), 1500, 0);
        check(json!({"containers": [cpu("1")], "initContainers": [cpu("3"), cpu("2")]}), 3000, 0);
        check(json!({"containers": [cpu("4")], "initContainers": [cpu("3")]}), 4000, 0);
        check(json!({"containers": [{}]}), 0, 0);
        check(json!({}), 0, 0);
    }

    #[test]
    fn sidecars_run_beside_all_that_follows() {
        check(json!({"containers": [cpu("1")], "initContainers": [sidecar("2")]}), 3000, 0);
        check(
            json!({"containers": [cpu("1")], "initContainers": [sidecar("2"), cpu("5")]}),
            7000,
            0,
        );
        check(
            json!({"containers": [cpu("1")], "initContainers": [cpu("5"), sidecar("2")]}),
            5000,
            0,
        );
        let three = json!([sidecar("1"), cpu("2"), sidecar("3")]);
        check(json!({"containers": [cpu("1")], "initContainers": three}), 5000, 0);
    }

    #[test]
    fn limits_stand_in_for_requests_that_are_not_given() {
        let limits = json!({"resources": {"limits": {"cpu": "2", "memory": "1Ki"}, "requests": {"cpu": "1"}}});
        check(json!({"containers": [limits]}), 1000, 1024);
        let zero = json!({"resources": {"limits": {"cpu": "2"}, "requests": {"cpu": 0}}});
        check(json!({"containers": [zero]}), 0, 0);
    }

    #[test]
    fn pod_level_resources_take_the_place_of_the_sum() {
        let requests = json!({"requests": {"cpu": "3"}});
        check(json!({"containers": [cpu("1")], "resources": requests}), 3000, 0);
        let limits = json!({"limits": {"cpu": "3", "memory": "1Ki"}});
        check(json!({"containers": [cpu("1")], "resources": limits}), 1000, 1024);
    }

    #[test]
    fn overhead_comes_on_top() {
        check(
            json!({"containers": [cpu("1")], "overhead": {"cpu": "250m", "memory": 10}}),
            1250,
            10,
        );
    }

    #[test]
    fn what_is_allocated_during_a_resize_counts_where_it_is_more() {
        let spec = json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]});
        let status =
            json!({"containerStatuses": [{"name": "a", "allocatedResources": {"cpu": "2"}}]});
        assert_eq!(effective(&spec, Some(&status)).unwrap().get(CPU), 2000);
    }

    #[test]
    fn a_bad_quantity_is_named_with_its_field() {
        let error = effective(&json!({"containers": [cpu("1"), cpu("-1")]}), None).unwrap_err();
        assert_eq!(error.path, "containers[1].resources.requests.cpu");
    }
}
