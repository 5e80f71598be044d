//! What a start says of a database that lost its last changes.

use super::writing::someone;
use super::{House, entry};
use crate::{OlderDatabase, Store, StoreError};
use std::path::{Path, PathBuf};

const DATABASE: &str = "countersign.db";
const LOG: &str = "countersign.db-wal";
const FENCE: &str = "fence";

/// A change that takes something away, and the revision that holds it.
async fn change(store: &Store, n: usize) -> i64 {
    let mut write = store.begin().await.unwrap();
    write.put_user(&someone(n)).await.unwrap();
    write.append_audit(entry("DeleteUser", "u", "x", n as i64)).await.unwrap();
    write.takes_away(format!("user {n}"));
    write.commit().await.unwrap()
}

/// These files of a store that is still open, as a crash or a copy leaves them.
fn copied(house: &House, names: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&data).unwrap();
    for name in names {
        std::fs::copy(house.data().join(name), data.join(name)).unwrap();
    }
    (place, data)
}

async fn refusal(data: &Path) -> (OlderDatabase, String) {
    let error = Store::open(data).await.expect_err("an older database is refused");
    let text = error.to_string();
    match error {
        StoreError::Older { older, .. } => (*older, text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_database_without_its_last_changes_is_refused_and_both_revisions_are_named() {
    let house = House::new().await;
    let first = change(&house.store, 1).await;
    // What a checkpoint moved into the main file is there without the log.
    rusqlite::Connection::open(house.data().join(DATABASE)).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut last = first;
    for n in 2..5 {
        last = change(&house.store, n).await;
    }
    let (_whole, data) = copied(&house, &[DATABASE, LOG, FENCE]);
    let mut read = Store::open(&data).await.unwrap().read().await.unwrap();
    assert_eq!(read.revision().await.unwrap(), last, "with its log it is the last one");

    let (_place, data) = copied(&house, &[DATABASE, FENCE]);
    let (older, text) = refusal(&data).await;
    assert_eq!((older.revision, older.fence_revision), (Some(first), Some(last)));
    assert_eq!((older.let_in_again, older.incomplete), (vec!["user 4".into(), "user 3".into(), "user 2".into()], false));
    for word in [&first.to_string(), &last.to_string(), "backup", "--accept-older-database", "user 4"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // It is refused again, until it is accepted and that is written.
    let (store, older) = Store::open_older(&data).await.unwrap();
    assert_eq!(older.unwrap().let_in_again.len(), 3);
    drop(store);
    refusal(&data).await;
    let (store, _) = Store::open_older(&data).await.unwrap();
    let mut write = store.begin().await.unwrap();
    write.append_audit(entry("AcceptOlderDatabase", "s", "x", 9)).await.unwrap();
    write.commit_without_revision().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let (_store, older) = Store::open_older(&data).await.unwrap();
    assert_eq!(older, None, "from then on it is the last one");
}

#[tokio::test]
async fn a_flipped_byte_in_the_log_is_told_wherever_it_loses_a_change() {
    let house = House::new().await;
    for n in 1..4 {
        change(&house.store, n).await;
    }
    let bytes = std::fs::metadata(house.data().join(LOG)).unwrap().len() as usize;
    for at in [40, bytes / 2, bytes - 100] {
        let (_place, data) = copied(&house, &[DATABASE, LOG, FENCE]);
        let mut log = std::fs::read(data.join(LOG)).unwrap();
        log[at] ^= 0x10;
        std::fs::write(data.join(LOG), log).unwrap();
        refusal(&data).await;
    }
}

#[tokio::test]
async fn a_crash_between_a_commit_and_its_fence_starts_as_if_nothing_had_been() {
    let house = House::new().await;
    change(&house.store, 1).await;
    let fence = std::fs::read(house.data().join(FENCE)).unwrap();
    let last = change(&house.store, 2).await;
    let whole = std::fs::read(house.data().join(FENCE)).unwrap();
    let mut torn = whole.clone();
    let newer = (0..2).find(|slot| fence[slot * 512..][..512] != whole[slot * 512..][..512]).unwrap();
    torn[newer * 512 + 40] ^= 1;
    for left in [fence, torn] {
        let (_place, data) = copied(&house, &[DATABASE, LOG]);
        std::fs::write(data.join(FENCE), left).unwrap();
        std::fs::set_permissions(data.join(FENCE), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let store = Store::open(&data).await.unwrap();
        assert_eq!(store.read().await.unwrap().revision().await.unwrap(), last);
    }
}

#[tokio::test]
async fn a_missing_or_damaged_fence_and_a_missing_database_are_no_way_round() {
    let house = House::new().await;
    change(&house.store, 1).await;
    // The main file alone, copied before anything was moved into it since the start.
    let (_place, data) = copied(&house, &[DATABASE]);
    assert!(refusal(&data).await.0.reason.contains("missing"));
    let (_place, data) = copied(&house, &[DATABASE, LOG]);
    assert!(refusal(&data).await.0.reason.contains("missing"));
    let (_place, data) = copied(&house, &[DATABASE, LOG, FENCE]);
    std::fs::write(data.join(FENCE), b"CSFENCE1").unwrap();
    assert!(refusal(&data).await.0.reason.contains("damaged"));
    // One damaged record, and the change that it told of is gone as well.
    for at in [100, 600] {
        let (_place, data) = copied(&house, &[DATABASE, FENCE]);
        let mut fence = std::fs::read(data.join(FENCE)).unwrap();
        fence[at] ^= 1;
        std::fs::write(data.join(FENCE), fence).unwrap();
        refusal(&data).await;
    }
    for beside in ["master.key", "master.key.wrapped", FENCE] {
        for empty in [false, true] {
            let (_place, data) = copied(&house, &[FENCE]);
            std::fs::rename(data.join(FENCE), data.join(beside)).unwrap();
            if empty {
                std::fs::copy(data.join(beside), data.join(DATABASE)).unwrap();
                std::fs::write(data.join(DATABASE), b"").unwrap();
                std::fs::copy(house.data().join(LOG), data.join(LOG)).unwrap();
            }
            assert!(refusal(&data).await.0.reason.contains("missing or empty"), "{beside}");
            assert_eq!(data.join(LOG).exists(), empty, "a log beside an empty file is not thrown away");
        }
    }
}

#[tokio::test]
async fn another_database_or_another_history_is_refused() {
    let (house, other) = (House::new().await, House::new().await);
    change(&house.store, 1).await;
    for n in 1..5 {
        change(&other.store, n).await;
    }
    let (_place, data) = copied(&other, &[DATABASE, LOG]);
    std::fs::copy(house.data().join(FENCE), data.join(FENCE)).unwrap();
    assert!(refusal(&data).await.0.reason.contains("not the database"));
    // The same database, gone on from an older copy of it.
    let (_place, data) = copied(&house, &[DATABASE, LOG, FENCE]);
    let copy = Store::open(&data).await.unwrap();
    for n in 10..15 {
        change(&copy, n).await;
    }
    change(&house.store, 2).await;
    copy.close().await.unwrap();
    drop(copy);
    std::fs::copy(house.data().join(FENCE), data.join(FENCE)).unwrap();
    assert!(refusal(&data).await.0.reason.contains("audit entry"));
}

#[tokio::test]
async fn a_data_directory_of_an_older_version_gets_its_fence_at_the_first_start() {
    let house = House::new().await;
    let last = change(&house.store, 1).await;
    let (_place, data) = copied(&house, &[DATABASE, LOG]);
    let raw = rusqlite::Connection::open(data.join(DATABASE)).unwrap();
    raw.execute_batch("DELETE FROM setting WHERE name = 'fence'").unwrap();
    drop(raw);
    let store = Store::open(&data).await.unwrap();
    assert!(data.join(FENCE).exists());
    assert_eq!(store.read().await.unwrap().revision().await.unwrap(), last);
    drop(store);
    std::fs::remove_file(data.join(FENCE)).unwrap();
    let error = loop {
        match Store::open(&data).await {
            Err(StoreError::Busy { .. }) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert!(matches!(error, Err(StoreError::Older { .. })), "{error:?}");
}
