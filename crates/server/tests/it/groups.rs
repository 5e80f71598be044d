//! Rights that come by groups, by custom roles, and in one namespace: given, used, taken, and never widened.

use crate::harness::Plane;
use serde_json::{Value, json};

async fn user(plane: &Plane, email: &str, role: &str) -> String {
    let body = json!({"email": email, "access": {"accountRole": role}});
    plane.post("/users", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned()
}

async fn group(plane: &Plane, name: &str, access: Value) -> String {
    plane.post("/user-groups", &plane.owner, json!({"name": name, "access": access})).await.ok()["id"].as_str().unwrap().to_owned()
}

fn access_of(plane: &Plane, user: &str) -> countersign_core::Access {
    let id = countersign_core::IdentityId::parse(user).unwrap();
    plane.app.snapshot().identity(&id).unwrap().as_ref().clone()
}

#[tokio::test]
async fn who_is_put_into_a_group_has_its_rights_and_who_leaves_it_has_them_no_more() {
    let plane = Plane::start().await;
    let ns = plane.namespace("team").await;
    let person = user(&plane, "a@b.c", "read").await;
    let id = group(&plane, "admins", json!({"accountRole": "developer", "namespacePermissions": {ns.clone(): "write"}})).await;
    let members = format!("/user-groups/{id}/members");
    let changed = plane.post(&members, &plane.owner, json!({"userId": person})).await.ok();
    assert_eq!(changed["requestStatus"]["operationType"], "AddUserGroupMember");
    let namespace = countersign_core::NamespaceId::parse(&ns).unwrap();
    let rights = access_of(&plane, &person);
    assert_eq!(rights.account_role, countersign_core::AccountRole::Developer);
    assert_eq!(rights.permission(&namespace), Some(countersign_core::NamespacePermission::Write));
    plane.assert_snapshot_is_the_stores().await;
    plane.post(&members, &plane.owner, json!({"userId": person})).await.refused(400, "nothing_to_change");
    assert_eq!(plane.get(&members, &plane.owner).await.ok()["items"][0]["userId"], person.as_str());
    // A change of the group is a change of every member.
    let change = json!({"access": {"accountRole": "read", "namespacePermissions": {ns.clone(): "admin"}}});
    plane.call("PATCH", &format!("/user-groups/{id}"), &plane.owner, change.clone()).await.ok();
    plane.call("PATCH", &format!("/user-groups/{id}"), &plane.owner, change).await.refused(400, "nothing_to_change");
    assert_eq!(access_of(&plane, &person).permission(&namespace), Some(countersign_core::NamespacePermission::Admin));
    plane.call("DELETE", &format!("{members}/{person}"), &plane.owner, Value::Null).await.ok();
    assert_eq!(access_of(&plane, &person).permission(&namespace), None);
    plane.post(&members, &plane.owner, json!({"userId": person})).await.ok();
    plane.call("DELETE", &format!("/user-groups/{id}"), &plane.owner, Value::Null).await.ok();
    assert_eq!(access_of(&plane, &person).permission(&namespace), None);
    plane.assert_snapshot_is_the_stores().await;
    // A user who is in a group can be deleted.
    let other = group(&plane, "others", json!({"accountRole": "read"})).await;
    plane.post(&format!("/user-groups/{other}/members"), &plane.owner, json!({"userId": person})).await.ok();
    plane.call("DELETE", &format!("/users/{person}"), &plane.owner, Value::Null).await.ok();
    let left = plane.get(&format!("/user-groups/{other}/members"), &plane.owner).await.ok();
    assert_eq!(left["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_group_is_no_way_round_the_rule_that_nobody_gives_more_than_he_has() {
    let plane = Plane::start().await;
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    let (_, reader) = plane.machine("reader", "read", json!({})).await;
    let person = user(&plane, "a@b.c", "read").await;
    let owners = group(&plane, "owners", json!({"accountRole": "owner"})).await;
    for (key, path, body) in [
        (&admin, "/user-groups".to_owned(), json!({"name": "x", "access": {"accountRole": "owner"}})),
        (&admin, format!("/user-groups/{owners}/members"), json!({"userId": person})),
        (&reader, "/user-groups".to_owned(), json!({"name": "x", "access": {"accountRole": "metrics_read"}})),
        (&reader, "/custom-roles".to_owned(), json!({"name": "x", "permissions": []})),
    ] {
        plane.post(&path, key, body).await.refused(403, "forbidden");
    }
    plane.call("DELETE", &format!("/user-groups/{owners}"), &admin, Value::Null).await.refused(403, "forbidden");
    let change = json!({"name": "y", "access": {"accountRole": "read"}});
    plane.call("PATCH", &format!("/user-groups/{owners}"), &admin, change).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_custom_role_lets_its_holder_do_what_it_names_where_it_names_it() {
    let plane = Plane::start().await;
    let (here, there) = (plane.namespace("here").await, plane.namespace("there").await);
    let actions = json!(["cloud.namespace.get", "cloud.namespace.update"]);
    let line = json!({"resourceType": "namespace", "resourceIds": [here], "actions": actions});
    let made = plane.post("/custom-roles", &plane.owner, json!({"name": "ops", "permissions": [line.clone()]})).await.ok();
    let role = made["id"].as_str().unwrap().to_owned();
    let body = json!({"name": "m", "access": {"accountRole": "read", "customRoles": [role]}});
    let machine = plane.post("/service-accounts", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
    let key = plane.key_for(&machine).await;
    let edit = json!({"snapshotAgeMaxSeconds": 100});
    plane.call("PATCH", &format!("/namespaces/{here}"), &key, edit.clone()).await.ok();
    plane.call("PATCH", &format!("/namespaces/{there}"), &key, edit).await.refused(404, "not_found");
    plane.call("DELETE", &format!("/namespaces/{here}"), &key, Value::Null).await.refused(404, "not_found");
    // It gives no right at the gateway.
    let namespace = countersign_core::NamespaceId::parse(&here).unwrap();
    assert_eq!(access_of(&plane, &machine).permission(&namespace), None);
    // What is taken from the role is taken from its holders, and a deleted role from everybody.
    let less = json!({"permissions": [{"resourceType": "namespace", "resourceIds": [here], "actions": ["cloud.namespace.get"]}]});
    plane.call("PATCH", &format!("/custom-roles/{role}"), &plane.owner, less).await.ok();
    plane.call("PATCH", &format!("/namespaces/{here}"), &key, json!({"snapshotAgeMaxSeconds": 101})).await.refused(404, "not_found");
    plane.get(&format!("/namespaces/{here}"), &key).await.ok();
    plane.call("DELETE", &format!("/custom-roles/{role}"), &plane.owner, Value::Null).await.ok();
    plane.get(&format!("/namespaces/{here}"), &key).await.refused(404, "not_found");
    let shown = plane.get(&format!("/service-accounts/{machine}"), &plane.owner).await.ok();
    assert_eq!(shown["access"].get("customRoles"), None, "{shown}");
    plane.assert_snapshot_is_the_stores().await;
    for (bad, why) in [
        (json!([]), "1 to 50"),
        (json!([{"resourceType": "namespace", "allowAll": true, "actions": ["cloud.namespace.upate"]}]), "cloud.namespace.update"),
        (
            json!([{"resourceType": "account", "allowAll": true, "actions": ["cloud.namespace.update"]}]),
            "done to the resource type namespace",
        ),
        (json!([{"resourceType": "planet", "allowAll": true, "actions": ["cloud.namespace.update"]}]), "no resource type"),
        (json!([{"resourceType": "namespace", "actions": ["cloud.namespace.update"]}]), "by allowAll"),
    ] {
        let refused = plane.post("/custom-roles", &plane.owner, json!({"name": "z", "permissions": bad})).await;
        assert!(refused.text.contains(why), "{}", refused.text);
        refused.refused(400, "invalid_argument");
    }
}

#[tokio::test]
async fn who_may_write_roles_by_a_role_gives_no_more_than_he_has() {
    let plane = Plane::start().await;
    let lines = json!([
        {"resourceType": "account", "allowAll": true, "actions": ["cloud.customrole.create"]},
        {"resourceType": "custom_role", "allowAll": true, "actions": ["cloud.customrole.update", "cloud.customrole.get"]},
    ]);
    let role = plane.post("/custom-roles", &plane.owner, json!({"name": "writer", "permissions": lines})).await.ok();
    let body = json!({"name": "m", "access": {"accountRole": "read", "customRoles": [role["id"]]}});
    let machine = plane.post("/service-accounts", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
    let key = plane.key_for(&machine).await;
    let more = json!([{"resourceType": "namespace", "allowAll": true, "actions": ["cloud.namespace.delete"]}]);
    plane.post("/custom-roles", &key, json!({"name": "more", "permissions": more})).await.refused(403, "forbidden");
    let path = format!("/custom-roles/{}", role["id"].as_str().unwrap());
    plane.call("PATCH", &path, &key, json!({"permissions": more})).await.refused(403, "forbidden");
    let same = json!([{"resourceType": "custom_role", "allowAll": true, "actions": ["cloud.customrole.get"]}]);
    plane.post("/custom-roles", &key, json!({"name": "same", "permissions": same})).await.ok();
}

#[tokio::test]
async fn a_namespace_admin_gives_permissions_in_his_namespace_and_sees_who_has_them() {
    let plane = Plane::start().await;
    let (a, b) = (plane.namespace("aa").await, plane.namespace("bb").await);
    let (_, boss) = plane.machine("boss", "read", json!({a.clone(): "admin"})).await;
    let (writer, writer_key) = plane.machine("writer", "read", json!({a.clone(): "write"})).await;
    let person = user(&plane, "a@b.c", "read").await;
    let path = format!("/namespaces/{a}/access");
    plane.call("PUT", &path, &boss, json!({"id": person, "permission": "admin"})).await.ok();
    plane.call("PUT", &path, &boss, json!({"id": person, "permission": "admin"})).await.refused(400, "nothing_to_change");
    plane
        .call("PUT", &format!("/namespaces/{b}/access"), &boss, json!({"id": person, "permission": "read"}))
        .await
        .refused(404, "not_found");
    plane.call("PUT", &path, &writer_key, json!({"id": writer, "permission": "admin"})).await.refused(403, "forbidden");
    let shown = plane.get(&format!("/namespaces/{a}/assignments?kind=user"), &boss).await.ok();
    let items = shown["items"].as_array().unwrap();
    assert!(items.iter().any(|one| one["id"] == person.as_str() && one["permission"] == "admin"), "{shown}");
    assert!(items.iter().any(|one| one["permission"].is_null() && one["inherited"] == "admin"), "the owner inherits: {shown}");
    plane.get(&format!("/namespaces/{a}/assignments"), &writer_key).await.refused(403, "forbidden");
    plane.call("PUT", &path, &boss, json!({"id": person})).await.ok();
    let (scoped, _) = plane.scoped("scoped", &a, "read").await;
    plane.call("PUT", &path, &boss, json!({"id": scoped, "permission": "write"})).await.ok();
    plane.call("PUT", &path, &boss, json!({"id": scoped})).await.refused(400, "invalid_argument");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_namespace_keeps_what_temporals_tools_keep_with_it() {
    let plane = Plane::start().await;
    let body = json!({"name": "cloud", "retentionDays": 30, "searchAttributes": {"CustomerId": "keyword"}, "tags": {"team": "a"},
        "codecServer": {"endpoint": "https://codec.example.com/x", "passAccessToken": true}, "deleteProtection": true});
    plane.post("/namespaces", &plane.owner, body).await.ok();
    let shown = plane.get("/namespaces/cloud", &plane.owner).await.ok();
    assert_eq!(
        (shown["retentionDays"].as_i64(), &shown["searchAttributes"]["CustomerId"], &shown["regions"][0]),
        (Some(30), &json!("keyword"), &json!("local"))
    );
    plane.call("DELETE", "/namespaces/cloud", &plane.owner, Value::Null).await.refused(409, "delete_protected");
    for (bad, why) in [
        (json!({"retentionDays": 0}), "1 to 90"),
        (json!({"searchAttributes": {"x": "planet"}}), "no type"),
        (json!({"codecServer": {"endpoint": "http://x"}}), "https"),
        (json!({"regions": ["mars"]}), "there are: local, aws-us-east-1"),
    ] {
        let refused = plane.call("PATCH", "/namespaces/cloud", &plane.owner, bad).await;
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    plane.call("PATCH", "/namespaces/cloud", &plane.owner, json!({"deleteProtection": false, "codecServer": {"endpoint": ""}})).await.ok();
    let rename = json!({"existingName": "CustomerId", "newName": "ClientId"});
    plane.post("/namespaces/cloud/rename-search-attribute", &plane.owner, rename.clone()).await.ok();
    plane.post("/namespaces/cloud/rename-search-attribute", &plane.owner, rename).await.refused(409, "already_exists");
    plane.post("/namespaces/cloud/tags", &plane.owner, json!({"upsert": {"cost": "1"}, "remove": ["team"]})).await.ok();
    plane.post("/namespaces/cloud/tags", &plane.owner, json!({"upsert": {"cost": "1"}})).await.refused(400, "nothing_to_change");
    plane.post("/namespaces/cloud/tags", &plane.owner, json!({"upsert": {"Cost": "1"}})).await.refused(400, "invalid_argument");
    let shown = plane.get("/namespaces/cloud", &plane.owner).await.ok();
    assert_eq!(
        (&shown["tags"], &shown["codecServer"], &shown["searchAttributes"]),
        (&json!({"cost": "1"}), &Value::Null, &json!({"ClientId": "keyword"}))
    );
    let listed = plane.get("/namespaces?name=cloud", &plane.owner).await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(plane.get("/regions/aws-us-east-1", &plane.owner).await.ok()["cloudProvider"], "aws");
    plane.call("DELETE", "/namespaces/cloud", &plane.owner, Value::Null).await.ok();
}

#[tokio::test]
async fn a_deleted_namespace_leaves_no_rights_to_a_later_one_of_its_name_by_a_group() {
    let plane = Plane::start().await;
    let ns = plane.namespace("again").await;
    let person = user(&plane, "a@b.c", "read").await;
    let id = group(&plane, "team", json!({"accountRole": "read", "namespacePermissions": {ns.clone(): "admin"}})).await;
    plane.post(&format!("/user-groups/{id}/members"), &plane.owner, json!({"userId": person})).await.ok();
    plane.call("DELETE", &format!("/namespaces/{ns}"), &plane.owner, Value::Null).await.ok();
    assert_eq!(plane.namespace("again").await, ns);
    let namespace = countersign_core::NamespaceId::parse(&ns).unwrap();
    assert_eq!(access_of(&plane, &person).permission(&namespace), None);
    plane.assert_snapshot_is_the_stores().await;
    plane.call("DELETE", &format!("/users/{person}"), &plane.owner, Value::Null).await.ok();
    plane.assert_snapshot_is_the_stores().await;
}

/// Seed 002: a Global Admin disables and deletes the keys of any user. That takes access away, and whatever gives it is owners' matter.
#[tokio::test]
async fn a_global_admin_disables_and_deletes_an_owners_key_and_gives_none_back() {
    let plane = Plane::start().await;
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    let made = plane.post("/api-keys", &plane.owner, json!({"name": "leaked"})).await.ok();
    let (id, key) = (made["id"].as_str().unwrap(), made["secretKey"].as_str().unwrap());
    let path = format!("/api-keys/{id}");
    plane.call("PATCH", &path, &admin, json!({"name": "mine"})).await.refused(403, "forbidden");
    plane.call("PATCH", &path, &admin, json!({"name": "mine", "disabled": true})).await.refused(403, "forbidden");
    plane.call("PATCH", &path, &admin, json!({"name": "leaked", "description": "", "disabled": true})).await.ok();
    plane.get("/current-identity", key).await.refused(401, "invalid_api_key");
    plane.post(&format!("{path}/enable"), &admin, Value::Null).await.refused(403, "forbidden");
    plane.post(&format!("{path}/enable"), &plane.owner, Value::Null).await.ok();
    plane.post(&format!("{path}/disable"), &admin, Value::Null).await.ok();
    plane.call("DELETE", &path, &admin, Value::Null).await.ok();
    plane.get(&path, &plane.owner).await.refused(404, "not_found");
    // A developer has no word in it at all.
    let (_, developer) = plane.machine("developer", "developer", json!({})).await;
    let own = crate::harness::id_of(&plane.owner);
    plane.call("DELETE", &format!("/api-keys/{own}"), &developer, Value::Null).await.refused(404, "not_found");
}

#[tokio::test]
async fn an_owners_matters_are_the_owners_also_where_a_group_makes_one() {
    let plane = Plane::start().await;
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    let person = user(&plane, "a@b.c", "read").await;
    let owners = group(&plane, "owners", json!({"accountRole": "owner"})).await;
    plane.post(&format!("/user-groups/{owners}/members"), &plane.owner, json!({"userId": person})).await.ok();
    plane.call("DELETE", &format!("/users/{person}"), &admin, Value::Null).await.refused(403, "forbidden");
}

#[tokio::test]
async fn what_one_reader_takes_for_one_thing_and_another_for_another_is_refused() {
    let plane = Plane::start().await;
    let ns = plane.namespace("once").await;
    let text = format!(
        r#"{{"email": "a@b.c", "access": {{"accountRole": "read", "namespacePermissions": {{"{ns}": "read", "{ns}": "admin"}}}}}}"#
    );
    let mut request = Plane::request("POST", "/users", &plane.owner, None);
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *request.body_mut() = text.into();
    plane.send(request).await.refused(400, "invalid_argument");
    for name in ["a\u{202e}b", "a\u{200b}b", "\u{feff}ab"] {
        let body = json!({"name": name, "access": {"accountRole": "read"}});
        plane.post("/user-groups", &plane.owner, body).await.refused(400, "invalid_argument");
    }
    plane.post("/namespaces", &plane.owner, json!({"name": "xn--80ak6aa92e"})).await.refused(400, "invalid_argument");
}

#[tokio::test]
async fn the_trail_is_read_from_either_end_by_actor_object_and_result() {
    let plane = Plane::start().await;
    plane.namespace("trail").await;
    let (reader, key) = plane.machine("reader", "read", json!({})).await;
    plane.post("/user-groups", &key, json!({"name": "x", "access": {"accountRole": "read"}})).await.refused(403, "forbidden");
    let of_reader = plane.get(&format!("/audit?actor_id={reader}&result=forbidden"), &plane.owner).await.ok();
    assert_eq!(of_reader["items"].as_array().unwrap().len(), 1);
    assert_eq!(of_reader["items"][0]["action"], "CreateUserGroup");
    let of_namespaces = plane.get("/audit?object_kind=namespace", &plane.owner).await.ok();
    let kinds: Vec<_> = of_namespaces["items"].as_array().unwrap().iter().map(|entry| entry["objectKind"].as_str().unwrap()).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == "namespace"), "{kinds:?}");
    let all = plane.audit().await;
    let mut back = Vec::new();
    let mut token = String::new();
    loop {
        let page = plane.get(&format!("/audit?order=desc&page_size=2&page_token={token}"), &plane.owner).await.ok();
        back.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["sequence"].as_i64().unwrap()));
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(back.first(), all.last().map(|entry| entry["sequence"].as_i64().unwrap()).as_ref());
    assert!(back.is_sorted_by(|a, b| a == &(b + 1)), "{back:?}");
    plane.get("/audit?order=up", &plane.owner).await.refused(400, "invalid_argument");
}

#[tokio::test]
async fn an_action_that_is_not_known_is_answered_with_the_nearest_one() {
    let plane = Plane::start().await;
    let line = json!({"resourceType": "namespace", "allowAll": true, "actions": ["cloud.namespace.gett"]});
    let refused =
        plane.post("/custom-roles", &plane.owner, json!({"name": "x", "permissions": [line]})).await.refused(400, "invalid_argument");
    assert!(refused["detail"].as_str().unwrap().ends_with("cloud.namespace.get"), "{refused}");
}
