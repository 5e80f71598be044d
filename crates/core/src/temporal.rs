//! Where a call of Temporal's `WorkflowService` names a namespace, as a table of field numbers, and the reader that holds a request's
//! bytes against it. The right to call a method is not decided here, and nothing is decoded beyond what the table points at.
//!
//! The table follows the `.proto` files of Temporal's API in `crates/proto/protos/vendor`. A method it does not list is
//! held to the shape that nearly all have: the namespace in field 1.

use crate::path_form;

/// Calls of the service that clients and workers use begin with this path.
pub const WORKFLOW_SERVICE: &str = "/temporal.api.workflowservice.v1.WorkflowService/";

/// What a path means to a door behind which a Temporal server may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'p> {
    /// A method of `WorkflowService`.
    Workflow(&'p str),
    /// A service of Temporal's that is not for tenants: operator, admin, history, matching and whatever comes next.
    Server,
    /// Not Temporal's.
    Other,
}

impl<'p> Call<'p> {
    /// Of a path. The Cloud Ops API (`temporal.api.cloud.`) is no service of a Temporal server and passes as any other. So do gRPC's
    /// own health and reflection services: they name no namespace and act on none.
    ///
    /// A Temporal path in percent-encoding or in another case is the server's: Temporal would not know it, and a proxy before it might
    /// decode or fold it after the gateway looked.
    pub fn of(path: &'p str) -> Self {
        if begins_decoded(path, "/temporal.") && (path.contains('%') || !path.starts_with("/temporal.")) {
            Self::Server
        } else if path_form::forms(path).is_ok_and(|forms| !forms.is_empty())
            && path_form::readings(path).iter().any(|reading| begins_decoded(reading, "/temporal."))
        {
            // An API may allow such forms, and a server may read them as a Temporal path.
            Self::Server
        } else if let Some(method) = path.strip_prefix(WORKFLOW_SERVICE) {
            Self::Workflow(method)
        } else if path.starts_with("/temporal.") && !path.starts_with("/temporal.api.cloud.") {
            Self::Server
        } else {
            Self::Other
        }
    }
}

/// Whether `path`, with its escapes decoded, begins with `prefix` in any case.
fn begins_decoded(path: &str, prefix: &str) -> bool {
    let mut bytes = path.bytes();
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    prefix.bytes().all(|wanted| match bytes.next() {
        Some(b'%') => match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) => u8::try_from(high << 4 | low).is_ok_and(|byte| byte.eq_ignore_ascii_case(&wanted)),
            _ => false,
        },
        byte => byte.is_some_and(|byte| byte.eq_ignore_ascii_case(&wanted)),
    })
}

/// What is demanded of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The request's own namespace: there, and the door's.
    Own,
    /// A namespace that is acted on as well: absent, empty, or the door's.
    Inner,
    /// Something that would reach around the namespace: absent or empty.
    Empty,
    /// Where a server calls back: the Nexus callback of the door's own namespace, or nothing.
    CallbackUrl,
    /// A message with such fields in it.
    Within(&'static [Field]),
}

/// A field of a message, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The number.
    pub number: u32,
    /// What is demanded of it.
    pub rule: Rule,
}

/// How a method is bound to a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It acts on the whole server and is refused at a door.
    Server,
    /// It names no namespace and tells only what the server is.
    Free,
    /// These fields of the request decide.
    Fields(&'static [Field]),
}

const fn field(number: u32, rule: Rule) -> Field {
    Field { number, rule }
}

const fn own(number: u32) -> Field {
    field(number, Rule::Own)
}

/// `temporal.api.common.v1.Callback`: `nexus.url`, and `internal`, which a server writes for itself and which names a namespace by its id.
const CALLBACK: Rule = Rule::Within(&[field(2, Rule::Within(&[field(1, Rule::CallbackUrl)])), field(3, Rule::Empty)]);
/// `temporal.api.update.v1.Request`, which may bring callbacks.
const UPDATE: Rule = Rule::Within(&[field(4, CALLBACK)]);
/// `temporal.api.protocol.v1.Message`: its `Any` holds an acceptance or a rejection, and in it a copy of the request.
const PROTOCOL: Rule = Rule::Within(&[field(5, Rule::Within(&[field(2, Rule::Within(&[field(3, UPDATE)]))]))]);
/// `temporal.api.command.v1.Command`: cancel another workflow, start a child, signal another workflow.
const COMMAND: Rule = Rule::Within(&[
    field(9, Rule::Within(&[field(1, Rule::Inner)])),
    field(12, Rule::Within(&[field(1, Rule::Inner)])),
    field(13, Rule::Within(&[field(1, Rule::Inner)])),
]);
/// `ExecuteMultiOperationRequest.Operation`: a start and an update, each with a namespace of its own.
const OPERATION: Rule = Rule::Within(&[
    field(1, Rule::Within(&[field(1, Rule::Inner), field(21, CALLBACK)])),
    field(2, Rule::Within(&[field(1, Rule::Inner), field(5, UPDATE)])),
]);

