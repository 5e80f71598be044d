//! Certificates for tests: made in-process where our own writer can, by `openssl` where it must not.

use crate::encode::{name, tlv};
use crate::issue::{self, COMMON_NAME, Extensions, ORGANIZATION, Template};
use crate::private_key::{KeyKind, LocalKey};
use crate::{X509Error, bundle, certificate::Certificate, pem};
use const_oid::ObjectIdentifier;
use countersign_core::namespace::AcceptedCa;
use countersign_core::{Entropy, Lifetime, Timestamp};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's generator is not needed: serials only have to differ.
pub struct Counting(pub AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let seed = self.0.fetch_add(1, Ordering::Relaxed);
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32 * 7) as u8) ^ i as u8;
        }
    }
}

pub static ENTROPY: Counting = Counting(AtomicU64::new(1));

/// `openssl` reads the clock, so the tests do too.
pub fn now() -> Timestamp {
    Timestamp::from_seconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64)
}

pub fn days(n: i64) -> Lifetime {
    Lifetime::from_days(n)
}

/// A certificate with its key.
pub struct Made {
    pub der: Vec<u8>,
    pub key: LocalKey,
}

impl Made {
    pub fn pem(&self) -> String {
        pem::certificate(&self.der)
    }

    pub fn key_pem(&self) -> String {
        pem::armour("PRIVATE KEY", &self.key.to_pkcs8().unwrap())
    }
}

/// What a test asks for; the defaults make a sound CA or leaf.
#[derive(Clone)]
pub struct Spec<'s> {
    pub subject: Vec<(ObjectIdentifier, &'s str)>,
    pub ca: Option<Option<u8>>,
    pub usage: Option<&'s [u8]>,
    pub purpose: Option<ObjectIdentifier>,
    pub from: Timestamp,
    pub to: Timestamp,
    pub key_ids: bool,
}

pub fn ca_spec(cn: &str) -> Spec<'_> {
    Spec {
        subject: vec![(ORGANIZATION, "Acme"), (COMMON_NAME, cn)],
        ca: Some(None),
        usage: Some(&[0, 5, 6]),
        purpose: None,
        from: now().minus(days(1)),
        to: now().plus(days(365)),
        key_ids: true,
    }
}

pub fn leaf_spec(cn: &str) -> Spec<'_> {
    Spec { ca: None, usage: Some(&[0]), purpose: Some(crate::certificate::CLIENT_AUTH), to: now().plus(days(90)), ..ca_spec(cn) }
}

/// Signs `spec` by `issuer`, or by itself; with `key` instead of a new one when given.
pub fn make_with(spec: &Spec<'_>, issuer: Option<&Made>, key: Option<LocalKey>) -> Made {
    let key = key.unwrap_or_else(|| LocalKey::generate(KeyKind::P256).unwrap());
    let subject = name(&spec.subject);
    let (issuer_name, id) = match issuer {
        Some(made) => {
            let read = Certificate::read(&made.der).unwrap();
            (tlv(0x30, read.subject), issue::key_id(read.key))
        }
        None => (subject.clone(), issue::key_id(&key.public())),
    };
    let template = Template {
        serial: issue::serial(&ENTROPY),
        issuer: issuer_name,
        subject,
        not_before: spec.from,
        not_after: spec.to,
        key: key.public(),
        extensions: Extensions {
            ca: spec.ca,
            key_usage: spec.usage,
            extended_key_usage: spec.purpose,
            subject_key_id: spec.key_ids,
            authority_key_id: spec.key_ids.then_some(id.as_slice()),
            alternative_names: &[],
            ..Extensions::default()
        },
    };
    let der = issue::sign(&template, issuer.map_or(&key, |i| &i.key)).unwrap();
    Made { der, key }
}

pub fn make(spec: &Spec<'_>, issuer: Option<&Made>) -> Made {
    make_with(spec, issuer, None)
}

pub fn root(cn: &str) -> Made {
    make(&ca_spec(cn), None)
}

pub fn client(cn: &str, issuer: &Made) -> Made {
    make(&leaf_spec(cn), Some(issuer))
}

/// The accepted form without the rules, for chains that outlive them.
pub fn accepted(made: &Made) -> AcceptedCa {
    let facts = crate::facts::of(&made.der).unwrap();
    AcceptedCa {
        der: made.der.clone(),
        fingerprint: countersign_core::credential::certificate::Fingerprint::of(&made.der),
        fingerprint_sha1: String::new(),
        subject: facts.subject,
        issuer: facts.issuer,
        not_before: facts.not_before,
        not_after: facts.not_after,
        warnings: vec![],
        well_known: false,
        refuse_after: None,
    }
}

pub fn accept(pem: &str) -> Result<Vec<AcceptedCa>, X509Error> {
    bundle::parse(pem.as_bytes(), now(), false)
}

/// Asserts the stable code and the rule of a refusal.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, X509Error>, code: &str, rule: &str) -> X509Error {
    let error = outcome.unwrap_err();
    assert_eq!((error.code, error.rule), (code, Some(rule)), "{error}");
    assert!(!error.hint.is_empty() && !error.message.contains("PRIVATE KEY-----"), "{error}");
    error
}

/// A directory of its own, removed at the end.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = std::env::temp_dir().join(format!("x509-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Runs `openssl` here, words split at spaces, and returns its output.
    #[track_caller]
    pub fn openssl(&self, words: &str) -> String {
        let output = Command::new("openssl").args(words.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// As [`Dir::openssl`] for what has to fail; returns what it said.
    #[track_caller]
    pub fn openssl_fails(&self, words: &str) -> String {
        let output = Command::new("openssl").args(words.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(!output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stdout));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// As [`Dir::openssl`], however it ends; everything it said.
    pub fn openssl_any(&self, words: &str) -> String {
        let output = Command::new("openssl").args(words.split(' ')).current_dir(&self.0).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// A self-signed certificate `c.pem` and key `k.pem` with exactly these extension lines.
    #[track_caller]
    pub fn self_signed(&self, key: &str, extensions: &str, more: &str) -> String {
        self.write(
            "req.cnf",
            format!("[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ext\n[dn]\nO=Odd\nCN=odd\n[ext]\n{extensions}\n"),
        );
        let more = if more.is_empty() { String::new() } else { format!(" {more}") };
        self.openssl(&format!("req -x509 -newkey {key} -nodes -days 365 -config req.cnf -keyout k.pem -out c.pem{more}"));
        self.text("c.pem")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
pub const SOUND: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";

/// A program by name: in the folder that `COUNTERSIGN_TEST_TOOLS` names, or on the path.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::var_os("COUNTERSIGN_TEST_TOOLS").map(PathBuf::from);
    folders.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|file| file.is_file())
}

pub use countersign_testkit::skipped;
