//! Acknowledged means durable, and every change has its entry (P15, P16).

use crate::plane::{Plane, binary};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn kill_nine_loses_nothing_that_was_acknowledged() {
    let mut plane = Plane::start();
    for round in 0..5 {
        let acknowledged = Arc::new(Mutex::new(Vec::<String>::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
                let env = plane.env.clone();
                std::thread::spawn(move || {
                    let mut n = 0;
                    while !stop.load(Ordering::Relaxed) && n < 40 {
                        n += 1;
                        let name = format!("robot-{round}-{writer}-{n}");
                        let out = Command::new(binary())
                            .args(["service-account", "create", "--name", &name, "--account-role", "read"])
                            .env_clear()
                            .envs(&env)
                            .output()
                            .unwrap();
                        if out.status.success() {
                            acknowledged.lock().unwrap().push(name);
                        }
                    }
                })
            })
            .collect();
        crate::plane::eventually("some changes are acknowledged", || acknowledged.lock().unwrap().len() >= 3);
        plane.kill_nine();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
        plane.restart();
        let listed = plane.cli(&["service-account", "list"]).ok().stdout;
        let audit = plane.cli(&["audit", "export"]).ok().stdout;
        let acknowledged = acknowledged.lock().unwrap();
        for name in acknowledged.iter() {
            let quoted = format!("\"{name}\"");
            assert!(listed.contains(&quoted), "round {round}: {name} was acknowledged and is lost");
            assert!(audit.contains(&quoted), "round {round}: {name} has no audit entry");
        }
        plane.cli(&["audit", "verify"]).ok();
    }
}

#[test]
fn every_change_and_every_refused_change_has_exactly_one_entry() {
    let plane = Plane::start();
    let count = |what: &str| {
        let all = plane.cli(&["audit", "export"]).ok().stdout;
        all.lines().filter(|l| l.contains(what)).count()
    };
    let before = count("CreateServiceAccount");
    plane.cli(&["service-account", "create", "--name", "one", "--account-role", "read"]).ok();
    plane.cli(&["service-account", "create", "--name", "one", "--account-role", "read"]).refused("already_exists");
    assert_eq!(count("CreateServiceAccount"), before + 2);
    plane.cli(&["audit", "export"]).ok();
    let file = plane.path("trail.ndjson");
    std::fs::write(&file, plane.cli(&["audit", "export"]).ok().stdout).unwrap();
    let offline = |file: &std::path::Path| plane.cli(&["audit", "verify", "--file", file.to_str().unwrap()]);
    offline(&file).ok();
    let tampered = plane.path("tampered.ndjson");
    std::fs::write(&tampered, std::fs::read_to_string(&file).unwrap().replacen("\"one\"", "\"two\"", 1)).unwrap();
    assert_eq!(offline(&tampered).code, 1);
}

#[test]
fn a_repeated_request_is_the_same_operation_and_never_a_second_key() {
    let plane = Plane::start();
    let args = ["apikey", "create", "--name", "once", "--request-id", "my-request-1"];
    let first = plane.cli(&args).ok().json();
    let again = plane.cli(&args).ok().json();
    assert_eq!(first["id"], again["id"]);
    assert!(again["secretKey"].is_null(), "{again}");
    plane.cli(&["apikey", "create", "--name", "other", "--request-id", "my-request-1"]).refused("idempotency_conflict");
}

#[test]
fn what_is_left_of_a_full_disk_belongs_to_changes_that_take_access_away() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    // As after a revocation on a full disk: the space that is kept back has been spent.
    std::fs::remove_file(plane.data().join("reserve")).unwrap();
    plane.cli(&["service-account", "create", "--name", "no", "--account-role", "read"]).refused("disk_full");
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok();
    assert_eq!(plane.get(&secret, "/").0, 401);
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = Command::new(binary())
        .args(["dev", "--control", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path().join("data"))
        .env("COUNTERSIGN_LOG_FILTER", "trace")
        .stdout(std::process::Stdio::piped())
        .stderr(full)
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut said).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert!(said.contains("ready"), "{said}");
}

