//! Logins by the company's provider (OpenID Connect Core 1.0, authorization code with PKCE): discovery, one request with state and
//! nonce, an ID token that is checked to the letter. Only addresses of the configured provider are opened (promise P19).

use super::record::{Event, Origin};
use super::way_in::{NotIn, SignedIn, Step, check_epoch, failed};
use super::{Digest, session};
use crate::app::App;
use crate::error::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::access::{Access, AccountRole};
use countersign_core::id::UserId;
use countersign_core::identity::{IdentityId, User};
use countersign_core::secret::Secret;
use countersign_core::snapshot::Change;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_store::{LoginRow, Write};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Url;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq as _;

/// How long a login may stay at the provider.
const ASKED_LIFE: Lifetime = Lifetime::from_seconds(10 * 60);
/// How long what the provider says of itself is believed.
const KNOWN_LIFE: Lifetime = Lifetime::from_seconds(60 * 60);
/// A key that is not known is looked for at once, and so often within [`KEYS_SPAN`] at most: a provider changes its keys without
/// notice, and an ID token with a made-up name of a key must not become a flood.
const KEYS_ASKED_MAX: usize = 5;
const KEYS_SPAN: Lifetime = Lifetime::from_seconds(60);
/// Seconds that the provider's clock may be off.
const DRIFT_SECONDS: i64 = 60;
/// Seconds that an ID token may be old when it comes.
const AGE_SECONDS_MAX: i64 = 10 * 60;
/// How long one request to the provider may take.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer of the provider.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Signatures that are taken: asymmetric ones alone, and never `none`.
const ALGORITHMS: [Algorithm; 5] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// Who may come in by the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provision {
    /// Users that exist here.
    #[default]
    Invited,
    /// Everybody with a mail address of an allowed domain; a user is made at the first login, with the role read.
    Domain,
}

/// The provider, as the operator names it.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, `https://…` (or `http://` to this machine, for trying).
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// Our secret there; empty for a public client.
    pub client_secret: Arc<Secret>,
    /// What the button says.
    pub name: String,
    /// Domains of mail addresses that may come in; empty means any.
    pub allowed_domains: Vec<String>,
    /// Who may come in.
    pub provision: Provision,
    /// PEM of the only CAs that the provider may be vouched for by; empty means the system's.
    pub ca_pem: Vec<u8>,
}

/// A login that is at the provider. Its key is the state's digest.
#[derive(Debug)]
pub struct Asked {
    nonce: String,
    verifier: String,
    browser: Digest,
    redirect: String,
    next: String,
    /// The highest epoch of any user's logins when it began: a user whose epoch is above it had logins ended since.
    epoch: i64,
}

/// What the provider says of itself.
#[derive(Clone, Debug, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

struct Known {
    document: Document,
    keys: JwkSet,
    at: Timestamp,
}

/// The connection to the provider, and what is known of it.
#[derive(Default)]
pub struct Provider {
    http: OnceLock<reqwest::Client>,
    known: Mutex<Option<Arc<Known>>>,
    /// When keys were last asked for because of a name that is not known.
    keys_asked: Mutex<Vec<Timestamp>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider")
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
    #[serde(default)]
    access_token: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: Truth,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: Truth,
}

/// Some providers write the truth as text.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(from = "serde_json::Value")]
struct Truth(bool);

impl From<serde_json::Value> for Truth {
    fn from(value: serde_json::Value) -> Self {
        Self(value == serde_json::Value::Bool(true) || value == "true")
    }
}

/// An address of the provider: `https`, or `http` to this machine where the issuer itself is so.
fn address(text: &str, settings: &OidcSettings) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no address: {error}"))?;
    let local = |url: &Url| url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let trying = Url::parse(&settings.issuer).is_ok_and(|issuer| local(&issuer));
    if url.scheme() == "https" || (trying && local(&url)) { Ok(url) } else { Err(format!("`{text}` is not reached over TLS")) }
}

