//! OCSP answers that were given out by GET, kept for a few minutes so that the same question has the same answer (RFC 5019 section 5). They
//! say nothing of who gets in, and a change of any kind ends all of them.

use super::publication::OCSP_INTERVAL;
use bytes::Bytes;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_x509::ocsp::Request;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers that are kept; a kilobyte or two each. All of them go where there would be more: whoever asks much asks again.
const KEPT_MAX: usize = 1024;

/// A signed answer, and what HTTP says of it.
#[derive(Debug)]
pub struct OcspAnswer {
    /// The response.
    pub der: Bytes,
    /// Its version, in quotes.
    pub etag: String,
    /// thisUpdate.
    pub made_at: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    revision: i64,
    /// Whether caches may keep it: not where it repeats a nonce, since it answers one question only.
    kept: bool,
}

impl OcspAnswer {
    pub(super) fn new(der: Vec<u8>, revision: i64, now: Timestamp, kept: bool) -> Self {
        let etag = format!("\"{}\"", Fingerprint::of(&der));
        Self { der: der.into(), etag, made_at: now, next_update: now.plus(OCSP_INTERVAL), revision, kept }
    }

    /// When a new one is made of the same: after half of its time, so that none is given out that is about to end.
    fn renewed_at(&self) -> Timestamp {
        self.made_at.plus(Lifetime::from_seconds(OCSP_INTERVAL.seconds() / 2))
    }

    /// For how many seconds a cache may give it out.
    pub fn max_age(&self, now: Timestamp) -> i64 {
        if self.kept { self.renewed_at().seconds().saturating_sub(now.seconds()).max(0) } else { 0 }
    }
}

/// Answers by question.
#[derive(Debug, Default)]
pub(super) struct OcspAnswers(Mutex<HashMap<Request, Arc<OcspAnswer>>>);

impl OcspAnswers {
    /// The answer to this question, where one was given at this revision and is young. One that lies in the future does not count: the clock
    /// was ahead then.
    pub fn get(&self, request: &Request, revision: i64, now: Timestamp) -> Option<Arc<OcspAnswer>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(request).filter(|one| one.revision == revision && one.made_at <= now && now < one.renewed_at()).cloned()
    }

    pub fn keep(&self, request: Request, answer: Arc<OcspAnswer>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(request, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question about a certificate with this serial number.
    fn question(serial: u8) -> Request {
        let hash = [&[0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0][..], &[4, 1, 1], &[4, 1, 1], &[2, 1, serial]].concat();
        let wrap = |inner: Vec<u8>| [vec![0x30, u8::try_from(inner.len()).unwrap()], inner].concat();
        Request::read(&wrap(wrap(wrap(wrap(wrap(hash)))))).unwrap()
    }

    #[test]
    fn an_answer_is_given_again_while_nothing_changed_and_it_is_young() {
        let (answers, at) = (OcspAnswers::default(), Timestamp::from_seconds);
        let one = Arc::new(OcspAnswer::new(vec![1], 7, at(1000), true));
        answers.keep(question(1), Arc::clone(&one));
        assert!(answers.get(&question(1), 7, at(1000)).is_some());
        assert_eq!((one.max_age(at(1000)), one.max_age(at(1100)), one.max_age(at(9000))), (300, 200, 0));
        assert!(answers.get(&question(1), 8, at(1000)).is_none(), "something changed");
        assert!(answers.get(&question(2), 7, at(1000)).is_none(), "another question");
        assert!(answers.get(&question(1), 7, at(1300)).is_none(), "old");
        assert!(answers.get(&question(1), 7, at(999)).is_none(), "the clock was ahead");
        assert_eq!(OcspAnswer::new(vec![1], 7, at(0), false).max_age(at(0)), 0, "it repeats a nonce");
    }
}
