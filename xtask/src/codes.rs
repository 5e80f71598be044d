//! `docs/errors.md`: its tables are written from the code, so that no code is without its page and no page lies.
//!
//! What a code means to the one who meets it, and what he does, stands here where the code has no sentence of its own.

use crate::tree::{Finding, Tree, root};
use std::collections::BTreeMap;
use std::io;

const PAGE: &str = "docs/errors.md";
/// Where each rule that an answer names is explained.
const RULES: &str = "docs/certificate-rules.md";

/// What to do about a code of the control plane or of the client, where the answer's own hint is not enough of a page.
const ADVICE: &[(&str, &str)] = &[
    (
        "unauthenticated",
        "The request carried no API key. Run `countersign login`, set `COUNTERSIGN_API_KEY`, or use a profile (`--profile`).",
    ),
    (
        "invalid_api_key",
        "Unknown, mistyped, disabled, expired and deleted keys all get this answer, so that it tells a stranger nothing. Copy the key again; an admin sees its state with `countersign apikey get`.",
    ),
    (
        "login_provider_failed",
        "The company's login provider did not answer, or answered something that is refused. The server's log says what; check `login.oidc.issuer`, client id and secret.",
    ),
    ("login_denied", "The login was refused on the page in the browser. Run `countersign login` again if that was a mistake."),
    ("login_expired", "Nobody answered on the page within ten minutes. Run `countersign login` again."),
    ("login_failed", "The server's word for why stands in brackets. Run `countersign login` again; each code is good once."),
    ("forbidden", "You are known, but your role does not allow this. The detail names the rule; `countersign whoami` shows your role."),
    (
        "api_key_creation_disabled",
        "The account does not make new API keys at present; existing ones go on. An admin turns it on with `countersign account api-keys enable-creation`.",
    ),
    (
        "delete_protected",
        "The namespace is protected against deletion. Take the protection off first: `countersign namespace lifecycle set --enable-delete-protection false`.",
    ),
    (
        "audit_trail_differs",
        "The trail is not the one of which an export or a head was kept: it was cut, made anew, or is that of an older database. Restore the newest backup, and find out who could write to the database.",
    ),
    ("doctor_found_something", "The doctor's report names the step at which the way ends, and what mends it."),
    ("unimplemented", "The method or setting is of a service that Countersign is not; the sentence names it. There is nothing to mend."),
    ("not_found", "It does not exist, or you may not know of it; both get the same answer."),
    ("method_not_allowed", "The path is right, the HTTP method is not. `/api/openapi.json` lists both."),
    ("invalid_argument", "A value breaks a rule; the detail names the value and the rule. Nothing was changed."),
    ("nothing_to_change", "It is already as you ask. With `--idempotent` the client counts this as done."),
    ("client_too_old", "This `tcld` speaks an older dialect than the oldest that is understood. Install a newer one."),
    (
        "no_mail_server",
        "What was asked for goes out by mail, and the settings name no mail server (`mail.server`). The hint names the command that does without.",
    ),
    (
        "not_replaced",
        "Nothing has taken this credential's place, so there is nothing to retire it for. Rotate it first: `countersign certificate rotate`, `countersign apikey rotate`.",
    ),
    (
        "look_alike_of_another",
        "Another live certificate of the same owner has a name that people take for this one. Choose a name that differs for the eye; the sentence spells both by code points.",
    ),
    (
        "gateways_behind",
        "A gateway has not confirmed a state in which the issuer is known. `countersign gateway list` shows where each stands; try again, or insist with `--force`.",
    ),
    (
        "issuer_too_new",
        "The operator has new issuers stand by for a time (`issuers.staged_for`), so that everybody can fetch their certificates before they sign. Wait, or insist with `--force`.",
    ),
    (
        "crl_stale",
        "The CA's revocation list is stale, and a stale one lets nobody in. Set the CA's newest list, or let a stale one be kept.",
    ),
    (
        "own_issuer",
        "Nothing needs to be added for certificates that were issued here: give their owner a permission in the namespace instead.",
    ),
    ("crl_older", "A CRL with a higher number, or a later date, is kept already. Fetch the CA's newest one."),
    (
        "still_in_use",
        "Somebody still uses it; the detail says who, from where and when. Move them to the successor first, or insist with `--force`.",
    ),
    (
        "duplicate_certificate",
        "Another certificate of this owner has the same Distinguished Name. The detail names it, the hint a name that is free.",
    ),
    (
        "duplicate_serial",
        "This CA has issued two certificates of one serial number; no CRL can tell them apart. Have the CA issue another one.",
    ),
    ("key_in_use", "Another certificate has this key. Make a new key pair and a request with it."),
    ("key_blocked", "This key is known to others and blocked for ever. Make a new key pair; nothing unblocks the old one."),
    (
        "not_trusted",
        "No CA that this environment trusts has signed the certificate. An admin adds the CA with `countersign application trusted-ca add`, or you have a certificate issued here.",
    ),
    (
        "file_exists",
        "A file of this name is there, and nothing is overwritten. Name another file with `--out` or directory with `--out-dir`, or move the old files away.",
    ),
    ("mail_not_taken", "The mail server did not take the letter; its own words stand in the sentence. Check the settings below `mail`."),
    ("already_exists", "Something that may exist once exists already: a name, a host name, a mail address, a certificate."),
    ("ambiguous", "Several objects have this alias; name one of the ids that the hint lists."),
    (
        "certificate_revoked",
        "This certificate was revoked here and never comes back. Make a new key pair and have a new certificate issued.",
    ),
    ("certificate_expired", "A certificate renews itself only while it lasts. Have a new one issued."),
    (
        "already_renewed",
        "The certificate has a successor for another key. Files were restored from a backup, or somebody else has the old key: find out which, revoke what is not yours, and have a new one issued.",
    ),
    ("resource_version_conflict", "Somebody changed the object since you read it. Read it again and repeat the change."),
    (
        "no_issuer",
        "No active certificate authority of this environment can sign. `countersign issuer list` shows what there is; `issuer create` and `issuer activate` make one.",
    ),
    (
        "issuer_in_use",
        "The step would leave an environment without a signing issuer, or refuse living certificates; the detail counts them. Roll over first, or insist with `--force`.",
    ),
    (
        "limit_reached",
        "A published limit would be passed; the detail names it. Delete or revoke what is no longer needed; of certificates an owner may have as many as `limits.certificates_per_owner` says.",
    ),
    ("last_owner", "An account keeps at least one Account Owner. Make another one first."),
    ("idempotency_conflict", "This operation id was used for another request. Choose a new id, or repeat the first request unchanged."),
    ("body_too_large", "The body is larger than the limit the detail names."),
    ("unsupported_media_type", "Send `content-type: application/json`."),
    ("misdirected", "The Host names another machine than this control plane answers for. Use the name in `COUNTERSIGN_SERVER`."),
    ("rate_limited", "Too many requests; wait as long as `Retry-After` says."),
    ("unavailable", "The control plane cannot do it now; nothing was changed. Its log has the cause by the request id."),
    (
        "disk_full",
        "The file system of the data directory is full; nothing was changed. Free some space. Gateways go on serving, and a reserve lets changes through that take access away.",
    ),
    ("audit_chain_broken", "An audit entry was changed, taken out or put in. Keep the file and compare it with an earlier export."),
    ("file_error", "A file cannot be read or written; the sentence says which and why."),
    ("file_permissions", "A file with a secret is open to others. Give it mode 0600."),
    ("file_too_large", "The file is larger than anything this command reads; check that it is the right one."),
    ("internal", "A defect of this program; please report it with the sentence it printed."),
    ("not_confirmed", "The question was not answered with yes (or the word it asked for). Nothing was done; `--auto-confirm` answers it."),
    ("not_pem", "The file is not PEM: it has no `-----BEGIN …-----` line."),
    ("not_reachable", "The server did not answer. Check `--server`, and that `countersign dev` or `countersign serve` runs."),
    (
        "request_failed",
        "The connection broke off in the middle. Repeat the command with the same `--request-id`; it is then the same operation.",
    ),
    ("agent_running", "Two agents would overwrite each other's files. Stop the other one, or give each a directory of its own."),
    ("hook_failed", "The new files are in force, but the agent's hook did not end well; it is run again. Try the hook by hand."),
    (
        "no_certificate",
        "The agent renews by a certificate, so there must be a first one: `countersign certificate create --generate-key`. Name its files in the agent's settings.",
    ),
    (
        "renewal_gained_nothing",
        "The successor would end before the certificate it follows: the issuer ends, or its policy was shortened. Look at `countersign issuer list`.",
    ),
    ("tls_setup", "The CA file of `--ca-cert` cannot be used."),
    (
        "not_a_control_plane",
        "`--server` names another port or another program; the sentence says what it is. By default the control plane has port 8443, gateways 7233, metrics 9464.",
    ),
    ("profile_not_found", "`countersign profile list` shows the profiles there are; `countersign profile add` makes one."),
    ("unexpected_answer", "What answered is not a Countersign control plane, or one of another version."),
    ("unreadable_answer", "What answered is not a Countersign control plane, or one of another version."),
    ("usage", "The command line cannot be carried out as written; `--help` after the command shows what it takes."),
];

