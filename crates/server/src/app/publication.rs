//! What is published of issuers: their certificates, CRLs (RFC 5280 section 5) and OCSP answers (RFC 6960). All of it can be read by anybody;
//! nothing here decides who gets in: gateways look into their snapshot, never into a CRL.

use super::issuers::{certificate, responder, signing_of};
use super::ocsp_answers::{OcspAnswer, OcspAnswers};
use super::{App, Refused};
use bytes::Bytes;
use countersign_core::credential::certificate::{CertificateStatus, RevocationReason};
use countersign_core::id::IssuerId;
use countersign_core::issuer::{Issuer, IssuerKind, IssuerState, KeyPlace};
use countersign_core::time::{Lifetime, Timestamp};
use countersign_store::Page;
use countersign_x509::crl::{self, Entry};
use countersign_x509::ocsp::{self, CertId, Freshness, Refusal, Responder, Status};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// A CRL says that there is a newer one by then; there is one from half of it on.
pub const CRL_INTERVAL: Lifetime = Lifetime::from_seconds(24 * 3600);
/// An OCSP answer is good so long: a client may keep it, and a revocation must not wait for the client's patience.
pub const OCSP_INTERVAL: Lifetime = Lifetime::from_seconds(600);
/// Rows of a CRL that are read at once. A list of no more is made in a moment, so anew for every reader who finds it old.
const ROWS: usize = 20_000;
/// After a longer list was made, none is made of the same issuer for so many times as long as that took: with a million revoked, a
/// list a second would leave the machine no time for anything else.
const RESTS: i64 = 4;
/// The longest such pause. Readers are told to keep a list for a minute, so nobody sees a revocation much later for it.
const REST_MAX: Lifetime = Lifetime::from_seconds(60);

/// A CRL as it is given out.
#[derive(Debug)]
pub struct Published {
    /// The list.
    pub der: Bytes,
    /// Its number.
    pub number: i64,
    /// When it was made.
    pub made_at: Timestamp,
    /// By when there is a newer one.
    pub next_update: Timestamp,
    /// Until when it is given out even if something was revoked since.
    rests_until: Timestamp,
}

/// CRLs that were made, and whose issuers had something revoked since.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    made: Mutex<HashMap<IssuerId, Arc<Published>>>,
    stale: Mutex<HashSet<IssuerId>>,
    /// One list is made at a time: of many who ask, one makes it.
    making: tokio::sync::Mutex<()>,
    /// For answers of OCSP.
    turns: Turns,
    /// Those that were given out by GET and hold still.
    answers: OcspAnswers,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// The list that a reader gets at `now`, or none where he has one made.
    fn of(&self, id: &IssuerId, now: Timestamp) -> Option<Arc<Published>> {
        let stale = lock(&self.stale).contains(id);
        let list = lock(&self.made).get(id).cloned()?;
        // A clock that was set back must not hold an old list.
        let begun = list.made_at <= now;
        let rests = now < list.rests_until;
        let young = now < list.made_at.plus(Lifetime::from_seconds(CRL_INTERVAL.seconds() / 2));
        (begun && young && (!stale || rests)).then_some(list)
    }

    /// The list that was made last, if it holds at `now` (RFC 5280 section 5.1.2.5).
    fn holding(&self, id: &IssuerId, now: Timestamp) -> Option<Arc<Published>> {
        lock(&self.made).get(id).filter(|list| list.made_at <= now && now < list.next_update).cloned()
    }
}

/// When the pause ends after a list of so many entries, whose making took so long and ended at `now`.
fn rest(now: Timestamp, entries: usize, took: Duration) -> Timestamp {
    if entries <= ROWS {
        return now;
    }
    let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX).saturating_mul(RESTS).min(REST_MAX.micros());
    Timestamp::from_micros(now.micros().saturating_add(micros))
}

impl App {
    /// Says that a certificate of this issuer was revoked, held or released: the next reader gets a new list, except that a long one
    /// is made only so often. Gateways know of it at once, whatever the list says.
    pub fn crl_changed(&self, issuer: &IssuerId) {
        lock(&self.shelf.stale).insert(issuer.clone());
    }

    /// Makes the lists that have become old anew, before anybody waits for them.
    pub async fn renew_crls(&self) {
        let old: Vec<IssuerId> = lock(&self.shelf.made).keys().cloned().collect();
        for id in old {
            if let Err(error) = crl_of(self, &id).await {
                tracing::warn!(issuer = %id, %error, "its CRL could not be made anew; tried again soon");
            }
        }
    }

