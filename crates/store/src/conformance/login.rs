//! Ways to log in, invitations, sessions.

use super::{Counted, House, at, user};
use crate::{InvitationRow, LoginRow, Page, SessionKind, SessionRow};
use countersign_core::access::AccountRole;
use countersign_core::id::{ApiKeyId, SessionId, UserId};
use countersign_core::identity::IdentityId;

fn session(user: &UserId, n: u8) -> SessionRow {
    SessionRow {
        id: SessionId::mint(&Counted),
        user: user.clone(),
        kind: SessionKind::Tool,
        digest: [n; 32],
        refresh_digest: Some([n + 100; 32]),
        refresh_key: Some([n + 50; 32]),
        client: "cli".into(),
        epoch: 0,
        created_at: at(0),
        last_seen_at: at(0),
        access_until: at(3600),
        expires_at: at(7200),
        source: "127.0.0.1".into(),
        agent: "tcld/1".into(),
    }
}

#[tokio::test]
async fn a_session_is_found_by_digest_renewed_seen_and_ended() {
    let house = House::new().await;
    let owner = user("a@example.test", AccountRole::Owner);
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&owner).await.unwrap();
    let before = write.commit().await.unwrap();
    let mut one = session(&owner.id, 1);
    let mut write = house.store.begin().await.unwrap();
    write.put_session(&one).await.unwrap();
    write.put_session(&session(&owner.id, 2)).await.unwrap();
    write.session_seen(&one.id, at(60)).await.unwrap();
    write.commit_without_revision().await.unwrap();
    one.last_seen_at = at(60);
    let mut read = house.store.read().await.unwrap();
    assert_eq!(read.revision().await.unwrap(), before, "a session is nothing that a gateway hears of");
    assert_eq!(read.session_by_digest(&[1; 32]).await.unwrap(), Some(one.clone()));
    assert_eq!(read.sessions(Some(&owner.id), at(0), at(0), &Page::first(10)).await.unwrap().len(), 2);
    assert!(read.sessions(None, at(7200), at(0), &Page::first(10)).await.unwrap().is_empty(), "ended ones are not listed");
    drop(read);
    (one.digest, one.refresh_digest, one.expires_at) = ([9; 32], Some([109; 32]), at(9000));
    let mut write = house.store.begin().await.unwrap();
    assert!(write.renew_session(&one).await.unwrap());
    assert_eq!(write.session_by_digest(&[1; 32]).await.unwrap(), None);
    assert_eq!(write.session(&one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(write.end_logins(&owner.id, Some(&one.id)).await.unwrap(), 1);
    assert!(write.end_session(&one.id).await.unwrap() && !write.end_session(&one.id).await.unwrap());
}

#[tokio::test]
async fn a_totp_step_is_used_once_and_a_subject_is_bound_to_one_user() {
    let house = House::new().await;
    let (a, b) = (user("a@example.test", AccountRole::Owner), user("b@example.test", AccountRole::Read));
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&a).await.unwrap();
    write.put_user(&b).await.unwrap();
    assert_eq!((write.login(&a.id).await.unwrap(), write.owners_with_login_count().await.unwrap()), (None, 0));
    let mut login = LoginRow::none(a.id.clone(), at(0));
    login.password = Some("$argon2id$…".into());
    login.totp = Some(vec![1, 2, 3]);
    login.oidc = Some(("https://idp.test".into(), "7".into()));
    write.put_login(&login).await.unwrap();
    assert!(write.use_totp_step(&a.id, 5).await.unwrap() && !write.use_totp_step(&a.id, 5).await.unwrap());
    assert!(!write.use_totp_step(&a.id, 4).await.unwrap() && write.use_totp_step(&a.id, 6).await.unwrap());
    login.totp_last_step = 6;
    assert_eq!(write.login_by_subject("https://idp.test", "7").await.unwrap(), Some(login.clone()));
    assert_eq!((write.owners_with_login_count().await.unwrap(), write.sealed_logins_count().await.unwrap()), (1, 1));
    write.commit().await.unwrap();
    let mut write = house.store.begin().await.unwrap();
    let taken = LoginRow { oidc: login.oidc.clone(), ..LoginRow::none(b.id.clone(), at(0)) };
    assert!(write.put_login(&taken).await.is_err());
}

fn invitation(user: &UserId) -> InvitationRow {
    InvitationRow { user: user.clone(), made_by: Some(IdentityId::User(user.clone())), made_with: Some(ApiKeyId::mint(&Counted)) }
}

