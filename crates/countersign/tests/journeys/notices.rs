//! Notices from the client's side: where they go, and what it says when they cannot.

use crate::plane::{Plane, text};

#[test]
fn who_is_told_is_set_and_shown_and_a_webhooks_secret_is_shown_once() {
    let plane = Plane::start();
    assert_eq!(plane.cli(&["notice", "list", "-o", "table"]).ok().stdout.trim(), "Nothing ends soon.");
    plane.cli(&["notice", "settings", "set", "--recipient", "ops@example.com", "night@example.com"]).ok();
    let settings = plane.cli(&["notice", "settings", "get"]).ok().json();
    assert_eq!(settings["recipients"].as_array().unwrap().len(), 2, "{settings}");
    plane.cli(&["notice", "settings", "set", "--recipient", "nobody"]).refused("invalid_argument");
    plane.cli(&["notice", "webhook", "create", "--url", "http://hooks.example.com/"]).refused("loopback");
    let made = plane.cli(&["notice", "webhook", "create", "--url", "https://hooks.example.com/x"]).ok().json();
    assert!(text(&made, "secret").starts_with("whsec_"), "{made}");
    let listed = plane.cli(&["notice", "webhook", "list"]).ok().stdout;
    assert!(listed.contains("hooks.example.com") && !listed.contains("whsec_"), "{listed}");
    plane.cli(&["--auto-confirm", "notice", "webhook", "delete", "--id", &text(&made, "id")]).ok();
    // No mail server is set here, and that is said with the setting to change.
    let refused = plane.cli(&["notice", "test-mail", "--to", "ops@example.com"]);
    refused.refused("mail.host");
    let calendar = plane.cli(&["notice", "calendar"]).ok().json();
    assert!(text(&calendar, "url").ends_with(".ics"), "{calendar}");
    let (status, feed) = plane.curl(&[&text(&calendar, "url")]);
    assert_eq!(status, 200, "{feed}");
    assert!(feed.starts_with("BEGIN:VCALENDAR"), "{feed}");
}
