//! `/security`: one's own password, second factor and sessions.

use super::pages_kit::{
    Form, alert, encoded, field, foreign_form, hidden, is_own_form, origin_of, page, see, shell, small, text, top, who,
};
use super::pages_login::{enrol_parts, failed_page, recovery_page, secret, sentence};
use super::pages_overview::moment;
use crate::app::App;
use crate::error::{AsItIs, Refused};
use crate::login::account::{self, Standing};
use crate::login::sessions;
use crate::login::way_in::NotIn;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/security", get(show))
        .route("/security/password", post(change_password))
        .route("/security/second", post(second))
        .route("/security/sessions", post(end_session))
}

fn to_login() -> Response {
    see(&format!("/login?next={}", encoded("/security")), &[])
}

fn card(title: &str, body: &str) -> String {
    format!("<section class=\"card\"><h2>{}</h2>{body}</section>", text(title))
}

fn password_card(standing: &Standing, failed: &str, done: &str) -> String {
    let old = if standing.has_password {
        field("Current password", "old", "password", "", "required autocomplete=\"current-password\"")
    } else {
        "<p>You have no password yet.</p>".to_owned()
    };
    card(
        "Password",
        &format!(
            "{}{done}<form method=\"post\" action=\"/security/password\">{old}{}<p class=\"hint\">At least 12 characters; a few words in a row are good. \
             Every other session of yours ends.</p>{}<button>Set the password</button></form>",
            alert(failed),
            field("New password", "new", "password", "", "required minlength=\"12\" autocomplete=\"new-password\""),
            field("The same again", "again", "password", "", "required minlength=\"12\" autocomplete=\"new-password\""),
        ),
    )
}

fn factor_card(standing: &Standing, failed: &str) -> String {
    let body = match standing.factor {
        None => {
            let needed = if standing.factor_needed { " Your role needs one at every login by password." } else { "" };
            let again = if standing.has_password {
                field("Current password", "old", "password", "", "required autocomplete=\"current-password\"")
            } else {
                String::new()
            };
            format!(
                "{}<p>None yet.{needed} An authenticator app on your phone shows six digits that a stolen password does not know.</p>\
                 <form method=\"post\" action=\"/security/second\">{again}<button name=\"do\" value=\"begin\">Set up</button></form>",
                alert(failed)
            )
        }
        Some(left) => {
            let codes = if left == 1 { "1 recovery code is".to_owned() } else { format!("{left} recovery codes are") };
            let (remove, soft) = if standing.factor_needed {
                ("", "<p class=\"soft\">Your role needs it, so it cannot be removed.</p>")
            } else {
                (" <button class=\"quiet\" name=\"do\" value=\"remove\">Remove</button>", "")
            };
            format!(
                "{}<p>An authenticator app is set up; {codes} left.</p><form method=\"post\" action=\"/security/second\">{}\
                 <p class=\"hint\">New recovery codes take the place of all that are left, and end your other sessions.</p>\
                 <button class=\"quiet\" name=\"do\" value=\"recovery\">Make new recovery codes</button>{remove}</form>{soft}",
                alert(failed),
                field("Six digits or a recovery code", "code", "text", "", "required autocomplete=\"one-time-code\" maxlength=\"20\"")
            )
        }
    };
    card("Second factor", &body)
}

fn sessions_table(standing: &Standing) -> String {
    let mut rows = String::new();
    for one in &standing.sessions {
        let end = if one.current {
            "<span class=\"state good\">this one</span>".to_owned()
        } else {
            format!(
                "<form method=\"post\" action=\"/security/sessions\">{}<button class=\"quiet\">End</button></form>",
                hidden("id", &one.id)
            )
        };
        let program = if one.program.is_empty() { "unknown" } else { &one.program };
        rows.push_str(&format!(
            "<tr><td><bdi>{}</bdi></td><td data-label=\"Kind\">{}</td><td data-label=\"From\"><code>{}</code></td>\
             <td data-label=\"Began\">{}</td><td data-label=\"Last seen\">{}</td><td>{end}</td></tr>",
            text(program),
            text(&one.kind),
            text(&one.source),
            moment(&one.created_time),
            moment(&one.last_seen_time),
        ));
    }
    format!(
        "<h2 id=\"sessions\">Sessions <small>{}</small></h2><div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Program</th><th>Kind</th><th>From</th><th>Began</th>\
         <th>Last seen</th><th><span class=\"away\">End</span></th></tr></thead><tbody>{rows}</tbody></table></div>",
        standing.sessions.len()
    )
}

struct Said<'s> {
    password: &'s str,
    factor: &'s str,
    done: &'s str,
}

