//! The fence: a small file beside the database that remembers how far the database had come. A database that lost its last changes
//! (a write-ahead log that is gone or damaged, an old copy) would let in again what was revoked since; the fence tells. It must not
//! grow, and must not need free space once it is there.
//!
//! Layout: two slots of 512 bytes that are written by turns, so that a crash in the middle of one leaves the other; then a ring of
//! 2,048 records of 128 bytes, each what a change took away. Every slot and record ends with a SHA-256 of its own bytes.

use crate::error::StoreError;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Its name in the data directory.
pub(crate) const FENCE: &str = "fence";
const MAGIC: &[u8; 8] = b"CSFENCE1";
const SLOT: usize = 512;
const SLOTS: usize = 2;
const RECORD: usize = 128;
const RECORDS: u64 = 2048;
const LABEL: usize = 86;
const SIZE: usize = SLOT * SLOTS + RECORD * 2048;
const ID: usize = 32;
const SUM: usize = 32;

/// How far a database had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) revision: i64,
    pub(crate) sequence: i64,
    pub(crate) hash: [u8; 32],
}

/// What a fence file says.
#[derive(Debug)]
pub(crate) struct Known {
    /// The database it belongs to.
    pub(crate) id: String,
    pub(crate) mark: Mark,
    /// Whether the other slot cannot be read: a crash in the middle of writing it, or damage.
    pub(crate) torn: bool,
    /// What was taken away, by revision, as far back as the ring reaches.
    taken: BTreeMap<i64, Vec<String>>,
    counter: u64,
    next: u64,
}

impl Known {
    /// What changes after `revision` took away, newest first.
    pub(crate) fn taken_after(&self, revision: i64) -> Vec<String> {
        self.taken.range(revision.saturating_add(1)..).rev().flat_map(|(_, labels)| labels.iter().cloned()).collect()
    }

    /// Whether the ring reaches back to `revision`: else further changes may have taken access away.
    pub(crate) fn reaches(&self, revision: i64) -> bool {
        self.next < RECORDS || self.taken.keys().next().is_some_and(|first| *first <= revision)
    }
}

/// Reads a fence; `None` where there is none.
///
/// # Errors
/// One sentence, when it cannot be read or is damaged.
pub(crate) fn read(directory: &Path) -> Result<Option<Known>, String> {
    let bytes = match std::fs::read(directory.join(FENCE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    if bytes.len() != SIZE {
        return Err(format!("it has {} bytes instead of {SIZE}", bytes.len()));
    }
    let slots: Vec<Option<Slot>> = bytes.chunks(SLOT).take(SLOTS).map(Slot::read).collect();
    let torn = slots.iter().any(Option::is_none);
    let Some(newest) = slots.into_iter().flatten().max_by_key(|slot| slot.counter) else {
        return Err("neither of its two records can be read".to_owned());
    };
    let mut taken: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for record in bytes[SLOT * SLOTS..].chunks(RECORD) {
        if let Some((revision, label)) = read_record(record) {
            taken.entry(revision).or_default().push(label);
        }
    }
    let Slot { id, mark, counter, next } = newest;
    Ok(Some(Known { id, mark, torn, taken, counter, next }))
}

struct Slot {
    id: String,
    mark: Mark,
    counter: u64,
    next: u64,
}

impl Slot {
    fn read(bytes: &[u8]) -> Option<Self> {
        let body = summed(bytes)?;
        let mut fields = Fields(body);
        (fields.take(MAGIC.len())? == MAGIC).then_some(())?;
        let id = String::from_utf8(fields.take(ID)?.to_vec()).ok()?;
        let counter = fields.number()?;
        let revision = fields.number()?.cast_signed();
        let sequence = fields.number()?.cast_signed();
        let hash = fields.take(32)?.try_into().ok()?;
        Some(Self { id, mark: Mark { revision, sequence, hash }, counter, next: fields.number()? })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT);
        bytes.extend(MAGIC);
        bytes.extend(self.id.as_bytes());
        for number in [self.counter, self.mark.revision.cast_unsigned(), self.mark.sequence.cast_unsigned()] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.mark.hash);
        bytes.extend(self.next.to_be_bytes());
        with_sum(bytes, SLOT)
    }
}

struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// `bytes` filled up to `size`, the last 32 their sum.
fn with_sum(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
    bytes.resize(size - SUM, 0);
    let sum = Sha256::digest(&bytes);
    bytes.extend(sum);
    bytes
}

