//! The explanation of a pod for people.

use crate::commands::layout::{align, count, shorten, title, wrap};
use crate::commands::style::Style;
use model::{Launch, MicroUsdPerHour, Resources};
use planner::{
    Change, NodeVerdict, Obstacle, OfferingVerdict, PodExplanation, PodState, PoolVerdict,
};

/// Causes, pools and kinds of nodes beyond these are told by number.
const MOST: usize = 6;

/// What becomes of it, what would help, and what pools and nodes say.
pub(super) fn render(
    told: &PodExplanation,
    instance_type: Option<&str>,
    all: bool,
    style: &Style,
) -> String {
    let most = if all { usize::MAX } else { MOST };
    let mut text = wrap(&style.bold(&headline(told, instance_type)), style.width, "", "    ");
    text += &asks(&told.requests, style);
    text += &reasons(&told.state, style);
    text += &fixes(told, style);
    text += "\n";
    text += &title("node pools", style);
    for pool in told.pools.iter().take(most) {
        text += &of_pool(pool, instance_type, most, style);
        if all || instance_type.is_some() {
            text += &offerings(pool, instance_type.is_some(), style);
        }
    }
    if told.pools.is_empty() {
        text += "  there is none\n";
    }
    if told.pools.len() > most {
        let rest = told.pools.len() - most;
        text +=
            &style.dim(&format!("  ... and {} more (--all prints them)\n", count(rest, "pool")));
    }
    text + &nodes(&told.nodes, most, style)
}

fn headline(told: &PodExplanation, instance_type: Option<&str>) -> String {
    let pod = &told.pod;
    let state = match &told.state {
        PodState::Runs { node } => format!("{pod} runs on {node}"),
        PodState::NotConsidered { cause } => format!("{pod} is left alone: {cause}"),
        PodState::Placed { node } => format!("{pod} goes to {node}, which is there or on its way"),
        PodState::Bought { launch } => format!("{pod} goes to a new node: {}", new_node(launch)),
        PodState::Unschedulable { .. } => format!("{pod} waits: no node can hold it"),
    };
    let Some(wanted) = instance_type else { return state };
    let holds = |pool: &&PoolVerdict| pool.obstacles.is_empty() && !pool.fitting().is_empty();
    match told.pools.iter().find(holds) {
        Some(pool) => format!("{wanted} of pool {} can hold it; {state}", pool.pool),
        None => format!("{wanted} of no pool can hold it; {state}"),
    }
}

fn new_node(launch: &Launch) -> String {
    let of = &launch.offering;
    let cost = price(of.price, of.estimated);
    let with = launch.pods.len().saturating_sub(1);
    let others =
        if with > 0 { format!(", with {}", count(with, "other pod")) } else { String::new() };
    let (of_type, way, zone, pool) =
        (&of.instance_type, of.capacity_type, &of.zone, &launch.node_pool);
    format!("{of_type} {way} in {zone} of pool {pool}, {cost} an hour{others}")
}

fn asks(requests: &Resources, style: &Style) -> String {
    let named = requests.iter().filter(|(name, _)| name.as_str() != model::resources::PODS);
    let named = named.map(|(name, amount)| (name.clone(), amount)).collect::<Resources>();
    let text = if named.is_empty() { "nothing".to_owned() } else { named.to_string() };
    wrap(&format!("asks for {text}"), style.width, "  ", "    ")
}

fn reasons(state: &PodState, style: &Style) -> String {
    let PodState::Unschedulable { reasons } = state else { return String::new() };
    let causes = crate::commands::plan::causes(reasons);
    causes.iter().map(|cause| wrap(cause, style.width, "  ", "    ")).collect()
}

fn fixes(told: &PodExplanation, style: &Style) -> String {
    let waits = matches!(told.state, PodState::Unschedulable { .. });
    if told.fixes.is_empty() && waits {
        return "  no small change of the pod or a pool that would help was found\n".to_owned();
    }
    let line = |(index, changes): (usize, &Vec<Change>)| {
        let head = if index == 0 { "  smallest change: " } else { "  or: " };
        let text = changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", and ");
        wrap(&text, style.width, head, "    ")
    };
    told.fixes.iter().enumerate().map(line).collect()
}

