//! Rotating and revoking, by real clients: nobody notices the one, and nothing live outlives the other.

use crate::plane::{Answer, Plane, eventually, refusal, text};
use crate::streams::stream;
use serde_json::Value;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[track_caller]
fn openssl(plane: &Plane, words: &str) {
    Answer::of(Command::new("openssl").args(words.split_whitespace()).current_dir(plane.path("")).output().unwrap()).ok();
}

/// A GET with the files of `certificate create --out-dir DIR --alias NAME`.
fn get_with(plane: &Plane, stem: &str) -> (u16, String) {
    plane.curl(&["--cert", &format!("{stem}.pem"), "--key", &format!("{stem}.key"), &plane.url("/x")])
}

#[test]
fn a_hold_cuts_a_live_stream_and_a_release_lets_it_in_again() {
    let plane = Plane::start();
    plane.certificates("acme");
    let id = text(&plane.cli(&["key", "create", "--certificate", "acme.pem"]).ok().json(), "id");
    let open = || stream(&plane, &["--cert", "acme.pem", "--key", "acme.key"]);
    let live = open();
    let held = plane.cli(&["--auto-confirm", "certificate", "revoke", "--id", &id, "--reason", "certificateHold"]).ok().json();
    assert!(held["requestStatus"]["receipt"]["streamsCut"].as_u64().unwrap() >= 1, "{held}");
    assert_ne!(live.ended(), 0);
    let (status, body) = get_with(&plane, "acme");
    assert_eq!((status, refusal(&body).as_str()), (403, "certificate_revoked"), "{body}");
    plane.cli(&["certificate", "release", "--id", &id]).ok();
    let mut again = open();
    again.goes_on();
    plane.cli(&["certificate", "release", "--id", &id]).refused("nothing_to_change");
    let first = plane.cli(&["--auto-confirm", "certificate", "revoke", "--id", &id]).ok().json();
    assert_ne!(again.ended(), 0);
    let second = plane.cli(&["--auto-confirm", "certificate", "revoke", "--id", &id]);
    second.refused("nothing_to_change");
    assert!(second.stderr.contains(first["certificates"][0]["revokedTime"].as_str().unwrap()), "{second:?}");
    plane.cli(&["certificate", "release", "--id", &id]).refused("certificate_revoked");
}

