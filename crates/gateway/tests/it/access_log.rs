//! The access log: what stands in a line, what never does, and what happens to the file.

use crate::client::{H2, Raw, get};
use crate::rig::Rig;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("countersign-access-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("access.log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The lines, once there are this many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') && text.lines().count() >= count {
            assert_eq!(text.lines().count(), count, "{text}");
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_one_line_and_no_secret_in_it() {
    let folder = Folder::new();
    let rig = Rig::with(|settings| settings.access_log = Some(folder.file())).await;
    let key = rig.key_door().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    let body = "POST /orders?api_key=hunter2 HTTP/1.1\r\nhost: k.test\r\ncontent-length: 5\r\n";
    assert_eq!(raw.ask(format!("{body}authorization: Bearer {}\r\n\r\nhello", key.text)).await.status, 200);
    let refused = Raw::open(&rig, "k.test", None).await.ask(get("k.test", "/orders", None)).await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    let head = http::Request::post("https://k.test/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution")
        .header("content-type", "application/grpc")
        .header("authorization", format!("Bearer {}", key.text));
    let response = h2.send_whole(head, b"\0\0\0\0\x03\x0a\x01x").await;
    let (head, _) = response.into_parts();
    let rows = lines(&folder.file(), 3).await;
    let owner = rig.owner.as_str();
    let first = &rows[0];
    assert_eq!((&first["method"], &first["path"], &first["protocol"]), (&"POST".into(), &"/orders".into(), &"HTTP/1.1".into()));
    assert_eq!((&first["status"], &first["grpc_status"], &first["refusal"]), (&200.into(), &Value::Null, &Value::Null));
    assert_eq!((&first["identity"], &first["credential"]), (&owner.into(), &key.id.to_string().into()));
    assert_eq!(
        (&first["identity_kind"], &first["gateway"], &first["namespace"]),
        (&"service_account".into(), &"gw1".into(), &"kk.acc01".into())
    );
    assert_eq!((&first["bytes_up"], &first["bytes_down"], &first["client"]), (&5.into(), &4.into(), &"127.0.0.1".into()));
    assert_eq!(first["upstream"], format!("http://{}", rig.upstream.address));
    assert!(first["duration_ms"].as_f64().unwrap() > 0.0 && first["time"].as_str().unwrap().ends_with('Z'));
    let second = &rows[1];
    assert_eq!((&second["status"], &second["refusal"], &second["identity"]), (&401.into(), &"key_missing".into(), &Value::Null));
    assert_eq!(second["refusal_id"], refused.header("countersign-refusal-id").unwrap());
    let third = &rows[2];
    assert_eq!((&third["status"], &third["grpc_status"], &third["refusal"]), (&200.into(), &7.into(), &"not_entitled".into()));
    assert_eq!((&third["identity"], &third["bytes_up"]), (&owner.into(), &0.into()));
    assert_eq!(third["refusal_id"], head.headers["countersign-refusal-id"].to_str().unwrap());
    let text = std::fs::read_to_string(folder.file()).unwrap();
    let secret = key.text.rsplit('_').next().unwrap();
    assert!(!text.contains(secret) && !text.contains("hunter2"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_ended_says_so_in_its_line() {
    let folder = Folder::new();
    let rig = Rig::with(|settings| settings.access_log = Some(folder.file())).await;
    let key = rig.key_door().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    let (response, feed) = h2.call("k.test", Some(&key.text)).await;
    rig.change([key.entry(true, crate::rig::real_now().plus(countersign_core::Lifetime::from_days(1)))]).await;
    let rows = lines(&folder.file(), 1).await;
    assert_eq!((&rows[0]["status"], &rows[0]["grpc_status"], &rows[0]["refusal"]), (&200.into(), &16.into(), &"key_disabled".into()));
    drop((response, feed));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_is_private_and_can_be_moved_away() {
    let folder = Folder::new();
    let rig = Rig::with(|settings| settings.access_log = Some(folder.file())).await;
    let key = rig.key_door().await;
    let mode = std::fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut raw = Raw::open(&rig, "k.test", None).await;
    raw.ask(get("k.test", "/one", Some(&key.text))).await;
    lines(&folder.file(), 1).await;
    let moved = folder.0.join("access.log.1");
    std::fs::rename(folder.file(), &moved).unwrap();
    rig.gateway.reopen();
    raw.ask(get("k.test", "/two", Some(&key.text))).await;
    assert_eq!(lines(&folder.file(), 1).await[0]["path"], "/two");
    assert_eq!(lines(&moved, 1).await[0]["path"], "/one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stops_no_request_and_is_counted() {
    let rig = Rig::with(|settings| settings.access_log = Some("/dev/full".into())).await;
    let key = rig.key_door().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    for _ in 0..3 {
        assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.status, 200);
    }
    loop {
        let mut out = String::new();
        rig.gateway.metrics(&mut out);
        if out.contains("\ncountersign_gateway_access_log_lost_total 3\n") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_path_or_method_is_neither_logged_nor_remembered() {
    let folder = Folder::new();
    let rig = Rig::with(|settings| settings.access_log = Some(folder.file())).await;
    let key = rig.key_door().await;
    let secret = &key.text[25..];
    let encoded = format!("%63sk%5F{}", &key.text[4..]);
    let ask = |line: String| format!("{line} HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\n\r\n", key.text);
    let mut refusals = Vec::new();
    for line in [
        format!("GET /p/{}", key.text),
        format!("GET /p/{}/x?k={}", key.text, key.text),
        format!("GET /{}", &key.text[..60]),
        format!("GET /{encoded}"),
        format!("GET /{}", encoded.replace('%', "%25")),
        format!("{} /", key.text),
    ] {
        let answer = Raw::open(&rig, "k.test", None).await.ask(ask(line)).await;
        refusals.extend(answer.header("countersign-refusal-id").map(str::to_owned));
        assert!(!answer.body.contains(&secret[..8]));
    }
    let rows = lines(&folder.file(), 6).await;
    for row in &rows {
        assert!(!row.to_string().contains(&secret[..8]), "{row}");
    }
    assert_eq!(rows[0]["path"], format!("/p/csk_{}_…", key.id));
    assert_eq!(refusals.len(), 3);
    for id in refusals {
        let record = rig.gateway.refusals().get(&countersign_core::id::RefusalId::parse(&id).unwrap()).unwrap();
        assert!(!format!("{record:?}").contains(&secret[..8]), "{record:?}");
    }
}

/// The file's lines once `so` holds for them.
async fn eventually(path: &Path, so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.ends_with('\n').then(|| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>());
        if let Some(rows) = whole.filter(|rows| so(rows)) {
            return rows;
        }
        tokio::task::yield_now().await;
    }
}

fn left_out(rows: &[Value]) -> u64 {
    rows.iter().filter_map(|row| row["left_out"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_pauses_while_the_space_that_is_kept_back_is_in_use_and_says_what_is_left_out() {
    let folder = Folder::new();
    let reserve = folder.0.join("reserve");
    let rig = Rig::with(|settings| {
        settings.access_log = Some(folder.file());
        settings.reserve = Some(reserve.clone());
    })
    .await;
    let key = rig.key_door().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    for _ in 0..3 {
        assert_eq!(raw.ask(get("k.test", "/while-full", Some(&key.text))).await.status, 200);
    }
    loop {
        let mut metrics = String::new();
        rig.gateway.metrics(&mut metrics);
        if metrics.contains("\ncountersign_gateway_access_log_left_out_total 3\n") {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), "");
    std::fs::write(&reserve, "").unwrap();
    raw.ask(get("k.test", "/afterwards", Some(&key.text))).await;
    let rows = eventually(&folder.file(), |rows| left_out(rows) == 3 && rows.iter().any(|row| row["path"] == "/afterwards")).await;
    assert!(!rows.iter().any(|row| row["path"] == "/while-full"));
}