#[tokio::test]
async fn an_invitation_is_good_until_its_end_and_the_newest_alone() {
    let house = House::new().await;
    let a = user("a@example.test", AccountRole::Read);
    let made = invitation(&a.id);
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&a).await.unwrap();
    write.put_invitation(&[1; 32], &made, at(0), at(10)).await.unwrap();
    assert_eq!(write.invitation(&[1; 32], at(9)).await.unwrap(), Some(made.clone()));
    assert_eq!(write.invitation(&[1; 32], at(10)).await.unwrap(), None);
    write.put_invitation(&[2; 32], &made, at(0), at(10)).await.unwrap();
    assert_eq!(write.invitation(&[1; 32], at(1)).await.unwrap(), None, "a new one ends the old one");
    write.put_invitation(&[3; 32], &made, at(0), at(10)).await.unwrap();
    write.put_session(&session(&a.id, 1)).await.unwrap();
    assert_eq!(write.sweep_logins(at(8000)).await.unwrap(), 2);
}

#[tokio::test]
async fn what_began_under_an_earlier_epoch_opens_nothing() {
    let house = House::new().await;
    let (a, b) = (user("a@example.test", AccountRole::Read), user("b@example.test", AccountRole::Read));
    let mut write = house.store.begin().await.unwrap();
    for one in [&a, &b] {
        write.put_user(one).await.unwrap();
    }
    let (one, two, other) = (session(&a.id, 1), session(&a.id, 2), session(&b.id, 3));
    for row in [&one, &two, &other] {
        write.put_session(row).await.unwrap();
    }
    write.put_invitation(&[1; 32], &invitation(&a.id), at(0), at(10)).await.unwrap();
    write.put_invitation(&[2; 32], &invitation(&b.id), at(0), at(10)).await.unwrap();
    // Only what is half finished ends.
    write.end_pending_logins(&a.id).await.unwrap();
    let epoch = write.login_epoch(&a.id).await.unwrap().unwrap();
    assert!(epoch > 0 && write.last_login_epoch().await.unwrap() == epoch && write.login_epoch(&b.id).await.unwrap() == Some(0));
    assert_eq!(write.session(&one.id).await.unwrap().map(|row| row.epoch), Some(epoch));
    assert!(write.invitation(&[1; 32], at(1)).await.unwrap().is_some());
    // All but the one that goes on.
    assert_eq!(write.end_logins(&a.id, Some(&one.id)).await.unwrap(), 1);
    assert!(write.session_by_digest(&[1; 32]).await.unwrap().is_some() && write.session_by_digest(&[2; 32]).await.unwrap().is_none());
    assert_eq!(write.invitation(&[1; 32], at(1)).await.unwrap(), None);
    assert!(write.session(&other.id).await.unwrap().is_some() && write.invitation(&[2; 32], at(1)).await.unwrap().is_some());
    // One that is put under an epoch of before is none.
    write.put_session(&session(&a.id, 4)).await.unwrap();
    assert_eq!(write.session_by_digest(&[4; 32]).await.unwrap(), None);
    assert_eq!(write.sessions(Some(&a.id), at(0), at(0), &Page::first(10)).await.unwrap().len(), 1);
    assert_eq!(write.sweep_logins(at(1)).await.unwrap(), 1);
    // A user of whom nothing is known any more has no epoch, and epochs never come again.
    write.delete_user(&a.id).await.unwrap();
    assert_eq!(write.login_epoch(&a.id).await.unwrap(), None);
    let last = write.last_login_epoch().await.unwrap();
    write.end_logins(&b.id, None).await.unwrap();
    assert!(write.login_epoch(&b.id).await.unwrap() > Some(last));
}

#[tokio::test]
async fn a_user_goes_with_all_ways_in() {
    let house = House::new().await;
    let a = user("a@example.test", AccountRole::Read);
    let mut write = house.store.begin().await.unwrap();
    write.put_user(&a).await.unwrap();
    write.put_login(&LoginRow::none(a.id.clone(), at(0))).await.unwrap();
    write.put_session(&session(&a.id, 1)).await.unwrap();
    write.put_invitation(&[1; 32], &invitation(&a.id), at(0), at(10)).await.unwrap();
    assert!(write.delete_user(&a.id).await.unwrap());
    assert_eq!(write.session_by_digest(&[1; 32]).await.unwrap(), None);
    assert_eq!((write.login(&a.id).await.unwrap(), write.invitation(&[1; 32], at(0)).await.unwrap()), (None, None));
}
