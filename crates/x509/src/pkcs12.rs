//! Keystores (PKCS#12, RFC 7292): a key, its certificate and the chain under one password, in the one form that OpenSSL, Java,
//! GnuTLS and NSS all open: PBES2 with AES-256-CBC and PBKDF2 over HMAC-SHA-256, integrity by HMAC-SHA-256. It only writes:
//! nobody uploads a keystore here.

use crate::X509Error;
use crate::certificate::Certificate;
use crate::encode::{integer, oid, sequence, tlv};
use crate::private_key::{LocalKey, Signer, failed};
use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::{digest, hmac, iv, pbkdf2};
use const_oid::ObjectIdentifier;
use countersign_core::{Entropy, Secret};
use std::num::NonZeroU32;
use zeroize::{Zeroize, Zeroizing};

/// Rounds of both key derivations: some 50 ms of work for each guess at the password.
const ITERATIONS: u32 = 100_000;
/// Characters of a password; Java's keytool takes no fewer than six.
pub const PASSWORD_MIN: usize = 6;
/// And the most that NSS takes.
pub const PASSWORD_MAX: usize = 128;
/// Characters of an alias.
pub const ALIAS_MAX: usize = 64;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// What goes into a keystore.
#[derive(Clone, Copy)]
pub struct Keystore<'k> {
    /// The name of the entry. Java writes it in lower case.
    pub alias: &'k str,
    /// The private key.
    pub key: &'k LocalKey,
    /// Its certificate.
    pub certificate: &'k [u8],
    /// The CAs above it, nearest first.
    pub chain: &'k [Vec<u8>],
}

/// Checks the rule for passwords: six to 128 printable ASCII characters, because Java neither reads nor writes others. Fails
/// with `keystore_password`.
pub fn check_password(password: &str) -> Result<(), X509Error> {
    let count = password.chars().count();
    if (PASSWORD_MIN..=PASSWORD_MAX).contains(&count) && password.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Ok(());
    }
    Err(X509Error::new(
        "keystore_password",
        None,
        format!(
            "a keystore's password has {PASSWORD_MIN} to {PASSWORD_MAX} characters, all of them printable ASCII: Java opens no other keystore"
        ),
        "choose one of letters, digits, spaces and the signs of an English keyboard, without umlauts or accents",
    ))
}

impl Keystore<'_> {
    /// The file, encrypted under `password`. Fails with `keystore_password`, `keystore_alias`, `key_mismatch`,
    /// `not_a_certificate` and `signing_failed`.
    pub fn seal(&self, password: &Secret, entropy: &dyn Entropy) -> Result<Vec<u8>, X509Error> {
        let password = password.expose();
        check_password(password)?;
        let alias_sound = (1..=ALIAS_MAX).contains(&self.alias.chars().count())
            && self.alias.chars().all(|c| u32::from(c) < 0x1_0000)
            && crate::text::fault(self.alias).is_none();
        if !alias_sound {
            return Err(X509Error::new(
                "keystore_alias",
                None,
                format!("a keystore's alias has 1 to {ALIAS_MAX} characters, none of them a control or invisible character or an emoji"),
                "choose a plain name, such as billing-2027",
            ));
        }
        if Certificate::read(self.certificate)?.key != self.key.public_key() {
            return Err(X509Error::new(
                "key_mismatch",
                None,
                "the private key does not belong to the certificate",
                "give the two that were made together",
            ));
        }
        let attributes = self.attributes();
        let mut certificates = bag(CERT_BAG, &certificate_bag(self.certificate), Some(&attributes));
        for der in self.chain {
            certificates.extend(bag(CERT_BAG, &certificate_bag(der), None));
        }
        let (algorithm, encrypted) = encrypt(password, tlv(0x30, &certificates), entropy)?;
        // The content's tag is implicit: a primitive OCTET STRING under [0].
        let info = sequence(&[oid(DATA), algorithm, tlv(0x80, &encrypted)]);
        let certificates = sequence(&[oid(ENCRYPTED_DATA), tlv(0xa0, &sequence(&[integer(&[0]), info]))]);

        let pkcs8 = self.key.to_pkcs8()?;
        let (algorithm, encrypted) = encrypt(password, pkcs8.to_vec(), entropy)?;
        let key = bag(SHROUDED_KEY_BAG, &sequence(&[algorithm, tlv(0x04, &encrypted)]), Some(&attributes));
        let key = content(&tlv(0x30, &key));

        let safe = sequence(&[certificates, key]);
        let mut salt = [0_u8; 16];
        entropy.fill(&mut salt);
        let mac_key = mac_key(password, &salt, ITERATIONS);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &mac_key[..]), &safe);
        let null = tlv(0x05, &[]);
        let info = sequence(&[sequence(&[oid(SHA256), null]), tlv(0x04, mac.as_ref())]);
        let mac = sequence(&[info, tlv(0x04, &salt), integer(&ITERATIONS.to_be_bytes())]);
        Ok(sequence(&[integer(&[3]), content(&safe), mac]))
    }

    /// The alias, and the identifier by which readers join key and certificate.
    fn attributes(&self) -> Vec<u8> {
        let alias: Vec<u8> = self.alias.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let id = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.certificate);
        let attribute = |kind, value: Vec<u8>| sequence(&[oid(kind), tlv(0x31, &value)]);
        let mut all = [attribute(FRIENDLY_NAME, tlv(0x1e, &alias)), attribute(LOCAL_KEY_ID, tlv(0x04, id.as_ref()))];
        // X.690 section 11.6: the elements of a SET OF are sorted.
        all.sort();
        tlv(0x31, &all.concat())
    }
}

