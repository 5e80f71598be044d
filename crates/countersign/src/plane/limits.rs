//! Limits of the process itself: as many descriptors as it may have, and no core dumps, in which secrets would lie. Also how many
//! connections each port may hold of those descriptors.

use countersign_core::connection_limiter::ConnectionLimits;
use countersign_server::listener;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections of the ports beside the gateway's, which takes a third of the descriptors and leaves a third for its upstreams.
#[derive(Clone, Copy, Debug)]
pub struct PortLimits {
    /// The control plane.
    pub control: ConnectionLimits,
    /// What issuers publish.
    pub pki: ConnectionLimits,
    /// Metrics and health.
    pub metrics: ConnectionLimits,
}

/// Shares of `files` descriptors; none means that there is no limit.
fn ports(files: Option<u64>) -> PortLimits {
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let share = |part: usize, most: usize| listener::limits((files / part).clamp(8, most));
    PortLimits { control: share(4, 1024), pki: share(24, 512), metrics: share(32, 128) }
}

/// Raises the soft limit of open files to the hard one, and turns core dumps off. A system that does not let us is told of in
/// the log: every port then bounds its connections by what there is.
pub fn set() -> PortLimits {
    let files = getrlimit(Resource::Nofile);
    if files.current != files.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps could not be turned off");
    }
    ports(getrlimit(Resource::Nofile).current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ports_together_leave_descriptors_for_storage() {
        for files in [256_u64, 1024, 4096, 1 << 20] {
            let few = ports(Some(files));
            let gateway = (files as usize / 3).min(50_000);
            let all = few.control.total + few.pki.total + few.metrics.total + 2 * gateway;
            assert!(all < files as usize, "{files}: {all}");
        }
        assert_eq!(ports(Some(1024)).control.per_address, 224);
        assert_eq!(ports(None).control.total, 1024);
    }
}