/// The bytes before the sum, when it is theirs.
fn summed(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    (Sha256::digest(body).as_slice() == sum).then_some(body)
}

fn record(revision: i64, label: &str) -> Vec<u8> {
    let mut end = label.len().min(LABEL);
    while !label.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = revision.to_be_bytes().to_vec();
    // At most 86, so one byte would do; two keep the record even.
    bytes.extend(u16::try_from(end).unwrap_or(0).to_be_bytes());
    bytes.extend(&label.as_bytes()[..end]);
    with_sum(bytes, RECORD)
}

fn read_record(bytes: &[u8]) -> Option<(i64, String)> {
    let mut fields = Fields(summed(bytes)?);
    let revision = fields.number()?.cast_signed();
    let count = u16::from_be_bytes(fields.take(2)?.try_into().ok()?);
    Some((revision, String::from_utf8(fields.take(usize::from(count))?.to_vec()).ok()?))
}

/// A fence that is written to.
#[derive(Debug)]
pub(crate) struct Fence {
    file: File,
    id: String,
    mark: Mark,
    counter: u64,
    next: u64,
}

impl Fence {
    /// Makes a new one for the database `id` in place of whatever is there, durable when this returns.
    pub(crate) fn make(directory: &Path, id: &str, mark: Mark) -> std::io::Result<Self> {
        let path = directory.join(FENCE);
        let new = directory.join("fence.new");
        // Written whole, both slots: its space is taken now and never again, and no slot is ever empty.
        let mut bytes = Slot { id: id.to_owned(), mark, counter: 1, next: 0 }.bytes();
        bytes.extend(Slot { id: id.to_owned(), mark, counter: 2, next: 0 }.bytes());
        bytes.resize(SIZE, 0);
        let mut file = crate::files::private(&new, true)?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| std::fs::rename(&new, &path)) {
            let _ = std::fs::remove_file(&new);
            return Err(error);
        }
        File::open(directory)?.sync_all()?;
        Ok(Self { file, id: id.to_owned(), mark, counter: 2, next: 0 })
    }

    /// Goes on with the one that was read.
    pub(crate) fn go_on(directory: &Path, known: Known) -> std::io::Result<Self> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(directory.join(FENCE))?;
        Ok(Self { file, id: known.id, mark: known.mark, counter: known.counter, next: known.next })
    }

    /// Notes how far the database is, and what was taken away on the way; durable when this returns. Nothing new writes nothing.
    pub(crate) fn note(&mut self, mark: Mark, taken: &[(i64, String)]) -> std::io::Result<()> {
        if mark == self.mark && taken.is_empty() {
            return Ok(());
        }
        // More than there is room for would only overwrite each other.
        let skipped = taken.len().saturating_sub(RECORDS as usize);
        let mut next = self.next + skipped as u64;
        for (revision, label) in taken.iter().skip(skipped) {
            let place = (SLOT * SLOTS) as u64 + (next % RECORDS) * RECORD as u64;
            self.file.write_all_at(&record(*revision, label), place)?;
            next += 1;
        }
        let slot = Slot { id: self.id.clone(), mark, counter: self.counter + 1, next };
        // Odd counts are in the first slot.
        self.file.write_all_at(&slot.bytes(), ((slot.counter + 1) % SLOTS as u64) * SLOT as u64)?;
        self.file.sync_data()?;
        (self.mark, self.counter, self.next) = (mark, slot.counter, next);
        Ok(())
    }
}

/// What is known when a database is older than its fence, or cannot be told to be the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OlderDatabase {
    /// What is wrong, as one clause.
    pub reason: String,
    /// The database's revision, where there is a database.
    pub revision: Option<i64>,
    /// The fence's, where that can be read.
    pub fence_revision: Option<i64>,
    /// What was taken away since, newest first, as far as it is known: it would be let in again.
    pub let_in_again: Vec<String>,
    /// Whether more may have been taken away than is listed.
    pub incomplete: bool,
}

impl OlderDatabase {
    /// As the error that a start ends with.
    pub(crate) fn refused(self, directory: &Path) -> StoreError {
        StoreError::Older { directory: directory.to_owned(), older: Box::new(self) }
    }
}

