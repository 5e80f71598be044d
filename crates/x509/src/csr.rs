//! Certificate requests: from what a user uploads to a request every rule of which holds (C1 to C14 of `research/pki.md`
//! section 6c). A request asks; nothing of it but the key, the checked subject and the checked names may reach a certificate,
//! and what becomes of those is for the issuer's profile to say. Who may ask for whom is not known here.
//!
//! What is checked of a key: its kind, size and exponent, small factors up to 751, primes close to each other (Fermat, a
//! hundred rounds), the ROCA fingerprint. What needs a list is for the caller: keys blocked or already in use by
//! [`CheckedCsr::key_fingerprint`], primes in common with other keys by [`crate::shared_prime`], Debian's keys by
//! [`CheckedCsr::debian_fingerprint`], names that look like another's by [`Subject::skeleton`].

use crate::X509Error;
use crate::alternative_name::AlternativeName;
use crate::certificate::{children, single};
use crate::key::{self, Signed, Strength};
use crate::pem::{self, Piece};
use crate::request;
use crate::requested::Requested;
use crate::subject::Subject;
use countersign_core::credential::certificate::Fingerprint;

/// Bytes of a request, as it comes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The OBJECT IDENTIFIER of ecdsa-with-SHA256 and its siblings (RFC 5758 section 3.2), without its last byte.
const ECDSA_WITH_SHA2: [u8; 9] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// A request whose possession of the key is proved and whose contents may be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedCsr {
    /// The DER, as it was signed by its key.
    pub der: Vec<u8>,
    /// The subject that is asked for.
    pub subject: Subject,
    /// The names that are asked for, each once, in order.
    pub alternative_names: Vec<AlternativeName>,
    /// SubjectPublicKeyInfo, to be taken over byte by byte (C6).
    pub public_key: Vec<u8>,
    /// SHA-256 of [`CheckedCsr::public_key`]: what a blocked key is known by.
    pub key_fingerprint: Fingerprint,
    /// The kind of the key, such as `ecdsa-p256` or `rsa-3072`.
    pub key_kind: String,
    /// Bits of the modulus or of the curve.
    pub key_bits: u32,
    /// The key's name in the lists of Debian's broken generator; RSA only.
    pub debian_fingerprint: Option<String>,
    /// What was asked for and is not given, and what is remarkable, by rule.
    pub warnings: Vec<String>,
}

impl CheckedCsr {
    /// Reads one request from PEM (with a byte order mark, Windows line ends and text around it), DER, or base64 of either.
    /// The caller wipes its own buffer when the refusal is `private_key_in_upload` or `encrypted_key_in_upload`.
    pub fn parse(input: &[u8]) -> Result<Self, X509Error> {
        let der = the_request(input)?;
        let parts = Parts::read(&der)?;
        signature_algorithm(parts.algorithm)?;
        key::check_thoroughly(parts.key)?;
        match key::verifies(parts.key, parts.algorithm, parts.signed, parts.signature) {
            Signed::Yes => {}
            Signed::No => {
                return Err(X509Error::new(
                    "possession_not_proved",
                    Some("C3"),
                    "the request's signature was not made by the key in it, so possession of the private key is not proved",
                    "make the request again with the private key that belongs to it; it may have been changed on its way",
                ));
            }
            Signed::CannotSay => {
                return Err(X509Error::new(
                    "possession_not_proved",
                    Some("C3"),
                    "the request's signature algorithm does not fit the key in it",
                    "make the request again with the private key that belongs to it",
                ));
            }
        }
        let subject = Subject::from_der(parts.subject)?;
        let requested = Requested::read(parts.attributes)?;
        let (key_kind, key_bits) = key::describe(parts.key);
        Ok(Self {
            subject,
            alternative_names: requested.names,
            public_key: parts.key.to_vec(),
            key_fingerprint: Fingerprint::of(parts.key),
            key_kind,
            key_bits,
            debian_fingerprint: key::debian_fingerprint(parts.key),
            warnings: requested.warnings,
            der,
        })
    }

    /// The request as PEM with a trailing newline.
    pub fn pem(&self) -> String {
        pem::armour("CERTIFICATE REQUEST", &self.der)
    }

