//! Audit sinks.

use super::{House, at};
use crate::{AuditSinkRow, Page};

#[tokio::test]
async fn a_sink_keeps_its_place_which_only_rises_and_dies_with_it() {
    let house = House::new().await;
    let mut sink =
        AuditSinkRow { name: "siem".into(), document: "{}".into(), sent_to: 4, resource_version: 1, created_at: at(1), modified_at: at(1) };
    let mut write = house.store.begin().await.unwrap();
    write.put_audit_sink(&sink).await.unwrap();
    assert!(write.audit_sink_sent("siem", at(1), 9).await.unwrap());
    assert!(!write.audit_sink_sent("siem", at(1), 7).await.unwrap(), "it never goes back");
    assert!(!write.audit_sink_sent("siem", at(2), 10).await.unwrap(), "another sink of the name");
    sink.resource_version = 2;
    sink.sent_to = 0;
    write.put_audit_sink(&sink).await.unwrap();
    let kept = write.audit_sink("siem").await.unwrap().unwrap();
    assert_eq!((kept.sent_to, kept.resource_version), (9, 2), "a change leaves the place alone");
    assert_eq!(write.audit_sinks(&Page::first(10)).await.unwrap(), vec![kept]);
    assert!(write.delete_audit_sink("siem").await.unwrap() && !write.delete_audit_sink("siem").await.unwrap());
    write.commit().await.unwrap();
}
