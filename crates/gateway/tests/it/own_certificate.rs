//! The gateway's own certificate, which nobody renews by hand.

use crate::client::{Raw, get};
use crate::rig::Rig;
use countersign_core::Lifetime;

fn shown(raw: &Raw) -> Vec<u8> {
    raw.0.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thirds_into_its_life_a_new_handshake_shows_a_new_certificate_and_old_connections_go_on() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut old = Raw::open(&rig, "k.test", None).await;
    let first = shown(&old);
    assert_eq!(old.ask(get("k.test", "/", Some(&key.text))).await.status, 200);
    // Thirty days are its life here; the key lives for ninety.
    rig.clock.advance(Lifetime::from_days(19));
    assert_eq!(shown(&Raw::open(&rig, "k.test", None).await), first, "not before its time");
    rig.clock.advance(Lifetime::from_days(2));
    let mut new = Raw::open(&rig, "k.test", None).await;
    let second = shown(&new);
    assert_ne!(second, first);
    assert_eq!(new.ask(get("k.test", "/", Some(&key.text))).await.status, 200);
    assert_eq!(old.ask(get("k.test", "/", Some(&key.text))).await.status, 200, "what was open goes on");
    assert_eq!(shown(&Raw::open(&rig, "k.test", None).await), second, "once, and not at every handshake");
}
