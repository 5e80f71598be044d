//! What a request presents as its credential. Reads it; believes nothing.

use crate::connection::Conn;
use countersign_core::admission::{Bearer, Permit, Presented, admit};
use countersign_core::credential::api_key::{PREFIX, PresentedKey};
use countersign_core::{Hostname, Refusal, Secret, Snapshot, Timestamp};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use std::cell::RefCell;

/// The bearer of a request, kept for as long as it is under way. Of a key only the digest is kept.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// No `Authorization`.
    None,
    /// One that is not meant for us.
    Foreign,
    /// One that begins as our keys do and is none.
    Malformed,
    /// A well-formed key.
    Key(PresentedKey),
}

impl Asked {
    /// The public id of the credential that was presented, proved or not: a key's id or a leaf's fingerprint.
    pub(crate) fn credential(&self, conn: &Conn) -> Option<String> {
        match self {
            Self::Key(key) => Some(key.id.to_string()),
            _ => conn.certificate.as_ref().map(|certificate| certificate.fingerprint().to_string()),
        }
    }

    /// As admission takes it.
    pub(crate) const fn bearer(&self) -> Bearer<'_> {
        match self {
            Self::None => Bearer::None,
            Self::Foreign => Bearer::Foreign,
            Self::Malformed => Bearer::Malformed,
            Self::Key(key) => Bearer::Key(key),
        }
    }
}

/// The last key that a connection presented, with its reading: most connections present the same one each time.
pub(crate) type LastKey = RefCell<Option<(Secret, PresentedKey)>>;

/// Reads `Authorization`. `None` when there is more than one.
pub(crate) fn bearer(headers: &HeaderMap, last: &LastKey) -> Option<Asked> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Some(Asked::None) };
    if values.next().is_some() {
        return None;
    }
    Some(read(value, last))
}

fn read(value: &HeaderValue, last: &LastKey) -> Asked {
    let Ok(text) = value.to_str() else { return Asked::Foreign };
    let Some((scheme, rest)) = text.split_once(' ') else {
        return if text.starts_with(PREFIX) { Asked::Malformed } else { Asked::Foreign };
    };
    let token = rest.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Asked::Foreign;
    }
    if !token.starts_with(PREFIX) {
        return Asked::Foreign;
    }
    // The text is looked at to compare it whole with the one before; it never leaves this function.
    if let Some((text, key)) = &*last.borrow()
        && same(text.expose().as_bytes(), token.as_bytes())
    {
        return Asked::Key(key.clone());
    }
    let Some(key) = PresentedKey::parse(token) else { return Asked::Malformed };
    *last.borrow_mut() = Some((Secret::new(token.to_owned()), key.clone()));
    Asked::Key(key)
}

/// Whether two texts are the same, in a time that tells only their lengths.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b))) == 0
}

/// Whether an `Authorization` holds, or may hold, one of our keys: such a value never goes upstream unless the API says so.
pub(crate) fn holds_key(value: &HeaderValue) -> bool {
    value.as_bytes().windows(PREFIX.len()).any(|window| window.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

/// Asks admission for one request of `conn`. The only call of [`admit`] in the gateway.
pub(crate) fn ask(
    conn: &Conn,
    snapshot: &Snapshot,
    authority: &Hostname,
    method: &str,
    path: &str,
    asked: &Asked,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    // The path to a CA is looked for in the namespace of the connection's name; admission demands that the request's is the same.
    let certificate = conn.certificate.as_ref().and_then(|certificate| {
        let namespace = snapshot.namespace_at(&conn.server_name)?;
        Some(certificate.presented(&conn.worker.anchors, namespace, now))
    });
    let presented = Presented {
        server_name: Some(&conn.server_name),
        authority,
        method,
        path,
        bearer: asked.bearer(),
        certificate: certificate.as_deref(),
    };
    admit(snapshot, &presented, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_is_read_as_a_key_and_two_are_refused() {
        let one = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(text));
            bearer(&headers, &LastKey::default())
        };
        assert!(matches!(one("Bearer csk_x"), Some(Asked::Malformed)) && matches!(one("bEARER   csk_x"), Some(Asked::Malformed)));
        assert!(matches!(one("Basic Zm9v"), Some(Asked::Foreign)) && matches!(one("Bearer eyJ"), Some(Asked::Foreign)));
        assert!(matches!(one("csk_x"), Some(Asked::Malformed)));
        let mut two = HeaderMap::new();
        two.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        two.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert!(bearer(&two, &LastKey::default()).is_none() && matches!(bearer(&HeaderMap::new(), &LastKey::default()), Some(Asked::None)));
        assert!(holds_key(&HeaderValue::from_static("Basic x CSK_y")) && !holds_key(&HeaderValue::from_static("Basic csk")));
    }
}