/// Holds a database against the fence beside it. `found` is the database's id (if it has one) and mark; `hash_at` gives the hash of an
/// audit entry of the database.
pub(crate) fn compare(
    known: &Known,
    id: Option<&str>,
    mark: &Mark,
    hash_at: impl FnOnce(i64) -> Result<Option<[u8; 32]>, StoreError>,
) -> Result<Option<OlderDatabase>, StoreError> {
    let fence = &known.mark;
    let older = |reason: String| {
        let let_in_again = known.taken_after(mark.revision);
        let incomplete = !known.reaches(mark.revision);
        Some(OlderDatabase { reason, revision: Some(mark.revision), fence_revision: Some(fence.revision), let_in_again, incomplete })
    };
    if id.is_some_and(|id| id != known.id) {
        return Ok(older("this is not the database that the fence belongs to".to_owned()));
    }
    if mark.revision < fence.revision || mark.sequence < fence.sequence {
        let text = format!(
            "it is at revision {} with audit entry {}, and was at revision {} with audit entry {} before",
            mark.revision, mark.sequence, fence.revision, fence.sequence
        );
        return Ok(older(text));
    }
    if fence.sequence > 0 && hash_at(fence.sequence)?.is_some_and(|hash| hash != fence.hash) {
        return Ok(older(format!("its audit entry {} is not the one that was there before", fence.sequence)));
    }
    // A slot is written after the commit that it tells of. So a crash in the middle of that leaves a newer database.
    if known.torn && mark == fence {
        return Ok(older("one of the fence's two records is damaged, so that a later state may be missing".to_owned()));
    }
    Ok(None)
}

/// Where a fence is, for messages.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join(FENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "0123456789abcdef0123456789abcdef";

    fn mark(n: i64) -> Mark {
        Mark { revision: n, sequence: n * 2, hash: [u8::try_from(n % 250).unwrap(); 32] }
    }

    fn older(known: &Known, n: i64) -> bool {
        compare(known, Some(DATABASE), &mark(n), |_| Ok(Some(known.mark.hash))).unwrap().is_some()
    }

    #[test]
    fn a_fence_remembers_the_last_mark_and_what_was_taken_away() {
        let place = tempfile::tempdir().unwrap();
        let mut fence = Fence::make(place.path(), DATABASE, mark(1)).unwrap();
        for n in 2..3_000 {
            fence.note(mark(n), &[(n, format!("API key k{n}"))]).unwrap();
        }
        let known = read(place.path()).unwrap().unwrap();
        assert_eq!((known.mark, known.torn, known.id.as_str()), (mark(2_999), false, DATABASE));
        assert_eq!(known.taken_after(2_997), ["API key k2999", "API key k2998"]);
        assert!(known.reaches(2_000) && !known.reaches(10));
        assert!(older(&known, 2_998) && !older(&known, 2_999) && !older(&known, 3_000));
        assert_eq!(std::fs::metadata(path(place.path())).unwrap().len(), SIZE as u64, "it does not grow");
    }

    #[test]
    fn a_slot_torn_by_a_crash_is_told_from_one_that_was_damaged() {
        for flipped in [20, SLOT + 20] {
            let place = tempfile::tempdir().unwrap();
            let mut fence = Fence::make(place.path(), DATABASE, mark(1)).unwrap();
            fence.note(mark(2), &[]).unwrap();
            let mut bytes = std::fs::read(path(place.path())).unwrap();
            bytes[flipped] ^= 1;
            std::fs::write(path(place.path()), &bytes).unwrap();
            let known = read(place.path()).unwrap().unwrap();
            assert!(known.torn);
            // The commit came before the slot that a crash tore: the database is newer than the slot that is left.
            assert!(older(&known, known.mark.revision) && !older(&known, known.mark.revision + 1));
        }
    }

    #[test]
    fn a_cut_an_emptied_or_an_overwritten_fence_is_told() {
        let place = tempfile::tempdir().unwrap();
        let mut fence = Fence::make(place.path(), DATABASE, mark(1)).unwrap();
        fence.note(mark(2), &[]).unwrap();
        fence.note(mark(3), &[]).unwrap();
        let whole = std::fs::read(path(place.path())).unwrap();
        for bytes in [&whole[..100], &[], &vec![0; SIZE], &vec![7; SIZE]] {
            std::fs::write(path(place.path()), bytes).unwrap();
            assert!(read(place.path()).is_err());
        }
        for blank in [0..SLOT, SLOT..SLOT * 2] {
            let mut bytes = whole.clone();
            bytes[blank].fill(0);
            std::fs::write(path(place.path()), bytes).unwrap();
            assert!(read(place.path()).unwrap().unwrap().torn);
        }
        std::fs::remove_file(path(place.path())).unwrap();
        assert!(read(place.path()).unwrap().is_none());
    }
}
