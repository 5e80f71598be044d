//! The bound on connections: who gives way to whom.

use crate::client::{Answer, H2, Raw, config, connect, get};
use crate::rig::{Key, Rig};
use countersign_core::namespace::AuthMethod;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BOUND: usize = 16;
const LONG: Duration = Duration::from_secs(3600);

/// A gateway with room for few connections on which nothing ends by itself.
async fn small() -> Rig {
    Rig::with(|settings| {
        settings.limits = settings.limits.clone().connections(BOUND);
        settings.limits.max_connections_per_ip = BOUND;
        (settings.timeouts.handshake, settings.timeouts.header, settings.timeouts.idle) = (LONG, LONG, LONG);
    })
    .await
}

#[derive(Clone, Copy, Debug)]
enum Silent {
    Tcp,
    HalfClientHello,
    Tls,
    HalfHead,
    HalfHeaderBlock,
}

/// A connection that stays as it is until the peer ends it.
async fn hold(rig: &Rig, how: Silent) -> std::io::Result<()> {
    let mut bytes = [0; 64];
    match how {
        Silent::Tcp | Silent::HalfClientHello => {
            let mut tcp = TcpStream::connect(rig.gateway.local_addr()).await?;
            if let Silent::HalfClientHello = how {
                tcp.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await?;
            }
            while tcp.read(&mut bytes).await? > 0 {}
        }
        Silent::Tls | Silent::HalfHead => {
            let mut tls = connect(rig, config(rig, None, "http/1.1"), "k.test").await?;
            if let Silent::HalfHead = how {
                tls.write_all(b"GET / HTTP/1.1\r\nhost: k.te").await?;
            }
            while tls.read(&mut bytes).await? > 0 {}
        }
        Silent::HalfHeaderBlock => {
            let mut tls = connect(rig, config(rig, None, "h2"), "k.test").await?;
            tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
            // HEADERS without END_HEADERS, one byte of nothing much.
            tls.write_all(b"\0\0\x01\x01\x01\0\0\0\x01\x82").await?;
            while tls.read(&mut bytes).await? > 0 {}
        }
    }
    Ok(())
}

