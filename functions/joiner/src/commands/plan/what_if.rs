//! `joiner plan --what-if`: the same pods under other rules. The small language, and the plans made by it.

use anyhow::{Result, bail};
use model::{CapacityType, Operator, Plan, Requirement, Snapshot, ValueSet, labels};
use planner::{Options, Variant};

/// A plan under other rules.
pub(super) struct Scenario {
    /// The words, as written.
    pub(super) words: String,
    /// The plan.
    pub(super) plan: Plan,
}

impl Scenario {
    /// Plans the snapshot under these words.
    pub(super) fn new(words: &str, snapshot: &Snapshot, options: &Options) -> Result<Self> {
        let mut changed = snapshot.clone();
        parse(words)?.iter().for_each(|variant| variant.apply(&mut changed));
        let (plan, violations) = planner::heed(&changed, planner::plan(&changed, options));
        if let Some(violation) = violations.first() {
            bail!(
                "the plan for --what-if {words:?} breaks a rule, which is an error of joiner's; please report it with the input: {violation}"
            );
        }
        Ok(Self { words: words.to_owned(), plan })
    }

    /// What it costs more than the other plan, in micro-dollars an hour, if both hold as many pods.
    pub(super) fn difference(&self, other: &Plan) -> Option<i64> {
        let price = |plan: &Plan| plan.cost.planned.0 as i64;
        (self.more_left(other) == 0).then(|| price(&self.plan) - price(other))
    }

    /// How many more pods it leaves than the other plan; negative if fewer.
    pub(super) fn more_left(&self, other: &Plan) -> i64 {
        self.plan.unschedulable.len() as i64 - other.unschedulable.len() as i64
    }
}

/// What the words are, for messages.
const WORDS: &str = "amd64, arm64, spot, on-demand, reserved, arch=, capacity=, zone=, type=, family=, category=, size= (values parted by |, != for none of them), \
     generation, vcpu or memory with =, <, <=, > or >=, and without-spread, without-affinity, without-anti-affinity, without-selector (each also =LABEL), \
     without-host-ports, without-daemons, without-limits, without-weights";

/// Reads words parted by commas.
pub(super) fn parse(text: &str) -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    let mut column = 1;
    for part in text.split(',') {
        let blank = part.chars().take_while(|c| c.is_whitespace()).count();
        match word(part.trim()) {
            Ok(variant) => variants.push(variant),
            Err(problem) => {
                bail!("--what-if {text:?}, column {}: {problem}; words are {WORDS}", column + blank)
            }
        }
        column += part.chars().count() + 1;
    }
    Ok(variants)
}

fn word(word: &str) -> Result<Variant, String> {
    if word.is_empty() {
        return Err("a word is missing".to_owned());
    }
    if let Some(rest) = word.strip_prefix("without-") {
        return without(word, rest);
    }
    let only = |key: &str| Ok(Variant::Allow { key: key.to_owned(), values: ValueSet::only(word) });
    match word {
        "amd64" | "arm64" => return only(labels::ARCH),
        "spot" | "on-demand" | "reserved" => return only(labels::CAPACITY_TYPE),
        _ => {}
    }
    let Some(at) = word.find(['=', '<', '>', '!']) else {
        return Err(format!("there is no word {word:?}"));
    };
    let (name, rest) = word.split_at(at);
    let operators = ["!=", "<=", ">=", "=", "<", ">"];
    let Some(operator) = operators.into_iter().find(|operator| rest.starts_with(operator)) else {
        return Err(format!("{word:?} has no operator"));
    };
    let value = &rest[operator.len()..];
    if value.is_empty() {
        return Err(format!("{word:?} has no value"));
    }
    match name {
        "generation" | "vcpu" | "memory" => compared(name, operator, value),
        _ => listed(name, operator, value),
    }
}

fn without(word: &str, rest: &str) -> Result<Variant, String> {
    let (rule, label) = match rest.split_once('=') {
        Some((rule, label)) => (rule, Some(label_of(label)?)),
        None => (rest, None),
    };
    let alone = |variant| match &label {
        None => Ok(variant),
        Some(_) => Err(format!("{word:?} takes no label")),
    };
    match rule {
        "spread" => Ok(Variant::WithoutSpread(label)),
        "affinity" => Ok(Variant::WithoutAffinity(label)),
        "anti-affinity" => Ok(Variant::WithoutAntiAffinity(label)),
        "selector" => Ok(Variant::WithoutSelector(label)),
        "host-ports" => alone(Variant::WithoutHostPorts),
        "daemons" => alone(Variant::WithoutDaemons),
        "limits" => alone(Variant::WithoutLimits),
        "weights" => alone(Variant::WithoutWeights),
        _ => Err(format!("there is no word {word:?}")),
    }
}

