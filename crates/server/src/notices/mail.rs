//! Mail: one message a notice and person, through the operator's own SMTP server. No other server is ever spoken to (promise P19).
//! Who is written to and when is not decided here.

use countersign_core::Secret;
use countersign_proto::rest::NoticeBody;
use lettre::message::Mailbox;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use sha2::Digest as _;
use std::fmt::Write as _;
use std::time::Duration;

/// The longest that one step of a conversation with the server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Not at all: for a relay on this machine or in its own net. A password is never sent this way.
    None,
    /// `STARTTLS` (RFC 3207), demanded: a server that does not offer it is told nothing.
    StartTls,
    /// From the first byte (RFC 8314).
    Tls,
}

impl MailTls {
    /// Reads the word of the settings.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "starttls" => Some(Self::StartTls),
            "tls" => Some(Self::Tls),
            _ => None,
        }
    }

    /// The port that goes with it (RFC 5321, RFC 6409, RFC 8314).
    pub const fn port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// How the process sends mail.
#[derive(Debug)]
pub struct MailSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Who writes: `Countersign <countersign@example.com>`.
    pub from: String,
    /// Name and password, where the server wants them.
    pub login: Option<(String, Secret)>,
    /// PEM of the only CAs that vouch for the server; empty for the system's.
    pub ca_pem: Vec<u8>,
}

impl MailSettings {
    /// Whether a server can be spoken to by them. Nothing is sent.
    ///
    /// # Errors
    /// As [`Post::new`].
    pub fn check(&self) -> Result<(), String> {
        self.transport().map(|_| ())
    }

    fn transport(&self) -> Result<(Mailbox, AsyncSmtpTransportBuilder), String> {
        let from = self
            .from
            .parse()
            .map_err(|_| format!("setting `mail.from` is `{}`; allowed is a sender: NAME <user@example.com>", self.from))?;
        let host = self.host.trim_matches(['[', ']']);
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#[]".contains(c)) {
            return Err(format!("setting `mail.host` is `{}`; allowed is a host name or an address, without scheme and port", self.host));
        }
        let tls = match self.tls {
            MailTls::None => Tls::None,
            MailTls::StartTls => Tls::Required(parameters(host, &self.ca_pem)?),
            MailTls::Tls => Tls::Wrapper(parameters(host, &self.ca_pem)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(self.port).tls(tls);
        if let Some((name, password)) = &self.login {
            if self.tls == MailTls::None {
                return Err("setting `mail.tls` is `none` while `mail.username` is set; a password is not sent in clear, so allowed is \
                            starttls or tls"
                    .to_owned());
            }
            // The one place where the server hears it.
            builder = builder.credentials(Credentials::new(name.clone(), password.expose().to_owned()));
        }
        Ok((from, builder.timeout(Some(PATIENCE))))
    }
}

/// A letter: who gets it, an id that is the same at each try, and what it says.
#[derive(Debug)]
pub struct Letter<'t> {
    /// One address.
    pub to: &'t str,
    /// What tells a repetition from a second letter; becomes the Message-ID.
    pub id: &'t str,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// A mail server, ready.
#[derive(Debug)]
pub struct Post {
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Post {
    /// Reads the settings. Nothing is sent yet.
    ///
    /// # Errors
    /// One sentence that names the setting that is wrong.
    pub fn new(settings: &MailSettings) -> Result<Self, String> {
        let (from, builder) = settings.transport()?;
        Ok(Self { from, transport: builder.build() })
    }

    /// Sends one letter. The same id gives the same Message-ID, so that a repetition after a lost answer is known as one.
    ///
    /// # Errors
    /// Why the server did not take it, for the list of deliveries.
    pub async fn send(&self, letter: &Letter<'_>) -> Result<(), String> {
        let to = letter.to.parse::<Mailbox>().map_err(|_| "it is no mail address".to_owned())?;
        let message = Message::builder()
            .message_id(Some(message_id(letter, self.from.email.domain())))
            .from(self.from.clone())
            .to(to)
            .subject(&letter.subject)
            // No machine is to answer it (RFC 3834).
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .header(ContentTransferEncoding::QuotedPrintable)
            .body(letter.text.clone())
            .map_err(|error| error.to_string())?;
        self.transport.send(message).await.map(|_| ()).map_err(|error| cause(&error))
    }
}

/// An error with what is behind it: lettre's own sentence says only `Connection error`.
fn cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        let said = error.to_string();
        if !text.contains(&said) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {said}");
        }
        inner = error.source();
    }
    text
}

