//! Whether a presented certificate chains to one of a namespace's accepted CAs (rules E2, E3 and B5 of `research/pki.md`).
//! Path building is webpki's; what webpki leaves out is added here: keyUsage, the anchors' own pathLen and purpose, key
//! strength, distinct names. It says how long the path holds and leaves the refusal by time to admission, so that a client
//! with an expired certificate hears just that. It never looks at another namespace's anchors.
//!
//! A CA whose issuer is in the same bundle is a link, not an anchor: what its root forbids, and the day its root ends, bind it.
//! The facts name it all the same when the path runs over it, because its removal must reach its clients.

use crate::certificate::{BasicConstraints, Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN};
use crate::key::{self, Signed};
use crate::name;
use countersign_core::Timestamp;
use countersign_core::admission::{ChainPath, NoPath};
use countersign_core::credential::certificate::{CertificateFacts, Fingerprint};
use countersign_core::namespace::AcceptedCa;
use rustls::pki_types::{CertificateDer, Der, TrustAnchor, UnixTime};
use std::cell::Cell;
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

/// Intermediates a client may send, and the most that may lie between leaf and anchor (E2, A13).
pub const INTERMEDIATES_MAX: usize = 4;
/// Bytes of everything a client presents (E2).
pub const PRESENTED_BYTES_MAX: usize = 32 * 1024;
/// Anchors of one subject that are tried. A hundred would cost a millisecond and then fail (research/pki.md 1.7).
const SAME_SUBJECT_TRIED: usize = 4;

/// One accepted CA, ready for use.
struct Ca {
    der: Vec<u8>,
    fingerprint: Fingerprint,
    /// SHA-256 of its SubjectPublicKeyInfo.
    key: Fingerprint,
    trust: TrustAnchor<'static>,
    issuer: Vec<u8>,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
    not_before: Timestamp,
    not_after: Timestamp,
    path_len: Option<u8>,
    canonical: String,
    /// It may vouch for clients at all (A5, A6, A10); checked again, because stores outlive rules.
    fit: bool,
    /// Its issuer is in the bundle too.
    link: bool,
}

impl Ca {
    fn subject(&self) -> &[u8] {
        self.trust.subject.as_ref()
    }

    fn holds_at(&self, now: Timestamp) -> bool {
        holds(self.not_before, self.not_after, now)
    }
}

/// Whether `now` lies in the validity; its last second counts whole.
fn holds(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    not_before <= now && now.seconds() <= not_after.seconds()
}

/// A namespace's accepted CAs, prepared once per change.
pub struct Anchors {
    cas: Vec<Ca>,
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.cas.iter().map(|ca| ca.fingerprint)).finish()
    }
}

/// How long a verified path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainFacts {
    /// The accepted CA nearest to the leaf. When it is removed from the bundle, this path ends.
    pub anchor: Fingerprint,
    /// SHA-256 of the SubjectPublicKeyInfo by which the leaf's own signature was verified.
    pub issuer_key: Fingerprint,
    /// The latest notBefore of leaf, intermediates and anchor.
    pub not_before: Timestamp,
    /// The earliest notAfter of them. It may lie before `not_before` or in the past: then nobody is let in.
    pub not_after: Timestamp,
}

impl From<ChainFacts> for ChainPath {
    fn from(facts: ChainFacts) -> Self {
        Self { anchor: facts.anchor, issuer_key: facts.issuer_key, not_before: facts.not_before, not_after: facts.not_after }
    }
}

/// Why no path was found. Its text is what is wrong, and behind a semicolon what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// More certificates than [`INTERMEDIATES_MAX`] came with the leaf.
    TooManyCertificates,
    /// More bytes than [`PRESENTED_BYTES_MAX`].
    TooLarge,
    /// One of them cannot be read.
    Malformed,
    /// The leaf is X.509 v1 or v2.
    OldVersion,
    /// The leaf says CA:TRUE.
    LeafIsCa,
    /// The leaf or a CA of the path leaves out clientAuth.
    NotForClientAuth,
    /// keyUsage forbids what it is used for.
    KeyUsage,
    /// A key of the chain is weak or unsupported.
    WeakKey,
    /// A signature of the chain is SHA-1 or worse.
    WeakSignature,
    /// A signature of the chain does not verify.
    BadSignature,
    /// A critical extension that is not understood.
    UnknownCriticalExtension,
    /// Two certificates of the chain have the same distinguished name (B5).
    SameName,
    /// A pathLen forbids the path, or it is too long.
    PathTooLong,
    /// A name constraint of a CA forbids the leaf.
    NameConstraint,
    /// A serial number has more octets than RFC 5280 allows.
    LongSerial,
    /// An extension comes twice.
    DuplicateExtension,
    /// An accepted CA has the issuer's name in other bytes (RFC 5280 section 7.1); no TLS stack builds a path over them.
    NameEncoding,
    /// None of the accepted CAs issued it.
    UnknownIssuer,
}

