//! Which addresses may be asked.
//!
//! Whoever can point a target's name somewhere could make us ask what only this machine
//! can reach: the metadata service of its cloud, which hands out credentials, or hosts
//! behind the firewall. The judgement is here; whoever connects applies it to the host
//! in the URL and to every address that a name resolves to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Which addresses may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// All but those that are never asked.
    #[default]
    Ordinary,
    /// Public ones only.
    PublicOnly,
}

/// Why an address may not be asked.
///
/// Prints as `169.254.169.254 is a link-local or metadata address, which is never asked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    address: IpAddr,
    /// The address that it is a form of.
    within: Option<Ipv4Addr>,
    standing: Standing,
    what: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is ", self.address)?;
        if let Some(within) = self.within {
            write!(f, "a form of {within}, ")?;
        }
        f.write_str(self.what)?;
        f.write_str(match self.standing {
            Standing::Never => ", which is never asked",
            Standing::Public | Standing::Private => ", which public_only = true refuses",
        })
    }
}

impl AddressPolicy {
    /// Judges an address, in whichever form it comes.
    ///
    /// # Errors
    /// The [`Refusal`], when it may not be asked.
    pub fn judge(self, address: IpAddr) -> Result<(), Refusal> {
        let found = standing(address);
        let is_refused = match self {
            Self::Ordinary => found.standing == Standing::Never,
            Self::PublicOnly => found.standing != Standing::Public,
        };
        if is_refused { Err(found) } else { Ok(()) }
    }

    /// Judges the host of `url` where it is an address, or `localhost`, which is one
    /// (RFC 6761, 6.3). Other names have to be judged when they are resolved.
    ///
    /// # Errors
    /// The [`Refusal`], when it may not be asked.
    pub fn judge_host(self, url: &Url) -> Result<(), Refusal> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.judge(address.into()),
            Some(Host::Ipv6(address)) => self.judge(address.into()),
            Some(Host::Domain(name)) if is_localhost(name) => {
                self.judge(Ipv4Addr::LOCALHOST.into())
            }
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// Whether `url` asks this machine, as far as its host tells.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// How an address stands; what is refused more widely is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Public,
    Private,
    Never,
}

type Ranges<Net> = [(Net, Standing, &'static str)];

const LINK_LOCAL: &str = "a link-local or metadata address";
const METADATA: &str = "a cloud's metadata address";
const MULTICAST: &str = "a multicast address";
const NO_HOST: &str = "the address of no host";
const LOOPBACK: &str = "a loopback address";
const PRIVATE: &str = "a private address";
const SHARED: &str = "an address shared behind a carrier's NAT";
const DOCUMENTATION: &str = "an address for documentation";
const RESERVED: &str = "a reserved address";
const PUBLIC: &str = "a public address";

/// The first that holds an address counts; what none of them holds is public. From IANA's
/// registry of special-purpose IPv4 addresses; metadata addresses outside of 169.254/16
/// as their clouds document them: Alibaba, Azure's wire server, Oracle's classic one.
const IPV4: &Ranges<Ipv4Net> = &[
    (v4([169, 254, 0, 0], 16), Standing::Never, LINK_LOCAL),
    (v4([100, 100, 100, 200], 32), Standing::Never, METADATA),
    (v4([168, 63, 129, 16], 32), Standing::Never, METADATA),
    (v4([192, 0, 0, 192], 32), Standing::Never, METADATA),
    (v4([0, 0, 0, 0], 8), Standing::Never, NO_HOST),
    (v4([224, 0, 0, 0], 4), Standing::Never, MULTICAST),
    (v4([255, 255, 255, 255], 32), Standing::Never, "the broadcast address"),
    (v4([127, 0, 0, 0], 8), Standing::Private, LOOPBACK),
    (v4([10, 0, 0, 0], 8), Standing::Private, PRIVATE),
    (v4([172, 16, 0, 0], 12), Standing::Private, PRIVATE),
    (v4([192, 168, 0, 0], 16), Standing::Private, PRIVATE),
    (v4([100, 64, 0, 0], 10), Standing::Private, SHARED),
    (v4([192, 0, 0, 0], 24), Standing::Private, RESERVED),
    (v4([192, 0, 2, 0], 24), Standing::Private, DOCUMENTATION),
    (v4([192, 88, 99, 0], 24), Standing::Private, RESERVED),
    (v4([198, 18, 0, 0], 15), Standing::Private, "an address for benchmarks"),
    (v4([198, 51, 100, 0], 24), Standing::Private, DOCUMENTATION),
    (v4([203, 0, 113, 0], 24), Standing::Private, DOCUMENTATION),
    (v4([240, 0, 0, 0], 4), Standing::Private, RESERVED),
];

/// The same for IPv6, where what none of them holds is reserved. The first 32 bits of
/// Amazon's metadata service hold its other services of the kind, too; then Google's,
/// Oracle's and Scaleway's. Forms of IPv4 addresses are judged by those as well.
const IPV6: &Ranges<Ipv6Net> = &[
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Standing::Never, LINK_LOCAL),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), Standing::Never, METADATA),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Standing::Never, METADATA),
    (v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), Standing::Never, METADATA),
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), Standing::Never, METADATA),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Standing::Never, NO_HOST),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Standing::Never, MULTICAST),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Standing::Private, LOOPBACK),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Standing::Private, PRIVATE),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Standing::Private, PRIVATE),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), Standing::Public, PUBLIC),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), Standing::Public, PUBLIC),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Standing::Private, RESERVED),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Standing::Private, DOCUMENTATION),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Standing::Private, DOCUMENTATION),
    (v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3), Standing::Public, PUBLIC),
];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}

