//! How fast the certificates library is on one thread: `cargo run --release -p countersign-x509 --example measure`. Numbers for
//! people; what must hold is in the tests.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use countersign_core::credential::certificate::RevocationReason;
use countersign_core::{Entropy, Lifetime, Timestamp};
use countersign_x509::crl::{self, Entry, Issue};
use countersign_x509::csr::CheckedCsr;
use countersign_x509::foreign_crl::ForeignCrl;
use countersign_x509::issuer::{self, IssuerCertificate, LeafOrder, Publication};
use countersign_x509::private_key::{KeyKind, LocalKey, Signer};
use countersign_x509::request;
use countersign_x509::subject::Subject;
use std::time::Instant;

struct Chance;

impl Entropy for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

fn rate(what: &str, rounds: u32, mut act: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..rounds {
        act();
    }
    println!("{what}: {:.0} a second", f64::from(rounds) / start.elapsed().as_secs_f64());
}

fn main() {
    let now = Timestamp::from_seconds(1_800_000_000);
    let day = Lifetime::from_days(1);
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048, KeyKind::Ed25519] {
        let key = LocalKey::generate(kind).unwrap();
        let name = Subject::parse("/O=Acme/CN=Acme Root").unwrap();
        let root = IssuerCertificate::read(&issuer::root(&name, &key, now, Lifetime::from_days(3650), &Chance).unwrap()).unwrap();
        let client = LocalKey::generate(KeyKind::P256).unwrap();
        let pem = request::build_pem(&client, &Subject::parse("/O=Acme/CN=billing").unwrap(), &[]).unwrap();
        let publication = Publication { crl_urls: vec!["http://pki.example.com/g1.crl".into()], ..Publication::default() };
        let issue = |csr: &CheckedCsr| {
            let order = LeafOrder {
                subject: &csr.subject,
                alternative_names: &[],
                public_key: &csr.public_key,
                lifetime: day,
                lifetime_max: day,
                shorten: false,
                publication: &publication,
            };
            let built = issuer::leaf(&order, &root, now, &Chance).unwrap();
            issuer::sign(&built, &root, &key).unwrap()
        };
        let csr = CheckedCsr::parse(pem.as_bytes()).unwrap();
        rate(&format!("{kind}: key signs"), 2000, || drop(key.sign(b"message").unwrap()));
        rate(&format!("{kind}: request checked"), 2000, || drop(CheckedCsr::parse(pem.as_bytes()).unwrap()));
        rate(&format!("{kind}: built, linted, signed, verified"), 2000, || drop(issue(&csr)));
        rate(&format!("{kind}: both"), 2000, || drop(issue(&CheckedCsr::parse(pem.as_bytes()).unwrap())));
    }
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let name = Subject::parse("/O=Acme/CN=Acme Root").unwrap();
    let root = IssuerCertificate::read(&issuer::root(&name, &key, now, Lifetime::from_days(3650), &Chance).unwrap()).unwrap();
    let serials: Vec<[u8; 16]> = (0..1_000_000_u128).map(|i| ((1 << 126) | (i << 60)).to_be_bytes()).collect();
    let entries = serials.iter().enumerate().map(|(i, serial)| Entry {
        serial,
        revoked_at: now.minus(Lifetime::from_seconds(i as i64)),
        reason: RevocationReason::Superseded,
        invalid_since: None,
    });
    let start = Instant::now();
    let list = Issue { number: 1, this_update: now, next_update: now.plus(day) };
    let der = crl::build(&root, &key, list, entries).unwrap();
    println!("revocation list of a million: {:.2} s, {} bytes", start.elapsed().as_secs_f64(), der.len());
    let start = Instant::now();
    let read = ForeignCrl::read(&der, root.der(), now).unwrap();
    println!("read and verified: {:.2} s, {} entries", start.elapsed().as_secs_f64(), read.entries().len());
}
