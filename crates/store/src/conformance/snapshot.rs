//! The snapshot.

use super::{Counted, House, at, certificate, key, namespace, service_account, user};
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::id::{ApiId, IssuerId};
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
async fn whose_word_a_certificate_is_reaches_the_gateways_out_of_one_index() {
    let house = House::new().await;
    let owner = IdentityId::User(UserId::mint(&Counted));
    let made = [(true, false, false), (false, true, false), (false, false, true), (false, false, false)].map(|(proven, vouched, ended)| {
        let mut one = certificate(&owner, format!("{proven}{vouched}{ended}").as_bytes());
        (one.proven, one.vouched, one.ended_by_admin) = (proven, vouched, ended);
        if ended {
            (one.status, one.revoked_at) = (CertificateStatus::Revoked, Some(at(1)));
        }
        one
    });
    let mut write = house.store.begin().await.unwrap();
    for one in &made {
        write.put_certificate(one).await.unwrap();
    }
    for one in &made {
        assert_eq!(write.certificate(&one.id).await.unwrap().as_ref(), Some(one));
    }
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    let (revision, changes) = read.snapshot().await.unwrap();
    let snapshot = Snapshot::default().apply(revision, changes);
    let binds = made.each_ref().map(|one| snapshot.certificate(&one.fingerprint).unwrap().binds);
    assert_eq!(binds, [true, true, true, false]);
    assert_eq!(binds, made.each_ref().map(|one| one.binds()));
    let connection = rusqlite::Connection::open(house.data().join("countersign.db")).unwrap();
    let (_, _, sql) = crate::statements::all().find(|(noun, name, _)| *noun == "snapshot" && *name == "CERTIFICATES").unwrap();
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let plan: Vec<String> = explained.query_map([], |row| row.get::<_, String>("detail")).unwrap().map(Result::unwrap).collect();
    assert!(plan.iter().all(|line| line.contains("COVERING INDEX certificate_admission")), "{plan:?}");
    // Only what nobody proved and no admin ended is ever taken out.
    let mut write = house.store.begin().await.unwrap();
    for (one, gone) in made.iter().zip([false, true, false, true]) {
        assert_eq!(write.forget_unproven_certificate(&one.id).await.unwrap(), gone);
    }
}

/// A start reads a certificate that is as most are by a shorter way.
#[tokio::test]
async fn a_certificate_is_read_as_it_was_put_whichever_way_it_is_read() {
    let house = House::new().await;
    let owner = IdentityId::User(UserId::mint(&Counted));
    let issuer = IssuerId::mint(&Counted);
    let mut put = Vec::new();
    for (index, status) in
        [CertificateStatus::Active, CertificateStatus::Held, CertificateStatus::Revoked].into_iter().cycle().take(48).enumerate()
    {
        let mut one = certificate(&owner, format!("leaf {index}").as_bytes());
        one.status = status;
        one.revoked_at = (status != CertificateStatus::Active).then_some(at(1));
        one.issuer = (index / 3 % 2 == 1).then(|| issuer.clone());
        (one.proven, one.vouched) = (index / 6 % 2 == 1, index / 12 % 2 == 1);
        if index / 24 == 1 {
            one.apis.push(ApiId::mint(&Counted));
        }
        put.push(one);
    }
    let mut write = house.store.begin().await.unwrap();
    for one in &put {
        write.put_certificate(one).await.unwrap();
    }
    write.commit().await.unwrap();
    let (revision, changes) = house.store.read().await.unwrap().snapshot().await.unwrap();
    let snapshot = Snapshot::default().apply(revision, changes);
    for one in &put {
        let found = snapshot.certificate(&one.fingerprint).unwrap();
        assert_eq!((&found.id, &found.owner, found.status, &found.apis), (&one.id, &one.owner, one.status, &one.apis));
        assert_eq!((found.issuer.as_deref(), found.binds), (one.issuer.as_ref(), one.binds()));
    }
    // A flag that is neither yes nor no was not written by us.
    let mut write = house.store.begin().await.unwrap();
    write.run(crate::sql::query("UPDATE certificate SET proven = 7")).await.unwrap();
    write.commit().await.unwrap();
    let (_, changes) = house.store.read().await.unwrap().snapshot().await.unwrap();
    let snapshot = Snapshot::default().apply(9, changes);
    assert!(put.iter().all(|one| snapshot.certificate(&one.fingerprint).unwrap().status == CertificateStatus::Revoked));
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