fn of_pool(pool: &PoolVerdict, instance_type: Option<&str>, most: usize, style: &Style) -> String {
    let name = if pool.weight == 0 {
        pool.pool.clone()
    } else {
        format!("{} (weight {})", pool.pool, pool.weight)
    };
    let mut causes = pool.obstacles.iter().map(Obstacle::to_string).collect::<Vec<_>>();
    causes.push(match instance_type {
        None => fitting(pool),
        Some(wanted) if pool.types.is_empty() => format!("it does not know {wanted}"),
        Some(_) if pool.fitting().is_empty() => "does not fit".to_owned(),
        Some(_) => "fits".to_owned(),
    });
    let mut text = wrap(&format!("{name}: {}", causes.join("; ")), style.width, "  ", "      ");
    let groups = if instance_type.is_none() { pool.groups() } else { Vec::new() };
    for group in groups.iter().take(most) {
        let line = format!("{}: {}", group.types, group.obstacle.of_many());
        text += &wrap(&line, style.width, "    ", "        ");
    }
    let rest = groups.iter().skip(most).map(|group| group.types).sum::<usize>();
    if rest > 0 {
        text += &style.dim(&format!("    {rest}: other causes (--all prints them)\n"));
    }
    text
}

fn fitting(pool: &PoolVerdict) -> String {
    let (fit, known) = (pool.fitting().len(), pool.types.len());
    let would = match (pool.obstacles.is_empty(), fit) {
        (true, 1) => "fits",
        (true, _) => "fit",
        (false, _) => "would fit",
    };
    let cheapest = pool.fitting().first().and_then(|of| Some((of, of.offerings.first()?)));
    match cheapest {
        None if known == 0 => "it has no instance types".to_owned(),
        None => format!("none of {known} types fits"),
        Some((of, offering)) => format!(
            "{fit} of {known} types {would}, the cheapest {} {} in {}, {} an hour",
            of.instance_type,
            offering.capacity_type,
            offering.zone,
            price(offering.price, offering.estimated)
        ),
    }
}

/// The ways to buy the types: each where one type is asked for, else the best of each.
fn offerings(pool: &PoolVerdict, each: bool, style: &Style) -> String {
    let mut rows = vec![["TYPE", "ZONE", "CAPACITY", "$/H", "WHY NOT"].map(String::from)];
    for of in &pool.types {
        let shown = of.offerings.iter().take(if each { usize::MAX } else { 1 });
        let row = |offering: &OfferingVerdict| {
            let causes = offering.obstacles.iter().map(ToString::to_string).collect::<Vec<_>>();
            [
                of.instance_type.clone(),
                offering.zone.clone(),
                offering.capacity_type.to_string(),
                price(offering.price, offering.estimated).replace('$', ""),
                causes.join("; "),
            ]
        };
        rows.extend(shown.map(row));
    }
    if rows.len() == 1 { String::new() } else { align(&rows, &[3], style) }
}

/// The nodes that are there: which could take it, and what keeps it from the others.
fn nodes(all: &[NodeVerdict], most: usize, style: &Style) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut causes: Vec<(String, Vec<String>)> = Vec::new();
    for verdict in all {
        let cause = match &verdict.obstacle {
            None => "could take it".to_owned(),
            Some(obstacle @ Obstacle::TooSmall { resource, .. }) => {
                let told = obstacle.of_many();
                let asked = told.split(", at most").next().unwrap_or(&told);
                if resource.is_empty() { told.clone() } else { asked.to_owned() }
            }
            Some(obstacle) => obstacle.of_many(),
        };
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, names)) => names.push(verdict.node.to_string()),
            None => causes.push((cause, vec![verdict.node.to_string()])),
        }
    }
    causes.sort_by_key(|(cause, names)| (cause != "could take it", std::cmp::Reverse(names.len())));
    let mut text = format!("\n{}", title("nodes that are there or on their way", style));
    for (cause, names) in causes.iter().take(most) {
        let named = shorten(names, style.width.saturating_sub(cause.len() + 12));
        let line = format!("{}: {cause} ({named})", names.len());
        text += &wrap(&line, style.width, "  ", "      ");
    }
    text
}

fn price(price: MicroUsdPerHour, estimated: bool) -> String {
    format!("{}${:.4}", if estimated { "~" } else { "" }, price.usd())
}
