//! Small worlds for tests.

use crate::scenario::Scenario;
use crate::workload::read;
use model::resources::{CPU, MEMORY, PODS};
use model::{CapacityType, InstanceType, Labels, MicroUsdPerHour, Offering, Resources, labels};

/// A type of the category m in zones a, b and c: cores, GiB, micro-dollars per hour.
pub(crate) fn instance_type(name: &str, cores: i64, gib: i64, price: u64) -> InstanceType {
    let of_instance = |key: &str| format!("{}instance-{key}", labels::INSTANCE_LABEL_PREFIX);
    let allocatable =
        Resources::new().with(CPU, cores * 1000).with(MEMORY, gib << 30).with(PODS, 110);
    let offering = |zone: &str| Offering {
        zone: zone.to_owned(),
        zone_id: String::new(),
        capacity_type: CapacityType::OnDemand,
        price: MicroUsdPerHour(price),
        estimated: false,
        available: true,
        reservation: None,
        parts: Default::default(),
    };
    InstanceType {
        name: name.to_owned(),
        labels: Labels::from([
            (labels::ARCH.to_owned(), "amd64".to_owned()),
            (labels::OS.to_owned(), "linux".to_owned()),
            (of_instance("category"), "m".to_owned()),
            (of_instance("generation"), "5".to_owned()),
        ]),
        capacity: allocatable.clone(),
        allocatable,
        offerings: ["a", "b", "c"].map(offering).to_vec(),
    }
}

/// A scenario of `length_s` seconds with the trace's text and two types: `small` of 2 cores and `large` of 8.
pub(crate) fn scenario(lines: &str, length_s: i64) -> Scenario {
    let text = format!("name,count,cpu_milli,memory_mib,arrival_s,duration_s,extra\n{lines}");
    let (workload, problems) = read("test", &text).expect("a trace");
    assert_eq!(problems, []);
    let types =
        vec![instance_type("m5.small", 2, 8, 100_000), instance_type("m5.large", 8, 32, 410_000)];
    Scenario::new(workload, "test-1", types, length_s, 1)
}
