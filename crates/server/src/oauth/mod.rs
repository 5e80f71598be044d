//! OAuth 2.0 for tools: the device flow (RFC 8628), the authorization code with PKCE (RFC 6749, RFC 7636, RFC 8252), renewal and
//! revocation (RFC 7009). Clients are public and unknown to us, so a client id is a name shown to people and never a proof.

use crate::app::App;
use crate::error::Refused;
use crate::login::Digest;
use crate::login::record::{Event, Origin};
use crate::login::session::{self, Approval, Current, Tokens};
use crate::login::throttle::Wait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::id::{SessionId, UserId};
use countersign_core::secret::Secret;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_store::Write;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How long a device's code may be entered.
pub const DEVICE_LIFE: Lifetime = Lifetime::from_seconds(10 * 60);
/// How often a device may ask, at first, in seconds.
pub const POLL_SECONDS: i64 = 5;
/// How long a grant may be changed for tokens (RFC 6749 section 4.1.2 asks for minutes at most).
const GRANT_LIFE: Lifetime = Lifetime::from_seconds(60);
/// How long a code that was changed for tokens is known as used.
const REUSE_SPAN: Lifetime = Lifetime::from_seconds(10 * 60);
/// Letters of a user code: no vowels, so no words, and none that look like others.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LETTERS_COUNT: usize = 8;

/// A device that waits for its user.
#[derive(Debug)]
pub(crate) struct Device {
    /// What the user types, without its hyphen.
    pub user_code: String,
    /// The client's name for itself.
    pub client: String,
    /// Where it asked from.
    pub origin: Origin,
    /// What its user said.
    pub answer: Answer,
    /// Before this moment it must not ask again.
    next_poll: Timestamp,
    /// Seconds between two polls.
    interval: i64,
}

/// What the user said to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing yet.
    Waiting,
    /// Yes.
    Approved(Approval),
    /// No.
    Denied,
}

/// An authorization code that waits to be changed for tokens.
#[derive(Debug)]
pub(crate) enum GrantState {
    /// Not used yet.
    Waiting(Grant),
    /// Its tokens are being issued; `reused` once it came again in the meantime.
    Used { reused: bool },
    /// Its tokens are this session's.
    Issued(SessionId),
}

/// What a user approved, for the client that brings the code.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    approval: Approval,
    client: String,
    redirect: String,
    challenge: String,
}

/// How a request to the token endpoint fails (RFC 6749 section 5.2, RFC 8628 section 3.5): the error word and a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct OauthError {
    /// The word of the standard.
    pub error: &'static str,
    /// What to do.
    pub description: &'static str,
}

const fn failed(error: &'static str, description: &'static str) -> OauthError {
    OauthError { error, description }
}

/// What a device is told at its first request.
pub struct DeviceStarted {
    /// For the polls.
    pub device_code: Secret,
    /// For the user, as `BCDF-GHJK`.
    pub user_code: String,
}

/// The client ids that are known, and the programs that use them. The first is printed in the source of tcld as its default.
const KNOWN_CLIENTS: [(&str, &str); 2] = [("d7V5bZMLCbRLfRVpqC567AqjAERaWHhl", "tcld"), ("countersign", "countersign (command line)")];

/// A client as people are shown it: the whole id, since a part of one is easily made to look like another's, and the name of the
/// program where the id is known. Clients are public, so that neither proves anything.
pub fn shown_client(client: &str) -> String {
    match KNOWN_CLIENTS.iter().find(|(id, _)| *id == client) {
        Some((id, name)) if name.starts_with(id) => (*name).to_owned(),
        Some((id, name)) => format!("{name} ({id})"),
        None => client.to_owned(),
    }
}

/// Whether a client's id may be kept and shown: 1 to 128 printable ASCII characters.
pub fn is_client(client: &str) -> bool {
    (1..=128).contains(&client.len()) && client.bytes().all(|b| b.is_ascii_graphic())
}

