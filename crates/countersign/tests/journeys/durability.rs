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
    plane.cli(&["apikey", "disable", "--id", &id]).ok();
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
