//! Kubernetes quantities: `100m`, `1.5Gi`, `2e3`.

use std::str::FromStr;
use thiserror::Error;

/// An exact quantity in thousandths of its base unit, rounded up as Kubernetes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    milli: i128,
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// The text does not follow `<number><suffix>`.
    #[error(
        "{0:?} is not a quantity: write a number with an optional suffix (n u m k M G T P E Ki Mi Gi Ti Pi Ei, or e3)"
    )]
    Syntax(String),
    /// The amount does not fit 64 bits of its unit.
    #[error("{0:?} is absurdly large")]
    TooLarge(String),
}

impl Quantity {
    /// Thousandths of the base unit (milli-cores for CPU), stopping at the largest 64-bit integer.
    pub fn milli(self) -> i64 {
        clamp(self.milli)
    }

    /// Whole base units, rounded up (bytes for memory).
    pub fn units(self) -> i64 {
        clamp(self.milli.div_euclid(1000) + i128::from(self.milli.rem_euclid(1000) > 0))
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.milli < 0
    }

    /// The amount in the unit that `Resources` keeps for `name`: milli-cores for CPU, base units for the rest.
    pub fn amount_of(self, name: &str) -> i64 {
        if name == crate::resources::CPU { self.milli() } else { self.units() }
    }
}

fn clamp(value: i128) -> i64 {
    value.clamp(i64::MIN as i128, i64::MAX as i128) as i64
}

/// Powers of ten and of two by suffix: (suffix, mantissa multiplier in thousandths as (numerator, denominator)).
fn suffix_scale(suffix: &str) -> Option<(i128, i128)> {
    let scale = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        "Ti" => (1_000 << 40, 1),
        "Pi" => (1_000 << 50, 1),
        "Ei" => (1_000_i128 << 60, 1),
        _ => return exponent_scale(suffix),
    };
    Some(scale)
}

fn exponent_scale(suffix: &str) -> Option<(i128, i128)> {
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    match exponent {
        0..=18 => Some((1_000 * 10_i128.pow(exponent as u32), 1)),
        -18..=-1 => Some((1_000, 10_i128.pow(exponent.unsigned_abs()))),
        _ => None,
    }
}

/// The digits of a decimal number as one integer, and how many of them stood behind the point.
fn digits(number: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    format!("{whole}{fraction}").parse().ok().map(|value| (value, fraction.len() as u32))
}

fn divide_up(value: i128, divisor: i128) -> i128 {
    value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) > 0)
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let syntax = || QuantityError::Syntax(text.to_owned());
        let too_large = || QuantityError::TooLarge(text.to_owned());
        let trimmed = text.trim();
        let (negative, unsigned) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        let end =
            unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        if number.len() > 40 {
            return Err(too_large());
        }
        let (value, places) = digits(number).ok_or_else(syntax)?;
        let (numerator, denominator) = suffix_scale(suffix).ok_or_else(syntax)?;
        let product = value.checked_mul(numerator).ok_or_else(too_large)?;
        let divisor = 10_i128
            .checked_pow(places)
            .and_then(|p| p.checked_mul(denominator))
            .ok_or_else(too_large)?;
        let milli = divide_up(product, divisor);
        if milli > i64::MAX as i128 * 1000 {
            return Err(too_large());
        }
        Ok(Self { milli: if negative { -milli } else { milli } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, milli: i64, units: i64) {
        let quantity: Quantity = text.parse().unwrap();
        assert_eq!((quantity.milli(), quantity.units()), (milli, units), "{text}");
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        check("100m", 100, 1);
        check("1", 1000, 1);
        check("1.5", 1500, 2);
        check("0.0001", 1, 1);
        check("1Ki", 1_024_000, 1024);
        check("1.5Gi", 1_610_612_736_000, 1_610_612_736);
        check("4k", 4_000_000, 4000);
        check("2e3", 2_000_000, 2000);
        check("1E3", 1_000_000, 1000);
        check("12e-1", 1200, 2);
        check("-5", -5000, -5);
        check("100n", 1, 1);
        check(".5", 500, 1);
        check("128974848", 128_974_848_000, 128_974_848);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "abc", "1.2.3", "1 Gi", "Gi", "--1", "1KiB", "1e99"] {
            assert!(matches!(text.parse::<Quantity>(), Err(QuantityError::Syntax(_))), "{text}");
        }
        for text in ["99999999999999999999Ei", "100E"] {
            assert!(matches!(text.parse::<Quantity>(), Err(QuantityError::TooLarge(_))), "{text}");
        }
    }
}
