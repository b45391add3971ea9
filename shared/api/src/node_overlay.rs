//! `NodeOverlay`, karpenter.sh/v1alpha1.
//! Source: karpenter core v1alpha1 `nodeoverlay.go`, `nodeoverlay_validation.go`.

use crate::conditions::Condition;
use crate::finding::{Findings, field};
use crate::label_rules::Dialect;
use crate::object::{Decoded, decode};
use crate::requirements::{self, NodeRequirement};
use crate::schema::{QuantityText, object, structural, wire};
use crate::{Object, Reading, limits};
use model::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use model::{MicroUsdPerHour, NodeOverlay, PriceChange, Resources};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

wire! {
    /// A requirement on the nodes that an overlay is about.
    OverlayRequirement {
        /// The label key.
        #[schemars(required, length(max = 316))]
        key: String,
        /// How the label's value relates to the values.
        #[schemars(required, extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]))]
        operator: String,
        /// The values: at least one for In and NotIn, one integer for the comparisons.
        values: Vec<String>,
    }
}

wire! {
    /// What is known better of some nodes.
    NodeOverlaySpec {
        /// The nodes that it is about: labels of instance types, of offerings and of pools.
        #[schemars(required, length(max = 100))]
        requirements: Vec<OverlayRequirement>,
        /// How their price changes: +0.5 or -0.5 dollars an hour, +10% or -15%.
        #[schemars(regex(pattern = r"^(([+-]{1}(\d*\.?\d+))|(\+{1}\d*\.?\d+%)|(^(-\d{1,2}(\.\d+)?%)$)|(-100%))$"))]
        price_adjustment: String,
        /// Their price in dollars an hour. Not together with priceAdjustment.
        #[schemars(regex(pattern = r"^\d+(\.\d+)?$"))]
        price: String,
        /// Extended resources that they have besides.
        capacity: BTreeMap<String, QuantityText>,
        /// Of several overlays that speak of one thing the highest weight counts; 0 if unset.
        #[schemars(range(min = 1, max = 10000))]
        weight: i32,
    }
}

wire! {
    /// What is known of an overlay.
    NodeOverlayStatus {
        /// Conditions.
        conditions: Vec<Condition>,
    }
}

/// The schema of the whole object.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let status = structural::<NodeOverlayStatus>();
        object("What is known better of some nodes.", structural::<NodeOverlaySpec>(), Some(status))
    })
}

/// Reads a NodeOverlay.
pub(crate) fn read(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode::<NodeOverlaySpec, NodeOverlayStatus>(schema(), value, &mut findings);
    let overlay = decoded.map(|Decoded { metadata, spec, .. }| {
        let overlay = convert(metadata.name, spec, &mut findings);
        Object::NodeOverlay(NodeOverlay { problem: findings.problem(), ..overlay })
    });
    Reading { objects: overlay.into_iter().collect(), findings: findings.into_vec() }
}

fn convert(name: String, spec: NodeOverlaySpec, findings: &mut Findings) -> NodeOverlay {
    let wanted = |wire: OverlayRequirement| {
        let OverlayRequirement { key, operator, values } = wire;
        NodeRequirement { key, operator, values, min_values: None }
    };
    let given = spec.requirements.unwrap_or_default().into_iter().map(wanted).collect();
    let read = requirements::read(given, Dialect::Claim, "spec.requirements", findings);
    let price = price(spec.price.as_deref(), spec.price_adjustment.as_deref(), findings);
    let capacity = spec.capacity.as_ref().map(limits::resources).unwrap_or_default();
    check_capacity(&capacity, findings);
    NodeOverlay {
        name,
        weight: spec.weight.unwrap_or(0),
        requirements: read.list,
        price,
        capacity,
        problem: None,
    }
}

fn check_capacity(capacity: &Resources, findings: &mut Findings) {
    for name in [CPU, MEMORY, EPHEMERAL_STORAGE, PODS] {
        let path = field("spec.capacity", name);
        let message = "an overlay adds extended resources only; take it out";
        findings.require(!capacity.contains(name), "overlay-capacity", &path, message);
    }
}

fn price(
    price: Option<&str>,
    adjustment: Option<&str>,
    findings: &mut Findings,
) -> Option<PriceChange> {
    const PATH: &str = "spec.priceAdjustment";
    let both = price.is_some() && adjustment.is_some();
    let message = "cannot be given together with price; take one of them out";
    findings.require(!both, "overlay-price", PATH, message);
    let read = match (price, adjustment) {
        (Some(price), _) => millionths(price)
            .and_then(|price| Some(PriceChange::Set(MicroUsdPerHour(u64::try_from(price).ok()?)))),
        (None, Some(text)) => match text.strip_suffix('%') {
            Some(share) => millionths(share).map(|share| PriceChange::Scale(share / 100)),
            None => millionths(text).map(PriceChange::Add),
        },
        (None, None) => return None,
    };
    let path = if price.is_some() { "spec.price" } else { PATH };
    findings.require(read.is_some(), "overlay-price", path, "is no number that can be read");
    read
}

/// A decimal number in millionths; further digits are cut off.
fn millionths(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.get(..fraction.len().min(6))?;
    let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i64>().ok() };
    let scale = 10_i64.pow(6 - fraction.len() as u32);
    let parts = number(whole)?.checked_mul(1_000_000)?.checked_add(number(fraction)? * scale)?;
    Some(sign * parts)
}