fn render(standing: &Standing, said: &Said<'_>) -> String {
    let provider = standing
        .provider
        .as_ref()
        .map(|issuer| format!("<p class=\"lead\">You also sign in by <code>{}</code>.</p>", text(issuer)))
        .unwrap_or_default();
    let failures = match standing.failures {
        0 => String::new(),
        n => alert(&format!(
            "{n} attempts to log in as you have failed since your last login by password. If they were not yours, change the password."
        )),
    };
    let done = if said.done.is_empty() { String::new() } else { format!("<p class=\"done\" role=\"status\">{}</p>", text(said.done)) };
    let body = format!(
        "<h1>Your login</h1><p class=\"lead\">You are <bdi>{}</bdi>.</p>{provider}{failures}<div class=\"stack spaced\">{}{}</div>{}",
        text(&standing.email),
        password_card(standing, said.password, &done),
        factor_card(standing, said.factor),
        sessions_table(standing),
    );
    shell("Your login – Countersign", &top(&standing.email), &body)
}

const NOTHING: Said<'static> = Said { password: "", factor: "", done: "" };

async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? else { return Ok(to_login()) };
    Ok(page(StatusCode::OK, render(&account::standing(&app, &current).await?, &NOTHING)))
}

async fn change_password(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? else { return Ok(to_login()) };
    let origin = origin_of(&request);
    let form = Form::of_body(request).await;
    let result = match form.get("new") == form.get("again") {
        true => account::change_password(&app, &current, secret(&form, "old"), secret(&form, "new"), &origin).await,
        false => Err(NotIn::Rule("The two new passwords differ.".to_owned())),
    };
    let standing = account::standing(&app, &current).await?;
    match result {
        Ok(()) => {
            Ok(page(StatusCode::OK, render(&standing, &Said { done: "The password is set; every other session has ended.", ..NOTHING })))
        }
        Err(not_in) => {
            let (status, said) = sentence(&not_in, "The current password is wrong.");
            Ok(failed_page(&not_in, status, render(&standing, &Said { password: &said, ..NOTHING })))
        }
    }
}

async fn second(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? else { return Ok(to_login()) };
    let origin = origin_of(&request);
    let form = Form::of_body(request).await;
    let (not_in, wrong) = match form.get("do") {
        "begin" => match account::begin_factor(&app, &current, secret(&form, "old"), &origin).await {
            Ok(shown) => {
                return Ok(page(StatusCode::OK, small("Set up a second factor", &enrol_parts(&shown, "/security/second", "", ""))));
            }
            Err(not_in) => (not_in, "The current password is wrong."),
        },
        "confirm" => match account::confirm_factor(&app, &current, form.get("code"), &origin).await {
            Ok(codes) => return Ok(recovery_page(&codes, "The second factor is set up.", "/security")),
            Err(not_in) => {
                let (status, said) = sentence(&not_in, "This code is wrong. Is the clock of the phone right?");
                if let Some(shown) = account::waiting_factor(&app, &current).await? {
                    let parts = enrol_parts(&shown, "/security/second", "", &said);
                    return Ok(failed_page(&not_in, status, small("Set up a second factor", &parts)));
                }
                (not_in, "")
            }
        },
        "recovery" => match account::renew_recovery_codes(&app, &current, form.get("code"), &origin).await {
            Ok(codes) => {
                let done = "New recovery codes are made; those of before open nothing any more, and your other sessions have ended.";
                return Ok(recovery_page(&codes, done, "/security"));
            }
            Err(not_in) => (not_in, "This code is wrong, or was used before."),
        },
        "remove" if !account::standing(&app, &current).await?.factor_needed => {
            match account::remove_factor(&app, &current, form.get("code"), &origin).await {
                Ok(()) => return Ok(see("/security", &[])),
                Err(not_in) => (not_in, "This code is wrong, or was used before."),
            }
        }
        _ => (NotIn::Over, ""),
    };
    let (status, said) = sentence(&not_in, wrong);
    let standing = account::standing(&app, &current).await?;
    Ok(failed_page(&not_in, status, render(&standing, &Said { factor: &said, ..NOTHING })))
}

async fn end_session(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? else { return Ok(to_login()) };
    let form = Form::of_body(request).await;
    match sessions::end(&app, &current.caller, form.get("id")).await {
        Ok(_) => Ok(see("/security#sessions", &[])),
        // It ended in the meantime: what was wanted is so.
        Err(refused) if refused.code == "not_found" => Ok(see("/security#sessions", &[])),
        Err(refused) => {
            let mut response = page(StatusCode::FORBIDDEN, small("Not ended", &alert(&format!("{}.", refused.detail))));
            response.extensions_mut().insert(AsItIs);
            Ok(response)
        }
    }
}
