//! The weak-key battery of C7.

use super::fixtures::*;
use crate::certificate::Certificate;
use crate::encode::{bit_string, integer, oid, sequence, tlv};
use crate::key::{check, check_thoroughly, roca};
use const_oid::ObjectIdentifier;

fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let kind = oid(ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"));
    sequence(&[sequence(&[kind, tlv(5, &[])]), bit_string(&sequence(&[integer(modulus), integer(exponent)]))])
}

/// Big-endian bytes, multiplied as at school.
fn multiply(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = vec![0_u32; a.len() + b.len()];
    for (i, x) in a.iter().rev().enumerate() {
        for (j, y) in b.iter().rev().enumerate() {
            out[i + j] += u32::from(*x) * u32::from(*y);
        }
    }
    let mut carry = 0;
    let mut bytes: Vec<u8> = Vec::new();
    for digit in out {
        bytes.push((digit + carry) as u8);
        carry = (digit + carry) >> 8;
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.reverse();
    bytes
}

/// A sound 2048-bit modulus of OpenSSL's.
fn sound() -> Vec<u8> {
    let dir = Dir::new();
    let pem = dir.self_signed("rsa:2048", SOUND, "");
    let der = crate::pem::block_of(&pem, "CERTIFICATE").unwrap();
    assert!(check_thoroughly(Certificate::read(&der).unwrap().key).is_ok());
    let text = dir.openssl("x509 -in c.pem -noout -modulus");
    let hex = text.trim().rsplit('=').next().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn c7_a_small_factor_is_found() {
    // 2^2047 + 1 is divisible by three.
    let mut n = vec![0_u8; 256];
    n[0] = 0x80;
    n[255] = 1;
    refused(check_thoroughly(&rsa(&n, &[1, 0, 1])), "rsa_small_factor", "C7");
    assert!(check(&rsa(&n, &[1, 0, 1])).is_ok(), "a handshake does not look that deep");
}

#[test]
fn c7_the_roca_fingerprint_is_found_and_a_sound_key_does_not_have_it() {
    // Every power of 65537 has the fingerprint.
    let power = (0..127).fold(vec![1_u8], |power, _| multiply(&power, &[1, 0, 1]));
    assert!(roca(&power));
    // 65537 and any multiple of the primes that are looked at has it too: one of the right size, without a small factor.
    let odd = (3..=167_u8).step_by(2).filter(|n| (3..*n).step_by(2).all(|d| n % d != 0));
    let product = odd.fold(vec![1_u8], |product, p| multiply(&product, &[p]));
    let length = 257 - product.len();
    let found = (0..=255_u8).flat_map(|low| (0..8).map(move |bit| (low, 1 << bit))).find_map(|(low, high)| {
        let mut factor = vec![0x5a; length];
        factor[0] = high;
        factor[length - 1] = 2 * (low % 100);
        factor[length - 2] = low;
        let mut n = multiply(&product, &factor);
        for (at, byte) in [(3, 1_u8), (1, 1)] {
            let mut at = n.len() - at;
            let (sum, mut carry) = n[at].overflowing_add(byte);
            n[at] = sum;
            while carry {
                at -= 1;
                (n[at], carry) = n[at].overflowing_add(1);
            }
        }
        if n.len() != 256 || n[0] < 0x80 {
            return None;
        }
        let refusal = check_thoroughly(&rsa(&n, &[1, 0, 1])).unwrap_err();
        (refusal.code == "roca_key").then_some(refusal)
    });
    assert!(found.is_some());
    assert!(!roca(&sound()));
}

#[test]
fn c7_primes_that_lie_close_together_are_found() {
    let dir = Dir::new();
    let hex = dir.openssl("prime -generate -bits 1024 -hex");
    let hex = hex.trim();
    let p: Vec<u8> = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    // Near neighbours of p, primes or not; those with a small factor are refused for that already.
    let refusals: Vec<&str> = (1..60)
        .map(|k| {
            let mut q = p.clone();
            let at = q.len() - 2;
            let low = u16::from_be_bytes([q[at], q[at + 1]]) & 0x0fff | 1;
            q[at] = (p[at] & 0xf0) | ((low.wrapping_add(2 * k) >> 8) as u8 & 0x0f);
            q[at + 1] = low.wrapping_add(2 * k) as u8;
            check_thoroughly(&rsa(&multiply(&p, &q), &[1, 0, 1])).unwrap_err().code
        })
        .collect();
    assert!(refusals.contains(&"rsa_close_primes"), "{refusals:?}");
}

#[test]
fn c7_a_prime_in_common_with_another_key_is_found() {
    let dir = Dir::new();
    let prime = || -> Vec<u8> {
        let hex = dir.openssl("prime -generate -bits 1024 -hex");
        let hex = hex.trim();
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    };
    let primes = [prime(), prime(), prime(), prime(), prime()];
    let key = |a: usize, b: usize| rsa(&multiply(&primes[a], &primes[b]), &[1, 0, 1]);
    let (mine, stranger, sibling) = (key(0, 1), key(2, 3), key(4, 1));
    let longer = rsa(&multiply(&multiply(&primes[2], &primes[3]), &multiply(&primes[4], &primes[0])), &[1, 0, 1]);
    let curve = crate::private_key::LocalKey::generate(crate::private_key::KeyKind::P256).unwrap();
    let check = |others: &[&[u8]]| crate::shared_prime::check(&mine, others.iter().copied());
    assert!(check(&[]).is_ok());
    assert!(check(&[&stranger, &mine, &curve.public()]).is_ok(), "the same key again is another question");
    refused(check(&[&stranger, &sibling]), "rsa_shared_prime", "C7");
    refused(check(&[&sibling, &stranger, &stranger]), "rsa_shared_prime", "C7");
    refused(check(&[&longer]), "rsa_shared_prime", "C7");
    assert!(crate::shared_prime::check(&curve.public(), [&mine[..]]).is_ok());
    assert!(crate::shared_prime::check(&stranger, [&mine[..], &sibling]).is_ok());
    assert!(crate::shared_prime::check(b"x", [&mine[..]]).is_ok());
}

#[test]
fn a10_exponents_are_odd_and_larger_than_65536_and_fit_in_32_bits() {
    let n = sound();
    for exponent in [&[1_u8][..], &[3], &[1, 0, 0], &[0xff, 0xff], &[1, 0, 0, 0, 1]] {
        refused(check(&rsa(&n, exponent)), "rsa_exponent", "A10");
    }
    assert!(check(&rsa(&n, &[1, 0, 1])).is_ok());
}

#[test]
fn f3_a_key_is_the_same_by_whatever_it_is_named_by() {
    use crate::given_key::{public_pem, read};
    use crate::private_key::{KeyKind, LocalKey, Signer as _};
    let dir = Dir::new();
    for kind in ["ec:p256", "rsa"] {
        let made = match kind {
            "rsa" => LocalKey::generate(KeyKind::Rsa2048).unwrap(),
            _ => LocalKey::generate(KeyKind::P256).unwrap(),
        };
        let private = made.to_pem().unwrap();
        let key = read(private.expose().as_bytes()).unwrap();
        assert!(key.holds_private, "{kind}");
        let public = read(public_pem(made.public_key()).as_bytes()).unwrap();
        assert_eq!((public.fingerprint, public.holds_private), (key.fingerprint, false), "{kind}");
        std::fs::write(dir.0.join("k.pem"), private.expose()).unwrap();
        dir.openssl("req -new -key k.pem -subj /CN=x -out k.csr");
        dir.openssl("req -x509 -key k.pem -subj /CN=x -out k.crt");
        dir.openssl("pkey -in k.pem -pubout -out k.pub");
        for file in ["k.csr", "k.crt", "k.pub"] {
            let given = read(&std::fs::read(dir.0.join(file)).unwrap()).unwrap();
            assert_eq!((given.fingerprint, given.holds_private), (key.fingerprint, false), "{kind} {file}");
        }
    }
    assert!(read(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n").is_err());
    assert!(read(b"nothing").is_err());
}
