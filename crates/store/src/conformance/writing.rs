//! The writer: all or nothing, one at a time, durable when it is answered.

use super::{House, entry, reopen, user};
use crate::{Page, Store, StoreError};
use countersign_core::AccountRole;
use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::sync::{Arc, Mutex};

pub(super) fn someone(n: usize) -> countersign_core::identity::User {
    user(&format!("u{n}@example.test"), AccountRole::Read)
}

#[tokio::test]
async fn a_dropped_write_has_changed_nothing() {
    let house = House::new().await;
    for n in 0..20 {
        let mut write = house.store.begin().await.unwrap();
        write.put_user(&someone(n)).await.unwrap();
        write.append_audit(entry("CreateUser", "u", "u", 0)).await.unwrap();
        drop(write);
    }
    let mut read = house.store.read().await.unwrap();
    assert!(read.users(&Page::first(10)).await.unwrap().is_empty());
    assert_eq!((read.revision().await.unwrap(), read.audit_head().await.unwrap().sequence), (0, 0));
    drop(read);
    let house = house.reopened().await;
    assert!(house.store.read().await.unwrap().users(&Page::first(10)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_reader_sees_only_what_was_committed_and_one_state() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    let made = someone(1);
    write.put_user(&made).await.unwrap();
    assert!(write.user(&made.id).await.unwrap().is_some(), "the writer sees its own change");
    let mut before = house.store.read().await.unwrap();
    assert!(before.user(&made.id).await.unwrap().is_none());
    write.commit().await.unwrap();
    assert!(before.user(&made.id).await.unwrap().is_none(), "a reader's state does not move under it");
    assert!(house.store.read().await.unwrap().user(&made.id).await.unwrap().is_some());
}

#[tokio::test]
async fn each_transaction_that_changes_anything_raises_the_revision_by_exactly_one() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    for n in 0..3 {
        write.put_user(&someone(n)).await.unwrap();
    }
    assert_eq!(write.commit().await.unwrap(), 1);
    let mut write = house.store.begin().await.unwrap();
    write.append_audit(entry("Refused", "u", "u", 0)).await.unwrap();
    assert_eq!(write.commit().await.unwrap(), 1, "an audit entry alone changes nothing that a gateway decides on");
    let mut write = house.store.begin().await.unwrap();
    write.changed();
    assert_eq!(write.commit().await.unwrap(), 2);
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&someone(7)).await.unwrap();
    assert!(matches!(write.commit_without_revision().await, Err(StoreError::Rule { .. })), "no change without a number");
    assert_eq!(house.store.read().await.unwrap().revision().await.unwrap(), 2);
    assert_eq!(house.store.read().await.unwrap().users(&Page::first(10)).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_writers_at_once_come_one_after_the_other() {
    let house = House::new().await;
    let published = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let (store, published) = (house.store.clone(), Arc::clone(&published));
            tokio::spawn(async move {
                let mut write = store.begin().await.unwrap();
                // Ten and no more: the count inside the writing transaction cannot be outrun.
                if write.users(&Page::first(100)).await.unwrap().len() >= 10 {
                    return;
                }
                write.put_user(&someone(n)).await.unwrap();
                write.append_audit(entry("CreateUser", "u", "u", 0)).await.unwrap();
                write.commit_then(move |revision| published.lock().unwrap().push(revision)).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.users(&Page::first(1000)).await.unwrap().len(), 10);
    assert_eq!(read.verify_audit().await.unwrap().sequence, 10);
    assert_eq!(*published.lock().unwrap(), (1..=10).collect::<Vec<i64>>(), "publications come in the order of the revisions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_that_is_dropped_anywhere_leaves_the_writer_in_order() {
    let house = House::new().await;
    // Polled a different number of times each round, so that it is dropped at every place it can wait at.
    let mut finished = 0_usize;
    for polls in 0..60 {
        let store = house.store.clone();
        let mut work = Box::pin(async move {
            let mut write = store.begin().await?;
            write.put_user(&someone(polls)).await?;
            write.append_audit(entry("CreateUser", "u", "u", 0)).await?;
            write.commit().await
        });
        for _ in 0..polls {
            if let std::task::Poll::Ready(done) = futures_poll(&mut work).await {
                done.unwrap();
                finished += 1;
                break;
            }
        }
        drop(work);
        let mut write = house.store.begin().await.unwrap();
        assert_eq!(write.users(&Page::first(1000)).await.unwrap().len() as i64, write.revision().await.unwrap());
        write.commit().await.unwrap();
    }
    let mut read = house.store.read().await.unwrap();
    let users = read.users(&Page::first(1000)).await.unwrap().len() as i64;
    assert_eq!((read.revision().await.unwrap(), read.verify_audit().await.unwrap().sequence), (users, users));
    assert!(users as usize >= finished);
}

/// Polls once, after giving everything else a turn.
async fn futures_poll<F: Future + Unpin>(work: &mut F) -> std::task::Poll<F::Output> {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *work).poll(context))).await
}

#[tokio::test]
async fn a_write_in_which_a_statement_failed_goes_no_further() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    let first = someone(1);
    write.put_user(&first).await.unwrap();
    let twin = user(&first.email, AccountRole::Read);
    assert!(write.put_user(&twin).await.is_err());
    assert!(write.put_user(&someone(2)).await.is_err());
    assert!(write.commit().await.is_err());
    assert!(house.store.read().await.unwrap().users(&Page::first(10)).await.unwrap().is_empty());
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&first).await.unwrap();
    assert_eq!(write.commit().await.unwrap(), 1);
}

