//! The console's way to the API: by the session of the browser, from a page of ours, and by nothing less.

use crate::harness::{Answer, Plane};
use axum::body::Body;
use axum::http::Request;
use countersign_server::bootstrap;
use serde_json::json;

const COOKIE: &str = "__Host-countersign-session";

async fn signed_in(plane: &Plane) -> String {
    let code = bootstrap::one_time_login(&plane.app).await.unwrap().expose().to_owned();
    let form = format!("code={code}&next=/console/applications/a1");
    let request = Request::builder().method("POST").uri("/login").header("host", "localhost:8443").header("sec-fetch-site", "same-origin");
    let answer = plane.send(request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap()).await;
    assert_eq!(answer.headers["location"], "/console/applications/a1", "a login leads back");
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    cookie.strip_prefix(&format!("{COOKIE}=")).unwrap().split(';').next().unwrap().to_owned()
}

/// What the console sends, with `headers` in place of what says so.
async fn ask(plane: &Plane, method: &str, path: &str, session: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8443");
    request = request.header("cookie", format!("{COOKIE}={session}")).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    plane.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

const OURS: [(&str, &str); 2] = [("sec-fetch-site", "same-origin"), ("x-countersign-console", "1")];

#[tokio::test]
async fn the_console_acts_by_the_browsers_session_and_no_foreign_page_does() {
    let plane = Plane::start().await;
    let inside = signed_in(&plane).await;
    let me = ask(&plane, "GET", "/api/v1/current-identity", &inside, &OURS, "").await.ok();
    assert_eq!(me["kind"], "user");
    let body = json!({"name": "orders"}).to_string();
    let made = ask(&plane, "POST", "/api/v1/applications", &inside, &OURS, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[("x-countersign-console", "1")],
        &[("sec-fetch-site", "same-origin")],
        &[("x-countersign-console", "1"), ("sec-fetch-site", "same-site"), ("origin", "https://localhost:8443")],
        &[("x-countersign-console", "1"), ("sec-fetch-site", "cross-site")],
        &[("x-countersign-console", "1"), ("origin", "https://localhost.evil.example:8443")],
    ];
    for headers in foreign {
        let body = json!({"name": "another"}).to_string();
        ask(&plane, "POST", "/api/v1/applications", &inside, headers, &body).await.refused(401, "unauthenticated");
        ask(&plane, "GET", "/api/v1/account", &inside, headers, "").await.refused(401, "unauthenticated");
    }
    // Another credential beside it is the one that counts, and a session opens the API of ours alone.
    let beside = [OURS[0], OURS[1], ("authorization", "Bearer csk_typo")];
    ask(&plane, "GET", "/api/v1/account", &inside, &beside, "").await.refused(401, "invalid_api_key");
    assert_eq!(ask(&plane, "GET", "/cloud/namespaces", &inside, &OURS, "").await.status, 401);
    ask(&plane, "GET", "/api/v1/account", "x", &OURS, "").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn the_end_of_a_session_is_the_end_of_its_console() {
    let plane = Plane::start().await;
    let inside = signed_in(&plane).await;
    ask(&plane, "GET", "/api/v1/account", &inside, &OURS, "").await.ok();
    assert_eq!(ask(&plane, "POST", "/logout", &inside, &OURS, "").await.status, 303);
    ask(&plane, "GET", "/api/v1/account", &inside, &OURS, "").await.refused(401, "unauthenticated");
    let page = ask(&plane, "GET", "/console/applications/a1", &inside, &OURS, "").await;
    assert_eq!((page.status, page.headers["location"].to_str().unwrap()), (303, "/login?next=%2Fconsole%2Fapplications%2Fa1"));
}

#[tokio::test]
async fn the_consoles_page_runs_our_scripts_alone() {
    let plane = Plane::start().await;
    let inside = signed_in(&plane).await;
    let page = ask(&plane, "GET", "/console/", &inside, &OURS, "").await;
    if page.status == 503 {
        return countersign_testkit::skipped("this build has no console, because Node.js was not there");
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for word in ["default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'", "frame-ancestors 'none'"] {
        assert!(policy.contains(word), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !page.text.contains("<script>") && !page.text.contains("style="));
    let script = page.text.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    let script = ask(&plane, "GET", script, "", &[], "").await;
    assert_eq!((script.status, script.headers["content-type"].to_str().unwrap()), (200, "text/javascript; charset=utf-8"));
    // Its name holds a hash of what it is: a browser keeps it, and gets it small.
    assert_eq!(script.headers["cache-control"], "public, max-age=31536000, immutable");
    let path = page.text.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    let small = ask(&plane, "GET", path, "", &[("accept-encoding", "br;q=1, gzip")], "").await;
    assert_eq!((small.headers["content-encoding"].to_str().unwrap(), small.headers["vary"].to_str().unwrap()), ("gzip", "accept-encoding"));
    let length = |answer: &Answer| answer.headers["content-length"].to_str().unwrap().parse::<usize>().unwrap();
    assert!(length(&small) * 2 < length(&script), "{} of {}", length(&small), length(&script));
    assert!(!ask(&plane, "GET", path, "", &[("accept-encoding", "gzip;q=0")], "").await.headers.contains_key("content-encoding"));
    assert_eq!(page.headers["cache-control"], "no-store", "the page itself is asked for each time");
    assert_eq!(ask(&plane, "GET", "/console/assets/nothing.js", &inside, &OURS, "").await.status, 404, "never the page");
}

/// Makes keys and keystores with the console's own code, which Vite bundles for Node.js here.
const DRIVER: &str = r#"
import { readFileSync, writeFileSync } from "node:fs";
import { makeKey, makeKeystore } from "./pki.js";
for (const kind of ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"]) {
  const made = await makeKeystore(await makeKey(kind), readFileSync("chain.pem", "utf8"), "one", "a password");
  writeFileSync(kind + ".pem", made.key);
  writeFileSync(kind + ".p12", Buffer.from(made.keystore));
}
"#;

#[test]
fn the_key_file_that_the_console_saves_is_der() {
    let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web").canonicalize().unwrap();
    if !web.join("node_modules/vite").exists() {
        return countersign_testkit::skipped("the console's packages are not here, because Node.js was not there");
    }
    let directory = tempfile::tempdir().unwrap();
    let run = |program: &str, words: &[&str], place: &std::path::Path| {
        let output = std::process::Command::new(program).args(words).current_dir(place).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {words:?}: {said}");
        said
    };
    let out = directory.path().to_str().unwrap();
    run("node", &["node_modules/vite/bin/vite.js", "build", "--ssr", "src/pki.ts", "--outDir", out, "--logLevel", "warn"], &web);
    std::os::unix::fs::symlink(web.join("node_modules"), directory.path().join("node_modules")).unwrap();
    std::fs::write(directory.path().join("drive.mjs"), DRIVER).unwrap();
    let openssl = |words: &str| run("openssl", &words.split(' ').collect::<Vec<_>>(), directory.path());
    openssl("req -x509 -newkey ed25519 -nodes -days 9 -subj /CN=x -keyout x.key -out chain.pem");
    run("node", &["drive.mjs"], directory.path());
    for kind in ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"] {
        // DER has no string in pieces (X.690 section 10.2).
        let parts = openssl(&format!("asn1parse -in {kind}.pem"));
        assert!(parts.contains("PBES2") && !parts.contains("cons: OCTET STRING"), "{kind}: {parts}");
        run("openssl", &["pkey", "-in", &format!("{kind}.pem"), "-passin", "pass:a password", "-noout"], directory.path());
        let store = ["pkcs12", "-in", &format!("{kind}.p12"), "-passin", "pass:a password", "-nodes"];
        assert!(run("openssl", &store, directory.path()).contains("PRIVATE KEY"), "{kind}");
    }
}
