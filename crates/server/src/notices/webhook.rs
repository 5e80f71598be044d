//! Webhooks by the text of Standard Webhooks 1.0: id, time and signature in headers, JSON in the body. Only admins name the address
//! (promise P19), redirects are not followed, and what the receiver answers is not shown to anybody.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::{Secret, Timestamp};
use std::net::IpAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// The beginning of every secret.
pub const SECRET_PREFIX: &str = "whsec_";

/// Makes a secret of 256 random bits: its text, for the one answer that shows it, and its bytes.
pub fn mint(entropy: &dyn countersign_core::Entropy) -> (Secret, [u8; 32]) {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    (Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))), bytes)
}

/// Where a webhook may go: `https` anywhere, `http` to this machine's own loopback; no user, no fragment.
///
/// # Errors
/// One sentence.
pub fn check_url(text: &str) -> Result<(), String> {
    let refused = || "a webhook's address is https://HOST/…, or http:// to this machine's own loopback".to_owned();
    let url = reqwest::Url::parse(text).map_err(|_| refused())?;
    let host = url.host_str().ok_or_else(refused)?;
    let loopback = host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let known_scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if !known_scheme || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() || text.len() > 2000 {
        return Err(refused());
    }
    Ok(())
}

/// The signature of one message: `v1,` and base64 of HMAC-SHA-256 over id, time and body with dots between.
pub fn signature(secret: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

/// A client for all webhooks.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

/// Sends one message.
///
/// # Errors
/// Why the receiver did not take it: no answer, or a status that is no 2xx.
pub async fn send(client: &reqwest::Client, url: &str, secret: &[u8], id: &str, now: Timestamp, body: String) -> Result<(), String> {
    let seconds = now.seconds();
    let signature = signature(secret, id, seconds, &body);
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signature)
        .body(body);
    // The address may hold a secret of its own, so the error is told without it.
    let response = request.send().await.map_err(|error| error.without_url().to_string())?;
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_published_example() {
        // The example in the text of Standard Webhooks.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let body = r#"{"test": 2432232314}"#;
        let made = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_webhook_goes_over_https_or_to_this_machine() {
        for good in ["https://hooks.example.com/x?y=z", "http://127.0.0.1:8000/", "http://localhost/", "http://[::1]:1/"] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in ["http://hooks.example.com/", "https://user:pass@x.y/", "ftp://x", "x", "https://x/#f", "file:///etc/passwd"] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