impl Provider {
    /// Makes the client; nothing is sent.
    ///
    /// # Errors
    /// One sentence with the setting that is wrong.
    pub fn prepare(&self, settings: &OidcSettings) -> Result<(), String> {
        let issuer = address(&settings.issuer, settings).map_err(|error| format!("login.oidc.issuer: {error}"))?;
        if issuer.query().is_some() || issuer.fragment().is_some() || settings.client_id.is_empty() {
            return Err("login.oidc needs an issuer without query and a client_id".to_owned());
        }
        if settings.provision == Provision::Domain && settings.allowed_domains.is_empty() {
            return Err("login.oidc.provision is `domain`, which needs login.oidc.allowed_domains".to_owned());
        }
        let mut builder = reqwest::Client::builder()
            .timeout(REQUEST_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if issuer.scheme() == "http" {
            builder = builder.no_proxy();
        }
        if !settings.ca_pem.is_empty() {
            let roots = reqwest::Certificate::from_pem_bundle(&settings.ca_pem).map_err(|error| format!("login.oidc.ca_cert: {error}"))?;
            builder = builder.tls_certs_only(roots);
        }
        let client = builder.build().map_err(|error| format!("login.oidc: {error}"))?;
        // Prepared once, at the start.
        let _ = self.http.set(client);
        Ok(())
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, String> {
        let mut response = request.header("accept", "application/json").send().await.map_err(|error| said(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| said(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err("the answer is larger than a megabyte".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            // The error's word is the standard's and no secret; nothing else of the body is repeated.
            let word = serde_json::from_slice::<serde_json::Value>(&body).ok().and_then(|v| Some(v.get("error")?.as_str()?.to_owned()));
            return Err(format!("it answered {status} {}", crate::error::shown(&word.unwrap_or_default())));
        }
        serde_json::from_slice(&body).map_err(|_| "its answer is not what the standard says".to_owned())
    }

    fn http(&self) -> Result<&reqwest::Client, String> {
        self.http.get().ok_or_else(|| "the provider was not prepared".to_owned())
    }

    async fn keys(&self, settings: &OidcSettings, document: &Document) -> Result<JwkSet, String> {
        self.read(self.http()?.get(address(&document.jwks_uri, settings)?)).await
    }

    async fn known(&self, settings: &OidcSettings, now: Timestamp) -> Result<Arc<Known>, String> {
        let cached = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = cached.filter(|known| now < known.at.plus(KNOWN_LIFE)) {
            return Ok(known);
        }
        let place = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
        let document: Document = self.read(self.http()?.get(address(&place, settings)?)).await?;
        if document.issuer != settings.issuer {
            return Err(format!("it calls itself `{}`, not `{}`", crate::error::shown(&document.issuer), settings.issuer));
        }
        for one in [&document.authorization_endpoint, &document.token_endpoint] {
            address(one, settings)?;
        }
        let keys = self.keys(settings, &document).await?;
        Ok(self.remember(Known { document, keys, at: now }))
    }

    fn may_ask_for_keys(&self, now: Timestamp) -> bool {
        let mut asked = self.keys_asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|at| now < at.plus(KEYS_SPAN));
        let may = asked.len() < KEYS_ASKED_MAX;
        if may {
            asked.push(now);
        }
        may
    }

    fn remember(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
        known
    }

    /// The claims of an ID token, once its signature and everything of section 3.1.3.7 is right.
    async fn claims(
        &self,
        settings: &OidcSettings,
        mut known: Arc<Known>,
        token: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Claims, String> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "its ID token is none".to_owned())?;
        check_critical(token)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(format!("its ID token is signed with {:?}, which is not taken", header.alg));
        }
        let find = |known: &Known| match &header.kid {
            Some(kid) => known.keys.find(kid).cloned(),
            // Without a name there must be one key alone (section 10.1).
            None => (known.keys.keys.len() == 1).then(|| known.keys.keys[0].clone()),
        };
        let mut key = find(&known);
        if key.is_none() && self.may_ask_for_keys(now) {
            let keys = self.keys(settings, &known.document).await?;
            known = self.remember(Known { document: known.document.clone(), keys, at: known.at });
            key = find(&known);
        }
        let key = key.ok_or("its ID token is signed by a key that it does not publish")?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| "it publishes a key that cannot be read".to_owned())?;
        let mut validation = Validation::new(header.alg);
        // Dates are held against this process's own clock below; audience and issuer as well, so that all rules stand in one place.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims =
            jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|_| "its ID token has a wrong signature".to_owned())?.claims;
        check(&claims, settings, nonce, now)?;
        Ok(claims)
    }
}

