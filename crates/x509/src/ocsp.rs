//! The Online Certificate Status Protocol (RFC 6960, nonces by RFC 9654): requests read within bounds, answers built and signed
//! by the issuer or by a responder it named (F8 of `research/pki.md` section 6). It knows no certificate: whoever asks it
//! brings the status of each. Only what this product issued is answered for.

use crate::X509Error;
use crate::certificate::{Tlv, children, single};
use crate::encode::{bit_string, generalized_time, oid, sequence, tlv};
use crate::issue;
use crate::issuer::IssuerCertificate;
use crate::key::{self, Signed};
use crate::private_key::{Signer, failed};
use aws_lc_rs::digest;
use base64::Engine;
use const_oid::ObjectIdentifier;
use countersign_core::Timestamp;
use countersign_core::credential::certificate::RevocationReason;

/// Bytes of a request.
pub const REQUEST_BYTES_MAX: usize = 4096;
/// Certificates that one request may ask about.
pub const CERTIFICATES_MAX: usize = 16;
/// Octets of a nonce (RFC 9654 section 2.1).
pub const NONCE_MAX: usize = 128;

const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const EXTENDED_REVOKE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.9");
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// Answers without a signature (RFC 6960 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request cannot be read or breaks a bound.
    MalformedRequest,
    /// Something failed here.
    InternalError,
    /// Not now.
    TryLater,
    /// Certificates of another issuer were asked about.
    Unauthorized,
}

impl Refusal {
    /// The response, to be sent with status 200 and `application/ocsp-response`.
    pub fn response(self) -> Vec<u8> {
        let code = match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::Unauthorized => 6,
        };
        sequence(&[tlv(0x0a, &[code])])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum HashKind {
    Sha1,
    Sha256,
    Other,
}

/// One certificate that is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertId {
    /// As it came, to be repeated in the answer.
    der: Vec<u8>,
    hash: HashKind,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
}

impl CertId {
    /// The serial number, big-endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Whether `issuer` is meant. SHA-1 stands here for a name, not for a proof.
    pub fn is_of(&self, issuer: &IssuerCertificate) -> bool {
        let algorithm = match self.hash {
            HashKind::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            HashKind::Sha256 => &digest::SHA256,
            HashKind::Other => return false,
        };
        let key = key::bits(issuer.public_key()).unwrap_or_default();
        digest::digest(algorithm, issuer.subject()).as_ref() == self.name_hash && digest::digest(algorithm, key).as_ref() == self.key_hash
    }
}

/// A request that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    certificates: Vec<CertId>,
    nonce: Option<Vec<u8>>,
}

impl Request {
    /// Reads the body of a POST. A signature on it is not looked at. Everything unreadable is [`Refusal::MalformedRequest`]: so is
    /// a nonce that is empty or longer than [`NONCE_MAX`].
    pub fn read(der: &[u8]) -> Result<Self, Refusal> {
        if der.len() > REQUEST_BYTES_MAX {
            return Err(Refusal::MalformedRequest);
        }
        Self::walk(der).ok_or(Refusal::MalformedRequest)
    }

    /// Reads the last part of a GET's path: percent-encoded base64, slashes and plus signs included (RFC 6960 appendix A.1).
    pub fn from_path(path: &str) -> Result<Self, Refusal> {
        if path.len() > 4 * REQUEST_BYTES_MAX {
            return Err(Refusal::MalformedRequest);
        }
        let plain = percent_decoded(path).ok_or(Refusal::MalformedRequest)?;
        let plain = plain.trim_start_matches('/');
        let der = base64::engine::general_purpose::STANDARD.decode(plain).map_err(|_| Refusal::MalformedRequest)?;
        Self::read(&der)
    }

    /// What is asked about, one at least.
    pub fn certificates(&self) -> &[CertId] {
        &self.certificates
    }

    /// Whether the answer has to carry a nonce, and so cannot be one made before.
    pub fn has_nonce(&self) -> bool {
        self.nonce.is_some()
    }

