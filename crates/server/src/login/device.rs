//! Browsers that somebody logged in with before: a sealed cookie names the user, so that guesses made elsewhere keep no user out
//! who comes from a known browser. It is no credential: it opens nothing, and only says which counter of failures is asked.

use super::record::Origin;
use crate::app::App;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::credential::hex;
use countersign_core::id::UserId;
use countersign_core::secret::Secret;
use countersign_core::time::{Lifetime, Timestamp};

/// How long a browser stays known after a login.
pub const KNOWN_LIFE: Lifetime = Lifetime::from_days(180);
/// Networks that a user's sessions come from are looked for among so many of them.
pub(super) const SESSIONS_LOOKED_AT: usize = 100;
const NONCE_BYTES: usize = 16;

fn purpose(user: &UserId) -> String {
    format!("known device:{user}")
}

/// A cookie's text for a browser that `user` has just logged in with; `None` without a master key.
pub fn remember(app: &App, user: &UserId) -> Option<Secret> {
    let sealer = app.sealer().ok()?;
    let mut plain = [0_u8; NONCE_BYTES + 8];
    app.entropy.fill(&mut plain[..NONCE_BYTES]);
    plain[NONCE_BYTES..].copy_from_slice(&app.now().seconds().to_be_bytes());
    Some(Secret::new(URL_SAFE_NO_PAD.encode(sealer.seal(&purpose(user), &plain))))
}

/// The name of the browser, when this cookie was given to one that `user` logged in with.
pub fn known(app: &App, user: &UserId, cookie: &str) -> Option<String> {
    let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
    let plain = app.sealer().ok()?.open(&purpose(user), &sealed).ok()?;
    let (nonce, at) = plain.split_at_checked(NONCE_BYTES)?;
    let at = Timestamp::from_seconds(i64::from_be_bytes(at.try_into().ok()?));
    (app.now() < at.plus(KNOWN_LIFE)).then(|| hex(nonce))
}

impl Origin {
    /// The network that attempts are counted under: an IPv6 host has a whole /64 to call from.
    pub fn network(&self) -> String {
        match self.source.parse::<std::net::IpAddr>().map(|address| address.to_canonical()) {
            Ok(std::net::IpAddr::V6(address)) => hex(&address.octets()[..8]),
            Ok(std::net::IpAddr::V4(address)) => address.to_string(),
            Err(_) => self.source.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_and_of_ipv6_what_one_host_calls_from() {
        let network = |source: &str| Origin { source: source.to_owned(), ..Origin::default() }.network();
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("::ffff:192.0.2.1"), network("::ffff:192.0.2.2"));
    }
}
