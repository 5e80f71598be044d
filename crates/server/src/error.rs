//! Refusals of the control plane: one table of codes with their status and title, and the problem document made from it.
//! Nothing else in this crate invents a status. It must never carry a secret: a detail names rules and ids only.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_core::printable::{is_hidden, printed};
use countersign_core::redact::{redact, redacted};
use countersign_proto::problem::Problem;
use countersign_store::{Clash, StoreError};
use countersign_x509::X509Error;
use std::fmt;

/// Code, HTTP status, title.
const TABLE: &[(&str, u16, &str)] = &[
    ("unauthenticated", 401, "request not authenticated"),
    ("invalid_api_key", 401, "invalid API key"),
    ("forbidden", 403, "not allowed"),
    ("api_key_creation_disabled", 403, "API key creation is disabled"),
    ("not_found", 404, "not found"),
    ("unimplemented", 501, "not done here"),
    ("method_not_allowed", 405, "method not allowed"),
    ("invalid_argument", 400, "invalid request"),
    ("nothing_to_change", 400, "nothing to change"),
    ("client_too_old", 400, "the client is too old"),
    ("no_mail_server", 409, "no mail server"),
    ("login_provider_failed", 502, "the login provider failed"),
    ("already_exists", 409, "already exists"),
    ("certificate_revoked", 409, "certificate revoked"),
    ("certificate_expired", 409, "certificate expired"),
    ("already_renewed", 409, "renewed already"),
    ("not_replaced", 409, "no successor"),
    ("crl_older", 409, "an older revocation list"),
    ("crl_stale", 409, "a stale revocation list"),
    ("own_issuer", 409, "an issuer of this installation"),
    ("still_in_use", 409, "still in use"),
    ("duplicate_certificate", 409, "duplicate certificate"),
    ("duplicate_serial", 409, "duplicate serial number"),
    ("look_alike_of_another", 409, "a name that looks like another"),
    ("key_in_use", 409, "key in use"),
    ("key_blocked", 409, "key blocked"),
    ("not_trusted", 409, "CA not trusted"),
    ("no_issuer", 409, "no issuer"),
    ("resource_version_conflict", 409, "changed in the meantime"),
    ("issuer_in_use", 409, "the issuer is in use"),
    ("gateways_behind", 409, "gateways are behind"),
    ("issuer_too_new", 409, "the issuer is too new"),
    ("limit_reached", 409, "limit reached"),
    ("delete_protected", 409, "protected against deletion"),
    ("last_owner", 409, "the last Account Owner"),
    ("idempotency_conflict", 409, "operation id used before"),
    ("body_too_large", 413, "body too large"),
    ("unsupported_media_type", 415, "unsupported media type"),
    ("misdirected", 421, "misdirected request"),
    ("rate_limited", 429, "too many requests"),
    ("unavailable", 503, "not available"),
    ("disk_full", 507, "disk full"),
];

/// A refused request: what happened, by which rule, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The stable word.
    pub code: &'static str,
    /// What kind of error, for people.
    pub title: &'static str,
    /// What happened and which rule, in one sentence.
    pub detail: String,
    /// What to do, where one can act.
    pub hint: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// A refusal by a code of the table. A code that is not in it is an input that x509 refused, and so a 400.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let (status, title) =
            TABLE.iter().find(|(known, ..)| *known == code).map_or((400, "invalid certificate"), |(_, status, title)| (*status, *title));
        Self { status, code, title, detail: redacted(printed(detail.into())), hint: None }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(redacted(printed(hint.into())));
        self
    }

    /// No credential came.
    pub fn unauthenticated() -> Self {
        Self::new("unauthenticated", "request not authenticated: it carries no API key")
            .hint("set --api-key or COUNTERSIGN_API_KEY, or run `countersign login`")
    }

    /// One came that lets nobody in. The same answer for an unknown, disabled, expired or mistyped one (promise P11).
    pub fn invalid_api_key() -> Self {
        Self::new("invalid_api_key", "invalid API key")
            .hint("check that you copied the key correctly and that it has not been revoked or expired")
    }

    /// A login that is over, or never was. The words are those of the field's tools.
    pub fn session_ended() -> Self {
        Self::new("unauthenticated", "request not authenticated: the login has ended")
            .hint("log in again: countersign login, or tcld login")
    }

    /// Absent, or not to be known of.
    pub fn not_found(kind: &str, id: &str) -> Self {
        Self::new("not_found", format!("there is no {kind} {} that you may see", shown(id)))
            .hint("check the id; lists show what you may see")
    }

    /// Not among the caller's rights.
    pub fn forbidden(rule: impl fmt::Display) -> Self {
        Self::new("forbidden", rule.to_string()).hint("ask an Account Owner or Global Admin for the right, or use a credential that has it")
    }

    /// A member or parameter that breaks a rule.
    pub fn invalid(detail: impl fmt::Display) -> Self {
        Self::new("invalid_argument", detail.to_string())
    }

    /// What was asked for is so already.
    pub fn nothing_to_change(what: impl fmt::Display) -> Self {
        Self::new("nothing_to_change", format!("nothing to change: {what}"))
    }

    /// The service itself cannot; the cause goes to the log, not to the caller.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed for a reason of ours");
        Self::new("unavailable", "the control plane cannot do this at the moment; nothing was changed")
            .hint("try again; when it lasts, look at the server's log by the request id")
    }

    /// The problem document.
    pub fn problem(&self, request_id: &str) -> Problem {
        Problem {
            kind: "about:blank".to_owned(),
            status: self.status,
            code: self.code.to_owned(),
            title: self.title.to_owned(),
            detail: self.detail.clone(),
            hint: self.hint.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// Every code of the table with its status, for the API's document.
    pub fn codes() -> impl Iterator<Item = (&'static str, u16, &'static str)> {
        TABLE.iter().copied()
    }
}

/// A text of the caller's inside a sentence or an audit entry: short, without control characters, and without the secret of an
/// API key or a login's token that was pasted where an id belongs (promise P10).
pub fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    redact(&text).chars().take(80).collect()
}

