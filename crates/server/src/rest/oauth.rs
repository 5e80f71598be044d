//! `/oauth/…` for tools and `/device` for their users, over HTTP. The rules are in `crate::oauth`.

use super::pages_kit::{
    Form, PAGE_POLICY, alert, encoded, field, foreign_form, hidden, is_own_form, origin_of, page, page_with_policy, public_url, see, shell,
    small, text, top, who,
};
use crate::app::App;
use crate::error::{AsItIs, Refused};
use crate::login::session::{self, ACCESS_LIFE, Current, Tokens};
use crate::oauth::{self, DEVICE_LIFE, OauthError, POLL_SECONDS};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/oauth/device/code", post(start))
        .route("/oauth/token", post(token))
        .route("/oauth/revoke", post(revoke))
        .route("/oauth/authorize", get(ask_client).post(answer_client))
        // Where `temporal cloud login` looks for it.
        .route("/authorize", get(ask_client).post(answer_client))
        .route("/device", get(ask_device).post(answer_device))
        .route("/.well-known/oauth-authorization-server", get(describe))
}

/// RFC 8414.
async fn describe(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    let base = public_url(&app);
    Ok(Json(json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/oauth/authorize"),
        "token_endpoint": format!("{base}/oauth/token"),
        "device_authorization_endpoint": format!("{base}/oauth/device/code"),
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_GRANT],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response())
}

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn refused(error: &OauthError) -> Response {
    let body = json!({"error": error.error, "error_description": error.description});
    let mut response = (StatusCode::BAD_REQUEST, Json(body)).into_response();
    response.extensions_mut().insert(AsItIs);
    response
}

async fn start(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (base, origin) = (public_url(&app), origin_of(&request));
    let form = Form::of_body(request).await;
    let started = match oauth::start_device(&app, form.get("client_id"), origin) {
        Ok(started) => started,
        Err(error) => return Ok(refused(&error)),
    };
    let code = &started.user_code;
    Ok(Json(json!({
        // Shown once, to the device that asked.
        "device_code": started.device_code.expose(),
        "user_code": code,
        "verification_uri": format!("{base}/device"),
        "verification_uri_complete": format!("{base}/device?user_code={code}"),
        "expires_in": DEVICE_LIFE.seconds(),
        "interval": POLL_SECONDS,
    }))
    .into_response())
}

async fn token(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let origin = origin_of(&request);
    let form = Form::of_body(request).await;
    let invalid = |description| Err(Ok(OauthError { error: "invalid_grant", description }));
    let tokens = match form.get("grant_type") {
        DEVICE_GRANT => oauth::poll_device(&app, form.get("client_id"), form.get("device_code")).await,
        "refresh_token" => match session::renew(&app, form.get("refresh_token"), form.get("client_id"), &origin).await {
            Ok(Some(tokens)) => Ok(tokens),
            Ok(None) => invalid(
                "the refresh token renews nothing: its login has ended, or it was used before, or is another client's; log in again",
            ),
            Err(error) => Err(Err(error)),
        },
        "authorization_code" => {
            let (client, code) = (form.get("client_id"), form.get("code"));
            oauth::redeem(&app, client, code, form.get("redirect_uri"), form.get("code_verifier"), &origin).await
        }
        _ => Err(Ok(OauthError {
            error: "unsupported_grant_type",
            description: "grant_type is a device code's, refresh_token or authorization_code, in a form",
        })),
    };
    match tokens {
        Ok(tokens) => Ok(issued(&tokens)),
        Err(Ok(error)) => Ok(refused(&error)),
        Err(Err(error)) => Err(error),
    }
}

/// The one place where a tool's tokens are shown.
fn issued(tokens: &Tokens) -> Response {
    Json(json!({
        "access_token": tokens.access.expose(),
        "refresh_token": tokens.refresh.expose(),
        "token_type": "Bearer",
        "expires_in": ACCESS_LIFE.seconds(),
        "scope": "openid profile user offline_access",
    }))
    .into_response()
}

/// RFC 7009: 200 whatever the token was.
async fn revoke(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let origin = origin_of(&request);
    let form = Form::of_body(request).await;
    session::revoke(&app, form.get("token"), &origin).await?;
    Ok(Json(json!({})).into_response())
}

fn to_login(next: &str) -> Response {
    see(&format!("/login?next={}", encoded(next)), &[])
}

