//! Resource lists as written, in the model's units.

use crate::schema::QuantityText;
use model::Resources;
use std::collections::BTreeMap;

/// The amounts of a resource list; what is no quantity has been reported and left out before.
pub(crate) fn resources(list: &BTreeMap<String, QuantityText>) -> Resources {
    let mut resources = Resources::new();
    for (name, quantity) in list {
        if let Some(quantity) = quantity.parse() {
            resources.set(name.as_str(), quantity.amount_of(name));
        }
    }
    resources
}
