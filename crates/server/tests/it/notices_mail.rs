//! Notices by mail, to a server that speaks SMTP and notes what it took: whole, to each reader once, also after it was away.

use crate::harness::{Plane, id_of};
use countersign_core::time::Lifetime;
use countersign_server::{MailSettings, MailTls};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// What one transaction of SMTP was.
#[derive(Clone, Debug, Default)]
struct Taken {
    to: String,
    text: String,
}

impl Taken {
    fn header(&self, name: &str) -> String {
        self.text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim_start_matches(':').trim().to_owned()
    }
}

/// An SMTP server (RFC 5321) on a port of its own; `refuse` has it turn readers away.
struct Server {
    port: u16,
    taken: Arc<Mutex<Vec<Taken>>>,
    refuse: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (taken, refuse) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::<String>::new())));
        let (all, no) = (Arc::clone(&taken), Arc::clone(&refuse));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(speak(stream, Arc::clone(&all), Arc::clone(&no)));
            }
        });
        Self { port, taken, refuse }
    }

    fn all(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

async fn speak(stream: tokio::net::TcpStream, all: Arc<Mutex<Vec<Taken>>>, refuse: Arc<Mutex<Vec<String>>>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut one = Taken::default();
    writer.write_all(b"220 test\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "EHLO" => "250-test\r\n250 8BITMIME".to_owned(),
            "RCPT" => {
                one.to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                if refuse.lock().unwrap().contains(&one.to) { "550 nobody here".to_owned() } else { "250 ok".to_owned() }
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    one.text.push_str(&line);
                    one.text.push('\n');
                }
                all.lock().unwrap().push(std::mem::take(&mut one));
                "250 taken".to_owned()
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "250 ok".to_owned(),
        };
        if writer.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn settings(port: u16) -> MailSettings {
    let from = "Countersign <countersign@example.com>".to_owned();
    MailSettings { host: "127.0.0.1".to_owned(), port, tls: MailTls::None, from, login: None, ca_pem: Vec::new() }
}

/// Quoted-printable, undone as far as the letters here use it.
fn plain(text: &str) -> String {
    text.replace("=\n", "").replace("=3D", "=")
}

#[tokio::test]
async fn s16_a_mail_says_what_ends_when_whose_it_is_and_the_command_that_mends_it() {
    let plane = Plane::start().await;
    let server = Server::start().await;
    plane.app.use_mail(&settings(server.port)).unwrap();
    let body = json!({"mail": true, "recipients": ["ops@example.com", "night@example.com"]});
    plane.call("PUT", "/notices/settings", &plane.owner, body).await.ok();
    let (_, key) = plane.machine("billing", "read", json!({})).await;
    plane.clock.advance(Lifetime::from_days(69));
    plane.app.plan_notices().await;
    plane.app.deliver_notices().await;
    let all = server.all();
    let about = |taken: &&Taken| plain(&taken.text).contains(&id_of(&key));
    let mut readers: Vec<String> = all.iter().filter(about).map(|taken| taken.to.clone()).collect();
    readers.sort();
    assert!(readers.contains(&"night@example.com".to_owned()) && readers.contains(&"ops@example.com".to_owned()), "{readers:?}");
    let one = all.iter().find(about).unwrap();
    let text = plain(&one.text);
    assert!(one.header("Content-Type").starts_with("text/plain") && one.header("Auto-Submitted") == "auto-generated", "{text}");
    assert!(one.header("Subject").starts_with("API key k ends on 20") && one.header("To") == one.to, "{text}");
    let end = plane.get(&format!("/api-keys/{}", id_of(&key)), &plane.owner).await.ok()["expiryTime"].as_str().unwrap().to_owned();
    for part in [&end, "billing", "Last use:    never", &format!("countersign apikey rotate --id {}", id_of(&key))] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Each reader has an id of his own, and all rounds to come bring nothing more.
    let mut ids: Vec<String> = all.iter().map(|taken| taken.header("Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    plane.clock.advance(Lifetime::from_seconds(7 * 3600));
    plane.app.plan_notices().await;
    plane.app.deliver_notices().await;
    assert_eq!(server.all().len(), all.len(), "never twice");
}

#[tokio::test]
async fn a_mail_server_that_is_away_gets_each_letter_once_when_it_is_back() {
    let plane = Plane::start().await;
    // A port on which nobody listens any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    plane.app.use_mail(&settings(port)).unwrap();
    plane.call("PUT", "/notices/settings", &plane.owner, json!({"mail": true, "recipients": ["ops@example.com"]})).await.ok();
    let (_, key) = plane.machine("m", "read", json!({})).await;
    plane.clock.advance(Lifetime::from_days(69));
    plane.app.plan_notices().await;
    plane.app.deliver_notices().await;
    let of_key = async || {
        let found = plane.get("/notices", &plane.owner).await.ok();
        found["items"].as_array().unwrap().iter().find(|notice| notice["credential"] == id_of(&key)).unwrap().clone()
    };
    let notice = of_key().await;
    let mail = |notice: &serde_json::Value| {
        notice["deliveries"].as_array().unwrap().iter().find(|one| one["channel"] == "mail:ops@example.com").unwrap().clone()
    };
    assert!(mail(&notice)["sentTime"].is_null() && mail(&notice)["attempts"] == 1, "{notice}");
    assert!(mail(&notice)["failure"].as_str().unwrap().to_lowercase().contains("refused"), "the reason is told: {notice}");
    // Whoever only owns the credential learns that mail is on its way, and not to whom.
    let own = plane.get("/notices", &key).await.ok().to_string();
    assert!(own.contains("\"mail\"") && !own.contains("ops@example.com"), "{own}");
    // It comes back on the same port.
    let back = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = back.accept().await {
            tokio::spawn(speak(stream, Arc::clone(&all), Arc::default()));
        }
    });
    for _ in 0..3 {
        plane.clock.advance(Lifetime::from_seconds(121));
        plane.app.deliver_notices().await;
    }
    let found: Vec<Taken> = taken
        .lock()
        .unwrap()
        .iter()
        .filter(|one| one.to == "ops@example.com" && plain(&one.text).contains(&id_of(&key)))
        .cloned()
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(mail(&of_key().await)["attempts"], 2);
}

#[tokio::test]
async fn one_reader_whom_the_server_does_not_know_brings_the_others_nothing_twice() {
    let plane = Plane::start().await;
    let server = Server::start().await;
    server.refuse.lock().unwrap().push("gone@example.com".to_owned());
    plane.app.use_mail(&settings(server.port)).unwrap();
    let body = json!({"mail": true, "recipients": ["a@example.com", "gone@example.com", "z@example.com"]});
    plane.call("PUT", "/notices/settings", &plane.owner, body).await.ok();
    let (_, key) = plane.machine("m", "read", json!({})).await;
    plane.clock.advance(Lifetime::from_days(69));
    plane.app.plan_notices().await;
    for _ in 0..5 {
        plane.app.deliver_notices().await;
        plane.clock.advance(Lifetime::from_seconds(3600));
    }
    let mut readers: Vec<String> = server
        .all()
        .into_iter()
        .filter(|taken| plain(&taken.text).contains(&id_of(&key)) && taken.to.ends_with("@example.com"))
        .map(|t| t.to)
        .collect();
    readers.retain(|to| ["a@example.com", "gone@example.com", "z@example.com"].contains(&to.as_str()));
    readers.sort();
    assert_eq!(readers, ["a@example.com", "z@example.com"]);
}

#[tokio::test]
async fn a_server_that_was_away_for_weeks_hears_the_newest_notice_and_not_all_of_them() {
    let plane = Plane::start().await;
    let server = Server::start().await;
    server.refuse.lock().unwrap().push("ops@example.com".to_owned());
    plane.app.use_mail(&settings(server.port)).unwrap();
    plane.call("PUT", "/notices/settings", &plane.owner, json!({"mail": true, "recipients": ["ops@example.com"]})).await.ok();
    let (_, key) = plane.machine("m", "read", json!({})).await;
    for days in [69, 16] {
        plane.clock.advance(Lifetime::from_days(days));
        plane.app.plan_notices().await;
        plane.app.deliver_notices().await;
    }
    server.refuse.lock().unwrap().clear();
    plane.clock.advance(Lifetime::from_seconds(7 * 3600));
    plane.app.deliver_notices().await;
    let of_key = |taken: &&Taken| taken.to == "ops@example.com" && plain(&taken.text).contains(&id_of(&key));
    assert_eq!(server.all().iter().filter(of_key).count(), 1);
}

#[tokio::test]
async fn a_test_mail_is_an_admins_to_send_stands_in_the_trail_and_tells_what_the_server_said() {
    let plane = Plane::start().await;
    let (_, developer) = plane.machine("d", "developer", json!({})).await;
    let to = json!({"to": "ops@example.com"});
    plane.post("/notices/test-mail", &developer, to.clone()).await.refused(403, "forbidden");
    let refused = plane.post("/notices/test-mail", &plane.owner, to.clone()).await.refused(400, "invalid_argument");
    assert!(refused["hint"].as_str().unwrap().contains("mail.host"), "{refused}");
    let server = Server::start().await;
    plane.app.use_mail(&settings(server.port)).unwrap();
    plane.post("/notices/test-mail", &plane.owner, json!({"to": "nobody"})).await.refused(400, "invalid_argument");
    assert_eq!(plane.again("/notices/test-mail", &plane.owner, &to, "once").await.ok()["accepted"], true);
    assert_eq!(plane.again("/notices/test-mail", &plane.owner, &to, "once").await.ok()["accepted"], true);
    assert_eq!(server.all().len(), 1, "the same request sends one mail");
    assert!(plane.audit().await.iter().any(|entry| entry["objectKind"] == "test_mail" && entry["result"] == "ok"));
    server.refuse.lock().unwrap().push("ops@example.com".to_owned());
    let told = plane.post("/notices/test-mail", &plane.owner, to).await.ok();
    assert!(told["accepted"] == false && told["failure"].as_str().unwrap().contains("nobody here"), "{told}");
}
