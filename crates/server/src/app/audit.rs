//! The audit trail: read and verified, never written here.

use super::{App, decide, page};
use crate::error::{Refused, shown};
use countersign_core::audit::Verifier;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::credential::hex;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{AuditEntry, AuditQuery, AuditVerified, Page};
use countersign_store::{AuditFilter, AuditPage};

/// Entries read at a time while verifying.
const STEP: usize = 1000;

/// Entries in their order.
///
/// # Errors
/// `forbidden`, `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &AuditQuery) -> Result<Page<AuditEntry>, Refused> {
    decide(actor, Action::GetAuditLogs, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let after = match &asked.after {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Refused::invalid("page_token is not one that an answer gave"))?),
    };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let filter = AuditFilter {
        from: moment("from", query.from.as_deref())?,
        to: moment("to", query.to.as_deref())?,
        actor_id: given(&query.actor_id),
        action: given(&query.action),
        object_id: given(&query.object_id),
        object_kind: given(&query.object_kind),
        result: given(&query.result),
        operation_id: given(&query.operation_id),
    };
    let descending = match query.order.as_deref() {
        None | Some("" | "asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Refused::invalid("order is asc or desc")),
    };
    let found = app.store.read().await?.audit(&filter, &AuditPage { size: asked.size + 1, after, descending }).await?;
    Ok(page::cut(found, &asked, |entry| entry.sequence.to_string(), |entry| convert::audit_entry(&entry)))
}

/// The newest `size` entries, newest first.
///
/// # Errors
/// `forbidden`.
pub async fn newest(app: &App, actor: &Actor, size: usize) -> Result<Vec<AuditEntry>, Refused> {
    decide(actor, Action::GetAuditLogs, Target::Account)?;
    let page = AuditPage { size, after: None, descending: true };
    let found = app.store.read().await?.audit(&AuditFilter::default(), &page).await?;
    Ok(found.iter().map(convert::audit_entry).collect())
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refused> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            convert::parse_time(text)
                .ok_or_else(|| Refused::invalid(format!("{name} `{}` is no time; write it as 2027-01-31T00:00:00Z", shown(text))))
        })
        .transpose()
}

impl App {
    /// The end of the trail: its last entry's number and hash, and the revision.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_head(&self) -> Result<(i64, [u8; 32], i64), Refused> {
        let mut read = self.store.read().await?;
        let head = read.audit_head().await?;
        Ok((head.sequence, head.hash, read.revision().await?))
    }
}

/// Walks the whole chain.
///
/// # Errors
/// `forbidden`; a broken chain is an answer, not an error.
pub async fn verify(app: &App, actor: &Actor) -> Result<AuditVerified, Refused> {
    decide(actor, Action::VerifyAuditLog, Target::Account)?;
    let mut read = app.store.read().await?;
    let mut verifier = Verifier::default();
    let mut after = None;
    let broken = loop {
        let entries = read.audit(&AuditFilter::default(), &AuditPage { size: STEP, after, descending: false }).await?;
        let Some(last) = entries.last() else {
            // Entries cut off at the end leave a chain that holds; the head tells.
            let head = read.audit_head().await?;
            let cut = head.sequence != verifier.checked() || head.hash != *verifier.head();
            break cut.then(|| format!("the trail ends at entry {}, its head is entry {}", verifier.checked(), head.sequence));
        };
        after = Some(last.sequence);
        if let Some(error) = entries.iter().find_map(|entry| verifier.check(entry).err()) {
            break Some(error.to_string());
        }
    };
    Ok(AuditVerified { ok: broken.is_none(), entries: verifier.checked(), head: hex(verifier.head()), broken })
}