async fn name_of(app: &App, current: &Current) -> Result<String, Refused> {
    Ok(app.store.read().await?.user(&current.row.user).await?.map(|user| user.email).unwrap_or_default())
}

async fn ask_device(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let form = Form::of_query(&request);
    let code = oauth::read_code(form.get("user_code"));
    let origin_of_current = origin_of(&request);
    let Some(current) = who(&app, request.headers(), &origin_of_current).await? else {
        let shown = code.map(|code| format!("?user_code={}", oauth::shown_code(&code))).unwrap_or_default();
        return Ok(to_login(&format!("/device{shown}")));
    };
    let name = name_of(&app, &current).await?;
    if !form.has("user_code") {
        return Ok(page(StatusCode::OK, code_form(&name, "")));
    }
    let Some(code) = code else { return Ok(page(StatusCode::FORBIDDEN, code_form(&name, DEAD))) };
    let (client, asked) = match oauth::look_up(&app, &current.row.user, &code, &origin_of_current) {
        Err(wait) => return Ok(page(StatusCode::TOO_MANY_REQUESTS, code_form(&name, &wait.sentence()))),
        Ok(None) => return Ok(page(StatusCode::FORBIDDEN, code_form(&name, DEAD))),
        Ok(Some((_, client, asked))) => (client, asked),
    };
    let here = if asked.source == current.caller.source { " – the address you are at" } else { "" };
    let body = format!(
        "<p>A program asks to act as you, <b><bdi>{}</bdi></b>, with all your rights, until you end its session.</p>\
         <p class=\"code\">{}</p><p>Go on only if the program shows <b>this very code</b>, and you started it yourself just now.</p>\
         <dl><dt>Program</dt><dd><bdi>{}</bdi></dd><dt>It says of itself</dt><dd><bdi>{}</bdi></dd><dt>Asks from</dt><dd><code>{}</code>{here}</dd></dl>\
         <form method=\"post\" action=\"/device\" class=\"answers\">{}<button name=\"answer\" value=\"yes\">Let it in</button>\
         <button name=\"answer\" value=\"no\" class=\"quiet\">Refuse</button></form>",
        text(&name),
        text(&oauth::shown_code(&code)),
        text(&oauth::shown_client(&client)),
        text(if asked.agent.is_empty() { "nothing" } else { &asked.agent }),
        text(&asked.source),
        hidden("user_code", &code),
    );
    Ok(page(StatusCode::OK, framed("Let a program in?", &name, &body)))
}

const DEAD: &str = "No program waits with this code. It may be mistyped, answered, or older than ten minutes; start the login again.";

fn framed(title: &str, name: &str, body: &str) -> String {
    shell(&format!("{title} – Countersign"), &top(name), &format!("<div class=\"card\"><h1>{}</h1>{body}</div>", text(title)))
}

fn code_form(name: &str, failed: &str) -> String {
    let body = format!(
        "{}<p>Type the code that the program shows you.</p><form method=\"get\" action=\"/device\">{}<button>Continue</button></form>",
        alert(failed),
        field(
            "Code",
            "user_code",
            "text",
            "",
            "required autofocus autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" placeholder=\"BCDF-GHJK\" maxlength=\"20\""
        )
    );
    framed("Connect a program", name, &body)
}

async fn answer_device(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? else { return Ok(to_login("/device")) };
    let origin = origin_of(&request);
    let form = Form::of_body(request).await;
    let yes = form.get("answer") == "yes";
    let name = name_of(&app, &current).await?;
    let code = oauth::read_code(form.get("user_code")).unwrap_or_default();
    match oauth::answer_device(&app, &current, &code, yes, &origin).await? {
        Err(wait) => return Ok(page(StatusCode::TOO_MANY_REQUESTS, code_form(&name, &wait.sentence()))),
        Ok(false) => return Ok(page(StatusCode::FORBIDDEN, code_form(&name, DEAD))),
        Ok(true) => {}
    }
    let body = if yes {
        "<p>The program goes on within some seconds. You can close this page.</p><p>Its session is among <a href=\"/security\">yours</a>, where you can end it.</p>"
    } else {
        "<p>The program was refused and got nothing. You can close this page.</p>"
    };
    Ok(page(StatusCode::OK, framed(if yes { "The program is let in" } else { "Refused" }, &name, body)))
}

/// What a client asks for, checked; else what is wrong, for a person: a redirect that is not checked is never followed.
struct Wanted {
    client: String,
    redirect: String,
    challenge: String,
    state: String,
}

