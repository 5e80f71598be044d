//! The pages by which people log in: password, second factor, the company's provider, invitation. What is right and wrong,
//! `crate::login` says; here are only forms and sentences.

use super::pages_kit::{
    Form, SESSION_COOKIE, alert, authority, cookie, encoded, field, foreign_form, gone, hidden, is_own_form, next, origin_of, page,
    page_with_policy, public_url, see, small, strict, text, who, with_cookies,
};
use super::pages_overview as overview;
use crate::app::App;
use crate::error::{AsItIs, Refused};
use crate::login::way_in::{self, NotIn, Shown, SignedIn, Step};
use crate::login::{device, invite, oidc};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use axum::routing::get;
use countersign_core::secret::Secret;
use qrcode::QrCode;
use qrcode::render::svg;
use std::sync::Arc;

/// Holds a login together between its password and its second factor.
const TICKET_COOKIE: &str = "__Host-countersign-login";
/// Tells a browser that its user logged in with before.
const DEVICE_COOKIE: &str = "__Host-countersign-device";
/// Binds the provider's answer to the browser that asked. It must come back from another site's page, so it is Lax.
const PROVIDER_COOKIE: &str = "__Host-countersign-provider";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/login", get(ask).post(enter))
        .route("/login/second", get(ask_second).post(enter_second))
        .route("/login/enrol", get(ask_enrol).post(enter_enrol))
        .route("/login/provider", get(to_provider))
        .route("/login/provider/answer", get(from_provider))
        .route("/invitation", get(ask_invitation).post(enter_invitation))
}

/// Status and sentence of a login that does not go on.
pub(super) fn sentence(not_in: &NotIn, wrong: &str) -> (StatusCode, String) {
    match not_in {
        NotIn::Wrong => (StatusCode::FORBIDDEN, wrong.to_owned()),
        NotIn::Wait(wait) => (StatusCode::TOO_MANY_REQUESTS, wait.sentence()),
        NotIn::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Too many people log in at this moment. Try again in some seconds.".to_owned()),
        NotIn::Over => (StatusCode::FORBIDDEN, "This took too long, or was done already. Begin again.".to_owned()),
        NotIn::Rule(rule) => (StatusCode::BAD_REQUEST, rule.clone()),
        NotIn::Refused(refused) => {
            (StatusCode::from_u16(refused.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), format!("{}.", refused.detail))
        }
    }
}

/// A page that says what went wrong; its status is no invitation to replace it.
pub(super) fn failed_page(not_in: &NotIn, status: StatusCode, body: String) -> Response {
    let mut response = page(status, body);
    response.extensions_mut().insert(AsItIs);
    if let NotIn::Wait(wait) = not_in {
        response.headers_mut().insert(RETRY_AFTER, wait.seconds.into());
    }
    response
}

/// A secret that a form brings: it is taken over, looked at by what checks it, and wiped.
pub(super) fn secret(form: &Form, name: &str) -> Secret {
    Secret::new(form.get(name).to_owned())
}

/// The cookies of a browser that has just signed in. `known` is what it brought as a known browser.
fn signed_in(app: &App, signed_in: &SignedIn, known: &str) -> Vec<String> {
    // The one place where a session's text is shown: to the browser that opened it.
    let mut cookies = vec![strict(SESSION_COOKIE, signed_in.cookie.expose()), gone(TICKET_COOKIE)];
    if device::known(app, &signed_in.user, known).is_none()
        && let Some(text) = device::remember(app, &signed_in.user)
    {
        // It is for this browser to bring back, and opens nothing.
        let (text, age) = (text.expose(), device::KNOWN_LIFE.seconds());
        cookies.push(format!("{DEVICE_COOKIE}={text}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict"));
    }
    cookies
}

/// What a browser brings to be known by.
fn device_of(request: &Request) -> String {
    cookie(request.headers(), DEVICE_COOKIE).unwrap_or("").to_owned()
}

/// What comes after a proof.
fn go_on(app: &App, step: &Step, next: &str, known: &str) -> Response {
    match step {
        Step::In(session) => see(next, &signed_in(app, session, known)),
        // A ticket's text goes to the same browser, which alone can go on with it.
        Step::Second(ticket) => see(&format!("/login/second?next={}", encoded(next)), &[strict(TICKET_COOKIE, ticket.expose())]),
        Step::Enrol(ticket) => see(&format!("/login/enrol?next={}", encoded(next)), &[strict(TICKET_COOKIE, ticket.expose())]),
    }
}

