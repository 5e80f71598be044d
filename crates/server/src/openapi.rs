//! The OpenAPI 3.1 document, made from the same tables as the router, and the page to read it. Nothing is described by hand twice.

use crate::error::Refused;
use crate::patterns;
use crate::rest::table::{Answer, Entry};
use crate::rest::{PREFIX, open_table, table};
use countersign_proto::problem::Problem;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::OnceLock;
use utoipa::{PartialSchema as _, ToSchema as _};

/// The document as JSON text; made once.
pub fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| build(&table(), &open_table()).to_string())
}

/// The page at `/api/docs`; made once.
pub fn page() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| render(&table().into_iter().chain(open_table()).collect::<Vec<_>>()))
}

/// The styles of the pages.
pub const STYLES: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#fff;--code:#f3f5f7;--mark:#0b62c4}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4ae;--line:#30363d;--paper:#0d1117;--code:#161b22;--mark:#58a6ff}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);\
font:16px/1.55 system-ui,sans-serif}h1{font-size:1.7rem;margin:0 0 .5rem}h2{margin:2.5rem 0 .5rem;font-size:1.2rem;\
border-bottom:1px solid var(--line);padding-bottom:.3rem}a{color:var(--mark)}code{font:.9em ui-monospace,monospace;background:var(--code);\
padding:.1em .35em;border-radius:4px}p,dd,td{color:var(--soft)}section{margin:.9rem 0}h3{font:600 1rem/1.5 ui-monospace,monospace;margin:0;\
overflow-wrap:anywhere}h3 b{display:inline-block;min-width:4.2rem;color:var(--mark)}section p{margin:.1rem 0 0 4.2rem}table{border-collapse:collapse;\
width:100%}td,th{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}\
@media(max-width:40rem){section p{margin-left:0}table{display:block;overflow-x:auto}}";

/// Whether a body may be left out: none of its members is required.
fn is_optional(entry: &Entry, request: &str) -> bool {
    let schema = entry.schemas.iter().find(|(name, _)| name == request).and_then(|(_, schema)| serde_json::to_value(schema).ok());
    schema.is_some_and(|schema| schema["required"].as_array().is_none_or(Vec::is_empty))
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn content(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn build(closed: &[Entry], open: &[Entry]) -> Value {
    let mut schemas = Map::new();
    let mut problem = vec![("Problem".to_owned(), Problem::schema())];
    Problem::schemas(&mut problem);
    for (name, schema) in closed.iter().chain(open).flat_map(|entry| entry.schemas.iter()).chain(&problem) {
        if let Ok(schema) = serde_json::to_value(schema) {
            schemas.insert(name.clone(), schema);
        }
    }
    patterns::constrain(&mut schemas);
    let mut paths: Map<String, Value> = Map::new();
    for (entry, is_open) in closed.iter().map(|entry| (entry, false)).chain(open.iter().map(|entry| (entry, true))) {
        let schema = match &entry.answer {
            Answer::One(name) => reference(name),
            Answer::PageOf(name) => {
                let page = format!("PageOf{name}");
                schemas.entry(page.clone()).or_insert_with(|| {
                    json!({
                        "type": "object",
                        "description": "A page of a list, ascending by id.",
                        "required": ["items", "nextPageToken"],
                        "properties": {
                            "items": {"type": "array", "items": reference(name)},
                            "nextPageToken": {"type": "string", "description": "For the next page; empty at the end."}
                        }
                    })
                });
                reference(&page)
            }
        };
        let mut operation = operation(entry, schema);
        if is_open && let Some(members) = operation.as_object_mut() {
            members.insert("security".to_owned(), json!([]));
            members.insert("parameters".to_owned(), json!([]));
        }
        let methods = paths.entry(format!("{PREFIX}{}", entry.path)).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(entry.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Countersign",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Credentials, and the doors they open. Every error is a problem document (RFC 9457) with a stable `code`. A change answers with its operation and the gateways' receipt; the same operation id (`Idempotency-Key`) is the same operation."
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key, `csk_…`."}},
            "responses": {
                "Problem": {
                    "description": "Refused: what happened, by which rule, and what to do.",
                    "content": {"application/problem+json": {"schema": reference("Problem")}}
                }
            }
        }
    })
}

fn operation(entry: &Entry, schema: Value) -> Value {
    let mut parameters: Vec<Value> = entry
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": patterns::parameter(name)}))
        .collect();
    parameters.extend(entry.query.iter().filter_map(|parameter| serde_json::to_value(parameter).ok()));
    if entry.changes() {
        let text = json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9._:-]+$"});
        parameters.push(json!({"name": "Idempotency-Key", "in": "header", "required": false, "schema": text,
            "description": "The operation's id, chosen by the caller: a repeated one is the same operation."}));
        parameters.push(
            json!({"name": "requestId", "in": "query", "required": false, "schema": text, "description": "The same, as a parameter."}),
        );
    }
    let problem = json!({"$ref": "#/components/responses/Problem"});
    let mut responses = Map::new();
    let (status, text) = if entry.creates { ("201", "Made.") } else { ("200", "Done.") };
    responses.insert(status.to_owned(), json!({"description": text, "content": content(schema)}));
    let mut codes = vec!["400", "401", "403", "404", "503"];
    if entry.changes() {
        codes.extend(["409", "413", "415", "429", "507"]);
    } else if entry.request.is_some() {
        codes.extend(["413", "415"]);
    }
    if entry.path.ends_with("/rotation") {
        // One that nothing takes the place of has no rotation.
        codes.push("409");
    }
    for code in codes {
        responses.insert(code.to_owned(), problem.clone());
    }
    let mut operation = json!({
        "operationId": entry.name,
        "summary": entry.summary,
        "tags": [entry.tag],
        "security": [{"bearer": []}],
        "parameters": parameters,
        "responses": responses,
        "x-countersign-action": entry.action.as_str(),
    });
    if let (Some(name), Some(members)) = (&entry.request, operation.as_object_mut()) {
        members.insert("requestBody".to_owned(), json!({"required": !is_optional(entry, name), "content": content(reference(name))}));
    }
    operation
}

