//! Node overlays: what a user knows better than the catalog about instance types.

use crate::{MicroUsdPerHour, Requirement, Resources};
use serde::{Deserialize, Serialize};

/// A change of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PriceChange {
    /// The price is this.
    Set(MicroUsdPerHour),
    /// So many micro-dollars an hour more, or less if negative.
    Add(i64),
    /// So many millionths of the price more, or less if negative.
    Scale(i64),
}

impl PriceChange {
    /// The changed price; never below nothing.
    pub fn apply(self, price: MicroUsdPerHour) -> MicroUsdPerHour {
        let old = i128::from(price.0);
        let new = match self {
            Self::Set(price) => return price,
            Self::Add(more) => old + i128::from(more),
            // Half a micro-dollar rounds up.
            Self::Scale(millionths) => {
                (old * (1_000_000 + i128::from(millionths)) + 500_000).div_euclid(1_000_000)
            }
        };
        MicroUsdPerHour(u64::try_from(new.max(0)).unwrap_or(u64::MAX))
    }
}

/// What a `NodeOverlay` says of the nodes that it selects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOverlay {
    /// The overlay's name.
    pub name: String,
    /// Of several that speak of one thing the highest weight counts; 0 if unset.
    pub weight: i32,
    /// The nodes that it is about: labels of types, of offerings and of pools.
    pub requirements: Vec<Requirement>,
    /// What becomes of their price.
    pub price: Option<PriceChange>,
    /// Extended resources that they have besides.
    pub capacity: Resources,
    /// Why it cannot be used, if it cannot.
    pub problem: Option<String>,
}

impl NodeOverlay {
    /// Whether it is about a node with these labels. A label that the node lacks is met by what allows its absence only.
    pub fn selects<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let met = |wanted: &Requirement| wanted.value_set().allows(label(&wanted.key));
        self.requirements.iter().all(met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_set_moved_and_scaled() {
        let check = |change: PriceChange, price, expected| {
            assert_eq!(change.apply(MicroUsdPerHour(price)).0, expected, "{change:?}");
        };
        check(PriceChange::Set(MicroUsdPerHour(7)), 96_000, 7);
        check(PriceChange::Add(500), 96_000, 96_500);
        check(PriceChange::Add(-100_000), 96_000, 0);
        check(PriceChange::Scale(-150_000), 96_000, 81_600);
        check(PriceChange::Scale(100_000), 5, 6);
        check(PriceChange::Scale(-1_000_000), 96_000, 0);
    }
}
