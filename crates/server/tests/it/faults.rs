//! Issuing over a store that fails, one call after the other: nothing signed is unknown, nothing half-made is usable, the trail explains
//! it, and the same request goes through once the store does again (rule D12 of research/pki.md, promise P20).

use crate::harness::Plane;
use crate::issuing::{Gate, application, assert_every_intent_has_one_end, csr, key, order, plane, with_one_blocking_thread};
use countersign_core::id::OperationId;
use countersign_core::identity::IdentityId;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::rest::CreateCertificate;
use countersign_server::app::caller::Caller;
use countersign_server::app::certificates;
use countersign_testkit::{Faults, Lasting};
use serde_json::Value;

async fn unsettled(plane: &Plane) -> usize {
    let after_all = Timestamp::from_seconds(i64::MAX / 2_000_000);
    plane.store.read().await.unwrap().unsettled_issuances(after_all).await.unwrap().len()
}

/// How many certificates of this alias there are, revoked ones included.
async fn of_alias(plane: &Plane, alias: &str) -> usize {
    let list = plane.get("/certificates?page_size=1000", &plane.owner).await.ok();
    list["items"].as_array().unwrap().iter().filter(|one| one["alias"] == alias).count()
}

/// After the fault: nothing is half-made, what was intended is settled, and the same operation ends with one certificate.
async fn assert_it_ends_well(plane: &Plane, name: &str, body: &Value, was_issued: bool) {
    assert_eq!(of_alias(plane, name).await, usize::from(was_issued), "{name}");
    plane.assert_snapshot_is_the_stores().await;
    plane.clock.advance(Lifetime::from_seconds(61));
    plane.app.settle_issuances().await;
    assert_eq!(unsettled(plane).await, 0, "{name}");
    let made = plane.again("/certificates", &plane.owner, body, name).await.ok();
    let again = plane.again("/certificates", &plane.owner, body, name).await.ok();
    assert_eq!((made["id"].as_str(), of_alias(plane, name).await), (again["id"].as_str(), 1), "{name}");
}

fn body(name: &str) -> Value {
    order("app", &csr(&key(), &format!("/CN={name}")))
}

/// What an issuance writes, row by row.
async fn steps(plane: &Plane, faults: &mut Faults) -> Vec<String> {
    faults.record().await;
    plane.again("/certificates", &plane.owner, &body("recorded"), "recorded").await.ok();
    let steps = faults.recorded();
    faults.mend().await;
    for needed in [
        "INSERT issuance",
        "INSERT audit",
        "UPDATE audit_head",
        "UPDATE issuance",
        "INSERT certificate",
        "INSERT operation",
        "UPDATE revision",
    ] {
        assert!(steps.iter().any(|step| step == needed), "{needed} is not among {steps:?}");
    }
    steps
}

#[tokio::test]
async fn d12_each_write_of_an_issuance_fails_once_and_nothing_half_made_is_left() {
    let plane = plane().await;
    application(&plane, "app").await;
    let mut faults = Faults::of(&plane.directory.path().join("data"));
    let steps = steps(&plane, &mut faults).await;
    for lasting in [Lasting::Once, Lasting::UntilMended] {
        for (at, step) in steps.iter().enumerate() {
            let (name, at) = (format!("{lasting:?}-{}-{}", at + 1, step.replace(' ', "-")), at + 1);
            let body = body(&name);
            faults.fail_at(at, lasting).await;
            let intended = |trail: &[Value]| trail.iter().filter(|entry| entry["action"] == "IntendCertificate").count();
            let before = intended(&plane.audit().await);
            plane.again("/certificates", &plane.owner, &body, &name).await.refused(503, "unavailable");
            let second_step = intended(&plane.audit().await) > before;
            let left = usize::from(second_step && lasting == Lasting::UntilMended);
            assert_eq!(unsettled(&plane).await, left, "{name}: what cannot be given up at once waits for that");
            faults.mend().await;
            assert_it_ends_well(&plane, &name, &body, false).await;
        }
    }
    faults.mend().await;
    let second = steps.len() - steps.iter().position(|step| step == "UPDATE issuance").unwrap();
    assert_eq!(assert_every_intent_has_one_end(&plane).await, 2 * second, "each that failed after its intent was given up");
}

