//! The text of the pages: what a session may see, read through the use cases that the API uses, and written as HTML. It decides
//! nothing, and lets no text of anybody's through unescaped.

use super::pages_kit::{hidden, shell, small, text, top};
use crate::app::caller::Caller;
use crate::app::{App, accounts, api_keys, applications, audit, certificates, gateways, namespaces, service_accounts, users};
use crate::error::Refused;
use countersign_core::authz::Actor;
use countersign_proto::rest::{ApiKeyQuery, CertificateQuery, NamespaceQuery, PageQuery, UserQuery};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Audit entries shown.
const AUDIT_SHOWN: usize = 20;

/// `/` without a session.
pub fn signed_out() -> String {
    small(
        "Signed out",
        "<p>This is the control plane: it makes and ends the API keys and client certificates that its gateways let in.</p>\
         <a class=\"button main\" href=\"/login\">Sign in</a>\
         <p class=\"hint after\">On your own machine <code>countersign dev</code> writes a one-time address to <code>dev.env</code> as \
         <code>COUNTERSIGN_LOGIN</code> at every start. To change something, use <code>countersign --help</code>, or \
         <a href=\"/api/docs\">the REST API</a>.</p>",
    )
}

/// The login page of a good code, which is hexadecimal.
pub fn ask(code: &str, next: &str) -> String {
    let body = format!(
        "<p>This address opens one session in this browser. It ends after 30 minutes without use, and after 8 hours.</p>\
         <form method=\"post\" action=\"/login\">{}{}<button>Sign in</button></form>",
        hidden("code", code),
        hidden("next", next),
    );
    small("Sign in", &body)
}

/// A code that opens nothing.
pub fn dead_code() -> String {
    small(
        "This address does not sign in",
        "<p>Its code is unknown, was used before, or is older than 15 minutes.</p><p>Restart <code>countersign dev</code>, and open the \
         new <code>COUNTERSIGN_LOGIN</code> in its <code>dev.env</code>.</p>",
    )
}

/// A table with its heading, or what to do when there is nothing, or why it cannot be seen.
struct Section<'a> {
    id: &'a str,
    title: &'a str,
    heads: &'a [&'a str],
    /// What fills it, as HTML.
    empty: &'a str,
    /// The command that lists all.
    more: &'a str,
}