/// The page's tables: the name of the section, and its rows as made from the code.
fn tables(tree: &Tree) -> Vec<(&'static str, String)> {
    vec![("gateway", gateway(tree)), ("control-plane", control_plane(tree)), ("certificates", certificates(tree)), ("client", client(tree))]
}

/// The page says what the code says, and every code has its advice.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.text(PAGE) else { return vec![Finding::new(PAGE, 0, "the page is missing")] };
    let mut findings = Vec::new();
    match filled(tree, page) {
        Ok(wanted) if wanted == page => {}
        Ok(_) => findings.push(Finding::new(
            PAGE,
            0,
            "the code says something else; run `cargo run -q -p xtask -- errors` and read the difference",
        )),
        Err(what) => findings.push(Finding::new(PAGE, 0, what)),
    }
    let rules = tree.text(RULES).unwrap_or_default();
    for refused in
        x509_codes(tree).into_iter().filter(|refused| !refused.rule.is_empty() && !rules.contains(&format!("| {} |", refused.rule)))
    {
        findings.push(Finding::new(RULES, 0, format!("rule {} ({}) is not on the page", refused.rule, refused.code)));
    }
    let known: Vec<_> = ADVICE.iter().map(|(code, _)| *code).collect();
    for code in server_codes(tree).into_iter().map(|(code, ..)| code).chain(client_codes(tree)) {
        if !known.contains(&code.as_str()) && !x509_codes(tree).iter().any(|row| row.code == code) {
            findings.push(Finding::new("xtask/src/codes.rs", 0, format!("say under ADVICE what one does about {code}")));
        }
    }
    findings
}

