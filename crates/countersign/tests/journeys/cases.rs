//! Cases of the security promises that need a whole plane: T-09, X-01, R-01, R-07, K-05.

use crate::plane::{Answer, Plane, refusal, text};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn client(plane: &Plane) -> reqwest::Client {
    let ca = std::fs::read(plane.var("COUNTERSIGN_CA_CERT")).unwrap();
    let host = format!("{}.localhost", plane.namespace());
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .resolve(&host, plane.var("COUNTERSIGN_GATEWAY").parse().unwrap())
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

async fn rest(plane: &Plane, client: &reqwest::Client, path: &str, body: Value) -> (u16, Value) {
    let url = format!("https://{}/api/v1{path}", plane.var("COUNTERSIGN_SERVER"));
    let answer = client.post(url).bearer_auth(plane.var("COUNTERSIGN_API_KEY")).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[test]
fn t_09_only_tls_1_2_and_1_3_with_forward_secrecy_and_aead() {
    let plane = Plane::start();
    let host = format!("{}.localhost", plane.namespace());
    let control = plane.var("COUNTERSIGN_SERVER").replace("localhost", "127.0.0.1");
    for (address, name) in [(plane.var("COUNTERSIGN_GATEWAY"), host.as_str()), (&control, "localhost")] {
        let shake = |args: &[&str]| {
            let out = Command::new("openssl")
                .args(["s_client", "-connect", address, "-servername", name])
                .args(args)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            String::from_utf8_lossy(&out.stdout).into_owned()
        };
        for good in [&["-tls1_3"][..], &["-tls1_2"], &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]] {
            let said = shake(good);
            assert!(said.contains("Cipher is ") && !said.contains("Cipher is (NONE)"), "{name} {good:?}: {said}");
            assert!(said.contains("Compression: NONE"), "{said}");
        }
        let bad: [&[&str]; 5] = [
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0"],
            &["-tls1_2", "-sigalgs", "ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"],
        ];
        for bad in bad {
            assert!(!shake(bad).contains("New, TLSv"), "{name} {bad:?}");
        }
    }
}

#[test]
fn x_01_one_expired_ca_among_two_lets_the_other_go_on() {
    let plane = Plane::start();
    plane.certificates("steady");
    let run = |args: &[&str]| Answer::of(Command::new(args[0]).args(&args[1..]).current_dir(plane.path("")).output().unwrap());
    if run(&["faketime", "2020-01-01", "true"]).code != 0 {
        return countersign_testkit::skipped("faketime is not here");
    }
    // A CA that has ended cannot be added any more; so it is added when it has two seconds left, and waited for.
    run(&["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "brief.key"]).ok();
    std::fs::write(plane.path("ext"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n")
        .unwrap();
    std::fs::write(plane.path("leaf-ext"), "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n").unwrap();
    run(&["openssl", "req", "-new", "-key", "brief.key", "-subj", "/O=brief/CN=brief ca", "-out", "brief.csr"]).ok();
    let issued = "-86395 seconds";
    let made = run(&[
        "faketime",
        issued,
        "openssl",
        "x509",
        "-req",
        "-in",
        "brief.csr",
        "-signkey",
        "brief.key",
        "-days",
        "1",
        "-extfile",
        "ext",
        "-out",
        "brief-ca.pem",
    ]);
    made.ok();
    run(&[
        "openssl",
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "brief-leaf.key",
        "-subj",
        "/O=brief/CN=brief leaf",
        "-out",
        "brief-leaf.csr",
    ])
    .ok();
    run(&[
        "openssl",
        "x509",
        "-req",
        "-in",
        "brief-leaf.csr",
        "-CA",
        "brief-ca.pem",
        "-CAkey",
        "brief.key",
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        "leaf-ext",
        "-out",
        "brief-leaf.pem",
    ])
    .ok();
    let ca = std::fs::read_to_string(plane.path("brief-ca.pem")).unwrap() + &std::fs::read_to_string(plane.path("steady-ca.pem")).unwrap();
    std::fs::write(plane.path("both.pem"), ca).unwrap();
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "both.pem"]).ok();
    let (status, body) = plane.get_with("brief-leaf", "/");
    assert!(status == 200 || refusal(&body) == "certificate_expired", "{body}");
    crate::plane::eventually("the brief CA ends", || refusal(&plane.get_with("brief-leaf", "/").1) == "certificate_expired");
    assert_eq!(plane.get_with("steady", "/").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_01_what_was_answered_is_in_effect_on_the_very_next_connection() {
    let plane = Plane::start();
    let client = client(&plane);
    let (_, made) = rest(&plane, &client, "/api-keys", json!({"name": "loop"})).await;
    let (id, secret) = (text(&made, "id"), text(&made, "secretKey"));
    let url = plane.url("/");
    let ask = || async { client.get(&url).bearer_auth(&secret).send().await.unwrap().status().as_u16() };
    for round in 0..50 {
        let (status, body) = rest(&plane, &client, &format!("/api-keys/{id}/disable"), json!({})).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["requestStatus"]["receipt"]["inEffect"], true, "{body}");
        assert_eq!(ask().await, 401, "round {round}: refused from the answer on");
        rest(&plane, &client, &format!("/api-keys/{id}/enable"), json!({})).await;
        assert_eq!(ask().await, 200, "round {round}: admitted from the answer on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_07_a_rotation_under_load_fails_no_good_request() {
    let plane = Arc::new(Plane::start());
    let client = client(&plane);
    let (_, old) = rest(&plane, &client, "/api-keys", json!({"name": "old"})).await;
    let (_, new) = rest(&plane, &client, "/api-keys", json!({"name": "new"})).await;
    let (moved, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (good, failed, on_old) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let ca = std::fs::read(plane.var("COUNTERSIGN_CA_CERT")).unwrap();
    let host = format!("{}.localhost", plane.namespace());
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (moved, done) = (Arc::clone(&moved), Arc::clone(&done));
            let (good, failed, on_old) = (Arc::clone(&good), Arc::clone(&failed), Arc::clone(&on_old));
            let (old, new) = (text(&old, "secretKey"), text(&new, "secretKey"));
            let url = plane.url("/");
            let client = reqwest::Client::builder()
                .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
                .resolve(&host, plane.var("COUNTERSIGN_GATEWAY").parse().unwrap())
                .build()
                .unwrap();
            tokio::spawn(async move {
                let mut beat = tokio::time::interval(Duration::from_millis(20));
                while !done.load(Ordering::Acquire) {
                    beat.tick().await;
                    let key = if moved.load(Ordering::Acquire) {
                        &new
                    } else {
                        on_old.fetch_add(1, Ordering::AcqRel);
                        &old
                    };
                    let answer = client.get(&url).bearer_auth(key).send().await;
                    if key == &old {
                        on_old.fetch_sub(1, Ordering::AcqRel);
                    }
                    let counter = if answer.is_ok_and(|a| a.status() == 200) { &good } else { &failed };
                    counter.fetch_add(1, Ordering::AcqRel);
                }
            })
        })
        .collect();
    let at_least = |n: usize| {
        let good = Arc::clone(&good);
        async move {
            tokio::time::timeout(crate::plane::PATIENCE, async {
                while good.load(Ordering::Acquire) < n {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await
            .unwrap();
        }
    };
    at_least(100).await;
    moved.store(true, Ordering::Release);
    // The last requests with the old key come home before it is deleted.
    while on_old.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &text(&old, "id")]).ok();
    let so_far = good.load(Ordering::Acquire);
    at_least(so_far + 100).await;
    done.store(true, Ordering::Release);
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(failed.load(Ordering::Acquire), 0, "of {} requests", good.load(Ordering::Acquire));
    assert_eq!(refusal(&plane.get(&text(&old, "secretKey"), "/").1), "key_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn k_05_no_mix_of_creates_and_enables_crosses_the_limit() {
    let plane = Plane::start();
    let client = client(&plane);
    let mut ids = Vec::new();
    for n in 0..5 {
        let (_, made) = rest(&plane, &client, "/api-keys", json!({"name": format!("k{n}")})).await;
        let id = text(&made, "id");
        rest(&plane, &client, &format!("/api-keys/{id}/disable"), json!({})).await;
        ids.push(id);
    }
    let enables = futures_util::future::join_all(ids.iter().map(|id| {
        let path = format!("/api-keys/{id}/enable");
        let (plane, client) = (&plane, &client);
        async move { rest(plane, client, &path, json!({})).await.0 }
    }));
    let creates = futures_util::future::join_all((0..20).map(|_| rest(&plane, &client, "/api-keys", json!({"name": "mix"}))));
    let (enables, creates) = futures_util::future::join(enables, creates).await;
    assert!(enables.iter().all(|s| *s == 200), "{enables:?}");
    // The key of dev.env and the five leave room for four.
    assert_eq!(creates.iter().filter(|(status, _)| *status < 300).count(), 4);
    let listed = plane.cli(&["apikey", "list"]).ok().json();
    assert_eq!(listed["items"].as_array().or(listed.as_array()).map(Vec::len), Some(10), "{listed}");
}
