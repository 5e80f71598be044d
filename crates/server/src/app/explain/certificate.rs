//! A certificate file, rule by rule, before anybody is refused: what the gateway would hold against it, what will end it, and the
//! command that mends each. The verdict itself is `admit`'s alone; nothing here lets anybody in or keeps anybody out.

use crate::app::certificates::visible;
use crate::app::{App, decide};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::credential::certificate::{Certificate, CertificateFacts, CertificateStatus, Fingerprint};
use countersign_core::limits::CLOCK_SKEW;
use countersign_core::namespace::{AcceptedCa, Namespace};
use countersign_core::printable::printed;
use countersign_core::snapshot::Snapshot;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::CheckBody;
use countersign_store::Reader;
use countersign_x509::chain::{self, Anchors, ChainError};
use countersign_x509::{facts, leaf};

/// An end that is nearer than this is worth a word.
const SOON: Lifetime = Lifetime::from_days(60);
/// How a certificate that TLS stacks take is made again.
const AGAIN: &str = "openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -out client.pem -days 365 -extfile <(printf \
                     'basicConstraints=CA:FALSE\\nkeyUsage=digitalSignature\\nextendedKeyUsage=clientAuth\\n')";

/// What was found, in the order of the rules.
#[derive(Default)]
pub(super) struct Checks(Vec<CheckBody>);

impl Checks {
    fn note(&mut self, rule: &str, result: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(CheckBody {
            rule: rule.to_owned(),
            result: result.to_owned(),
            detail: printed(detail.into()),
            remedy: printed(remedy.into()),
        });
    }

    /// A certificate that nobody here reads.
    pub(super) fn of_unread(error: ChainError) -> Vec<CheckBody> {
        let mut checks = Self::default();
        let (detail, remedy) = error.words();
        checks.fail("A1", detail, remedy);
        checks.0
    }

    fn ok(&mut self, rule: &str, detail: impl Into<String>) {
        self.note(rule, "ok", detail, "");
    }

    fn warn(&mut self, rule: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.note(rule, "warning", detail, remedy);
    }

    fn fail(&mut self, rule: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.note(rule, "failed", detail, remedy);
    }
}

/// The certificates of a file: the client's own, the others, and whether it stood first.
pub(super) struct File {
    own: usize,
    ders: Vec<Vec<u8>>,
    facts: CertificateFacts,
}

impl File {
    /// Finds the client's own certificate: the one that issued none of the others.
    ///
    /// # Errors
    /// `not_a_certificate` when one of them is none.
    pub(super) fn read(ders: Vec<Vec<u8>>) -> Result<Self, Refused> {
        let all = ders.iter().map(|der| facts::of(der)).collect::<Result<Vec<_>, _>>()?;
        let issues = |i: usize| {
            let Some(one) = all.get(i) else { return false };
            all.iter().enumerate().any(|(j, other)| i != j && other.issuer == one.subject && other.subject != one.subject)
        };
        let own = (0..all.len()).find(|i| !issues(*i)).unwrap_or(0);
        let facts = all.get(own).cloned().unwrap_or_default();
        Ok(Self { own, ders, facts })
    }

    fn leaf(&self) -> &[u8] {
        self.ders.get(self.own).map_or(&[], Vec::as_slice)
    }

    fn others(&self) -> Vec<&[u8]> {
        self.ders.iter().enumerate().filter(|(i, _)| *i != self.own).map(|(_, der)| der.as_slice()).collect()
    }
}