/// The shape of methods that [`TABLE`] does not list.
pub const USUAL: Scope = Scope::Fields(&[own(1)]);

/// The methods that differ from [`USUAL`], by name, in order.
pub const TABLE: &[(&str, Scope)] = &[
    ("DeprecateNamespace", Scope::Server),
    ("DescribeNamespace", Scope::Fields(&[own(1), field(2, Rule::Empty)])),
    ("ExecuteMultiOperation", Scope::Fields(&[own(1), field(2, OPERATION)])),
    ("GetClusterInfo", Scope::Free),
    ("GetSearchAttributes", Scope::Free),
    ("GetSystemInfo", Scope::Free),
    ("ListNamespaces", Scope::Server),
    ("RecordActivityTaskHeartbeat", Scope::Fields(&[own(4)])),
    ("RegisterNamespace", Scope::Server),
    ("RespondActivityTaskCanceled", Scope::Fields(&[own(4)])),
    ("RespondActivityTaskCompleted", Scope::Fields(&[own(4)])),
    ("RespondActivityTaskFailed", Scope::Fields(&[own(4)])),
    ("RespondQueryTaskCompleted", Scope::Fields(&[own(6)])),
    ("RespondWorkflowTaskCompleted", Scope::Fields(&[own(9), field(2, COMMAND), field(11, PROTOCOL)])),
    ("RespondWorkflowTaskFailed", Scope::Fields(&[own(6), field(7, PROTOCOL)])),
    ("StartActivityExecution", Scope::Fields(&[own(1), field(19, CALLBACK)])),
    ("StartNexusOperationExecution", Scope::Fields(&[own(1), field(18, CALLBACK)])),
    ("StartWorkflowExecution", Scope::Fields(&[own(1), field(21, CALLBACK)])),
    ("UpdateNamespace", Scope::Server),
    ("UpdateWorkflowExecution", Scope::Fields(&[own(1), field(5, UPDATE)])),
];

/// Messages whose `namespace` says where something happened. A server copies them into histories and acts on none of them, and a
/// worker that serves Nexus operations rightly sends another namespace's, so they are not held to the door's.
pub const POINTERS: &[&str] = &[
    "temporal.api.common.v1.Link.Activity",
    "temporal.api.common.v1.Link.Callback",
    "temporal.api.common.v1.Link.NexusOperation",
    "temporal.api.common.v1.Link.Workflow",
    "temporal.api.common.v1.Link.WorkflowEvent",
    "temporal.api.failure.v1.ChildWorkflowExecutionFailureInfo",
];

/// How a method is bound to a namespace; [`USUAL`] when it is not known.
pub fn scope(method: &str) -> Scope {
    TABLE.binary_search_by_key(&method, |(name, _)| name).map_or(USUAL, |at| TABLE[at].1)
}

/// Every path of field numbers that a method is held to, outermost first, with its rule, which is never [`Rule::Within`].
pub fn paths(method: &str) -> Vec<(Vec<u32>, Rule)> {
    fn gather(fields: &[Field], path: &mut Vec<u32>, all: &mut Vec<(Vec<u32>, Rule)>) {
        for field in fields {
            path.push(field.number);
            match field.rule {
                Rule::Within(inner) => gather(inner, path, all),
                rule => all.push((path.clone(), rule)),
            }
            path.pop();
        }
    }
    let mut all = Vec::new();
    if let Scope::Fields(fields) = scope(method) {
        gather(fields, &mut Vec::new(), &mut all);
    }
    all
}