/// RFC 7515 section 4.1.11: a token whose header names extensions that must be understood is refused, since none is understood here.
fn check_critical(token: &str) -> Result<(), String> {
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    let header: serde_json::Value = serde_json::from_slice(&header).map_err(|_| "its ID token is none".to_owned())?;
    match header.get("crit") {
        None => Ok(()),
        Some(_) => Err("its ID token names critical extensions (`crit`), and none is understood here".to_owned()),
    }
}

/// OpenID Connect Core section 3.1.3.7, without the signature.
fn check(claims: &Claims, settings: &OidcSettings, nonce: &str, now: Timestamp) -> Result<(), String> {
    let now = now.seconds();
    let (named, several) = match &claims.aud {
        Audience::One(one) => (*one == settings.client_id, false),
        Audience::Many(many) => (many.contains(&settings.client_id), many.len() > 1),
    };
    let same = |given: &Option<String>| given.as_deref().is_some_and(|given| bool::from(given.as_bytes().ct_eq(nonce.as_bytes())));
    let rules = [
        (claims.iss == settings.issuer, "it names another issuer"),
        (named, "it is for another client"),
        (!several || claims.azp.is_some(), "it is for several clients and names none as its receiver"),
        (claims.azp.as_ref().is_none_or(|azp| *azp == settings.client_id), "another client received it"),
        (now < claims.exp.saturating_add(DRIFT_SECONDS), "it has ended"),
        (claims.iat <= now.saturating_add(DRIFT_SECONDS), "it was made in the future"),
        (claims.iat >= now.saturating_sub(AGE_SECONDS_MAX), "it is old"),
        (claims.nbf.is_none_or(|nbf| nbf <= now.saturating_add(DRIFT_SECONDS)), "it is not good yet"),
        (same(&claims.nonce), "it answers another request"),
        (!claims.sub.is_empty() && claims.sub.len() <= 255 && claims.sub.is_ascii(), "it names nobody"),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(format!("its ID token is refused: {why}")),
        None => Ok(()),
    }
}

/// An error without the address, which may hold a code.
fn said(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut text = String::from("it is not reached");
    while let Some(source) = cause.source() {
        cause = source;
        text = cause.to_string();
    }
    text
}

fn settings(app: &App) -> Result<&OidcSettings, NotIn> {
    app.desk.settings().oidc.as_ref().ok_or(NotIn::Over)
}

fn unreachable(reason: String) -> NotIn {
    tracing::error!(%reason, "the login provider failed");
    NotIn::Refused(Refused::new("login_provider_failed", "the login provider did not do what it should; the log says what"))
}

