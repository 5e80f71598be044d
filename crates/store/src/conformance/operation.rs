//! Operations.

use super::{House, at, clash, operation};
use crate::{Clash, StoreError};
use countersign_core::operation::OperationState;
use countersign_core::receipt::{Applied, Receipt};

#[tokio::test]
async fn an_operation_is_one_and_ends_once() {
    let house = House::new().await;
    let open = operation(OperationState::InProgress);
    let mut write = house.store.begin().await.unwrap();
    write.put_operation(&open).await.unwrap();
    write.put_operation(&operation(OperationState::Fulfilled)).await.unwrap();
    assert_eq!(write.commit().await.unwrap(), 0);
    let house = house.reopened().await;
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.unfinished_operations().await.unwrap(), vec![open.clone()], "after a restart it is taken up again");
    drop(read);
    assert_eq!(clash(house.store.begin().await.unwrap().put_operation(&open).await), Clash::Id);
    let receipt = Receipt {
        revision: 3,
        applied: vec![Applied { gateway: "g".into(), revision: 3, micros: 1, connections_cut: 2, streams_cut: 1 }],
        outstanding: vec![],
    };
    let mut write = house.store.begin().await.unwrap();
    assert!(write.finish_operation(&open.id, OperationState::Fulfilled, "", Some(&receipt), at(9)).await.unwrap());
    assert!(!write.finish_operation(&open.id, OperationState::Failed, "late", None, at(10)).await.unwrap());
    write.commit_without_revision().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    let ended = read.operation(&open.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.finished_at, ended.receipt), (OperationState::Fulfilled, Some(at(9)), Some(receipt)));
    assert!(read.unfinished_operations().await.unwrap().is_empty());
    drop(read);
    let mut write = house.store.begin().await.unwrap();
    let no_end = write.finish_operation(&open.id, OperationState::InProgress, "", None, at(9)).await;
    assert!(matches!(no_end, Err(StoreError::Rule { .. })));
}
