//! Writers that share a sync: each is whole for itself, none is answered before all is durable, and what fails for one is told to all
//! whom it concerns.

use super::{House, user};
use crate::sql::query;
use crate::{Page, StoreError};
use countersign_core::AccountRole;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

fn someone(n: usize) -> countersign_core::identity::User {
    user(&format!("u{n}@example.test"), AccountRole::Read)
}

async fn emails(house: &House) -> Vec<String> {
    let mut read = house.store.read().await.unwrap();
    let mut emails: Vec<String> = read.users(&Page::first(100)).await.unwrap().into_iter().map(|user| user.email).collect();
    emails.sort();
    emails
}

/// A writer that waits for its turn, then does `with` and waits to be let go before it ends.
fn writer(house: &House, go: &Arc<Notify>, n: usize, with: &'static [&'static str], commits: bool) -> JoinHandle<Result<i64, StoreError>> {
    let (store, go) = (house.store.clone(), Arc::clone(go));
    tokio::spawn(async move {
        let mut write = store.begin().await?;
        write.put_user(&someone(n)).await?;
        for statement in with {
            write.run(query(*statement)).await?;
        }
        go.notified().await;
        if commits { write.commit().await } else { Ok(0) }
    })
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_behind_which_another_waits_is_answered_with_that_one_and_not_before() {
    let house = House::new().await;
    let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let one = writer(&house, &first, 1, &[], true);
    settle().await;
    let two = writer(&house, &second, 2, &[], true);
    settle().await;
    first.notify_one();
    settle().await;
    assert!(!one.is_finished(), "it shares the sync of the one that waited");
    assert!(emails(&house).await.is_empty(), "and is not there before");
    second.notify_one();
    assert_eq!((one.await.unwrap().unwrap(), two.await.unwrap().unwrap()), (1, 2));
    assert_eq!(emails(&house).await, ["u1@example.test", "u2@example.test"]);
}

#[tokio::test]
async fn a_change_that_is_dropped_takes_only_itself_back() {
    let house = House::new().await;
    let (first, second, third) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let one = writer(&house, &first, 1, &[], true);
    settle().await;
    let two = writer(&house, &second, 2, &[], false);
    let three = writer(&house, &third, 3, &[], true);
    settle().await;
    first.notify_one();
    settle().await;
    second.notify_one();
    two.await.unwrap().unwrap();
    settle().await;
    assert!(one.is_finished(), "whoever leaves without a change answers by what he saw, so that is durable by then");
    assert_eq!(emails(&house).await, ["u1@example.test"]);
    third.notify_one();
    assert_eq!((one.await.unwrap().unwrap(), three.await.unwrap().unwrap()), (1, 2));
    assert_eq!(emails(&house).await, ["u1@example.test", "u3@example.test"]);
}

#[tokio::test]
async fn a_statement_that_is_refused_costs_nobody_else_his_change() {
    let house = House::new().await;
    let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let one = writer(&house, &first, 1, &[], true);
    settle().await;
    // The same address again: a clash, found while the first one's change is not durable yet.
    let two = writer(&house, &second, 1, &[], true);
    settle().await;
    first.notify_one();
    assert!(matches!(two.await.unwrap(), Err(StoreError::Conflict { .. })));
    assert_eq!(one.await.unwrap().unwrap(), 1);
    assert_eq!(emails(&house).await, ["u1@example.test"]);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_each_that_shared_it() {
    let house = House::new().await;
    let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let one = writer(&house, &first, 1, &[], true);
    settle().await;
    // A member of a group that there is none of, which is looked at when the transaction ends.
    const BROKEN: &[&str] = &["PRAGMA defer_foreign_keys = ON", "INSERT INTO user_group_member VALUES ('none', 'none', 0)"];
    let two = writer(&house, &second, 2, BROKEN, true);
    settle().await;
    first.notify_one();
    settle().await;
    assert!(!one.is_finished());
    second.notify_one();
    assert!(matches!(two.await.unwrap(), Err(StoreError::Rule { .. })));
    assert!(matches!(one.await.unwrap(), Err(StoreError::Rule { .. })), "one transaction is kept whole or not at all");
    assert!(emails(&house).await.is_empty());
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&someone(4)).await.unwrap();
    assert_eq!(write.commit().await.unwrap(), 1, "and the writer goes on");
}

#[tokio::test]
async fn who_asks_many_things_in_a_row_lets_others_have_their_turn() {
    let house = House::new().await;
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (store, counted) = (house.store.clone(), Arc::clone(&asked));
    let long = tokio::spawn(async move {
        let mut read = store.read().await.unwrap();
        for _ in 0..5_000 {
            read.revision().await.unwrap();
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    // One thread runs both: that this goes on before the other is through is what was promised.
    while asked.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) < 5_000);
    long.await.unwrap();
}
