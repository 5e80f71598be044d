//! The audit trail: one entry for every change, chained by hash, written in the change's own transaction (promise P16).

use crate::redact::redacted;
use crate::time::Timestamp;
use sha2::{Digest, Sha256};

/// One entry, before it has a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// `user`, `service_account` or `system`.
    pub actor_kind: String,
    /// Who; an identity's id, or `system`.
    pub actor_id: String,
    /// Who, by name.
    pub actor_name: String,
    /// With which credential; empty when with none.
    pub credential: String,
    /// The operation, for example `CreateApiKey`.
    pub action: String,
    /// The kind of the object, for example `api_key`.
    pub object_kind: String,
    /// The object.
    pub object_id: String,
    /// `ok`, or the code of the refusal.
    pub result: String,
    /// The object before, as JSON; empty when there was none. Never a secret.
    pub before: String,
    /// The object after, likewise.
    pub after: String,
    /// The address the request came from; empty for the system.
    pub source: String,
    /// The request's id.
    pub request_id: String,
    /// The operation's id; empty when there is none.
    pub operation_id: String,
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    /// 1, 2, 3 … without a gap.
    pub sequence: i64,
    /// The entry.
    pub entry: Entry,
    /// The hash of the entry before; zeroes for the first.
    pub previous: [u8; 32],
    /// The hash over all of it.
    pub hash: [u8; 32],
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A sequence number is missing or repeated.
    #[error("audit entry {expected} is missing: {found} stands in its place")]
    Gap {
        /// The number that should follow.
        expected: i64,
        /// The number that does.
        found: i64,
    },
    /// An entry does not follow from the one before.
    #[error("audit entry {0} does not continue the one before it")]
    Link(i64),
    /// An entry was changed.
    #[error("audit entry {0} was changed after it was written")]
    Changed(i64),
}

impl Entry {
    /// Puts the entry behind `previous`. A secret that somebody wrote where a name or an id belongs is not kept.
    pub fn chain(mut self, sequence: i64, previous: [u8; 32]) -> Chained {
        for field in [
            &mut self.actor_name,
            &mut self.credential,
            &mut self.object_id,
            &mut self.before,
            &mut self.after,
            &mut self.request_id,
            &mut self.operation_id,
        ] {
            *field = redacted(std::mem::take(field));
        }
        let hash = self.hash(sequence, &previous);
        Chained { sequence, entry: self, previous, hash }
    }

    /// SHA-256 over a domain, the number, the previous hash and every field with its length in front, so that no two entries
    /// read alike.
    fn hash(&self, sequence: i64, previous: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"countersign audit v1\0");
        hash.update(sequence.to_be_bytes());
        hash.update(previous);
        hash.update(self.at.micros().to_be_bytes());
        for field in [
            &self.actor_kind,
            &self.actor_id,
            &self.actor_name,
            &self.credential,
            &self.action,
            &self.object_kind,
            &self.object_id,
            &self.result,
            &self.before,
            &self.after,
            &self.source,
            &self.request_id,
            &self.operation_id,
        ] {
            hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(field.as_bytes());
        }
        hash.finalize().into()
    }
}

/// Walks a chain, entry by entry, in order.
#[derive(Clone, Debug)]
pub struct Verifier {
    next: i64,
    previous: [u8; 32],
}

impl Default for Verifier {
    fn default() -> Self {
        Self { next: 1, previous: [0; 32] }
    }
}

impl Verifier {
    /// Checks the next entry.
    pub fn check(&mut self, chained: &Chained) -> Result<(), ChainError> {
        if chained.sequence != self.next {
            return Err(ChainError::Gap { expected: self.next, found: chained.sequence });
        }
        if chained.previous != self.previous {
            return Err(ChainError::Link(chained.sequence));
        }
        if chained.entry.hash(chained.sequence, &chained.previous) != chained.hash {
            return Err(ChainError::Changed(chained.sequence));
        }
        self.next += 1;
        self.previous = chained.hash;
        Ok(())
    }

    /// How many entries were good.
    pub const fn checked(&self) -> i64 {
        self.next - 1
    }

    /// The hash of the last good entry.
    pub const fn head(&self) -> &[u8; 32] {
        &self.previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u8) -> Entry {
        Entry {
            at: Timestamp::from_seconds(i64::from(n)),
            actor_kind: "user".into(),
            actor_id: "u".into(),
            actor_name: "a".into(),
            credential: String::new(),
            action: "CreateApiKey".into(),
            object_kind: "api_key".into(),
            object_id: format!("k{n}"),
            result: "ok".into(),
            before: String::new(),
            after: "{}".into(),
            source: String::new(),
            request_id: String::new(),
            operation_id: String::new(),
        }
    }

    #[test]
    fn a_secret_in_a_field_is_not_kept_and_the_chain_holds() {
        let mut pasted = entry(1);
        pasted.object_id = "csk_k0000000000000000000_AbCdEfGhIj".into();
        pasted.after = r#"{"name":"csk_k0000000000000000000_AbCdEfGhIj"}"#.into();
        let chained = pasted.chain(1, [0; 32]);
        assert_eq!(chained.entry.object_id, "csk_k0000000000000000000_…");
        assert_eq!(chained.entry.after, r#"{"name":"csk_k0000000000000000000_…"}"#);
        assert_eq!(Verifier::default().check(&chained), Ok(()));
    }

    #[test]
    fn a_changed_missing_or_swapped_entry_is_found() {
        let mut chain: Vec<Chained> = Vec::new();
        for n in 1..=4_u8 {
            let previous = chain.last().map_or([0; 32], |c| c.hash);
            chain.push(entry(n).chain(i64::from(n), previous));
        }
        let verify = |chain: &[Chained]| {
            let mut v = Verifier::default();
            chain.iter().try_for_each(|c| v.check(c))
        };
        assert_eq!(verify(&chain), Ok(()));
        let mut changed = chain.clone();
        changed[1].entry.after = "{ }".into();
        assert_eq!(verify(&changed), Err(ChainError::Changed(2)));
        let mut missing = chain.clone();
        missing.remove(1);
        assert_eq!(verify(&missing), Err(ChainError::Gap { expected: 2, found: 3 }));
        let mut rewritten = chain.clone();
        rewritten[1] = entry(9).chain(2, rewritten[0].hash);
        assert_eq!(verify(&rewritten), Err(ChainError::Link(3)));
        let mut moved = chain;
        (moved[0].entry.action, moved[0].entry.object_kind) = ("CreateApiKeyapi".into(), "_key".into());
        assert_eq!(verify(&moved), Err(ChainError::Changed(1)));
    }
}
