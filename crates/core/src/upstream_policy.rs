//! Which addresses an upstream may have. Asked when an upstream is set, for what can be told then, and again of every address that its name
//! resolves to, at each connection.

use crate::namespace::Upstream;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the operator allows.
#[derive(Clone, Debug, Default)]
pub struct UpstreamPolicy {
    /// Whether upstreams may be on this machine's loopback, or link-local.
    pub local: bool,
    /// This installation's own listeners, which are never an upstream: a namespace's admin would read through them what is everybody's.
    pub own: Vec<SocketAddr>,
    /// Upstreams that the operator named in the settings; they may be local.
    pub named: Vec<Upstream>,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamDenied {
    /// A listener of this installation.
    #[error("is a listener of this installation, which is never an upstream")]
    Own,
    /// Loopback, link-local or unspecified.
    #[error(
        "is an address of this machine's loopback or link-local, where upstreams are not allowed unless the operator sets gateway.local_upstreams = \"true\""
    )]
    Local,
    /// Multicast or broadcast.
    #[error("is not the address of one machine")]
    NotUnicast,
}

impl UpstreamPolicy {
    /// Judges one address of an upstream.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, upstream: &Upstream, address: SocketAddr) -> Result<(), UpstreamDenied> {
        let ip = canonical(address.ip());
        let here = ip.is_loopback() || ip.is_unspecified();
        let own = |listener: &&SocketAddr| {
            let listens = canonical(listener.ip());
            listener.port() == address.port()
                && (listens == ip || (here && (listens.is_unspecified() || (ip.is_unspecified() && listens.is_loopback()))))
        };
        if self.own.iter().any(|listener| own(&listener)) {
            return Err(UpstreamDenied::Own);
        }
        let many = match ip {
            IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_multicast(),
        };
        if many {
            return Err(UpstreamDenied::NotUnicast);
        }
        let named = self.named.iter().any(|named| named.host == upstream.host && named.port == upstream.port);
        if (here || is_link_local(ip)) && !self.local && !named {
            return Err(UpstreamDenied::Local);
        }
        Ok(())
    }

    /// Judges a connection that was made: one from an address to the same is to this machine, whatever its address.
    ///
    /// # Errors
    /// When it is to a listener of this installation.
    pub fn check_connected(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), UpstreamDenied> {
        let ip = canonical(peer.ip());
        let here = canonical(local.ip()) == ip;
        let own = |listener: &SocketAddr| {
            let listens = canonical(listener.ip());
            listener.port() == peer.port() && (listens == ip || (here && listens.is_unspecified()))
        };
        if self.own.iter().any(own) { Err(UpstreamDenied::Own) } else { Ok(()) }
    }

    /// Judges what can be told of an upstream before its name is resolved: an address, or `localhost` (RFC 6761 section 6.3).
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_unresolved(&self, upstream: &Upstream) -> Result<(), UpstreamDenied> {
        let host = upstream.host.trim_end_matches('.');
        if host == "localhost" || host.ends_with(".localhost") {
            self.check(upstream, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), upstream.port))?;
            return self.check(upstream, SocketAddr::new(Ipv6Addr::LOCALHOST.into(), upstream.port));
        }
        host.parse().map_or(Ok(()), |ip| self.check(upstream, SocketAddr::new(ip, upstream.port)))
    }
}

/// An IPv4 address that is written as an IPv6 one is the IPv4 address: mapped (RFC 4291 section 2.5.5.2), compatible, or of NAT64
/// (RFC 6052).
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => embedded(high, low),
        _ => ip,
    }
}

fn embedded(high: u16, low: u16) -> IpAddr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        // "This network" is this machine (RFC 1122 section 3.2.1.3).
        IpAddr::V4(ip) => ip.is_link_local() || ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(policy: &UpstreamPolicy, text: &str) -> Result<(), UpstreamDenied> {
        policy.check_unresolved(&Upstream::parse(text).unwrap())
    }

    #[test]
    fn loopback_and_link_local_need_the_operators_setting_in_every_spelling() {
        let (closed, open) = (UpstreamPolicy::default(), UpstreamPolicy { local: true, ..UpstreamPolicy::default() });
        for text in [
            "http://127.0.0.1:9000",
            "http://127.8.9.1:9000",
            "http://localhost:9000",
            "https://LOCALHOST",
            "http://a.localhost:9000",
            "http://0.0.0.0:9000",
            "http://0.1.2.3:9000",
            "http://169.254.169.254",
            "http://[::1]:9000",
            "http://[::]:9000",
            "http://[::ffff:127.0.0.1]:9000",
            "http://[::127.0.0.1]:9000",
            "http://[64:ff9b::7f00:1]:9000",
            "http://[fe80::1]:9000",
        ] {
            assert_eq!(verdict(&closed, text), Err(UpstreamDenied::Local), "{text}");
            assert_eq!(verdict(&open, text), Ok(()), "{text}");
        }
        for text in ["http://10.0.0.1:9000", "http://192.168.1.7", "http://example.com", "http://[2001:db8::1]:80"] {
            assert_eq!(verdict(&closed, text), Ok(()), "{text}");
        }
        assert_eq!(verdict(&open, "http://224.0.0.1:80"), Err(UpstreamDenied::NotUnicast));
        let named = UpstreamPolicy { named: vec![Upstream::parse("h2c://127.0.0.1:7233").unwrap()], ..UpstreamPolicy::default() };
        assert_eq!(verdict(&named, "http://127.0.0.1:7233"), Ok(()));
        assert_eq!(verdict(&named, "http://127.0.0.1:7234"), Err(UpstreamDenied::Local));
    }

    #[test]
    fn an_own_listener_is_never_an_upstream() {
        let own = ["127.0.0.1:8443", "0.0.0.0:9464", "[::]:7233"].map(|text| text.parse().unwrap()).to_vec();
        let policy = UpstreamPolicy { local: true, own, named: vec![Upstream::parse("http://127.0.0.1:8443").unwrap()] };
        for text in [
            "http://127.0.0.1:8443",
            "http://localhost:8443",
            "http://[::ffff:7f00:1]:8443",
            "http://0.0.0.0:8443",
            "http://127.9.9.9:9464",
            "http://[::1]:7233",
            "http://127.0.0.1:7233",
        ] {
            assert_eq!(verdict(&policy, text), Err(UpstreamDenied::Own), "{text}");
        }
        assert_eq!(verdict(&policy, "http://127.0.0.1:9465"), Ok(()));
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(policy.check_connected(at("192.0.2.7:50000"), at("192.0.2.7:9464")), Err(UpstreamDenied::Own));
        assert_eq!(policy.check_connected(at("192.0.2.7:50000"), at("192.0.2.8:9464")), Ok(()));
    }
}
