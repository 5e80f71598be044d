//! Two spellings of one path never reach two APIs.

use super::tests::{NOW, namespace};
use crate::id::ApiId;
use crate::namespace::{Api, AuthMethod, Authentication, Namespace};
use crate::path_form::{PathForm, with_upper_escapes};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Counter(AtomicU64);
impl crate::Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed).to_le_bytes()[..chunk.len()]);
        }
    }
}

fn with_apis(paths: &[&str]) -> Namespace {
    let entropy = Counter(AtomicU64::new(3));
    let mut namespace = namespace("demo", AuthMethod::ApiKey);
    namespace.apis = paths
        .iter()
        .map(|path| Api {
            id: ApiId::mint(&entropy),
            name: (*path).to_owned(),
            listen_path: (*path).to_owned(),
            upstream: None,
            authentication: Authentication { api_key: true, client_certificate: false },
            pass_api_key: false,
            forward_client_certificate: false,
            case_sensitive: false,
            allowed_path_forms: Vec::new(),
            timeouts: Default::default(),
            resource_version: 1,
            created_at: NOW,
            modified_at: NOW,
        })
        .collect();
    namespace
}

/// The listen path that a request reaches, `-` for the namespace itself, or `None` when it is refused.
fn reached<'n>(namespace: &'n Namespace, path: &str) -> Option<&'n str> {
    let path = with_upper_escapes(path);
    super::check_path(namespace, &path).ok()?;
    let route = namespace.route(&path);
    namespace.check_spelling(&path, &route).ok()?;
    Some(route.api.map_or("-", |api| &api.listen_path))
}

#[test]
fn another_spelling_of_a_narrower_path_is_refused() {
    let namespace = with_apis(&["/orders", "/orders/vault", "/orders/a@b", "/orders/caf%C3%A9"]);
    for path in [
        "/orders/%76ault",
        "/orders/va%75lt/x",
        "/orders/VAULT",
        "/orders/Vault/x",
        "/ORDERS/vault",
        "/ORDERS",
        "/%6frders/vault",
        "/orders/a%40b",
        "/orders/CAF%C3%A9",
        "/orders/caf%C3%89",
        "/orders/./vault",
        "/orders//vault",
        "/orders/x/../vault",
        "/orders;x/vault",
        "/orders%2Fvault",
    ] {
        assert_eq!(reached(&namespace, path), None, "{path}");
    }
    for (path, listen) in [
        ("/orders/vault", "/orders/vault"),
        ("/orders/vaults", "/orders"),
        ("/orders/x/VAULT", "/orders"),
        ("/orders/vault/X%40y", "/orders/vault"),
        ("/orders/caf%c3%a9/x", "/orders/caf%C3%A9"),
        ("/other/Vault", "-"),
    ] {
        assert_eq!(reached(&namespace, path), Some(listen), "{path}");
    }
}

#[test]
fn a_case_sensitive_api_leaves_other_cases_to_the_wider_one() {
    let mut namespace = with_apis(&["/orders", "/orders/vault"]);
    namespace.apis[1].case_sensitive = true;
    assert_eq!(reached(&namespace, "/orders/VAULT"), Some("/orders"));
    assert_eq!(reached(&namespace, "/orders/vault"), Some("/orders/vault"));
    assert_eq!(reached(&namespace, "/orders/%76ault"), None);
}

#[test]
fn a_stored_listen_path_that_is_not_canonical_closes_its_path_and_opens_none() {
    for (stored, plain) in [("/%61dmin", "/admin"), ("/ad%6Din", "/admin"), ("/caf%c3%a9", "/caf%C3%A9"), ("/a%40b", "/a@b")] {
        let namespace = with_apis(&["/", stored]);
        assert_eq!(reached(&namespace, plain), None, "{stored}");
        assert_eq!(reached(&namespace, &format!("{plain}/x")), None, "{stored}");
        assert_ne!(reached(&namespace, stored), Some("/"), "{stored}");
        assert_eq!(reached(&namespace, "/other"), Some("/"));
    }
    // Two APIs of before whose paths differ in case only: neither is reached.
    let namespace = with_apis(&["/Vault", "/vault"]);
    assert!(reached(&namespace, "/Vault").is_none() && reached(&namespace, "/vault/x").is_none());
}

