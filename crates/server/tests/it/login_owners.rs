//! No way leads an admin to an owner's rights: every rule about owners asks for what somebody effectively is, by the own role, by a
//! group, by a custom role; and an invitation is worth what its maker may do at the moment it is used.

use crate::harness::{Plane, id_of};
use crate::login::{Browser, PASSWORD, by_password, code_of, invite, is_in, member, start};
use crate::login_tools::tokens;
use countersign_server::login::SecondFactor;
use serde_json::{Value, json};

async fn group(plane: &Plane, name: &str, role: &str, members: &[&str]) -> String {
    let body = json!({"name": name, "access": {"accountRole": role}});
    let id = plane.post("/user-groups", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
    for member in members {
        plane.post(&format!("/user-groups/{id}/members"), &plane.owner, json!({"userId": member})).await.ok();
    }
    id
}

async fn opens(plane: &Plane, address: &str) -> bool {
    let mut browser = Browser::default();
    let shown = browser.get(plane, address).await.status == 200;
    let answer = browser.post(plane, "/invitation", &[("code", &code_of(address)), ("password", PASSWORD), ("again", PASSWORD)]).await;
    assert_eq!(shown, answer.status == 303, "{}", answer.text);
    shown
}

async fn invite_by(plane: &Plane, key: &str, email: &str, role: &str) -> (String, String) {
    let made = plane.post("/users", key, json!({"email": email, "access": {"accountRole": role}})).await.ok();
    let address = made["invitationUrl"].as_str().unwrap().strip_prefix("https://localhost:8443").unwrap().to_owned();
    (made["id"].as_str().unwrap().to_owned(), address)
}

#[tokio::test]
async fn no_operation_of_an_admin_reaches_an_owner_whatever_makes_him_one() {
    let plane = start(SecondFactor::None).await;
    let (admin_id, admin) = plane.machine("admin", "admin", json!({})).await;
    let ns = plane.namespace("team").await;
    for (n, direct) in [true, false].into_iter().enumerate() {
        // One who never logged in, and one with a session and a key.
        let (pending, old_link) = invite(&plane, &format!("new{n}@example.test"), if direct { "owner" } else { "read" }).await;
        let (boss, mut browser) = member(&plane, &format!("boss{n}@example.test"), if direct { "owner" } else { "read" }).await;
        let members: &[&str] = if direct { &[] } else { &[&pending, &boss] };
        let owners = group(&plane, &format!("owners{n}"), "owner", members).await;
        if !direct {
            assert!(!is_in(&plane, &mut browser).await && !opens(&plane, &old_link).await);
            browser = by_password(&plane, &format!("boss{n}@example.test"), PASSWORD).await.0;
        }
        let (access, _) = tokens(&plane, &mut browser).await;
        let key = plane.post("/api-keys", &access, json!({"name": "mine"})).await.ok();
        let key = key["id"].as_str().unwrap();
        plane.post(&format!("/api-keys/{key}/disable"), &access, Value::Null).await.ok();
        let session = id_of(browser.session().unwrap());
        let members = format!("/user-groups/{owners}/members");
        let (reader, _) = plane.machine(&format!("reader{n}"), "read", json!({})).await;
        let attempts = [
            ("POST", format!("/users/{pending}/invitation"), json!({})),
            ("POST", format!("/users/{boss}/invitation"), json!({})),
            ("PATCH", format!("/users/{boss}"), json!({"accountRole": "read"})),
            ("PATCH", format!("/users/{boss}"), json!({"accountRole": "admin"})),
            ("PATCH", format!("/users/{boss}"), json!({"namespacePermissions": {ns.clone(): "read"}})),
            ("PATCH", format!("/users/{pending}"), json!({"accountRole": "metrics_read"})),
            ("PUT", format!("/namespaces/{ns}/access"), json!({"id": boss, "permission": "read"})),
            ("DELETE", format!("/users/{boss}"), Value::Null),
            ("DELETE", format!("/users/{pending}"), Value::Null),
            ("DELETE", format!("/sessions/{session}"), Value::Null),
            ("POST", format!("/api-keys/{key}/enable"), Value::Null),
            ("PATCH", format!("/api-keys/{key}"), json!({"disabled": false})),
            ("POST", members.clone(), json!({"userId": pending})),
            ("DELETE", format!("{members}/{pending}"), Value::Null),
            ("DELETE", format!("/user-groups/{owners}"), Value::Null),
            ("PATCH", format!("/user-groups/{owners}"), json!({"name": "x"})),
            ("PATCH", format!("/user-groups/{owners}"), json!({"access": {"accountRole": "admin"}})),
            ("POST", "/users".to_owned(), json!({"email": "x@example.test", "access": {"accountRole": "owner"}})),
            ("POST", "/user-groups".to_owned(), json!({"name": "x", "access": {"accountRole": "owner"}})),
            ("PATCH", format!("/service-accounts/{reader}"), json!({"accountRole": "owner"})),
            ("PATCH", format!("/service-accounts/{admin_id}"), json!({"accountRole": "owner"})),
        ];
        for (method, path, body) in attempts {
            let answer = plane.call(method, &path, &admin, body.clone()).await;
            assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{direct} {method} {path} {body}: {}", answer.text);
        }
        assert!(is_in(&plane, &mut browser).await, "{direct}");
        plane.get("/account", &access).await.ok();
        // An owner does each of it.
        plane.post(&format!("/users/{pending}/invitation"), &plane.owner, json!({})).await.ok();
        plane.call("DELETE", &format!("/sessions/{session}"), &plane.owner, Value::Null).await.ok();
    }
}

#[tokio::test]
async fn an_admin_reaches_no_finance_admin_by_an_invitation_or_a_group() {
    let plane = start(SecondFactor::None).await;
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    let (direct, _) = invite(&plane, "a@example.test", "finance_admin").await;
    let (by_group, _) = invite(&plane, "b@example.test", "admin").await;
    let finance = group(&plane, "finance", "finance_admin", &[&by_group]).await;
    for user in [&direct, &by_group] {
        plane.post(&format!("/users/{user}/invitation"), &admin, json!({})).await.refused(403, "forbidden");
    }
    for (method, path) in [("DELETE", format!("/user-groups/{finance}/members/{by_group}")), ("DELETE", format!("/user-groups/{finance}"))]
    {
        plane.call(method, &path, &admin, Value::Null).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_kept_link_lets_nobody_in_as_more_than_it_was_made_for() {
    let plane = start(SecondFactor::None).await;
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    for (n, way) in ["direct", "membership", "group"].into_iter().enumerate() {
        let (user, link) = invite_by(&plane, &admin, &format!("u{n}@example.test"), "read").await;
        match way {
            "direct" => drop(plane.call("PATCH", &format!("/users/{user}"), &plane.owner, json!({"accountRole": "owner"})).await.ok()),
            "membership" => drop(group(&plane, way, "owner", &[&user]).await),
            _ => {
                let id = group(&plane, way, "read", &[&user]).await;
                let body = json!({"access": {"accountRole": "owner"}});
                plane.call("PATCH", &format!("/user-groups/{id}"), &plane.owner, body).await.ok();
            }
        }
        assert!(!opens(&plane, &link).await, "{way}");
        plane.post(&format!("/users/{user}/invitation"), &admin, json!({})).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn an_owner_by_a_group_needs_a_second_factor_as_any_owner() {
    let plane = start(SecondFactor::Owners).await;
    let (ann, mut browser) = member(&plane, "ann@example.test", "read").await;
    let (access, _) = tokens(&plane, &mut browser).await;
    let owners = group(&plane, "owners", "owner", &[&ann]).await;
    // The session of before the promotion is no owner's, nor anybody's.
    assert!(!is_in(&plane, &mut browser).await);
    plane.get("/account", &access).await.refused(401, "unauthenticated");
    let (mut again, answer) = by_password(&plane, "ann@example.test", PASSWORD).await;
    assert!(answer.headers["location"].to_str().unwrap().starts_with("/login/enrol") && again.session().is_none());
    let page = again.get(&plane, "/login/enrol").await;
    let secret = crate::login::secret_in(&page.text);
    again.post(&plane, "/login/enrol", &[("code", &crate::login::totp(&plane, &secret, 0))]).await;
    assert!(is_in(&plane, &mut again).await);
    // It is not taken away while it is needed, whatever the form says.
    let code = crate::login::totp(&plane, &secret, 1);
    assert_eq!(again.post(&plane, "/security/second", &[("do", "remove"), ("code", &code)]).await.status, 403);
    plane.call("DELETE", &format!("/user-groups/{owners}/members/{ann}"), &plane.owner, Value::Null).await.ok();
    assert!(is_in(&plane, &mut again).await, "who has less now goes on with less");
    assert_eq!(again.post(&plane, "/security/second", &[("do", "remove"), ("code", &code)]).await.status, 303);
}

#[tokio::test]
async fn an_invitation_ends_with_the_rights_of_its_maker() {
    let plane = start(SecondFactor::None).await;
    let cases = ["demoted", "deleted", "key disabled", "key deleted", "left the group", "group demoted", "nothing"];
    for (n, case) in cases.into_iter().enumerate() {
        let by_group = matches!(case, "left the group" | "group demoted");
        let email = format!("maker{n}@example.test");
        let (maker, _) = member(&plane, &email, if by_group { "read" } else { "admin" }).await;
        let members: &[&str] = if by_group { &[&maker] } else { &[] };
        let admins = group(&plane, &format!("admins{n}"), "admin", members).await;
        let mut browser = by_password(&plane, &email, PASSWORD).await.0;
        let (access, _) = tokens(&plane, &mut browser).await;
        let key = plane.post("/api-keys", &access, json!({"name": "mine"})).await.ok()["secretKey"].as_str().unwrap().to_owned();
        let with = if case.starts_with("key") { &key } else { &access };
        let (_, link) = invite_by(&plane, with, &format!("new{n}@example.test"), "admin").await;
        let owner = &plane.owner;
        match case {
            "demoted" => plane.call("PATCH", &format!("/users/{maker}"), owner, json!({"accountRole": "developer"})).await,
            "deleted" => plane.call("DELETE", &format!("/users/{maker}"), owner, Value::Null).await,
            "key disabled" => plane.post(&format!("/api-keys/{}/disable", id_of(&key)), owner, Value::Null).await,
            "key deleted" => plane.call("DELETE", &format!("/api-keys/{}", id_of(&key)), owner, Value::Null).await,
            "left the group" => plane.call("DELETE", &format!("/user-groups/{admins}/members/{maker}"), owner, Value::Null).await,
            "group demoted" => {
                let body = json!({"access": {"accountRole": "developer"}});
                plane.call("PATCH", &format!("/user-groups/{admins}"), owner, body).await
            }
            _ => plane.get("/account", owner).await,
        }
        .ok();
        assert_eq!(opens(&plane, &link).await, case == "nothing", "{case}");
    }
    // A service account is a maker as well.
    let (machine, key) = plane.machine("inviter", "admin", json!({})).await;
    let (_, link) = invite_by(&plane, &key, "last@example.test", "read").await;
    plane.call("PATCH", &format!("/service-accounts/{machine}"), &plane.owner, json!({"accountRole": "read"})).await.ok();
    assert!(!opens(&plane, &link).await);
    plane.call("PATCH", &format!("/service-accounts/{machine}"), &plane.owner, json!({"accountRole": "admin"})).await.ok();
    assert!(opens(&plane, &link).await, "it is judged by what holds when it is used");
}