/// A ContentInfo of plain data.
fn content(data: &[u8]) -> Vec<u8> {
    sequence(&[oid(DATA), tlv(0xa0, &tlv(0x04, data))])
}

fn bag(kind: ObjectIdentifier, value: &[u8], attributes: Option<&[u8]>) -> Vec<u8> {
    sequence(&[&oid(kind), &tlv(0xa0, value), attributes.unwrap_or_default()])
}

fn certificate_bag(der: &[u8]) -> Vec<u8> {
    sequence(&[oid(X509_CERTIFICATE), tlv(0xa0, &tlv(0x04, der))])
}

/// Encrypts by PBES2 (RFC 8018 section 6.2) and returns the AlgorithmIdentifier with it. What was given is wiped.
fn encrypt(password: &str, plain: Vec<u8>, entropy: &dyn Entropy) -> Result<(Vec<u8>, Vec<u8>), X509Error> {
    let mut plain = Zeroizing::new(plain);
    let (mut salt, mut vector) = ([0_u8; 16], [0_u8; 16]);
    entropy.fill(&mut salt);
    entropy.fill(&mut vector);
    let mut key = Zeroizing::new([0_u8; 32]);
    let rounds = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut key[..]);
    let no = |_| failed("the keystore could not be encrypted");
    let cipher = UnboundCipherKey::new(&AES_256, &key[..]).and_then(PaddedBlockEncryptingKey::cbc_pkcs7).map_err(no)?;
    let mut sealed = Vec::with_capacity(plain.len() + 16);
    sealed.extend_from_slice(&plain);
    plain.zeroize();
    cipher.less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(iv::FixedLength::from(&vector))).map_err(no)?;
    let derivation = sequence(&[
        oid(PBKDF2),
        sequence(&[tlv(0x04, &salt), integer(&ITERATIONS.to_be_bytes()), sequence(&[oid(HMAC_SHA256), tlv(0x05, &[])])]),
    ]);
    let scheme = sequence(&[oid(AES_256_CBC), tlv(0x04, &vector)]);
    Ok((sequence(&[oid(PBES2), sequence(&[derivation, scheme])]), sealed))
}

/// RFC 7292 appendix B.2 with SHA-256 and purpose 3 (MAC key), 32 bytes: a single block of output is enough.
fn mac_key(password: &str, salt: &[u8; 16], rounds: u32) -> Zeroizing<[u8; 32]> {
    const BLOCK: usize = 64;
    let unit: Zeroizing<Vec<u8>> = Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect());
    let filled = |bytes: &[u8]| bytes.iter().copied().cycle().take(bytes.len().div_ceil(BLOCK) * BLOCK).collect::<Vec<u8>>();
    let mut input = Zeroizing::new(vec![3_u8; BLOCK]);
    input.extend(filled(salt));
    input.extend(filled(&unit));
    let mut out = digest::digest(&digest::SHA256, &input);
    for _ in 1..rounds {
        out = digest::digest(&digest::SHA256, out.as_ref());
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(out.as_ref());
    key
}
