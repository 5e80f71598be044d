//! Usage.

use super::{House, at};
use crate::UsageRow;

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
