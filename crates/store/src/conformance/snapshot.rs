//! The snapshot.

use super::{Counted, House, at, certificate, key, namespace, service_account, user};
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::{AccountRole, IdentityId, Snapshot, UserId};

#[tokio::test]
async fn a_snapshot_is_what_every_change_so_far_comes_to() {
    let house = House::new().await;
    let (person, machine) = (user("a@example.test", AccountRole::Owner), service_account("ci", None));
    let owner = IdentityId::User(person.id.clone());
    let (demo, gone) = (namespace("demo"), namespace("gone"));
    let (live, deleted) = (key(&owner, at(100)), key(&owner, at(100)));
    let mut revoked = certificate(&owner, b"leaf");
    (revoked.status, revoked.revoked_at) = (CertificateStatus::Revoked, Some(at(1)));
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&person).await.unwrap();
    write.put_service_account(&machine).await.unwrap();
    write.put_namespace(&demo).await.unwrap();
    write.put_namespace(&gone).await.unwrap();
    write.put_api_key(&live).await.unwrap();
    write.put_api_key(&deleted).await.unwrap();
    write.put_certificate(&revoked).await.unwrap();
    let mut held = certificate(&owner, b"held");
    (held.status, held.revoked_at) = (CertificateStatus::Held, Some(at(1)));
    write.put_certificate(&held).await.unwrap();
    write.commit().await.unwrap();
    let mut write = house.store.begin().await.unwrap();
    write.delete_namespace(&gone.id).await.unwrap();
    write.delete_api_key(&deleted.id).await.unwrap();
    write.commit().await.unwrap();
    let (revision, changes) = house.store.read().await.unwrap().snapshot().await.unwrap();
    let snapshot = Snapshot::default().apply(revision, changes);
    assert_eq!((snapshot.revision(), snapshot.counts()), (2, (1, 2, 1, 2)));
    assert_eq!(**snapshot.namespace_at(&demo.hostname).unwrap(), demo);
    assert!(snapshot.namespace_at(&gone.hostname).is_none());
    assert_eq!(**snapshot.identity(&owner).unwrap(), person.access);
    assert_eq!(**snapshot.identity(&IdentityId::ServiceAccount(machine.id)).unwrap(), machine.access);
    let found = snapshot.key(&live.id).unwrap();
    assert_eq!((found.digest, &found.owner, found.expires_at, found.disabled), (live.digest, &owner, at(100), false));
    for one in [&revoked, &held] {
        assert_eq!(snapshot.certificate(&one.fingerprint).unwrap().status, one.status);
    }
}

#[tokio::test]
async fn what_cannot_be_read_closes_alone() {
    let house = House::new().await;
    let owner = IdentityId::User(UserId::mint(&Counted));
    let (demo, broken) = (namespace("demo"), namespace("broken"));
    let leaf = certificate(&owner, b"leaf");
    let mut write = house.store.begin().await.unwrap();
    write.put_namespace(&demo).await.unwrap();
    write.put_namespace(&broken).await.unwrap();
    write.put_certificate(&leaf).await.unwrap();
    write.run(crate::sql::query("UPDATE namespace SET document = '{' WHERE id LIKE 'broken%'")).await.unwrap();
    write.run(crate::sql::query("UPDATE certificate SET apis = '?'")).await.unwrap();
    write.commit().await.unwrap();
    let (revision, changes) = house.store.read().await.unwrap().snapshot().await.unwrap();
    let snapshot = Snapshot::default().apply(revision, changes);
    assert!(snapshot.namespace(&demo.id).is_some() && snapshot.namespace(&broken.id).is_none());
    let status = snapshot.certificate(&leaf.fingerprint).unwrap().status;
    assert_eq!(status, CertificateStatus::Revoked, "an unreadable certificate is refused, never overlooked");
}

#[tokio::test]
async fn a_namespace_in_the_place_of_another_is_refused() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    write.put_namespace(&namespace("demo")).await.unwrap();
    write.put_namespace(&namespace("other")).await.unwrap();
    write
        .run(crate::sql::query(
            "UPDATE namespace SET document = (SELECT document FROM namespace WHERE id LIKE 'demo%') WHERE id LIKE 'other%'",
        ))
        .await
        .unwrap();
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    assert!(read.namespace(&namespace("other").id).await.is_err());
    let (_, changes) = read.snapshot().await.unwrap();
    assert_eq!(changes.len(), 1);
}
