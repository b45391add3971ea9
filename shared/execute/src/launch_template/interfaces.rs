//! The network interfaces of an instance.

use super::content::Interface;
use model::node_class::{ClusterFacts, ResolvedNodeClass};

/// The class's interfaces; else one EFA interface on each of so many network cards; else a plain one.
pub(super) fn interfaces(
    class: &ResolvedNodeClass,
    cluster: &ClusterFacts,
    efa: u32,
) -> Vec<Interface> {
    let places = places(class, efa);
    let single = places.len() == 1;
    let interface = |(card, device, kind): (i32, i32, String)| {
        let spec = &class.spec;
        let primary = card == 0 && device == 0;
        Interface {
            network_card_index: card,
            device_index: device,
            interface_type: kind,
            groups: class.security_groups.iter().map(|group| group.id.clone()).collect(),
            associate_public_ip_address: spec.associate_public_ip_address.filter(|_| single),
            ipv4_prefix_count: spec.ip_prefix_count.filter(|_| primary),
            ipv6: cluster.ipv6 && primary,
            tcp_established_timeout_s: spec.tcp_established_timeout_s,
            udp_stream_timeout_s: spec.udp_stream_timeout_s,
            udp_timeout_s: spec.udp_timeout_s,
        }
    };
    places.into_iter().map(interface).collect()
}

/// Network card, device and type of each. The first device of a card but the first is 1, as EC2 asks.
fn places(class: &ResolvedNodeClass, efa: u32) -> Vec<(i32, i32, String)> {
    if !class.spec.network_interfaces.is_empty() {
        let own = class.spec.network_interfaces.iter();
        return own
            .map(|own| (own.network_card_index, own.device_index, own.interface_type.clone()))
            .collect();
    }
    match efa {
        0 => vec![(0, 0, "interface".to_owned())],
        count => (0..count as i32).map(|card| (card, card.min(1), "efa".to_owned())).collect(),
    }
}
