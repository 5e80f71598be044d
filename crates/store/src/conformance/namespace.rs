//! Namespaces and their host names.

use super::{House, clash, namespace};
use crate::{Clash, Page};
use countersign_core::Hostname;

#[tokio::test]
async fn a_namespace_comes_back_whole_and_is_found_at_each_of_its_hosts() {
    let house = House::new().await;
    let demo = namespace("demo");
    let mut write = house.store.begin().await.unwrap();
    write.put_namespace(&demo).await.unwrap();
    write.put_namespace(&namespace("other")).await.unwrap();
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.namespace(&demo.id).await.unwrap(), Some(demo.clone()));
    for host in demo.hostnames() {
        assert_eq!(read.namespace_by_hostname(host).await.unwrap().map(|found| found.id), Some(demo.id.clone()), "{host}");
    }
    let ids: Vec<_> = read.namespaces(&Page::first(10)).await.unwrap().into_iter().map(|found| found.id.to_string()).collect();
    assert_eq!(ids, ["demo.a1b2c", "other.a1b2c"]);
}

#[tokio::test]
async fn two_namespaces_are_never_reached_at_one_host() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    write.put_namespace(&namespace("demo")).await.unwrap();
    write.commit().await.unwrap();
    let mut thief = namespace("other");
    thief.extra_hostnames = vec![Hostname::parse("demo.example").unwrap()];
    assert_eq!(clash(house.store.begin().await.unwrap().put_namespace(&thief).await), Clash::Hostname);
    assert_eq!(house.store.read().await.unwrap().namespace(&thief.id).await.unwrap(), None);
    // Once the first lets go of it, it is free.
    let mut demo = namespace("demo");
    (demo.extra_hostnames, demo.resource_version) = (vec![], 2);
    let mut write = house.store.begin().await.unwrap();
    write.put_namespace(&demo).await.unwrap();
    write.put_namespace(&thief).await.unwrap();
    assert!(write.delete_namespace(&demo.id).await.unwrap() && !write.delete_namespace(&demo.id).await.unwrap());
    assert!(write.namespace_by_hostname(&demo.hostname).await.unwrap().is_none());
    write.commit().await.unwrap();
}
