//! What older versions did not keep is there after the start of a newer one.

use crate::harness::{Chance, Plane, settings};
use countersign_core::credential::certificate::{Certificate, CertificateFacts, CertificateStatus, Fingerprint};
use countersign_core::id::CertificateId;
use countersign_core::identity::IdentityId;
use countersign_core::time::Lifetime;
use countersign_server::App;
use countersign_testkit::real_now;
use std::sync::Arc;

#[tokio::test]
async fn certificates_of_an_older_version_are_completed_before_anybody_is_served() {
    let plane = Plane::start().await;
    let owner = plane.get("/me", &plane.owner).await;
    let owner = owner.body["id"].as_str().map(str::to_owned);
    let owner = match owner {
        Some(id) => IdentityId::parse(&id).unwrap(),
        None => {
            let all = plane.get("/users", &plane.owner).await.ok();
            IdentityId::parse(all["items"][0]["id"].as_str().unwrap()).unwrap()
        }
    };
    let ca = countersign_x509::authority::Authority::generate_internal("Old", real_now(), Lifetime::from_days(90), &Chance).unwrap();
    let known = countersign_x509::facts::of(ca.certificate_der()).unwrap();
    // More than fit into one transaction, one of them so damaged that nobody can read it.
    let mut ids = Vec::new();
    let mut write = plane.store.begin().await.unwrap();
    for i in 0_u32..1003 {
        let id = CertificateId::mint(&Chance);
        let der = if i == 7 { b"no certificate".to_vec() } else { ca.certificate_der().to_vec() };
        let facts = CertificateFacts { serial: String::new(), key: None, name: None, ..known.clone() };
        let certificate = Certificate {
            id: id.clone(),
            // Only tells rows apart here; a start does not work it out anew.
            fingerprint: Fingerprint::of(&i.to_be_bytes()),
            der,
            facts,
            owner: owner.clone(),
            alias: String::new(),
            apis: Vec::new(),
            status: CertificateStatus::Active,
            revoked_at: None,
            reason: None,
            issuer: None,
            proven: true,
            vouched: false,
            ended_by_admin: false,
            replaces: None,
            replaced_by: None,
            retirement: None,
            resource_version: 1,
            created_at: real_now(),
            modified_at: real_now(),
        };
        write.put_certificate(&certificate).await.unwrap();
        ids.push(id);
    }
    write.commit().await.unwrap();
    let before = plane.store.read().await.unwrap().revision().await.unwrap();
    for _ in 0..2 {
        App::start(plane.store.clone(), plane.clock.clone(), Arc::new(Chance), settings()).await.unwrap();
        let mut read = plane.store.read().await.unwrap();
        for (i, id) in ids.iter().enumerate() {
            let facts = read.certificate(id).await.unwrap().unwrap().facts;
            if i == 7 {
                assert_eq!((facts.subject.as_str(), facts.key), (known.subject.as_str(), None), "what was known of it stays");
            } else {
                assert_eq!(facts, known);
            }
        }
        assert_eq!(read.certificates_of_key(&known.key.unwrap()).await.unwrap().len(), 1002);
        assert!(read.certificates_without_digests().await.unwrap().is_empty());
        assert_eq!(read.revision().await.unwrap(), before, "gateways have nothing to hear of");
    }
}