    fn shelved(&self, id: &IssuerId) -> Option<Arc<Published>> {
        self.shelf.of(id, self.now())
    }
}

/// The issuer of this name, and its certificate with those above it, nearest first.
///
/// # Errors
/// `not_found`.
pub async fn chain(app: &App, name: &str) -> Result<(Issuer, Vec<Vec<u8>>), Refused> {
    let mut reader = app.store.read().await?;
    let issuer = reader.issuer_by_name(name).await?.ok_or_else(|| Refused::not_found("issuer", name))?;
    let chain = super::issuance::chain(&mut reader, &issuer.id).await?;
    Ok((issuer, chain))
}

/// The CRL of the issuer of this name.
///
/// # Errors
/// `not_found`, also where its key is not held here.
pub async fn crl(app: &App, name: &str) -> Result<Arc<Published>, Refused> {
    let issuer = app.store.read().await?.issuer_by_name(name).await?;
    let issuer = issuer.filter(|issuer| issuer.key != KeyPlace::Absent).ok_or_else(|| Refused::not_found("issuer", name))?;
    crl_of(app, &issuer.id).await
}

async fn crl_of(app: &App, id: &IssuerId) -> Result<Arc<Published>, Refused> {
    if let Some(list) = app.shelved(id) {
        return Ok(list);
    }
    let _turn = app.shelf.making.lock().await;
    if let Some(list) = app.shelved(id) {
        return Ok(list);
    }
    // Taken off before reading: what is revoked from here on makes it stale again.
    lock(&app.shelf.stale).remove(id);
    let made = make(app, id).await;
    match made {
        Ok(list) => {
            lock(&app.shelf.made).insert(id.clone(), Arc::clone(&list));
            Ok(list)
        }
        Err(refused) => {
            app.crl_changed(id);
            // Its key may be in a token that is away. Until the last list ends by its own word, it is what there is to say.
            let holding = app.shelf.holding(id, app.now()).ok_or(refused)?;
            tracing::warn!(issuer = %id, number = holding.number, "its CRL could not be made anew; the last one is given out while it holds");
            Ok(holding)
        }
    }
}

/// A line of a list, small: there may be a million.
struct Line {
    /// The serial number's bytes, from the front. One byte more than there may be: who signs the list refuses a longer number.
    serial: [u8; 21],
    bytes: u8,
    reason: RevocationReason,
    revoked_at: Timestamp,
}

impl Line {
    /// From the serial number as it is kept, in hexadecimal digits.
    fn new(serial: &str, revoked_at: Timestamp, reason: RevocationReason) -> Self {
        let mut line = Self { serial: [0; 21], bytes: 0, reason, revoked_at };
        let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap_or(0) as u8;
        // Of an odd number of digits the first is a byte of its own.
        let (first, rest) = serial.as_bytes().split_at(serial.len() % 2);
        let pairs = rest.chunks_exact(2).map(|pair| pair.iter().fold(0, |number, byte| (number << 4) | digit(byte)));
        for (place, byte) in line.serial.iter_mut().zip(first.iter().map(digit).chain(pairs)) {
            *place = byte;
            line.bytes += 1;
        }
        line
    }

    fn serial(&self) -> &[u8] {
        self.serial.get(..usize::from(self.bytes)).unwrap_or_default()
    }
}

