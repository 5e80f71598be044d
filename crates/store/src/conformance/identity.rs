//! Account, users, service accounts.

use super::{House, account, clash, service_account, user};
use crate::{Clash, Page};
use countersign_core::{AccountRole, NamespaceId};

#[tokio::test]
async fn the_account_is_one_and_changes_in_order() {
    let house = House::new().await;
    assert_eq!(house.store.read().await.unwrap().account().await.unwrap(), None);
    let mut write = house.store.begin().await.unwrap();
    write.put_account(&account()).await.unwrap();
    let mut next = account();
    (next.api_key_creation_disabled, next.resource_version) = (true, 2);
    write.put_account(&next).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(house.store.read().await.unwrap().account().await.unwrap(), Some(next.clone()));
    let mut other = next;
    (other.id, other.resource_version) = ("zzzzz".into(), 3);
    assert_eq!(clash(house.store.begin().await.unwrap().put_account(&other).await), Clash::ResourceVersion);
}

#[tokio::test]
async fn two_users_never_share_a_mail_address() {
    let house = House::new().await;
    let (first, second) = (user("a@example.test", AccountRole::Owner), user("a@example.test", AccountRole::Read));
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&first).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(clash(house.store.begin().await.unwrap().put_user(&second).await), Clash::UserEmail);
    let mut write = house.store.begin().await.unwrap();
    assert!(write.delete_user(&first.id).await.unwrap() && !write.delete_user(&first.id).await.unwrap());
    write.put_user(&second).await.unwrap();
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.user_by_email("a@example.test").await.unwrap(), Some(second));
    assert_eq!(read.user(&first.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_that_was_decided_on_an_older_state_never_wins() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    let mut one = user("a@example.test", AccountRole::Owner);
    write.put_user(&one).await.unwrap();
    write.commit().await.unwrap();
    let mut two = one.clone();
    one.resource_version = 2;
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&one).await.unwrap();
    write.commit().await.unwrap();
    two.access = countersign_core::Access::role(AccountRole::Read);
    for stale in [1, 2, 4] {
        two.resource_version = stale;
        assert_eq!(clash(house.store.begin().await.unwrap().put_user(&two).await), Clash::ResourceVersion, "{stale}");
    }
    assert_eq!(house.store.read().await.unwrap().user(&one.id).await.unwrap(), Some(one));
}

#[tokio::test]
async fn owners_are_counted_by_their_role_now() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    let mut owner = user("a@example.test", AccountRole::Owner);
    write.put_user(&owner).await.unwrap();
    write.put_user(&user("b@example.test", AccountRole::Owner)).await.unwrap();
    write.put_user(&user("c@example.test", AccountRole::Admin)).await.unwrap();
    assert_eq!(write.owners_count().await.unwrap(), 2);
    owner.access.account_role = AccountRole::Read;
    owner.resource_version = 2;
    write.put_user(&owner).await.unwrap();
    assert_eq!(write.owners_count().await.unwrap(), 1);
}

#[tokio::test]
async fn pages_hold_every_object_once_in_order_of_id() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    for n in 0..23 {
        write.put_user(&user(&format!("u{n}@example.test"), AccountRole::Read)).await.unwrap();
        write.put_service_account(&service_account(&format!("s{n}"), None)).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut read = house.store.read().await.unwrap();
    let mut seen = Vec::new();
    let mut page = Page::first(5);
    loop {
        let users = read.users(&page).await.unwrap();
        let Some(last) = users.last() else { break };
        page.after = Some(last.id.to_string());
        seen.extend(users.into_iter().map(|user| user.id));
    }
    assert_eq!(seen.len(), 23);
    assert!(seen.is_sorted_by(|a, b| a < b));
    assert_eq!(read.service_accounts(&Page::first(10)).await.unwrap().len(), 10);
    assert!(read.service_accounts(&Page::first(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn service_accounts_are_found_by_name_and_by_scope() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    let (wide, scoped) = (service_account("ci", None), service_account("worker", Some("demo.a1b2c")));
    write.put_service_account(&wide).await.unwrap();
    write.put_service_account(&scoped).await.unwrap();
    write.commit().await.unwrap();
    let demo = NamespaceId::parse("demo.a1b2c").unwrap();
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.service_account_by_name("ci").await.unwrap(), Some(wide.clone()));
    assert_eq!(read.service_accounts_scoped_to(&demo).await.unwrap(), vec![scoped.clone()]);
    drop(read);
    assert_eq!(
        clash(house.store.begin().await.unwrap().put_service_account(&service_account("ci", None)).await),
        Clash::ServiceAccountName
    );
    let mut write = house.store.begin().await.unwrap();
    assert!(write.delete_service_account(&scoped.id).await.unwrap());
    assert_eq!(write.service_account(&scoped.id).await.unwrap(), None);
    assert_eq!(write.service_account(&wide.id).await.unwrap(), Some(wide));
}