#[test]
fn a_compromised_key_cuts_every_certificate_that_carries_it_and_the_key_file_stays_here() {
    let plane = Plane::start();
    openssl(&plane, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out shared.key");
    for name in ["one", "two"] {
        openssl(&plane, &format!("req -x509 -key shared.key -days 30 -subj /CN={name} -out {name}.pem"));
        std::fs::copy(plane.path("shared.key"), plane.path(&format!("{name}.key"))).unwrap();
        plane.cli(&["key", "create", "--certificate", &format!("{name}.pem")]).ok();
    }
    let streams = ["one", "two"].map(|n| stream(&plane, &["--cert", &format!("{n}.pem"), "--key", "shared.key"]));
    let planned = plane.cli(&["certificate", "revoke", "--key", "shared.key", "--dry-run"]).ok().json();
    assert_eq!((planned["count"].as_u64(), planned["dryRun"].as_bool()), (Some(2), Some(true)), "{planned}");
    let done = plane.cli_with(&["certificate", "revoke", "--key", "shared.key"], &[], "REVOKE\n").ok();
    assert!(done.stderr.contains("blocked for ever"), "{done:?}");
    assert_eq!(done.json()["count"], 2, "{done:?}");
    for stream in streams {
        assert_ne!(stream.ended(), 0);
    }
    for name in ["one", "two"] {
        assert_eq!(refusal(&get_with(&plane, name).1), "certificate_revoked");
    }
    let body: String = std::fs::read_to_string(plane.path("shared.key")).unwrap();
    let line = body.lines().nth(1).unwrap();
    assert!(!plane.log().contains(line));
    let trail = plane.cli(&["audit", "list"]).ok();
    assert!(!trail.stdout.contains(line));
    openssl(&plane, "req -x509 -key shared.key -days 30 -subj /CN=three -out three.pem");
    assert_ne!(plane.cli(&["key", "create", "--certificate", "three.pem"]).code, 0, "a blocked key never comes back");
}

/// What the client of the run below shows with each request.
#[derive(Clone)]
enum Shown {
    Key(String),
    Certificate(reqwest::Client),
}

/// Two hundred requests a second until it is told to stop; answers (good, failed).
struct Load {
    shown: Arc<Mutex<Shown>>,
    good: Arc<AtomicU64>,
    bad: Arc<Mutex<Vec<String>>>,
    stop: tokio::sync::watch::Sender<bool>,
    runner: std::thread::JoinHandle<()>,
}

fn client(plane: &Plane, identity: Option<&str>) -> reqwest::Client {
    let root = std::fs::read(plane.var("COUNTERSIGN_CA_CERT")).unwrap();
    let host = format!("{}.localhost", plane.namespace());
    let address: std::net::SocketAddr = plane.var("COUNTERSIGN_GATEWAY").parse().unwrap();
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&root).unwrap()])
        .no_proxy()
        .resolve(&host, address)
        .timeout(Duration::from_secs(10));
    if let Some(stem) = identity {
        let mut pem = std::fs::read(plane.path(&format!("{stem}.key"))).unwrap();
        pem.extend(std::fs::read(plane.path(&format!("{stem}.pem"))).unwrap());
        builder = builder.identity(reqwest::Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

impl Load {
    fn begin(plane: &Plane, first: Shown) -> Self {
        let (stop, mut stopped) = tokio::sync::watch::channel(false);
        let (shown, good, bad) = (Arc::new(Mutex::new(first)), Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (plain, url) = (client(plane, None), plane.url("/x"));
        let (seen, counted, failed) = (Arc::clone(&shown), Arc::clone(&good), Arc::clone(&bad));
        let runner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut beat = tokio::time::interval(Duration::from_millis(5));
                let mut tasks = tokio::task::JoinSet::new();
                loop {
                    tokio::select! {
                        _ = beat.tick() => {}
                        _ = stopped.wait_for(|stop| *stop) => break,
                    }
                    let now = seen.lock().unwrap().clone();
                    let request = match now {
                        Shown::Key(secret) => plain.get(&url).bearer_auth(secret),
                        Shown::Certificate(client) => client.get(&url),
                    };
                    let (counted, failed) = (Arc::clone(&counted), Arc::clone(&failed));
                    tasks.spawn(async move {
                        match request.send().await {
                            Ok(answer) if answer.status() == 200 => {
                                counted.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(answer) => failed.lock().unwrap().push(format!("{}", answer.status())),
                            Err(error) => failed.lock().unwrap().push(format!("{error:?}")),
                        }
                    });
                    while tasks.try_join_next().is_some() {}
                }
                while tasks.join_next().await.is_some() {}
            });
        });
        Self { shown, good, bad, stop, runner }
    }

    /// Waits for so many more good requests.
    fn goes_on(&self, more: u64) {
        let until = self.good.load(Ordering::Relaxed) + more;
        eventually("the load goes on", || self.good.load(Ordering::Relaxed) >= until || !self.bad.lock().unwrap().is_empty());
    }

    fn shows(&self, next: Shown) {
        *self.shown.lock().unwrap() = next;
    }

    /// Waits until nothing under way shows what was shown before.
    fn end(self) -> u64 {
        self.stop.send(true).unwrap();
        self.runner.join().unwrap();
        let bad = self.bad.lock().unwrap();
        assert!(bad.is_empty(), "{} failed: {:?}", bad.len(), &bad[..bad.len().min(5)]);
        self.good.load(Ordering::Relaxed)
    }
}

fn percent(usage: &Value, side: &str) -> f64 {
    usage[side]["percent"].as_f64().unwrap_or(-1.0)
}

