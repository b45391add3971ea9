//! Conditions in an object's status.

use crate::schema::wire;

wire! {
    /// A condition.
    Condition {
        /// The condition's type: Ready.
        #[serde(rename = "type")]
        #[schemars(required)]
        kind: String,
        /// True, False or Unknown.
        #[schemars(required)]
        status: String,
        /// Why, in one word.
        reason: String,
        /// Why, for people.
        message: String,
        /// How much it matters while it is not true.
        severity: String,
        /// When the status last changed.
        last_transition_time: String,
        /// The generation of the object that it speaks of.
        observed_generation: i64,
    }
}

/// Why the object is not ready, if its Ready condition is False.
pub(crate) fn not_ready(conditions: Option<&Vec<Condition>>) -> Option<String> {
    let is = |text: &Option<String>, wanted: &str| text.as_deref() == Some(wanted);
    let ready = conditions?.iter().find(|condition| is(&condition.kind, "Ready"))?;
    is(&ready.status, "False").then(|| {
        let why = ready.message.as_ref().filter(|text| !text.is_empty()).or(ready.reason.as_ref());
        why.map_or_else(|| "not ready".to_owned(), |why| format!("not ready: {why}"))
    })
}
