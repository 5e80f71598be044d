//! Random histories, made through REST, the Cloud Ops API and its HTTP paths in turn: after each step both surfaces tell the same state.
//! The seed of a history that fails is in the message; `COUNTERSIGN_SEED` plays it again.

use crate::harness::Plane;
use crate::rights_matrix::message;
use crate::tcld::CLOUD;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tower::ServiceExt as _;

/// Steps of a history.
const STEPS: usize = 200;

/// A generator of our own (splitmix64): small, the same everywhere, and good enough to choose by.
struct Choice(u64);

impl Choice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Both surfaces of one control plane, by the owner's key.
struct Both {
    plane: Plane,
    pool: DescriptorPool,
    paths: Vec<(String, String, String)>,
    router: axum::Router,
}

impl Both {
    async fn start() -> Self {
        let pool = DescriptorPool::decode(countersign_proto::grpc::SERVICES).unwrap();
        let plane = Plane::start().await;
        let router = plane.app.router();
        Self { plane, pool, paths: countersign_server::grpc::http_json::paths(), router }
    }

    async fn grpc(&self, method: &str, body: Value) -> Result<Value, String> {
        let sent = message(&self.pool, CLOUD, method, body);
        let mut frame = vec![0];
        frame.extend(u32::try_from(sent.len()).unwrap().to_be_bytes());
        frame.extend(sent);
        let request = Request::builder().method("POST").uri(format!("/{CLOUD}/{method}")).header("host", "localhost");
        let request = request.header("content-type", "application/grpc").header("authorization", format!("Bearer {}", self.plane.owner));
        let response = self.router.clone().oneshot(request.body(Body::from(frame)).unwrap()).await.unwrap();
        // A refusal has no body: all of it is in the headers.
        if let Some(code) = response.headers().get("countersign-code") {
            return Err(code.to_str().unwrap().to_owned());
        }
        let bytes = response.into_body().collect().await.unwrap().to_bytes().slice(5..);
        let service = self.pool.get_service_by_name(CLOUD).unwrap();
        let output = service.methods().find(|known| known.name() == method).unwrap().output();
        Ok(serde_json::to_value(DynamicMessage::decode(output, bytes).unwrap()).unwrap())
    }

    /// The same call by its HTTP path; members that the path names are taken out of the body, the rest is body or query.
    async fn http(&self, method: &str, body: Value) -> Result<Value, String> {
        let (verb, path, _) = self.paths.iter().find(|(.., name)| name == method).unwrap();
        let mut body = body;
        let mut built = path.clone();
        let names: Vec<_> = path.split('{').skip(1).map(|part| part.split('}').next().unwrap().to_owned()).collect();
        for name in names {
            let mut words = name.split('_');
            let camel = words.next().unwrap().to_owned() + &words.map(|word| word[..1].to_uppercase() + &word[1..]).collect::<String>();
            let value = body.as_object_mut().unwrap().remove(&camel).unwrap_or_else(|| panic!("{method} needs {camel}"));
            built = built.replace(&format!("{{{name}}}"), value.as_str().unwrap());
        }
        let sends = verb == "POST" || verb == "PUT";
        if !sends {
            let pairs: Vec<_> = body.as_object().unwrap().iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap())).collect();
            built = format!("{built}?{}", pairs.join("&"));
        }
        let request = Request::builder().method(verb.as_str()).uri(built).header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {}", self.plane.owner)).header("content-type", "application/json");
        let answer = self.plane.send(request.body(if sends { Body::from(body.to_string()) } else { Body::empty() }).unwrap()).await;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        Err(answer.headers.get("countersign-code").map_or_else(|| answer.text.clone(), |code| code.to_str().unwrap().to_owned()))
    }

    async fn rest(&self, verb: &str, path: &str, body: Value) -> Result<Value, String> {
        let answer = self.plane.call(verb, path, &self.plane.owner, body).await;
        if answer.status < 300 { Ok(answer.body) } else { Err(answer.code().to_owned()) }
    }

    async fn call(&self, by_http: bool, method: &str, body: Value) -> Result<Value, String> {
        if by_http { self.http(method, body).await } else { self.grpc(method, body).await }
    }
}