impl std::fmt::Display for ChainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (reason, remedy) = self.words();
        write!(f, "{reason}; {remedy}")
    }
}

impl std::error::Error for ChainError {}

impl ChainError {
    /// The stable word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooManyCertificates => "too_many_certificates",
            Self::TooLarge => "chain_too_large",
            Self::Malformed => "not_a_certificate",
            Self::OldVersion => "v1_certificate",
            Self::LeafIsCa => "ca_as_client",
            Self::NotForClientAuth => "not_for_client_auth",
            Self::KeyUsage => "key_usage",
            Self::WeakKey => "weak_key",
            Self::WeakSignature => "weak_signature",
            Self::BadSignature => "bad_signature",
            Self::UnknownCriticalExtension => "unknown_critical_extension",
            Self::SameName => "same_name_in_chain",
            Self::PathTooLong => "path_length",
            Self::NameConstraint => "name_constraint",
            Self::LongSerial => "serial_too_long",
            Self::DuplicateExtension => "duplicate_extension",
            Self::NameEncoding => "name_encoding",
            Self::UnknownIssuer => "unknown_issuer",
        }
    }

    /// What is wrong, and what to do.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::TooManyCertificates => {
                ("more than four intermediate certificates were presented", "send only those between the client certificate and its CA")
            }
            Self::TooLarge => {
                ("the presented certificates have more than 32 KiB", "send only those between the client certificate and its CA")
            }
            Self::Malformed => ("a presented certificate is no X.509 certificate in strict DER", "export it again"),
            Self::OldVersion => {
                ("the client certificate is X.509 version 1", "issue it again with -extfile and extendedKeyUsage=clientAuth")
            }
            Self::LeafIsCa => ("the client certificate is a CA certificate", "present an end-entity certificate"),
            Self::NotForClientAuth => {
                ("the client certificate, or a CA above it, is not for client authentication", "issue it with extendedKeyUsage=clientAuth")
            }
            Self::KeyUsage => ("a keyUsage of the chain lacks digitalSignature (client) or keyCertSign (CA)", "issue it again"),
            Self::WeakKey => {
                ("a key of the chain is weak or of an unsupported kind", "use RSA with 2048 bits or more, P-256, P-384, P-521 or Ed25519")
            }
            Self::WeakSignature => {
                ("a certificate of the chain is signed with a broken or unsupported algorithm", "have it issued with SHA-256")
            }
            Self::BadSignature => (
                "a signature of the chain does not match its issuer's key",
                "accept the CA that signed it; the namespace may hold another CA of the same name",
            ),
            Self::UnknownCriticalExtension => (
                "a certificate of the chain has a critical extension that is not understood here",
                "issue it without that extension, or not marked critical",
            ),
            Self::SameName => ("two certificates of the chain have the same distinguished name", "give each its own"),
            Self::PathTooLong => {
                ("the chain is longer than a CA of it allows", "have it issued by a CA higher up, or raise pathLenConstraint")
            }
            Self::NameConstraint => {
                ("a CA of the chain is not allowed to issue this name", "have it issued by a CA whose nameConstraints permit its names")
            }
            Self::DuplicateExtension => (
                "a presented certificate has an extension twice, of which readers take one or the other",
                "have it issued again with each extension once (RFC 5280 section 4.2)",
            ),
            Self::LongSerial => {
                ("a presented certificate has a serial number of more than 20 octets", "have it issued again (RFC 5280 section 4.1.2.2)")
            }
            Self::NameEncoding => (
                "an accepted CA of this namespace has the name of its issuer in another encoding, such as UTF8String instead of PrintableString",
                "have it issued again with the CA's subject copied byte by byte into its issuer, as `openssl x509 -req -CA` does",
            ),
            Self::UnknownIssuer => ("no accepted client CA of this namespace issued it", "add its CA, or send its intermediates along"),
        }
    }

    /// The same for the record of a denial. Of an unknown issuer the remedy is admission's to say.
    pub fn no_path(self) -> NoPath {
        let (reason, remedy) = self.words();
        NoPath { reason, remedy: if self == Self::UnknownIssuer { "" } else { remedy } }
    }
}