fn login_form(app: &App, email: &str, next: &str, failed: &str) -> String {
    let mut body = alert(failed);
    let provider = app.desk.settings().oidc.as_ref();
    if let Some(oidc) = provider {
        body.push_str(&format!(
            "<a class=\"button\" href=\"/login/provider?next={}\">Continue with <bdi>{}</bdi></a><p class=\"or\">or</p>",
            encoded(next),
            text(&oidc.name)
        ));
    }
    body.push_str(&format!(
        "<form method=\"post\" action=\"/login\">{}{}{}<button class=\"wide\">Sign in</button></form>\
         <p class=\"hint after\">No password yet? Whoever runs this account makes you a link: <code>countersign user resend-invite</code>.</p>",
        field("Mail address", "email", "email", email, if email.is_empty() { "required autofocus autocomplete=\"username\"" } else { "required autocomplete=\"username\"" }),
        field("Password", "password", "password", "", if email.is_empty() { "required autocomplete=\"current-password\"" } else { "required autofocus autocomplete=\"current-password\"" }),
        hidden("next", next),
    ));
    small("Sign in", &body)
}

/// The login form; with a one-time code a button. Looking at the address uses nothing up.
async fn ask(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let form = Form::of_query(&request);
    let next = next(form.get("next"));
    if form.has("code") {
        let good = app.desk.is_good(&app, form.get("code"));
        return Ok(match good {
            true => page(StatusCode::OK, overview::ask(form.get("code"), next)),
            false => page(StatusCode::FORBIDDEN, overview::dead_code()),
        });
    }
    if who(&app, request.headers(), &origin_of(&request)).await?.is_some() {
        return Ok(see(next, &[]));
    }
    Ok(page(StatusCode::OK, login_form(&app, "", next, "")))
}

async fn enter(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let (origin, known) = (origin_of(&request), device_of(&request));
    let form = Form::of_body(request).await;
    let next = next(form.get("next"));
    if form.has("code") || !form.has("password") {
        return Ok(match way_in::by_one_time_code(&app, form.get("code"), &origin).await {
            Ok(step) => go_on(&app, &step, next, &known),
            Err(NotIn::Refused(refused)) => return Err(refused),
            Err(_) => page(StatusCode::FORBIDDEN, overview::dead_code()),
        });
    }
    match way_in::by_password(&app, form.get("email"), secret(&form, "password"), &known, &origin).await {
        Ok(step) => Ok(go_on(&app, &step, next, &known)),
        Err(not_in) => {
            let (status, said) = sentence(&not_in, "Mail address or password is wrong.");
            Ok(failed_page(&not_in, status, login_form(&app, form.get("email"), next, &said)))
        }
    }
}

fn second_form(next: &str, failed: &str) -> String {
    let body = format!(
        "{}<p>Type the six digits that your authenticator app shows now, or one of your recovery codes.</p>\
         <form method=\"post\" action=\"/login/second\">{}{}<button class=\"wide\">Sign in</button></form><p><a href=\"/login\">Begin again</a></p>",
        alert(failed),
        field(
            "Code",
            "code",
            "text",
            "",
            "required autofocus inputmode=\"text\" autocomplete=\"one-time-code\" spellcheck=\"false\" maxlength=\"20\""
        ),
        hidden("next", next),
    );
    small("Second factor", &body)
}

fn begin_again(next: &str) -> Response {
    see(&format!("/login?next={}", encoded(next)), &[gone(TICKET_COOKIE)])
}

async fn ask_second(State(app): State<Arc<App>>, request: Request) -> Response {
    let form = Form::of_query(&request);
    let next = next(form.get("next"));
    match cookie(request.headers(), TICKET_COOKIE).and_then(|ticket| way_in::ticket_user(&app, ticket)) {
        Some(_) => page(StatusCode::OK, second_form(next, "")),
        None => begin_again(next),
    }
}

async fn enter_second(State(app): State<Arc<App>>, request: Request) -> Response {
    if !is_own_form(&request) {
        return foreign_form();
    }
    let (origin, ticket) = (origin_of(&request), cookie(request.headers(), TICKET_COOKIE).unwrap_or("").to_owned());
    let known = device_of(&request);
    let form = Form::of_body(request).await;
    let next = next(form.get("next"));
    match way_in::by_second(&app, &ticket, form.get("code"), &known, &origin).await {
        Ok(step) => go_on(&app, &step, next, &known),
        Err(NotIn::Over) => begin_again(next),
        Err(not_in) => {
            let (status, said) = sentence(&not_in, "This code is wrong, or was used before. The app shows a new one every 30 seconds.");
            failed_page(&not_in, status, second_form(next, &said))
        }
    }
}

