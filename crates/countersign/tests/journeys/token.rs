//! Issuers whose keys are in a PKCS#11 token: SoftHSM here (rules D11 and D15 of research/pki.md section 6).

use crate::plane::{Answer, Plane, eventually, text};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
        countersign_testkit::skipped("softhsm2 and opensc are not here");
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
        plane.cli(&[&order[..], &["--alias", &format!("by-{key}"), "--out-dir", key]].concat()).ok();
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

/// What a start of `serve` came to: it is ready and was stopped again, or what it said instead.
fn serve(at: &Path, data: &str, settings: &str) -> Result<(), String> {
    let file = at.join("serve.toml");
    let listeners = ["control", "gateway", "metrics"].map(|name| format!("{name}.listen = \"127.0.0.1:0\"\n")).concat();
    std::fs::write(&file, format!("storage = \"sqlite:{}\"\n{listeners}{settings}", at.join(data).display())).unwrap();
    let mut child = Command::new(crate::plane::binary())
        .args(["serve", "--config"])
        .arg(&file)
        .env_clear()
        .env("SOFTHSM2_CONF", at.join("softhsm.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("CA of both ports"));
    if ready {
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        lines.for_each(drop);
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains(PIN), "the PIN is nowhere to be read");
    assert!(ready || !output.status.success(), "{said}");
    if ready { Ok(()) } else { Err(said) }
}

fn aes_key(at: &Path, label: &str, more: &[&str]) {
    let tool = ["pkcs11-tool", "--module", MODULE, "--login", "--pin", PIN, "--token-label", "countersign", "--keygen"];
    run(at, &[&tool[..], &["--key-type", "AES:32", "--label", label], more].concat()).ok();
}

#[test]
fn the_master_key_is_opened_by_a_token_alone() {
    let Some(hsm) = token(&[]) else { return };
    let at = hsm.path();
    let named =
        |uri: &str| format!("master_key = \"{uri}\"\npkcs11.module = \"{MODULE}\"\npkcs11.pin = \"file:{}\"\n", at.join("pin").display());
    let settings = named("pkcs11:token=countersign;object=master");
    let refused = |settings: &str, why: &str| {
        let said = serve(at, "data", settings).unwrap_err();
        assert!(said.contains(why), "{why} is not in {said}");
    };
    refused("master_key = \"pkcs11:token=countersign;object=master\"\n", "pkcs11.module");
    refused(&settings, "--keygen --key-type AES:32");
    refused(&named("pkcs11:token=elsewhere;object=master"), "there is no token elsewhere");
    aes_key(at, "loose", &["--extractable"]);
    refused(&named("pkcs11:token=countersign;object=loose"), "CKA_EXTRACTABLE");
    aes_key(at, "master", &["--sensitive"]);
    aes_key(at, "another", &["--sensitive"]);
    serve(at, "data", &settings).unwrap();
    let wrapped = at.join("data/master.key.wrapped");
    assert_eq!(std::fs::metadata(&wrapped).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!at.join("data/master.key").exists());
    serve(at, "data", &settings).unwrap();
    // Neither the disk without the token's key and PIN, nor the token without the disk.
    refused(&named("pkcs11:token=countersign;object=another"), "another key of a token");
    refused("", "another master key");
    std::fs::remove_file(at.join("data/master.key")).unwrap();
    std::fs::write(at.join("pin"), "11111111").unwrap();
    refused(&settings, "PinIncorrect");
    std::fs::write(at.join("pin"), PIN).unwrap();
    let good = std::fs::read(&wrapped).unwrap();
    for at in [0, 1, good.len() - 1] {
        let mut bent = good.clone();
        bent[at] ^= 1;
        std::fs::write(&wrapped, bent).unwrap();
        refused(&settings, "damaged");
    }
    std::fs::remove_file(&wrapped).unwrap();
    refused(&settings, "another master key");
    std::fs::write(&wrapped, good).unwrap();
    serve(at, "data", &settings).unwrap();
    // A key that lay in a file goes over into the token's care, and what it sealed stays readable without the file.
    serve(at, "older", "").unwrap();
    serve(at, "older", &settings).unwrap();
    std::fs::remove_file(at.join("older/master.key")).unwrap();
    serve(at, "older", &settings).unwrap();
}

#[test]
fn a_token_that_went_away_and_came_back_is_found_without_a_restart() {
    let Some(hsm) = token(&[("seen", "EC:prime256v1", "01"), ("unseen", "EC:prime256v1", "02")]) else { return };
    let plane = start(hsm.path());
    let permission = format!("{}=write", plane.namespace());
    plane.cli(&["application", "create", "--name", "shop", "--sandbox-permission", &permission]).ok();
    for key in ["unseen", "seen"] {
        let uri = format!("pkcs11:token=countersign;object={key}");
        plane.cli(&["issuer", "create", "--name", key, "--environment", "sandbox", "--key-uri", &uri]).ok();
        plane.cli(&["issuer", "activate", "--name", key]).ok();
    }
    let create = |alias: &str| {
        let order = ["certificate", "create", "--application", "shop", "--environment", "sandbox", "--generate-key"];
        plane.cli(&[&order[..], &["--alias", alias, "--out-dir", "made"]].concat())
    };
    let list = |name: &str| {
        let url = format!("{}/{name}.crl", plane.var("COUNTERSIGN_PKI"));
        let words = ["-sS", "-o", name, "-w", "%{http_code}", &url];
        Answer::of(Command::new("curl").args(words).current_dir(plane.path("")).output().unwrap()).ok().stdout
    };
    let listed = |serial: &str| {
        let words = ["crl", "-inform", "DER", "-in", "seen", "-noout", "-text"];
        let text = Answer::of(Command::new("openssl").args(words).current_dir(plane.path("")).output().unwrap()).ok().stdout;
        text.to_lowercase().contains(serial)
    };
    create("first").ok();
    assert_eq!(list("seen"), "200");
    let made = plane.cli(&["certificate", "list", "-o", "json"]).ok().json();
    let made = made["items"].as_array().unwrap().iter().find(|one| one["alias"] == "first").unwrap();
    let serial = text(made, "serial");
    // It goes, as one that is unplugged. What was published holds until it ends; what never was is missing for now, and not unknown.
    let (tokens, away) = (hsm.path().join("tokens"), hsm.path().join("away"));
    std::fs::rename(&tokens, &away).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    plane.cli(&["--auto-confirm", "certificate", "revoke", "--alias", "first"]).ok();
    create("meanwhile").refused("unavailable");
    assert_eq!(list("seen"), "200");
    assert!(!listed(&serial), "the list that still holds");
    assert_eq!(list("unseen"), "503");
    // It comes back.
    std::fs::remove_dir(&tokens).unwrap();
    std::fs::rename(&away, &tokens).unwrap();
    eventually("the token is found", || list("seen") == "200" && listed(&serial));
    eventually("it signs", || create("again").code == 0);
    eventually("its other key is found", || list("unseen") == "200");
}
