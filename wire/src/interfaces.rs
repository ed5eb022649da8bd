//! The addresses under which this node may be reached, for a coordinator that listens on all of its interfaces.

use std::net::{IpAddr, SocketAddr};

/// Every "host:port" at which a listener bound to `bound` may be reached: of all interfaces where it is bound to all of them.
/// Addresses that other nodes can use come first, loopback ones last.
#[must_use]
pub fn published_addresses(bound: SocketAddr) -> Vec<String> {
    if !bound.ip().is_unspecified() {
        return vec![bound.to_string()];
    }
    let mut addresses = interface_addresses();
    addresses.retain(|ip| is_dialable(*ip, bound.is_ipv4()));
    if !addresses.iter().any(IpAddr::is_loopback) {
        addresses.push(IpAddr::from([127, 0, 0, 1]));
    }
    addresses.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6(), *ip));
    addresses.dedup();
    addresses.into_iter().map(|ip| SocketAddr::new(ip, bound.port()).to_string()).collect()
}

fn interface_addresses() -> Vec<IpAddr> {
    // Asked of the kernel itself: the files below /sys may show the interfaces of another network namespace.
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            tracing::warn!(%error, "the network interfaces cannot be listed: name the address to listen on with --listen");
            Vec::new()
        }
    }
}

/// Link-local IPv6 addresses need an interface's name, which means nothing on another node.
fn is_dialable(ip: IpAddr, only_v4: bool) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_link_local(),
        IpAddr::V6(ip) => !only_v4 && !ip.is_unspecified() && !ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_listener_on_all_interfaces_publishes_real_addresses_with_loopback_last() {
        let addresses = published_addresses("0.0.0.0:4321".parse().unwrap());
        assert_eq!(addresses.last().unwrap(), "127.0.0.1:4321");
        assert!(addresses.iter().all(|a| a.ends_with(":4321") && !a.starts_with("0.0.0.0")), "{addresses:?}");
        assert_eq!(published_addresses("127.0.0.1:99".parse().unwrap()), ["127.0.0.1:99"]);
    }
}