/// Writes the tables into the page.
///
/// # Errors
/// The page is missing, has lost a mark, or cannot be written.
pub fn write(tree: &Tree) -> io::Result<()> {
    let page = tree.text(PAGE).ok_or_else(|| io::Error::other("it is missing"))?;
    std::fs::write(root().join(PAGE), filled(tree, page).map_err(io::Error::other)?)
}

/// The page with its tables as they should be.
fn filled(tree: &Tree, page: &str) -> Result<String, String> {
    let mut page = page.to_owned();
    for (name, table) in tables(tree) {
        let (begin, end) = (format!("<!-- {name}: written by xtask -->\n"), format!("<!-- {name}: end -->"));
        let from = page.find(&begin).ok_or_else(|| format!("the line {} is missing", begin.trim()))? + begin.len();
        let length = page.get(from..).and_then(|rest| rest.find(&end)).ok_or_else(|| format!("the line {end} is missing"))?;
        page.replace_range(from..from + length, &table);
    }
    Ok(page)
}

fn advice(code: &str) -> &'static str {
    ADVICE.iter().find(|(known, _)| *known == code).map_or("", |(_, text)| text)
}

/// A line of the table in `crates/core/src/refusal.rs`, with the comment above it.
fn gateway(tree: &Tree) -> String {
    let mut rows = "| code | HTTP | gRPC | what the client is told | when |\n| --- | --- | --- | --- | --- |\n".to_owned();
    let mut when = "";
    for line in tree.text("crates/core/src/refusal.rs").unwrap_or_default().lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("/// ") {
            when = comment;
            continue;
        }
        let words = literals(line);
        let numbers: Vec<&str> = line.split([' ', '"']).filter(|word| word.parse::<u16>().is_ok()).take(2).collect();
        if let ([code, message], [http, grpc], true) = (words.as_slice(), numbers.as_slice(), line.ends_with(';')) {
            rows.push_str(&format!("| `{code}` | {http} | {grpc} | {} | {} |\n", cell(message), cell(when)));
        }
    }
    rows
}

