//! How CRLs and OCSP answers are given out over HTTP, and what becomes of them when the clock is set (RFC 5019, RFC 5280 section 5.1).

use crate::issuers::Publishing;
use crate::issuing::application;
use countersign_core::time::Lifetime;

/// What curl printed of one answer: its head in lower case, and where the body was written.
async fn asked(at: &Publishing, url: &str, body: &str, fields: &[&str]) -> String {
    let mut words = vec!["curl", "-sS", "-D", "-", "-o", body, url];
    for field in fields {
        words.extend(["-H", field]);
    }
    Publishing::good(at.run(&words).await).to_lowercase()
}

fn field<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{name} is missing: {head}")).trim()
}

/// The path of a GET about `<name>.pem`.
async fn question(at: &Publishing, name: &str) -> String {
    let certificate = format!("{name}.pem");
    Publishing::good(at.run(&["openssl", "ocsp", "-issuer", "ca.pem", "-cert", &certificate, "-no_nonce", "-reqout", "r.der"]).await);
    let text = Publishing::good(at.run(&["openssl", "base64", "-A", "-in", "r.der"]).await);
    format!("{}/pki/ocsp/{}", at.base, text.trim().replace('/', "%2F").replace('+', "%2B").replace('=', "%3D"))
}

#[tokio::test]
async fn f8_a_cache_may_keep_an_answer_and_is_told_when_nothing_changed() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let made = at.leaf("app", "leaf").await;
    at.fetch_chain().await;
    let url = question(&at, "leaf").await;
    let first = asked(&at, &url, "first", &[]).await;
    assert_eq!(field(&first, "cache-control"), "max-age=300, public, no-transform, must-revalidate");
    assert!(field(&first, "last-modified").ends_with("gmt") && field(&first, "expires").ends_with("gmt"), "{first}");
    assert_ne!(field(&first, "last-modified"), field(&first, "expires"));
    let tag = field(&first, "etag").to_owned();
    // The same question has the same answer, and one who has it is told so.
    let again = asked(&at, &url, "again", &[]).await;
    assert_eq!((field(&again, "etag"), at.read("again")), (tag.as_str(), at.read("first")));
    let matching = [format!("if-none-match: {tag}"), format!("if-none-match: \"other\", W/{tag}"), "if-none-match: *".to_owned()];
    for given in &matching {
        let head = asked(&at, &url, "none", &[given]).await;
        assert!(head.starts_with("http/1.1 304") && field(&head, "etag") == tag, "{given}: {head}");
        assert!(field(&head, "expires").ends_with("gmt") && !head.contains("content-type"), "{head}");
    }
    assert!(asked(&at, &url, "none", &["if-none-match: \"other\""]).await.starts_with("http/1.1 200"));
    // It becomes older with its answer, and a revocation is not kept back by it.
    at.plane.clock.advance(Lifetime::from_seconds(100));
    assert!(field(&asked(&at, &url, "again", &[]).await, "cache-control").starts_with("max-age=200,"));
    at.revoke(&made, "superseded").await;
    let after = asked(&at, &url, "after", &[&matching[0]]).await;
    assert!(after.starts_with("http/1.1 200") && field(&after, "etag") != tag, "{after}");
    let said = at.run(&["openssl", "ocsp", "-respin", "after", "-issuer", "ca.pem", "-cert", "leaf.pem", "-CAfile", "chain.pem"]).await;
    assert!(Publishing::good(said).contains("leaf.pem: revoked"));
    // A list has the same words for the same things.
    let list = format!("{}/pki/sandbox-1.crl", at.base);
    let tag = field(&asked(&at, &list, "list", &[]).await, "etag").to_owned();
    for given in [format!("if-none-match: \"0\", {tag}"), "if-none-match: *".to_owned()] {
        assert!(asked(&at, &list, "none", &[&given]).await.starts_with("http/1.1 304"), "{given}");
    }
    // A refusal is nobody's to keep.
    let head = asked(&at, &format!("{}/pki/ocsp/AAAA", at.base), "none", &[]).await;
    assert!(field(&head, "cache-control").starts_with("max-age=0,") && !head.contains("etag"), "{head}");
}

#[tokio::test]
async fn what_was_published_while_the_clock_was_ahead_is_made_anew_when_it_came_back() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let kept = at.leaf("app", "kept").await;
    at.leaf("app", "fine").await;
    at.fetch_chain().await;
    let url = question(&at, "fine").await;
    at.plane.clock.advance(Lifetime::from_days(3));
    at.revoke(&kept, "superseded").await;
    at.fetch("sandbox-1.crl", "ahead.crl").await;
    at.ocsp(&["-cert", "fine.pem", "-noverify"]).await;
    asked(&at, &url, "ahead.der", &[]).await;
    at.plane.clock.advance(Lifetime::from_days(-3));
    at.fetch("sandbox-1.crl", "x.crl").await;
    Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "x.crl", "-out", "x.pem"]).await);
    let verify = ["openssl", "verify", "-crl_check", "-CAfile", "root.pem", "-untrusted", "ca.pem", "-CRLfile", "x.pem"];
    Publishing::good(at.run(&[&verify[..], &["fine.pem"]].concat()).await);
    let (so, said) = at.run(&[&verify[..], &["kept.pem"]].concat()).await;
    assert!(!so && said.contains("certificate revoked"), "{said}");
    let said = at.ocsp(&["-cert", "fine.pem", "-cert", "kept.pem"]).await;
    assert!(said.contains("fine.pem: good") && said.contains("kept.pem: revoked"), "{said}");
    assert!(said.contains("Response verify OK") && !said.contains("WARNING"), "{said}");
    assert!(asked(&at, &url, "back.der", &[]).await.starts_with("http/1.1 200"));
    assert_ne!(at.read("back.der"), at.read("ahead.der"));
    // No date of the list lies in the future.
    let text = Publishing::good(at.run(&["openssl", "crl", "-in", "x.pem", "-noout", "-text"]).await);
    let of = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(of("Revocation Date:"), of("Last Update:"), "{text}");
}