/// Text inside HTML.
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One of the small pages.
pub fn shell(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title>\
         <link rel=\"stylesheet\" href=\"/api/docs.css\">{body}</html>",
        html(title)
    )
}

fn render(entries: &[Entry]) -> String {
    let mut tags: Vec<&str> = Vec::new();
    for entry in entries {
        if !tags.contains(&entry.tag) {
            tags.push(entry.tag);
        }
    }
    let anchor = |tag: &str| tag.to_ascii_lowercase().replace(' ', "-");
    // Writing to a String cannot fail.
    let mut out = String::from("<h1>Countersign REST API</h1>");
    let _ = write!(
        out,
        "<p>All of it is below <code>{PREFIX}</code>, and in machine-readable form at <a href=\"/api/openapi.json\">/api/openapi.json</a> (OpenAPI 3.1). \
         Send an API key: <code>Authorization: Bearer csk_…</code>. A change takes <code>Idempotency-Key</code>; the same one is the same operation.</p><nav>"
    );
    for tag in &tags {
        let _ = write!(out, "<a href=\"#{}\">{}</a>", anchor(tag), html(tag));
    }
    out.push_str("<a href=\"#errors\">Errors</a></nav>");
    for tag in &tags {
        let _ = write!(out, "<h2 id=\"{}\">{}</h2>", anchor(tag), html(tag));
        for entry in entries.iter().filter(|entry| entry.tag == *tag) {
            let _ = write!(
                out,
                "<section><h3><b>{}</b>{}</h3><p>{}.",
                entry.method,
                html(&format!("{PREFIX}{}", entry.path)),
                html(entry.summary)
            );
            if let Some(request) = &entry.request {
                let _ = write!(out, " Takes <code>{}</code>.", html(request));
            }
            let _ = match &entry.answer {
                Answer::One(name) => write!(out, " Answers <code>{}</code>.", html(name)),
                Answer::PageOf(name) => write!(out, " Answers a page of <code>{}</code>.", html(name)),
            };
            if !entry.query.is_empty() {
                let names: Vec<String> = entry.query.iter().map(|p| format!("<code>{}</code>", html(&p.name))).collect();
                let _ = write!(out, " Query: {}.", names.join(", "));
            }
            out.push_str("</p></section>");
        }
    }
    out.push_str("<h2 id=\"errors\">Errors</h2><p>Every refusal is <code>application/problem+json</code> with <code>code</code>, <code>title</code>, <code>detail</code>, <code>request_id</code> and, where one can act, <code>hint</code>. It changes nothing.</p><table><tr><th>HTTP<th>code<th>meaning");
    for (code, status, title) in Refused::codes() {
        let _ = write!(out, "<tr><td>{status}<td><code>{code}</code><td>{}", html(title));
    }
    out.push_str("</table>");
    shell("Countersign REST API", &out)
}
