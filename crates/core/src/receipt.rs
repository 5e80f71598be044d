//! The receipt of a change: which gateways apply it, how fast, how many live connections were cut.

use serde::{Deserialize, Serialize};

/// One gateway's answer to a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The gateway's name.
    pub gateway: String,
    /// The revision it decides on now.
    pub revision: i64,
    /// Microseconds from the commit to its answer.
    pub micros: i64,
    /// Connections closed because their credential no longer gets in.
    pub connections_cut: u64,
    /// Requests and streams that were under way and were ended.
    pub streams_cut: u64,
}

/// What a change answers with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The store's revision that holds the change.
    pub revision: i64,
    /// Gateways that apply it.
    pub applied: Vec<Applied>,
    /// Names of connected gateways that have not answered within the bound.
    pub outstanding: Vec<String>,
}

impl Receipt {
    /// Connections cut, over all gateways.
    pub fn connections_cut(&self) -> u64 {
        self.applied.iter().map(|a| a.connections_cut).sum()
    }

    /// Streams cut, over all gateways.
    pub fn streams_cut(&self) -> u64 {
        self.applied.iter().map(|a| a.streams_cut).sum()
    }

    /// Whether every connected gateway applies it.
    pub fn in_effect(&self) -> bool {
        self.outstanding.is_empty()
    }
}