/// Code, status and title from the table in `crates/server/src/error.rs`.
fn server_codes(tree: &Tree) -> Vec<(String, String, String)> {
    let text = tree.text("crates/server/src/error.rs").unwrap_or_default();
    let table = text.split_once("const TABLE").and_then(|(_, rest)| rest.split_once("];")).map_or("", |(table, _)| table);
    table
        .lines()
        .filter_map(|line| {
            let status = line.split([' ', ',']).find(|word| word.parse::<u16>().is_ok())?;
            match literals(line).as_slice() {
                [code, title] => Some((code.clone(), status.to_owned(), title.clone())),
                _ => None,
            }
        })
        .collect()
}

fn control_plane(tree: &Tree) -> String {
    let mut rows = "| code | HTTP | title | what to do |\n| --- | --- | --- | --- |\n".to_owned();
    for (code, status, title) in server_codes(tree) {
        rows.push_str(&format!("| `{code}` | {status} | {} | {} |\n", cell(&title), cell(advice(&code))));
    }
    rows
}

/// One way `crates/x509` refuses.
struct Refused {
    code: String,
    rule: String,
    message: String,
    hint: String,
}

/// Every `X509Error::new(code, rule, message, hint)` of the crate.
fn x509_codes(tree: &Tree) -> Vec<Refused> {
    let mut found = Vec::new();
    for (_, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/x509/src/") && !path.contains("/tests")) {
        for (at, call) in text.match_indices("X509Error::new(") {
            let arguments = arguments(text.get(at + call.len()..).unwrap_or_default());
            if let [code, rule, message, hint] = arguments.as_slice()
                && let Some(code) = literals(code).first()
            {
                let first = |argument: &str| literals(argument).first().map(|text| blanked(text)).unwrap_or_default();
                found.push(Refused {
                    code: code.clone(),
                    rule: literals(rule).first().cloned().unwrap_or_default(),
                    message: first(message),
                    hint: first(hint),
                });
            }
        }
    }
    found
}

fn certificates(tree: &Tree) -> String {
    let mut sorted: BTreeMap<String, Vec<Refused>> = BTreeMap::new();
    for refused in x509_codes(tree) {
        sorted.entry(refused.code.clone()).or_default().push(refused);
    }
    let mut rows = "| code | rule | what it says | what to do |\n| --- | --- | --- | --- |\n".to_owned();
    let mut before = String::new();
    for refused in sorted.into_values().flatten() {
        let row = format!("| `{}` | {} | {} | {} |\n", refused.code, refused.rule, cell(&refused.message), cell(&refused.hint));
        if row != before {
            rows.push_str(&row);
        }
        before = row;
    }
    rows
}

/// Codes that the client gives of itself.
fn client_codes(tree: &Tree) -> Vec<String> {
    let mut codes: Vec<String> = tree
        .rust()
        .filter(|(path, _)| ["cli", "agent"].iter().any(|of| path.starts_with(&format!("crates/countersign/src/{of}/"))))
        .flat_map(|(_, text)| text.split("#[cfg(test)]").next().unwrap_or_default().split("refused(").skip(1))
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next().map(ToOwned::to_owned))
        .collect();
    codes.sort_unstable();
    codes.dedup();
    // Nobody ever reads a message that was written to a closed pipe.
    // Nor one that belongs to an answer which was printed already.
    codes.retain(|code| code != "broken_pipe" && code != "denied");
    codes
}

fn client(tree: &Tree) -> String {
    let elsewhere: Vec<String> =
        server_codes(tree).into_iter().map(|(code, ..)| code).chain(x509_codes(tree).into_iter().map(|refused| refused.code)).collect();
    let mut rows = "| code | what to do |\n| --- | --- |\n".to_owned();
    for code in client_codes(tree).iter().filter(|code| !elsewhere.contains(code)) {
        rows.push_str(&format!("| `{code}` | {} |\n", cell(advice(code))));
    }
    rows
}