/// Starts over this directory and ends: the exit code and what was said.
fn start(data: &std::path::Path, args: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(binary())
        .args(["dev", "--control", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .args(args)
        .output()
        .unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn a_lost_write_ahead_log_revives_nobody_and_the_deliberate_way_on_lists_who_would_be_let_in() {
    let mut plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    plane.stop();
    plane.restart();
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok();
    assert_eq!(plane.get(&secret, "/").0, 401);
    plane.kill_nine();
    let log = plane.data().join("countersign.db-wal");
    let kept = std::fs::read(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    for _ in 0..2 {
        let (code, said) = start(&plane.data(), &[]);
        assert_eq!(code, Some(1), "{said}");
        for word in ["store_older", "revision", "backup", "--accept-older-database", &format!("API key {id}")] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    // With its log it is the last one again.
    let put = |bytes: &[u8]| {
        std::fs::write(&log, bytes).unwrap();
        std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let mut flipped = kept.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    put(&flipped);
    assert!(start(&plane.data(), &[]).1.contains("store_older"));
    put(&kept);
    plane.restart();
    assert_eq!(plane.get(&secret, "/").0, 401);
    plane.kill_nine();
    std::fs::remove_file(&log).unwrap();
    plane.restart_with(&["--accept-older-database"]);
    assert!(plane.log().contains(&format!("API key {id}")), "{}", plane.log());
    assert_eq!(plane.get(&secret, "/").0, 200, "as it was told");
    let trail = plane.cli(&["audit", "export"]).ok().stdout;
    let entry = trail.lines().find(|line| line.contains("AcceptOlderDatabase")).unwrap_or_else(|| panic!("{trail}"));
    assert!(entry.contains(&id), "{entry}");
    plane.cli(&["audit", "verify"]).ok();
    plane.stop();
    plane.restart();
}

#[test]
fn a_database_that_is_gone_or_emptied_is_not_made_anew_in_silence() {
    let mut plane = Plane::start();
    plane.stop();
    let database = plane.data().join("countersign.db");
    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, b"").unwrap();
    assert!(start(&plane.data(), &[]).1.contains("store_older"));
    std::fs::remove_file(&database).unwrap();
    assert!(start(&plane.data(), &[]).1.contains("store_older"));
    assert!(!database.exists(), "nothing is made");
    std::fs::remove_file(plane.data().join("fence")).unwrap();
    assert!(start(&plane.data(), &[]).1.contains("store_older"), "the master key tells that there was one");
    // And the database without its fence.
    std::fs::write(&database, whole).unwrap();
    std::fs::set_permissions(&database, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(start(&plane.data(), &[]).1.contains("store_older"));
    plane.restart_with(&["--accept-older-database"]);
    plane.cli(&["audit", "verify"]).ok();
}

#[test]
fn a_foreign_write_lock_stalls_nothing_but_changes_and_those_are_told_to_come_again() {
    let plane = Plane::start();
    let (_, secret) = plane.key(&[]);
    let mut foreign = countersign_testkit::Faults::of(&plane.data());
    crate::plane::eventually("the lock is free for a moment", || foreign.try_change("BEGIN IMMEDIATE"));
    let url = format!("https://{}/api/v1/service-accounts", plane.var("COUNTERSIGN_SERVER"));
    let (bearer, json) = (format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY")), "Content-Type: application/json");
    // More changes than there are threads, all of which find the lock taken.
    let changing: Vec<_> = (0..16)
        .map(|n| {
            let body = format!(r#"{{"name": "n{n}", "access": {{"accountRole": "read"}}}}"#);
            plane.curl_command(&["-i", "-H", &bearer, "-H", json, "-d", &body, &url]).spawn().unwrap()
        })
        .collect();
    let health = plane.var("COUNTERSIGN_METRICS").replace("/metrics", "/healthz");
    let login = format!("https://{}/healthz", plane.var("COUNTERSIGN_SERVER"));
    for _ in 0..20 {
        assert_eq!(plane.curl(&["--max-time", "4", &health]).0, 200);
        assert_eq!(plane.curl(&["--max-time", "4", &login]).0, 200);
        assert_eq!(plane.curl(&["--max-time", "4", "-H", &format!("Authorization: Bearer {secret}"), &plane.url("/")]).0, 200);
        assert_eq!(plane.curl(&["--max-time", "4", "-H", &bearer, &url]).0, 200, "what only reads goes on");
    }
    for change in changing {
        let said = String::from_utf8_lossy(&change.wait_with_output().unwrap().stdout).to_lowercase();
        assert!(said.contains(" 503") && said.contains("retry-after: 1"), "{said}");
    }
    foreign.change("COMMIT");
    crate::plane::eventually("changes go on", || {
        plane.cli(&["service-account", "create", "--name", "after", "--account-role", "read"]).code == 0
    });
}

#[test]
fn one_unreadable_row_closes_what_it_belongs_to_and_everything_else_starts() {
    let mut plane = Plane::start();
    let (_, secret) = plane.key(&[]);
    let (broken, lost) = plane.key(&[]);
    plane.cli(&["namespace", "create", "--namespace", "torn"]).ok();
    plane.cli(&["user", "invite", "--user-email", "torn@example.test", "--account-role", "read"]).ok();
    plane.cli(&["application", "create", "--name", "whole"]).ok();
    plane.stop();
    let torn = [
        "UPDATE operation SET receipt = '{' WHERE id = (SELECT id FROM operation ORDER BY started_at DESC LIMIT 1)",
        "UPDATE operation SET state = 'in_progress', receipt = '{', finished_at = NULL WHERE id = (SELECT id FROM operation ORDER BY started_at LIMIT 1)",
        "UPDATE issuer SET policy = 'x' WHERE name = 'sandbox-1'",
        "UPDATE namespace SET document = '{\"id\": 1}' WHERE id LIKE 'torn.%'",
        "UPDATE user_account SET access = '[]' WHERE email = 'torn@example.test'",
        &format!("UPDATE api_key SET apis = '{{' WHERE id = '{broken}'"),
    ];
    for text in torn {
        countersign_testkit::Faults::of(&plane.data()).change(text);
    }
    plane.restart();
    assert_eq!((plane.get(&secret, "/").0, plane.get(&lost, "/").0), (200, 401));
    plane.cli(&["user", "list"]).ok();
    plane.cli(&["apikey", "list"]).ok();
    plane.cli(&["issuer", "list"]).ok();
    assert!(!plane.cli(&["namespace", "list"]).ok().stdout.contains("torn"));
    plane.cli(&["service-account", "create", "--name", "new", "--account-role", "read"]).ok();
    // What needs the issuer that cannot be read is refused, and what another one signs goes on.
    let create = |environment: &str| {
        let order = ["certificate", "create", "--application", "whole", "--generate-key", "--environment", environment];
        plane.cli(&[&order[..], &["--alias", environment, "--out", environment]].concat()).code
    };
    assert_eq!((create("sandbox"), create("production")), (1, 0));
    let metrics = plane.curl(&[plane.var("COUNTERSIGN_METRICS")]).1;
    let shown = plane.cli(&["gateway", "list"]).ok();
    for kind in ["namespace", "identity", "api_key", "issuer", "operation"] {
        assert!(metrics.contains(&format!("countersign_unreadable_rows{{kind=\"{kind}\"}} 1")), "{kind}: {metrics}");
        assert!(plane.log().contains(&format!("kind=\"{kind}\"")), "{kind}: {}", plane.log());
        assert!(shown.stdout.contains(kind) || shown.stderr.contains(kind), "{kind}: {shown:?}");
    }
    assert!(plane.log().matches("kind=\"namespace\"").count() == 1, "one line each");
    let door = format!("{}:{}", plane.var("COUNTERSIGN_GATEWAY_HOST"), plane.gateway_port());
    let said = plane.cli(&["doctor", &door]);
    assert!(said.stdout.contains("torn"), "{said:?}");
}

#[test]
fn a_trail_that_was_cut_or_made_anew_is_told_by_what_was_kept_of_it_elsewhere() {
    let mut plane = Plane::start();
    for name in ["one", "two", "three"] {
        plane.cli(&["service-account", "create", "--name", name, "--account-role", "read"]).ok();
    }
    let export = plane.path("export.ndjson");
    plane.cli(&["audit", "export", "--file", "export.ndjson"]).ok();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&export).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "an export is private");
    let verified = plane.cli(&["audit", "verify"]).ok().json();
    let head = format!("{}:{}", verified["entries"], verified["head"].as_str().unwrap());
    std::fs::write(plane.path("head.json"), plane.cli(&["audit", "verify"]).ok().stdout).unwrap();
    plane.cli(&["service-account", "create", "--name", "four", "--account-role", "read"]).ok();
    for kept in ["export.ndjson", "head.json", &head] {
        plane.cli(&["audit", "verify", "--against", kept]).ok();
    }
    plane.cli(&["audit", "verify", "--file", "export.ndjson", "--against", &head]).ok();
    // Some entries of an export are compared as well.
    let lines = std::fs::read_to_string(&export).unwrap();
    std::fs::write(plane.path("some.ndjson"), lines.lines().skip(2).step_by(2).collect::<Vec<_>>().join("\n")).unwrap();
    plane.cli(&["audit", "verify", "--against", "some.ndjson"]).ok();
    plane.stop();
    // Whoever can write to the database makes the trail hold again; the fence tells, and is passed on purpose here.
    countersign_testkit::Faults::of(&plane.data()).change(
        "DELETE FROM audit WHERE sequence > (SELECT MAX(sequence) - 4 FROM audit); \
         UPDATE audit_head SET (sequence, hash) = (SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1)",
    );
    plane.restart_with(&["--accept-older-database"]);
    plane.cli(&["audit", "verify"]).ok();
    for kept in ["export.ndjson", "head.json", &head] {
        plane.cli(&["audit", "verify", "--against", kept]).refused("audit_trail_differs");
    }
    plane.cli(&["audit", "export", "--file", "cut.ndjson"]).ok();
    plane.cli(&["audit", "verify", "--file", "cut.ndjson", "--against", "export.ndjson"]).refused("audit_trail_differs");
}

#[test]
fn serve_sends_heads_of_the_trail_with_which_a_later_trail_is_compared() {
    let place = tempfile::tempdir().unwrap();
    let heads = place.path().join("heads.ndjson");
    let mut child = Command::new(binary())
        .arg("serve")
        .env_clear()
        .env("COUNTERSIGN_STORAGE", format!("sqlite:{}", place.path().join("data").display()))
        .env("COUNTERSIGN_AUDIT_HEADS_FILE", &heads)
        .envs(["CONTROL", "GATEWAY", "METRICS"].map(|what| (format!("COUNTERSIGN_{what}_LISTEN"), "127.0.0.1:0")))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    crate::plane::eventually("a head is written", || std::fs::read_to_string(&heads).is_ok_and(|text| text.ends_with('\n')));
    let _ = child.kill();
    let _ = child.wait();
    let line: serde_json::Value = serde_json::from_str(std::fs::read_to_string(&heads).unwrap().lines().next().unwrap()).unwrap();
    assert!(line["sequence"].as_i64().unwrap() > 0 && line["hash"].as_str().unwrap().len() == 64, "{line}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&heads).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
