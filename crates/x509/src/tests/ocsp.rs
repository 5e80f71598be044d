//! The OCSP responder: rule F8, with OpenSSL and GnuTLS as the ones who ask.

use super::fixtures::*;
use super::issuer::{Authorities, authorities, leaf};
use crate::certificate::Certificate;
use crate::encode::{oid, sequence, tlv};
use crate::issuer;
use crate::ocsp::{self, Freshness, Refusal, Request, Responder, Status};
use crate::pem;
use crate::private_key::{KeyKind, LocalKey, Signer};
use crate::subject::Subject;
use base64::Engine;
use const_oid::ObjectIdentifier;
use countersign_core::credential::certificate::RevocationReason;

fn freshness() -> Freshness {
    Freshness { now: now(), next_update: now().plus(days(1)) }
}

/// `root.pem`, `ca.pem`, `leaf.pem`, and a request `q.der` as OpenSSL makes it.
pub fn asked(dir: &Dir, ca: &Authorities, more: &str) -> (Vec<u8>, Vec<u8>) {
    let der = leaf(ca, "billing", &LocalKey::generate(KeyKind::P256).unwrap());
    dir.write("root.pem", pem::certificate(ca.root.der()));
    dir.write("ca.pem", pem::certificate(ca.issuing.der()));
    dir.write("leaf.pem", pem::certificate(&der));
    dir.openssl(&format!("ocsp {more}-issuer ca.pem -cert leaf.pem -reqout q.der"));
    (dir.read("q.der"), Certificate::read(&der).unwrap().serial)
}

/// The same question with another nonce.
fn asked_again(dir: &Dir) {
    dir.openssl("ocsp -issuer ca.pem -cert leaf.pem -reqout q.der");
}

/// What OpenSSL makes of an answer. `-no_nonce` keeps it from putting a new nonce into the request; the one in it is compared.
fn verdict(dir: &Dir, response: &[u8], hash: &str) -> String {
    dir.write("a.der", response);
    dir.openssl(&format!(
        "ocsp {hash}-no_nonce -reqin q.der -respin a.der -issuer ca.pem -cert leaf.pem -CAfile root.pem -verify_other ca.pem"
    ))
}

#[test]
fn f8_openssl_takes_our_answers_for_every_status_key_and_hash() {
    let dir = Dir::new();
    for kind in [KeyKind::P256, KeyKind::Rsa2048, KeyKind::Ed25519] {
        let ca = authorities(kind);
        let responder = Responder { certificate: None, signer: &ca.key };
        for more in ["", "-sha256 ", "-no_nonce "] {
            let (body, serial) = asked(&dir, &ca, more);
            let request = Request::read(&body).unwrap();
            assert_eq!(request.has_nonce(), more != "-no_nonce ");
            assert_eq!(request.certificates()[0].serial(), serial);
            for (status, word) in [
                (Status::Good, "leaf.pem: good"),
                (Status::Revoked { at: now(), reason: RevocationReason::KeyCompromise }, "keyCompromise"),
                (Status::Revoked { at: now(), reason: RevocationReason::Unspecified }, "leaf.pem: revoked"),
                (Status::Unknown, "leaf.pem: unknown"),
                (Status::NeverIssued, "certificateHold"),
            ] {
                let response = ocsp::respond(&request, &ca.issuing, &responder, freshness(), |_| status).unwrap();
                let text = verdict(&dir, &response, if more == "-sha256 " { more } else { "" });
                assert!(text.contains(word), "{kind} {more}{status:?}: {text}");
            }
        }
    }
}

