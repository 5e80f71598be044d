//! Public keys and signature algorithms: which ones are strong enough and can be verified by the TLS stack, and the
//! verification itself. Rules A9, A10 and the affordable part of C7 of `research/pki.md`. It holds no private key.

use crate::X509Error;
use crate::certificate::{Certificate, children, single};
use crate::encode::{oid, sequence};
use crate::fermat;
use const_oid::ObjectIdentifier;
use rustls::pki_types::SignatureVerificationAlgorithm;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// What certificates may be signed with: SHA-256 and better, over keys that [`check`] accepts. ML-DSA stays out until a
/// deployment asks for it.
pub(crate) static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = {
    use webpki::aws_lc_rs as a;
    &[
        a::ECDSA_P256_SHA256,
        a::ECDSA_P256_SHA384,
        a::ECDSA_P256_SHA512,
        a::ECDSA_P384_SHA256,
        a::ECDSA_P384_SHA384,
        a::ECDSA_P384_SHA512,
        a::ECDSA_P521_SHA256,
        a::ECDSA_P521_SHA384,
        a::ECDSA_P521_SHA512,
        a::ED25519,
        a::RSA_PKCS1_2048_8192_SHA256,
        a::RSA_PKCS1_2048_8192_SHA384,
        a::RSA_PKCS1_2048_8192_SHA512,
        a::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        a::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        a::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
        a::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        a::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        a::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    ]
};

/// The parts of a SubjectPublicKeyInfo.
struct Spki<'a> {
    algorithm: ObjectIdentifier,
    /// Content of the AlgorithmIdentifier.
    identifier: &'a [u8],
    parameters: Option<crate::certificate::Tlv<'a>>,
    key: &'a [u8],
}

fn parts(spki: &[u8]) -> Option<Spki<'_>> {
    let fields = children(single(spki).ok()?.value).ok()?;
    let [identifier, key] = fields.as_slice() else { return None };
    let inner = children(identifier.value).ok()?;
    let algorithm = ObjectIdentifier::from_bytes(inner.first()?.value).ok()?;
    let (unused, key) = key.value.split_first()?;
    (*unused == 0).then_some(Spki { algorithm, identifier: identifier.value, parameters: inner.get(1).copied(), key })
}

fn unsupported(what: &str) -> X509Error {
    X509Error::new(
        "unsupported_key",
        Some("A10"),
        format!("its public key is {what}, which the TLS stack cannot verify"),
        "use RSA with 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519",
    )
}

const NEW_KEY: &str = "make a new key pair: RSA with 3072 bits, ECDSA on P-256 or P-384, or Ed25519";

/// As [`check`], and for RSA also what tells of a broken generator: small factors, primes that lie close together, and the
/// ROCA fingerprint. For keys that are registered; a handshake does not wait for it, because a weak leaf key harms its own
/// holder and nobody else.
pub(crate) fn check_thoroughly(spki: &[u8]) -> Result<(), X509Error> {
    check(spki)?;
    let Some(n) = rsa_modulus(spki) else { return Ok(()) };
    if SMALL_PRIMES.iter().any(|p| modulo(n, *p) == 0) {
        return Err(X509Error::new(
            "rsa_small_factor",
            Some("C7"),
            "its RSA modulus has a small factor, so anybody can factor it",
            NEW_KEY,
        ));
    }
    if roca(n) {
        return Err(X509Error::new(
            "roca_key",
            Some("C7"),
            "its RSA key comes from a chip with the ROCA weakness (CVE-2017-15361)",
            "make the key pair outside that chip, or update its firmware first",
        ));
    }
    if fermat::close_primes(n) {
        return Err(X509Error::new(
            "rsa_close_primes",
            Some("C7"),
            "the two primes of its RSA key lie so close together that it is factored at once",
            NEW_KEY,
        ));
    }
    Ok(())
}