impl Anchors {
    /// Prepares `cas`. One that cannot be read is left out: it was refused when it was uploaded.
    pub fn new(cas: &[AcceptedCa]) -> Self {
        let mut prepared = Vec::with_capacity(cas.len());
        for accepted in cas {
            let Ok(certificate) = Certificate::read(&accepted.der) else { continue };
            let der = CertificateDer::from(accepted.der.as_slice());
            let Ok(trust) = anchor_from_trusted_cert(&der).map(|t| t.to_owned()) else { continue };
            // A CA without basicConstraints never got in; one that lost CA:TRUE on the way must not either.
            let fit = certificate.is_ca()
                && certificate.has_usage(KEY_CERT_SIGN) != Some(false)
                && certificate.allows_client_auth() != Some(false)
                && certificate.unknown_critical.is_none()
                && key::check(certificate.key).is_ok();
            let link = !certificate.is_self_issued()
                && cas.iter().any(|other| {
                    other.der != accepted.der
                        && Certificate::read(&other.der)
                            .is_ok_and(|o| o.subject == certificate.issuer && key::signed_by(&certificate, o.key) == Signed::Yes)
                });
            prepared.push(Ca {
                fingerprint: Fingerprint::of(&accepted.der),
                key: Fingerprint::of(certificate.key),
                trust,
                issuer: certificate.issuer.to_vec(),
                subject_key_id: certificate.subject_key_id.map(<[u8]>::to_vec),
                authority_key_id: certificate.authority_key_id.map(<[u8]>::to_vec),
                not_before: certificate.not_before,
                not_after: certificate.not_after,
                path_len: certificate.basic_constraints.and_then(|b| b.path_len),
                canonical: name::canonical(certificate.decoded.tbs_certificate().subject()),
                fit,
                link,
                der: accepted.der.clone(),
            });
        }
        Self { cas: prepared }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cas.is_empty()
    }

    /// The CAs a certificate with this issuer may come from: the same subject, those with the right key identifier first,
    /// then those valid now, and never more than four. Another identifier only ranks lower: tools differ in how they compute
    /// it, so a CA that was renewed with its old key may carry a new one.
    fn above(&self, issuer: &[u8], key_id: Option<&[u8]>, now: Timestamp) -> Vec<usize> {
        let mut found: Vec<usize> =
            (0..self.cas.len()).filter(|i| self.cas.get(*i).is_some_and(|ca| ca.fit && ca.subject() == issuer)).collect();
        found.sort_by_key(|i| {
            self.cas.get(*i).map(|ca| {
                let rank = match (key_id, ca.subject_key_id.as_deref()) {
                    (Some(wanted), Some(has)) if wanted == has => 0_u8,
                    (Some(_), Some(_)) => 2,
                    _ => 1,
                };
                (rank, !ca.holds_at(now), std::cmp::Reverse(ca.not_after))
            })
        });
        found.truncate(SAME_SUBJECT_TRIED);
        found
    }

    /// What is said of a leaf that none of the CAs issued by the bytes of its name: whether one did by its text, and by its key.
    fn stranger(&self, leaf: &Certificate<'_>, presented: &[Certificate<'_>]) -> ChainError {
        let is_ours = |certificate: &Certificate<'_>| {
            let issuer = name::canonical(certificate.decoded.tbs_certificate().issuer());
            let of_name = self.cas.iter().filter(|ca| ca.canonical == issuer && ca.subject() != certificate.issuer);
            of_name.take(SAME_SUBJECT_TRIED).any(|ca| {
                let key = Certificate::read(&ca.der).ok().map(|ca| key::signed_by(certificate, ca.key) == Signed::Yes);
                key == Some(true)
            })
        };
        if std::iter::once(leaf).chain(presented).any(is_ours) { ChainError::NameEncoding } else { ChainError::UnknownIssuer }
    }

    /// What may matter for this leaf: anchors, and links of the bundle.
    fn candidates(&self, leaf: &Certificate<'_>, presented: &[Certificate<'_>], now: Timestamp) -> (Vec<&Ca>, Vec<&Ca>) {
        let mut wanted: Vec<(&[u8], Option<&[u8]>)> =
            std::iter::once(leaf).chain(presented).map(|c| (c.issuer, c.authority_key_id)).collect();
        let mut chosen: Vec<usize> = Vec::new();
        let mut at = 0;
        while let Some((issuer, key_id)) = wanted.get(at).copied() {
            at += 1;
            for index in self.above(issuer, key_id, now) {
                if chosen.contains(&index) {
                    continue;
                }
                chosen.push(index);
                if let Some(ca) = self.cas.get(index).filter(|ca| ca.link) {
                    wanted.push((&ca.issuer, ca.authority_key_id.as_deref()));
                }
            }
        }
        chosen.iter().filter_map(|i| self.cas.get(*i)).partition(|ca| !ca.link)
    }
}

