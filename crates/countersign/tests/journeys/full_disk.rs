//! A device that becomes full: the built binary over a small tmpfs, which takes the rights of root to mount
//! (P15, P17, P20; D12 of research/pki.md).

use crate::plane::{Answer, Plane, eventually, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

const MOUNT: &str = "mount -t tmpfs -o size=32m,mode=700 none";

/// Takes the device away before the directory is removed.
struct Device(PathBuf);

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A plane whose data directory is a device of its own.
fn plane() -> Option<(Plane, Device)> {
    let place = tempfile::tempdir().unwrap();
    drop(countersign_testkit::SmallDevice::mount(place.path(), 32)?);
    let plane = Plane::start_after(&format!("for data; do :; done; mkdir -m 700 \"$data\" && {MOUNT} \"$data\""));
    let device = Device(plane.data());
    Some((plane, device))
}

/// Writes until nothing is left, not even by the byte.
fn fill_up(place: &Path) -> PathBuf {
    let ballast = place.join("ballast");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&ballast).unwrap();
    for size in [1 << 20, 4096, 1] {
        while std::io::Write::write_all(&mut file, &vec![1_u8; size]).is_ok() {}
    }
    ballast
}

/// Writes until so many bytes are left on the device.
fn fill(place: &Path, left: u64) -> PathBuf {
    let free = || {
        let out = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(place).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        let (blocks, size) = said.trim().split_once(' ').unwrap();
        blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()
    };
    let ballast = place.join("ballast");
    std::fs::write(&ballast, vec![1_u8; usize::try_from(free().saturating_sub(left)).unwrap()]).unwrap();
    assert!(free() <= left + 8192, "{} bytes are left", free());
    ballast
}

fn create(plane: &Plane, alias: &str) -> Answer {
    let order = ["certificate", "create", "--application", "app", "--environment", "sandbox", "--generate-key"];
    let rest = ["--alias", alias, "--out-dir", "made", "-o", "json", "--request-id", alias];
    plane.cli(&[&order[..], &rest].concat())
}

#[test]
fn d12_a_disk_that_fills_while_certificates_are_issued_leaves_nothing_half_made() {
    let Some((mut plane, _device)) = plane() else { return };
    let permission = format!("{}=write", plane.namespace());
    plane.cli(&["application", "create", "--name", "app", "--sandbox-permission", &permission]).ok();
    let early = text(&create(&plane, "early").ok().json(), "id");
    let private = ["--cert", "made/early.pem", "--key", "made/early.key"];
    let get = |plane: &Plane| plane.curl(&[&private[..], &[&plane.url("/hello")]].concat()).0;
    assert_eq!(get(&plane), 200);

    let ballast = fill(&plane.data(), 400 * 1024);
    let (issued, refused) = (Mutex::new(BTreeSet::from([early.clone()])), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (plane, issued, refused) = (&plane, &issued, &refused);
            scope.spawn(move || {
                let mut failures = 0;
                for n in 0..200 {
                    let alias = format!("c-{writer}-{n}");
                    let answer = create(plane, &alias);
                    if answer.code == 0 {
                        issued.lock().unwrap().insert(text(&answer.json(), "id"));
                    } else {
                        refused.lock().unwrap().push((alias, answer.stderr));
                        failures += 1;
                    }
                    if failures == 3 {
                        break;
                    }
                }
            });
        }
    });
    let (mut issued, refused) = (issued.into_inner().unwrap(), refused.into_inner().unwrap());
    assert_eq!(refused.len(), 9, "the disk is full for every writer, after {} were issued", issued.len());
    assert!(refused.iter().all(|(_, said)| said.contains("disk_full")), "{refused:?}");
    // What takes access away goes through on the space that is kept back for it, and is in force at the gateway.
    plane.cli(&["--auto-confirm", "certificate", "revoke", "--id", &early]).ok();
    assert_eq!(get(&plane), 403);
    create(&plane, "on-the-reserve").refused("disk_full");

    std::fs::remove_file(ballast).unwrap();
    let listed = |plane: &Plane| -> BTreeSet<String> {
        let list = plane.cli(&["certificate", "list", "--page-size", "1000"]).ok().json();
        list["items"].as_array().unwrap().iter().map(|one| text(one, "id")).collect()
    };
    assert_eq!(listed(&plane), issued, "what was answered as issued is there, and nothing else");
    // What could not even be given up is so after a minute; here the minute is put into the file.
    assert_eq!(plane.stop(), 0);
    countersign_testkit::Faults::of(&plane.data())
        .change("UPDATE issuance SET created_at = created_at - 60000000 WHERE state = 'intended'");
    plane.restart();
    // The same requests again go through, each with one certificate: a start keeps space back anew, as every minute does.
    for (alias, _) in &refused {
        let made = text(&create(&plane, alias).ok().json(), "id");
        assert!(issued.insert(made), "{alias}");
    }
    let trail = |plane: &Plane| -> Vec<Value> {
        plane.cli(&["audit", "export"]).ok().stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let intended_without_end = |plane: &Plane| {
        let trail = trail(plane);
        let of = |action: &str| -> BTreeSet<String> {
            let entries = trail.iter().filter(|entry| entry["action"] == action && !entry["objectId"].as_str().unwrap().is_empty());
            entries.map(|entry| text(entry, "objectId")).collect()
        };
        let (created, abandoned) = (of("CreateCertificate"), of("AbandonCertificate"));
        assert!(created.is_disjoint(&abandoned) && issued.is_subset(&created) && listed(plane).is_disjoint(&abandoned));
        let requested = trail.iter().filter(|entry| entry["action"] == "IntendCertificate" && entry.to_string().contains("requestSha256"));
        requested.filter(|one| !created.contains(&text(one, "objectId")) && !abandoned.contains(&text(one, "objectId"))).count()
    };
    eventually("every intent has its end in the trail", || intended_without_end(&plane) == 0);
    assert_eq!(listed(&plane), issued);
    assert_eq!(get(&plane), 403, "and what was revoked on the full disk stays so");
    plane.cli(&["audit", "verify"]).ok();
}