fn parameters(host: &str, ca_pem: &[u8]) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if !ca_pem.is_empty() {
        let wrong = || "setting `mail.ca_cert` names a file that holds no certificate in PEM".to_owned();
        if !String::from_utf8_lossy(ca_pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(wrong());
        }
        builder = builder.certificate_store(CertificateStore::None);
        builder = builder.add_root_certificate(Certificate::from_pem(ca_pem).map_err(|_| wrong())?);
    }
    builder.build().map_err(|error| format!("TLS to the mail server `{host}` cannot be set up: {}", cause(&error)))
}

/// The Message-ID (RFC 5322 section 3.6.4): of the letter's id and its reader, below the sender's own domain.
fn message_id(letter: &Letter<'_>, domain: &str) -> String {
    let mut hash = sha2::Sha256::new();
    hash.update(letter.id.as_bytes());
    hash.update([0]);
    hash.update(letter.to.as_bytes());
    format!("<{}@{domain}>", countersign_core::credential::hex(&hash.finalize()[..16]))
}

/// The letter about a notice.
pub fn letter<'t>(to: &'t str, id: &'t str, notice: &NoticeBody) -> Letter<'t> {
    Letter { to, id, subject: subject(notice), text: text(notice) }
}

/// A letter that only shows that letters arrive.
pub fn trial<'t>(to: &'t str, id: &'t str) -> Letter<'t> {
    let text = "This is a trial of the mail settings, sent on an admin's request. Expiry notices come from here.\n";
    Letter { to, id, subject: "Countersign: mail works".to_owned(), text: text.to_owned() }
}

/// The kind of a notice that is about no end: a list that was not followed by its successor.
const STALE: &str = "revocation_list";

/// What happens, or has happened, at the notice's time.
fn verb(notice: &NoticeBody) -> [&'static str; 2] {
    if notice.kind == STALE { ["is stale since", "is stale since"] } else { ["ends on", "ends at"] }
}

/// What it is, by the word people use.
fn noun(notice: &NoticeBody) -> &'static str {
    match notice.kind.as_str() {
        "api_key" => "API key",
        "certificate" => "Certificate",
        "issuer" => "Issuing CA",
        STALE => "Revocation list of",
        _ => "Accepted client CA",
    }
}

/// A text of somebody else's as one line: without what turns, hides or breaks.
fn plain(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

fn subject(notice: &NoticeBody) -> String {
    let day = notice.end_time.split('T').next().unwrap_or(&notice.end_time);
    format!("{} {} {} {day}", noun(notice), plain(&notice.name, 80), verb(notice)[0])
}

fn text(notice: &NoticeBody) -> String {
    let mut text = format!("{} {} {} {}.\n\n", noun(notice), plain(&notice.name, 200), verb(notice)[1], notice.end_time);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<13}{}", plain(value, 300));
        }
    };
    line("Id:", &notice.credential);
    line("Belongs to:", &[notice.owner_name.as_str(), &notice.owner_id].join(" ").trim().replace("  ", " "));
    line("Namespace:", notice.namespace.as_deref().unwrap_or_default());
    line("Last use:", &last_use(notice));
    let outlook = match (notice.kind.as_str(), notice.in_use) {
        (STALE, _) => "Its CA promised the next one for then, and it was not set here.",
        ("accepted_client_ca", _) => "Every client whose certificate this CA signed is refused from then on.",
        (_, true) => "It is in use: whoever uses it is refused from then on.",
        _ => "Nobody used it within the last 30 days.",
    };
    let _ = write!(text, "\n{outlook}\n\n{}\n", notice.advice);
    if !notice.command.is_empty() {
        let _ = write!(text, "\n    {}\n", notice.command);
    }
    text
}

