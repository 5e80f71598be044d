//! Limits of the process itself: as many descriptors as it may have, and no core dumps, in which secrets would lie.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and turns core dumps off. A system that does not let us is told of in
/// the log: the gateway then bounds its connections by what there is.
pub fn set() {
    let files = getrlimit(Resource::Nofile);
    if files.current != files.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps could not be turned off");
    }
}
