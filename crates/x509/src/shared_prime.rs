//! RSA keys that have a prime in common (C7 of `research/pki.md` section 6): a weak generator gives the same prime to two keys,
//! and then anybody who has both public keys factors both. One pass multiplies all known moduli together modulo the new one, and
//! one greatest common divisor tells. Public numbers only, so its time may tell what it likes.

use crate::X509Error;
use crate::key;

/// Little-endian.
type Limbs = Vec<u64>;

/// Refuses the RSA key `public_key` when one of `others` (SubjectPublicKeyInfo each; other kinds are passed over, and so is the
/// same modulus again, which is a matter of its own) has a prime in common with it. About ten microseconds for each other key.
/// Fails with `rsa_shared_prime`.
pub fn check<'k>(public_key: &[u8], others: impl IntoIterator<Item = &'k [u8]>) -> Result<(), X509Error> {
    let Some(modulus) = key::rsa_modulus(public_key) else { return Ok(()) };
    let n = limbs(modulus);
    // An even modulus is refused elsewhere, and could not be reduced by.
    let Some(inverse) = n.first().filter(|low| *low % 2 == 1).map(|low| negative_inverse(*low)) else { return Ok(()) };
    let mut product: Limbs = vec![0; n.len()];
    if let Some(low) = product.first_mut() {
        *low = 1;
    }
    for other in others {
        if let Some(other) = key::rsa_modulus(other).filter(|other| *other != modulus) {
            product = multiply_reduced(&limbs(other), &product, &n, inverse);
        }
    }
    if is_one(&divisor(product, n)) {
        return Ok(());
    }
    Err(X509Error::new(
        "rsa_shared_prime",
        Some("C7"),
        "its RSA key has a prime in common with another key that is known here, so both can be factored",
        "make a new key pair on a machine with a sound source of chance, and replace the other key too",
    ))
}

/// Whether a SubjectPublicKeyInfo is of an RSA key: the only kind that has primes to share.
pub fn is_rsa(public_key: &[u8]) -> bool {
    key::rsa_modulus(public_key).is_some()
}

fn limbs(bytes: &[u8]) -> Limbs {
    bytes.rchunks(8).map(|chunk| chunk.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte))).collect()
}

/// -1/low modulo 2^64, by Newton's iteration: each round doubles the bits that are right.
fn negative_inverse(low: u64) -> u64 {
    let mut inverse = low;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(low.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// `a * b / 2^(64 * limbs of a)` modulo `n` (Montgomery's method). The power of two shares no factor with an odd `n`, so it does
/// not matter here. `a` may have any length; `b` is below `n`.
fn multiply_reduced(a: &[u64], b: &[u64], n: &[u64], inverse: u64) -> Limbs {
    let mut sum: Limbs = vec![0; n.len() + 2];
    for digit in a {
        add_multiple(&mut sum, b, *digit);
        let factor = sum.first().copied().unwrap_or(0).wrapping_mul(inverse);
        add_multiple(&mut sum, n, factor);
        // The lowest limb is zero now.
        sum.rotate_left(1);
    }
    if !below(&sum, n) {
        subtract(&mut sum, n);
    }
    sum.truncate(n.len());
    sum
}

/// `sum += b * digit`; `sum` is two limbs longer than `b` and has room.
fn add_multiple(sum: &mut [u64], b: &[u64], digit: u64) {
    let mut carry = 0_u128;
    for (at, limb) in sum.iter_mut().enumerate() {
        let total = u128::from(*limb) + u128::from(b.get(at).copied().unwrap_or(0)) * u128::from(digit) + carry;
        *limb = total as u64;
        carry = total >> 64;
    }
}

fn below(a: &[u64], b: &[u64]) -> bool {
    (0..a.len().max(b.len()))
        .rev()
        .map(|at| (a.get(at).copied().unwrap_or(0), b.get(at).copied().unwrap_or(0)))
        .find(|(x, y)| x != y)
        .is_some_and(|(x, y)| x < y)
}

/// `a -= b`; the caller knows that `a` is at least `b`.
fn subtract(a: &mut [u64], b: &[u64]) {
    let mut borrow = false;
    for (at, limb) in a.iter_mut().enumerate() {
        let (once, first) = limb.overflowing_sub(b.get(at).copied().unwrap_or(0));
        let (twice, second) = once.overflowing_sub(u64::from(borrow));
        *limb = twice;
        borrow = first || second;
    }
}

fn halve(a: &mut [u64]) {
    let mut carry = 0;
    for limb in a.iter_mut().rev() {
        let next = *limb << 63;
        *limb = *limb >> 1 | carry;
        carry = next;
    }
}

fn is_zero(a: &[u64]) -> bool {
    a.iter().all(|limb| *limb == 0)
}

fn is_one(a: &[u64]) -> bool {
    a.split_first().is_some_and(|(low, rest)| *low == 1 && is_zero(rest))
}

/// The greatest common divisor of any `a` and an odd `b`, by halving and subtracting.
fn divisor(mut a: Limbs, mut b: Limbs) -> Limbs {
    while !is_zero(&a) {
        while a.first().is_some_and(|low| low % 2 == 0) {
            halve(&mut a);
        }
        if below(&a, &b) {
            std::mem::swap(&mut a, &mut b);
        }
        subtract(&mut a, &b);
    }
    b
}