    fn walk(der: &[u8]) -> Option<Self> {
        let outer = children(single(der).ok().filter(|o| o.tag == 0x30)?.value).ok()?;
        let (signed, rest) = outer.split_first()?;
        if signed.tag != 0x30 || rest.iter().any(|f| f.tag != 0xa0) || rest.len() > 1 {
            return None;
        }
        let mut certificates = Vec::new();
        let mut nonce = None;
        for field in children(signed.value).ok()? {
            match field.tag {
                // Version and requestor are of no concern.
                0xa0 | 0xa1 => {}
                0x30 if certificates.is_empty() => {
                    for one in children(field.value).ok()? {
                        certificates.push(cert_id(&one)?);
                    }
                }
                0xa2 => nonce = nonce_of(single(field.value).ok()?.value)?,
                _ => return None,
            }
        }
        (1..=CERTIFICATES_MAX).contains(&certificates.len()).then_some(Self { certificates, nonce })
    }
}

/// The first field of a Request. It is repeated in the answer, under the signature, so that it has to be DER to its last byte.
fn cert_id(request: &Tlv<'_>) -> Option<CertId> {
    let parts = children(request.value).ok()?;
    let id = match parts.as_slice() {
        [id] => *id,
        // Extensions of a single request are of no concern.
        [id, extensions] if extensions.tag == 0xa0 => *id,
        _ => return None,
    };
    if request.tag != 0x30 || id.tag != 0x30 {
        return None;
    }
    let fields = children(id.value).ok()?;
    let [algorithm, name, key, serial] = fields.as_slice() else { return None };
    if [algorithm.tag, name.tag, key.tag, serial.tag] != [0x30, 0x04, 0x04, 0x02] {
        return None;
    }
    let identifier = children(algorithm.value).ok()?;
    let (kind, parameters) = identifier.split_first().filter(|(kind, more)| kind.tag == 0x06 && more.len() <= 1)?;
    ObjectIdentifier::from_bytes(kind.value).ok()?;
    let hash = match kind.value {
        SHA1 => HashKind::Sha1,
        kind if kind == SHA256.as_bytes() => HashKind::Sha256,
        _ => HashKind::Other,
    };
    // The parameters of a hash are NULL or left out (RFC 5754 section 2).
    if hash != HashKind::Other && parameters.first().is_some_and(|null| null.whole != [5, 0]) {
        return None;
    }
    // An INTEGER has no more bytes than it needs (X.690 section 8.3.2).
    if matches!(serial.value, [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..]) {
        return None;
    }
    let zeros = serial.value.iter().take_while(|b| **b == 0).count();
    Some(CertId {
        der: id.whole.to_vec(),
        hash,
        name_hash: name.value.to_vec(),
        key_hash: key.value.to_vec(),
        serial: serial.value.get(zeros..)?.to_vec(),
    })
}

/// `Some(None)` when there is none; `None` when it breaks a bound or an extension is critical and unknown.
fn nonce_of(extensions: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut nonce = None;
    for extension in children(extensions).ok()? {
        let fields = children(extension.value).ok()?;
        let (kind, critical, value) = match fields.as_slice() {
            [kind, value] => (kind, false, value),
            [kind, critical, value] => (kind, critical.value != [0], value),
            _ => return None,
        };
        if kind.value == NONCE.as_bytes() {
            // RFC 9654: an OCTET STRING inside the extension's own; old clients left the inner one out.
            let octets = single(value.value).ok().filter(|v| v.tag == 0x04).map_or(value.value, |v| v.value);
            if !(1..=NONCE_MAX).contains(&octets.len()) || nonce.is_some() {
                return None;
            }
            nonce = Some(value.value.to_vec());
        } else if critical {
            return None;
        }
    }
    Some(nonce)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8
            }
            b => b,
        };
        out.push(char::from(byte));
    }
    Some(out)
}

/// What is known of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Issued here and not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// Nothing is known of it.
    Unknown,
    /// No certificate with this serial number was ever issued: answered as revoked on hold since 1970, with the extension that
    /// says so (RFC 6960 section 2.2).
    NeverIssued,
}

/// Who signs the answers.
pub struct Responder<'r> {
    /// The certificate of a responder that the issuer named; `None` when the issuer signs itself.
    pub certificate: Option<&'r [u8]>,
    /// The key of that certificate, or the issuer's.
    pub signer: &'r dyn Signer,
}

/// For which time an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When the answer is made, and from when on the status is known to be right.
    pub now: Timestamp,
    /// By when there is newer news.
    pub next_update: Timestamp,
}

