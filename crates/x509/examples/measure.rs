//! Work to hold a stopwatch to, because this crate has no clock: `time cargo run --release -p countersign-x509 --example measure
//! issue 20000` checks a request and issues from it so many times, `list 1000000` writes a revocation list of so many entries
//! and reads it again; with a file name it leaves the list there, and its CA beside it.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use countersign_core::credential::certificate::RevocationReason;
use countersign_core::{Entropy, Lifetime, Timestamp};
use countersign_x509::crl::{self, Entry, Issue};
use countersign_x509::csr::CheckedCsr;
use countersign_x509::foreign_crl::ForeignCrl;
use countersign_x509::issuer::{self, IssuerCertificate, LeafOrder, Publication};
use countersign_x509::private_key::{KeyKind, LocalKey};
use countersign_x509::request;
use countersign_x509::subject::Subject;

struct Chance;

impl Entropy for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: Lifetime = Lifetime::from_days(1);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let name = Subject::parse("/O=Acme/CN=Acme Root").unwrap();
    let root = IssuerCertificate::read(&issuer::root(&name, &key, NOW, Lifetime::from_days(3650), &Chance).unwrap()).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["issue", count] => issue(&root, &key, count.parse().unwrap()),
        ["list", count] => drop(list(&root, &key, count.parse().unwrap())),
        ["list", count, file] => {
            std::fs::write(file, list(&root, &key, count.parse().unwrap())).unwrap();
            std::fs::write(format!("{file}.ca"), root.der()).unwrap();
        }
        _ => println!("issue COUNT, or list COUNT [FILE]"),
    }
}

fn issue(root: &IssuerCertificate, key: &LocalKey, count: usize) {
    let client = LocalKey::generate(KeyKind::P256).unwrap();
    let pem = request::build_pem(&client, &Subject::parse("/O=Acme/CN=billing").unwrap(), &[]).unwrap();
    let publication = Publication { crl_urls: vec!["http://pki.example.com/g1.crl".into()], ..Publication::default() };
    let mut bytes = 0;
    for _ in 0..count {
        let csr = CheckedCsr::parse(pem.as_bytes()).unwrap();
        let order = LeafOrder {
            subject: &csr.subject,
            alternative_names: &[],
            public_key: &csr.public_key,
            lifetime: DAY,
            lifetime_max: DAY,
            shorten: false,
            publication: &publication,
        };
        let built = issuer::leaf(&order, root, NOW, &Chance).unwrap();
        bytes += issuer::sign(&built, root, key).unwrap().len();
    }
    println!("{count} certificates, {bytes} bytes");
}

fn list(root: &IssuerCertificate, key: &LocalKey, count: u64) -> Vec<u8> {
    let serials: Vec<[u8; 16]> = (0..u128::from(count)).map(|i| ((1 << 126) | (i << 60)).to_be_bytes()).collect();
    let entries = serials.iter().zip(0_i64..).map(|(serial, i)| Entry {
        serial,
        revoked_at: NOW.minus(Lifetime::from_seconds(i)),
        reason: RevocationReason::Superseded,
        invalid_since: None,
    });
    let issue = Issue { number: 1, this_update: NOW, next_update: NOW.plus(DAY) };
    let der = crl::build(root, key, issue, entries).unwrap();
    let read = ForeignCrl::read(&der, root.der(), NOW).unwrap();
    println!("{} entries, {} bytes", read.entries().len(), der.len());
    der
}
