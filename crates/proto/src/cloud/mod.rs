//! The Cloud Ops API's messages from and to the bodies that the use cases speak. Old text fields stand beside the enums, as its clients of
//! either age expect; what a message cannot mean here is an error with a sentence.

mod identity;
mod namespace;
mod other;

pub use identity::*;
pub use namespace::*;
pub use other::*;

use crate::grpc::wire::temporal::api::cloud as wire;
use wire::resource::v1::ResourceState;

/// A moment of a body on the wire. Bodies are written here, so an unreadable one is none.
pub fn moment(text: &str) -> Option<prost_types::Timestamp> {
    let at = crate::convert::parse_time(text)?;
    Some(prost_types::Timestamp { seconds: at.seconds(), nanos: i32::try_from(at.micros().rem_euclid(1_000_000) * 1000).unwrap_or(0) })
}

/// A moment from the wire, at whole seconds, as text. The error is a sentence.
pub fn text_of(at: &prost_types::Timestamp) -> Result<String, String> {
    let at = jiff::Timestamp::from_second(at.seconds).map_err(|_| "the time is out of range".to_owned())?;
    Ok(at.to_string())
}

/// The state of what is there, with its old word.
pub(crate) fn active() -> (i32, String) {
    (ResourceState::Active.into(), "active".to_owned())
}
