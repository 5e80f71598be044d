//! Proof of possession for foreign certificates: rule B3, answered by OpenSSL.

use super::fixtures::*;
use crate::challenge::{self, CHALLENGE_LIFETIME, ChallengeKey};
use crate::pem;
use base64::Engine;
use countersign_core::Lifetime;
use countersign_core::credential::certificate::Fingerprint;

const LEAF: &str = "basicConstraints=CA:FALSE";
const ACCOUNT: &str = "a0123456789abcdefgh";

fn sealing() -> ChallengeKey {
    ChallengeKey::new([7; 32])
}

fn foreign(dir: &Dir, key: &str) -> Vec<u8> {
    pem::block_of(&dir.self_signed(key, LEAF, ""), "CERTIFICATE").unwrap().to_vec()
}

fn made(der: &[u8]) -> String {
    challenge::make(ACCOUNT, &Fingerprint::of(der), now(), &sealing(), &ENTROPY)
}

#[test]
fn b3_every_kind_of_key_answers_with_openssl() {
    let dir = Dir::new();
    let words = [
        ("rsa:2048", "dgst -sha256 -sign k.pem -out s.sig c.txt"),
        ("rsa:2048", "dgst -sha512 -sign k.pem -out s.sig c.txt"),
        ("rsa:2048", "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sign k.pem -out s.sig c.txt"),
        ("rsa:2048", "pkeyutl -sign -rawin -digest sha256 -inkey k.pem -in c.txt -out s.sig"),
        (EC, "dgst -sha256 -sign k.pem -out s.sig c.txt"),
        ("ec -pkeyopt ec_paramgen_curve:P-384", "dgst -sha384 -sign k.pem -out s.sig c.txt"),
        ("ec -pkeyopt ec_paramgen_curve:P-384", "dgst -sha256 -sign k.pem -out s.sig c.txt"),
        ("ec -pkeyopt ec_paramgen_curve:P-521", "dgst -sha512 -sign k.pem -out s.sig c.txt"),
        ("ed25519", "pkeyutl -sign -rawin -inkey k.pem -in c.txt -out s.sig"),
    ];
    for (key, sign) in words {
        let der = foreign(&dir, key);
        let text = made(&der);
        for form in [text.clone(), text.trim_end().to_owned(), text.replace('\n', "\r\n")] {
            dir.write("c.txt", &form);
            dir.openssl(sign);
            let signature = dir.read("s.sig");
            let base64 = base64::engine::general_purpose::STANDARD.encode(&signature);
            for sent in
                [&signature[..], base64.as_bytes(), format!("-----BEGIN SIGNATURE-----\n{base64}\n-----END SIGNATURE-----\n").as_bytes()]
            {
                challenge::verify(&form, sent, &der, ACCOUNT, now(), &sealing()).unwrap_or_else(|e| panic!("{sign}: {e}"));
            }
        }
        let told =
            challenge::command(&der).replace("client.key", "k.pem").replace("challenge.txt", "c.txt").replace("challenge.sig", "s.sig");
        dir.write("c.txt", &text);
        let (signs, prints) = told.split_once(" && ").unwrap();
        dir.openssl(signs.strip_prefix("openssl ").unwrap());
        dir.openssl(&format!("{} -out s.txt", prints.strip_prefix("openssl ").unwrap()));
        for sent in ["s.sig", "s.txt"] {
            challenge::verify(&text, &dir.read(sent), &der, ACCOUNT, now(), &sealing()).unwrap();
        }
    }
}

#[test]
fn b3_a_challenge_is_for_one_account_one_certificate_and_one_hour() {
    let dir = Dir::new();
    let der = foreign(&dir, EC);
    let text = made(&der);
    dir.write("c.txt", &text);
    dir.openssl("dgst -sha256 -sign k.pem -out s.sig c.txt");
    let signature = dir.read("s.sig");
    let check = |text: &str, der: &[u8], account: &str, key: ChallengeKey, later: i64| {
        challenge::verify(text, &signature, der, account, now().plus(Lifetime::from_seconds(later)), &key)
    };
    assert!(check(&text, &der, ACCOUNT, sealing(), 0).is_ok());
    refused(check(&text, &der, "another", sealing(), 0), "challenge_not_ours", "B3");
    refused(check(&text, &der, ACCOUNT, ChallengeKey::new([8; 32]), 0), "challenge_not_ours", "B3");
    refused(check(&text, &der, ACCOUNT, sealing(), CHALLENGE_LIFETIME.seconds() + 2), "challenge_expired", "B3");
    let expires = text.lines().find(|l| l.starts_with("expires")).unwrap();
    refused(check(&text.replace(expires, "expires: 99999999999"), &der, ACCOUNT, sealing(), 0), "challenge_not_ours", "B3");
    refused(check(&format!("{text}more\n"), &der, ACCOUNT, sealing(), 0), "challenge_not_ours", "B3");
    refused(check("", &der, ACCOUNT, sealing(), 0), "challenge_not_ours", "B3");
    // Another certificate of the same key, and another key.
    let again = dir.openssl("req -x509 -key k.pem -days 9 -subj /CN=again");
    let again = pem::block_of(&again, "CERTIFICATE").unwrap();
    refused(check(&text, &again, ACCOUNT, sealing(), 0), "challenge_not_ours", "B3");
    let other = foreign(&dir, EC);
    refused(check(&made(&other), &other, ACCOUNT, sealing(), 0), "possession_not_proved", "B3");
    refused(challenge::verify(&text, b"", &der, ACCOUNT, now(), &sealing()), "bad_signature_input", "B3");
    refused(challenge::verify(&text, b"x", &der, ACCOUNT, now(), &sealing()), "possession_not_proved", "B3");
    assert_ne!(made(&der), made(&der), "no challenge comes twice");
}