/// Holds a file against every rule.
///
/// # Errors
/// When the store fails.
pub(super) async fn judge(
    app: &App,
    reader: &mut Reader,
    actor: &Actor,
    namespace: Option<&Namespace>,
    file: &File,
    now: Timestamp,
) -> Result<Vec<CheckBody>, Refused> {
    let mut checks = Checks::default();
    order(&mut checks, file);
    shape(&mut checks, file, now);
    dates(&mut checks, &file.facts, now);
    let snapshot = app.snapshot();
    if file.facts.key.is_some_and(|key| snapshot.is_key_blocked(&key)) {
        checks.fail(
            "F4",
            "its key was reported as compromised and is blocked for ever",
            "countersign certificate create --generate-key --out-dir DIR",
        );
    }
    let known = match snapshot.certificate(&Fingerprint::of(file.leaf())) {
        // Somebody else's registration is told to nobody: the verdict says no more than the gateway would.
        Some(entry) => Some(visible(reader, actor, entry.id.as_str()).await.ok()),
        None => None,
    };
    // As the gateway decides: an accepted CA comes before who registered the leaf and proved nothing (docs/decisions/0012).
    let binds = snapshot.certificate(&Fingerprint::of(file.leaf())).is_none_or(|entry| entry.binds);
    if let (false, Some(namespace)) = (binds, namespace)
        && is_vouched_for(namespace, file, now)
    {
        if let Some(Some(certificate)) = &known {
            checks.warn(
                "B3",
                format!(
                    "its registration {} does not count here: nobody proved to hold its key, and an accepted CA decides",
                    certificate.id
                ),
                "register it again with the proof: countersign certificate create --upload FILE --key FILE",
            );
        }
        path(&mut checks, reader, &snapshot, actor, namespace, file, now).await?;
        return Ok(checks.0);
    }
    match known {
        Some(Some(certificate)) => registered(&mut checks, &snapshot, &certificate, now),
        Some(None) => checks.ok("B6", "it is registered"),
        None => {
            if let Some(namespace) = namespace {
                path(&mut checks, reader, &snapshot, actor, namespace, file, now).await?;
            }
        }
    }
    Ok(checks.0)
}

fn is_vouched_for(namespace: &Namespace, file: &File, now: Timestamp) -> bool {
    chain::verify(&Anchors::new(&namespace.accepted_client_cas), file.leaf(), &file.others(), now).is_ok()
}

fn order(checks: &mut Checks, file: &File) {
    if file.own == 0 {
        checks.ok("E2", "the client's own certificate stands first in the file");
    } else {
        checks.fail(
            "E2",
            format!(
                "the client's own certificate is number {} in the file: clients send the first one as theirs, and that is a CA",
                file.own + 1
            ),
            "cat client.pem intermediate.pem > chain.pem: the leaf first, then the CA that signed it",
        );
    }
}

/// Version, purpose, key and signature, by the rules of registration; the gateway's are the same.
fn shape(checks: &mut Checks, file: &File, now: Timestamp) {
    match leaf::parse_registered(file.leaf(), now, false) {
        Ok(leaf) => {
            // Dates have a check of their own.
            let remarks = leaf.warnings.iter().filter_map(|w| w.split_once(": ")).filter(|(_, text)| !text.contains("valid before"));
            let mut quiet = true;
            for (rule, text) in remarks.filter(|(_, text)| !text.contains("expires on")) {
                quiet = false;
                checks.warn(rule, text, "");
            }
            if quiet {
                checks.ok("B2", "version 3, for clients, with a key and a signature that TLS stacks take");
            }
        }
        Err(error) if error.code == "leaf_expired" => {}
        Err(error) => {
            let remedy = if matches!(error.code, "v1_certificate" | "not_for_client_auth" | "no_digital_signature") {
                AGAIN.to_owned()
            } else {
                error.hint
            };
            checks.fail(error.rule.unwrap_or("B2"), error.message, remedy);
        }
    }
}

fn dates(checks: &mut Checks, facts: &CertificateFacts, now: Timestamp) {
    let clock = format!("the clock here says {}", convert::time(now));
    if now.seconds() > facts.not_after.seconds() {
        let remedy = "make its successor: countersign certificate create, or have its CA sign a new one";
        checks.fail("E14", format!("it ended at {}; {clock}", convert::time(facts.not_after)), remedy);
    } else if now.plus(CLOCK_SKEW) < facts.not_before {
        let remedy = "set the clock of the machine that made it (timedatectl set-ntp true), and make it again, or wait";
        checks.fail("E14", format!("it begins at {}; {clock}", convert::time(facts.not_before)), remedy);
    } else if facts.not_after < now.plus(SOON) {
        checks.warn(
            "F11",
            format!("it ends at {}", convert::time(facts.not_after)),
            "countersign certificate rotate --id ID --generate-key --out-dir DIR, before that day",
        );
    } else {
        checks.ok("E14", format!("it holds until {}; {clock}", convert::time(facts.not_after)));
    }
}