#[tokio::test]
async fn d12_each_commit_of_an_issuance_fails_and_nothing_half_made_is_left() {
    let plane = plane().await;
    application(&plane, "app").await;
    let mut faults = Faults::of(&plane.directory.path().join("data"));
    let steps = steps(&plane, &mut faults).await;
    let second = 1 + steps.iter().position(|step| step == "UPDATE issuance").unwrap();
    for lasting in [Lasting::Once, Lasting::UntilMended] {
        for at in [1, second] {
            let name = format!("commit-{lasting:?}-{at}");
            let body = body(&name);
            faults.fail_the_commit_of(at, lasting).await;
            plane.again("/certificates", &plane.owner, &body, &name).await.refused(503, "unavailable");
            assert_eq!(unsettled(&plane).await, usize::from(at == second && lasting == Lasting::UntilMended), "{name}");
            faults.mend().await;
            assert_it_ends_well(&plane, &name, &body, false).await;
        }
    }
    faults.mend().await;
    assert_eq!(assert_every_intent_has_one_end(&plane).await, 2);
}

async fn poll<F: Future>(work: &mut std::pin::Pin<Box<F>>) -> Option<F::Output> {
    tokio::task::yield_now().await;
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// Lets every table be unreadable in turn, from the beginning or from the moment the intent is durable.
#[test]
fn d12_each_table_becomes_unreadable_before_or_after_the_intent_and_nothing_half_made_is_left() {
    with_one_blocking_thread(each_table_becomes_unreadable());
}

async fn each_table_becomes_unreadable() {
    let plane = plane().await;
    application(&plane, "app").await;
    let owner = plane.get("/users", &plane.owner).await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let mut faults = Faults::of(&plane.directory.path().join("data"));
    // The issuer's key is opened at its first use, on the thread that the gate is to keep.
    plane.again("/certificates", &plane.owner, &body("first"), "first").await.ok();
    let (mut refused, mut abandoned) = (0, 0);
    for table in faults.tables() {
        for intended in [false, true] {
            let name = format!("{table}-{intended}");
            let body = body(&name);
            let request: CreateCertificate = serde_json::from_value(body.clone()).unwrap();
            // Not by the router: the test is to stand between two steps of it.
            let caller = Caller { operation: OperationId::parse(&name).ok(), ..Caller::system(IdentityId::parse(&owner).unwrap()) };
            let mut work = Box::pin(certificates::create(&plane.app, &caller, request));
            if intended {
                let gate = Gate::close();
                while unsettled(&plane).await == 0 {
                    assert!(poll(&mut work).await.is_none(), "{name}: it waits for its signature");
                }
                faults.hide(&table).await;
                drop(gate);
            } else {
                faults.hide(&table).await;
            }
            let answer = work.as_mut().await;
            drop(work);
            faults.mend().await;
            if let Err(refusal) = &answer {
                assert_eq!(refusal.code, "unavailable", "{name}: {refusal}");
                refused += 1;
                abandoned += usize::from(intended);
            }
            let made_of = |list: &Value| list["items"].as_array().unwrap().iter().filter(|one| one["alias"] == name.as_str()).count();
            let list = plane.get("/certificates?page_size=1000", &plane.owner).await.ok();
            assert_eq!(made_of(&list), usize::from(answer.is_ok()), "{name}");
            plane.clock.advance(Lifetime::from_seconds(61));
            plane.app.settle_issuances().await;
            assert_eq!(unsettled(&plane).await, 0, "{name}");
            let request: CreateCertificate = serde_json::from_value(body).unwrap();
            let made = certificates::create(&plane.app, &caller, request).await.unwrap();
            if let Ok(answer) = answer {
                assert_eq!(answer.id, made.id, "{name}");
            }
        }
    }
    faults.mend().await;
    assert!(refused > 12, "an issuance needs more tables than {refused}");
    assert_eq!(assert_every_intent_has_one_end(&plane).await, abandoned);
}