fn ids(list: &Value, member: &str) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

/// `ROLE_FINANCE_ADMIN` as `finance_admin`.
fn word(value: &Value, prefix: &str) -> String {
    text(value).trim_start_matches(prefix).to_lowercase()
}

type State = BTreeMap<(&'static str, String), Value>;

/// Rights, each surface's form made one.
fn rest_access(access: &Value) -> Value {
    let mut roles: Vec<_> = access["customRoles"].as_array().into_iter().flatten().map(text).collect();
    roles.sort();
    json!([access["accountRole"], access.get("namespacePermissions").cloned().unwrap_or_else(|| json!({})), roles])
}

fn cloud_access(access: &Value) -> Value {
    let permissions: BTreeMap<_, _> = access["namespaceAccesses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, access)| (name.clone(), word(&access["permission"], "PERMISSION_")))
        .collect();
    let account = &access["accountAccess"];
    let mut roles: Vec<_> = account["customRoles"].as_array().into_iter().flatten().map(text).collect();
    roles.sort();
    // A group of which nothing was said has the weakest role; there the wire says nothing either.
    let role = if account.is_null() { "metrics_read".to_owned() } else { word(&account["role"], "ROLE_") };
    json!([role, permissions, roles])
}

impl Both {
    async fn by_rest(&self) -> State {
        let mut state = State::new();
        let list = async |path: &str| {
            self.rest("GET", &format!("{path}?page_size=1000"), Value::Null).await.unwrap()["items"].as_array().unwrap().clone()
        };
        for n in list("/namespaces").await {
            let tags = n.get("tags").cloned().unwrap_or_else(|| json!({}));
            let value = json!([
                n["resourceVersion"],
                n["authMethod"],
                n["retentionDays"],
                n["deleteProtection"],
                tags,
                n["certificateFilters"].as_array().unwrap().len(),
                n["createdTime"]
            ]);
            state.insert(("namespace", text(&n["namespace"])), value);
        }
        for u in list("/users").await {
            state.insert(("user", text(&u["id"])), json!([u["resourceVersion"], u["email"], rest_access(&u["access"])]));
        }
        for s in list("/service-accounts").await {
            let access =
                if s["namespaceScope"].is_string() { s["access"]["namespacePermissions"].clone() } else { rest_access(&s["access"]) };
            state.insert(("machine", text(&s["id"])), json!([s["resourceVersion"], s["name"], s["description"], access]));
        }
        for k in list("/api-keys").await {
            let value = json!([
                k["resourceVersion"],
                k["name"],
                k["description"],
                k["ownerId"],
                k["ownerType"],
                k["state"] == "disabled",
                k["expiryTime"]
            ]);
            state.insert(("key", text(&k["id"])), value);
        }
        for g in list("/user-groups").await {
            let id = text(&g["id"]);
            let mut members = ids(&self.rest("GET", &format!("/user-groups/{id}/members"), Value::Null).await.unwrap(), "userId");
            members.sort();
            state.insert(("group", id), json!([g["resourceVersion"], g["name"], rest_access(&g["access"]), members]));
        }
        for r in list("/custom-roles").await {
            let lines: Vec<_> = r["permissions"].as_array().unwrap().iter().map(|p| json!([p["resourceType"], p["actions"]])).collect();
            state.insert(("role", text(&r["id"])), json!([r["resourceVersion"], r["name"], r["description"], lines]));
        }
        state
    }

    async fn by_cloud(&self, by_http: bool) -> State {
        let mut state = State::new();
        let list = async |method: &str, member: &str| {
            self.call(by_http, method, json!({})).await.unwrap()[member].as_array().cloned().unwrap_or_default()
        };
        for n in list("GetNamespaces", "namespaces").await {
            let spec = &n["spec"];
            let on = |part: &str| spec[part]["enabled"] == true;
            let method = match (on("mtlsAuth"), on("apiKeyAuth")) {
                (true, true) => "api_key_or_mtls",
                (true, false) => "mtls",
                (false, true) => "api_key",
                (false, false) => "restricted",
            };
            let tags = n.get("tags").cloned().unwrap_or_else(|| json!({}));
            let filters = spec["mtlsAuth"]["certificateFilters"].as_array().map_or(0, Vec::len);
            let protected = spec["lifecycle"]["enableDeleteProtection"] == true;
            let value = json!([
                n["resourceVersion"],
                method,
                spec["retentionDays"].as_i64().unwrap_or(0),
                protected,
                tags,
                filters,
                n["createdTime"]
            ]);
            state.insert(("namespace", text(&n["namespace"])), value);
        }
        for u in list("GetUsers", "users").await {
            let value = json!([u["resourceVersion"], u["spec"]["email"], cloud_access(&u["spec"]["access"])]);
            state.insert(("user", text(&u["id"])), value);
        }
        for s in list("GetServiceAccounts", "serviceAccount").await {
            let spec = &s["spec"];
            let access = match spec.get("namespaceScopedAccess") {
                Some(scope) => json!({text(&scope["namespace"]): word(&scope["access"]["permission"], "PERMISSION_")}),
                None => cloud_access(&spec["access"]),
            };
            state.insert(("machine", text(&s["id"])), json!([s["resourceVersion"], spec["name"], text(&spec["description"]), access]));
        }
        for k in list("GetApiKeys", "apiKeys").await {
            let spec = &k["spec"];
            let kind = word(&spec["ownerType"], "OWNER_TYPE_");
            let value = json!([
                k["resourceVersion"],
                spec["displayName"],
                text(&spec["description"]),
                spec["ownerId"],
                kind,
                spec["disabled"] == true,
                spec["expiryTime"]
            ]);
            state.insert(("key", text(&k["id"])), value);
        }
        for g in list("GetUserGroups", "groups").await {
            let id = text(&g["id"]);
            let found = self.call(by_http, "GetUserGroupMembers", json!({"groupId": id})).await.unwrap();
            let mut members: Vec<_> = found["members"].as_array().into_iter().flatten().map(|m| text(&m["memberId"]["userId"])).collect();
            members.sort();
            state.insert(
                ("group", id),
                json!([g["resourceVersion"], g["spec"]["displayName"], cloud_access(&g["spec"]["access"]), members]),
            );
        }
        for r in list("GetCustomRoles", "customRoles").await {
            let spec = &r["spec"];
            let lines: Vec<_> =
                spec["permissions"].as_array().unwrap().iter().map(|p| json!([p["resources"]["resourceType"], p["actions"]])).collect();
            state.insert(("role", text(&r["id"])), json!([r["resourceVersion"], spec["name"], text(&spec["description"]), lines]));
        }
        state
    }

    /// An operation reads the same by each of its names.
    async fn compare_operation(&self, id: &str) {
        let one = self.rest("GET", &format!("/operations/{id}"), Value::Null).await.unwrap();
        let two = self.grpc("GetAsyncOperation", json!({"asyncOperationId": id})).await.unwrap()["asyncOperation"].clone();
        let three = self.http("GetAsyncOperation", json!({"asyncOperationId": id})).await.unwrap()["asyncOperation"].clone();
        assert_eq!(two, three);
        assert_eq!((&one["requestId"], text(&one["state"]).to_lowercase()), (&two["id"], word(&two["state"], "STATE_").replace('_', "")));
        assert_eq!((&one["operationType"], &one["startTime"]), (&two["operationType"], &two["startedTime"]));
    }
}

/// One change, by whichever surface; refusals are part of a history too. Gives the operation's id.
async fn step(both: &Both, choice: &mut Choice, state: &State, n: usize) -> Option<String> {
    let (surface, act) = (choice.below(3), choice.below(22));
    let of = |kind: &str| state.keys().filter(|(known, _)| *known == kind).map(|(_, id)| id.clone()).collect::<Vec<_>>();
    let mut pick = |kind: &str| {
        let known = of(kind);
        if known.is_empty() { "nothing".to_owned() } else { choice.one(&known).clone() }
    };
    let (ns, user, machine, key, group, role) =
        (pick("namespace"), pick("user"), pick("machine"), pick("key"), pick("group"), pick("role"));
    let account = *choice.one(&["admin", "developer", "read", "finance_admin", "metrics_read"]);
    let permission = *choice.one(&["admin", "write", "read"]);
    let retention = 1 + choice.below(90);
    let (role_up, permission_up) = (format!("ROLE_{}", account.to_uppercase()), format!("PERMISSION_{}", permission.to_uppercase()));
    let (name, stale) = (format!("n{n}"), choice.below(8) == 0);
    let version = if stale { "999".to_owned() } else { String::new() };
    let versioned = |body: Value| {
        if stale {
            let mut body = body;
            body["resourceVersion"] = json!("999");
            body
        } else {
            body
        }
    };
    let access = json!({"accountRole": account, "namespacePermissions": {ns.clone(): permission}});
    let cloud_access = json!({"accountAccess": {"role": role_up}, "namespaceAccesses": {ns.clone(): {"permission": permission_up}}});
    let line = json!([{"resourceType": "namespace", "allowAll": true, "actions": ["cloud.namespace.get"]}]);
    let cloud_line = json!([{"resources": {"resourceType": "namespace", "allowAll": true}, "actions": ["cloud.namespace.get"]}]);
    let query = if stale { "?resource_version=999" } else { "" };
    // What it is by REST, and what by the Cloud Ops API.
    let (verb, path, rest, method, cloud): (&str, String, Value, &str, Value) = match act {
        0 | 1 => (
            "POST",
            "/namespaces".into(),
            json!({"name": name, "retentionDays": retention}),
            "CreateNamespace",
            json!({"spec": {"name": name, "regions": ["local"], "retentionDays": retention, "apiKeyAuth": {"enabled": true}}}),
        ),
        2 => (
            "PATCH",
            format!("/namespaces/{ns}"),
            versioned(json!({"retentionDays": retention})),
            "UpdateNamespace",
            json!({"namespace": ns, "resourceVersion": version, "spec": {"name": ns.split('.').next(), "regions": ["local"], "retentionDays": retention, "apiKeyAuth": {"enabled": true}}}),
        ),
        3 => (
            "DELETE",
            format!("/namespaces/{ns}{query}"),
            Value::Null,
            "DeleteNamespace",
            json!({"namespace": ns, "resourceVersion": version}),
        ),
        4 => (
            "POST",
            format!("/namespaces/{ns}/tags"),
            json!({"upsert": {"tag": name}}),
            "UpdateNamespaceTags",
            json!({"namespace": ns, "tagsToUpsert": {"tag": name}}),
        ),
        5 | 6 => (
            "POST",
            "/users".into(),
            json!({"email": format!("{name}@example.com"), "access": access}),
            "CreateUser",
            json!({"spec": {"email": format!("{name}@example.com"), "access": cloud_access}}),
        ),
        7 => (
            "PATCH",
            format!("/users/{user}"),
            versioned(json!({"accountRole": account})),
            "UpdateUser",
            json!({"userId": user, "resourceVersion": version, "spec": {"access": cloud_access}}),
        ),
        8 => ("DELETE", format!("/users/{user}{query}"), Value::Null, "DeleteUser", json!({"userId": user, "resourceVersion": version})),
        9 => (
            "PUT",
            format!("/namespaces/{ns}/access"),
            json!({"id": user, "permission": permission}),
            "SetUserNamespaceAccess",
            json!({"namespace": ns, "userId": user, "access": {"permission": permission_up}}),
        ),
        10 => (
            "POST",
            "/service-accounts".into(),
            json!({"name": name, "access": access}),
            "CreateServiceAccount",
            json!({"spec": {"name": name, "access": cloud_access}}),
        ),
        11 => (
            "POST",
            "/service-accounts".into(),
            json!({"name": name, "namespaceScope": {"namespace": ns, "permission": permission}}),
            "CreateServiceAccount",
            json!({"spec": {"name": name, "namespaceScopedAccess": {"namespace": ns, "access": {"permission": permission_up}}}}),
        ),
        12 => (
            "PATCH",
            format!("/service-accounts/{machine}"),
            versioned(json!({"name": name})),
            "UpdateServiceAccount",
            json!({"serviceAccountId": machine, "resourceVersion": version, "spec": {"name": name, "access": cloud_access}}),
        ),
        13 => (
            "DELETE",
            format!("/service-accounts/{machine}{query}"),
            Value::Null,
            "DeleteServiceAccount",
            json!({"serviceAccountId": machine, "resourceVersion": version}),
        ),
        14 => (
            "POST",
            "/api-keys".into(),
            json!({"name": name, "serviceAccountId": machine, "duration": "30d"}),
            "CreateApiKey",
            json!({"spec": {"displayName": name, "ownerId": machine, "ownerType": "OWNER_TYPE_SERVICE_ACCOUNT"}}),
        ),
        15 => (
            "PATCH",
            format!("/api-keys/{key}"),
            versioned(json!({"name": name})),
            "UpdateApiKey",
            json!({"keyId": key, "resourceVersion": version, "spec": {"displayName": name}}),
        ),
        // Never the owner's own first key, which asks.
        16 if key != crate::harness::id_of(&both.plane.owner) => {
            ("DELETE", format!("/api-keys/{key}{query}"), Value::Null, "DeleteApiKey", json!({"keyId": key, "resourceVersion": version}))
        }
        17 => (
            "POST",
            "/user-groups".into(),
            json!({"name": name, "access": access}),
            "CreateUserGroup",
            json!({"spec": {"displayName": name, "access": cloud_access, "cloudGroup": {}}}),
        ),
        18 => (
            "PATCH",
            format!("/user-groups/{group}"),
            versioned(json!({"name": name, "access": access})),
            "UpdateUserGroup",
            json!({"groupId": group, "resourceVersion": version, "spec": {"displayName": name, "access": cloud_access, "cloudGroup": {}}}),
        ),
        19 => (
            "POST",
            format!("/user-groups/{group}/members"),
            json!({"userId": user}),
            "AddUserGroupMember",
            json!({"groupId": group, "memberId": {"userId": user}}),
        ),
        20 => (
            "POST",
            "/custom-roles".into(),
            json!({"name": name, "permissions": line}),
            "CreateCustomRole",
            json!({"spec": {"name": name, "permissions": cloud_line}}),
        ),
        _ => (
            "DELETE",
            format!("/custom-roles/{role}{query}"),
            Value::Null,
            "DeleteCustomRole",
            json!({"roleId": role, "resourceVersion": version}),
        ),
    };
    let answer = match surface {
        0 => both.rest(verb, &path, rest).await,
        1 => both.grpc(method, cloud).await,
        _ => both.http(method, cloud).await,
    };
    let answer = answer.ok()?;
    let id = text(if surface == 0 { &answer["requestStatus"]["requestId"] } else { &answer["asyncOperation"]["id"] });
    assert!(!id.is_empty(), "{method} by {surface}: {answer}");
    Some(id)
}

async fn history(seed: u64, steps: usize) -> usize {
    let both = Both::start().await;
    let mut choice = Choice(seed);
    let (mut state, mut done) = (both.by_rest().await, 0);
    for n in 0..steps {
        let operation = step(&both, &mut choice, &state, n).await;
        let before = std::mem::replace(&mut state, both.by_rest().await);
        assert!(operation.is_some() || before == state, "seed {seed}, step {n}: a refused change changed something");
        let cloud = both.by_cloud(n % 2 == 0).await;
        for (what, value) in &state {
            assert_eq!(cloud.get(what), Some(value), "seed {seed}, step {n}: {what:?}");
        }
        assert_eq!(cloud.len(), state.len(), "seed {seed}, step {n}");
        if let Some(operation) = operation {
            both.compare_operation(&operation).await;
            done += 1;
        }
    }
    both.plane.assert_snapshot_is_the_stores().await;
    done
}

#[tokio::test]
async fn both_surfaces_tell_the_same_state_after_every_step_of_any_history() {
    let seeds: Vec<u64> = match std::env::var("COUNTERSIGN_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            // One that never changes, and one that nobody has seen before.
            vec![1, now.as_secs()]
        }
    };
    for seed in seeds {
        let done = history(seed, STEPS).await;
        println!("seed {seed}: {done} changes of {STEPS}, the others refused");
        assert!(done > STEPS / 3, "seed {seed}: only {done} of {STEPS} were changes");
    }
}
