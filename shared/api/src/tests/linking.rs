use super::*;
use crate::link;

fn named(object: Value, name: &str, class: &str) -> NodePool {
    let mut pool = pool(&with(object, "metadata.name", json!(name)));
    pool.node_class = class.to_owned();
    pool
}

fn check(mut pools: Vec<NodePool>, classes: &[NodeClass], findings: &[&str], usable: &[bool]) {
    let found = link(&mut pools, classes);
    let text = |(pool, finding): &(String, crate::Finding)| {
        format!("{pool} {} {} {}", finding.severity, finding.path, finding.rule)
    };
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), findings);
    assert_eq!(pools.iter().map(|pool| pool.problem.is_none()).collect::<Vec<_>>(), usable);
}

#[test]
fn a_pool_without_its_class_cannot_be_used() {
    let classes = [class(&node_class())];
    check(vec![named(node_pool(), "a", "default")], &classes, &[], &[true]);
    check(
        vec![
            named(node_pool(), "a", "other"),
            named(provisioner(), "b", "other"),
            named(node_pool(), "c", "default"),
        ],
        &classes,
        &[
            "a error spec.template.spec.nodeClassRef.name node-class-missing",
            "b error spec.providerRef.name node-class-missing",
        ],
        &[false, false, true],
    );
}

#[test]
fn a_pool_with_a_broken_class_cannot_be_used() {
    let broken = class(&with(node_class(), "spec.role", Value::Null));
    check(
        vec![named(node_pool(), "a", "default")],
        &[broken],
        &["a error spec.template.spec.nodeClassRef.name node-class-unusable"],
        &[false],
    );
}

#[test]
fn of_pools_of_one_name_the_last_and_newest_stays() {
    let classes = [class(&node_class())];
    let modern = || named(node_pool(), "a", "default");
    let legacy = || named(provisioner(), "a", "default");
    let finding = ["a error metadata.name name-repeated"];
    check(vec![modern(), modern()], &classes, &finding, &[true]);
    check(vec![legacy(), legacy()], &classes, &finding, &[true]);
    check(vec![modern(), legacy()], &classes, &finding, &[true]);
    check(vec![legacy(), modern()], &classes, &finding, &[true]);
    let mut pools = vec![modern(), legacy()];
    link(&mut pools, &classes);
    assert_eq!(pools, [modern()]);
}
