//! Issuing on a device that becomes full in the midst of it: the built binary over a small tmpfs, which takes the rights of root to
//! mount (P15, P20; D12 of research/pki.md).

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

fn can_mount() -> bool {
    let place = tempfile::tempdir().unwrap();
    let mounted = Command::new("sh").args(["-c", &format!("{MOUNT} \"$0\""), &place.path().display().to_string()]).output();
    let can = mounted.is_ok_and(|output| output.status.success());
    if can {
        drop(Device(place.path().to_owned()));
    } else {
        countersign_testkit::skipped("a small device cannot be mounted here, which takes root");
    }
    can
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
    if !can_mount() {
        return;
    }
    let mut plane = Plane::start_after(&format!("for data; do :; done; mkdir -m 700 \"$data\" && {MOUNT} \"$data\""));
    let _device = Device(plane.data());
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
