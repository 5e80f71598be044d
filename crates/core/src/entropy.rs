//! Chance as an argument. The system's generator is wired in by the binary; tests bring a seeded one.

/// A source of unpredictable bytes, fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` completely. An implementation that cannot must panic: a predictable secret is worse.
    fn fill(&self, bytes: &mut [u8]);
}