    /// Whether it asks for the subject of this certificate and for none but its alternative names, as the request for a
    /// successor does. Fails with `not_a_certificate` and with the codes of a name that would not be taken today.
    pub fn fits_as_successor(&self, certificate_der: &[u8]) -> Result<bool, X509Error> {
        let (subject, names) = request::names_of(&crate::certificate::Certificate::read(certificate_der)?)?;
        Ok(self.subject.canonical() == subject.canonical() && self.alternative_names.iter().all(|name| names.contains(name)))
    }
}

/// Finds the one request in an upload (C1).
fn the_request(input: &[u8]) -> Result<Vec<u8>, X509Error> {
    if input.len() > REQUEST_BYTES_MAX && !holds_key_marker(input) {
        return Err(X509Error::new(
            "request_too_large",
            Some("C1"),
            format!("the request has {} bytes; at most {REQUEST_BYTES_MAX} are read", input.len()),
            "send the request alone",
        ));
    }
    // DER also comes in base64, where only text can be sent.
    let decoded = pem::unbase64(input.get(..pem::INPUT_BYTES_MAX.min(input.len())).unwrap_or_default());
    for bytes in [Some(input), decoded.as_deref()].into_iter().flatten() {
        if let Some(length) = first_value(bytes).filter(|length| *length < bytes.len())
            && let Some(Piece::Request(_)) = bytes.get(..length).and_then(pem::binary)
        {
            return Err(trailing());
        }
    }
    let found = pem::pieces(input.get(..pem::INPUT_BYTES_MAX.min(input.len())).unwrap_or_default()).map_err(|mut e| {
        e.rule = Some("C1");
        if e.code == "not_a_certificate" || e.code == "empty_input" {
            return not_a_request("the input holds no certificate request");
        }
        e
    })?;
    for piece in &found.pieces {
        if let Piece::PrivateKey { encrypted } = piece {
            return Err(private_key(*encrypted));
        }
    }
    let mut pieces = found.pieces.into_iter();
    match (pieces.next(), pieces.next()) {
        (None, _) => Err(not_a_request("the input holds no certificate request")),
        (Some(_), Some(_)) => Err(X509Error::new(
            "several_blocks",
            Some("C1"),
            format!("the input holds {} blocks; a request comes alone", pieces.len() + 2),
            "send each request by itself",
        )),
        (Some(Piece::Request(der)), None) => Ok(der),
        (Some(Piece::Certificate(_)), None) => Err(X509Error::new(
            "certificate_not_request",
            Some("C1"),
            "this is a certificate, not a request for one",
            "send the file that `openssl req -new` made; to register the certificate itself, use `certificate create --upload`",
        )),
        (Some(Piece::Pkcs7(_)), None) => Err(X509Error::new(
            "pkcs7_not_request",
            Some("C1"),
            "this is a PKCS#7 file, which holds certificates and no request",
            "send the PKCS#10 request, which begins with -----BEGIN CERTIFICATE REQUEST-----",
        )),
        (Some(Piece::Other(label)), None) => Err(not_a_request(&format!("this is a block `{label}`"))),
        // Found above.
        (Some(Piece::PrivateKey { encrypted }), None) => Err(private_key(encrypted)),
    }
}

/// Whether an oversized input has a key in it all the same; then that is the answer.
fn holds_key_marker(input: &[u8]) -> bool {
    let head = input.get(..pem::INPUT_BYTES_MAX.min(input.len())).unwrap_or_default();
    head.windows(12).any(|window| window == b"PRIVATE KEY-")
}

fn private_key(encrypted: bool) -> X509Error {
    if encrypted {
        return X509Error::new(
            "encrypted_key_in_upload",
            Some("A2"),
            "the input holds an encrypted private key; nothing of it was kept",
            "send the request alone; whoever saw the upload can now guess at the key's password, so best make a new key",
        );
    }
    X509Error::new(
        "private_key_in_upload",
        Some("A2"),
        "the input holds a private key; nothing of it was kept",
        "take the key for exposed: make a new one, and send only the request",
    )
}