async fn try_get(rig: &Rig, key: &Key) -> Option<Answer> {
    let stream = connect(rig, config(rig, None, "http/1.1"), "k.test").await.ok()?;
    let mut raw = Raw(stream);
    raw.0.write_all(get("k.test", "/", Some(&key.text)).as_bytes()).await.ok()?;
    raw.answer().await
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_strangers_of_every_form_keep_nobody_out() {
    for how in [Silent::Tcp, Silent::HalfClientHello, Silent::Tls, Silent::HalfHead, Silent::HalfHeaderBlock] {
        let rig = Arc::new(small().await);
        let key = rig.key_door().await;
        let (over, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        // Whoever is ended comes again at once.
        let strangers: Vec<_> = (0..2 * BOUND)
            .map(|_| {
                let (rig, over, begun) = (Arc::clone(&rig), Arc::clone(&over), Arc::clone(&begun));
                tokio::spawn(async move {
                    while !over.load(Relaxed) {
                        begun.fetch_add(1, Relaxed);
                        let _ = hold(&rig, how).await;
                        // As often as a network lets them, not as fast as one machine can.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                })
            })
            .collect();
        while begun.load(Relaxed) < 3 * BOUND {
            tokio::task::yield_now().await;
        }
        for n in 0..20 {
            assert_eq!(try_get(&rig, &key).await.map(|answer| answer.status), Some(200), "{how:?}, connection {n}");
        }
        over.store(true, Relaxed);
        strangers.iter().for_each(|stranger| stranger.abort());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_one_valid_client_keep_nobody_else_out() {
    let rig = small().await;
    let key = rig.key_door().await;
    let mut idle = Vec::new();
    for _ in 0..3 * BOUND {
        let mut raw = Raw::open(&rig, "k.test", None).await;
        assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.status, 200);
        idle.push(raw);
    }
    for n in 0..20 {
        assert_eq!(try_get(&rig, &key).await.map(|answer| answer.status), Some(200), "connection {n}");
    }
    let mut text = String::new();
    rig.gateway.metrics(&mut text);
    assert!(!text.contains("countersign_gateway_connections_evicted_total 0\n"), "{text}");
    assert!(text.contains("countersign_gateway_connections_refused_total 0\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_answers_a_request_never_gives_way() {
    let rig = small().await;
    let key = rig.key_door().await;
    let mut busy = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut h2 = H2::open(&rig, "k.test", None).await;
        let (_, feed) = h2.call("k.test", Some(&key.text)).await;
        busy.push((h2, feed));
        let mut ws = Raw::open(&rig, "k.test", None).await;
        ws.send(format!(
            "GET /ws HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            key.text
        ))
        .await;
        assert_eq!(ws.head().await.unwrap().status, 101);
        ws.send("x").await;
        busy.push({
            let mut echo = [0];
            ws.0.read_exact(&mut echo).await.unwrap();
            let mut h2 = H2::open(&rig, "k.test", None).await;
            let (_, feed) = h2.call("k.test", Some(&key.text)).await;
            sockets.push(tokio::spawn(async move { ws.ended().await }));
            (h2, feed)
        });
    }
    let _strangers: Vec<_> = futures_util::future::join_all((0..5 * BOUND).map(|_| TcpStream::connect(rig.gateway.local_addr()))).await;
    for _ in 0..5 {
        assert_eq!(try_get(&rig, &key).await.map(|answer| answer.status), Some(200));
    }
    for (h2, feed) in &busy {
        assert!(!h2.1.is_finished() && !feed.is_closed());
    }
    assert!(!sockets.iter().any(tokio::task::JoinHandle::is_finished));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_its_share_loses_its_own_oldest_connection_that_is_not_busy() {
    let rig = Rig::with(|settings| settings.limits.max_connections_per_ip = 2).await;
    let key = rig.key_door().await;
    let mut silent = Raw::open(&rig, "k.test", None).await;
    let mut streaming = Raw::open(&rig, "k.test", None).await;
    streaming.send(get("k.test", "/sse", Some(&key.text))).await;
    assert_eq!(streaming.head().await.unwrap().status, 200);
    let mut third = Raw::open(&rig, "k.test", None).await;
    silent.ended().await;
    third.send(get("k.test", "/sse", Some(&key.text))).await;
    assert_eq!(third.head().await.unwrap().status, 200);
    // Both are busy: a further one is refused, and let in again when one of them is gone.
    assert!(connect(&rig, config(&rig, None, "h2"), "k.test").await.is_err());
    drop(third);
    while connect(&rig, config(&rig, None, "h2"), "k.test").await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_accepted_holds_no_place_against_one_that_is() {
    let rig = small().await;
    let (ca, foreign) = (crate::rig::ClientCa::new("A"), crate::rig::ClientCa::new("F"));
    let mut namespace = rig.mtls("a", &[&ca]);
    namespace.auth_method = AuthMethod::Mtls;
    rig.put(namespace).await;
    let (good, bad) = (ca.leaf("good"), foreign.leaf("bad"));
    let mut strangers = Vec::new();
    for _ in 0..2 * BOUND {
        let mut raw = Raw::open(&rig, "a.test", Some(&bad)).await;
        assert_eq!(raw.ask(get("a.test", "/", None)).await.status, 401);
        strangers.push(raw);
    }
    let mut first = Raw::open(&rig, "a.test", Some(&good)).await;
    assert_eq!(first.ask(get("a.test", "/", None)).await.status, 200);
    for _ in 0..2 * BOUND {
        let mut raw = Raw::open(&rig, "a.test", Some(&bad)).await;
        assert_eq!(raw.ask(get("a.test", "/", None)).await.status, 401);
        strangers.push(raw);
    }
    assert_eq!(first.ask(get("a.test", "/", None)).await.status, 200, "it stayed");
}