/// Whether the CA in `ca_der` itself signed the certificate in `leaf_der`, whatever else is to be said of either.
pub fn is_issued_by(leaf_der: &[u8], ca_der: &[u8]) -> bool {
    let (Ok(leaf), Ok(ca)) = (Certificate::read(leaf_der), Certificate::read(ca_der)) else { return false };
    key::signed_by(&leaf, ca.key) == Signed::Yes
}

/// A client's own certificate, read once for its facts and its path.
pub struct Leaf<'a>(Certificate<'a>);

impl std::fmt::Debug for Leaf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Leaf").field(&Fingerprint::of(self.0.der)).finish()
    }
}

impl<'a> Leaf<'a> {
    /// Reads it. Fails with [`ChainError::Malformed`] and [`ChainError::LongSerial`].
    pub fn read(der: &'a [u8]) -> Result<Self, ChainError> {
        read(der).map(Self)
    }

    /// What it says of itself.
    pub fn facts(&self) -> CertificateFacts {
        crate::facts::from(&self.0)
    }

    /// As [`verify`].
    pub fn verify(&self, anchors: &Anchors, intermediates: &[&[u8]], now: Timestamp) -> Result<ChainFacts, ChainError> {
        search(anchors, &self.0, intermediates, now)
    }
}

/// Looks for a path from `leaf_der` over `intermediates` to one of `anchors`. A path that fails only because of time is
/// looked for at another time, and the facts say when it holds.
pub fn verify(anchors: &Anchors, leaf_der: &[u8], intermediates: &[&[u8]], now: Timestamp) -> Result<ChainFacts, ChainError> {
    search(anchors, &read(leaf_der)?, intermediates, now)
}

fn read(der: &[u8]) -> Result<Certificate<'_>, ChainError> {
    Certificate::read(der).map_err(|error| match error.code {
        "serial_too_long" => ChainError::LongSerial,
        "duplicate_extension" => ChainError::DuplicateExtension,
        _ => ChainError::Malformed,
    })
}

fn search(anchors: &Anchors, leaf: &Certificate<'_>, intermediates: &[&[u8]], now: Timestamp) -> Result<ChainFacts, ChainError> {
    if leaf.der.len() + intermediates.iter().map(|i| i.len()).sum::<usize>() > PRESENTED_BYTES_MAX {
        return Err(ChainError::TooLarge);
    }
    // Many clients send the root along; an accepted CA that comes again is no intermediate.
    let presented: Vec<&[u8]> =
        intermediates.iter().copied().filter(|der| *der != leaf.der && !anchors.cas.iter().any(|ca| ca.der == *der && !ca.link)).collect();
    if presented.len() > INTERMEDIATES_MAX {
        return Err(ChainError::TooManyCertificates);
    }
    let read: Vec<Certificate<'_>> = presented.iter().map(|der| read(der)).collect::<Result<_, _>>()?;
    let (roots, links) = anchors.candidates(leaf, &read, now);
    // Who issued it comes first: a stranger is told nothing more about his certificate.
    if roots.is_empty() {
        return Err(anchors.stranger(leaf, &read));
    }
    judge_leaf(leaf)?;

    let mut helpers: Vec<(&[u8], Timestamp)> = read.iter().map(|c| (c.der, c.not_before)).collect();
    for link in &links {
        if !helpers.iter().any(|(der, ..)| *der == link.der) {
            helpers.push((&link.der, link.not_before));
        }
    }
    let helper_ders: Vec<CertificateDer<'_>> = helpers.iter().map(|(der, ..)| CertificateDer::from(*der)).collect();
    let (good, stale): (Vec<&Ca>, Vec<&Ca>) = roots.iter().copied().partition(|ca| ca.holds_at(now));
    let search = Search { leaf, helpers: &helper_ders, links: &links, presented: &read, now };

    let mut failure = None;
    for group in [&good, &stale].into_iter().filter(|g| !g.is_empty()) {
        match search.run(group, now) {
            Ok(facts) => return Ok(facts),
            // Time is the better reason: it is what the client can hear about.
            Err(Failure::Time) => failure = Some(Failure::Time),
            Err(other) => failure = failure.or(Some(other)),
        }
    }
    match failure {
        Some(Failure::Time) => {}
        Some(Failure::Rule(error)) => return Err(error),
        None => return Err(ChainError::UnknownIssuer),
    }
    // A certificate of the path is out of its time. A few moments stand for all: the one in the leaf's validity nearest to
    // now, its ends, and the beginnings of the helpers. The first answer that is not about time is the answer, so that a
    // stranger cannot make us search again and again.
    let all: Vec<&Ca> = good.iter().chain(&stale).copied().collect();
    let mut moments = vec![now.max(leaf.not_before).min(leaf.not_after), leaf.not_before, leaf.not_after];
    moments.extend(helpers.iter().map(|(_, from)| *from).filter(|from| holds(leaf.not_before, leaf.not_after, *from)));
    moments.dedup();
    for moment in moments.into_iter().filter(|m| *m != now).take(6) {
        match search.run(&all, moment) {
            Ok(facts) => return Ok(facts),
            Err(Failure::Time) => {}
            Err(Failure::Rule(error)) => return Err(error),
        }
    }
    Err(ChainError::UnknownIssuer)
}