fn not_a_request(what: &str) -> X509Error {
    X509Error::new(
        "not_a_request",
        Some("C1"),
        format!("{what}; a PKCS#10 request is wanted"),
        "paste the PEM text, from -----BEGIN CERTIFICATE REQUEST----- to -----END CERTIFICATE REQUEST-----",
    )
}

fn trailing() -> X509Error {
    X509Error::new(
        "trailing_bytes",
        Some("C1"),
        "there are bytes after the end of the request",
        "export the request again, for example with `openssl req -in FILE -out request.pem`",
    )
}

fn unreadable() -> X509Error {
    X509Error::new(
        "malformed_request",
        Some("C2"),
        "the request is no PKCS#10 version 1 in strict DER",
        "make it again, for example with `openssl req -new -key client.key -out client.csr`",
    )
}

/// The length of the first TLV, head and all, when the bytes begin with a SEQUENCE.
fn first_value(bytes: &[u8]) -> Option<usize> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *tag != 0x30 {
        return None;
    }
    match first {
        0..=0x7f => Some(2 + usize::from(*first)),
        0x81..=0x83 => {
            let count = usize::from(first & 3);
            let length = rest.get(..count)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            Some(2 + count + length)
        }
        _ => None,
    }
}

/// The raw slices of a request.
struct Parts<'a> {
    signed: &'a [u8],
    subject: &'a [u8],
    key: &'a [u8],
    attributes: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(der: &'a [u8]) -> Result<Self, X509Error> {
        if first_value(der).is_some_and(|length| length < der.len()) {
            return Err(trailing());
        }
        let sequence = |bytes: &'a [u8]| single(bytes).ok().filter(|s| s.tag == 0x30).and_then(|s| children(s.value).ok());
        let outer = sequence(der).ok_or_else(unreadable)?;
        let [signed, algorithm, signature] = outer.as_slice() else { return Err(unreadable()) };
        let inner = sequence(signed.whole).ok_or_else(unreadable)?;
        // RFC 2986 section 4 asks for the attributes even where there is none; old clients leave them out.
        let (version, subject, key, attributes) = match inner.as_slice() {
            [version, subject, key] => (version, subject, key, None),
            [version, subject, key, attributes] => (version, subject, key, Some(attributes)),
            _ => return Err(unreadable()),
        };
        let tags = [version.tag, subject.tag, key.tag, attributes.map_or(0xa0, |field| field.tag), algorithm.tag, signature.tag];
        if tags != [0x02, 0x30, 0x30, 0xa0, 0x30, 0x03] || version.value != [0] {
            return Err(unreadable());
        }
        let Some((0, signature)) = signature.value.split_first() else { return Err(unreadable()) };
        Ok(Self {
            signed: signed.whole,
            subject: subject.whole,
            key: key.whole,
            attributes: attributes.map_or(&[], |field| field.value),
            algorithm: without_null(algorithm.value),
            signature,
        })
    }
}

/// The algorithm without the NULL parameters that some clients write behind ECDSA's, where none belong (RFC 5758 section 3.2). Nothing
/// depends on them: the signature is verified over the request, in which the algorithm is not.
fn without_null(algorithm: &[u8]) -> &[u8] {
    match algorithm.strip_suffix(&[5, 0]) {
        Some(bare) if bare.len() == ECDSA_WITH_SHA2.len() + 1 && bare.starts_with(&ECDSA_WITH_SHA2) => bare,
        _ => algorithm,
    }
}

/// C4.
fn signature_algorithm(algorithm: &[u8]) -> Result<(), X509Error> {
    match key::strength(algorithm) {
        Strength::Good => Ok(()),
        Strength::Broken(hash) => Err(X509Error::new(
            "weak_request_signature",
            Some("C4"),
            format!("the request is signed with {hash}"),
            "make it again with SHA-256, such as `openssl req -new -sha256 -key client.key`",
        )),
        Strength::Unknown => Err(X509Error::new(
            "unsupported_request_signature",
            Some("C4"),
            "the request is signed with an algorithm that is not verified here",
            "make it again with ECDSA or RSA over SHA-256, or with Ed25519",
        )),
    }
}