/// A label by its short name or in full.
fn label_of(name: &str) -> Result<String, String> {
    Ok(match name {
        "" => return Err("the label is missing".to_owned()),
        "zone" => labels::ZONE.to_owned(),
        "hostname" => labels::HOSTNAME.to_owned(),
        "arch" => labels::ARCH.to_owned(),
        "os" => labels::OS.to_owned(),
        "type" => labels::INSTANCE_TYPE.to_owned(),
        "capacity" => labels::CAPACITY_TYPE.to_owned(),
        "family" | "category" | "size" | "generation" => of_instance(name),
        other => other.to_owned(),
    })
}

fn of_instance(name: &str) -> String {
    format!("{}instance-{name}", labels::INSTANCE_LABEL_PREFIX)
}

fn listed(name: &str, operator: &str, value: &str) -> Result<Variant, String> {
    let key = match name {
        "arch" | "capacity" | "zone" | "type" | "family" | "category" | "size" => label_of(name)?,
        other => return Err(format!("there is no word {other:?}")),
    };
    let values = value.split('|').map(str::trim).collect::<Vec<_>>();
    if values.contains(&"") {
        return Err(format!("a value of {name} is missing"));
    }
    let known = |value: &&&str| match name {
        "arch" => ["amd64", "arm64"].contains(*value),
        "capacity" => CapacityType::parse(value).is_some(),
        _ => true,
    };
    if let Some(odd) = values.iter().find(|value| !known(value)) {
        return Err(format!("{name} is never {odd:?}"));
    }
    let operator = match operator {
        "=" => Operator::In,
        "!=" => Operator::NotIn,
        other => return Err(format!("{name} cannot be compared by {other:?}")),
    };
    let values = Requirement::new(&key, operator, values).value_set();
    Ok(Variant::Allow { key, values })
}

fn compared(name: &str, operator: &str, value: &str) -> Result<Variant, String> {
    let Some(number) = number(name, value) else {
        return Err(format!("{value:?} is no amount of {name}"));
    };
    let key = of_instance(if name == "vcpu" { "cpu" } else { name });
    let operator = match operator {
        "=" => Operator::In,
        "!=" => Operator::NotIn,
        "<" => Operator::Lt,
        "<=" => Operator::Lte,
        ">" => Operator::Gt,
        _ => Operator::Gte,
    };
    let values = Requirement::new(&key, operator, [number.to_string()]).value_set();
    Ok(Variant::Allow { key, values })
}

/// A whole number; of memory, mebibytes, also written `64Gi` or `512Mi`.
fn number(name: &str, value: &str) -> Option<i64> {
    let (digits, unit) = match (name, value.strip_suffix("Gi"), value.strip_suffix("Mi")) {
        ("memory", Some(digits), _) => (digits, 1024),
        ("memory", _, Some(digits)) => (digits, 1),
        _ => (value, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(unit).filter(|number| *number >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let parsed = parse(text).map(|variants| {
            variants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        });
        let found = parsed.unwrap_or_else(|error| error.to_string());
        assert!(found.starts_with(expected), "{text}: {found}");
    }

    #[test]
    fn words_are_read() {
        check("arm64,spot", "arch In [arm64], capacity-type In [spot]");
        check(
            "arch=amd64|arm64, zone!=us-east-1a",
            "arch In [amd64, arm64], zone NotIn [us-east-1a]",
        );
        check("generation>5,vcpu<=16", "instance-generation Exists > 5, instance-cpu Exists < 17");
        check("memory>=64Gi", "instance-memory Exists > 65535");
        check(
            "family=m7i|c7g,size!=metal",
            "instance-family In [c7g, m7i], instance-size NotIn [metal]",
        );
        check("without-spread=zone,without-limits", "topology spread over zone, limits of pools");
        check("without-selector=team", "what pods ask of team");
    }

    #[test]
    fn bad_words_are_refused_with_their_place() {
        check("arm64, spt", "--what-if \"arm64, spt\", column 8: there is no word \"spt\"");
        check("", "--what-if \"\", column 1: a word is missing");
        check("spot,,arm64", "--what-if \"spot,,arm64\", column 6: a word is missing");
        check("arch=arm", "--what-if \"arch=arm\", column 1: arch is never \"arm\"");
        check("arch>amd64", "--what-if \"arch>amd64\", column 1: arch cannot be compared by \">\"");
        check("memory>x", "--what-if \"memory>x\", column 1: \"x\" is no amount of memory");
        check("generation>", "--what-if \"generation>\", column 1: \"generation>\" has no value");
        check("family=a||b", "--what-if \"family=a||b\", column 1: a value of family is missing");
        check(
            "without-limits=x",
            "--what-if \"without-limits=x\", column 1: \"without-limits=x\" takes",
        );
        check(
            "without-fear",
            "--what-if \"without-fear\", column 1: there is no word \"without-fear\"",
        );
        check("zones!a", "--what-if \"zones!a\", column 1: \"zones!a\" has no operator");
    }
}
