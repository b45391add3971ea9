//! Status conditions, as Kubernetes keeps them: one of each type, with the moment of its last change.

use serde_json::{Value, json};

/// Sets a condition in an object's `status.conditions`; the moment changes only with the status. Whether anything changed.
pub(crate) fn set(
    object: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) -> bool {
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return false };
    let wanted = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    match list.iter_mut().find(|condition| condition["type"] == kind) {
        None => list.push(wanted),
        Some(old) => {
            let mut wanted = wanted;
            if old["status"] == status {
                wanted["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            if *old == wanted {
                return false;
            }
            *old = wanted;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_changes_only_with_the_status() {
        let mut object = json!({});
        assert!(set(&mut object, "Launched", "False", "LaunchFailed", "no", "1"));
        assert!(!set(&mut object, "Launched", "False", "LaunchFailed", "no", "2"));
        assert!(set(&mut object, "Launched", "False", "LaunchFailed", "still no", "2"));
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "1");
        assert!(set(&mut object, "Launched", "True", "Launched", "", "3"));
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "3");
        assert_eq!(object["status"]["conditions"].as_array().unwrap().len(), 1);
    }
}