/// The string literals of a piece of code, in order. A `\` at a line's end joins the lines, as the compiler does.
pub fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut letters = code.chars().peekable();
    while letters.by_ref().any(|c| c == '"') {
        let mut text = String::new();
        while let Some(c) = letters.next() {
            match c {
                '"' => break,
                '\\' => match letters.next() {
                    Some('\n') => while letters.next_if(|c| c.is_whitespace()).is_some() {},
                    Some('n') => text.push(' '),
                    Some(c) => text.push(c),
                    None => {}
                },
                c => text.push(c),
            }
        }
        found.push(text);
    }
    found
}

/// The arguments of a call, given what follows its opening bracket.
fn arguments(code: &str) -> Vec<&str> {
    let (mut found, mut from, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0_usize, false, false);
    for (at, c) in code.char_indices() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                found.extend(code.get(from..at).map(str::trim).filter(|argument| !argument.is_empty()));
                from = at + 1;
                if c == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// A format text with `…` for what is put in.
fn blanked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push('…');
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// A text that fits into a table. Angle brackets would be taken for markup.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str =
        "    /// A leaf that nothing here knows.\n    CertificateUnknown \"certificate_unknown\" 401 16 \"Not known here.\";\n";
    const SERVER: &str = "const TABLE: &[(&str, u16, &str)] = &[\n    (\"forbidden\", 403, \"not allowed\"),\n];\n";
    const X509: &str = "X509Error::new(\n    \"weak_key\",\n    Some(\"A10\"),\n    format!(\"{bits} bits (at least {least}) are \\\"few\\\"\"),\n    \"make a new key, \\\n     a longer one\",\n)";

    fn page() -> String {
        ["gateway", "control-plane", "certificates", "client"]
            .iter()
            .map(|name| format!("<!-- {name}: written by xtask -->\nWHAT STOOD HERE\n<!-- {name}: end -->\n"))
            .collect()
    }

    #[test]
    fn the_tables_are_read_out_of_the_code() {
        let tree =
            Tree::of(&[("crates/core/src/refusal.rs", CORE), ("crates/server/src/error.rs", SERVER), ("crates/x509/src/key.rs", X509)]);
        let filled = filled(&tree, &page()).unwrap();
        assert!(filled.contains("| `certificate_unknown` | 401 | 16 | Not known here. | A leaf that nothing here knows. |"), "{filled}");
        assert!(filled.contains("| `forbidden` | 403 | not allowed | You are known"), "{filled}");
        assert!(filled.contains("| `weak_key` | A10 | … bits (at least …) are \"few\" | make a new key, a longer one |"), "{filled}");
        assert!(!filled.contains("WHAT STOOD HERE"));
    }

    #[test]
    fn a_page_that_lies_is_found() {
        let page = page();
        let tree = Tree::of(&[("crates/core/src/refusal.rs", CORE), (PAGE, &page)]);
        assert_eq!(check(&tree).len(), 1);
        let written = filled(&tree, &page).unwrap();
        assert!(check(&Tree::of(&[("crates/core/src/refusal.rs", CORE), (PAGE, &written)])).is_empty());
        assert_eq!(check(&Tree::of(&[(PAGE, "no marks")])).len(), 1);
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }

    #[test]
    fn a_rule_without_its_line_is_found() {
        let page = filled(&Tree::of(&[("crates/x509/src/key.rs", X509)]), &page()).unwrap();
        assert_eq!(check(&Tree::of(&[("crates/x509/src/key.rs", X509), (PAGE, &page)])).len(), 1);
        assert!(check(&Tree::of(&[("crates/x509/src/key.rs", X509), (PAGE, &page), (RULES, "| A10 | strong |")])).is_empty());
    }

    #[test]
    fn a_code_without_advice_is_found() {
        let server = SERVER.replace("forbidden", "quite_new");
        let tree = Tree::of(&[("crates/server/src/error.rs", server.as_str())]);
        let page = filled(&tree, &page()).unwrap();
        assert_eq!(check(&Tree::of(&[("crates/server/src/error.rs", server.as_str()), (PAGE, &page)])).len(), 1);
    }
}