/// The QR code of an enrolment, drawn as a picture inside the page, so that nothing else has to be loaded.
fn qr(uri: &Secret) -> String {
    // Shown to its user, once, on the page of the enrolment.
    let Ok(code) = QrCode::new(uri.expose()) else { return String::new() };
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(208, 208).quiet_zone(true).build();
    let drawn = drawn.split_once("?>").map_or(drawn.as_str(), |(_, rest)| rest);
    format!("<div class=\"qr\" role=\"img\" aria-label=\"QR code of the secret below\">{drawn}</div>")
}

/// What an enrolment shows, with the form that confirms it.
pub(super) fn enrol_parts(shown: &Shown, action: &str, fields: &str, failed: &str) -> String {
    // Shown to its user until it is confirmed, and never again.
    let secret = shown.base32.expose();
    let spaced: Vec<&str> = (0..secret.len()).step_by(4).map(|at| secret.get(at..at + 4).unwrap_or("")).collect();
    format!(
        "{}<p>Scan this with an authenticator app, or type the secret into it. Then type the six digits that it shows.</p>{}\
         <dl><dt>Account</dt><dd><bdi>{}</bdi></dd><dt>Secret</dt><dd><code>{}</code></dd></dl>\
         <form method=\"post\" action=\"{action}\">{}{fields}<button class=\"wide\" name=\"do\" value=\"confirm\">Confirm</button></form>",
        alert(failed),
        qr(&shown.uri),
        text(&shown.email),
        spaced.join(" "),
        field("Six digits", "code", "text", "", "required autofocus inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"7\""),
    )
}

/// Recovery codes, shown once.
pub(super) fn recovery_page(codes: &[Secret], done: &str, next: &str) -> Response {
    /// What the one script of these pages needs: it copies the codes.
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    // The one place where they are shown: to their user.
    let list: String = codes.iter().map(|code| format!("<li>{}</li>", code.expose())).collect();
    // The same for the file that is saved, inside the page, so that no address serves them.
    let lines: String = codes.iter().map(|code| format!("{}%0A", encoded(code.expose()))).collect();
    let body = format!(
        "<p class=\"done\">{done}</p><p>Keep these recovery codes where your phone is not. Each opens one login in place of the \
         six digits. <b>They are shown now and never again.</b></p><ul class=\"codes\" id=\"codes\">{list}</ul><div class=\"answers\">\
         <button type=\"button\" class=\"quiet\" data-copy=\"codes\" hidden>Copy</button>\
         <a class=\"button\" download=\"countersign-recovery-codes.txt\" href=\"data:text/plain;charset=utf-8,{lines}\">Download</a></div>\
         <a class=\"button main after\" href=\"{}\">I have kept them</a><script src=\"/pages.js\"></script>",
        text(next)
    );
    page_with_policy(StatusCode::OK, small("Recovery codes", &body), POLICY)
}

fn enrol_page(shown: &Shown, next: &str, failed: &str) -> String {
    let parts = enrol_parts(shown, "/login/enrol", &hidden("next", next), failed);
    small("Set up a second factor", &format!("<p>Your role needs a second factor besides the password.</p>{parts}"))
}

async fn ask_enrol(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let form = Form::of_query(&request);
    let next = next(form.get("next")).to_owned();
    let ticket = cookie(request.headers(), TICKET_COOKIE).unwrap_or("").to_owned();
    match way_in::enrolment(&app, &ticket).await {
        Ok(shown) => Ok(page(StatusCode::OK, enrol_page(&shown, &next, ""))),
        Err(NotIn::Refused(refused)) => Err(refused),
        Err(_) => Ok(begin_again(&next)),
    }
}

async fn enter_enrol(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let (origin, ticket) = (origin_of(&request), cookie(request.headers(), TICKET_COOKIE).unwrap_or("").to_owned());
    let known = device_of(&request);
    let form = Form::of_body(request).await;
    let next = next(form.get("next"));
    match way_in::enrol(&app, &ticket, form.get("code"), &origin).await {
        Ok((session, codes)) => {
            let cookies = signed_in(&app, &session, &known);
            Ok(with_cookies(recovery_page(&codes, "The second factor is set up.", next), &cookies))
        }
        Err(NotIn::Over) => Ok(begin_again(next)),
        Err(not_in) => {
            let (status, said) = sentence(&not_in, "This code is wrong. Is the clock of the phone right?");
            match way_in::enrolment(&app, &ticket).await {
                Ok(shown) => Ok(failed_page(&not_in, status, enrol_page(&shown, next, &said))),
                Err(_) => Ok(begin_again(next)),
            }
        }
    }
}

/// Whether `named`, a request's host and port, is that of a base address.
fn is_same_origin(base: &str, named: &str) -> bool {
    let read = |text: &str| reqwest::Url::parse(text).map(|url| url.origin()).ok();
    read(base).is_some_and(|origin| read(&format!("https://{named}")) == Some(origin))
}

