//! How long a store takes to open, and its whole state to be read and built: `snapshot_time DIRECTORY`, on one that `bench/million` left.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use countersign_core::snapshot::Snapshot;
use countersign_store::Store;
use std::time::Instant;

#[tokio::main]
async fn main() {
    let Some(directory) = std::env::args().nth(1) else { return println!("snapshot_time DIRECTORY") };
    let begun = Instant::now();
    let store = Store::open(std::path::Path::new(&directory)).await.unwrap();
    println!("open: {:.2} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let (revision, changes) = store.read().await.unwrap().snapshot().await.unwrap();
    println!("read {} changes: {:.2} s", changes.len(), begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let snapshot = Snapshot::default().apply(revision, changes);
    println!("build, {} certificates: {:.2} s", snapshot.counts().3, begun.elapsed().as_secs_f64());
    store.close().await.unwrap();
}