fn wanted(form: &Form) -> Result<Wanted, &'static str> {
    let (client, redirect) = (form.get("client_id").to_owned(), form.get("redirect_uri").to_owned());
    let (challenge, state) = (form.get("code_challenge").to_owned(), form.get("state").to_owned());
    if !oauth::is_client(&client) {
        return Err("The program did not say who it is (client_id).");
    }
    if !oauth::is_loopback(&redirect) {
        return Err("The program wants to be answered at an address that is not on your own machine (redirect_uri).");
    }
    if form.get("response_type") != "code" {
        return Err("The program asks for something else than a code (response_type=code).");
    }
    if form.get("code_challenge_method") != "S256" || !oauth::is_challenge(&challenge) {
        return Err("The program does not protect its login (code_challenge with S256, RFC 7636).");
    }
    if state.len() > 500 {
        return Err("The program's state is longer than 500 characters.");
    }
    Ok(Wanted { client, redirect, challenge, state })
}

impl Wanted {
    /// Back to the program.
    fn back(&self, base: &str, answer: (&str, &str)) -> String {
        let joint = if self.redirect.contains('?') { '&' } else { '?' };
        let state = if self.state.is_empty() { String::new() } else { format!("&state={}", encoded(&self.state)) };
        format!("{}{joint}{}={}{state}&iss={}", self.redirect, answer.0, encoded(answer.1), encoded(base))
    }

    /// The redirect's origin, for the page's policy: a form's target includes where it is redirected to.
    fn policy(&self) -> String {
        let origin = reqwest::Url::parse(&self.redirect).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        PAGE_POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"))
    }
}

fn unusable(why: &str) -> Response {
    page(
        StatusCode::BAD_REQUEST,
        small("This login cannot go on", &format!("{}<p>Close this page and start the login again.</p>", alert(why))),
    )
    .into_response()
}

fn as_it_is(mut response: Response) -> Response {
    response.extensions_mut().insert(AsItIs);
    response
}

async fn ask_client(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let wanted = match wanted(&Form::of_query(&request)) {
        Ok(wanted) => wanted,
        Err(why) => return Ok(as_it_is(unusable(why))),
    };
    let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? else {
        return Ok(to_login(&format!("/oauth/authorize?{}", request.uri().query().unwrap_or(""))));
    };
    let name = name_of(&app, &current).await?;
    let body = format!(
        "<p>A program on this machine asks to act as you, <b><bdi>{}</bdi></b>, with all your rights, until you end its session.</p>\
         <p>Go on only if you started it yourself just now.</p>\
         <dl><dt>Program</dt><dd><bdi>{}</bdi></dd><dt>Answered at</dt><dd><code>{}</code></dd></dl>\
         <form method=\"post\" action=\"/oauth/authorize\" class=\"answers\">{}{}{}{}{}{}<button name=\"answer\" value=\"yes\">Let it in</button>\
         <button name=\"answer\" value=\"no\" class=\"quiet\">Refuse</button></form>",
        text(&name),
        text(&oauth::shown_client(&wanted.client)),
        text(&wanted.redirect),
        hidden("client_id", &wanted.client),
        hidden("redirect_uri", &wanted.redirect),
        hidden("response_type", "code"),
        hidden("code_challenge", &wanted.challenge),
        hidden("code_challenge_method", "S256"),
        hidden("state", &wanted.state),
    );
    Ok(page_with_policy(StatusCode::OK, framed("Let a program in?", &name, &body), &wanted.policy()))
}

async fn answer_client(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let (current, origin, base) = (who(&app, request.headers(), &origin_of(&request)).await?, origin_of(&request), public_url(&app));
    let form = Form::of_body(request).await;
    let wanted = match wanted(&form) {
        Ok(wanted) => wanted,
        Err(why) => return Ok(as_it_is(unusable(why))),
    };
    let Some(current) = current else { return Ok(to_login("/")) };
    if form.get("answer") != "yes" {
        return Ok(see(&wanted.back(&base, ("error", "access_denied")), &[]));
    }
    let code = oauth::grant(&app, &current, &wanted.client, &wanted.redirect, &wanted.challenge, &origin).await?;
    // The code goes to the program on the user's own machine; without the verifier it opens nothing.
    Ok(see(&wanted.back(&base, ("code", code.expose())), &[]))
}
