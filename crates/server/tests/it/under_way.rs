//! How many changes may be under way at once on the REST surface, and what is never kept out by it.

use crate::harness::{Plane, id_of};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn more_changes_at_once_than_the_bound_are_told_to_come_again_and_none_is_kept_from_taking_access_away() {
    let plane = Plane::start().await;
    let (machine, key) = plane.machine("m", "read", json!({})).await;
    let (other, second) = plane.machine("o", "developer", json!({})).await;
    // A gateway that does not answer: every change waits for its second.
    plane.fleet.hangs.store(true, Ordering::SeqCst);
    let flood = (0..320).map(|n| {
        let body = json!({"name": format!("flood-{n}"), "access": {"accountRole": "read", "namespacePermissions": {}}});
        let plane = &plane;
        async move { plane.post("/service-accounts", &plane.owner, body).await }
    });
    let disable = format!("/api-keys/{}/disable", id_of(&key));
    let get = format!("/service-accounts/{machine}");
    let (delete, patch) = (format!("/api-keys/{}", id_of(&second)), format!("/service-accounts/{other}"));
    let taken = async {
        let disabled = plane.post(&disable, &plane.owner, json!({})).await;
        let lowered = plane.call("PATCH", &patch, &plane.owner, json!({"accountRole": "read"})).await;
        let raised = plane.call("PATCH", &patch, &plane.owner, json!({"accountRole": "developer"})).await;
        (disabled, lowered, raised, plane.call("DELETE", &delete, &plane.owner, Value::Null).await)
    };
    let reading = plane.get(&get, &plane.owner);
    let (answers, (disabled, lowered, raised, deleted), read) = tokio::join!(futures_util::future::join_all(flood), taken, reading);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.code() == "rate_limited").collect();
    // Those who find no room wait two seconds, in which each of 64 places is free twice at most.
    assert!((64..=192).contains(&(answers.len() - refused.len())), "{} were refused", refused.len());
    assert_eq!(refused[0].status, 429);
    assert!(
        disabled.status < 300 && lowered.status < 300 && deleted.status < 300 && read.status < 300,
        "{disabled:?} {lowered:?} {deleted:?}"
    );
    drop(raised);
    // When they are through there is room again, and what was refused is not in the trail.
    plane.fleet.hangs.store(false, Ordering::SeqCst);
    let body = json!({"name": "afterwards", "access": {"accountRole": "read", "namespacePermissions": {}}});
    plane.post("/service-accounts", &plane.owner, body).await.ok();
    let trail = plane.audit().await;
    assert!(!trail.iter().any(|entry| entry["result"] == "rate_limited"), "a flood does not become writes");
}