#[test]
fn f8_a_responder_that_the_issuer_named_may_answer() {
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let name = Subject::parse("/O=Acme/CN=Acme OCSP").unwrap();
    let order = issuer::responder(&name, key.public_key(), &ca.issuing, now(), days(7), &ENTROPY).unwrap();
    let certificate = issuer::sign(&order, &ca.issuing, &ca.key).unwrap();
    refused(issuer::responder(&name, key.public_key(), &ca.issuing, now(), days(31), &ENTROPY), "validity_out_of_range", "D2");
    let (body, _) = asked(&dir, &ca, "");
    let request = Request::read(&body).unwrap();
    let responder = Responder { certificate: Some(&certificate), signer: &key };
    let response = ocsp::respond(&request, &ca.issuing, &responder, freshness(), |_| Status::Good).unwrap();
    assert!(verdict(&dir, &response, "").contains("leaf.pem: good"));
    // The answer to one question is none to the next.
    asked_again(&dir);
    assert!(dir.openssl_any("ocsp -no_nonce -reqin q.der -respin a.der -issuer ca.pem -CAfile root.pem").contains("Nonce Verify error"));
    // Neither a stranger's key nor somebody else's certificate.
    let wrong = Responder { certificate: None, signer: &key };
    assert_eq!(ocsp::respond(&request, &ca.issuing, &wrong, freshness(), |_| Status::Good), Err(Refusal::InternalError));
    let wrong = Responder { certificate: Some(&certificate), signer: &ca.key };
    assert_eq!(ocsp::respond(&request, &ca.issuing, &wrong, freshness(), |_| Status::Good), Err(Refusal::InternalError));
}