fn last_use(notice: &NoticeBody) -> String {
    let Some(at) = &notice.last_used_time else { return "never".to_owned() };
    let from = if notice.last_source.is_empty() { String::new() } else { format!(", from {}", notice.last_source) };
    format!("{at}{from}; {} requests in all", notice.uses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(host: &str, tls: MailTls) -> MailSettings {
        let from = "Countersign <c@example.com>".into();
        MailSettings { host: host.into(), port: tls.port(), tls, from, login: None, ca_pem: Vec::new() }
    }

    #[tokio::test]
    async fn a_mail_server_is_a_host_a_port_and_a_protection() {
        for good in ["mail.example.com", "127.0.0.1", "[::1]", "localhost"] {
            assert!(Post::new(&settings(good, MailTls::None)).is_ok(), "{good}");
        }
        for bad in ["", "smtp://x", "a@b", "x/y", "a b"] {
            assert!(Post::new(&settings(bad, MailTls::None)).is_err_and(|why| why.contains("`mail.host`")), "{bad}");
        }
        assert!(Post::new(&settings("mail.example.com", MailTls::Tls)).is_ok());
        let login = || Some(("n".into(), Secret::new("p".into())));
        let clear = MailSettings { login: login(), ..settings("127.0.0.1", MailTls::None) };
        assert!(Post::new(&clear).is_err_and(|why| why.contains("not sent in clear")));
        assert!(Post::new(&MailSettings { login: login(), ..settings("127.0.0.1", MailTls::StartTls) }).is_ok());
        let nobody = MailSettings { from: "nobody".into(), ..settings("127.0.0.1", MailTls::None) };
        assert!(Post::new(&nobody).is_err_and(|why| why.contains("`mail.from`")));
        let other = MailSettings { ca_pem: b"no PEM".to_vec(), ..settings("127.0.0.1", MailTls::Tls) };
        assert!(Post::new(&other).is_err_and(|why| why.contains("`mail.ca_cert`")));
    }

    #[test]
    fn a_letter_has_one_id_for_one_reader_however_often_it_is_sent() {
        let id = |to: &str, id: &str| message_id(&trial(to, id), "example.com");
        assert_eq!(id("a@x.y", "1"), id("a@x.y", "1"));
        assert_ne!(id("a@x.y", "1"), id("b@x.y", "1"));
        assert_ne!(id("a@x.y", "1"), id("a@x.y", "2"));
    }

    #[test]
    fn s16_a_notice_says_what_ends_when_who_uses_it_and_what_mends_it() {
        let notice = NoticeBody {
            credential: "c1".into(),
            kind: "certificate".into(),
            name: "shop\r\nBcc: x@y.z".into(),
            owner_name: "billing production".into(),
            owner_id: "o1".into(),
            end_time: "2027-01-31T00:00:00Z".into(),
            last_used_time: Some("2026-12-30T00:00:00Z".into()),
            last_source: "10.1.2.3".into(),
            uses: 7,
            in_use: true,
            advice: "Make its successor.".into(),
            command: "countersign certificate rotate --id c1".into(),
            ..NoticeBody::default()
        };
        assert_eq!(subject(&notice), "Certificate shopBcc: x@y.z ends on 2027-01-31");
        let text = text(&notice);
        for part in [
            "ends at 2027-01-31T00:00:00Z",
            "billing production o1",
            "2026-12-30T00:00:00Z, from 10.1.2.3; 7 requests",
            "It is in use",
            "\n    countersign certificate rotate --id c1\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
