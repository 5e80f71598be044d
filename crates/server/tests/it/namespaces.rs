//! Namespaces with their CAs, filters and APIs; registered certificates; explain.

use crate::harness::{Chance, Plane};
use countersign_core::time::Lifetime;
use countersign_server::Clock as _;
use countersign_x509::tcld::{CaRequest, LeafRequest, generate_ca, generate_leaf};
use serde_json::{Value, json};

fn ca(plane: &Plane, name: &str) -> (String, String) {
    let request = CaRequest { organization: name.to_owned(), validity: Lifetime::from_days(90), rsa: false };
    let (pem, key) = generate_ca(&request, plane.clock.now(), &Chance).unwrap();
    (pem, key.expose().to_owned())
}

/// Seed 003's own certificate, with its key behind it.
fn self_signed() -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let (key, cert) = (directory.path().join("key.pem"), directory.path().join("cert.pem"));
    let status = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-days", "365", "-nodes", "-subj", "/CN=seed-003", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    (std::fs::read_to_string(cert).unwrap(), std::fs::read_to_string(key).unwrap())
}

/// Temporal's Terraform provider changes tags beside all else, and after it renamed a search attribute it updates by the version from before.
#[tokio::test]
async fn a_version_that_lacks_only_tags_or_a_renaming_is_not_stale() {
    let plane = Plane::start().await;
    let ns = plane.namespace("versions").await;
    let path = format!("/namespaces/{ns}");
    let patch = |version: &str, body: Value| {
        let mut body = body;
        body["resourceVersion"] = version.into();
        plane.call("PATCH", &path, &plane.owner, body)
    };
    plane.call("PATCH", &path, &plane.owner, json!({"searchAttributes": {"Customer": "keyword"}})).await.ok();
    let seen = plane.get(&path, &plane.owner).await.ok()["resourceVersion"].as_str().unwrap().to_owned();
    plane.post(&format!("{path}/tags"), &plane.owner, json!({"upsert": {"team": "a"}})).await.ok();
    let rename = json!({"existingName": "Customer", "newName": "Client", "resourceVersion": seen});
    plane.post(&format!("{path}/rename-search-attribute"), &plane.owner, rename).await.ok();
    patch(&seen, json!({"retentionDays": 9})).await.ok();
    // From here on it is stale: somebody decided on another retention.
    patch(&seen, json!({"retentionDays": 10})).await.refused(409, "resource_version_conflict");
    let now = plane.get(&path, &plane.owner).await.ok();
    assert_eq!(
        (&now["retentionDays"], &now["tags"]["team"], &now["searchAttributes"]["Client"]),
        (&9.into(), &"a".into(), &"keyword".into())
    );
}

