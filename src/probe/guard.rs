//! The guard: which hosts and addresses a probe may reach. Owns the reading of `allowed_hosts` and the classes of
//! addresses; opens no connection.
//!
//! | what `allowed_hosts` says | what may be reached |
//! |---|---|
//! | an address | that address, whatever it is |
//! | `localhost` | this machine and public addresses |
//! | a name | public and private addresses |
//! | `*.shop.svc`, `*.cluster.local`, `*.local`, `*.internal` | the same: such names are of a private net |
//! | any other `*.suffix` | public addresses only: whoever may add a name below the suffix chooses where it leads |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Suffixes that no public name has.
const PRIVATE_SUFFIXES: [&str; 4] = [".svc", ".cluster.local", ".local", ".internal"];

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The internet.
    Public,
    /// A private net: RFC 1918, shared address space (RFC 6598), unique local addresses (RFC 4193).
    Private,
    /// This machine.
    Loopback,
    /// Nothing that a rule may reach by a name: link-local and with it the metadata of clouds, multicast, reserved.
    Special,
}

/// Where an address leads. Forms of IPv6 that carry an IPv4 address lead where that leads.
/// Sources: the IANA registries of special-purpose addresses.
pub fn reach_of(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_of_v4(address),
        IpAddr::V6(address) => reach_of_v6(address),
    }
}

fn reach_of_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // "This network", link-local, protocol assignments, documentation, 6to4 relays, benchmarks, multicast,
        // reserved and broadcast.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Special,
        _ => Reach::Public,
    }
}

fn reach_of_v6(address: Ipv6Addr) -> Reach {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // Mapped, compatible, and translated by NAT64; 6to4.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Only what is assigned as global unicast, without Teredo and the other protocol assignments, documentation
        // and segment routing.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Special,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Special,
    }
}

/// What an entry of `allowed_hosts` names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Address(IpAddr),
    Host(String),
    /// With its leading dot.
    Below(String),
}

/// The hosts that rule files may reach, as an operator listed them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    entries: Vec<(Named, Option<u16>)>,
}

impl AllowedHosts {
    /// Reads entries such as `grafana.example.org`, `status.example.org:8443`, `*.shop.svc`, `[::1]:9090`; one that is
    /// none of these allows nothing.
    pub fn new(entries: &[Arc<str>]) -> Self {
        Self { entries: entries.iter().filter_map(|entry| read(entry)).collect() }
    }

    /// Whether a URL may name this host and port at all, and how far an address may lie that the name leads to.
    pub fn reach(&self, host: &str, port: u16) -> Option<Reach> {
        self.farthest(host, Some(port))
    }

    /// How far an address may lie that a name leads to, whatever the port.
    pub fn reach_of_name(&self, name: &str) -> Option<Reach> {
        self.farthest(name, None)
    }

    fn farthest(&self, host: &str, port: Option<u16>) -> Option<Reach> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let fitting =
            self.entries.iter().filter(|(_, wanted)| wanted.is_none() || port.is_none() || *wanted == port);
        fitting
            .filter_map(|(named, _)| match (named, literal) {
                (Named::Address(address), Some(literal)) => {
                    (address.to_canonical() == literal.to_canonical()).then_some(Reach::Special)
                }
                (Named::Host(name), None) if *name == host => {
                    Some(if name == "localhost" { Reach::Loopback } else { Reach::Private })
                }
                (Named::Below(suffix), None) if host.len() > suffix.len() && host.ends_with(suffix) => {
                    let private = PRIVATE_SUFFIXES.iter().any(|known| suffix.ends_with(known));
                    Some(if private { Reach::Private } else { Reach::Public })
                }
                _ => None,
            })
            .max()
    }
}

impl Reach {
    /// Whether an address may be reached where this is how far one may.
    pub fn allows(self, address: IpAddr) -> bool {
        let there = reach_of(address);
        match self {
            Self::Public => there == Self::Public,
            Self::Private => matches!(there, Self::Public | Self::Private),
            Self::Loopback => matches!(there, Self::Public | Self::Loopback),
            Self::Special => true,
        }
    }
}

fn read(entry: &str) -> Option<(Named, Option<u16>)> {
    let entry = entry.trim_end_matches('.').to_ascii_lowercase();
    if let Some(suffix) = entry.strip_prefix('*') {
        let (suffix, port) = with_port(suffix)?;
        return (suffix.starts_with('.') && suffix.len() > 1)
            .then(|| (Named::Below(suffix.to_owned()), port));
    }
    if let Ok(address) = entry.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Some((Named::Address(address), None));
    }
    let (host, port) = with_port(&entry)?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    Some(match literal {
        Ok(address) => (Named::Address(address), port),
        Err(_) => (Named::Host(host.to_owned()), port),
    })
}