/// Begins a login: where to send the browser, and the text of the cookie that binds the answer to it.
///
/// # Errors
/// [`NotIn`].
pub async fn begin(app: &App, redirect: &str, next: &str, origin: &Origin) -> Result<(String, Secret), NotIn> {
    let settings = settings(app)?;
    let now = app.now();
    let known = app.desk.provider.known(settings, now).await.map_err(unreachable)?;
    let epoch = app.store.read().await?.last_login_epoch().await?;
    let ((state_digest, state), (_, nonce), (_, verifier), (browser, cookie)) =
        (super::mint(app), super::mint(app), super::mint(app), super::mint(app));
    // State, nonce and the verifier's digest travel through the browser by design; the verifier itself stays here.
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()));
    let mut url = address(&known.document.authorization_endpoint, settings).map_err(unreachable)?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", redirect)
        .append_pair("scope", "openid email profile")
        .append_pair("state", state.expose())
        .append_pair("nonce", nonce.expose())
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    let asked = Asked {
        nonce: nonce.expose().to_owned(),
        verifier: verifier.expose().to_owned(),
        browser,
        redirect: redirect.to_owned(),
        next: next.to_owned(),
        epoch,
    };
    app.desk.asked.put(now, state_digest, &origin.network(), asked, now.plus(ASKED_LIFE));
    Ok((url.into(), cookie))
}

/// Ends a login with what the provider sent back: the step after it, and where it leads.
///
/// # Errors
/// [`NotIn`].
pub async fn finish(app: &App, state: &str, code: &str, iss: &str, cookie: &str, origin: &Origin) -> Result<(Step, String), NotIn> {
    let settings = settings(app)?;
    let now = app.now();
    let asked = super::digest(state).and_then(|digest| app.desk.asked.take(now, &digest)).ok_or(NotIn::Over)?;
    // The answer belongs to the browser that asked (RFC 9700 section 4.7.1), and to this provider (RFC 9207).
    let bound = super::digest(cookie).is_some_and(|digest| bool::from(digest.ct_eq(&asked.browser)));
    if !bound || code.is_empty() || code.len() > 4096 || !(iss.is_empty() || iss == settings.issuer) {
        return Err(NotIn::Over);
    }
    let provider = &app.desk.provider;
    let known = provider.known(settings, now).await.map_err(unreachable)?;
    let answer = redeem(provider, settings, &known.document, &asked, code).await.map_err(unreachable)?;
    let claims = provider.claims(settings, Arc::clone(&known), &answer.id_token, &asked.nonce, now).await.map_err(unreachable)?;
    let email = email_of(provider, settings, &known.document, &claims, &answer.access_token).await.map_err(unreachable)?;
    let (user, epoch) = match let_in(app, settings, &claims.sub, email.as_deref(), asked.epoch, origin).await {
        Ok(found) => found,
        Err(NotIn::Wrong) => {
            failed(app, None, origin, "not_invited").await;
            return Err(NotIn::Wrong);
        }
        Err(other) => return Err(other),
    };
    let mut write = app.store.begin().await?;
    check_epoch(&mut write, &user, epoch).await?;
    let (_, cookie) = session::open_browser(app, &mut write, &user, epoch, origin, &settings.name).await?;
    write.commit_without_revision().await?;
    Ok((Step::In(SignedIn { cookie, user }), asked.next))
}