#[tokio::test]
async fn accepted_cas_are_added_listed_set_and_removed() {
    let plane = Plane::start().await;
    let ns = plane.namespace("cas").await;
    let path = format!("/namespaces/{ns}/accepted-client-cas");
    let (one, two) = (ca(&plane, "one"), ca(&plane, "two"));
    let status = plane.post(&path, &plane.owner, json!({"certificates": one.0})).await.ok();
    assert_eq!(status["requestStatus"]["operationType"], "UpdateNamespace");
    let body = plane.post(&path, &plane.owner, json!({"certificates": one.0})).await.refused(400, "nothing_to_change");
    assert!(body["detail"].as_str().unwrap().contains("nothing to change"));
    plane.post(&path, &plane.owner, json!({"certificates": two.0})).await.ok();
    let cas = plane.get(&path, &plane.owner).await.ok();
    let print = cas["acceptedClientCas"][0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!((cas["acceptedClientCas"].as_array().unwrap().len(), print.len()), (2, 40));
    // The same set in other white space and order.
    let other = format!("\r\n{}\r\n\r\n{}\r\n", two.0.replace('\n', "\r\n"), one.0);
    plane.call("PUT", &path, &plane.owner, json!({"certificates": other})).await.refused(400, "nothing_to_change");
    plane.call("DELETE", &format!("{path}/{print}"), &plane.owner, Value::Null).await.ok();
    plane.call("DELETE", &format!("{path}/{print}"), &plane.owner, Value::Null).await.refused(404, "not_found");
    plane.post(&path, &plane.owner, json!({"certificates": format!("{}{}", one.0, one.1)})).await.refused(400, "private_key_in_upload");
    let leaf = LeafRequest { organization: "one".into(), organizational_unit: None, common_name: None, validity: None };
    let (leaf, _) = generate_leaf(&leaf, &one.0, &one.1, plane.clock.now(), &Chance).unwrap();
    assert_eq!(plane.post(&path, &plane.owner, json!({"certificates": leaf})).await.status, 400);
    // All at once only when certificates are no way in.
    plane.call("PUT", &format!("/namespaces/{ns}/auth-method"), &plane.owner, json!({"authMethod": "mtls"})).await.ok();
    plane.call("PUT", &path, &plane.owner, json!({"certificates": ""})).await.refused(400, "invalid_argument");
    plane.call("PUT", &format!("/namespaces/{ns}/auth-method"), &plane.owner, json!({"authMethod": "api_key"})).await.ok();
    plane.call("PUT", &path, &plane.owner, json!({"certificates": ""})).await.ok();
    let again = plane.get(&path, &plane.owner).await.ok();
    assert!(again["acceptedClientCas"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn the_seventeenth_ca_is_refused_over_the_whole_set() {
    let plane = Plane::start().await;
    let ns = plane.namespace("many").await;
    let path = format!("/namespaces/{ns}/accepted-client-cas");
    let all: Vec<String> = (0..17).map(|n| ca(&plane, &format!("org {n}")).0).collect();
    assert_eq!(plane.post(&path, &plane.owner, json!({"certificates": all.join("\n")})).await.status, 400);
    plane.post(&path, &plane.owner, json!({"certificates": all[..16].join("\n")})).await.ok();
    let answer = plane.post(&path, &plane.owner, json!({"certificates": all[16]})).await;
    assert!(answer.status == 400 || answer.status == 409, "{}", answer.text);
    assert_eq!(plane.get(&path, &plane.owner).await.ok()["acceptedClientCas"].as_array().unwrap().len(), 16);
}

#[tokio::test]
async fn filters_are_set_added_and_cleared() {
    let plane = Plane::start().await;
    let ns = plane.namespace("ff").await;
    let path = format!("/namespaces/{ns}/certificate-filters");
    let set = |filters: Value| json!({"filters": filters});
    plane.call("PUT", &path, &plane.owner, set(json!([{"commonName": "a*"}]))).await.ok();
    plane.call("PUT", &path, &plane.owner, set(json!([{"commonName": "a*"}]))).await.refused(400, "nothing_to_change");
    plane.post(&path, &plane.owner, set(json!([{"commonName": "a*"}]))).await.refused(400, "nothing_to_change");
    plane.post(&path, &plane.owner, set(json!([{"organization": "o", "organizationalUnit": "u"}]))).await.ok();
    for bad in [json!([{"commonName": "*a*"}]), json!([{}]), json!([{"cn": "a"}]), json!([{"commonName": "x"}, {"commonName": "x"}])] {
        plane.post(&path, &plane.owner, set(bad)).await.refused(400, "invalid_argument");
    }
    assert_eq!(plane.get(&path, &plane.owner).await.ok()["filters"].as_array().unwrap().len(), 2);
    plane.call("DELETE", &path, &plane.owner, Value::Null).await.ok();
    plane.call("DELETE", &path, &plane.owner, Value::Null).await.refused(400, "nothing_to_change");
}

#[tokio::test]
async fn a_namespace_is_closed_until_it_is_opened_and_keeps_its_names_to_itself() {
    let plane = Plane::start().await;
    let ns = plane.namespace("shut").await;
    assert_eq!(plane.get(&format!("/namespaces/{ns}"), &plane.owner).await.ok()["authMethod"], "restricted");
    for name in ["a", "Upper", "-a", "a-", "a_b", "x.zzzzz", "", &"a".repeat(40)] {
        plane.post("/namespaces", &plane.owner, json!({"name": name})).await.refused(400, "invalid_argument");
    }
    plane.post("/namespaces", &plane.owner, json!({"name": ns})).await.refused(409, "already_exists");
    let hosts = |hosts: Value| json!({"extraHostnames": hosts});
    let path = format!("/namespaces/{ns}");
    for bad in [json!(["demo.other.gw.test"]), json!(["gw.test"]), json!(["127.0.0.1"]), json!(["*.x.test"]), json!(["a.test", "A.test."])]
    {
        plane.call("PATCH", &path, &plane.owner, hosts(bad)).await.refused(400, "invalid_argument");
    }
    plane.call("PATCH", &path, &plane.owner, hosts(json!(["api.example.test"]))).await.ok();
    let second = plane.namespace("second").await;
    let taken = hosts(json!(["api.example.test"]));
    plane.call("PATCH", &format!("/namespaces/{second}"), &plane.owner, taken).await.refused(409, "already_exists");
    for bad in ["ftp://x", "http://x/path", "http://u@x", "x"] {
        plane.call("PATCH", &path, &plane.owner, json!({"upstream": bad})).await.refused(400, "invalid_argument");
    }
}

#[tokio::test]
async fn a_deleted_namespace_leaves_no_rights_to_a_later_one_of_its_name() {
    let plane = Plane::start().await;
    let ns = plane.namespace("again").await;
    let (_, reader) = plane.machine("reader", "read", json!({ns.clone(): "admin"})).await;
    let (_, scoped) = plane.scoped("scoped", &ns, "admin").await;
    let (_, developer) = plane.machine("developer", "developer", json!({})).await;
    plane.get(&format!("/namespaces/{ns}"), &reader).await.ok();
    plane.call("DELETE", &format!("/namespaces/{ns}"), &plane.owner, Value::Null).await.ok();
    plane.get("/account", &scoped).await.refused(401, "invalid_api_key");
    assert_eq!(plane.post("/namespaces", &developer, json!({"name": "again"})).await.ok()["id"].as_str(), Some(ns.as_str()));
    plane.get(&format!("/namespaces/{ns}"), &reader).await.refused(404, "not_found");
    // Who made it administers it.
    plane.call("PUT", &format!("/namespaces/{ns}/auth-method"), &developer, json!({"authMethod": "api_key"})).await.ok();
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn apis_are_made_found_by_name_changed_and_deleted() {
    let plane = Plane::start().await;
    let path = "/namespaces/demo/apis";
    let made = plane.post(path, &plane.owner, json!({"name": "orders", "listenPath": "/v1/orders/"})).await.ok();
    let shown = plane.get(&format!("{path}/orders"), &plane.owner).await.ok();
    assert_eq!(
        (&shown["id"], shown["enableApiKey"].as_bool(), shown["enableClientCertificate"].as_bool()),
        (&made["id"], Some(true), Some(false))
    );
    plane.post(path, &plane.owner, json!({"name": "orders", "listenPath": "/x"})).await.refused(409, "already_exists");
    plane.post(path, &plane.owner, json!({"name": "o2", "listenPath": "/v1/orders"})).await.refused(409, "already_exists");
    for bad in ["v1", "/a/../b", "/a%2fb", "", "/a//b", "/a;b"] {
        plane.post(path, &plane.owner, json!({"name": "bad", "listenPath": bad})).await.refused(400, "invalid_argument");
    }
    plane.post(path, &plane.owner, json!({"name": "no path"})).await.refused(400, "invalid_argument");
    plane.call("PATCH", &format!("{path}/orders"), &plane.owner, json!({"enableClientCertificate": true})).await.ok();
    plane
        .call("PATCH", &format!("{path}/orders"), &plane.owner, json!({"enableClientCertificate": true}))
        .await
        .refused(400, "nothing_to_change");
    plane.call("DELETE", &format!("{path}/orders"), &plane.owner, Value::Null).await.ok();
    plane.get(&format!("{path}/orders"), &plane.owner).await.refused(404, "not_found");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn the_button_makes_a_scoped_service_account_once() {
    let plane = Plane::start().await;
    let first = plane.post("/namespaces/demo/generate-api-key", &plane.owner, json!({})).await.ok();
    let second = plane.post("/namespaces/demo/generate-api-key", &plane.owner, json!({})).await.ok();
    assert_eq!(first["serviceAccountId"], second["serviceAccountId"]);
    assert_ne!(first["id"], second["id"]);
    let account = plane.get(&format!("/service-accounts/{}", first["serviceAccountId"].as_str().unwrap()), &plane.owner).await.ok();
    assert_eq!((account["name"].as_str(), account["access"]["accountRole"].as_str()), (Some("demo-service-account"), Some("read")));
    let id = format!("demo.{}", plane.account);
    assert_eq!(account["access"]["namespacePermissions"][&id], "admin");
}

#[tokio::test]
async fn seed_003s_certificate_is_registered_explained_and_once_revoked_never_comes_back() {
    let plane = Plane::start().await;
    let (cert, key) = self_signed();
    let both = json!({"certificate": format!("{cert}{key}")});
    let (_, reader) = plane.machine("reader", "read", json!({})).await;
    assert!(plane.post("/certificates", &reader, both.clone()).await.status >= 400);
    let made = plane.post("/certificates", &plane.owner, both).await.ok();
    assert!(made["warnings"].to_string().contains("private key"), "{made}");
    let id = made["id"].as_str().unwrap();
    assert_eq!(plane.get(&format!("/certificates/{id}"), &plane.owner).await.ok()["alias"], "seed-003");
    plane.post("/certificates", &plane.owner, json!({"certificate": cert})).await.refused(409, "already_exists");
    let question = json!({"namespace": "demo", "certificate": cert, "method": "POST", "path": "/x?y=1"});
    let said = plane.post("/explain", &plane.owner, question.clone()).await.ok();
    assert_eq!((said["admitted"].as_bool(), said["credential"].as_str()), (Some(true), Some(id)), "{said}");
    plane.post(&format!("/certificates/{id}/revoke"), &plane.owner, json!({"reason": "boredom"})).await.refused(400, "invalid_argument");
    plane.post(&format!("/certificates/{id}/revoke"), &plane.owner, Value::Null).await.ok();
    plane.post(&format!("/certificates/{id}/revoke"), &plane.owner, Value::Null).await.refused(400, "nothing_to_change");
    plane.post("/certificates", &plane.owner, json!({"certificate": cert})).await.refused(409, "certificate_revoked");
    assert_eq!(plane.post("/explain", &plane.owner, question).await.ok()["code"], "certificate_revoked");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn explain_knows_the_methods_that_are_let_through_and_the_hosts_that_lead_nowhere() {
    let plane = Plane::start().await;
    let ask = async |question: Value| plane.post("/explain", &plane.owner, question).await.ok();
    for method in ["BREW", "TRACE", "CONNECT"] {
        let said = ask(json!({"namespace": "demo", "method": method})).await;
        assert_eq!(
            (&said["admitted"], &said["code"], &said["status"]),
            (&json!(false), &json!("method_not_allowed"), &json!(405)),
            "{method}"
        );
    }
    assert_eq!(ask(json!({"namespace": "demo", "method": "post"})).await["code"], "key_missing");
    let said = ask(json!({"host": "nowhere.example"})).await;
    assert_eq!(said["code"], "misdirected");
    assert!(said["remedy"].as_str().unwrap().contains("TLS alert"), "{said}");
}

#[tokio::test]
async fn explain_says_what_the_gateway_would_of_a_key_in_any_state_and_of_a_chain() {
    let plane = Plane::start().await;
    let made = plane.post("/api-keys", &plane.owner, json!({"name": "n", "duration": "1d"})).await.ok();
    let id = made["id"].as_str().unwrap();
    let ask = async || {
        plane.post("/explain", &plane.owner, json!({"namespace": "demo", "apiKeyId": id})).await.ok()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask().await, "admitted");
    plane.post(&format!("/api-keys/{id}/disable"), &plane.owner, Value::Null).await.ok();
    assert_eq!(ask().await, "key_disabled");
    plane.clock.advance(Lifetime::from_days(1));
    assert_eq!(ask().await, "key_expired");
    plane.call("DELETE", &format!("/api-keys/{id}"), &plane.owner, Value::Null).await.ok();
    assert_eq!(ask().await, "key_unknown");
    let authority = ca(&plane, "chain");
    let leaf = LeafRequest { organization: "chain".into(), organizational_unit: None, common_name: Some("svc".into()), validity: None };
    let (leaf, _) = generate_leaf(&leaf, &authority.0, &authority.1, plane.clock.now(), &Chance).unwrap();
    let question = json!({"namespace": "demo", "certificate": leaf});
    let code = async || plane.post("/explain", &plane.owner, question.clone()).await.ok()["code"].as_str().unwrap().to_owned();
    assert_eq!(code().await, "certificate_unknown");
    plane.post("/namespaces/demo/accepted-client-cas", &plane.owner, json!({"certificates": authority.0})).await.ok();
    assert_eq!(code().await, "admitted");
    plane.call("PUT", "/namespaces/demo/certificate-filters", &plane.owner, json!({"filters": [{"commonName": "other"}]})).await.ok();
    assert_eq!(code().await, "certificate_filtered");
}

#[tokio::test]
async fn a_public_root_is_accepted_beside_filters_only_and_they_stay() {
    let plane = Plane::start().await;
    let Ok(root) = std::fs::read_to_string("/etc/ssl/certs/ISRG_Root_X1.pem") else {
        return countersign_testkit::skipped("there is no public root on this machine");
    };
    let ns = plane.namespace("public").await;
    let (cas, filters) = (format!("/namespaces/{ns}/accepted-client-cas"), format!("/namespaces/{ns}/certificate-filters"));
    assert_eq!(plane.post(&cas, &plane.owner, json!({"certificates": root})).await.status, 400);
    plane.call("PUT", &filters, &plane.owner, json!({"filters": [{"commonName": "svc"}]})).await.ok();
    plane.post(&cas, &plane.owner, json!({"certificates": root})).await.ok();
    plane.call("DELETE", &filters, &plane.owner, Value::Null).await.refused(400, "invalid_argument");
    plane.call("PUT", &filters, &plane.owner, json!({"filters": []})).await.refused(400, "invalid_argument");
    let print = plane.get(&cas, &plane.owner).await.ok()["acceptedClientCas"][0]["fingerprintSha256"].as_str().unwrap().to_owned();
    plane.call("DELETE", &format!("{cas}/{print}"), &plane.owner, Value::Null).await.ok();
    plane.call("DELETE", &filters, &plane.owner, Value::Null).await.ok();
}

#[tokio::test]
async fn a_ca_is_added_beside_one_that_has_ended() {
    let plane = Plane::start().await;
    let ns = plane.namespace("roll").await;
    let path = format!("/namespaces/{ns}/accepted-client-cas");
    plane.post(&path, &plane.owner, json!({"certificates": ca(&plane, "old").0})).await.ok();
    plane.clock.advance(Lifetime::from_days(89));
    let keep =
        plane.post("/api-keys", &plane.owner, json!({"name": "n", "duration": "1y"})).await.ok()["secretKey"].as_str().unwrap().to_owned();
    plane.clock.advance(Lifetime::from_days(10));
    plane.post(&path, &keep, json!({"certificates": ca(&plane, "new").0})).await.ok();
    assert_eq!(plane.get(&path, &keep).await.ok()["acceptedClientCas"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_listen_path_has_one_spelling_and_no_other_api_may_have_it_in_another() {
    let plane = Plane::start().await;
    let path = "/namespaces/demo/apis";
    let create = async |name: &str, listen: &str| plane.post(path, &plane.owner, json!({"name": name, "listenPath": listen})).await;
    for bad in ["/%61dmin", "/va%75lt", "/a%7Eb", "/a%40b", "/caf%c3%a9", "/a%ff", "/a%00", "/a%", "/a;b", "/./a"] {
        create("bad", bad).await.refused(400, "invalid_argument");
    }
    create("vault", "/orders/vault").await.ok();
    create("coffee", "/caf%C3%A9").await.ok();
    create("shout", "/orders/VAULT").await.refused(409, "already_exists");
    create("coffee2", "/CAF%C3%89/").await.refused(409, "already_exists");
    plane.call("PATCH", &format!("{path}/vault"), &plane.owner, json!({"listenPath": "/%76ault"})).await.refused(400, "invalid_argument");
    // Only where both tell cases apart, and only for as long.
    plane.call("PATCH", &format!("{path}/vault"), &plane.owner, json!({"caseSensitive": true})).await.ok();
    create("shout", "/orders/VAULT").await.refused(409, "already_exists");
    let both =
        json!({"name": "shout", "listenPath": "/orders/VAULT", "caseSensitive": true, "allowedPathForms": ["semicolon", "encoded_slash"]});
    plane.post(path, &plane.owner, both).await.ok();
    plane.call("PATCH", &format!("{path}/vault"), &plane.owner, json!({"caseSensitive": false})).await.refused(409, "already_exists");
    let shown = plane.get(&format!("{path}/shout"), &plane.owner).await.ok();
    assert_eq!((&shown["caseSensitive"], &shown["allowedPathForms"]), (&json!(true), &json!(["encoded_slash", "semicolon"])));
    plane
        .call("PATCH", &format!("{path}/shout"), &plane.owner, json!({"allowedPathForms": ["everything"]}))
        .await
        .refused(400, "invalid_argument");
    plane.call("PATCH", &format!("{path}/shout"), &plane.owner, json!({"allowedPathForms": []})).await.ok();
}

#[tokio::test]
async fn waits_for_an_upstream_are_settings_of_namespace_and_api() {
    let plane = Plane::start().await;
    plane.post("/namespaces/demo/apis", &plane.owner, json!({"name": "slow", "listenPath": "/slow"})).await.ok();
    for path in ["/namespaces/demo", "/namespaces/demo/apis/slow"] {
        for bad in [json!({"connectSeconds": 61}), json!({"responseHeadSeconds": -1}), json!({"idleSeconds": 86_401}), json!({"other": 1})]
        {
            assert_eq!(plane.call("PATCH", path, &plane.owner, json!({"upstreamTimeouts": bad})).await.status, 400, "{bad}");
        }
        let set = json!({"connectSeconds": 9, "responseHeadSeconds": 600, "idleSeconds": 60});
        plane.call("PATCH", path, &plane.owner, json!({"upstreamTimeouts": set})).await.ok();
        assert_eq!(plane.get(path, &plane.owner).await.ok()["upstreamTimeouts"], set);
        plane.call("PATCH", path, &plane.owner, json!({"upstreamTimeouts": {"connectSeconds": 0}})).await.ok();
        let left = json!({"responseHeadSeconds": 600, "idleSeconds": 60});
        assert_eq!(plane.get(path, &plane.owner).await.ok()["upstreamTimeouts"], left);
    }
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn an_upstream_that_the_operator_does_not_allow_is_refused_when_it_is_set() {
    let plane = Plane::start().await;
    for upstream in ["http://224.0.0.1:80", "http://255.255.255.255"] {
        plane.call("PATCH", "/namespaces/demo", &plane.owner, json!({"upstream": upstream})).await.refused(400, "invalid_argument");
        let api = json!({"name": "x", "listenPath": "/x", "upstream": upstream});
        plane.post("/namespaces/demo/apis", &plane.owner, api).await.refused(400, "invalid_argument");
    }
}

#[tokio::test]
async fn a_key_pasted_where_a_name_belongs_is_in_no_audit_entry_and_no_error() {
    let plane = Plane::start().await;
    let secret = plane.owner.split('_').skip(2).collect::<Vec<_>>().join("_");
    plane
        .post("/namespaces/demo/apis", &plane.owner, json!({"name": plane.owner, "listenPath": "/one"}))
        .await
        .refused(400, "invalid_argument");
    let encoded = format!("%63sk%5F{}", &plane.owner[4..]);
    for path in [format!("/api-keys/{}", plane.owner), format!("/namespaces/{encoded}"), format!("/certificates/{}", plane.owner)] {
        let answer = plane.call("DELETE", &path, &plane.owner, Value::Null).await;
        assert!(answer.status >= 400 && !answer.body.to_string().contains(&secret[..8]), "{path}");
    }
    let trail = Value::Array(plane.audit().await).to_string();
    assert!(!trail.is_empty() && !trail.contains(&secret[..8]));
}

/// Whether there is a key, and how it does, is for those who may see it.
#[tokio::test]
async fn explain_knows_nothing_of_another_namespaces_key_whatever_its_state() {
    let plane = Plane::start().await;
    let (mine, other) = (plane.namespace("mine").await, plane.namespace("other").await);
    for ns in [&mine, &other] {
        plane.call("PUT", &format!("/namespaces/{ns}/auth-method"), &plane.owner, json!({"authMethod": "api_key"})).await.ok();
    }
    let (_, admin) = plane.machine("admin", "read", json!({&mine: "admin"})).await;
    let (machine, _) = plane.machine("theirs", "read", json!({&other: "write"})).await;
    let mut keys = Vec::new();
    for (name, duration) in [("good", "30d"), ("disabled", "30d"), ("expired", "1h"), ("deleted", "30d")] {
        let body = json!({"name": name, "serviceAccountId": machine, "duration": duration});
        keys.push(plane.post("/api-keys", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned());
    }
    plane.post(&format!("/api-keys/{}/disable", keys[1]), &plane.owner, Value::Null).await.ok();
    plane.call("DELETE", &format!("/api-keys/{}", keys[3]), &plane.owner, Value::Null).await.ok();
    plane.clock.advance(countersign_core::time::Lifetime::from_days(1));
    let ask = async |key: &str, id: &str, namespace: &str| {
        let said = plane.post("/explain", key, json!({"namespace": namespace, "apiKeyId": id})).await.ok();
        said.to_string().replace(id, "KEY")
    };
    let said = ask(&admin, &keys[3], &mine).await;
    assert!(said.contains("key_unknown"), "{said}");
    for id in &keys {
        assert_eq!(ask(&admin, id, &mine).await, said);
    }
    // Whoever may see it is told, and so is the admin of a namespace that the owner has a permission in.
    assert!(ask(&plane.owner, &keys[1], &mine).await.contains("key_disabled"));
    let (_, theirs) = plane.machine("their admin", "read", json!({&other: "admin"})).await;
    assert!(ask(&theirs, &keys[2], &other).await.contains("key_expired"));
}