/// Why a message is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation<'m> {
    /// It is no message of protocol buffers, or one that two readers could take in two ways.
    Malformed(&'static str),
    /// The method acts on the whole server.
    Server,
    /// It does not name its namespace.
    Unnamed,
    /// It names this one, which is not the door's.
    Foreign(&'m [u8]),
    /// It has a field set that reaches around the namespace.
    Around,
    /// It has the server call back somewhere else than to the door's own namespace.
    Callback(&'m [u8]),
}

/// Holds the request `message` of `method` against the namespace `door`. Reads each byte of what it looks into at most once per
/// level, allocates nothing, and goes no deeper than the table. Of a field that occurs more than once every occurrence counts.
///
/// # Errors
/// The first violation.
pub fn check<'m>(method: &str, message: &'m [u8], door: &str) -> Result<(), Violation<'m>> {
    match scope(method) {
        Scope::Server => Err(Violation::Server),
        Scope::Free => walk(message, &[], door).map(|_| ()),
        Scope::Fields(fields) => {
            if walk(message, fields, door)? {
                Ok(())
            } else {
                Err(Violation::Unnamed)
            }
        }
    }
}

/// Walks one message; tells whether it named its own namespace.
fn walk<'m>(message: &'m [u8], fields: &[Field], door: &str) -> Result<bool, Violation<'m>> {
    let mut rest = message;
    let mut named = false;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(Violation::Malformed("a field has a number that does not exist"))?;
        let field = fields.iter().find(|field| field.number == number);
        match (key & 7, field) {
            (2, _) => {
                let value = take_length(&mut rest)?;
                if let Some(field) = field {
                    named |= hold(value, field.rule, door)?;
                }
            }
            // A reader skips such a field as one it does not know; none of Temporal's clients sends it.
            (_, Some(_)) => return Err(Violation::Malformed("a field that names a namespace is not of its type")),
            (0, None) => {
                varint(&mut rest)?;
            }
            (1, None) => {
                take(&mut rest, 8)?;
            }
            (5, None) => {
                take(&mut rest, 4)?;
            }
            _ => return Err(Violation::Malformed("it holds a group, or a wire type that does not exist")),
        }
    }
    Ok(named)
}

/// Holds one value against its rule; tells whether it is the request's own namespace.
fn hold<'m>(value: &'m [u8], rule: Rule, door: &str) -> Result<bool, Violation<'m>> {
    match rule {
        Rule::Own if value == door.as_bytes() => Ok(true),
        Rule::Inner if value.is_empty() || value == door.as_bytes() => Ok(false),
        Rule::Own | Rule::Inner => Err(Violation::Foreign(value)),
        Rule::Empty if value.is_empty() => Ok(false),
        Rule::Empty => Err(Violation::Around),
        Rule::CallbackUrl if calls_back_to(value, door) => Ok(false),
        Rule::CallbackUrl => Err(Violation::Callback(value)),
        // The table nests six deep and not in itself, so this ends.
        Rule::Within(fields) => walk(value, fields, door).map(|_| false),
    }
}

/// Whether a URL is a Temporal server's Nexus callback for this namespace, spelt in the one way that has no other reading. Any other
/// path of that server would let the caller act there with the server's own rights, and `temporal://` names its goal in a token.
fn calls_back_to(url: &[u8], door: &str) -> bool {
    let Some(rest) = url.strip_prefix(b"https://").or_else(|| url.strip_prefix(b"http://")) else { return false };
    let authority = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority);
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    let path = path.strip_prefix(b"/namespaces/").and_then(|path| path.strip_prefix(door.as_bytes()));
    !authority.is_empty() && authority.iter().all(plain) && path == Some(b"/nexus/callback")
}

/// A base-128 number of at most ten bytes and 64 bits.
fn varint<'m>(rest: &mut &'m [u8]) -> Result<u64, Violation<'m>> {
    let mut value = 0_u64;
    for (at, byte) in rest.iter().enumerate().take(10) {
        if at == 9 && *byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *rest = &rest[at + 1..];
            return Ok(value);
        }
    }
    Err(Violation::Malformed("a number is cut off or too long"))
}

fn take_length<'m>(rest: &mut &'m [u8]) -> Result<&'m [u8], Violation<'m>> {
    let length = varint(rest)?;
    // A length that no machine could hold is longer than the rest as well.
    take(rest, usize::try_from(length).unwrap_or(usize::MAX))
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Result<&'m [u8], Violation<'m>> {
    let (value, left) = rest.split_at_checked(length).ok_or(Violation::Malformed("a field is longer than what is left"))?;
    *rest = left;
    Ok(value)
}

#[cfg(test)]
mod tests;