#[test]
fn s13_keys_are_rotated_under_two_hundred_requests_a_second_and_none_fails() {
    let plane = Plane::start();
    let (old, secret) = plane.key(&["--duration", "30d"]);
    let load = Load::begin(&plane, Shown::Key(secret));
    load.goes_on(200);
    let made = plane.cli(&["apikey", "rotate", "--id", &old]).ok();
    assert!(made.stderr.contains("Both work"), "{made:?}");
    let (new, secret) = (text(&made.json(), "id"), text(&made.json(), "secretKey"));
    load.goes_on(200);
    load.shows(Shown::Key(secret));
    load.goes_on(300);
    let usage = plane.cli(&["apikey", "usage", "--id", &old, "--window", "5m"]).ok().json();
    assert!(percent(&usage, "old") > 0.0 && percent(&usage, "new") > 0.0, "{usage}");
    assert_eq!((usage["safeToRevoke"].as_bool(), usage["old"]["lastUsedFrom"].as_str()), (Some(false), Some("127.0.0.1")), "{usage}");
    // It says who would break, and goes only when that is meant.
    let refused = plane.cli(&["apikey", "retire", "--id", &old]);
    refused.refused("still_in_use");
    assert!(refused.stderr.contains("127.0.0.1"), "{refused:?}");
    let noted = plane.cli(&["apikey", "retire", "--id", &old, "--when-idle", "24h"]).ok();
    assert!(noted.stderr.contains("warning") && noted.json()["gone"] == false, "{noted:?}");
    load.goes_on(100);
    plane.cli(&["--auto-confirm", "apikey", "retire", "--id", &old, "--force"]).ok();
    load.goes_on(300);
    assert!(load.end() >= 1100);
    assert_ne!(plane.cli(&["apikey", "get", "--id", &old]).code, 0);
    assert_eq!(plane.cli(&["apikey", "get", "--id", &new]).ok().json()["state"], "enabled");
}

#[test]
fn s13_certificates_are_rotated_under_two_hundred_requests_a_second_and_none_fails() {
    let plane = Plane::start();
    let made = plane.cli(&["certificate", "create", "--generate-key", "--alias", "web", "--out-dir", "first"]).ok().json();
    let old = text(&made, "id");
    let load = Load::begin(&plane, Shown::Certificate(client(&plane, Some("first/web"))));
    load.goes_on(200);
    let made = plane.cli(&["certificate", "rotate", "--id", &old, "--generate-key", "--out-dir", "second"]).ok().json();
    let new = text(&made, "id");
    plane.cli(&["certificate", "rotate", "--id", &old, "--generate-key", "--out-dir", "third"]).refused("already_renewed");
    load.goes_on(200);
    load.shows(Shown::Certificate(client(&plane, Some("second/web"))));
    load.goes_on(300);
    let usage = plane.cli(&["certificate", "usage", "--id", &new, "--window", "5m"]).ok().json();
    assert!(percent(&usage, "old") > 0.0 && percent(&usage, "new") > 0.0, "{usage}");
    plane.cli(&["certificate", "retire", "--id", &old]).refused("still_in_use");
    plane.cli(&["--auto-confirm", "certificate", "retire", "--id", &old, "--force"]).ok();
    load.goes_on(300);
    assert!(load.end() >= 1000);
    assert_eq!(plane.cli(&["certificate", "get", "--id", &old]).ok().json()["state"], "revoked");
    assert_eq!(refusal(&get_with(&plane, "first/web").1), "certificate_revoked");
    assert_eq!(get_with(&plane, "second/web").0, 200);
}

