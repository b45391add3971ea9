//! The template, with the functions' code where it was delivered.

use crate::release::FUNCTIONS;
use std::collections::BTreeMap;

/// The template as it is in the repository.
const TEMPLATE: &str = include_str!("../../../../infra/template.yaml");

/// Where code lies that is not delivered yet.
const CODE: &str = "CodeUri: ";

/// The template with these places of code, `s3://bucket/key` by function, as `sam package` writes it. `None` if one is missing.
pub(crate) fn with_code(code: &BTreeMap<String, String>) -> Option<String> {
    let mut function = None;
    let mut left = FUNCTIONS.to_vec();
    let mut text = String::with_capacity(TEMPLATE.len() + 512);
    for line in TEMPLATE.lines() {
        if let Some((_, rest)) = line.split_once("Binary: ") {
            function = rest.split([' ', '}', ',']).next();
        }
        match line.split_once(CODE) {
            Some((head, _)) if !head.trim_start().starts_with('#') => {
                let name = function.take()?;
                left.retain(|each| *each != name);
                text.push_str(&format!("{head}{CODE}{}\n", code.get(name)?));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    left.is_empty().then_some(text)
}

/// The names of the template's parameters.
pub(crate) fn parameters() -> Vec<&'static str> {
    let section = TEMPLATE.split("\nParameters:\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| line.is_empty() || line.starts_with(' '));
    let name = |line: &'static str| {
        let rest = line.strip_prefix("  ")?;
        rest.strip_suffix(':').filter(|rest| !rest.starts_with([' ', '#']))
    };
    lines.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> BTreeMap<String, String> {
        FUNCTIONS.map(|name| (name.to_owned(), format!("s3://b/{name}.zip"))).into_iter().collect()
    }

    #[test]
    fn each_function_has_its_own_code_and_no_local_path_is_left() {
        let text = with_code(&code()).unwrap();
        for name in FUNCTIONS {
            let after = text.split(&format!("Binary: {name}")).nth(1).unwrap();
            let place = after.split("CodeUri: ").nth(1).unwrap().lines().next();
            assert_eq!(place, Some(format!("s3://b/{name}.zip").as_str()));
        }
        assert!(!text.contains("CodeUri: .."));
        assert_eq!(text.lines().count(), TEMPLATE.lines().count());
        assert_eq!(with_code(&BTreeMap::new()), None);
    }

    #[test]
    fn parameters_are_those_of_the_template() {
        let names = parameters();
        for name in
            ["ClusterName", "NodeRoleArn", "AccessEntries", "SystemNodes", "ClusterServiceCidr"]
        {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        assert!(!names.contains(&"IsArm"));
        assert!(names.len() > 25, "{names:?}");
    }
}
