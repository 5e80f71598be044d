//! Messages and server traits of the gRPC services, made by the build script, and their descriptors. Nothing is written by hand here.

/// Every package, in the tree of its name.
#[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/services.rs"));
}

/// The encoded descriptors of every served service with its imports, HTTP annotations included.
pub const SERVICES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/services.bin"));

/// The encoded descriptors of Temporal's `WorkflowService`, which is not served: a test compares the gateway's table with it.
pub const WORKFLOW_SERVICE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/workflow.bin"));
