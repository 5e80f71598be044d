//! What a Temporal server behind a door is spared: calls that name another namespace, in the head or anywhere in the message, and
//! messages that cannot be looked into.

use crate::client::{H2, Raw, tokio_stream_like::Channel};
use crate::rig::{Key, Rig, id};
use base64::Engine as _;
use bytes::Bytes;
use countersign_core::NamespacePermission;
use countersign_core::access::{Access, AccountRole};
use countersign_core::id::RefusalId;
use countersign_core::snapshot::Change;
use http_body_util::{BodyExt as _, StreamBody};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;
use tokio::sync::mpsc;

const DOOR: &str = "kk.acc01";

/// A field with a length.
fn text(number: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for mut value in [number << 3 | 2, u32::try_from(value.len()).unwrap()] {
        while value > 0x7f {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    out.extend_from_slice(value);
    out
}

/// A message with its prefix.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend_from_slice(message);
    out
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

/// What came of a call.
#[derive(Debug)]
struct Outcome {
    status: String,
    message: String,
    details: Option<String>,
    refusal: Option<String>,
    echo: Bytes,
}

struct Door {
    rig: Rig,
    key: Key,
    h2: H2,
}

impl Door {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut countersign_gateway::Settings)) -> Self {
        let rig = Rig::with(change).await;
        let key = rig.key_door().await;
        let h2 = H2::open(&rig, "k.test", None).await;
        Self { rig, key, h2 }
    }

    fn head(&self, path: &str) -> http::request::Builder {
        http::Request::post(format!("https://k.test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", self.key.text))
    }

    /// Sends a body in pieces, each a frame of its own.
    async fn send(&mut self, head: http::request::Builder, pieces: &[&[u8]]) -> Outcome {
        let (feed, body) = mpsc::unbounded_channel();
        for piece in pieces {
            feed.send(Bytes::copy_from_slice(piece)).unwrap();
        }
        drop(feed);
        self.h2.0.ready().await.unwrap();
        let response = self.h2.0.send_request(head.body(StreamBody::new(Channel(body))).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let of = |name: &str| head.headers.get(name).or_else(|| trailers.get(name)).map(|value| value.to_str().unwrap().to_owned());
        Outcome {
            status: of("grpc-status").unwrap_or_default(),
            message: of("grpc-message").unwrap_or_default(),
            details: of("grpc-status-details-bin"),
            refusal: of("countersign-refusal-id"),
            echo: body.to_bytes(),
        }
    }

    async fn call(&mut self, method: &str, body: &[u8]) -> Outcome {
        let head = self.head(&format!("/temporal.api.workflowservice.v1.WorkflowService/{method}"));
        self.send(head, &[body]).await
    }

    async fn call_gzip(&mut self, method: &str, body: &[u8]) -> Outcome {
        let head = self.head(&format!("/temporal.api.workflowservice.v1.WorkflowService/{method}")).header("grpc-encoding", "gzip");
        self.send(head, &[body]).await
    }

    /// It went through, unchanged.
    async fn passes(&mut self, method: &str, message: &[u8]) {
        let body = framed(0, message);
        let outcome = self.call(method, &body).await;
        assert_eq!((outcome.status.as_str(), &outcome.echo[..]), ("0", &body[..]), "{method}");
        assert_eq!(self.rig.upstream.take().len(), 1);
    }

    /// It was refused with this status, and nothing reached the upstream.
    async fn refused(&mut self, outcome: Outcome, status: &str) -> String {
        assert_eq!(outcome.status, status, "{outcome:?}");
        assert!(self.rig.upstream.take().is_empty(), "{outcome:?}");
        let id = RefusalId::parse(&outcome.refusal.unwrap()).unwrap();
        self.rig.gateway.refusals().get(&id).unwrap().reason.clone()
    }

    async fn denies(&mut self, method: &str, message: &[u8]) -> String {
        let outcome = self.call(method, &framed(0, message)).await;
        assert_eq!(outcome.message, "Request unauthorized.");
        self.refused(outcome, "7").await
    }
}

fn own(number: u32) -> Vec<u8> {
    text(number, DOOR.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_names_another_namespace_inside_its_message_is_refused() {
    let mut door = Door::new().await;
    door.passes("StartWorkflowExecution", &[own(1), text(2, b"order-1")].concat()).await;
    let reason = door.denies("StartWorkflowExecution", &text(1, b"aa.acc01")).await;
    assert!(reason.contains("aa.acc01") && reason.contains(DOOR), "{reason}");
    door.denies("StartWorkflowExecution", b"").await;
    door.denies("StartWorkflowExecution", &[own(1), text(1, b"aa.acc01")].concat()).await;
    door.denies("StartWorkflowExecution", &[text(1, b"aa.acc01"), own(1)].concat()).await;
    door.denies("DescribeNamespace", &[own(1), text(2, b"0a9e")].concat()).await;
    door.passes("DescribeNamespace", &own(1)).await;
    door.passes("GetSystemInfo", b"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_names_another_namespace_in_gzip_is_refused() {
    let mut door = Door::new().await;
    let good = framed(1, &gzip(&own(1)));
    let outcome = door.call_gzip("PollWorkflowTaskQueue", &good).await;
    assert_eq!((outcome.status.as_str(), &outcome.echo[..]), ("0", &good[..]));
    assert_eq!(door.rig.upstream.take().len(), 1);
    let outcome = door.call_gzip("PollWorkflowTaskQueue", &framed(1, &gzip(&text(1, b"aa.acc01")))).await;
    door.refused(outcome, "7").await;
    // A second member, which some readers go on with; bytes behind the first; a broken checksum; no gzip at all.
    let mut broken = gzip(&own(1));
    let crc = broken.len() - 8;
    broken[crc] ^= 1;
    let two = [gzip(&own(1)), gzip(&text(1, b"aa.acc01"))].concat();
    for bytes in [two, [gzip(&own(1)), vec![0]].concat(), broken, own(1), Vec::new()] {
        let outcome = door.call_gzip("PollWorkflowTaskQueue", &framed(1, &bytes)).await;
        door.refused(outcome, "3").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_is_refused_within_the_bound() {
    let mut door = Door::with(|settings| settings.limits.inflated_bytes = 1024 * 1024).await;
    let fits = [own(1), text(2, &vec![0; 1024 * 1024 - 100])].concat();
    let outcome = door.call_gzip("StartWorkflowExecution", &framed(1, &gzip(&fits))).await;
    assert_eq!(outcome.status, "0");
    door.rig.upstream.take();
    let bomb = gzip(&vec![0; 200 * 1024 * 1024]);
    assert!(bomb.len() < 256 * 1024);
    let outcome = door.call_gzip("StartWorkflowExecution", &framed(1, &bomb)).await;
    door.refused(outcome, "8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_the_bound_is_refused_before_it_came_whole() {
    let mut door = Door::with(|settings| settings.limits.message_bytes = 64 * 1024).await;
    // Only the prefix is sent, and the stream stays open.
    let (feed, body) = mpsc::unbounded_channel();
    feed.send(Bytes::from_static(&[0, 0, 1, 0, 1])).unwrap();
    let head = door.head("/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution");
    let response = door.h2.0.send_request(head.body(StreamBody::new(Channel(body))).unwrap()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "8");
    assert!(door.rig.upstream.take().is_empty());
    drop(feed);
    door.passes("StartWorkflowExecution", &[own(1), text(5, &vec![7; 60 * 1024])].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_door_gets_half_of_the_room_for_messages() {
    let mut door = Door::with(|settings| settings.limits.buffered_bytes = 100 * 1024).await;
    let outcome = door.call("StartWorkflowExecution", &framed(0, &[own(1), text(5, &vec![7; 60 * 1024])].concat())).await;
    door.refused(outcome, "8").await;
    // What was held is given back.
    for _ in 0..20 {
        door.passes("StartWorkflowExecution", &[own(1), text(5, &vec![7; 20 * 1024])].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_does_not_come_in_time_is_refused() {
    let mut door = Door::with(|settings| settings.timeouts.message = Duration::from_millis(50)).await;
    let (feed, body) = mpsc::unbounded_channel();
    feed.send(Bytes::from_static(&[0, 0, 0])).unwrap();
    let head = door.head("/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution");
    let response = door.h2.0.send_request(head.body(StreamBody::new(Channel(body))).unwrap()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "3");
    assert!(door.rig.upstream.take().is_empty());
    drop(feed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_while_its_message_is_on_the_way_ends_the_call() {
    let mut door = Door::new().await;
    let (feed, body) = mpsc::unbounded_channel();
    feed.send(Bytes::from(framed(0, &own(1))[..7].to_vec())).unwrap();
    let head = door.head("/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution");
    let request = head.body(StreamBody::new(Channel(body))).unwrap();
    let response = tokio::spawn(door.h2.0.send_request(request));
    while door.rig.gateway.live().1 == 0 {
        tokio::task::yield_now().await;
    }
    let entry = door.key.entry(true, crate::rig::real_now().plus(countersign_core::Lifetime::from_days(1)));
    assert_eq!(door.rig.change([entry]).await.streams_cut, 1);
    assert_eq!(response.await.unwrap().unwrap().headers()["grpc-status"], "16");
    // The rest comes too late.
    let _ = feed.send(Bytes::from(framed(0, &own(1))[7..].to_vec()));
    assert!(door.rig.upstream.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_child_in_another_namespace_is_refused() {
    let mut door = Door::new().await;
    for attributes in [9, 12, 13] {
        let commands = |name: &[u8]| [own(9), text(2, &[text(attributes, &[text(1, name), text(2, b"child")].concat())].concat())].concat();
        door.passes("RespondWorkflowTaskCompleted", &commands(DOOR.as_bytes())).await;
        door.passes("RespondWorkflowTaskCompleted", &commands(b"")).await;
        door.denies("RespondWorkflowTaskCompleted", &commands(b"aa.acc01")).await;
    }
    for operation in [1, 2] {
        let inner = |name: &[u8]| [own(1), text(2, &text(operation, &text(1, name)))].concat();
        door.passes("ExecuteMultiOperation", &inner(DOOR.as_bytes())).await;
        door.denies("ExecuteMultiOperation", &inner(b"aa.acc01")).await;
    }
    let callback = |url: &[u8]| [own(1), text(21, &text(2, &text(1, url)))].concat();
    door.passes("StartWorkflowExecution", &callback(b"http://frontend/namespaces/kk.acc01/nexus/callback")).await;
    door.denies("StartWorkflowExecution", &callback(b"http://frontend/namespaces/aa.acc01/nexus/callback")).await;
    door.denies("StartWorkflowExecution", &callback(b"http://frontend/api/v1/namespaces/aa.acc01/workflows/x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_on_the_whole_server_does_not_pass_a_door() {
    let mut door = Door::new().await;
    for method in ["RegisterNamespace", "UpdateNamespace", "DeprecateNamespace", "ListNamespaces"] {
        door.denies(method, &own(1)).await;
    }
    for path in [
        "/temporal.api.operatorservice.v1.OperatorService/DeleteNamespace",
        "/temporal.server.api.adminservice.v1.AdminService/DescribeCluster",
        "/temporal.server.api.historyservice.v1.HistoryService/StartWorkflowExecution",
        "/temporal.api.workflowservice.v1.WorkflowService",
    ] {
        let head = door.head(path);
        let outcome = door.send(head, &[&framed(0, &own(1))]).await;
        door.refused(outcome, "7").await;
    }
    for path in ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/pkg.Service/Bidi"] {
        let head = door.head(path);
        assert_eq!(door.send(head, &[&framed(0, b"x"), &framed(0, b"y")]).await.status, "0", "{path}");
        assert_eq!(door.rig.upstream.take().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_is_write() {
    let mut door = Door::new().await;
    door.passes("SomethingNew", &own(1)).await;
    door.denies("SomethingNew", &own(2)).await;
    let mut access = Access::role(AccountRole::Read);
    access.namespaces = BTreeMap::from([(id("kk"), NamespacePermission::Read)]);
    let change = Change::PutIdentity(door.rig.owner.clone(), access);
    door.rig.change([change]).await;
    door.denies("SomethingNew", &own(1)).await;
    door.passes("DescribeWorkflowExecution", &own(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_forwarded_are_the_bytes_checked() {
    let mut door = Door::new().await;
    // Unknown fields, a key in two bytes, split anywhere: what arrives is what was sent.
    let body = framed(0, &[own(1), vec![0x9a, 0x00, 0x02, 1, 2], text(4000, b"later"), vec![0xf8, 0x3f, 0x80, 0x01]].concat());
    for cut in 0..=body.len() {
        let head = door.head("/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution");
        let outcome = door.send(head, &[&body[..cut], &body[cut..]]).await;
        assert_eq!((outcome.status.as_str(), &outcome.echo[..]), ("0", &body[..]), "{cut}");
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    let head = door.head("/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution");
    assert_eq!(&door.send(head, &bytes).await.echo[..], &body[..]);
    let large = framed(0, &[own(1), text(5, &vec![7; 4 * 1024 * 1024])].concat());
    assert_eq!(&door.call("StartWorkflowExecution", &large).await.echo[..], &large[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_one_whole_message_is_refused() {
    let mut door = Door::new().await;
    let good = framed(0, &own(1));
    let two = [good.clone(), framed(0, &text(1, b"aa.acc01"))].concat();
    let mut long = good.clone();
    long[4] += 1;
    let mut short = good.clone();
    short[4] -= 1;
    let group = framed(0, &[own(1), vec![0x0b, 0x0c]].concat());
    for body in [Vec::new(), vec![0], vec![0; 4], two, long, short, framed(2, &own(1)), framed(255, &own(1)), framed(1, &own(1)), group] {
        let outcome = door.call("StartWorkflowExecution", &body).await;
        door.refused(outcome, "3").await;
    }
    // A flag of 0 under grpc-encoding gzip is a plain message.
    assert_eq!(door.call_gzip("StartWorkflowExecution", &good).await.status, "0");
    door.rig.upstream.take();
    for (name, value) in
        [("grpc-encoding", "deflate"), ("grpc-encoding", "GZIP"), ("content-encoding", "gzip"), ("grpc-encoding", "gzip, gzip")]
    {
        let head = door.head("/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution").header(name, value);
        let outcome = door.send(head, &[&good]).await;
        door.refused(outcome, "3").await;
    }
    let head = door.head("/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution");
    let outcome = door.send(head.header("grpc-encoding", "gzip").header("grpc-encoding", "identity"), &[&good]).await;
    door.refused(outcome, "3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_plain_grpc_is_refused() {
    let door = Door::new().await;
    let path = "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution";
    let body = framed(0, &own(1));
    for (kind, status) in [("application/json", 400), ("application/grpc+json", 200), ("application/grpc-web+proto", 200)] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: k.test\r\ncontent-type: {kind}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            door.key.text,
            body.len()
        );
        let answer = Raw::open(&door.rig, "k.test", None).await.ask([head.as_bytes(), &body].concat()).await;
        assert_eq!(answer.status, status, "{kind}");
        assert!(door.rig.upstream.take().is_empty(), "{kind}");
    }
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nhost: k.test\r\nconnection: upgrade\r\nupgrade: websocket\r\nauthorization: Bearer {}\r\n\r\n",
        door.key.text
    );
    assert_eq!(Raw::open(&door.rig, "k.test", None).await.ask(upgrade).await.status, 400);
    assert!(door.rig.upstream.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_rights_has_the_details_that_temporals_clients_look_for() {
    let mut door = Door::new().await;
    let outcome = door.call("StartWorkflowExecution", &framed(0, &text(1, b"aa.acc01"))).await;
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.decode(outcome.details.clone().unwrap()).unwrap();
    let failure = text(1, b"caller has insufficient permissions for namespace 'kk.acc01'");
    let any = [text(1, b"type.googleapis.com/temporal.api.errordetails.v1.PermissionDeniedFailure"), text(2, &failure)].concat();
    assert_eq!(details, [vec![8, 7], text(2, b"Request unauthorized."), text(3, &any)].concat());
    // Who proved nothing is told nothing.
    let head = http::Request::post("https://k.test/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution")
        .header("content-type", "application/grpc");
    let outcome = door.send(head, &[&framed(0, &own(1))]).await;
    assert_eq!((outcome.status.as_str(), outcome.details), ("16", None));
    // Nor is anybody at a door of another service.
    let mut access = Access::role(AccountRole::Read);
    access.namespaces = BTreeMap::new();
    let change = Change::PutIdentity(door.rig.owner.clone(), access);
    door.rig.change([change]).await;
    let head = door.head("/pkg.Service/M");
    let outcome = door.send(head, &[&framed(0, b"")]).await;
    assert_eq!((outcome.status.as_str(), outcome.details), ("7", None));
}