async fn make(app: &App, id: &IssuerId) -> Result<Arc<Published>, Refused> {
    let (now, begun) = (app.now(), Instant::now());
    // A list tells others of a revocation, and so belongs to it: a full disk does not stand in its way.
    app.store.make_room();
    let mut write = app.store.begin_on_reserve().await?;
    let number = write.next_crl_number(id, now).await?;
    write.commit_without_revision().await?;
    let mut reader = app.store.read().await?;
    let signing = signing_of(app, &mut reader, id).await?;
    let mut rows: Vec<Line> = Vec::new();
    let mut page = Page::first(ROWS);
    loop {
        let found = reader.revoked_of(id, &page).await?;
        let Some(last) = found.last() else { break };
        page.after = Some(last.serial.clone());
        // Once a certificate has ended, and stood on a list after that, it leaves the list (RFC 5280 section 3.3).
        let keep = found.iter().filter(|row| now < row.not_after.plus(CRL_INTERVAL).plus(CRL_INTERVAL));
        rows.extend(keep.map(|row| Line::new(&row.serial, row.revoked_at, row.reason)));
    }
    let mut page = Page::first(ROWS);
    loop {
        // Given up between intent and end: if a signature was made, nobody is to trust it.
        let found = reader.abandoned_of(id, &page).await?;
        let Some((last, _)) = found.last() else { break };
        page.after = Some(last.clone());
        rows.extend(found.iter().map(|(serial, at)| Line::new(serial, *at, RevocationReason::Unspecified)));
    }
    // A CA under this one that was retired: gateways refuse what it signed, and so is everybody else to do.
    for below in reader.issuers().await?.into_iter().filter(|below| below.parent.as_ref() == Some(id)) {
        let Some(Status::Revoked { at, reason }) = of_retired(&below) else { continue };
        let facts = countersign_x509::facts::of(&below.der)?;
        if now < facts.not_after.plus(CRL_INTERVAL).plus(CRL_INTERVAL) {
            rows.push(Line::new(&facts.serial, at, reason));
        }
    }
    drop(reader);
    let next_update = now.plus(CRL_INTERVAL);
    let entries = rows.len();
    let issue = crl::Issue { number: u64::try_from(number).unwrap_or(0), this_update: now, next_update };
    let der = tokio::task::spawn_blocking(move || {
        let rows =
            // A clock that was ahead may have left a date that is still to come.
            rows.iter().map(|line| Entry { serial: line.serial(), revoked_at: line.revoked_at.min(now), reason: line.reason, invalid_since: None });
        crl::build(&signing.certificate, &*signing.signer, issue, rows)
    })
    .await
    .map_err(Refused::unavailable)??;
    let rests_until = rest(app.now(), entries, begun.elapsed());
    Ok(Arc::new(Published { der: der.into(), number, made_at: now, next_update, rests_until }))
}

/// What holds for a retired issuer's own certificate and for all that it signed and nobody revoked: gateways refuse them, and nothing
/// may say otherwise. Nobody says why an issuer is retired, so the reason is the one that fits every case.
fn of_retired(issuer: &Issuer) -> Option<Status> {
    let status = Status::Revoked { at: issuer.modified_at, reason: RevocationReason::CessationOfOperation };
    (issuer.state == IssuerState::Retired).then_some(status)
}

/// Turns for answering: half of the machine's cores at once, so that questions leave the other half to those who change something.
#[derive(Debug)]
struct Turns(Semaphore);

/// How long a question waits for its turn; whoever asks may come again.
const TURN_TIME: Duration = Duration::from_secs(1);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))))
    }
}

/// Answers a request for the status of certificates; always a response in DER, refusals too.
pub async fn ocsp(app: &App, request: Result<ocsp::Request, Refusal>) -> Vec<u8> {
    let request = match request {
        Ok(request) => request,
        Err(refusal) => return refusal.response(),
    };
    match in_turn(app, request, app.now()).await {
        Ok(response) => response,
        Err(refusal) => refusal.response(),
    }
}

/// Answers a request that came by GET: the answer that was given last to the same bytes, while nothing changed since and it is young, so that
/// a client or a cache that has it is told that there is nothing new (RFC 5019 section 5).
///
/// # Errors
/// What is answered instead, which nobody keeps.
pub async fn ocsp_by_get(app: &App, request: Result<ocsp::Request, Refusal>) -> Result<Arc<OcspAnswer>, Refusal> {
    let request = request?;
    let (now, revision) = (app.now(), app.snapshot().revision());
    if request.has_nonce() {
        return Ok(Arc::new(OcspAnswer::new(in_turn(app, request, now).await?, revision, now, false)));
    }
    if let Some(known) = app.shelf.answers.get(&request, revision, now) {
        return Ok(known);
    }
    let answer = Arc::new(OcspAnswer::new(in_turn(app, request.clone(), now).await?, revision, now, true));
    app.shelf.answers.keep(request, Arc::clone(&answer));
    Ok(answer)
}

async fn in_turn(app: &App, request: ocsp::Request, now: Timestamp) -> Result<Vec<u8>, Refusal> {
    // The semaphore is never closed; if it were, nobody could be answered either.
    let Ok(Ok(_turn)) = tokio::time::timeout(TURN_TIME, app.shelf.turns.0.acquire()).await else { return Err(Refusal::TryLater) };
    answer(app, request, now).await
}

