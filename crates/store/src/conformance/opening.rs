//! The data directory and its start: modes, lock, versions, damage.

use super::{House, reopen, user};
use crate::{Page, Store, StoreError};
use countersign_core::AccountRole;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

fn chmod(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_new_data_directory_and_its_files_are_closed_to_others() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&user("a@example.test", AccountRole::Owner)).await.unwrap();
    write.commit().await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&house.data()), 0o700);
    let mut seen = 0;
    for file in std::fs::read_dir(house.data()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "database, WAL, lock and reserve");
}

#[tokio::test]
async fn a_directory_or_file_that_is_open_to_others_is_refused() {
    let house = House::new().await;
    let data = house.data();
    house.store.close().await.unwrap();
    drop(house.store);
    for (path, bad, good) in [(data.clone(), 0o750, 0o700), (data.join("countersign.db"), 0o644, 0o600), (data.join("lock"), 0o604, 0o600)]
    {
        chmod(&path, bad);
        let error = Store::open(&data).await.unwrap_err();
        assert!(matches!(error, StoreError::Permission { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("chmod {good:04o}")) && !text.contains('\n'), "{text}");
        chmod(&path, good);
    }
    reopen(&data).await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let read_only = place.path().join("data");
    std::fs::create_dir(&read_only).unwrap();
    chmod(&read_only, 0o500);
    assert!(matches!(Store::open(&read_only).await, Err(StoreError::Permission { .. })));
    // A place where not even root can make a directory.
    let file = place.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for impossible in [file.join("data"), file.clone()] {
        let error = Store::open(&impossible).await.unwrap_err();
        assert!(matches!(error, StoreError::Permission { .. }), "{error:?}");
        assert!(error.to_string().contains("file"), "{error}");
    }
}

#[tokio::test]
async fn a_second_start_in_one_data_directory_is_refused_and_names_the_first() {
    let house = House::new().await;
    match Store::open(&house.data()).await {
        Err(StoreError::Busy { process, .. }) => assert_eq!(process, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    let data = house.data();
    drop(house.store);
    reopen(&data).await;
}

#[tokio::test]
async fn a_second_start_finds_everything_again() {
    let house = House::new().await;
    let owner = user("a@example.test", AccountRole::Owner);
    let mut write = house.store.begin().await.unwrap();
    write.put_account(&super::account()).await.unwrap();
    write.put_user(&owner).await.unwrap();
    let revision = write.commit().await.unwrap();
    let house = house.reopened().await;
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.account().await.unwrap(), Some(super::account()));
    assert_eq!(read.user(&owner.id).await.unwrap(), Some(owner));
    assert_eq!(read.revision().await.unwrap(), revision);
    assert_eq!(read.users(&Page::first(10)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_in_one_line_and_left_alone() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    write.run(crate::sql::query("UPDATE schema_version SET version = 99")).await.unwrap();
    write.commit_without_revision().await.unwrap();
    house.store.close().await.unwrap();
    let data = house.data();
    drop(house.store);
    let before = std::fs::read(data.join("countersign.db")).unwrap();
    let error = Store::open(&data).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known } if known == crate::migrations::known()), "{error:?}");
    assert!(!error.to_string().contains('\n'));
    assert!(std::fs::read(data.join("countersign.db")).unwrap() == before, "not a byte was changed");
}

#[tokio::test]
async fn a_migration_that_is_broken_off_leaves_whole_steps() {
    // The whole first step is one transaction: a crash before its end leaves a version of nothing, and the next start begins anew.
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let store = Store::open(&data).await.unwrap();
    let mut write = store.begin().await.unwrap();
    // What refers to a table goes before it.
    for table in [
        "user_group_member",
        "user_group",
        "custom_role",
        "user_login",
        "invitation",
        "session",
        "audit_sink",
        "application",
        "issuance",
        "issuer",
        "blocked_key",
    ]
    .into_iter()
    .chain(["blocked_leaf", "foreign_crl", "notice", "setting", "key_succession", "usage_minute", "login_epoch"])
    .chain(["revoked_leaf", "applied_crl"])
    .chain(["credential_usage", "audit_head", "audit", "operation", "certificate", "api_key", "namespace_hostname", "namespace"])
    .chain(["service_account", "user_account", "account", "revision", "schema_version"])
    {
        write.run(crate::sql::query(format!("DROP TABLE {table}"))).await.unwrap();
    }
    write.run(crate::sql::query(crate::migrations::VERSION_TABLE)).await.unwrap();
    // The revision's table is gone, so this connection's commit is asked for bare.
    write.run(crate::sql::query("COMMIT")).await.unwrap();
    drop(write);
    drop(store);
    // It is made after the steps, so that a crash among them leaves none.
    std::fs::remove_file(data.join("fence")).unwrap();
    let store = reopen(&data).await;
    assert_eq!(store.read().await.unwrap().revision().await.unwrap(), 0);
}

#[tokio::test]
async fn a_damaged_database_is_refused_at_the_start() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    for n in 0..200 {
        write.put_user(&user(&format!("u{n}@example.test"), AccountRole::Read)).await.unwrap();
    }
    write.commit().await.unwrap();
    house.store.close().await.unwrap();
    let data = house.data();
    drop(house.store);
    let file = data.join("countersign.db");
    let good = std::fs::read(&file).unwrap();
    let mut torn = good.clone();
    torn.truncate(good.len() / 2);
    let mut scribbled = good.clone();
    for byte in &mut scribbled[8192..] {
        *byte ^= 0x5a;
    }
    for (what, bytes) in
        [("torn", torn), ("scribbled", scribbled), ("none", b"this is no database at all, however long it is".repeat(20).clone())]
    {
        std::fs::write(&file, bytes).unwrap();
        let error = Store::open(&data).await.unwrap_err();
        assert!(matches!(error, StoreError::Inconsistent { .. }), "{what}: {error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    std::fs::write(&file, good).unwrap();
    let store = reopen(&data).await;
    assert_eq!(store.read().await.unwrap().users(&Page::first(1000)).await.unwrap().len(), 200);
}

#[tokio::test]
async fn the_reserve_is_spent_once_and_kept_again() {
    let house = House::new().await;
    let reserve = house.data().join("reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 16 * 1024 * 1024);
    assert!(house.store.spend_reserve() && !house.store.spend_reserve());
    assert!(!reserve.exists());
    assert!(house.store.restore_reserve() && reserve.exists());
}