#[test]
fn an_api_opts_in_to_a_form_by_name_and_only_where_every_reading_is_its_own() {
    let mut namespace = with_apis(&["/orders", "/orders/vault"]);
    namespace.apis[0].allowed_path_forms = vec![PathForm::EncodedSlash, PathForm::EncodedUnreserved, PathForm::Semicolon];
    for path in ["/orders/a%2Fb", "/orders/%7Eme", "/orders/a;v=1", "/orders/x%2fvault"] {
        assert_eq!(reached(&namespace, path), Some("/orders"), "{path}");
    }
    for path in [
        "/orders/%76ault",
        "/orders/%76ault%2Fx",
        "/orders/vault%2Fx",
        "/orders/vault;a",
        "/orders/vault%2F..",
        "/orders/x%2F..%2Fvault",
        "/orders/a%2F..%2F..%2Fother",
        "/orders/%2Fvault",
        "/orders/a%252Fb",
        "/orders/a//b",
        "/orders/vault/a%2Fb",
        "/a%2Fb",
    ] {
        assert_eq!(reached(&namespace, path), None, "{path}");
    }
}

/// What a server that decodes, folds case and normalises makes of a path.
fn normalised(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        let bytes = text.as_bytes();
        let mut out = Vec::new();
        let mut i = 0;
        while i < bytes.len() {
            let digits = std::str::from_utf8(&bytes[(i + 1).min(bytes.len())..(i + 3).min(bytes.len())]).unwrap_or("");
            match u8::from_str_radix(digits, 16) {
                Ok(byte) if bytes[i] == b'%' && digits.len() == 2 => {
                    out.push(byte);
                    i += 3;
                }
                _ => {
                    out.push(bytes[i]);
                    i += 1;
                }
            }
        }
        text = String::from_utf8_lossy(&out).into_owned();
    }
    let text = text.replace('\\', "/").to_lowercase();
    let mut kept: Vec<&str> = Vec::new();
    for segment in text.split('/').map(|segment| segment.split(';').next().unwrap_or("")) {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// One spelling of a path: each byte as it is, in another case, or encoded in one of two cases.
fn respell(path: &str, choices: &[u8]) -> String {
    let mut out = String::new();
    for (byte, choice) in path.bytes().zip(choices.iter().cycle()) {
        match choice % 6 {
            1 => out.push(char::from(byte).to_ascii_uppercase()),
            2 if byte != b'/' => out.push_str(&format!("%{byte:02x}")),
            3 if byte != b'/' => out.push_str(&format!("%{byte:02X}")),
            4 if byte == b'/' => out.push_str(if choice % 4 == 0 { "/./" } else { "//" }),
            5 if byte == b'/' => out.push_str("/x/../"),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

proptest! {
    #[test]
    fn two_spellings_of_one_path_never_reach_two_apis(
        path in "/(orders|vault|a@b)(/(vault|orders|x|a@b)){0,3}",
        one in proptest::collection::vec(any::<u8>(), 1..24),
        two in proptest::collection::vec(any::<u8>(), 1..24),
        allowed in proptest::collection::vec(0..PathForm::ALL.len(), 0..6),
        sensitive in any::<bool>(),
    ) {
        let mut namespace = with_apis(&["/orders", "/orders/vault", "/vault", "/orders/a@b/x"]);
        for api in &mut namespace.apis {
            api.allowed_path_forms = allowed.iter().map(|at| PathForm::ALL[*at]).collect();
        }
        let (one, two) = (respell(&path, &one), respell(&path, &two));
        prop_assert_eq!(normalised(&one), normalised(&two));
        if let (Some(a), Some(b)) = (reached(&namespace, &one), reached(&namespace, &two)) {
            prop_assert_eq!(a, b, "{} {}", one, two);
        }
        // A case-sensitive API is another one in another case, but in no other spelling.
        namespace.apis.iter_mut().for_each(|api| api.case_sensitive = sensitive);
        let (one, two) = (one.to_lowercase(), two.to_lowercase());
        if let (Some(a), Some(b)) = (reached(&namespace, &one), reached(&namespace, &two)) {
            prop_assert_eq!(a, b, "{} {}", one, two);
        }
    }

    #[test]
    fn what_is_let_in_stays_in_its_api_in_every_reading(
        tail in "[a-zV./%;\\\\2eEfF5cC0]{0,24}",
        allowed in proptest::collection::vec(0..PathForm::ALL.len(), 0..9),
    ) {
        let mut namespace = with_apis(&["/orders", "/orders/v"]);
        namespace.apis[0].allowed_path_forms = allowed.iter().map(|at| PathForm::ALL[*at]).collect();
        let path = format!("/orders/{tail}");
        if let Some(listen) = reached(&namespace, &path) {
            let read = normalised(&path);
            let narrow = read == "/orders/v" || read.starts_with("/orders/v/");
            prop_assert_eq!(listen == "/orders/v", narrow, "{} -> {}", path, read);
            prop_assert!(read == "/orders" || read.starts_with("/orders/"), "{} -> {}", path, read);
        }
    }
}