fn registered(checks: &mut Checks, snapshot: &Snapshot, certificate: &Certificate, now: Timestamp) {
    let id = &certificate.id;
    checks.ok("B6", format!("it is registered as {id}{}", alias(certificate)));
    let since = certificate.revoked_at.map(|at| format!(" since {}", convert::time(at))).unwrap_or_default();
    let reason = certificate.reason.map(|reason| format!(", reason {}", reason.as_str())).unwrap_or_default();
    match certificate.status {
        CertificateStatus::Active => checks.ok("F2", "it is not revoked"),
        CertificateStatus::Held => checks.fail("F1", format!("it is on hold{since}"), format!("countersign certificate release --id {id}")),
        CertificateStatus::Revoked => checks.fail(
            "F2",
            format!("it is revoked{since}{reason}; that is never undone"),
            match &certificate.replaced_by {
                Some(next) => format!("use its successor: countersign certificate get --id {next}"),
                None => "countersign certificate create --generate-key --out-dir DIR".to_owned(),
            },
        ),
    }
    if let Some(issuer) = certificate.issuer.as_ref().filter(|issuer| snapshot.is_issuer_retired(issuer)) {
        checks.fail(
            "G1",
            format!("its issuer {issuer} is retired"),
            format!("countersign certificate rotate --id {id} --generate-key --out-dir ."),
        );
    }
    if let Some(next) = certificate.replaced_by.as_ref().filter(|_| certificate.status == CertificateStatus::Active) {
        checks.warn(
            "F11",
            format!("its successor is {next}; this one works on until it is revoked"),
            format!("countersign certificate get --id {next}"),
        );
    }
    if !certificate.proven {
        checks.warn(
            "B3",
            "who registered it has not proved to hold its key: it lets its holder in where no accepted CA vouches for it, and who does \
             prove it takes it over",
            "register it again with the proof: countersign certificate create --upload FILE --key FILE",
        );
    }
    if certificate.status == CertificateStatus::Active && certificate.replaced_by.is_none() && certificate.facts.not_after < now.plus(SOON)
    {
        checks.warn("F11", "nothing takes its place yet", format!("countersign certificate rotate --id {id} --generate-key --out-dir ."));
    }
}

fn alias(certificate: &Certificate) -> String {
    if certificate.alias.is_empty() { String::new() } else { format!(" ({})", certificate.alias) }
}

/// A certificate that is not registered: whether an accepted CA vouches for it.
async fn path(
    checks: &mut Checks,
    reader: &mut Reader,
    snapshot: &Snapshot,
    actor: &Actor,
    namespace: &Namespace,
    file: &File,
    now: Timestamp,
) -> Result<(), Refused> {
    let others = file.others();
    let found = match chain::verify(&Anchors::new(&namespace.accepted_client_cas), file.leaf(), &others, now) {
        Ok(found) => found,
        Err(error) => {
            no_path(checks, snapshot, actor, namespace, file, error, now);
            return Ok(());
        }
    };
    let Some(ca) = namespace.accepted_client_cas.iter().find(|ca| ca.fingerprint == found.anchor) else { return Ok(()) };
    checks.ok("E2", format!("the accepted CA {} vouches for it", ca.subject));
    anchor_dates(checks, namespace, ca, now);
    let crls = reader.foreign_crls(&found.issuer_key).await?;
    let crl = crls.into_iter().find(|(_, issuer, _)| *issuer == file.facts.issuer).map(|(.., crl)| crl);
    if snapshot.keeps_out(&namespace.id, &file.facts, Some(&found.issuer_key)) {
        let by_list = reader.revoked_leaves(&found.issuer_key, true, Some(&file.facts.serial)).await?;
        let (by, remedy) = if by_list.is_empty() {
            ("by an admin here", "get a new certificate from the CA, or have the revocation here taken back by an admin of the namespace")
        } else {
            ("by its CA's own revocation list", "get a new certificate from the CA; a hold ends with the CA's next list")
        };
        checks.fail("E4", format!("it was revoked {by}"), remedy);
    } else if let Some(crl) = &crl {
        checks.ok("E4", format!("it is not on its CA's revocation list of {}", convert::time(crl.this_update)));
    }
    if let Some(crl) = crl.filter(|crl| now.seconds() > crl.next_update.seconds()) {
        checks.warn(
            "E4",
            format!("its CA's revocation list is stale: the next one was promised for {}", convert::time(crl.next_update)),
            format!("countersign namespace accepted-client-ca crl set --namespace {} with the CA's newest list", namespace.id),
        );
    }
    Ok(())
}