/// What kind of key a SubjectPublicKeyInfo holds, in the words of [`crate::private_key::KeyKind::name`], and its bits.
pub(crate) fn describe(spki: &[u8]) -> (String, u32) {
    let Some(spki) = parts(spki) else { return ("unreadable".into(), 0) };
    match spki.algorithm {
        RSA => {
            let bits = modulus(spki.key).map_or(0, |n| n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize));
            (format!("rsa-{bits}"), bits as u32)
        }
        EC => match spki.parameters.and_then(|p| ObjectIdentifier::from_bytes(p.value).ok()) {
            Some(P256) => ("ecdsa-p256".into(), 256),
            Some(P384) => ("ecdsa-p384".into(), 384),
            Some(P521) => ("ecdsa-p521".into(), 521),
            _ => ("ecdsa".into(), 0),
        },
        ED25519 => ("ed25519".into(), 256),
        other => (other.to_string(), 0),
    }
}

/// D10: the AlgorithmIdentifier, in DER, of what a key of ours signs; the hash follows the key. `None` for kinds that no issuer
/// has here.
pub(crate) fn issuing_algorithm(spki: &[u8]) -> Option<Vec<u8>> {
    let spki = parts(spki)?;
    let named = |text| oid(ObjectIdentifier::new_unwrap(text));
    // NULL parameters stand for RSA only.
    Some(match (spki.algorithm, spki.parameters.and_then(|p| ObjectIdentifier::from_bytes(p.value).ok())) {
        (RSA, _) => sequence(&[named("1.2.840.113549.1.1.11"), vec![5, 0]]),
        (EC, Some(P256)) => sequence(&[named("1.2.840.10045.4.3.2")]),
        (EC, Some(P384)) => sequence(&[named("1.2.840.10045.4.3.3")]),
        (ED25519, None) => sequence(&[oid(ED25519)]),
        _ => return None,
    })
}

/// The name by which the lists of Debian's broken generator (CVE-2008-0166, package openssl-blacklist) know an RSA key: the
/// last 20 hexadecimal digits of the SHA-1 of `Modulus=`, the modulus in upper-case hexadecimal, and a line feed. `None` for
/// other kinds of keys. The lists themselves have thirty thousand entries for each size and are not part of this program.
pub(crate) fn debian_fingerprint(spki: &[u8]) -> Option<String> {
    let n = rsa_modulus(spki)?;
    let line = format!("Modulus={}\n", n.iter().map(|b| format!("{b:02X}")).collect::<String>());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, line.as_bytes());
    Some(crate::facts::hex(digest.as_ref().get(10..).unwrap_or_default()))
}

/// The modulus of an RSA key, big-endian without padding.
pub(crate) fn rsa_modulus(spki: &[u8]) -> Option<&[u8]> {
    parts(spki).filter(|p| p.algorithm == RSA).and_then(|p| modulus(p.key))
}

fn modulus(key: &[u8]) -> Option<&[u8]> {
    let fields = children(single(key).ok()?.value).ok()?;
    positive(fields.first()?.value)
}

/// Refuses a key that is weak or that the TLS stack cannot verify: `rsa_key_size`, `rsa_exponent`, `point_off_curve`,
/// `unsupported_key`.
pub(crate) fn check(spki: &[u8]) -> Result<(), X509Error> {
    let spki = parts(spki).ok_or_else(|| unsupported("unreadable"))?;
    match spki.algorithm {
        // RFC 3279 section 2.3.1: NULL, and neither nothing nor anything else; no verifier here takes another form.
        RSA if !is_null(&spki) => Err(unsupported("an RSA key without the NULL parameters of its kind")),
        RSA => rsa(spki.key),
        EC => elliptic(&spki),
        ED25519 if spki.parameters.is_none() && spki.key.len() == 32 => Ok(()),
        ED25519 => Err(unsupported("a malformed Ed25519 key")),
        RSA_PSS => Err(unsupported("restricted to RSASSA-PSS")),
        ED448 => Err(unsupported("Ed448")),
        DSA => Err(unsupported("DSA")),
        other => Err(unsupported(&format!("of the kind {other}"))),
    }
}

fn is_null(spki: &Spki<'_>) -> bool {
    children(spki.identifier).is_ok_and(|fields| matches!(fields.as_slice(), [_, null] if null.whole == [5, 0]))
}