/// A device begins.
///
/// # Errors
/// `invalid_request` for a client id that cannot be shown.
pub fn start_device(app: &App, client: &str, origin: Origin) -> Result<DeviceStarted, OauthError> {
    if !is_client(client) {
        return Err(failed("invalid_request", "client_id has 1 to 128 printable characters"));
    }
    let now = app.now();
    let network = origin.network();
    let (digest, device_code) = crate::login::mint(app);
    let user_code = user_code(app);
    let device = Device {
        user_code: user_code.clone(),
        client: client.to_owned(),
        origin,
        answer: Answer::Waiting,
        next_poll: now,
        interval: POLL_SECONDS,
    };
    // Of one network's devices the oldest gives way.
    app.desk.devices.put(now, digest, &network, device, now.plus(DEVICE_LIFE));
    Ok(DeviceStarted { device_code, user_code: shown_code(&user_code) })
}

fn user_code(app: &App) -> String {
    let mut text = String::with_capacity(LETTERS_COUNT);
    while text.len() < LETTERS_COUNT {
        let mut byte = [0_u8; 1];
        app.entropy.fill(&mut byte);
        // The twelve largest folds would come up more often: they are drawn again.
        if byte[0] < 240 {
            text.push(char::from(LETTERS[usize::from(byte[0] % 20)]));
        }
    }
    text
}

/// As people read it.
pub fn shown_code(code: &str) -> String {
    code.split_at_checked(LETTERS_COUNT / 2).map_or_else(|| code.to_owned(), |(a, b)| format!("{a}-{b}"))
}

/// What somebody typed as a code of the right form: case, spaces and hyphens do not count.
pub fn read_code(typed: &str) -> Option<String> {
    let code: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    (code.len() == LETTERS_COUNT && code.bytes().all(|b| LETTERS.contains(&b))).then_some(code)
}

/// What waits with a code that a user typed. Codes are short, so that guesses are limited (RFC 8628 section 5.1), by the user and by the
/// network, on every page that takes one; finding one does not make up for the guesses before it.
pub(crate) fn look_up(app: &App, user: &UserId, code: &str, origin: &Origin) -> Result<Option<(Digest, String, Origin)>, Wait> {
    let names = [format!("code {user}"), format!("address {}", origin.network())];
    app.desk.throttle.begin(app.now(), &names)?;
    let found = waiting(app, code);
    if found.is_some() {
        names.iter().for_each(|name| app.desk.throttle.not_counted(name));
    }
    Ok(found)
}

/// What a device's page shows of it: client's name for itself, address, program.
fn waiting(app: &App, code: &str) -> Option<(Digest, String, Origin)> {
    let now = app.now();
    let key = app.desk.devices.find(now, |device| device.answer == Answer::Waiting && device.user_code == code)?;
    app.desk.devices.with(now, &key, |device| (key, device.client.clone(), device.origin.clone()))
}

/// What a session that goes on in this transaction approves.
async fn approval(write: &mut Write<'_>, current: &Current) -> Result<Approval, Refused> {
    let row = write.session(&current.row.id).await?.ok_or_else(Refused::session_ended)?;
    Ok(Approval { user: row.user, epoch: row.epoch })
}

/// The user's answer to a device. `false` when it waits no longer; [`Wait`] after too many guesses.
///
/// # Errors
/// When the store fails; the device goes on waiting then.
pub(crate) async fn answer_device(
    app: &App,
    current: &Current,
    code: &str,
    yes: bool,
    origin: &Origin,
) -> Result<Result<bool, Wait>, Refused> {
    let user = &current.row.user;
    let (key, client, asked) = match look_up(app, user, code, origin) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Ok(false)),
        Err(wait) => return Ok(Err(wait)),
    };
    let now = app.now();
    let mut write = app.store.begin().await?;
    let approval = approval(&mut write, current).await?;
    let name = write.user(user).await?.map(|user| user.email).unwrap_or_default();
    let event = Event {
        who: Some((user, &name)),
        action: if yes { "ApproveDevice" } else { "DenyDevice" },
        object: ("device", ""),
        result: "ok",
        after: Some(json!({"client": client, "source": asked.source, "program": asked.agent})),
    };
    write.append_audit(event.entry(origin, now)).await?;
    write.commit_without_revision().await?;
    let answer = if yes { Answer::Approved(approval) } else { Answer::Denied };
    let said = app.desk.devices.with(now, &key, |device| {
        let first = device.answer == Answer::Waiting;
        if first {
            device.answer = answer;
        }
        first
    });
    Ok(Ok(said == Some(true)))
}

