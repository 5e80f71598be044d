//! Usage.

use super::{House, at, key, user};
use crate::{KeySuccession, UsageRow};
use countersign_core::Lifetime;
use countersign_core::credential::certificate::Retirement;

fn used(credential: &str, count: i64, when: i64, source: &str) -> UsageRow {
    UsageRow { credential: credential.into(), kind: "api_key".into(), count, last_used_at: at(when), last_source: source.into() }
}

#[tokio::test]
async fn usage_adds_up_and_the_newest_use_stays() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    write.add_usage(&[used("k1", 3, 10, "10.0.0.1"), used("k2", 1, 5, "10.0.0.2")]).await.unwrap();
    write.commit_without_revision().await.unwrap();
    let mut write = house.store.begin().await.unwrap();
    write.add_usage(&[used("k1", 4, 9, "10.0.0.9"), used("k2", 1, 6, "10.0.0.3")]).await.unwrap();
    write.commit_without_revision().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.usage("k1").await.unwrap(), Some(used("k1", 7, 10, "10.0.0.1")));
    assert_eq!(read.usages(&["k2", "none", "k1"]).await.unwrap(), [used("k2", 2, 6, "10.0.0.3"), used("k1", 7, 10, "10.0.0.1")]);
    assert_eq!(read.usage("none").await.unwrap(), None);
    assert_eq!(read.revision().await.unwrap(), 0);
}

#[tokio::test]
async fn use_is_kept_by_the_minute_for_keys_that_are_being_exchanged_and_for_no_other() {
    let house = House::new().await;
    let owner = user("a@example.test", countersign_core::access::AccountRole::Read);
    let owner_id = countersign_core::IdentityId::User(owner.id.clone());
    let [old, new, other] = [0; 3].map(|_| key(&owner_id, at(1_000_000)));
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&owner).await.unwrap();
    for one in [&old, &new, &other] {
        write.put_api_key(one).await.unwrap();
    }
    write.commit().await.unwrap();
    let retirement = Some(Retirement { idle: Lifetime::from_days(1), by_itself: true, at: None });
    let mut succession = KeySuccession { predecessor: old.id.clone(), successor: new.id.clone(), retirement: None, created_at: at(100) };
    let mut write = house.store.begin().await.unwrap();
    write.put_key_succession(&succession).await.unwrap();
    let used = |key: &str, count, when| used(key, count, when, "10.0.0.1");
    for (when, count) in [(100, 2), (159, 3), (160, 4)] {
        write.add_usage_minutes(&[used(old.id.as_str(), count, when), used(other.id.as_str(), 9, when)]).await.unwrap();
    }
    write.add_usage_minutes(&[used(new.id.as_str(), 1, 160)]).await.unwrap();
    write.commit_without_revision().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    let counts =
        |rows: Vec<crate::UsageMinute>| rows.into_iter().map(|row| (row.minute.seconds() - at(0).seconds(), row.count)).collect::<Vec<_>>();
    assert_eq!(counts(read.usage_since(old.id.as_str(), at(0)).await.unwrap()), [(100, 5), (160, 4)]);
    assert_eq!(counts(read.usage_since(old.id.as_str(), at(161)).await.unwrap()), [(160, 4)]);
    assert_eq!(counts(read.usage_since(new.id.as_str(), at(0)).await.unwrap()), [(160, 1)]);
    assert!(read.usage_since(other.id.as_str(), at(0)).await.unwrap().is_empty());
    assert_eq!(read.key_succession_of(&old.id).await.unwrap(), Some(succession.clone()));
    assert_eq!(read.key_succession_to(&new.id).await.unwrap(), Some(succession.clone()));
    assert!(read.key_successions_retiring().await.unwrap().is_empty());
    drop(read);
    succession.retirement = retirement;
    let mut write = house.store.begin().await.unwrap();
    write.put_key_succession(&succession).await.unwrap();
    write.commit_without_revision().await.unwrap();
    assert_eq!(house.store.read().await.unwrap().key_successions_retiring().await.unwrap(), [succession]);
    // What is over is swept out.
    let mut write = house.store.begin().await.unwrap();
    write.delete_api_key(&old.id).await.unwrap();
    write.sweep_successions(at(230), Lifetime::from_seconds(60)).await.unwrap();
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.key_succession_of(&old.id).await.unwrap(), None);
    assert_eq!(counts(read.usage_since(old.id.as_str(), at(0)).await.unwrap()), [(160, 4)]);
}
