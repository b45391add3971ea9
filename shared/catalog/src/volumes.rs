//! What EBS volumes cost: the list prices of us-east-1 (AWS, "Amazon EBS pricing", 2025), in every region, for the catalog has no others.

use model::MicroUsdPerHour;
use model::node_class::BlockDevice;

/// Hours of a month, as AWS counts them.
const HOURS_OF_MONTH: i64 = 730;
/// The type that EC2 makes where a mapping names none.
const DEFAULT_TYPE: &str = "gp2";
/// What a gp3 volume has for nothing.
const GP3_IOPS: i64 = 3_000;
const GP3_THROUGHPUT: i64 = 125;
/// Above these an I/O operation per second of an io2 volume costs less: micro-dollars a month up to so many.
const IO2_TIERS: [(i64, i64); 3] = [(32_000, 65_000), (64_000, 45_500), (i64::MAX, 31_850)];

/// What the volumes cost together. One whose size follows from a snapshot counts nothing.
pub fn volumes_price(devices: &[BlockDevice]) -> MicroUsdPerHour {
    let month = devices.iter().map(monthly).fold(0, i64::saturating_add);
    MicroUsdPerHour((month.saturating_add(HOURS_OF_MONTH / 2) / HOURS_OF_MONTH).unsigned_abs())
}

/// Micro-dollars a month.
fn monthly(device: &BlockDevice) -> i64 {
    let Some(size) = device.size_gib.filter(|size| *size > 0) else { return 0 };
    let iops = device.iops.unwrap_or(0).max(0);
    let (of_size, of_speed) = match device.volume_type.as_deref().unwrap_or(DEFAULT_TYPE) {
        "gp3" => {
            let faster = device.throughput.unwrap_or(0).saturating_sub(GP3_THROUGHPUT).max(0);
            let more = (iops - GP3_IOPS).max(0);
            (80_000, more.saturating_mul(5_000).saturating_add(faster.saturating_mul(40_000)))
        }
        "io1" => (125_000, iops.saturating_mul(65_000)),
        "io2" => (125_000, io2(iops)),
        "st1" => (45_000, 0),
        "sc1" => (15_000, 0),
        // Its operations are billed one by one; they are not counted.
        "standard" => (50_000, 0),
        _ => (100_000, 0),
    };
    size.saturating_mul(of_size).saturating_add(of_speed)
}

fn io2(iops: i64) -> i64 {
    let (mut from, mut sum) = (0, 0_i64);
    for (to, price) in IO2_TIERS {
        sum = sum.saturating_add((iops.min(to) - from).max(0).saturating_mul(price));
        from = to;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_too_large_for_a_price() {
        for kind in ["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"] {
            let most = Some(i64::MAX);
            let volume_type = Some(kind.to_owned());
            let device = BlockDevice {
                volume_type,
                size_gib: most,
                iops: most,
                throughput: most,
                ..Default::default()
            };
            let dearest = i64::MAX / HOURS_OF_MONTH;
            let price = volumes_price(&[device.clone(), device]);
            assert_eq!(price.0, dearest.unsigned_abs(), "{kind}");
        }
    }

    #[test]
    fn volumes_cost_what_their_size_and_speed_cost() {
        let check = |kind: &str, size_gib, iops, throughput, dollars_a_month: f64| {
            let volume_type = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
            let device =
                BlockDevice { volume_type, size_gib, iops, throughput, ..Default::default() };
            let expected = (dollars_a_month * 1e6 / 730.0).round() as u64;
            assert_eq!(volumes_price(&[device]).0, expected, "{kind} {size_gib:?} {iops:?}");
        };
        check("gp3", Some(20), None, None, 1.6);
        check("gp3", Some(100), Some(3_000), Some(125), 8.0);
        check("gp3", Some(100), Some(4_000), Some(250), 18.0);
        check("gp2", Some(100), None, None, 10.0);
        check("", Some(100), None, None, 10.0);
        check("io1", Some(100), Some(1_000), None, 77.5);
        check("io2", Some(100), Some(70_000), None, 12.5 + 2_080.0 + 1_456.0 + 191.1);
        check("st1", Some(500), None, None, 22.5);
        check("sc1", Some(500), None, None, 7.5);
        check("standard", Some(10), None, None, 0.5);
        check("gp3", None, None, None, 0.0);
        assert_eq!(volumes_price(&[]).0, 0);
    }
}