#[test]
fn a_leaf_of_an_accepted_ca_is_cut_although_we_are_not_its_ca() {
    let plane = Plane::start();
    plane.certificates("acme");
    plane.leaf("acme", "second", &[]);
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "acme-ca.pem"]).ok();
    let live = stream(&plane, &["--cert", "acme.pem", "--key", "acme.key"]);
    let mut other = stream(&plane, &["--cert", "second.pem", "--key", "second.key"]);
    let revoke = ["namespace", "accepted-client-ca", "revoke-leaf", "--certificate", "acme.pem"];
    let refused = plane.cli_with(&revoke, &[], "no\n");
    assert_eq!(refused.code, 1, "{refused:?}");
    let done = plane.cli_with(&revoke, &[], "REVOKE\n").ok().json();
    assert!(done["requestStatus"]["receipt"]["streamsCut"].as_u64().unwrap() >= 1, "{done}");
    assert_ne!(live.ended(), 0);
    other.goes_on();
    assert_eq!(refusal(&get_with(&plane, "acme").1), "certificate_revoked");
    assert_eq!(get_with(&plane, "second").0, 200);
    let listed = plane.cli(&["namespace", "accepted-client-ca", "revoked-leaves"]).ok().json();
    let serial = text(&listed["items"][0], "serial");
    plane.cli(&["namespace", "accepted-client-ca", "restore-leaf", "--serial", &serial]).ok();
    assert_eq!(get_with(&plane, "acme").0, 200);
}

#[test]
fn e4_a_list_made_by_openssl_ca_cuts_its_leaf_and_an_older_one_does_not_bring_it_back() {
    let mut plane = Plane::start();
    let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\ncrlnumber=crlnumber\nnew_certs_dir=.\ncertificate=ca.pem\n\
        private_key=ca.key\ndefault_md=sha256\ndefault_days=90\ndefault_crl_days=30\npolicy=p\nx509_extensions=leaf\n[p]\n\
        commonName=supplied\n[leaf]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n[req]\n\
        distinguished_name=dn\n[dn]\n[v3ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
    for (name, content) in [("ca.cnf", settings), ("index.txt", ""), ("serial", "01\n"), ("crlnumber", "01\n")] {
        std::fs::write(plane.path(name), content).unwrap();
    }
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&plane, &format!("req -x509 {key} -keyout ca.key -days 365 -subj /CN=theirs -config ca.cnf -extensions v3ca -out ca.pem"));
    for name in ["one", "two"] {
        openssl(&plane, &format!("req -new {key} -keyout {name}.key -subj /CN={name} -config ca.cnf -out {name}.csr"));
        openssl(&plane, &format!("ca -batch -config ca.cnf -in {name}.csr -out {name}.pem -notext"));
    }
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "ca.pem"]).ok();
    openssl(&plane, "ca -config ca.cnf -gencrl -out before.crl");
    plane.cli(&["namespace", "accepted-client-ca", "crl", "set", "--crl-file", "before.crl"]).ok();
    let live = stream(&plane, &["--cert", "one.pem", "--key", "one.key"]);
    let mut other = stream(&plane, &["--cert", "two.pem", "--key", "two.key"]);
    openssl(&plane, "ca -config ca.cnf -revoke one.pem -crl_reason superseded");
    openssl(&plane, "ca -config ca.cnf -gencrl -out after.crl");
    openssl(&plane, "crl -in after.crl -outform DER -out after.der");
    let done = plane.cli(&["namespace", "accepted-client-ca", "crl", "set", "--crl-file", "after.der"]).ok().json();
    assert_eq!(done["added"], 1, "{done}");
    assert_ne!(live.ended(), 0);
    other.goes_on();
    plane.cli(&["namespace", "accepted-client-ca", "crl", "set", "--crl-file", "before.crl"]).refused("crl_older");
    assert_eq!(refusal(&get_with(&plane, "one").1), "certificate_revoked");
    let shown = plane.cli(&["namespace", "accepted-client-ca", "crl", "get"]).ok().json();
    assert_eq!((shown["revoked"].as_u64(), shown["stale"].as_str()), (Some(1), Some("keep")), "{shown}");
    // After a crash it is kept out from the first request on.
    plane.kill_nine();
    plane.restart();
    assert_eq!(refusal(&get_with(&plane, "one").1), "certificate_revoked");
    assert_eq!(get_with(&plane, "two").0, 200);
}
