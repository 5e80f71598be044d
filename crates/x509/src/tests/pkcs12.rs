//! Keystores: the tools that have to open them open them.

use super::fixtures::*;
use super::issuer::{authorities, leaf};
use crate::pem;
use crate::pkcs12::{Keystore, check_password};
use crate::private_key::{KeyKind, LocalKey};
use countersign_core::Secret;
use std::process::Command;

const PASSWORD: &str = "correct horse 7";

/// `s.p12`, `root.pem`, `k.pem` and the client's certificate.
fn keystore(dir: &Dir, kind: KeyKind) -> Vec<u8> {
    let ca = authorities(KeyKind::P256);
    let key = LocalKey::generate(kind).unwrap();
    let certificate = leaf(&ca, "Billing", &key);
    let chain = [ca.issuing.der().to_vec(), ca.root.der().to_vec()];
    let keystore = Keystore { alias: "billing-2027", key: &key, certificate: &certificate, chain: &chain };
    dir.write("s.p12", keystore.seal(&Secret::new(PASSWORD.into()), &ENTROPY).unwrap());
    dir.write("k.pem", key.to_pem().unwrap().expose());
    certificate
}

/// Runs a program here; its output whatever the end, or `None` when it is not on the machine.
#[track_caller]
fn run(dir: &Dir, program: &str, words: &[&str]) -> Option<String> {
    let Some(program) = tool(program) else {
        skipped(&format!("{program} is not installed, so the keystore was not opened by it"));
        return None;
    };
    let output = Command::new(&program).args(words).current_dir(&dir.0).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {words:?}: {text}", program.display());
    Some(text)
}

#[test]
fn openssl_opens_the_keystore_of_every_kind_of_key() {
    let dir = Dir::new();
    let pass = format!("pass:{PASSWORD}");
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048, KeyKind::Ed25519] {
        let certificate = keystore(&dir, kind);
        let open = |more: &[&str]| run(&dir, "openssl", &[&["pkcs12", "-in", "s.p12", "-passin", &pass], more].concat()).unwrap();
        let info = open(&["-info", "-noout"]);
        for expected in ["PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256", "MAC: sha256, Iteration 100000"] {
            assert!(info.contains(expected), "{expected}: {info}");
        }
        let all = open(&["-nodes"]);
        assert_eq!(all.matches("BEGIN CERTIFICATE").count(), 3);
        assert_eq!(all.matches("friendlyName: billing-2027").count(), 2, "of the key and of its certificate: {all}");
        assert!(open(&["-nokeys", "-clcerts"]).contains(&pem::certificate(&certificate)));
        dir.write("out.pem", open(&["-nodes", "-nocerts"]));
        assert_eq!(dir.openssl("pkey -in out.pem -pubout"), dir.openssl("pkey -in k.pem -pubout"));
        let wrong = dir.openssl_fails("pkcs12 -in s.p12 -passin pass:incorrect -noout");
        assert!(wrong.contains("invalid password"), "{wrong}");
    }
}

#[test]
fn javas_keytool_opens_the_keystore() {
    let dir = Dir::new();
    for kind in [KeyKind::P256, KeyKind::Rsa2048] {
        keystore(&dir, kind);
        let words = ["-list", "-v", "-keystore", "s.p12", "-storetype", "PKCS12", "-storepass", PASSWORD];
        let Some(text) = run(&dir, "keytool", &words) else { return };
        for expected in ["billing-2027", "PrivateKeyEntry", "Certificate chain length: 3"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}

#[test]
fn gnutls_opens_the_keystore() {
    let dir = Dir::new();
    for kind in [KeyKind::P256, KeyKind::Rsa2048, KeyKind::Ed25519] {
        keystore(&dir, kind);
        let words = ["--p12-info", "--inder", "--infile", "s.p12", "--password", PASSWORD];
        let Some(text) = run(&dir, "certtool", &words) else { return };
        assert!(text.matches("BEGIN CERTIFICATE").count() == 3 && text.contains("PRIVATE KEY"), "{text}");
    }
}

#[test]
fn nss_takes_the_keystore_in() {
    let dir = Dir::new();
    for kind in [KeyKind::P256, KeyKind::Rsa2048] {
        keystore(&dir, kind);
        std::fs::create_dir_all(dir.0.join("db")).unwrap();
        if run(&dir, "certutil", &["-N", "-d", "sql:db", "--empty-password"]).is_none() {
            return;
        }
        run(&dir, "pk12util", &["-i", "s.p12", "-d", "sql:db", "-W", PASSWORD]).unwrap();
        assert!(run(&dir, "certutil", &["-L", "-d", "sql:db"]).unwrap().contains("billing-2027"));
        assert!(run(&dir, "certutil", &["-K", "-d", "sql:db"]).unwrap().contains("billing-2027"));
        std::fs::remove_dir_all(dir.0.join("db")).unwrap();
    }
}

#[test]
fn a_password_that_java_could_not_type_is_refused_with_the_reason() {
    for bad in ["", "12345", "pässword", "pass\tword", "пароль123", "🐎🐎🐎🐎🐎🐎", &"x".repeat(129)] {
        let error = check_password(bad).unwrap_err();
        assert!(error.code == "keystore_password" && error.message.contains("ASCII"), "{error}");
        assert!(bad.is_empty() || !error.to_string().contains(bad), "it is not repeated");
    }
    for good in ["123456", "a b~!\"§".replace('§', "x").as_str(), &"x".repeat(128)] {
        assert!(check_password(good).is_ok());
    }
}

#[test]
fn a_keystore_is_sound_or_it_is_not_made() {
    let ca = authorities(KeyKind::P256);
    let (key, other) = (LocalKey::generate(KeyKind::P256).unwrap(), LocalKey::generate(KeyKind::P256).unwrap());
    let certificate = leaf(&ca, "x", &key);
    let seal = |alias: &str, key: &LocalKey, certificate: &[u8]| {
        let keystore = Keystore { alias, key, certificate, chain: &[] };
        keystore.seal(&Secret::new(PASSWORD.into()), &ENTROPY).map(|_| ()).map_err(|e| e.code)
    };
    assert_eq!(seal("x", &key, &certificate), Ok(()));
    assert_eq!(seal("x", &other, &certificate), Err("key_mismatch"));
    assert_eq!(seal("x", &key, b"no"), Err("not_a_certificate"));
    for alias in ["", "a\0b", "a\nb", "🐎", &"x".repeat(65)] {
        assert_eq!(seal(alias, &key, &certificate), Err("keystore_alias"), "{alias:?}");
    }
    assert_eq!(seal("Zoë Müller", &key, &certificate), Ok(()));
}