fn with_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Some((host, Some(port.parse().ok()?))),
        _ => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_leads_where_it_leads() {
        use Reach::{Loopback, Private, Public, Special};
        for (address, expected) in [
            ("8.8.8.8", Public),
            ("1.1.1.1", Public),
            ("172.15.255.255", Public),
            ("172.32.0.0", Public),
            ("100.63.255.255", Public),
            ("100.128.0.0", Public),
            ("192.167.255.255", Public),
            ("198.17.255.255", Public),
            ("223.255.255.255", Public),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("100.100.100.200", Private),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("0.0.0.0", Special),
            ("0.1.2.3", Special),
            ("169.254.169.254", Special),
            ("169.254.170.2", Special),
            ("192.0.0.192", Special),
            ("192.0.2.1", Special),
            ("198.18.0.1", Special),
            ("198.51.100.7", Special),
            ("203.0.113.9", Special),
            ("224.0.0.1", Special),
            ("240.0.0.1", Special),
            ("255.255.255.255", Special),
            ("2606:4700:4700::1111", Public),
            ("2002:0808:0808::1", Public),
            ("64:ff9b::8.8.8.8", Public),
            ("::ffff:8.8.8.8", Public),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::127.0.0.1", Loopback),
            ("64:ff9b::7f00:1", Loopback),
            ("2002:7f00:1::", Loopback),
            ("fd00:ec2::254", Private),
            ("fc00::1", Private),
            ("::ffff:10.0.0.1", Private),
            ("2002:c0a8:0101::", Private),
            ("::", Special),
            ("::ffff:169.254.169.254", Special),
            ("64:ff9b::a9fe:a9fe", Special),
            ("64:ff9b:1::1", Special),
            ("fe80::1", Special),
            ("fec0::1", Special),
            ("ff02::1", Special),
            ("2001::1", Special),
            ("2001:db8::1", Special),
            ("100::1", Special),
            ("5f00::1", Special),
        ] {
            assert_eq!(reach_of(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn a_host_is_reached_as_far_as_it_is_listed() {
        let entries = [
            "grafana.example.org",
            "status.example.org:8443",
            "*.shop.svc",
            "*.tenants.example.org",
            "127.0.0.1:9090",
            "[::1]:9090",
            "169.254.169.254",
            "localhost:8080",
        ];
        let allowed = AllowedHosts::new(&entries.map(Arc::from));
        for (host, port, expected) in [
            ("grafana.example.org", 443, Some(Reach::Private)),
            ("GRAFANA.example.org.", 80, Some(Reach::Private)),
            ("evil.grafana.example.org", 443, None),
            ("grafana.example.org.evil.net", 443, None),
            ("status.example.org", 8443, Some(Reach::Private)),
            ("status.example.org", 443, None),
            ("cart.shop.svc", 80, Some(Reach::Private)),
            (".shop.svc", 80, None),
            ("shop.svc", 80, None),
            ("cartshop.svc", 80, None),
            ("a.tenants.example.org", 443, Some(Reach::Public)),
            ("127.0.0.1", 9090, Some(Reach::Special)),
            ("127.0.0.1", 9091, None),
            ("::ffff:127.0.0.1", 9090, Some(Reach::Special)),
            ("[::1]", 9090, Some(Reach::Special)),
            ("::1", 80, None),
            ("127.0.0.2", 9090, None),
            ("169.254.169.254", 80, Some(Reach::Special)),
            ("localhost", 8080, Some(Reach::Loopback)),
            ("localhost", 9095, None),
            ("10.0.0.1", 80, None),
        ] {
            assert_eq!(allowed.reach(host, port), expected, "{host}:{port}");
        }
        assert_eq!(AllowedHosts::default().reach("a", 80), None);
        assert_eq!(AllowedHosts::new(&["*".into(), "*.".into(), "a:b".into()]), AllowedHosts::default());
    }

    #[test]
    fn a_name_leads_no_farther_than_its_listing() {
        let allows = |reach: Reach, address: &str| reach.allows(address.parse().unwrap());
        for (reach, address, expected) in [
            (Reach::Public, "8.8.8.8", true),
            (Reach::Public, "10.0.0.1", false),
            (Reach::Public, "127.0.0.1", false),
            (Reach::Private, "10.0.0.1", true),
            (Reach::Private, "127.0.0.1", false),
            (Reach::Private, "169.254.169.254", false),
            (Reach::Loopback, "127.0.0.1", true),
            (Reach::Loopback, "10.0.0.1", false),
            (Reach::Loopback, "169.254.169.254", false),
            (Reach::Special, "169.254.169.254", true),
        ] {
            assert_eq!(allows(reach, address), expected, "{reach:?} {address}");
        }
    }
}