#[tokio::test]
async fn a_full_disk_refuses_the_change_and_nothing_else() {
    let house = House::new().await;
    let kept = someone(0);
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&kept).await.unwrap();
    write.commit().await.unwrap();
    {
        // SQLite says the same of a file that may not grow as of a full device.
        let turn = house.store.engine.writer_for_tests().await;
        let connection = turn.connection().unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages).unwrap();
    }
    let mut write = house.store.begin().await.unwrap();
    let mut refusal = None;
    for n in 1..2000 {
        if let Err(error) = write.put_user(&someone(n)).await {
            refusal = Some(error);
            break;
        }
    }
    assert!(matches!(refusal, Some(StoreError::Full)), "{refusal:?}");
    assert!(write.append_audit(entry("CreateUser", "u", "u", 0)).await.is_err());
    assert!(write.commit().await.is_err());
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.users(&Page::first(9999)).await.unwrap(), vec![kept], "reads go on, and nothing of it is there");
    assert_eq!(read.audit_head().await.unwrap().sequence, 0);
    // Space is back: the same process writes again.
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&someone(1)).await.unwrap();
    assert_eq!(write.commit().await.unwrap(), 2);
}

/// The other side of the next test; alone it does nothing.
#[tokio::test]
async fn kill_nine_child() {
    let Ok(data) = std::env::var("COUNTERSIGN_STORE_KILL_NINE") else { return };
    let store = Store::open(std::path::Path::new(&data)).await.unwrap();
    let offset = store.read().await.unwrap().users(&Page::first(99_999)).await.unwrap().len();
    for n in offset.. {
        let mut write = store.begin().await.unwrap();
        let made = someone(n);
        write.put_user(&made).await.unwrap();
        write.append_audit(entry("CreateUser", "u", made.id.as_str(), 0)).await.unwrap();
        write.commit().await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {}", made.email).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn kill_nine_loses_nothing_that_was_acknowledged() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut acknowledged = BTreeSet::new();
    for round in 0..6_usize {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "conformance::writing::kill_nine_child", "--nocapture"])
            .env("COUNTERSIGN_STORE_KILL_NINE", &data)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            // The test harness writes its own words in front of the first line.
            line.split_once("acknowledged ").map(|(_, email)| acknowledged.insert(email.to_owned())).unwrap_or_default()
        };
        let mut seen = 0;
        while seen < 15 + round {
            if note(lines.next().unwrap().unwrap()) {
                seen += 1;
            }
        }
        child.kill().unwrap();
        lines.map_while(Result::ok).for_each(|line| {
            note(line);
        });
        child.wait().unwrap();
        let store = reopen(&data).await;
        let mut read = store.read().await.unwrap();
        let users = read.users(&Page::first(99_999)).await.unwrap();
        let there: BTreeSet<_> = users.iter().map(|user| user.email.clone()).collect();
        assert!(acknowledged.is_subset(&there), "lost: {:?}", acknowledged.difference(&there));
        assert!(there.len() <= acknowledged.len() + round + 1, "at most one unacknowledged change a kill");
        let head = read.verify_audit().await.unwrap();
        assert_eq!((head.sequence, read.revision().await.unwrap()), (users.len() as i64, users.len() as i64));
    }
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_answered() {
    let house = House::new().await;
    let turn = house.store.engine.writer_for_tests().await;
    let connection = turn.connection().unwrap();
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    let [synchronous, foreign_keys] = ["synchronous", "foreign_keys"]
        .map(|name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap());
    assert_eq!((journal.as_str(), synchronous, foreign_keys), ("wal", 2, 1), "WAL with FULL syncs at each commit");
}

#[tokio::test]
async fn the_reserve_lets_a_revocation_through_on_a_full_device() {
    let place = tempfile::tempdir().unwrap();
    let Some(_device) = countersign_testkit::SmallDevice::mount(place.path(), 32) else { return };
    let data = place.path().join("data");
    let store = Store::open(&data).await.unwrap();
    let victim = someone(0);
    let mut write = store.begin().await.unwrap();
    write.put_user(&victim).await.unwrap();
    write.commit().await.unwrap();
    // Somebody else fills the device to the last byte.
    let filler = place.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    for size in [65_536, 4_096, 512, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    let mut refusal = None;
    for n in 1..5_000 {
        let mut write = store.begin().await.unwrap();
        let put = write.put_user(&someone(n)).await;
        let done = match put {
            Ok(()) => write.commit().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            refusal = Some(error);
            break;
        }
    }
    assert!(matches!(refusal, Some(StoreError::Full)), "{refusal:?}");
    let mut read = store.read().await.unwrap();
    let (before, users) = (read.revision().await.unwrap(), read.users(&Page::first(99_999)).await.unwrap().len());
    assert_eq!(before, users as i64, "reads go on, and nothing half is there");
    drop(read);
    assert!(store.spend_reserve());
    assert!(matches!(store.begin().await.map(drop), Err(StoreError::Full)), "the space is not for other changes");
    let mut write = store.begin_on_reserve().await.unwrap();
    assert!(write.delete_user(&victim.id).await.unwrap());
    write.append_audit(entry("DeleteUser", "u", victim.id.as_str(), 0)).await.unwrap();
    assert_eq!(write.commit().await.unwrap(), before + 1, "what takes access away still works");
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    assert!(store.restore_reserve());
}