fn elliptic(spki: &Spki<'_>) -> Result<(), X509Error> {
    use aws_lc_rs::signature as s;
    let curve = match spki.parameters {
        Some(p) if p.tag == 0x06 => ObjectIdentifier::from_bytes(p.value).map_err(|_| unsupported("on an unreadable curve"))?,
        Some(p) if p.tag == 0x30 => return Err(unsupported("on a curve given by explicit parameters")),
        _ => return Err(unsupported("on no named curve")),
    };
    let algorithm: &'static s::EcdsaVerificationAlgorithm = match curve {
        P256 => &s::ECDSA_P256_SHA256_ASN1,
        P384 => &s::ECDSA_P384_SHA384_ASN1,
        P521 => &s::ECDSA_P521_SHA512_ASN1,
        other => return Err(unsupported(&format!("on the curve {other}"))),
    };
    // A compressed point is legal in X.509 but no TLS peer sends it; 0x04 is the only form that verifies everywhere.
    if spki.key.first() != Some(&4) {
        return Err(unsupported("an elliptic-curve point in compressed form"));
    }
    s::ParsedPublicKey::new(algorithm, spki.key)
        .map(|_| ())
        .map_err(|_| X509Error::new("point_off_curve", Some("C6"), "its elliptic-curve point is not on the curve", NEW_KEY))
}

fn rsa(key: &[u8]) -> Result<(), X509Error> {
    let malformed = || unsupported("a malformed RSA key");
    let fields = single(key).and_then(|k| children(k.value)).map_err(|_| malformed())?;
    let [modulus, exponent] = fields.as_slice() else { return Err(malformed()) };
    let n = positive(modulus.value).ok_or_else(malformed)?;
    let e = positive(exponent.value).ok_or_else(malformed)?;
    let bits = n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize);
    // The size comes first: nothing below is computed for an absurd modulus.
    if !(2048..=8192).contains(&bits) || bits % 8 != 0 {
        return Err(X509Error::new(
            "rsa_key_size",
            Some("A10"),
            format!("its RSA key has {bits} bits; 2048 to 8192 in steps of 8 are accepted"),
            NEW_KEY,
        ));
    }
    // e > 2^16: three bytes at least; up to four are what verifiers take.
    if e.len() < 3 || e.len() > 4 || e.last().is_none_or(|b| b % 2 == 0) {
        return Err(X509Error::new(
            "rsa_exponent",
            Some("A10"),
            "its RSA exponent is even, 65536 or less (such as 1 or 3), or larger than 32 bits",
            "make a new key pair with the usual exponent 65537",
        ));
    }
    Ok(())
}

/// The magnitude of a positive INTEGER without its padding zero.
fn positive(value: &[u8]) -> Option<&[u8]> {
    match value {
        [0, rest @ ..] if !rest.is_empty() => Some(rest),
        [first, ..] if *first != 0 && *first < 0x80 => Some(value),
        _ => None,
    }
}

fn modulo(n: &[u8], p: u32) -> u32 {
    n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % p)
}

/// The odd primes up to 751, which the Baseline Requirements ask to try.
const SMALL_PRIMES: &[u32] = &{
    let mut primes = [0_u32; 132];
    let (mut count, mut candidate) = (0, 3);
    while candidate <= 751 {
        let (mut divisor, mut prime) = (3, true);
        while divisor * divisor <= candidate {
            if candidate % divisor == 0 {
                prime = false;
            }
            divisor += 2;
        }
        if prime {
            primes[count] = candidate;
            count += 1;
        }
        candidate += 2;
    }
    assert!(count == 132);
    primes
};

/// Whether the modulus lies, for each small prime up to 167, in the subgroup that 65537 generates: the fingerprint of keys
/// made as CVE-2017-15361 describes. A sound key passes all of them with a chance below 2^-27.
pub(crate) fn roca(n: &[u8]) -> bool {
    SMALL_PRIMES.iter().take_while(|p| **p <= 167).all(|p| {
        let target = modulo(n, *p);
        let mut power = 1;
        (0..*p).any(|_| {
            power = power * (65_537 % *p) % *p;
            power == target
        })
    })
}

/// What a signature's algorithm is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// SHA-256 or better, or EdDSA.
    Good,
    /// MD2, MD5, SHA-1.
    Broken(&'static str),
    /// None that we verify.
    Unknown,
}

