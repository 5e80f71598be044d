//! What logins leave in the audit trail (promise P16): each in the transaction of what it tells of. Never a secret.

use countersign_core::audit::Entry;
use countersign_core::id::UserId;
use countersign_core::time::Timestamp;
use serde_json::Value;

/// Where a request of a person came from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The address.
    pub source: String,
    /// The request's id.
    pub request_id: String,
    /// The program, as it calls itself, shortened.
    pub agent: String,
}

/// One event of a login.
pub struct Event<'e> {
    /// Who, when that is known: id and mail address.
    pub who: Option<(&'e UserId, &'e str)>,
    /// For example `SignIn`.
    pub action: &'static str,
    /// Kind and id of what it was done to.
    pub object: (&'static str, &'e str),
    /// `ok`, or the code of the refusal.
    pub result: &'static str,
    /// What there is to say of it.
    pub after: Option<Value>,
}

impl Event<'_> {
    /// As an entry.
    pub fn entry(self, origin: &Origin, now: Timestamp) -> Entry {
        let (actor_kind, actor_id, actor_name) = match self.who {
            Some((id, name)) => ("user".to_owned(), id.to_string(), name.to_owned()),
            None => ("anonymous".to_owned(), "anonymous".to_owned(), "anonymous".to_owned()),
        };
        Entry {
            at: now,
            actor_kind,
            actor_id,
            actor_name,
            credential: String::new(),
            action: self.action.to_owned(),
            object_kind: self.object.0.to_owned(),
            object_id: self.object.1.to_owned(),
            result: self.result.to_owned(),
            before: String::new(),
            after: self.after.map(|value| value.to_string()).unwrap_or_default(),
            source: origin.source.clone(),
            request_id: origin.request_id.clone(),
            operation_id: String::new(),
        }
    }
}
