//! Registered certificates.

use super::{Counted, House, at, certificate, clash};
use crate::{CertificateSelection, Clash, Page, StoreError};
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::{IdentityId, UserId};

#[tokio::test]
async fn a_certificate_is_registered_once_for_ever() {
    let house = House::new().await;
    let owner = IdentityId::User(UserId::mint(&Counted));
    let mut made = certificate(&owner, b"leaf");
    let mut write = house.store.begin().await.unwrap();
    write.put_certificate(&made).await.unwrap();
    (made.status, made.revoked_at, made.resource_version) = (CertificateStatus::Revoked, Some(at(5)), 2);
    write.put_certificate(&made).await.unwrap();
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.certificate_by_fingerprint(&made.fingerprint).await.unwrap(), Some(made.clone()));
    assert_eq!(read.certificate(&made.id).await.unwrap(), Some(made.clone()));
    drop(read);
    assert_eq!(
        clash(house.store.begin().await.unwrap().put_certificate(&certificate(&owner, b"leaf")).await),
        Clash::CertificateFingerprint
    );
    let mut revived = made;
    (revived.status, revived.revoked_at, revived.resource_version) = (CertificateStatus::Active, None, 3);
    assert!(house.store.begin().await.unwrap().put_certificate(&revived).await.is_err(), "a revoked one stays revoked");
}

#[tokio::test]
async fn certificates_are_selected_by_owner_and_status() {
    let house = House::new().await;
    let (one, two) = (IdentityId::User(UserId::mint(&Counted)), IdentityId::User(UserId::mint(&Counted)));
    let (a, mut b, c) = (certificate(&one, b"a"), certificate(&one, b"b"), certificate(&two, b"c"));
    (b.status, b.revoked_at) = (CertificateStatus::Revoked, Some(at(1)));
    let mut write = house.store.begin().await.unwrap();
    for made in [&a, &b, &c] {
        write.put_certificate(made).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    let all = Page::first(10);
    let active = CertificateSelection { owner: Some(one.clone()), status: Some(CertificateStatus::Active) };
    assert_eq!(read.certificates(&active, &all).await.unwrap(), vec![a]);
    let revoked = CertificateSelection { owner: None, status: Some(CertificateStatus::Revoked) };
    assert_eq!(read.certificates(&revoked, &all).await.unwrap(), vec![b]);
    assert_eq!(read.certificates(&CertificateSelection::default(), &all).await.unwrap().len(), 3);
    assert_eq!(read.certificates_of(&one).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_row_that_breaks_a_rule_of_the_schema_is_refused() {
    let house = House::new().await;
    let mut made = certificate(&IdentityId::User(UserId::mint(&Counted)), b"leaf");
    made.revoked_at = Some(at(1));
    let refusal = house.store.begin().await.unwrap().put_certificate(&made).await;
    assert!(matches!(refusal, Err(StoreError::Rule { .. })), "{refusal:?}");
}