#[test]
fn every_form_of_revocation_works_on_a_full_disk_and_nothing_that_grants_does() {
    let Some((plane, _device)) = plane() else { return };
    let permission = format!("{}=write", plane.namespace());
    plane.cli(&["application", "create", "--name", "app", "--sandbox-permission", &permission]).ok();
    let other = text(&plane.cli(&["application", "create", "--name", "other", "--sandbox-permission", &permission]).ok().json(), "id");
    let made: Vec<Value> = ["id", "serial", "pem", "key", "owner"]
        .iter()
        .map(|alias| {
            let order = ["certificate", "create", "--application", "app", "--environment", "sandbox", "--generate-key"];
            plane.cli(&[&order[..], &["--alias", alias, "--out-dir", "made", "-o", "json"]].concat()).ok().json()
        })
        .collect();
    plane.certificates("acme");
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "acme-ca.pem"]).ok();
    assert_eq!(plane.get_with("acme", "/").0, 200);
    let keys: Vec<(String, String)> = (0..3).map(|_| plane.key(&[])).collect();
    let with = |alias: &str| {
        let (cert, key) = (format!("made/{alias}.pem"), format!("made/{alias}.key"));
        plane.curl(&["--cert", &cert, "--key", &key, &plane.url("/")]).0
    };
    let serial = plane.cli(&["certificate", "get", "--id", &text(&made[1], "id")]).ok().json();
    let serial = text(&serial, "serial");
    fill_up(&plane.data());

    let refused = |args: &[&str]| plane.cli(args).refused("disk_full");
    refused(&["service-account", "create", "--name", "no", "--account-role", "read"]);
    let revoke = |args: &[&str]| plane.cli(&[&["--auto-confirm", "certificate", "revoke"], args].concat()).ok();
    revoke(&["--id", &text(&made[0], "id")]);
    refused(&["service-account", "create", "--name", "no", "--account-role", "read"]);
    let issuer = plane.cli(&["certificate", "get", "--id", &text(&made[1], "id")]).ok().json();
    revoke(&["--serial", &serial, "--issuer", &text(&issuer, "issuerId")]);
    revoke(&["--certificate", "made/pem.pem"]);
    revoke(&["--key", "made/key.key", "--reason", "keyCompromise"]);
    for alias in ["id", "serial", "pem", "key"] {
        assert_eq!(with(alias), 403, "{alias}");
    }
    assert_eq!(with("owner"), 200);
    revoke(&["--application", "app"]);
    assert_eq!(with("owner"), 403);
    plane.cli(&["--auto-confirm", "namespace", "accepted-client-ca", "revoke-leaf", "--certificate", "acme.pem"]).ok();
    assert_eq!(plane.get_with("acme", "/").0, 403);
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &keys[0].0]).ok();
    plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &keys[1].0]).ok();
    plane.cli(&["--auto-confirm", "account", "api-keys", "disable-creation"]).ok();
    plane.cli(&["--auto-confirm", "application", "delete", "--id", &other]).ok();
    for (id, secret) in &keys[..2] {
        assert_eq!(plane.get(secret, "/").0, 401, "{id}");
    }
    assert_eq!(plane.get(&keys[2].1, "/").0, 200);
    refused(&["apikey", "enable", "--id", &keys[0].0]);
    plane.cli(&["audit", "verify"]).ok();
}

