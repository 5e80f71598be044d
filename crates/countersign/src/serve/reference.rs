//! What each setting of `serve` means, with an example. `--print-config` shows the meanings, and docs/settings.md is written from here and
//! from the table of settings by `cargo run -q -p xtask -- settings`. It checks nothing.

/// Name, meaning, example.
pub const MEANINGS: &[(&str, &str, &str)] = &[
    ("storage", "Where the database, the CA of both ports and the master key are kept.", "sqlite:/var/lib/countersign"),
    ("control.listen", "The address of the control plane: console, REST, gRPC and OAuth on one TLS port.", "0.0.0.0:8443"),
    ("control.hosts", "The names in the control plane's certificate; a request to any other name is refused.", "countersign.example.com"),
    (
        "control.public_url",
        "The address that invitations, mails and certificates name, where it is not the first of control.hosts.",
        "https://countersign.example.com",
    ),
    ("gateway.listen", "The address at which the gateway takes requests for all namespaces.", "0.0.0.0:443"),
    ("gateway.domain", "A namespace NAME.ACCOUNT is reached at NAME.ACCOUNT.DOMAIN; point *.DOMAIN at the gateway.", "api.example.com"),
    ("gateway.name", "The gateway's name in receipts and in `countersign gateway list`.", "eu-1"),
    ("gateway.workers", "How many threads take connections.", "4"),
    ("gateway.max_connections", "How many connections the gateway holds at once; further ones wait or are refused.", "20000"),
    ("gateway.access_log", "A file that gets a JSON line for each request; SIGHUP opens it anew.", "/var/log/countersign/access.log"),
    (
        "gateway.local_upstreams",
        "Whether upstreams may be on this machine's loopback or link-local addresses. The installation's own listeners never are.",
        "true",
    ),
    ("audit.heads_every", "How often the head of the audit trail is sent to where the following settings say.", "15m"),
    (
        "audit.heads_file",
        "A file to which each head of the audit trail is appended; `countersign audit verify --against` reads it.",
        "/mnt/elsewhere/heads.jsonl",
    ),
    ("audit.heads_webhook", "An address to which each head of the audit trail is posted.", "https://audit.example.com/heads"),
    ("audit.heads_syslog", "A syslog daemon that gets each head of the audit trail.", "udp:192.0.2.10:514"),
    (
        "master_key",
        "The key that seals the keys of issuers and second factors. Keep a copy apart from the backups of the database.",
        "file:/etc/countersign/master.key",
    ),
    ("login.require_second_factor", "Who needs a second factor when they log in by password.", "all"),
    ("login.oidc.issuer", "The company's login provider (OpenID Connect).", "https://login.example.com"),
    ("login.oidc.client_id", "The id under which Countersign is registered there.", "countersign"),
    ("login.oidc.client_secret", "The secret that goes with the id.", "file:/etc/countersign/oidc.secret"),
    ("login.oidc.name", "What the button on the login page says.", "Example Inc."),
    (
        "login.oidc.allowed_domains",
        "With `provision = \"domain\"`: addresses of these domains may log in without an invitation.",
        "example.com",
    ),
    ("login.oidc.provision", "Whether only invited users log in by the provider, or all of the allowed domains.", "domain"),
    ("login.oidc.ca_cert", "The CA of a provider that has a private one.", "/etc/countersign/provider-ca.pem"),
    ("mail.host", "The mail server for invitations and notices.", "smtp.example.com"),
    ("mail.port", "Its port.", "587"),
    ("mail.tls", "How the connection to it is protected.", "tls"),
    ("mail.username", "The name to log in with there.", "countersign@example.com"),
    ("mail.password_file", "The file with the password, for its owner alone.", "/etc/countersign/mail.password"),
    ("mail.from", "The sender of every mail.", "Countersign <countersign@example.com>"),
    ("mail.ca_cert", "The CA of a mail server that has a private one.", "/etc/countersign/mail-ca.pem"),
    ("metrics.listen", "The address of /metrics, /healthz and /readyz, in clear text: keep it inside.", "127.0.0.1:9464"),
    ("pki.listen", "The address at which CRLs, OCSP answers and CA certificates are published, in clear text.", "0.0.0.0:8480"),
    ("pki.url", "The address of it that issued certificates name (CRL distribution point, OCSP).", "http://pki.example.com"),
    ("pkcs11.module", "The library of a hardware token for the keys of issuers and the master key.", "/usr/lib/softhsm/libsofthsm2.so"),
    ("pkcs11.pin", "Where the PIN of the tokens is.", "file:/etc/countersign/token.pin"),
    (
        "issuers.staged_for",
        "How long a new issuer is only published before it may sign, so that everybody has its certificate first.",
        "7d",
    ),
    ("limits.certificates_per_owner", "How many active certificates one owner may have.", "200"),
    (
        "weak_keys.file",
        "Lists of known weak keys; a certificate or request with one of them is refused.",
        "/usr/share/openssl-blacklist/blacklist.RSA-2048",
    ),
    ("temporal.upstream", "Where namespaces go that are made without an upstream, as Temporal's tools make them.", "http://127.0.0.1:7233"),
    ("regions", "The regions that a namespace may be in; they are labels here.", "local,aws-eu-west-1"),
    ("log.filter", "What is written to stderr.", "warn,countersign_gateway=debug"),
];

/// What a setting means; nothing for one that has no entry yet.
pub fn meaning(name: &str) -> &'static str {
    MEANINGS.iter().find(|(known, ..)| *known == name).map_or("", |(_, meaning, _)| meaning)
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;

    #[test]
    fn every_setting_has_a_meaning_and_an_example() {
        let names = Settings::names();
        for name in &names {
            assert!(!meaning(name).is_empty(), "say in reference.rs what `{name}` means, with an example");
        }
        for (name, _, example) in MEANINGS {
            assert!(names.contains(name) && !example.is_empty(), "`{name}` is no setting, or has no example");
        }
    }
}
