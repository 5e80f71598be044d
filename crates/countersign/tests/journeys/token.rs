//! Issuers whose keys are in a PKCS#11 token: SoftHSM here (rules D11 and D15 of research/pki.md section 6).

use crate::plane::{Answer, Plane, text};
use std::path::Path;
use std::process::Command;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "24681357";

fn run(directory: &Path, words: &[&str]) -> Answer {
    let conf = directory.join("softhsm.conf");
    Answer::of(Command::new(words[0]).args(&words[1..]).env("SOFTHSM2_CONF", conf).current_dir(directory).output().unwrap())
}

/// A token with keys of these labels and kinds; `None`, said aloud, where SoftHSM is not installed.
fn token(keys: &[(&str, &str, &str)]) -> Option<tempfile::TempDir> {
    let here = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !Path::new(MODULE).exists() || !here("softhsm2-util") || !here("pkcs11-tool") {
        eprintln!("skipped aloud: softhsm2 and opensc are not here");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    std::fs::create_dir(at.join("tokens")).unwrap();
    std::fs::write(at.join("softhsm.conf"), format!("directories.tokendir = {}\n", at.join("tokens").display())).unwrap();
    std::fs::write(at.join("pin"), format!("{PIN}\n")).unwrap();
    run(at, &["softhsm2-util", "--init-token", "--free", "--label", "countersign", "--so-pin", "12345678", "--pin", PIN]).ok();
    for (label, kind, id) in keys {
        let tool = ["pkcs11-tool", "--module", MODULE, "--login", "--pin", PIN, "--token-label", "countersign", "--keypairgen"];
        run(at, &[&tool[..], &["--key-type", kind, "--label", label, "--id", id, "--usage-sign"]].concat()).ok();
    }
    Some(directory)
}

fn start(at: &Path) -> Plane {
    let (conf, pin) = (at.join("softhsm.conf"), at.join("pin"));
    Plane::start_after(&format!(
        "export SOFTHSM2_CONF='{}' COUNTERSIGN_PKCS11_MODULE='{MODULE}' COUNTERSIGN_PKCS11_PIN='file:{}'",
        conf.display(),
        pin.display()
    ))
}

#[test]
fn d15_an_issuer_signs_by_a_key_that_never_leaves_its_token() {
    let Some(hsm) = token(&[("p256", "EC:prime256v1", "01"), ("p384", "EC:secp384r1", "02"), ("rsa", "RSA:3072", "03")]) else { return };
    let plane = start(hsm.path());
    let permission = format!("{}=write", plane.namespace());
    plane.cli(&["application", "create", "--name", "shop", "--sandbox-permission", &permission]).ok();
    let openssl = |args: &[&str]| Answer::of(Command::new("openssl").args(args).current_dir(plane.path("")).output().unwrap());
    let fetch = |file: &str| {
        let url = format!("{}/{file}", plane.var("COUNTERSIGN_PKI"));
        Answer::of(Command::new("curl").args(["-sSf", "-o", file, &url]).current_dir(plane.path("")).output().unwrap()).ok();
    };
    let make = |name: &str, uri: &str| plane.cli(&["issuer", "create", "--name", name, "--environment", "sandbox", "--key-uri", uri]);
    make("none", "pkcs11:token=countersign;object=nothing").refused("invalid_argument");
    make("none", "pkcs11:token=another;object=p256").refused("invalid_argument");
    make("none", "pkcs11:token=countersign;object=p256?pin-value=1").refused("invalid_argument");
    fetch("root-1.pem");
    for key in ["p256", "p384", "rsa"] {
        let uri = format!("pkcs11:token=countersign;object={key}");
        make(key, &uri).ok();
        make("twice", &uri).refused("already_exists");
        assert_eq!(text(&plane.cli(&["issuer", "get", "--name", key]).ok().json(), "key"), "pkcs11");
        plane.cli(&["issuer", "activate", "--name", key]).ok();
        let order = ["certificate", "create", "--application", "shop", "--environment", "sandbox", "--generate-key"];
        plane.cli(&[&order[..], &["--alias", &format!("by-{key}"), "--out", key]].concat()).ok();
        fetch(&format!("{key}.pem"));
        fetch(&format!("{key}.crl"));
        let leaf = format!("{key}/by-{key}.pem");
        openssl(&["verify", "-x509_strict", "-CAfile", "root-1.pem", "-untrusted", &format!("{key}.pem"), &leaf]).ok();
        let issuer = openssl(&["x509", "-noout", "-issuer", "-in", &leaf]).ok().stdout;
        assert!(issuer.contains(&format!("CN = {key} ")), "{issuer}");
        let list = openssl(&["crl", "-inform", "DER", "-in", &format!("{key}.crl"), "-CAfile", &format!("{key}.pem"), "-noout"]).ok();
        assert!(list.stderr.contains("verify OK"), "{list:?}");
        let (certificate, private) = (leaf.clone(), format!("{key}/by-{key}.key"));
        assert_eq!(plane.curl(&["--cert", &certificate, "--key", &private, &plane.url("/hello")]).0, 200);
    }
    let said = format!("{}{}", plane.log(), plane.cli(&["audit", "list"]).ok().stdout);
    assert!(!said.contains(PIN), "the PIN is nowhere to be read");
}
