//! API keys.

use super::{Counted, House, at, clash, key};
use crate::{Clash, KeyFilter, Page};
use countersign_core::credential::api_key::KeyState;
use countersign_core::id::{ApiId, ApiKeyId};
use countersign_core::{IdentityId, ServiceAccountId, UserId};

#[tokio::test]
async fn keys_are_filtered_by_owner_kind_and_state() {
    let house = House::new().await;
    let person = IdentityId::User(UserId::mint(&Counted));
    let machine = IdentityId::ServiceAccount(ServiceAccountId::mint(&Counted));
    let (live, mut off, old, theirs) = (key(&person, at(100)), key(&person, at(100)), key(&person, at(10)), key(&machine, at(100)));
    off.disabled = true;
    let mut write = house.store.begin().await.unwrap();
    for one in [&live, &off, &old, &theirs] {
        write.put_api_key(one).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    let now = at(50);
    let all = Page::first(100);
    let mut ids = async |filter: KeyFilter| -> Vec<ApiKeyId> {
        read.api_keys(&filter, &all).await.unwrap().into_iter().map(|found| found.id).collect()
    };
    let by = |state| KeyFilter { state: Some(state), now, owner: Some(person.clone()), owner_kind: None };
    assert_eq!(ids(by(KeyState::Enabled)).await, std::slice::from_ref(&live.id));
    assert_eq!(ids(by(KeyState::Disabled)).await, std::slice::from_ref(&off.id));
    assert_eq!(ids(by(KeyState::Expired)).await, std::slice::from_ref(&old.id));
    assert_eq!(ids(KeyFilter { owner_kind: Some("service_account"), ..KeyFilter::default() }).await, std::slice::from_ref(&theirs.id));
    assert_eq!(ids(KeyFilter { state: Some(KeyState::Enabled), now, ..KeyFilter::default() }).await.len(), 2);
    assert_eq!(ids(KeyFilter::default()).await.len(), 4);
    assert_eq!(read.count_unexpired_keys(&person, now).await.unwrap(), 2, "a disabled one counts, an expired one does not");
    assert_eq!(read.count_unexpired_keys(&person, at(100)).await.unwrap(), 0, "at its end it is expired");
    assert_eq!(read.api_keys_of(&person).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_key_comes_back_whole_and_keeps_owner_and_digest() {
    let house = House::new().await;
    let owner = IdentityId::ServiceAccount(ServiceAccountId::mint(&Counted));
    let mut made = key(&owner, at(100));
    made.parent = Some(ApiKeyId::mint(&Counted));
    made.apis = vec![ApiId::mint(&Counted)];
    let mut write = house.store.begin().await.unwrap();
    write.put_api_key(&made).await.unwrap();
    made.disabled = true;
    made.resource_version = 2;
    write.put_api_key(&made).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(house.store.read().await.unwrap().api_key(&made.id).await.unwrap(), Some(made.clone()));
    let mut stolen = made.clone();
    stolen.owner = IdentityId::User(UserId::mint(&Counted));
    stolen.resource_version = 3;
    assert_eq!(clash(house.store.begin().await.unwrap().put_api_key(&stolen).await), Clash::ResourceVersion);
    let mut twin = key(&owner, at(100));
    twin.digest = made.digest;
    assert_eq!(clash(house.store.begin().await.unwrap().put_api_key(&twin).await), Clash::KeyDigest);
    let mut write = house.store.begin().await.unwrap();
    assert!(write.delete_api_key(&made.id).await.unwrap() && !write.delete_api_key(&made.id).await.unwrap());
    write.commit().await.unwrap();
    assert_eq!(house.store.read().await.unwrap().api_key(&made.id).await.unwrap(), None);
}