async fn redeem(
    provider: &Provider,
    settings: &OidcSettings,
    document: &Document,
    asked: &Asked,
    code: &str,
) -> Result<TokenAnswer, String> {
    let mut form =
        vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", &asked.redirect), ("code_verifier", &asked.verifier)];
    let mut request = provider.http()?.post(address(&document.token_endpoint, settings)?);
    // The client's secret goes to the provider and nowhere else.
    let secret = settings.client_secret.expose();
    let methods = &document.token_endpoint_auth_methods_supported;
    let basic = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
    if secret.is_empty() {
        form.push(("client_id", &settings.client_id));
    } else if basic {
        // RFC 6749 section 2.3.1: both are form-encoded first.
        request = request.basic_auth(crate::rest::encoded(&settings.client_id), Some(crate::rest::encoded(secret)));
    } else {
        form.extend([("client_id", settings.client_id.as_str()), ("client_secret", secret)]);
    }
    let body = form.iter().map(|(name, value)| format!("{name}={}", crate::rest::encoded(value))).collect::<Vec<_>>().join("&");
    provider.read(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
}

/// The mail address, verified by the provider, from the token or else from its userinfo.
async fn email_of(
    provider: &Provider,
    settings: &OidcSettings,
    document: &Document,
    claims: &Claims,
    access: &str,
) -> Result<Option<String>, String> {
    if let Some(email) = &claims.email {
        return Ok(claims.email_verified.0.then(|| email.to_ascii_lowercase()));
    }
    let (Some(place), false) = (&document.userinfo_endpoint, access.is_empty()) else { return Ok(None) };
    let info: UserInfo = provider.read(provider.http()?.get(address(place, settings)?).bearer_auth(access)).await?;
    if info.sub != claims.sub {
        return Err("its userinfo is of somebody else".to_owned());
    }
    Ok(info.email.filter(|_| info.email_verified.0).map(|email| email.to_ascii_lowercase()))
}

/// The epoch of a user's logins, if none were ended since one that began when `last` was the highest epoch of all.
async fn epoch_since(write: &mut Write<'_>, user: &UserId, last: i64) -> Result<i64, NotIn> {
    write.login_epoch(user).await?.filter(|epoch| *epoch <= last).ok_or(NotIn::Over)
}

/// Which user the subject is: the one it is bound to, else the one with its verified mail address, bound from now on. With the epoch
/// that the login goes on under; `last` is the highest one of all when it began.
async fn let_in(
    app: &App,
    settings: &OidcSettings,
    subject: &str,
    email: Option<&str>,
    last: i64,
    origin: &Origin,
) -> Result<(UserId, i64), NotIn> {
    let now = app.now();
    let mut write = app.store.begin().await?;
    if let Some(login) = write.login_by_subject(&settings.issuer, subject).await? {
        let epoch = epoch_since(&mut write, &login.user, last).await?;
        return Ok((login.user, epoch));
    }
    let email = email.ok_or(NotIn::Wrong)?;
    let domain = email.rsplit_once('@').map(|(_, domain)| domain).ok_or(NotIn::Wrong)?;
    if !settings.allowed_domains.is_empty() && !settings.allowed_domains.iter().any(|known| known.eq_ignore_ascii_case(domain)) {
        return Err(NotIn::Wrong);
    }
    let found = write.user_by_email(email).await?;
    let made = found.is_none();
    let user = match found {
        Some(user) => user,
        None if settings.provision == Provision::Domain && crate::app::users::is_email(email) => {
            make(app, &mut write, email, origin).await?
        }
        None => return Err(NotIn::Wrong),
    };
    epoch_since(&mut write, &user.id, last).await?;
    let login = write.login(&user.id).await?.unwrap_or_else(|| LoginRow::none(user.id.clone(), now));
    // Bound to another account of the provider: that mail address has changed hands there, and not here.
    if login.oidc.is_some() {
        return Err(NotIn::Wrong);
    }
    write.put_login(&LoginRow { oidc: Some((settings.issuer.clone(), subject.to_owned())), modified_at: now, ..login }).await?;
    write.end_logins(&user.id, None).await?;
    let epoch = write.login_epoch(&user.id).await?.ok_or(NotIn::Over)?;
    let event = Event {
        who: Some((&user.id, &user.email)),
        action: "BindProvider",
        object: ("user", user.id.as_str()),
        result: "ok",
        after: Some(serde_json::json!({"issuer": settings.issuer, "subject": subject})),
    };
    write.append_audit(event.entry(origin, now)).await?;
    if made {
        let publish = app.publisher();
        let changes = vec![Change::PutIdentity(IdentityId::User(user.id.clone()), user.access)];
        let (snapshot, committed) = write.commit_then(move |revision| (publish(revision, changes), std::time::Instant::now())).await?;
        app.confirm(snapshot, committed).await;
    } else {
        write.commit_without_revision().await?;
    }
    Ok((user.id, epoch))
}

async fn make(app: &App, write: &mut Write<'_>, email: &str, origin: &Origin) -> Result<User, NotIn> {
    let now = app.now();
    let user = User {
        id: UserId::mint(&*app.entropy),
        email: email.to_owned(),
        access: Access::role(AccountRole::Read),
        resource_version: 1,
        created_at: now,
        modified_at: now,
    };
    write.put_user(&user).await?;
    let after = serde_json::to_value(convert::user(&user)).ok();
    let event = Event { who: Some((&user.id, &user.email)), action: "CreateUser", object: ("user", user.id.as_str()), result: "ok", after };
    write.append_audit(event.entry(origin, now)).await?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> OidcSettings {
        OidcSettings {
            issuer: "https://idp.test".into(),
            client_id: "us".into(),
            client_secret: Arc::new(Secret::new(String::new())),
            name: "IdP".into(),
            allowed_domains: vec![],
            provision: Provision::Invited,
            ca_pem: vec![],
        }
    }

    fn claims(change: impl FnOnce(&mut serde_json::Value)) -> Claims {
        let mut value = serde_json::json!({"iss": "https://idp.test", "sub": "7", "aud": "us", "exp": 1060, "iat": 1000, "nonce": "n"});
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_id_token_is_for_us_now_and_for_this_request() {
        let now = Timestamp::from_seconds(1010);
        assert_eq!(check(&claims(|_| ()), &settings(), "n", now), Ok(()));
        assert_eq!(check(&claims(|c| c["aud"] = serde_json::json!(["us"])), &settings(), "n", now), Ok(()));
        assert_eq!(check(&claims(|c| (c["aud"], c["azp"]) = (serde_json::json!(["us", "b"]), "us".into())), &settings(), "n", now), Ok(()));
        let wrong: [(&str, serde_json::Value); 11] = [
            ("iss", "https://idp.test/".into()),
            ("aud", "them".into()),
            ("aud", serde_json::json!(["us", "them"])),
            ("aud", serde_json::json!([])),
            ("azp", "them".into()),
            ("exp", 949.into()),
            ("iat", 1071.into()),
            ("iat", 409.into()),
            ("nbf", 1071.into()),
            ("nonce", "m".into()),
            ("sub", "".into()),
        ];
        for (name, value) in wrong {
            let shown = value.to_string();
            assert!(check(&claims(|c| c[name] = value), &settings(), "n", now).is_err(), "{name} {shown}");
        }
        assert!(check(&claims(|c| c["nonce"] = serde_json::Value::Null), &settings(), "n", now).is_err());
    }

    #[test]
    fn an_id_token_with_a_critical_extension_is_refused() {
        let token = |header: serde_json::Value| format!("{}.e30.x", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_eq!(check_critical(&token(serde_json::json!({"alg": "ES256", "kid": "1"}))), Ok(()));
        for crit in [serde_json::json!(["b64"]), serde_json::json!([]), serde_json::json!(["x"]), serde_json::Value::Null] {
            assert!(check_critical(&token(serde_json::json!({"alg": "ES256", "crit": crit}))).is_err(), "{crit}");
        }
        assert!(check_critical("x").is_err());
    }

    #[test]
    fn a_key_that_is_not_known_is_asked_for_at_once_and_not_without_end() {
        let (provider, at) = (Provider::default(), Timestamp::from_seconds);
        let asked = (0..20).filter(|_| provider.may_ask_for_keys(at(0))).count();
        assert_eq!((asked, provider.may_ask_for_keys(at(59)), provider.may_ask_for_keys(at(60))), (KEYS_ASKED_MAX, false, true));
    }

    #[test]
    fn the_provider_is_reached_over_tls_alone() {
        let local = OidcSettings { issuer: "http://127.0.0.1:9".into(), ..settings() };
        assert!(address("https://idp.test/x", &settings()).is_ok() && address("http://127.0.0.1:9/x", &local).is_ok());
        for bad in ["http://idp.test/x", "http://127.0.0.1/x", "file:///etc/passwd", "x"] {
            assert!(address(bad, &settings()).is_err(), "{bad}");
        }
        assert!(address("http://idp.test/", &local).is_err());
    }
}