/// Why one search failed.
#[derive(Clone, Copy)]
enum Failure {
    /// A certificate was out of its time; webpki ranks this above every other reason.
    Time,
    /// A rule was broken.
    Rule(ChainError),
}

/// What E3 asks of the leaf and webpki does not.
fn judge_leaf(leaf: &Certificate<'_>) -> Result<(), ChainError> {
    if leaf.version != 3 {
        return Err(ChainError::OldVersion);
    }
    if leaf.is_ca() {
        return Err(ChainError::LeafIsCa);
    }
    if leaf.has_usage(DIGITAL_SIGNATURE) == Some(false) {
        return Err(ChainError::KeyUsage);
    }
    if leaf.allows_client_auth() == Some(false) {
        return Err(ChainError::NotForClientAuth);
    }
    if leaf.unknown_critical.is_some() {
        return Err(ChainError::UnknownCriticalExtension);
    }
    key::check_signature_algorithm(leaf.algorithm, "E3").map_err(|_| ChainError::WeakSignature)?;
    key::check(leaf.key).map_err(|_| ChainError::WeakKey)
}

/// One search for a path.
struct Search<'s, 'a> {
    leaf: &'s Certificate<'a>,
    helpers: &'s [CertificateDer<'s>],
    links: &'s [&'s Ca],
    presented: &'s [Certificate<'a>],
    now: Timestamp,
}