fn standing(address: IpAddr) -> Refusal {
    let whole = |(standing, what)| Refusal { address, within: None, standing, what };
    match address {
        IpAddr::V4(plain) => whole(of_ipv4(plain)),
        IpAddr::V6(long) => {
            let own = whole(of_ipv6(long));
            let Some(within) = embedded(long) else { return own };
            let (standing, what) = of_ipv4(within);
            let inner = Refusal { address, within: Some(within), standing, what };
            if inner.standing >= own.standing { inner } else { own }
        }
    }
}

fn of_ipv4(address: Ipv4Addr) -> (Standing, &'static str) {
    let range = IPV4.iter().find(|(net, ..)| net.contains(&address));
    range.map_or((Standing::Public, PUBLIC), |(_, standing, what)| (*standing, *what))
}

fn of_ipv6(address: Ipv6Addr) -> (Standing, &'static str) {
    let range = IPV6.iter().find(|(net, ..)| net.contains(&address));
    range.map_or((Standing::Private, RESERVED), |(_, standing, what)| (*standing, *what))
}

/// The IPv4 address that a gateway or the system itself may turn this one into: mapped,
/// compatible (RFC 4291, 2.5.5), translated (RFC 2765, 2.1), NAT64 (RFC 6052, 2.1; of the
/// local prefix of RFC 8215 the common form), 6to4 (RFC 3056, 2), Teredo (RFC 4380, 4).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let tail = |segments: [u16; 8]| {
        let [a, b] = segments[6].to_be_bytes();
        let [c, d] = segments[7].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _]
        | [0x64, 0xff9b, 1, ..] => Some(tail(segments)),
        [0x2002, high, low, ..] => Some(tail([0, 0, 0, 0, 0, 0, high, low])),
        [0x2001, 0, .., high, low] => Some(tail([0, 0, 0, 0, 0, 0, !high, !low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Standing {
        standing(text.parse().unwrap()).standing
    }

    #[test]
    fn every_range_is_refused_up_to_its_edges() {
        for (first, last, expected) in [
            ("169.254.0.0", "169.254.255.255", Standing::Never),
            ("0.0.0.0", "0.255.255.255", Standing::Never),
            ("224.0.0.0", "239.255.255.255", Standing::Never),
            ("255.255.255.255", "255.255.255.255", Standing::Never),
            ("100.100.100.200", "100.100.100.200", Standing::Never),
            ("168.63.129.16", "168.63.129.16", Standing::Never),
            ("192.0.0.192", "192.0.0.192", Standing::Never),
            ("127.0.0.0", "127.255.255.255", Standing::Private),
            ("10.0.0.0", "10.255.255.255", Standing::Private),
            ("172.16.0.0", "172.31.255.255", Standing::Private),
            ("192.168.0.0", "192.168.255.255", Standing::Private),
            ("100.64.0.0", "100.127.255.255", Standing::Private),
            ("240.0.0.0", "255.255.255.254", Standing::Private),
            ("9.255.255.255", "9.255.255.255", Standing::Public),
            ("11.0.0.0", "11.0.0.0", Standing::Public),
            ("172.15.255.255", "172.15.255.255", Standing::Public),
            ("172.32.0.0", "172.32.0.0", Standing::Public),
            ("100.63.255.255", "100.63.255.255", Standing::Public),
            ("100.128.0.0", "100.128.0.0", Standing::Public),
            ("169.253.255.255", "169.255.0.0", Standing::Public),
            ("8.8.8.8", "1.1.1.1", Standing::Public),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Standing::Never),
            ("fd00:ec2::254", "fd00:ec2::23", Standing::Never),
            ("fd20:ce::254", "fd00:c1::a9fe:a9fe", Standing::Never),
            ("::", "ff02::1", Standing::Never),
            ("::1", "fec0::1", Standing::Private),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Standing::Private),
            ("2001:db8::1", "3fff::1", Standing::Private),
            ("100::1", "4000::1", Standing::Private),
            ("2606:4700:4700::1111", "2a00:1450::1", Standing::Public),
        ] {
            assert_eq!((of(first), of(last)), (expected, expected), "{first} to {last}");
        }
    }

    #[test]
    fn a_form_of_an_address_is_judged_as_the_address() {
        for (form, expected) in [
            ("::ffff:169.254.169.254", Standing::Never),
            ("::ffff:10.0.0.1", Standing::Private),
            ("::ffff:8.8.8.8", Standing::Public),
            ("::169.254.169.254", Standing::Never),
            ("::ffff:0:169.254.169.254", Standing::Never),
            ("64:ff9b::169.254.169.254", Standing::Never),
            ("64:ff9b::10.0.0.1", Standing::Private),
            ("64:ff9b::8.8.8.8", Standing::Public),
            ("64:ff9b:1::169.254.169.254", Standing::Never),
            ("64:ff9b:1::8.8.8.8", Standing::Private),
            ("2002:a9fe:a9fe::1", Standing::Never),
            ("2002:0a00:0001::1", Standing::Private),
            ("2002:0808:0808::1", Standing::Public),
            ("2001:0:808:808::5601:5601", Standing::Never),
            ("2001:0:808:808::f7f7:f7f7", Standing::Private),
        ] {
            assert_eq!(of(form), expected, "{form}");
        }
    }

    #[test]
    fn a_url_is_judged_however_its_address_is_spelt() {
        for (url, ordinary, public_only) in [
            ("https://siem.example.com/", true, true),
            ("https://8.8.8.8/", true, true),
            ("https://10.0.0.1/", true, false),
            ("https://127.1/", true, false),
            ("https://0x7f000001/", true, false),
            ("https://localhost/", true, false),
            ("https://a.localhost./", true, false),
            ("https://[::1]/", true, false),
            ("https://169.254.169.254/", false, false),
            ("https://2852039166/", false, false),
            ("https://0xA9.0376.43518/", false, false),
            ("https://169.254.43518/", false, false),
            ("https://[::ffff:a9fe:a9fe]/", false, false),
            ("https://[64:ff9b::a9fe:a9fe]/", false, false),
            ("https://１６９.254.169.254/", false, false),
            ("https://0/", false, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            let judged = |policy: AddressPolicy| policy.judge_host(&parsed).is_ok();
            assert_eq!(judged(AddressPolicy::Ordinary), ordinary, "{url}");
            assert_eq!(judged(AddressPolicy::PublicOnly), public_only, "{url}");
        }
    }

    #[test]
    fn a_refusal_says_which_address_and_why() {
        let told = |policy: AddressPolicy, text: &str| {
            policy.judge(text.parse().unwrap()).unwrap_err().to_string()
        };
        let (ordinary, public_only) = (AddressPolicy::Ordinary, AddressPolicy::PublicOnly);
        for (policy, address, expected) in [
            (
                ordinary,
                "64:ff9b::a9fe:a9fe",
                "64:ff9b::a9fe:a9fe is a form of 169.254.169.254, a link-local or metadata \
                 address, which is never asked",
            ),
            (
                public_only,
                "10.0.0.1",
                "10.0.0.1 is a private address, which public_only = true refuses",
            ),
        ] {
            assert_eq!(told(policy, address), expected);
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        for (text, expected) in [
            ("http://localhost:1/", true),
            ("http://sink.localhost/", true),
            ("http://127.8.8.8/", true),
            ("http://[::1]/", true),
            ("http://10.0.0.1/", false),
            ("http://localhost.example.com/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expected, "{text}");
        }
    }

    proptest! {
        /// Whatever form it takes, no address gets milder by it.
        #[test]
        fn no_form_makes_an_address_milder(bits: u32, suffix: u64) {
            let plain = Ipv4Addr::from_bits(bits);
            let (low, high) = (u128::from(bits), u128::from(bits) << 80);
            let forms = [
                low | 0xffff << 32,
                low | 0xffff << 48,
                low | 0x64_ff9b << 96,
                low | 0x64_ff9b_0001 << 80,
                high | 0x2002 << 112 | u128::from(suffix),
                u128::from(!bits) | 0x2001 << 112 | u128::from(suffix) << 32,
            ];
            for form in forms.map(Ipv6Addr::from_bits) {
                let judged = standing(form.into()).standing;
                prop_assert!(judged >= standing(plain.into()).standing, "{plain} as {form}");
            }
        }

        /// The standard library, where it has an opinion, is never stricter.
        #[test]
        fn what_the_standard_library_refuses_is_refused(bits: u32, long: u128) {
            let plain = Ipv4Addr::from_bits(bits);
            let is_special = plain.is_private() || plain.is_loopback() || plain.is_link_local()
                || plain.is_broadcast() || plain.is_documentation() || plain.is_multicast();
            let public = AddressPolicy::PublicOnly;
            prop_assert!(!is_special || public.judge(plain.into()).is_err(), "{plain}");
            let long = Ipv6Addr::from_bits(long);
            let is_special = long.is_unique_local() || long.is_unicast_link_local()
                || long.is_multicast();
            prop_assert!(!is_special || public.judge(long.into()).is_err(), "{long}");
        }
    }
}
