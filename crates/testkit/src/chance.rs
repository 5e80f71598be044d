//! Chance for tests: the kernel's, since what is made with it meets real TLS stacks.

use countersign_core::Entropy;
use std::io::Read as _;

/// The kernel's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chance;

impl Entropy for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        std::fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap();
    }
}