async fn answer(app: &App, request: ocsp::Request, now: Timestamp) -> Result<Vec<u8>, Refusal> {
    let failed = |error: Refused| {
        tracing::warn!(%error, "an OCSP request could not be answered");
        Refusal::TryLater
    };
    let mut reader = app.store.read().await.map_err(|error| failed(error.into()))?;
    let first = request.certificates().first().ok_or(Refusal::MalformedRequest)?;
    // Read once, however much is asked about.
    let issuers = reader.issuers().await.map_err(|error| failed(error.into()))?;
    let meant = |issuer: &&Issuer| issuer.key != KeyPlace::Absent && certificate(app, issuer).is_ok_and(|ca| first.is_of(&ca));
    let asked = issuers.iter().find(meant).ok_or(Refusal::Unauthorized)?;
    let signing = signing_of(app, &mut reader, &asked.id).await.map_err(failed)?;
    let below = below(asked, &issuers);
    let mut known = HashMap::new();
    for id in request.certificates() {
        if !known.contains_key(id.serial()) {
            known.insert(id.serial().to_vec(), status(&mut reader, asked, &below, id).await.map_err(failed)?);
        }
    }
    drop(reader);
    // A full disk must not silence it: the issuer may answer itself, and then does.
    let own = responder(app, &signing).await.inspect_err(|error| tracing::warn!(%error, "the issuer answers OCSP itself")).ok();
    let freshness = Freshness { now, next_update: now.plus(OCSP_INTERVAL) };
    tokio::task::spawn_blocking(move || {
        let responder = match &own {
            Some(own) => Responder { certificate: Some(&own.certificate), signer: &own.key },
            None => Responder { certificate: None, signer: &*signing.signer },
        };
        let status = |id: &CertId| match known.get(id.serial()).copied().unwrap_or(Status::Unknown) {
            Status::Revoked { at, reason } => Status::Revoked { at: at.min(now), reason },
            other => other,
        };
        ocsp::respond(&request, &signing.certificate, &responder, freshness, status)
    })
    .await
    .map_err(|_| Refusal::InternalError)?
}

/// The issuing CAs under a root of ours, by serial number: they are known as issuers, not among the certificates of clients.
fn below(issuer: &Issuer, issuers: &[Issuer]) -> HashMap<String, Status> {
    if issuer.kind != IssuerKind::Root {
        return HashMap::new();
    }
    let below = issuers.iter().filter(|below| below.parent.as_ref() == Some(&issuer.id));
    let status = |below: &Issuer| of_retired(issuer).or_else(|| of_retired(below)).unwrap_or(Status::Good);
    below.filter_map(|below| Some((countersign_x509::facts::of(&below.der).ok()?.serial, status(below)))).collect()
}