/// A device asks for its tokens.
///
/// # Errors
/// The words of RFC 8628 section 3.5 until its user has answered; `Err(Ok(_))` is for the client, `Err(Err(_))` when the store fails.
pub async fn poll_device(app: &App, client: &str, code: &str) -> Result<Tokens, Result<OauthError, Refused>> {
    let expired = || Ok(failed("expired_token", "the code is older than ten minutes, was used, or never was; begin again"));
    let key = crate::login::digest(code).ok_or_else(expired)?;
    let now = app.now();
    let looked = app.desk.devices.with(now, &key, |device| {
        if device.client != client {
            return Err(failed("invalid_grant", "the code was given to another client"));
        }
        let early = now < device.next_poll;
        if early && device.answer == Answer::Waiting {
            // RFC 8628 section 3.5: five seconds more from here on.
            device.interval += POLL_SECONDS;
        }
        device.next_poll = now.plus(Lifetime::from_seconds(device.interval - 1));
        match &device.answer {
            Answer::Waiting if early => Err(failed("slow_down", "ask less often")),
            Answer::Waiting => Err(failed("authorization_pending", "the user has not answered yet")),
            Answer::Denied => Err(failed("access_denied", "the user said no")),
            Answer::Approved(_) => Ok(()),
        }
    });
    looked.ok_or_else(expired)?.map_err(Ok)?;
    // Of any number of parallel polls one gets the device, and with it the tokens.
    let device = app.desk.devices.take_if(now, &key, |device| matches!(device.answer, Answer::Approved(_))).ok_or_else(expired)?;
    let Answer::Approved(approval) = device.answer else { return Err(expired()) };
    let how = format!("device code, {}", shown_client(client));
    session::open_tool(app, &approval, client, &device.origin, &how).await.map_err(Err)?.ok_or_else(expired)
}

/// Whether a redirect goes to this user's own machine and nowhere else (RFC 8252 section 7.3): `http` to a loopback address or
/// `localhost`, without user, and with nothing that a header or a page could read as more.
pub fn is_loopback(redirect: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(redirect) else { return false };
    url.scheme() == "http"
        && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && redirect.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"'<>".contains(&b))
        && redirect.len() <= 500
}

/// Whether a text is an S256 challenge (RFC 7636 section 4.2): 43 characters of base64url.
pub fn is_challenge(challenge: &str) -> bool {
    challenge.len() == 43 && URL_SAFE_NO_PAD.decode(challenge).is_ok()
}

/// A user lets a client in: the code to send back by the redirect.
///
/// # Errors
/// When the store fails.
pub async fn grant(
    app: &App,
    current: &Current,
    client: &str,
    redirect: &str,
    challenge: &str,
    origin: &Origin,
) -> Result<Secret, Refused> {
    let now = app.now();
    let mut write = app.store.begin().await?;
    let approval = approval(&mut write, current).await?;
    let user = &current.row.user;
    let name = write.user(user).await?.map(|user| user.email).unwrap_or_default();
    let event = Event {
        who: Some((user, &name)),
        action: "ApproveClient",
        object: ("client", client),
        result: "ok",
        after: Some(json!({"redirect": redirect})),
    };
    write.append_audit(event.entry(origin, now)).await?;
    write.commit_without_revision().await?;
    let (digest, code) = crate::login::mint(app);
    let (client, redirect, challenge) = (client.to_owned(), redirect.to_owned(), challenge.to_owned());
    let grant = Grant { approval, client, redirect, challenge };
    app.desk.grants.put(now, digest, user.as_str(), GrantState::Waiting(grant), now.plus(GRANT_LIFE));
    Ok(code)
}

