//! Mail: one message a notice, through the operator's own SMTP server. No other server is ever spoken to.

use countersign_core::Secret;
use countersign_proto::rest::NoticeBody;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use std::fmt::Write as _;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// How the process sends mail.
#[derive(Debug)]
pub struct MailSettings {
    /// `smtps://host[:port]` (TLS), `smtp://host[:port]` (STARTTLS demanded), or `smtp+clear://host[:port]` (in clear, for a relay on
    /// this machine).
    pub server: String,
    /// Who writes: `Countersign <countersign@example.com>`.
    pub from: String,
    /// Name and password, where the server wants them.
    pub login: Option<(String, Secret)>,
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
    /// One sentence that names what is wrong.
    pub fn new(settings: &MailSettings) -> Result<Self, String> {
        let from = settings.from.parse().map_err(|_| format!("`{}` is no sender; write NAME <user@example.com>", settings.from))?;
        let unusable = || format!("`{}` is no mail server; write smtps://HOST, smtp://HOST or smtp+clear://HOST", settings.server);
        let (scheme, rest) = settings.server.split_once("://").ok_or_else(unusable)?;
        let (host, port) = match rest.trim_end_matches('/').rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| unusable())?)),
            None => (rest.trim_end_matches('/'), None),
        };
        if host.is_empty() || host.contains(['/', '@', '?']) {
            return Err(unusable());
        }
        let mut builder = match scheme {
            "smtps" => AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(|e| e.to_string())?,
            "smtp" => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(|e| e.to_string())?,
            "smtp+clear" => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host),
            _ => return Err(unusable()),
        };
        if let Some(port) = port {
            builder = builder.port(port);
        }
        if let Some((name, password)) = &settings.login {
            if scheme == "smtp+clear" {
                return Err("a password is not sent in clear: use smtps:// or smtp:// with it".to_owned());
            }
            builder = builder.credentials(Credentials::new(name.clone(), password.expose().to_owned()));
        }
        Ok(Self { from, transport: builder.timeout(Some(PATIENCE)).build() })
    }

    /// Sends one notice to some people. Each sees only his own address.
    ///
    /// # Errors
    /// Why the server did not take it, for the list of deliveries.
    pub async fn send(&self, to: &[String], notice: &NoticeBody) -> Result<(), String> {
        for address in to {
            let Ok(mailbox) = address.parse::<Mailbox>() else {
                // An address that no mail program reads cannot be told; the others are.
                continue;
            };
            let message = Message::builder()
                .from(self.from.clone())
                .to(mailbox)
                .subject(subject(notice))
                .body(text(notice))
                .map_err(|error| error.to_string())?;
            self.transport.send(message).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// What it is, by the word people use.
fn noun(notice: &NoticeBody) -> &'static str {
    match notice.kind.as_str() {
        "api_key" => "API key",
        "certificate" => "Certificate",
        _ => "Accepted client CA",
    }
}

fn subject(notice: &NoticeBody) -> String {
    let name: String = notice.name.chars().filter(|c| !c.is_control()).take(80).collect();
    format!("{} {name} ends on {}", noun(notice), notice.end_time.split('T').next().unwrap_or(&notice.end_time))
}

fn text(notice: &NoticeBody) -> String {
    let mut text = format!("{} `{}` ({}) ends at {}.\n\n", noun(notice), notice.name, notice.credential, notice.end_time);
    let use_of_it = match (&notice.last_used_time, notice.in_use) {
        (Some(at), true) => format!("It is in use: last at {at}. Whoever uses it will be refused from then on."),
        (Some(at), false) => format!("It was used last at {at}."),
        (None, _) => "It was never used.".to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = write!(text, "{use_of_it}\n{}\n", notice.advice);
    if let Some(namespace) = &notice.namespace {
        let _ = writeln!(text, "\nNamespace: {namespace}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_a_scheme_and_a_host() {
        let settings = |server: &str| MailSettings { server: server.into(), from: "Countersign <c@example.com>".into(), login: None };
        for good in ["smtps://mail.example.com", "smtp://mail.example.com:587", "smtp+clear://127.0.0.1:2525"] {
            assert!(Post::new(&settings(good)).is_ok(), "{good}");
        }
        for bad in ["mail.example.com", "http://x", "smtp://", "smtp://a@b", "smtp://x:y"] {
            assert!(Post::new(&settings(bad)).is_err(), "{bad}");
        }
        let clear = MailSettings { login: Some(("n".into(), Secret::new("p".into()))), ..settings("smtp+clear://127.0.0.1") };
        assert!(Post::new(&clear).is_err_and(|why| why.contains("not sent in clear")));
    }

    #[test]
    fn s16_a_notice_says_what_ends_when_and_whether_anybody_uses_it() {
        let notice = NoticeBody {
            credential: "c1".into(),
            kind: "certificate".into(),
            name: "shop\r\nBcc: x@y.z".into(),
            end_time: "2027-01-31T00:00:00Z".into(),
            last_used_time: Some("2026-12-30T00:00:00Z".into()),
            in_use: true,
            advice: "Rotate it.".into(),
            ..NoticeBody::default()
        };
        assert_eq!(subject(&notice), "Certificate shopBcc: x@y.z ends on 2027-01-31");
        assert!(text(&notice).contains("It is in use") && text(&notice).contains("Rotate it."));
    }
}