async fn to_provider(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let form = Form::of_query(&request);
    let next = next(form.get("next")).to_owned();
    let base = public_url(&app);
    // The provider answers at the address of the settings, and the cookie that binds its answer belongs to that host: a browser at
    // another one goes there first. Once only, since behind a proxy this server may be called by another name.
    if !form.has("moved") && authority(&request).is_none_or(|named| !is_same_origin(&base, &named)) {
        return Ok(see(&format!("{base}/login/provider?moved=1&next={}", encoded(&next)), &[]));
    }
    match oidc::begin(&app, &format!("{base}/login/provider/answer"), &next, &origin_of(&request)).await {
        // The cookie holds 256 random bits that only this browser has.
        Ok((place, text)) => {
            Ok(see(&place, &[format!("{PROVIDER_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600", text.expose())]))
        }
        Err(not_in) => {
            let (status, said) = sentence(&not_in, "");
            Ok(failed_page(&not_in, status, login_form(&app, "", &next, &said)))
        }
    }
}

async fn from_provider(State(app): State<Arc<App>>, request: Request) -> Response {
    let (origin, bound) = (origin_of(&request), cookie(request.headers(), PROVIDER_COOKIE).unwrap_or("").to_owned());
    let known = device_of(&request);
    let form = Form::of_query(&request);
    let ended = format!("{PROVIDER_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    match oidc::finish(&app, form.get("state"), form.get("code"), form.get("iss"), &bound, &origin).await {
        Ok((Step::In(session), then)) => {
            // A Strict cookie is not sent along a redirect that another site began: a page of ours takes the next step instead.
            let then = next(&then);
            let body = format!("<p>You are signed in.</p><a class=\"button\" href=\"{}\">Continue</a>", super::pages_kit::text(then));
            let html = small("Signed in", &body);
            let refresh = format!("<meta http-equiv=\"refresh\" content=\"0;url={}\"></head>", super::pages_kit::text(then));
            let html = html.replacen("</head>", &refresh, 1);
            let cookies = [signed_in(&app, &session, &known), vec![ended]].concat();
            with_cookies(page(StatusCode::OK, html), &cookies)
        }
        Ok(_) => begin_again("/"),
        Err(not_in) => {
            let (status, said) = sentence(
                &not_in,
                "There is no user here for the account that you used there, or its mail address is not verified there. Ask an admin for an invitation.",
            );
            with_cookies(failed_page(&not_in, status, login_form(&app, "", "/", &said)), &[ended])
        }
    }
}

fn dead_invitation() -> Response {
    let body = "<p>It was used before, is older than seven days, or a newer one was made.</p><p>Ask whoever invited you for a new one: \
                <code>countersign user resend-invite --user-email YOU</code>.</p><p><a href=\"/login\">Sign in</a></p>";
    page(StatusCode::FORBIDDEN, small("This invitation is over", body))
}

fn invitation_form(email: &str, code: &str, failed: &str) -> String {
    let body = format!(
        "{}<p>You are invited as <b><bdi>{}</bdi></b>. Choose a password.</p>\
         <form method=\"post\" action=\"/invitation\"><input type=\"hidden\" name=\"email\" autocomplete=\"username\" value=\"{}\">{}{}<p class=\"hint\">At \
         least 12 characters; a few words in a row are good.</p>{}<button class=\"wide\">Set the password</button></form>",
        alert(failed),
        text(email),
        text(email),
        hidden("code", code),
        field("Password", "password", "password", "", "required autofocus minlength=\"12\" autocomplete=\"new-password\""),
        field("The same again", "again", "password", "", "required minlength=\"12\" autocomplete=\"new-password\""),
    );
    small("Welcome", &body)
}

async fn ask_invitation(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let form = Form::of_query(&request);
    Ok(match invite::whose(&app, form.get("code")).await? {
        Some(user) => page(StatusCode::OK, invitation_form(&user.email, form.get("code"), "")),
        None => dead_invitation(),
    })
}

async fn enter_invitation(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let (origin, known) = (origin_of(&request), device_of(&request));
    let form = Form::of_body(request).await;
    let result = match form.get("password") == form.get("again") {
        true => invite::accept(&app, form.get("code"), secret(&form, "password"), &origin).await,
        false => Err(NotIn::Rule("The two passwords differ.".to_owned())),
    };
    match result {
        Ok(step) => Ok(go_on(&app, &step, "/", &known)),
        Err(NotIn::Over) => Ok(dead_invitation()),
        Err(not_in) => match invite::whose(&app, form.get("code")).await? {
            Some(user) => {
                let (status, said) = sentence(&not_in, "");
                Ok(failed_page(&not_in, status, invitation_form(&user.email, form.get("code"), &said)))
            }
            None => Ok(dead_invitation()),
        },
    }
}
