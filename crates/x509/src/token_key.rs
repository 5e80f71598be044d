//! Keys that live in a PKCS#11 token, in the forms certificates want: public keys and signatures re-encoded. It talks to no token and
//! sees no private key.

use crate::X509Error;
use crate::encode::{bit_string, integer, oid, sequence, tlv};
use crate::private_key::{EC_KEY, P256, P384, RSA_KEY, failed};

/// The curve of a key in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256, signing over SHA-256.
    P256,
    /// NIST P-384, signing over SHA-384.
    P384,
}

impl Curve {
    /// By CKA_EC_PARAMS, the curve's object identifier in DER. Fails with `signing_failed` for another one.
    pub fn of_params(params: &[u8]) -> Result<Self, X509Error> {
        match params {
            params if params == oid(P256) => Ok(Self::P256),
            params if params == oid(P384) => Ok(Self::P384),
            _ => Err(failed("the token's key is on another curve than P-256 and P-384")),
        }
    }

    /// Bytes of a coordinate, and of half a signature.
    const fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// SubjectPublicKeyInfo from CKA_EC_POINT: an OCTET STRING with the uncompressed point, or, by some tokens, the point alone.
    pub fn public_key(self, point: &[u8]) -> Result<Vec<u8>, X509Error> {
        let length = 2 * self.size() + 1;
        let bare = point.len().checked_sub(length).and_then(|skip| point.split_at_checked(skip));
        let bare = match bare {
            Some((head, bare)) if bare.first() == Some(&4) && (head.is_empty() || tlv(0x04, bare) == point) => bare,
            _ => return Err(failed("the token's public key is no uncompressed point")),
        };
        let curve = match self {
            Self::P256 => P256,
            Self::P384 => P384,
        };
        Ok(sequence(&[sequence(&[oid(EC_KEY), oid(curve)]), bit_string(bare)]))
    }

    /// The signature as certificates carry it, from the token's two numbers side by side (PKCS #11 v2.40, section 2.3.1).
    pub fn signature(self, raw: &[u8]) -> Result<Vec<u8>, X509Error> {
        match raw.split_at_checked(self.size()) {
            Some((r, s)) if s.len() == self.size() => Ok(sequence(&[integer(r), integer(s)])),
            _ => Err(failed("the token's signature has an unexpected length")),
        }
    }
}

/// `signing_failed`, for what a token said.
pub fn not_signed(reason: &str) -> X509Error {
    failed(reason)
}

/// SubjectPublicKeyInfo from CKA_MODULUS and CKA_PUBLIC_EXPONENT.
pub fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = sequence(&[integer(modulus), integer(exponent)]);
    sequence(&[sequence(&[oid(RSA_KEY), tlv(0x05, &[])]), bit_string(&key)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_key::{KeyKind, LocalKey, Signer as _};

    #[test]
    fn a_tokens_point_is_the_same_public_key_however_it_is_wrapped() {
        for (kind, curve) in [(KeyKind::P256, Curve::P256), (KeyKind::P384, Curve::P384)] {
            let key = LocalKey::generate(kind).expect("made");
            let whole = key.public_key();
            let point = &whole[whole.len() - 2 * curve.size() - 1..];
            assert_eq!(curve.public_key(point).expect("bare"), whole);
            assert_eq!(curve.public_key(&tlv(4, point)).expect("wrapped"), whole);
            for bad in [&point[1..], &tlv(5, point), &[][..]] {
                assert!(curve.public_key(bad).is_err());
            }
            assert!(curve.signature(&vec![1; curve.size()]).is_err() && curve.signature(&[]).is_err());
        }
        assert_eq!(Curve::of_params(&oid(P384)).expect("known"), Curve::P384);
        assert!(Curve::of_params(&oid(RSA_KEY)).is_err());
    }

    #[test]
    fn a_tokens_numbers_become_integers_of_der() {
        let mut raw = [0_u8; 64];
        (raw[31], raw[32]) = (1, 0x80);
        let der = Curve::P256.signature(&raw).expect("read");
        assert_eq!(&der[..6], &[0x30, 3 + 35, 2, 1, 1, 2], "no leading zeros, none negative");
    }
}