#[test]
fn no_outsider_fills_the_disk_and_a_key_can_be_disabled_after_every_flood() {
    let Some((plane, _device)) = plane() else { return };
    let (id, secret) = plane.key(&[]);
    let reader = plane.cli(&["service-account", "create", "--name", "reader", "--account-role", "read"]).ok().json();
    let reader = plane.key(&["--service-account-id", &text(&reader, "id")]).1;
    let ballast = fill(&plane.data(), 5 * 1024 * 1024);
    let free = || {
        let out = Command::new("stat").args(["-f", "-c", "%a"]).arg(plane.data()).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().parse::<u64>().unwrap() * 4096
    };
    // A stranger with long paths, and a caller who may only read.
    let long = plane.url(&format!("/{}[1-3000]", "x".repeat(900)));
    plane.curl_command(&["--max-time", "120", "-o", "/dev/null", &long]).output().unwrap();
    let post = format!("https://{}/api/v1/service-accounts?requestId=r[1-1000]", plane.var("COUNTERSIGN_SERVER"));
    let bearer = format!("Authorization: Bearer {reader}");
    let body = r#"{"name": "n", "access": {"accountRole": "read"}}"#;
    let json = "Content-Type: application/json";
    plane.curl_command(&["--max-time", "120", "-o", "/dev/null", "-H", &bearer, "-H", json, "-d", body, &post]).output().unwrap();
    assert!(free() > 1024 * 1024, "{} bytes are left", free());
    let metrics = || plane.curl(&[plane.var("COUNTERSIGN_METRICS")]).1;
    let count = |name: &str| -> u64 {
        let metrics = metrics();
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_else(|| panic!("{name}: {metrics}"));
        line.parse().unwrap()
    };
    assert!(count("countersign_gateway_access_log_left_out_total") > 1_000);
    assert!(count("countersign_audit_refusals_left_out_total") > 500);
    assert_eq!(count("countersign_disk_full"), 0, "the space that is kept back is still there");
    // Now somebody else fills the rest, and the floods go on.
    fill_up(&plane.data());
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok();
    let spent = free();
    let short = plane.url("/[1-500]");
    plane.curl_command(&["--max-time", "120", "-o", "/dev/null", &short]).output().unwrap();
    assert!(free() + 4 * 1024 * 1024 > spent, "what the reserve set free is not for the access log: {spent} then {}", free());
    assert_eq!(plane.get(&secret, "/").0, 401);
    std::fs::remove_file(ballast).unwrap();
    eventually("writing works again by itself", || {
        plane.cli(&["service-account", "create", "--name", "again", "--account-role", "read", "--idempotent"]).code == 0
    });
    let trail = || plane.cli(&["audit", "list", "--action", "LeaveOutRefusedChanges", "-o", "json"]).ok().stdout;
    eventually("one entry says how many were left out", || trail().contains("leftOut"));
}

/// Whether `serve` starts over this directory.
fn serves(data: &Path) -> bool {
    let mut child = Command::new(crate::plane::binary())
        .arg("serve")
        .env_clear()
        .env("COUNTERSIGN_STORAGE", format!("sqlite:{}", data.display()))
        .envs(["CONTROL", "GATEWAY", "METRICS"].map(|what| (format!("COUNTERSIGN_{what}_LISTEN"), "127.0.0.1:0")))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut said).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    said.contains("Countersign serves")
}

#[test]
fn a_start_on_a_disk_without_a_free_byte_serves_the_last_state_and_writing_comes_back_by_itself() {
    let Some((mut plane, _device)) = plane() else { return };
    let (good, revoked, later) = (plane.key(&[]), plane.key(&[]), plane.key(&[]));
    fill_up(&plane.data());
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &revoked.0]).ok();
    // The reserve is spent, and somebody takes that as well.
    let ballast = fill_up(&plane.data());
    for killed in [true, false] {
        if killed {
            plane.kill_nine();
        } else {
            plane.stop();
        }
        fill_up(&plane.data());
        plane.restart();
        assert_eq!((plane.get(&good.1, "/").0, plane.get(&revoked.1, "/").0), (200, 401), "after kill: {killed}");
        plane.cli(&["service-account", "create", "--name", "no", "--account-role", "read"]).refused("disk_full");
        plane.cli(&["apikey", "list"]).ok();
    }
    plane.stop();
    fill_up(&plane.data());
    assert!(serves(&plane.data()), "and so does serve");
    plane.restart();
    std::fs::remove_file(ballast).unwrap();
    eventually("writing works again without a restart", || {
        plane.cli(&["service-account", "create", "--name", "again", "--account-role", "read", "--idempotent"]).code == 0
    });
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &later.0]).ok();
    plane.kill_nine();
    plane.restart();
    assert_eq!((plane.get(&good.1, "/").0, plane.get(&later.1, "/").0), (200, 401));
    plane.cli(&["audit", "verify"]).ok();
}
