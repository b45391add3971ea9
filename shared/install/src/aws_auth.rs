//! The ConfigMap aws-auth, where clusters without access entries map roles to users. Others write it too, by hand: its text is changed only
//! where it is ours.

use crate::problem::Problem;
use crate::problem_of::of_kube;
use crate::site::Site;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use std::collections::BTreeMap;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "aws-auth";
const KEY: &str = "mapRoles";
/// The group whose rights are infra/chart/templates/functions.yaml.
const GROUP: &str = "joiner:functions";
const USER: &str = "joiner-functions";
/// How often somebody else may write at the same moment.
const ATTEMPTS: u32 = 5;

fn maps(site: &Site) -> Api<ConfigMap> {
    Api::namespaced(site.kube.clone(), NAMESPACE)
}

fn object() -> String {
    format!("ConfigMap {NAMESPACE}/{NAME}")
}

/// The text of `mapRoles`; empty where there is none.
pub(crate) async fn read(site: &Site) -> Result<String, Problem> {
    let found = maps(site).get_opt(NAME).await;
    let found = found.map_err(|error| of_kube("get", "configmaps", object(), &error))?;
    Ok(found.and_then(|map| map.data).and_then(|mut data| data.remove(KEY)).unwrap_or_default())
}

/// Whether the role is mapped: its ARN stands there as a whole.
pub(crate) fn maps_role(text: &str, arn: &str) -> bool {
    text.match_indices(arn).any(|(at, _)| {
        let next = text[at + arn.len()..].chars().next();
        next.is_none_or(|c| c.is_whitespace() || "\"',}".contains(c))
    })
}

/// Whether there is a mapping of ours.
pub(crate) fn has_ours(text: &str) -> bool {
    text.contains(GROUP)
}

/// Maps the functions' role to its group and takes mappings of earlier roles of theirs away; `None` only takes away.
pub(crate) async fn write(site: &Site, arn: Option<&str>) -> Result<(), Problem> {
    for _ in 0..ATTEMPTS {
        let found = maps(site).get_opt(NAME).await;
        let found = found.map_err(|error| of_kube("get", "configmaps", object(), &error))?;
        let is_new = found.is_none();
        let mut map = found.unwrap_or_else(empty);
        let data = map.data.get_or_insert_with(BTreeMap::new);
        let text = data.get(KEY).cloned().unwrap_or_default();
        let wanted = with(&text, arn).map_err(|cause| unreadable(&cause))?;
        if text == wanted {
            return Ok(());
        }
        data.insert(KEY.to_owned(), wanted);
        let parameters = PostParams::default();
        let written = match is_new {
            true => maps(site).create(&parameters, &map).await,
            false => maps(site).replace(NAME, &parameters, &map).await,
        };
        match written {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(of_kube("update", "configmaps", object(), &error)),
        }
    }
    Err(Problem::unfinished(object(), "others write it all the time", "run the same command again"))
}

fn empty() -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(NAME.to_owned());
    map.metadata.namespace = Some(NAMESPACE.to_owned());
    map
}

fn unreadable(cause: &str) -> Problem {
    let todo = format!(
        "map the stack's output FunctionsRoleArn to the group {GROUP} by hand, and run the same command again"
    );
    Problem::conflict(object(), cause, todo)
}

/// The text with one mapping of ours, or none. Lines of others stay as they are.
fn with(text: &str, arn: Option<&str>) -> Result<String, String> {
    let trimmed = text.trim();
    if trimmed.starts_with('[') && trimmed != "[]" || trimmed.starts_with('{') {
        return match (arn, trimmed.contains(GROUP)) {
            (None, false) => Ok(text.to_owned()),
            (Some(arn), true) if maps_role(trimmed, arn) => Ok(text.to_owned()),
            _ => Err(format!("its {KEY} is written as JSON, which is not changed here")),
        };
    }
    let lines = if trimmed == "[]" { Vec::new() } else { text.lines().collect() };
    let dash = lines.iter().find(|line| line.trim_start().starts_with("- "));
    let indent = dash.map_or("", |line| &line[..line.len() - line.trim_start().len()]);
    let stays = |block: &Vec<&str>| {
        let ours = block.iter().any(|line| line.contains(GROUP));
        !ours || arn.is_some_and(|arn| block.iter().any(|line| maps_role(line, arn)))
    };
    let kept = blocks(lines, indent).into_iter().filter(stays).flatten();
    let mut wanted = kept.map(|line| format!("{line}\n")).collect::<String>();
    if let Some(arn) = arn.filter(|arn| !maps_role(&wanted, arn)) {
        wanted += &format!(
            "{indent}- rolearn: {arn}\n{indent}  username: {USER}\n{indent}  groups:\n{indent}  - {GROUP}\n"
        );
    }
    Ok(if wanted.trim() == trimmed { text.to_owned() } else { wanted })
}

/// The entries of a list, with the lines that belong to each; the first may be what stands before them.
fn blocks<'a>(lines: Vec<&'a str>, indent: &str) -> Vec<Vec<&'a str>> {
    let dash = format!("{indent}- ");
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in lines {
        match blocks.last_mut() {
            Some(block) if !line.starts_with(&dash) => block.push(line),
            _ => blocks.push(vec![line]),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:iam::1:role/functions";
    const OURS: &str = "- rolearn: arn:aws:iam::1:role/functions\n  username: joiner-functions\n  groups:\n  - joiner:functions\n";
    const NODES: &str = "- groups:\n  - system:bootstrappers\n  - system:nodes\n  rolearn: arn:aws:iam::1:role/nodes\n  username: system:node:{{EC2PrivateDNSName}}\n";

    fn check(text: &str, arn: Option<&str>, expected: &str) {
        let found = with(text, arn);
        assert_eq!(found.as_deref(), Ok(expected));
        assert_eq!(with(expected, arn).as_deref(), Ok(expected), "twice is once");
    }

    #[test]
    fn our_entry_comes_last_and_others_stay() {
        check("", Some(ARN), OURS);
        check("[]\n", Some(ARN), OURS);
        check(NODES, Some(ARN), &format!("{NODES}{OURS}"));
        let indented = NODES.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let ours = OURS.lines().map(|line| format!("    {line}\n")).collect::<String>();
        check(&indented, Some(ARN), &format!("{indented}{ours}"));
    }

    #[test]
    fn our_entry_goes_and_others_stay() {
        check(&format!("{NODES}{OURS}"), None, NODES);
        check(&format!("{OURS}{NODES}"), None, NODES);
        check(NODES, None, NODES);
        check("", None, "");
        let other = OURS.replace("functions\n  username", "functions-of-before\n  username");
        check(&format!("{other}{NODES}"), Some(ARN), &format!("{NODES}{OURS}"));
    }

    #[test]
    fn what_is_written_as_json_is_not_touched() {
        let json = r#"[{"rolearn":"arn:aws:iam::1:role/nodes","groups":["system:nodes"]}]"#;
        assert!(with(json, Some(ARN)).is_err());
        assert_eq!(with(json, None).as_deref(), Ok(json));
    }

    #[test]
    fn a_longer_name_is_another_role() {
        assert!(maps_role(OURS, ARN));
        assert!(maps_role(r#"[{"rolearn":"arn:aws:iam::1:role/functions"}]"#, ARN));
        assert!(!maps_role("- rolearn: arn:aws:iam::1:role/functions-2\n", ARN));
    }
}