async fn status(
    reader: &mut countersign_store::Reader,
    issuer: &Issuer,
    below: &HashMap<String, Status>,
    id: &CertId,
) -> Result<Status, Refused> {
    let serial = countersign_core::credential::hex(id.serial());
    if let Some(found) = reader.certificate_by_serial(&issuer.id, &serial).await? {
        let at = found.revoked_at.unwrap_or(found.modified_at);
        return Ok(match found.status {
            CertificateStatus::Revoked => Status::Revoked { at, reason: found.reason.unwrap_or(RevocationReason::Unspecified) },
            // Not for a while only, where its issuer is retired.
            _ if let Some(status) = of_retired(issuer) => status,
            CertificateStatus::Active => Status::Good,
            CertificateStatus::Held => Status::Revoked { at, reason: RevocationReason::CertificateHold },
        });
    }
    if let Some(status) = below.get(&serial) {
        return Ok(*status);
    }
    if reader.is_unsigned(&issuer.id, &serial).await? {
        return Ok(Status::NeverIssued);
    }
    Ok(Status::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::id::IssuerId;

    #[test]
    fn a_serial_number_is_read_as_it_is_kept() {
        let bytes = |serial: &str| Line::new(serial, Timestamp::from_seconds(0), RevocationReason::Unspecified).serial().to_vec();
        assert_eq!(bytes("0a1b"), [0x0a, 0x1b]);
        assert_eq!(bytes("a1b"), [0x0a, 0x1b]);
        assert_eq!(bytes(""), Vec::<u8>::new());
        assert_eq!(bytes(&"7f".repeat(20)), [0x7f; 20]);
        assert_eq!(bytes(&"7f".repeat(30)), [0x7f; 21], "too long, and seen to be");
    }

    fn issuer() -> IssuerId {
        IssuerId::parse("i5cy1f26dsex2v7qbcrm").unwrap()
    }

    /// Puts a list on the shelf that was begun at `second` and took so long; says when it was done.
    fn put(shelf: &Shelf, second: i64, entries: usize, took: Duration) -> Timestamp {
        lock(&shelf.stale).remove(&issuer());
        let made_at = Timestamp::from_seconds(second);
        let done = Timestamp::from_micros(made_at.micros() + i64::try_from(took.as_micros()).unwrap());
        let list = Published {
            der: Bytes::new(),
            number: second,
            made_at,
            next_update: made_at.plus(CRL_INTERVAL),
            rests_until: rest(done, entries, took),
        };
        lock(&shelf.made).insert(issuer(), Arc::new(list));
        done
    }

    fn revoke(shelf: &Shelf) {
        lock(&shelf.stale).insert(issuer());
    }

    #[test]
    fn a_hundred_revocations_at_a_million_revoked_make_few_lists() {
        let shelf = Shelf::default();
        let mut made = 0;
        // One a second, and a reader after each; a list takes a second.
        for second in 0..100 {
            revoke(&shelf);
            if shelf.of(&issuer(), Timestamp::from_seconds(second)).is_none() {
                put(&shelf, second, 1_000_000, Duration::from_secs(1));
                made += 1;
            }
        }
        assert_eq!(made, 20, "a list, and four times as long none");
        // The last of them is on a list as soon as the pause is over, and that list then stays.
        assert!(shelf.of(&issuer(), Timestamp::from_seconds(100)).is_none());
        put(&shelf, 100, 1_000_000, Duration::from_secs(1));
        assert!(shelf.of(&issuer(), Timestamp::from_seconds(10_000)).is_some());
    }

    #[test]
    fn a_short_list_has_every_revocation_at_once() {
        let shelf = Shelf::default();
        let mut made = 0;
        for second in 0..100 {
            revoke(&shelf);
            if shelf.of(&issuer(), Timestamp::from_seconds(second)).is_none() {
                put(&shelf, second, ROWS, Duration::from_secs(1));
                made += 1;
            }
        }
        assert_eq!(made, 100);
    }

    #[test]
    fn what_is_revoked_while_a_list_is_made_is_on_the_one_after() {
        let shelf = Shelf::default();
        let done = put(&shelf, 0, 1_000_000, Duration::from_secs(1));
        revoke(&shelf);
        assert!(shelf.of(&issuer(), done).is_some());
        let over = Timestamp::from_seconds(1 + RESTS);
        assert!(shelf.of(&issuer(), over).is_none());
    }

    #[test]
    fn no_pause_is_longer_than_a_minute_and_none_outlives_a_clock_that_is_set_back() {
        let shelf = Shelf::default();
        let done = put(&shelf, 1000, 1_000_000, Duration::from_secs(3600));
        revoke(&shelf);
        assert!(shelf.of(&issuer(), Timestamp::from_micros(done.micros() + REST_MAX.micros() - 1)).is_some());
        assert!(shelf.of(&issuer(), done.plus(REST_MAX)).is_none());
        assert!(shelf.of(&issuer(), Timestamp::from_seconds(999)).is_none());
    }

    #[test]
    fn a_list_that_lies_in_the_future_is_made_anew() {
        let shelf = Shelf::default();
        put(&shelf, 1000, 1, Duration::from_secs(1));
        let (before, after) = (Timestamp::from_seconds(999), Timestamp::from_seconds(1001));
        assert!(shelf.of(&issuer(), before).is_none() && shelf.holding(&issuer(), before).is_none());
        assert!(shelf.of(&issuer(), after).is_some() && shelf.holding(&issuer(), after).is_some());
        // What was revoked since is missing on it, and yet it holds until it says that it ends.
        revoke(&shelf);
        let ends = Timestamp::from_seconds(1000).plus(CRL_INTERVAL);
        assert!(shelf.of(&issuer(), after).is_none());
        assert!(shelf.holding(&issuer(), after).is_some() && shelf.holding(&issuer(), ends).is_none());
    }
}