/// Answers `request` with what `status` says of each certificate, in one signed response. Fails with [`Refusal::Unauthorized`]
/// when one of them has another issuer, and with [`Refusal::InternalError`] when the key does not sign.
pub fn respond(
    request: &Request,
    issuer: &IssuerCertificate,
    responder: &Responder<'_>,
    freshness: Freshness,
    status: impl Fn(&CertId) -> Status,
) -> Result<Vec<u8>, Refusal> {
    if request.certificates.iter().any(|id| !id.is_of(issuer)) {
        return Err(Refusal::Unauthorized);
    }
    let answers: Vec<(&CertId, Status)> = request.certificates.iter().map(|id| (id, status(id))).collect();
    signed(&answers, request.nonce.as_deref(), issuer, responder, freshness).map_err(|_| Refusal::InternalError)
}

fn signed(
    answers: &[(&CertId, Status)],
    nonce: Option<&[u8]>,
    issuer: &IssuerCertificate,
    responder: &Responder<'_>,
    freshness: Freshness,
) -> Result<Vec<u8>, X509Error> {
    let no_date = || failed("a date lies outside 1970 to 9999");
    let now = generalized_time(freshness.now).ok_or_else(no_date)?;
    let next = tlv(0xa0, &generalized_time(freshness.next_update).ok_or_else(no_date)?);
    let mut singles = Vec::with_capacity(answers.len());
    for (id, status) in answers {
        singles.push(sequence(&[id.der.clone(), certificate_status(*status).ok_or_else(no_date)?, now.clone(), next.clone()]));
    }
    let mut extensions = Vec::new();
    if let Some(nonce) = nonce {
        extensions.push(issue::extension(NONCE, false, nonce));
    }
    if answers.iter().any(|(_, status)| *status == Status::NeverIssued) {
        extensions.push(issue::extension(EXTENDED_REVOKE, false, &tlv(0x05, &[])));
    }
    let key_bits = key::bits(responder.signer.public_key()).unwrap_or_default();
    // byKey is the SHA-1 of the key's bits, by definition (RFC 6960 section 4.2.1).
    let by_key = tlv(0xa2, &tlv(0x04, digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key_bits).as_ref()));
    let mut fields = vec![by_key, now, sequence(&singles)];
    if !extensions.is_empty() {
        fields.push(tlv(0xa1, &sequence(&extensions)));
    }
    let data = sequence(&fields);

    match responder.certificate {
        None => issuer.fits(responder.signer)?,
        Some(der) => {
            let certificate = crate::certificate::Certificate::read(der)?;
            if certificate.key != responder.signer.public_key() {
                return Err(failed("the responder's key does not belong to its certificate"));
            }
        }
    }
    let algorithm = issue::algorithm(responder.signer)?;
    let signature = responder.signer.sign(&data)?;
    let content = single(&algorithm).map_err(|_| failed("no algorithm"))?.value;
    if key::verifies(responder.signer.public_key(), content, &data, &signature) != Signed::Yes {
        return Err(failed("the signature that was made does not verify"));
    }
    // GnuTLS and OpenSSL look for the signer's certificate inside, even where it is the issuer's.
    let certificates = tlv(0xa0, &sequence(&[responder.certificate.unwrap_or(issuer.der())]));
    let basic = sequence(&[data, algorithm, bit_string(&signature), certificates]);
    Ok(sequence(&[tlv(0x0a, &[0]), tlv(0xa0, &sequence(&[oid(BASIC), tlv(0x04, &basic)]))]))
}

/// CertStatus.
fn certificate_status(status: Status) -> Option<Vec<u8>> {
    let revoked = |at, reason: RevocationReason| {
        let mut value = generalized_time(at)?;
        if reason != RevocationReason::Unspecified {
            value.extend(tlv(0xa0, &tlv(0x0a, &[reason.code()])));
        }
        Some(tlv(0xa1, &value))
    };
    match status {
        Status::Good => Some(tlv(0x80, &[])),
        Status::Unknown => Some(tlv(0x82, &[])),
        Status::Revoked { at, reason } => revoked(at, reason),
        Status::NeverIssued => revoked(Timestamp::from_seconds(0), RevocationReason::CertificateHold),
    }
}