impl Search<'_, '_> {
    /// Searches at `moment` among `roots`.
    fn run(&self, roots: &[&Ca], moment: Timestamp) -> Result<ChainFacts, Failure> {
        let trust: Vec<TrustAnchor<'_>> = roots.iter().map(|ca| borrowed(&ca.trust)).collect();
        let der = CertificateDer::from(self.leaf.der);
        let entity = EndEntityCert::try_from(&der).map_err(|error| Failure::Rule(from_webpki(&error)))?;
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(moment.seconds()).unwrap_or(0)));
        // The rules are asked inside the search, so that it goes on to another path when one breaks them.
        let judged = Cell::new(None);
        let policy = |path: &VerifiedPath<'_>| {
            let outcome = self.policy(path, roots);
            judged.set(Some(outcome));
            outcome.map(|_| ()).map_err(|_| webpki::Error::UnknownIssuer)
        };
        let found = entity.verify_for_usage(key::ALGORITHMS, &trust, self.helpers, moment, KeyUsage::client_auth(), None, Some(&policy));
        match (found, judged.get()) {
            // The path that was found is the one that was judged last.
            (Ok(_), Some(outcome)) => outcome.map_err(Failure::Rule),
            (Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }), _) => Err(Failure::Time),
            (Err(_), Some(Err(error))) => Err(Failure::Rule(error)),
            (Err(error), _) => Err(Failure::Rule(from_webpki(&error))),
            (Ok(_), None) => Err(Failure::Rule(ChainError::UnknownIssuer)),
        }
    }

    /// The rules that need the whole path, and the facts of it.
    fn policy(&self, path: &VerifiedPath<'_>, roots: &[&Ca]) -> Result<ChainFacts, ChainError> {
        let anchor = self.best(path.anchor(), roots).ok_or(ChainError::UnknownIssuer)?;
        let mut facts = ChainFacts {
            anchor: anchor.fingerprint,
            issuer_key: anchor.key,
            not_before: self.leaf.not_before,
            not_after: self.leaf.not_after,
        };
        let mut narrow = |from: Timestamp, to: Timestamp| {
            facts.not_before = facts.not_before.max(from);
            facts.not_after = facts.not_after.min(to);
        };
        narrow(anchor.not_before, anchor.not_after);
        let mut names = vec![name::canonical(self.leaf.decoded.tbs_certificate().subject()), anchor.canonical.clone()];
        let mut between = 0_usize;
        let (mut nearest, mut issuer_key) = (None, None);
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            if let Some(link) = self.links.iter().find(|ca| ca.der == der.as_ref()) {
                narrow(link.not_before, link.not_after);
                nearest = nearest.or(Some(link.fingerprint));
                issuer_key = issuer_key.or(Some(link.key));
                names.push(link.canonical.clone());
            } else {
                let certificate = self.presented.iter().find(|c| c.der == der.as_ref()).ok_or(ChainError::Malformed)?;
                judge_intermediate(certificate)?;
                issuer_key = issuer_key.or_else(|| Some(Fingerprint::of(certificate.key)));
                narrow(certificate.not_before, certificate.not_after);
                names.push(name::canonical(certificate.decoded.tbs_certificate().subject()));
            }
            between += 1;
        }
        if between > INTERMEDIATES_MAX || anchor.path_len.is_some_and(|limit| usize::from(limit) < between) {
            return Err(ChainError::PathTooLong);
        }
        // B5, and Temporal's "unique DN in the chain".
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        if names.len() != count {
            return Err(ChainError::SameName);
        }
        facts.anchor = nearest.unwrap_or(facts.anchor);
        // The path is told from the leaf upwards.
        facts.issuer_key = issuer_key.unwrap_or(facts.issuer_key);
        Ok(facts)
    }

    /// The accepted CA behind an anchor. One key may be accepted in several certificates; the one that holds longest counts.
    fn best<'r>(&self, anchor: &TrustAnchor<'_>, roots: &[&'r Ca]) -> Option<&'r Ca> {
        roots
            .iter()
            .copied()
            .filter(|ca| {
                ca.subject() == anchor.subject.as_ref()
                    && ca.trust.subject_public_key_info == anchor.subject_public_key_info
                    && ca.trust.name_constraints == anchor.name_constraints
            })
            .max_by_key(|ca| (ca.holds_at(self.now), ca.not_after))
    }
}

/// What E3 asks of a presented intermediate and webpki does not.
fn judge_intermediate(certificate: &Certificate<'_>) -> Result<(), ChainError> {
    if !matches!(certificate.basic_constraints, Some(BasicConstraints { ca: true, .. })) {
        return Err(ChainError::KeyUsage);
    }
    if certificate.has_usage(KEY_CERT_SIGN) == Some(false) {
        return Err(ChainError::KeyUsage);
    }
    if certificate.allows_client_auth() == Some(false) {
        return Err(ChainError::NotForClientAuth);
    }
    key::check(certificate.key).map_err(|_| ChainError::WeakKey)
}

fn borrowed<'a>(anchor: &'a TrustAnchor<'static>) -> TrustAnchor<'a> {
    TrustAnchor {
        subject: Der::from_slice(anchor.subject.as_ref()),
        subject_public_key_info: Der::from_slice(anchor.subject_public_key_info.as_ref()),
        name_constraints: anchor.name_constraints.as_ref().map(|n| Der::from_slice(n.as_ref())),
    }
}

fn from_webpki(error: &webpki::Error) -> ChainError {
    use webpki::Error as E;
    match error {
        E::CaUsedAsEndEntity => ChainError::LeafIsCa,
        E::EndEntityUsedAsCa => ChainError::KeyUsage,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => ChainError::NotForClientAuth,
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => ChainError::BadSignature,
        E::UnsupportedSignatureAlgorithmContext(_) | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => ChainError::WeakSignature,
        E::UnsupportedCriticalExtension => ChainError::UnknownCriticalExtension,
        E::UnsupportedCertVersion => ChainError::OldVersion,
        E::NameConstraintViolation | E::MaximumNameConstraintComparisonsExceeded => ChainError::NameConstraint,
        E::PathLenConstraintViolated | E::MaximumPathDepthExceeded => ChainError::PathTooLong,
        E::BadDer | E::BadDerTime | E::TrailingData(_) | E::MalformedExtensions => ChainError::Malformed,
        _ => ChainError::UnknownIssuer,
    }
}
