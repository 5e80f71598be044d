//! The audit trail.

use super::{House, at, entry};
use crate::{AuditFilter, AuditPage, StoreError};

const ALL: AuditPage = AuditPage { size: 100, after: None, descending: false };

async fn filled() -> House {
    let house = House::new().await;
    for n in 0..6 {
        let mut write = house.store.begin().await.unwrap();
        for (action, object) in [("CreateApiKey", "k1"), ("DeleteApiKey", "k2")] {
            write.append_audit(entry(action, if n % 2 == 0 { "u1" } else { "u2" }, object, n)).await.unwrap();
        }
        write.commit().await.unwrap();
    }
    house
}

#[tokio::test]
async fn the_chain_goes_on_across_transactions_and_restarts() {
    let house = filled().await.reopened().await;
    let mut write = house.store.begin().await.unwrap();
    let last = write.append_audit(entry("Login", "u1", "", 9)).await.unwrap();
    assert_eq!(last.sequence, 13);
    assert_eq!(write.audit_head().await.unwrap().hash, last.hash);
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    let all = read.audit(&AuditFilter::default(), &ALL).await.unwrap();
    let mut verifier = countersign_core::audit::Verifier::default();
    all.iter().for_each(|chained| verifier.check(chained).unwrap());
    assert_eq!(read.verify_audit().await.unwrap().sequence, 13);
}

#[tokio::test]
async fn entries_are_found_by_who_what_and_when() {
    let house = filled().await;
    let mut read = house.store.read().await.unwrap();
    let mut count = async |filter: AuditFilter| {
        let mut counts = Vec::new();
        for descending in [false, true] {
            counts.push(read.audit(&filter, &AuditPage { descending, ..ALL }).await.unwrap().len());
        }
        assert_eq!(counts[0], counts[1]);
        counts[0]
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(count(AuditFilter::default()).await, 12);
    assert_eq!(count(AuditFilter { actor_id: some("u1"), ..AuditFilter::default() }).await, 6);
    assert_eq!(count(AuditFilter { object_id: some("k2"), ..AuditFilter::default() }).await, 6);
    assert_eq!(count(AuditFilter { object_id: some("k2"), actor_id: some("u2"), ..AuditFilter::default() }).await, 3);
    assert_eq!(count(AuditFilter { action: some("CreateApiKey"), ..AuditFilter::default() }).await, 6);
    assert_eq!(count(AuditFilter { action: some("CreateApiKey"), object_id: some("k2"), ..AuditFilter::default() }).await, 0);
    assert_eq!(count(AuditFilter { from: Some(at(2)), to: Some(at(4)), ..AuditFilter::default() }).await, 4);
    assert_eq!(count(AuditFilter { result: some("denied"), ..AuditFilter::default() }).await, 0);
    assert_eq!(count(AuditFilter { object_kind: some("api_key"), operation_id: some("x"), ..AuditFilter::default() }).await, 0);
}

#[tokio::test]
async fn pages_of_entries_follow_each_other_both_ways() {
    let house = filled().await;
    let mut read = house.store.read().await.unwrap();
    for descending in [false, true] {
        let mut seen = Vec::new();
        let mut page = AuditPage { size: 5, after: None, descending };
        loop {
            let part = read.audit(&AuditFilter::default(), &page).await.unwrap();
            let Some(last) = part.last() else { break };
            page.after = Some(last.sequence);
            seen.extend(part.iter().map(|chained| chained.sequence));
        }
        let mut expected: Vec<i64> = (1..=12).collect();
        if descending {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_trail_that_was_tampered_with_is_found_out() {
    for (tampering, found) in [
        ("UPDATE audit SET object_after = '{ }' WHERE sequence = 4", "entry 4 was changed"),
        ("UPDATE audit SET actor_id = 'u9' WHERE sequence = 12", "entry 12 was changed"),
        ("DELETE FROM audit WHERE sequence = 7", "entry 7 is missing"),
        ("DELETE FROM audit WHERE sequence = 1", "entry 1 is missing"),
        ("DELETE FROM audit WHERE sequence > 10", "ends at entry 10"),
        ("UPDATE audit_head SET sequence = 11", "ends at entry 12"),
    ] {
        let house = filled().await;
        let mut write = house.store.begin().await.unwrap();
        write.run(crate::sql::query(tampering)).await.unwrap();
        write.commit_without_revision().await.unwrap();
        match house.store.read().await.unwrap().verify_audit().await {
            Err(StoreError::Inconsistent { detail }) => assert!(detail.contains(found), "{tampering}: {detail}"),
            other => panic!("{tampering}: {other:?}"),
        }
    }
}