impl Section<'_> {
    fn write(&self, out: &mut String, rows: Result<(Vec<Vec<String>>, bool), Refused>) -> Result<(), Refused> {
        let (rows, more) = match rows {
            Ok(found) => found,
            Err(refused) if refused.status == 403 || refused.status == 404 => {
                let _ = write!(
                    out,
                    "<section id=\"{}\"><h2>{}</h2><p class=\"none\">Your rights do not show this.</p></section>",
                    self.id, self.title
                );
                return Ok(());
            }
            Err(refused) => return Err(refused),
        };
        let count = if rows.is_empty() { String::new() } else { format!(" <small>{}{}</small>", rows.len(), if more { "+" } else { "" }) };
        let _ = write!(out, "<section id=\"{}\"><h2>{}{count}</h2>", self.id, self.title);
        if rows.is_empty() {
            let _ = write!(out, "<p class=\"none\">{}</p></section>", self.empty);
            return Ok(());
        }
        let _ = write!(
            out,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table class=\"cards\"><thead><tr>",
            self.title
        );
        for head in self.heads {
            let _ = write!(out, "<th scope=\"col\">{head}</th>");
        }
        out.push_str("</tr></thead><tbody>");
        for row in rows {
            out.push_str("<tr>");
            for (i, cell) in row.into_iter().enumerate() {
                // The first column names the thing; the others say what they are when a row is read downwards.
                let label = self.heads.get(i).filter(|_| i > 0).map(|head| format!(" data-label=\"{head}\"")).unwrap_or_default();
                let _ = write!(out, "<td{label}>{cell}</td>");
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div>");
        if more {
            let _ = write!(out, "<p class=\"none\">There are more: <code>{}</code></p>", self.more);
        }
        out.push_str("</section>");
        Ok(())
    }
}

fn plain(given: &str) -> String {
    format!("<bdi>{}</bdi>", text(given))
}

fn code(given: &str) -> String {
    format!("<code>{}</code>", text(given))
}

/// A name with its id below.
fn named(name: &str, id: &str) -> String {
    if name.is_empty() || name == id { code(id) } else { format!("<bdi>{}</bdi><br><code class=\"soft\">{}</code>", text(name), text(id)) }
}

/// A moment to the minute; the API says it exactly.
pub(super) fn moment(given: &str) -> String {
    match (given.get(..10), given.get(11..16)) {
        (Some(day), Some(time)) => format!("<time datetime=\"{}\">{} {}</time>", text(given), text(day), text(time)),
        _ => text(given),
    }
}

fn state(given: &str) -> String {
    let kind = match given {
        "enabled" | "active" | "ok" => "good",
        "expired" | "disabled" => "quiet",
        _ => "bad",
    };
    format!("<span class=\"state {kind}\">{}</span>", text(given))
}

/// An auth method in words.
fn auth_method(given: &str) -> &str {
    match given {
        "api_key" => "API key",
        "mtls" => "certificate",
        "api_key_or_mtls" => "API key or certificate",
        other => other,
    }
}

fn last_used(usage: &countersign_proto::rest::UsageBody) -> String {
    usage.last_used_time.as_deref().map_or_else(|| "<span class=\"soft\">never</span>".to_owned(), moment)
}

/// The overview: everything that this identity may see, the first page of each.
///
/// # Errors
/// When the store fails, or the identity ended in the meantime.
pub async fn render(app: &App, caller: &Caller, actor: &Actor) -> Result<String, Refused> {
    let me = accounts::current_identity(app, caller).await?;
    let all = PageQuery::default();
    let machines = service_accounts::list(app, actor, &all).await;
    let mut names: HashMap<String, String> = HashMap::from([(me.id.clone(), me.name.clone())]);
    if let Ok(found) = users::list(app, actor, &UserQuery::default()).await {
        names.extend(found.items.into_iter().map(|user| (user.id, user.email)));
    }
    if let Ok(found) = &machines {
        names.extend(found.items.iter().map(|machine| (machine.id.clone(), machine.name.clone())));
    }
    if let Ok(found) = applications::list(app, actor, &all).await {
        for one in found.items {
            names.insert(one.sandbox.id, format!("{} (sandbox)", one.name));
            names.insert(one.production.id, format!("{} (production)", one.name));
        }
    }
    let owner = |id: &str| plain(names.get(id).map_or(id, String::as_str));
    let top = top(&me.name);
    let mut out = format!(
        "<h1>Overview</h1><p class=\"lead\">Account <code>{}</code>. You are <bdi>{}</bdi>, account role <b>{}</b>. This page only shows; \
         changes are made with <code>countersign</code> or <a href=\"/api/docs\">the REST API</a>. Times are UTC.</p>",
        text(app.account_id()),
        text(&me.name),
        text(&me.access.account_role)
    );

    let found = namespaces::list(app, actor, &NamespaceQuery::default()).await;
    let rows = found.map(|page| {
        let row = |ns: countersign_proto::rest::NamespaceBody| {
            vec![
                code(&ns.namespace),
                code(&ns.endpoint),
                plain(auth_method(&ns.auth_method)),
                ns.accepted_client_cas.len().to_string(),
                ns.certificate_filters.len().to_string(),
                ns.apis.len().to_string(),
            ]
        };
        (page.items.into_iter().map(row).collect(), !page.next_page_token.is_empty())
    });
    Section {
        id: "namespaces",
        title: "Namespaces",
        heads: &["Namespace", "Endpoint", "Auth method", "CAs", "Filters", "APIs"],
        empty: "None yet: <code>countersign namespace create --namespace orders --upstream http://127.0.0.1:9000 --auth-method api_key</code>",
        more: "countersign namespace list",
    }
    .write(&mut out, rows)?;

    let found = api_keys::list(app, actor, &ApiKeyQuery::default()).await;
    let rows = found.map(|page| {
        let row = |key: countersign_proto::rest::ApiKeyBody| {
            vec![named(&key.name, &key.id), state(&key.state), owner(&key.owner_id), moment(&key.expiry_time), last_used(&key.usage)]
        };
        (page.items.into_iter().map(row).collect(), !page.next_page_token.is_empty())
    });
    Section {
        id: "api-keys",
        title: "API keys",
        heads: &["Key", "State", "Owner", "Ends", "Last used"],
        empty: "None yet: <code>countersign apikey create --name first --duration 30d</code>",
        more: "countersign apikey list",
    }
    .write(&mut out, rows)?;

    let found = certificates::list(app, actor, &CertificateQuery::default()).await;
    let rows = found.map(|page| {
        let row = |one: countersign_proto::rest::CertificateBody| {
            vec![named(&one.alias, &one.id), state(&one.state), owner(&one.owner_id), moment(&one.not_after), last_used(&one.usage)]
        };
        (page.items.into_iter().map(row).collect(), !page.next_page_token.is_empty())
    });
    Section {
        id: "certificates",
        title: "Registered certificates",
        heads: &["Certificate", "State", "Owner", "Ends", "Last used"],
        empty: "None yet: <code>countersign key create --certificate client.pem</code>",
        more: "countersign certificate list",
    }
    .write(&mut out, rows)?;

    let rows = machines.map(|page| {
        let row = |one: countersign_proto::rest::ServiceAccountBody| {
            let mut rights: Vec<String> = Vec::new();
            if one.namespace_scope.is_none() {
                rights.push(plain(&one.access.account_role));
            }
            rights.extend(one.access.namespace_permissions.iter().map(|(ns, may)| format!("{} {}", code(ns), text(may))));
            vec![named(&one.name, &one.id), rights.join("<br>"), moment(&one.created_time)]
        };
        (page.items.into_iter().map(row).collect(), !page.next_page_token.is_empty())
    });
    Section {
        id: "service-accounts",
        title: "Service accounts",
        heads: &["Service account", "Rights", "Made"],
        empty: "None yet: <code>countersign service-account create --name robot --account-role read</code>",
        more: "countersign service-account list",
    }
    .write(&mut out, rows)?;

    let rows = gateways::list(app, actor).map(|page| {
        let row = |one: countersign_proto::rest::GatewayBody| {
            vec![plain(&one.name), code(&one.address), one.revision.to_string(), one.connections.to_string(), one.streams.to_string()]
        };
        (page.items.into_iter().map(row).collect(), false)
    });
    Section {
        id: "gateways",
        title: "Gateways",
        heads: &["Gateway", "Address", "Revision", "Connections", "Streams"],
        empty: "None is connected: <code>countersign serve --config FILE</code> starts one beside the control plane.",
        more: "countersign gateway list",
    }
    .write(&mut out, rows)?;

    let rows = audit::newest(app, actor, AUDIT_SHOWN).await.map(|entries| {
        let row = |one: countersign_proto::rest::AuditEntry| {
            let what = if one.object_id.is_empty() {
                plain(&one.object_kind)
            } else {
                format!("{} {}", text(&one.object_kind), code(&one.object_id))
            };
            let who = if one.actor_name.is_empty() { plain(&one.actor_id) } else { plain(&one.actor_name) };
            vec![moment(&one.time), who, plain(&one.action), what, state(&one.result)]
        };
        (entries.into_iter().map(row).collect(), false)
    });
    Section {
        id: "audit",
        title: "Latest in the audit trail",
        heads: &["When", "Who", "Action", "On", "Result"],
        empty: "Nothing yet: every change leaves an entry here.",
        more: "countersign audit list",
    }
    .write(&mut out, rows)?;
    Ok(shell("Overview – Countersign", &top, &out))
}
