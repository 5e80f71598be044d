//! Fermat's factorisation, a hundred rounds of it: finds RSA keys whose two primes lie close together (CVE-2022-26320), as a
//! broken generator makes them. Public numbers only, so its time may tell what it likes. It is no big-number library.

/// Little-endian limbs without trailing zeros.
type Natural = Vec<u32>;

/// Rounds of the search, as the CA/Browser Baseline Requirements section 6.1.1.3 ask.
const ROUNDS: usize = 100;

/// Whether the odd number `n` (big-endian bytes) is a product of two factors so close that [`ROUNDS`] rounds find them.
pub(crate) fn close_primes(n: &[u8]) -> bool {
    let n = natural(n);
    let (root, rest) = square_root(&n);
    if rest.is_empty() {
        return true;
    }
    // With a = root + 1: a^2 - n = 2 root + 1 - rest. Each round adds 2a + 1 and one to a.
    let mut step = shift_in(&root, 1, 1);
    let mut square = subtract(&step, &rest);
    for _ in 0..ROUNDS {
        if may_be_square(&square) && square_root(&square).1.is_empty() {
            return true;
        }
        step = add(&step, &[2]);
        square = add(&square, &step);
    }
    false
}

fn natural(bytes: &[u8]) -> Natural {
    let mut limbs: Natural = bytes.rchunks(4).map(|chunk| chunk.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte))).collect();
    trim(&mut limbs);
    limbs
}

fn trim(n: &mut Natural) {
    while n.last() == Some(&0) {
        n.pop();
    }
}

/// The two bits of `n` at `2 * pair`.
fn pair_at(n: &[u32], pair: usize) -> u32 {
    n.get(pair / 16).map_or(0, |limb| limb >> (2 * (pair % 16)) & 3)
}

/// `n` shifted left by `bits` (1 or 2), with `low` in the bits that came free.
fn shift_in(n: &[u32], bits: u32, low: u32) -> Natural {
    let mut carry = low;
    let mut out: Natural = Vec::with_capacity(n.len() + 1);
    for limb in n {
        out.push(limb << bits | carry);
        carry = limb >> (32 - bits);
    }
    out.push(carry);
    trim(&mut out);
    out
}

fn at_least(a: &[u32], b: &[u32]) -> bool {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev())).is_ge()
}

fn add(a: &[u32], b: &[u32]) -> Natural {
    let mut carry = 0_u64;
    let mut out: Natural = Vec::with_capacity(a.len().max(b.len()) + 1);
    for i in 0..a.len().max(b.len()) {
        let sum = carry + u64::from(a.get(i).copied().unwrap_or(0)) + u64::from(b.get(i).copied().unwrap_or(0));
        out.push(sum as u32);
        carry = sum >> 32;
    }
    out.push(carry as u32);
    trim(&mut out);
    out
}

/// `a - b`; the caller knows that `a` is at least `b`.
fn subtract(a: &[u32], b: &[u32]) -> Natural {
    let mut borrow = 0_i64;
    let mut out: Natural = Vec::with_capacity(a.len());
    for (i, limb) in a.iter().enumerate() {
        let difference = i64::from(*limb) - i64::from(b.get(i).copied().unwrap_or(0)) - borrow;
        borrow = i64::from(difference < 0);
        out.push(difference as u32);
    }
    trim(&mut out);
    out
}

/// The whole square root and what is left over, digit by digit.
fn square_root(n: &[u32]) -> (Natural, Natural) {
    let (mut root, mut rest) = (Natural::new(), Natural::new());
    for pair in (0..n.len() * 16).rev() {
        rest = shift_in(&rest, 2, pair_at(n, pair));
        let trial = shift_in(&root, 2, 1);
        let fits = at_least(&rest, &trial);
        if fits {
            rest = subtract(&rest, &trial);
        }
        root = shift_in(&root, 1, u32::from(fits));
    }
    (root, rest)
}

/// Rules out most numbers that are no square by their remainders.
fn may_be_square(n: &[u32]) -> bool {
    [64_u64, 63, 65, 11, 17, 19, 23, 31].iter().all(|m| {
        let rest = n.iter().rev().fold(0, |rest, limb| ((rest << 32) | u64::from(*limb)) % m);
        (0..*m).any(|x| x * x % m == rest)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bytes(n: u128) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    #[test]
    fn square_roots_are_exact() {
        for n in [0_u128, 1, 2, 3, 4, 15, 16, 17, 1 << 64, (1 << 64) - 1, 0xffff_ffff_ffff_ffff * 0xffff_ffff_ffff_ffff] {
            let (root, rest) = square_root(&natural(&bytes(n)));
            let value = |limbs: &[u32]| limbs.iter().rev().fold(0_u128, |v, l| v << 32 | u128::from(*l));
            assert_eq!(value(&root), n.isqrt());
            assert_eq!(value(&rest), n - n.isqrt() * n.isqrt());
        }
    }

    #[test]
    fn close_factors_are_found_and_distant_ones_are_not() {
        // Two primes near 2^61 that are 264 apart, the square of one, and two of unlike size.
        let p = 2_305_843_009_213_693_951_u128;
        assert!(close_primes(&bytes(p * p)));
        assert!(close_primes(&bytes(p * (p + 264))));
        assert!(!close_primes(&bytes(p * 1_000_000_007)));
    }
}
