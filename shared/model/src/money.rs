//! Prices as integers.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

/// Micro-dollars per hour: `96_000` is $0.096 an hour. Never negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MicroUsdPerHour(pub u64);

impl MicroUsdPerHour {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// From dollars per hour, rounded to the nearest micro-dollar; `None` if negative, not finite or over $1,000,000 an hour.
    pub fn from_usd(usd: f64) -> Option<Self> {
        (usd.is_finite() && (0.0..=1e6).contains(&usd)).then(|| Self((usd * 1e6).round() as u64))
    }

    /// Dollars per hour, for printing and charts only.
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// How far `self` is over `bound`, in hundredths of a per cent (1% is 100); `None` if the bound is zero.
    pub fn gap_basis_points(self, bound: Self) -> Option<u64> {
        (bound.0 > 0)
            .then(|| ((self.0.saturating_sub(bound.0)) as u128 * 10_000 / bound.0 as u128) as u64)
    }

    /// Subtracts, stopping at zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for MicroUsdPerHour {
    /// Four decimals below a dollar, two above: `$0.0960`, `$12.34`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.0 < 1_000_000 { 4 } else { 2 };
        write!(f, "${:.*}", decimals, self.usd())
    }
}

impl Add for MicroUsdPerHour {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for MicroUsdPerHour {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for MicroUsdPerHour {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl Mul<u64> for MicroUsdPerHour {
    type Output = Self;
    fn mul(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Sum for MicroUsdPerHour {
    fn sum<I: Iterator<Item = Self>>(prices: I) -> Self {
        prices.fold(Self::ZERO, |a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_round_to_micro_dollars_and_absurd_ones_are_refused() {
        assert_eq!(MicroUsdPerHour::from_usd(0.42219), Some(MicroUsdPerHour(422_190)));
        assert_eq!(MicroUsdPerHour::from_usd(-1.0), None);
        assert_eq!(MicroUsdPerHour::from_usd(f64::NAN), None);
    }

    #[test]
    fn the_gap_is_in_basis_points() {
        assert_eq!(MicroUsdPerHour(103).gap_basis_points(MicroUsdPerHour(100)), Some(300));
        assert_eq!(MicroUsdPerHour(103).gap_basis_points(MicroUsdPerHour(0)), None);
    }

    #[test]
    fn prices_print_as_dollars() {
        assert_eq!(MicroUsdPerHour(96_000).to_string(), "$0.0960");
        assert_eq!(MicroUsdPerHour(12_344_000).to_string(), "$12.34");
    }
}