/// Judges the content of a signature's AlgorithmIdentifier.
pub(crate) fn strength(algorithm: &[u8]) -> Strength {
    if ALGORITHMS.iter().any(|a| a.signature_alg_id().as_ref() == algorithm) {
        return Strength::Good;
    }
    let oid = children(algorithm).ok().and_then(|f| f.first().copied()).and_then(|f| ObjectIdentifier::from_bytes(f.value).ok());
    match oid.map(|o| o.to_string()).as_deref() {
        Some("1.2.840.113549.1.1.2") => Strength::Broken("MD2"),
        Some("1.2.840.113549.1.1.4") => Strength::Broken("MD5"),
        Some("1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" | "1.3.14.3.2.29") => Strength::Broken("SHA-1"),
        Some("1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1") => Strength::Broken("SHA-224"),
        _ => Strength::Unknown,
    }
}

/// Refuses a signature that is not strong enough: `sha1_signature`, `unsupported_signature`. `rule` is the caller's.
pub(crate) fn check_signature_algorithm(algorithm: &[u8], rule: &'static str) -> Result<(), X509Error> {
    match strength(algorithm) {
        Strength::Good => Ok(()),
        Strength::Broken(hash) => Err(X509Error::new(
            "sha1_signature",
            Some(rule),
            format!("it is signed with {hash}, which can be forged"),
            "have it issued again with SHA-256 or better",
        )),
        Strength::Unknown => Err(X509Error::new(
            "unsupported_signature",
            Some(rule),
            "it is signed with an algorithm that the TLS stack cannot verify",
            "have it issued again with ECDSA or RSA over SHA-256, or with Ed25519",
        )),
    }
}

/// How the check of a signature ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    Yes,
    No,
    /// The algorithm is one we do not verify.
    CannotSay,
}

/// Whether the key in `spki` made `signature` over `message`; `algorithm` is the content of the AlgorithmIdentifier. The
/// verifier follows from the pair of key and algorithm, never from the algorithm alone (C3).
pub(crate) fn verifies(spki: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> Signed {
    let Some(key) = parts(spki) else { return Signed::CannotSay };
    let mut outcome = Signed::CannotSay;
    for known in ALGORITHMS {
        if known.signature_alg_id().as_ref() == algorithm && known.public_key_alg_id().as_ref() == key.identifier {
            match known.verify_signature(key.key, message, signature) {
                Ok(()) => return Signed::Yes,
                Err(_) => outcome = Signed::No,
            }
        }
    }
    outcome
}

/// Whether the key in `spki` made `signature` over `message` in any of the ways that certificates may be signed. For
/// signatures that come without the name of their algorithm.
pub(crate) fn verifies_somehow(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Some(key) = parts(spki) else { return false };
    ALGORITHMS
        .iter()
        .filter(|known| known.public_key_alg_id().as_ref() == key.identifier)
        .any(|known| known.verify_signature(key.key, message, signature).is_ok())
}

/// Whether the key in `issuer` (a SubjectPublicKeyInfo) signed `certificate`, over the bytes as they came.
pub(crate) fn signed_by(certificate: &Certificate<'_>, issuer: &[u8]) -> Signed {
    let outcome = verifies(issuer, certificate.algorithm, certificate.signed, certificate.signature);
    if outcome != Signed::CannotSay {
        return outcome;
    }
    // A root's own SHA-1 signature protects nothing, but a wrong one tells of a damaged file.
    let Some(key) = parts(issuer).filter(|key| key.algorithm == RSA) else { return outcome };
    if strength(certificate.algorithm) != Strength::Broken("SHA-1") {
        return outcome;
    }
    let old = &aws_lc_rs::signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY;
    match aws_lc_rs::signature::UnparsedPublicKey::new(old, key.key).verify(certificate.signed, certificate.signature) {
        Ok(()) => Signed::Yes,
        Err(_) => Signed::No,
    }
}

/// Bits of a SubjectPublicKeyInfo's key, for key identifiers.
pub(crate) fn bits(spki: &[u8]) -> Option<&[u8]> {
    parts(spki).map(|p| p.key)
}

/// Whether a SubjectPublicKeyInfo is an RSA key.
pub(crate) fn is_rsa(spki: &[u8]) -> bool {
    parts(spki).is_some_and(|p| p.algorithm == RSA)
}

/// Whether a SubjectPublicKeyInfo is a key of the Web's public roots.
pub(crate) fn is_public_root(spki: &[u8]) -> bool {
    single(spki).is_ok_and(|s| webpki_roots::TLS_SERVER_ROOTS.iter().any(|r| r.subject_public_key_info.as_ref() == s.value))
}