#[test]
fn f8_gnutls_takes_our_answer() {
    let Some(program) = tool("ocsptool") else { return skipped("ocsptool (gnutls-bin) is not installed") };
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    let (body, _) = asked(&dir, &ca, "");
    let responder = Responder { certificate: None, signer: &ca.key };
    let request = Request::read(&body).unwrap();
    dir.write("a.der", ocsp::respond(&request, &ca.issuing, &responder, freshness(), |_| Status::Good).unwrap());
    let words = ["--verify-response", "--load-trust", "ca.pem", "--infile", "a.der"];
    let output = std::process::Command::new(program).args(words).current_dir(&dir.0).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("Success"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn f8_pkilint_finds_nothing_in_our_answers() {
    let Some(program) = tool("lint_ocsp_response") else { return skipped("pkilint is not installed") };
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    let (body, _) = asked(&dir, &ca, "-sha256 ");
    let responder = Responder { certificate: None, signer: &ca.key };
    let request = Request::read(&body).unwrap();
    for status in [Status::Good, Status::Unknown, Status::Revoked { at: now(), reason: RevocationReason::Superseded }] {
        dir.write("a.der", ocsp::respond(&request, &ca.issuing, &responder, freshness(), |_| status).unwrap());
        let words = ["lint", "-s", "WARNING", "--document-format", "DER", "a.der"];
        let output = std::process::Command::new(&program).args(words).current_dir(&dir.0).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn f8_a_get_is_read_however_it_is_escaped() {
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    let (body, _) = asked(&dir, &ca, "");
    let wanted = Request::read(&body).unwrap();
    let plain = base64::engine::general_purpose::STANDARD.encode(&body);
    let escaped = plain.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    for path in [plain.clone(), escaped, format!("/{plain}")] {
        assert_eq!(Request::from_path(&path).unwrap(), wanted);
    }
    for path in ["", "%", "%2", "%zz", "A B", "AAAA"] {
        assert_eq!(Request::from_path(path), Err(Refusal::MalformedRequest), "{path}");
    }
}

#[test]
fn f8_other_issuers_and_malformed_requests_are_told_apart() {
    let dir = Dir::new();
    let (ca, other) = (authorities(KeyKind::P256), authorities(KeyKind::P384));
    let (body, _) = asked(&dir, &ca, "");
    let request = Request::read(&body).unwrap();
    let responder = Responder { certificate: None, signer: &other.key };
    let outcome = ocsp::respond(&request, &other.issuing, &responder, freshness(), |_| Status::Good);
    assert_eq!(outcome, Err(Refusal::Unauthorized));
    for (refusal, word) in [
        (Refusal::Unauthorized, "unauthorized"),
        (Refusal::MalformedRequest, "malformedrequest"),
        (Refusal::TryLater, "trylater"),
        (Refusal::InternalError, "internalerror"),
    ] {
        dir.write("a.der", refusal.response());
        assert!(dir.openssl_any("ocsp -respin a.der -noverify").contains(word), "{word}");
    }
    for bad in [&b""[..], b"\x30\x00", b"\x30\x80", &vec![0x30; 5000], &body[1..]] {
        assert_eq!(Request::read(bad), Err(Refusal::MalformedRequest));
    }
    let mut longer = body.clone();
    longer.push(0);
    assert_eq!(Request::read(&longer), Err(Refusal::MalformedRequest));
}

/// A request with this nonce in place of OpenSSL's, asking `count` times.
fn with_nonce(id: &[u8], count: usize, nonce: &[u8]) -> Vec<u8> {
    let one = sequence(&[id]);
    let value = tlv(0x04, &tlv(0x04, nonce));
    let extension = sequence(&[oid(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2")), value]);
    sequence(&[sequence(&[sequence(&vec![one; count]), tlv(0xa2, &sequence(&[extension]))])])
}

#[test]
fn f8_a_question_whose_certificate_is_not_named_in_der_is_malformed() {
    let sha1 = |parameters: &[u8]| sequence(&[oid(ObjectIdentifier::new_unwrap("1.3.14.3.2.26")), parameters.to_vec()]);
    let id = |algorithm: Vec<u8>, serial: &[u8]| sequence(&[algorithm, tlv(4, &[1; 20]), tlv(4, &[2; 20]), tlv(2, serial)]);
    let asking = |one: Vec<u8>| sequence(&[sequence(&[sequence(&[one])])]);
    let fine = id(sha1(&[5, 0]), &[3]);
    for one in [sequence(std::slice::from_ref(&fine)), sequence(&[id(sha1(&[]), &[0, 0x80])]), sequence(&[fine.clone(), tlv(0xa0, &[])])] {
        assert!(Request::read(&asking(one)).is_ok());
    }
    let mut long_form = fine.clone();
    long_form.splice(1..2, [0x81, fine[1]]);
    let wrong = [
        sequence(&[long_form]),
        sequence(&[id(sha1(&[5, 1, 0]), &[3])]),
        sequence(&[id(sha1(&[4, 0]), &[3])]),
        sequence(&[id(sha1(&[5, 0, 5, 0]), &[3])]),
        sequence(&[id(sequence(&[tlv(4, &[0x2b, 0x0e, 3, 2, 0x1a]), tlv(5, &[])]), &[3])]),
        sequence(&[id(sha1(&[5, 0]), &[])]),
        sequence(&[id(sha1(&[5, 0]), &[0, 3])]),
        sequence(&[id(sha1(&[5, 0]), &[0xff, 0xfe])]),
        sequence(&[fine.clone(), tlv(0xa1, &[])]),
        sequence(&[fine.clone(), tlv(0xa0, &[]), tlv(0xa0, &[])]),
        sequence(&[tlv(0x31, &fine[2..])]),
        tlv(0x31, &fine),
    ];
    for one in wrong {
        let hex: String = one.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Request::read(&asking(one)), Err(Refusal::MalformedRequest), "{hex}");
    }
}

#[test]
fn f8_nonces_and_numbers_are_bounded() {
    let sha1 = sequence(&[oid(ObjectIdentifier::new_unwrap("1.3.14.3.2.26")), tlv(5, &[])]);
    let id = sequence(&[sha1, tlv(4, &[1; 20]), tlv(4, &[2; 20]), tlv(2, &[3])]);
    for (nonce, fine) in [(0, false), (1, true), (32, true), (128, true), (129, false)] {
        assert_eq!(Request::read(&with_nonce(&id, 1, &vec![7; nonce])).is_ok(), fine, "{nonce} octets");
    }
    for (count, fine) in [(0, false), (1, true), (16, true), (17, false)] {
        assert_eq!(Request::read(&with_nonce(&id, count, &[7])).is_ok(), fine, "{count} certificates");
    }
}