fn anchor_dates(checks: &mut Checks, namespace: &Namespace, ca: &AcceptedCa, now: Timestamp) {
    let next = format!("countersign namespace accepted-client-ca add --namespace {} --ca-certificate-file NEXT-CA.pem", namespace.id);
    let end = convert::time(ca.not_after);
    if now.seconds() > ca.not_after.seconds() {
        checks.fail("A8", format!("the accepted CA {} ended at {end}", ca.subject), next);
    } else if ca.not_after < now.plus(SOON) {
        checks.warn("A8", format!("the accepted CA {} ends at {end}, and every client of its with it", ca.subject), next);
    }
}

fn no_path(checks: &mut Checks, snapshot: &Snapshot, actor: &Actor, namespace: &Namespace, file: &File, error: ChainError, now: Timestamp) {
    let rule = match error {
        ChainError::OldVersion | ChainError::LeafIsCa => "B8",
        ChainError::NotForClientAuth | ChainError::KeyUsage | ChainError::WeakKey | ChainError::WeakSignature => "E3",
        ChainError::SameName => "B5",
        ChainError::UnknownCriticalExtension | ChainError::NameConstraint => "A12",
        ChainError::PathTooLong => "A13",
        ChainError::LongSerial | ChainError::DuplicateExtension => "A1",
        _ => "E2",
    };
    let (detail, remedy) = error.words();
    if error != ChainError::UnknownIssuer {
        let remedy =
            if matches!(error, ChainError::OldVersion | ChainError::NotForClientAuth | ChainError::KeyUsage) { AGAIN } else { remedy };
        // The same was said of the leaf already, in the words of registration.
        if !checks.0.iter().any(|check| check.result == "failed" && check.remedy == remedy) {
            checks.fail(rule, detail, remedy);
        }
        return;
    }
    let missing = missing_issuer(file);
    // A door where it would be let in, as far as the asker may know of it.
    let elsewhere = snapshot.namespaces().find(|other| {
        other.id != namespace.id
            && decide(actor, Action::Explain, Target::Namespace(&other.id)).is_ok()
            && chain::verify(&Anchors::new(&other.accepted_client_cas), file.leaf(), &file.others(), now).is_ok()
    });
    if let Some(other) = elsewhere {
        checks.fail(
            "E1",
            format!("no accepted CA of namespace {} vouches for it, but one of namespace {} does", namespace.id, other.id),
            format!("connect to {}, or add the CA here too", other.hostname),
        );
    } else if namespace.accepted_client_cas.iter().any(|ca| ca.subject == missing) {
        checks.fail(
            "E2",
            format!("the accepted CA has the name {missing}, but another key than the one that signed it"),
            format!("countersign namespace accepted-client-ca add --namespace {} --ca-certificate-file THE-OTHER-CA.pem", namespace.id),
        );
    } else {
        checks.fail(
            "E2",
            format!("its chain ends at the issuer {missing}, which is neither in the file nor an accepted CA of namespace {}", namespace.id),
            format!(
                "send the intermediate along (cat client.pem intermediate.pem > chain.pem), or: countersign namespace accepted-client-ca add \
                 --namespace {} --ca-certificate-file CA.pem",
                namespace.id
            ),
        );
    }
}

/// The first issuer on the way up that is not in the file.
fn missing_issuer(file: &File) -> String {
    let all: Vec<CertificateFacts> = file.ders.iter().filter_map(|der| facts::of(der).ok()).collect();
    let mut at = &file.facts;
    // No way is longer than the file.
    for _ in 0..all.len() {
        match all.iter().find(|one| one.subject == at.issuer && one.subject != at.subject) {
            Some(above) => at = above,
            None => break,
        }
    }
    at.issuer.clone()
}