impl From<X509Error> for Refused {
    fn from(error: X509Error) -> Self {
        // Nothing that was asked for is wrong: a key, or the token that holds it, does not answer.
        if error.code == "signing_failed" {
            return Self::unavailable(error);
        }
        let rule = error.rule.map(|rule| format!(" (rule {rule})")).unwrap_or_default();
        Self::new(error.code, format!("{}{rule}", error.message)).hint(error.hint)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what: Clash::ResourceVersion } => {
                Self::new("resource_version_conflict", "it was changed in the meantime; nothing was changed")
                    .hint("read it again and repeat the change")
            }
            StoreError::Conflict { what } => {
                Self::new("already_exists", what.to_string()).hint("choose another one, or use the one that exists")
            }
            StoreError::Full => Self::new("disk_full", "the disk of the control plane is full; nothing was changed")
                .hint("free some space in the data directory's file system and repeat the change"),
            StoreError::Locked => {
                tracing::warn!("another process holds the write lock of the database; changes are refused until it lets go");
                Self::new("unavailable", "another process holds the lock of the control plane's database; nothing was changed")
                    .hint("try again in a second; when it lasts, look for a backup or a tool that has countersign.db open")
            }
            other => Self::unavailable(other),
        }
    }
}

/// The code of a refused answer, left in its extensions for the audit trail.
#[derive(Clone, Copy, Debug)]
pub struct RefusedCode(pub &'static str);

/// Marks an answer whose body is of another standard's form: no problem document takes its place.
#[derive(Clone, Copy, Debug)]
pub struct AsItIs;

/// The request's id, put into the extensions of a request by the first layer and read when a problem is written.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        // The id is filled in by the outermost layer, which alone knows it.
        let mut response = (StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), String::new()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == 401 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self.status, 429 | 503) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(RefusedCode(self.code));
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pasted_in_the_wrong_place_is_not_repeated() {
        assert_eq!(shown("csk_k0000000000000000000_AbCdEf"), "csk_k0000000000000000000_…");
        assert_eq!(shown("%63sk_k0000000000000000000_AbCdEf"), "csk_…");
        let refused = Refused::invalid("no csk_k0000000000000000000_AbCdEf").hint("csk_k0000000000000000000_AbCdEf");
        assert!(!format!("{refused:?}").contains("AbCdEf"));
        assert_eq!(shown("cst_n0000000000000000000_AbCdEf"), "cst_n0000000000000000000_…");
        assert_eq!(shown("x csk_"), "x csk_");
        assert_eq!(shown("k0000000000000000000\n"), "k0000000000000000000");
    }

    #[test]
    fn every_code_has_one_status_and_the_words_of_the_field() {
        assert_eq!((Refused::unauthenticated().status, Refused::unauthenticated().title), (401, "request not authenticated"));
        assert_eq!((Refused::invalid_api_key().status, Refused::invalid_api_key().title), (401, "invalid API key"));
        for (code, status, title) in Refused::codes() {
            assert!((400..600).contains(&status) && !title.is_empty() && Refused::codes().filter(|(c, ..)| *c == code).count() == 1);
        }
        assert_eq!(Refused::new("private_key_in_upload", "x").status, 400);
    }
}
