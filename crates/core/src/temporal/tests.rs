//! The table held against itself, and the reader against bytes that nobody well-meaning would send.

use super::*;
use proptest::prelude::*;

const DOOR: &str = "pay.acc01";

fn number(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(field: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    number(u64::from(field) << 3 | 2, &mut out);
    number(value.len() as u64, &mut out);
    out.extend_from_slice(value);
    out
}

/// A request that names the door, and something at a path.
fn with(method: &str, path: &[u32], value: &[u8]) -> Vec<u8> {
    let own = paths(method).into_iter().find(|(_, rule)| *rule == Rule::Own).unwrap().0;
    let mut message = text(own[0], DOOR.as_bytes());
    let inner = path.iter().rev().fold(value.to_vec(), |inner, number| text(*number, &inner));
    message.extend(inner);
    message
}

#[test]
fn the_table_is_in_order_and_each_method_names_itself_once() {
    assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for (method, scope) in TABLE {
        let own = paths(method).into_iter().filter(|(_, rule)| *rule == Rule::Own).count();
        assert_eq!(own, usize::from(matches!(scope, Scope::Fields(_))), "{method}");
    }
    assert_eq!(paths("SomethingNew"), [(vec![1], Rule::Own)]);
}

#[test]
fn every_inner_name_of_every_method_must_be_the_doors() {
    for (method, _) in TABLE {
        for (path, rule) in paths(method) {
            let held = |value: &[u8]| check(method, &with(method, &path, value), DOOR).is_ok();
            let own_url = format!("http://frontend:7243/namespaces/{DOOR}/nexus/callback");
            let (good, bad): (&[&[u8]], &[&[u8]]) = match rule {
                Rule::Own => (&[DOOR.as_bytes()], &[b"", b"other.acc01", b"pay.acc01 ", b"PAY.acc01", b"pay.acc01\0"]),
                Rule::Inner => (&[b"", DOOR.as_bytes()], &[b"other.acc01", b"pay.acc0", b"\0"]),
                Rule::Empty => (&[b""], &[b"5f9d", b"\0"]),
                Rule::CallbackUrl => (
                    &[own_url.as_bytes()],
                    &[
                        b"",
                        b"temporal://system",
                        b"http://frontend:7243/namespaces/other.acc01/nexus/callback",
                        b"http://frontend:7243/namespaces/pay.acc01/nexus/callback/../../../other.acc01/nexus/callback",
                        b"http://a@b/namespaces/pay.acc01/nexus/callback",
                        b"http:///namespaces/pay.acc01/nexus/callback",
                        b"http://x?/namespaces/pay.acc01/nexus/callback",
                        b"http://frontend:7243/api/v1/namespaces/pay.acc01/nexus/callback",
                    ],
                ),
                Rule::Within(_) => unreachable!(),
            };
            for value in good {
                assert!(held(value), "{method} {path:?} {}", String::from_utf8_lossy(value));
            }
            for value in bad {
                assert!(!held(value), "{method} {path:?} {}", String::from_utf8_lossy(value));
            }
        }
    }
}

#[test]
fn every_occurrence_counts_and_not_only_the_last() {
    let (mine, theirs) = (text(1, DOOR.as_bytes()), text(1, b"other.acc01"));
    for message in [[&mine[..], &theirs].concat(), [&theirs[..], &mine].concat(), [&mine[..], &theirs, &mine].concat()] {
        assert_eq!(check("StartWorkflowExecution", &message, DOOR), Err(Violation::Foreign(b"other.acc01")));
    }
    assert_eq!(check("StartWorkflowExecution", &[&mine[..], &mine].concat(), DOOR), Ok(()));
    // A child started twice over: parts of one message are merged by a reader.
    let split = [text(9, DOOR.as_bytes()), text(2, &text(12, b"")), text(2, &text(12, &text(1, b"other.acc01")))].concat();
    assert_eq!(check("RespondWorkflowTaskCompleted", &split, DOOR), Err(Violation::Foreign(b"other.acc01")));
}

#[test]
fn a_message_that_names_nothing_is_refused_unless_its_method_has_nothing_to_name() {
    assert_eq!(check("PollWorkflowTaskQueue", b"", DOOR), Err(Violation::Unnamed));
    assert_eq!(check("SomethingNew", b"", DOOR), Err(Violation::Unnamed));
    // The fourth field of most methods says something else, and so does the first of some.
    assert_eq!(check("RecordActivityTaskHeartbeat", &text(1, DOOR.as_bytes()), DOOR), Err(Violation::Unnamed));
    assert_eq!(check("GetSystemInfo", b"", DOOR), Ok(()));
    assert_eq!(check("ListNamespaces", b"", DOOR), Err(Violation::Server));
}

#[test]
fn bytes_that_two_readers_could_take_in_two_ways_are_refused() {
    let mine = text(1, DOOR.as_bytes());
    let tails: [&[u8]; 13] = [
        &[0x0b, 0x0c],                                                             // the own field as a group
        &[0x1b, 0x1c],                                                             // another field as a group
        &[0x08, 0x01],                                                             // the own field as a number
        &[0x0d, 1, 2, 3, 4],                                                       // the own field as four bytes
        &[0x00, 0x00],                                                             // field 0
        &[0x1e, 0x00],                                                             // wire type 6
        &[0x1f],                                                                   // wire type 7
        &[0x1a, 0x05, 1],                                                          // longer than what is left
        &[0x1a],                                                                   // a length that is not there
        &[0x18, 0x80],                                                             // a number that is cut off
        &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],       // more than 64 bits
        &[0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], // more than ten bytes
        &[0x9a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00],                         // a number past 2^29
    ];
    for tail in tails {
        let message = [&mine[..], tail].concat();
        let result = check("StartWorkflowExecution", &message, DOOR);
        assert!(matches!(result, Err(Violation::Malformed(_))), "{tail:02x?} {result:?}");
    }
    // The same key spelt in two bytes is the same field.
    let spelt = [&mine[..], &[0x8a, 0x00, 0x01, b'x']].concat();
    assert_eq!(check("StartWorkflowExecution", &spelt, DOOR), Err(Violation::Foreign(b"x")));
    let huge = [&mine[..], &[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat();
    assert!(matches!(check("StartWorkflowExecution", &huge, DOOR), Err(Violation::Malformed(_))));
}

#[test]
fn services_of_the_server_are_told_from_those_of_tenants() {
    assert_eq!(Call::of("/temporal.api.workflowservice.v1.WorkflowService/X"), Call::Workflow("X"));
    for path in [
        "/temporal.api.operatorservice.v1.OperatorService/DeleteNamespace",
        "/temporal.server.api.adminservice.v1.AdminService/DescribeCluster",
        "/temporal.server.api.historyservice.v1.HistoryService/X",
        "/temporal.api.workflowservice.v2.WorkflowService/X",
        "/temporal.api.workflowservice.v1.WorkflowService",
        "/%74emporal.api.workflowservice.v1.WorkflowService/X",
        "/temporal.api.workflowservice.v1.WorkflowService/%4cistNamespaces",
        "/Temporal.api.workflowservice.v1.WorkflowService/ListNamespaces",
        "/%54emporal.api.workflowservice.v1.WorkflowService/ListNamespaces",
        "//temporal.api.workflowservice.v1.WorkflowService/ListNamespaces",
        "/a/../temporal.api.workflowservice.v1.WorkflowService/ListNamespaces",
        "/a%2f..%2ftemporal.api.workflowservice.v1.WorkflowService/ListNamespaces",
        "/;/temporal.api.workflowservice.v1.WorkflowService/ListNamespaces",
        "/temporal%2eapi.cloud.x/%59",
    ] {
        assert_eq!(Call::of(path), Call::Server, "{path}");
    }
    for path in [
        "/grpc.health.v1.Health/Check",
        "/temporal.api.cloud.cloudservice.v1.CloudService/GetUsers",
        "/",
        "/pkg.Service/M",
        "/a%20b/temporal.x",
        "/%7",
        "/temporal",
    ] {
        assert_eq!(Call::of(path), Call::Other, "{path}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), which in 0..TABLE.len()) {
        let _ = check(TABLE[which].0, &bytes, DOOR);
    }

    #[test]
    fn a_foreign_name_is_found_wherever_it_stands(
        which in 0..TABLE.len(),
        pick in any::<prop::sample::Index>(),
        noise in proptest::collection::vec((100_u32..5000, proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
        at in any::<prop::sample::Index>(),
    ) {
        let method = TABLE[which].0;
        let all = paths(method);
        prop_assume!(!all.is_empty());
        let (path, _) = pick.get(&all);
        let own = all.iter().find(|(_, rule)| *rule == Rule::Own).map(|(path, _)| path[0]).unwrap();
        let mut parts: Vec<Vec<u8>> = noise.iter().map(|(number, value)| text(*number, value)).collect();
        parts.push(text(own, DOOR.as_bytes()));
        prop_assert!(check(method, &parts.concat(), DOOR).is_ok());
        let bad = path.iter().rev().fold(b"other.acc01".to_vec(), |inner, number| text(*number, &inner));
        parts.insert(at.index(parts.len() + 1), bad);
        prop_assert!(check(method, &parts.concat(), DOOR).is_err());
    }
}