/// Changes an authorization code for tokens. Whatever fails, the code is used up. One that comes again was seen by two: what it was
/// changed for ends (RFC 6749 section 4.1.2).
///
/// # Errors
/// `invalid_grant` to the client, or the store fails.
pub async fn redeem(
    app: &App,
    client: &str,
    code: &str,
    redirect: &str,
    verifier: &str,
    origin: &Origin,
) -> Result<Tokens, Result<OauthError, Refused>> {
    let wrong = || Ok(failed("invalid_grant", "the code is unknown, used, older than a minute, or another client's"));
    let (key, now) = (crate::login::digest(code).ok_or_else(wrong)?, app.now());
    let used = app.desk.grants.with(now, &key, |state| {
        let next = match state {
            GrantState::Waiting(_) => GrantState::Used { reused: false },
            GrantState::Used { .. } => GrantState::Used { reused: true },
            GrantState::Issued(session) => GrantState::Issued(session.clone()),
        };
        std::mem::replace(state, next)
    });
    let grant = match used.ok_or_else(wrong)? {
        GrantState::Waiting(grant) => grant,
        GrantState::Used { .. } => return Err(wrong()),
        GrantState::Issued(session) => {
            end_reused(app, &session, origin).await.map_err(Err)?;
            return Err(wrong());
        }
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let proved = bool::from(challenge.as_bytes().ct_eq(grant.challenge.as_bytes())) && (43..=128).contains(&verifier.len());
    if !proved || grant.client != client || grant.redirect != redirect {
        return Err(wrong());
    }
    let how = format!("browser, {}", shown_client(client));
    let tokens = session::open_tool(app, &grant.approval, client, origin, &how).await.map_err(Err)?.ok_or_else(wrong)?;
    let user = &grant.approval.user;
    let reused = app.desk.grants.with(now, &key, |state| {
        matches!(std::mem::replace(state, GrantState::Issued(tokens.session.clone())), GrantState::Used { reused: true })
    });
    if reused == Some(true) {
        // It came again while its tokens were made.
        end_reused(app, &tokens.session, origin).await.map_err(Err)?;
        return Err(wrong());
    }
    app.desk.grants.put(now, key, user.as_str(), GrantState::Issued(tokens.session.clone()), now.plus(REUSE_SPAN));
    Ok(tokens)
}

async fn end_reused(app: &App, session: &SessionId, origin: &Origin) -> Result<(), Refused> {
    let Some(row) = app.store.read().await?.session(session).await? else { return Ok(()) };
    tracing::warn!(%session, "an authorization code was used twice; what it was changed for is ended");
    session::end_for(app, &row, "an authorization code was used twice", "authorization_code_reused", origin).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_goes_to_the_users_own_machine_alone() {
        for good in ["http://127.0.0.1:56628/callback", "http://localhost/x", "http://[::1]:1/"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "https://127.0.0.1/",
            "http://127.0.0.1.evil.example/",
            "http://localhost@evil.example/",
            "http://127.0.0.1\\@evil.example/",
            "http://evil.example/127.0.0.1",
            "javascript:alert(1)",
            "//localhost/",
            "http://127.0.0.1/#x",
            "http://127.0.0.1/\r\nX: y",
            "http://127.0.0.1/\"onload",
            "http://user@127.0.0.1/",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn a_client_is_shown_by_its_whole_id() {
        assert_eq!(shown_client("d7V5bZMLCbRLfRVpqC567AqjAERaWHhl"), "tcld (d7V5bZMLCbRLfRVpqC567AqjAERaWHhl)");
        for other in ["d7V5bZMLevil", "d7V5bZML", "countersign2", "tcld"] {
            assert_eq!(shown_client(other), other);
        }
        assert_eq!(shown_client("countersign"), "countersign (command line)");
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        assert_eq!(read_code(" bcdf ghjk "), Some("BCDFGHJK".to_owned()));
        assert_eq!(read_code("BCDF-GHJK"), Some("BCDFGHJK".to_owned()));
        for bad in ["", "BCDFGHJ", "ABCDEFGH", "BCDFGHJKL", "BCDF_GHJK"] {
            assert_eq!(read_code(bad), None, "{bad}");
        }
        assert_eq!(shown_code("BCDFGHJK"), "BCDF-GHJK");
    }
}
