//! A flood of connections takes no descriptor that the control plane, health or a revocation needs (promises P5, P17).

use crate::plane::{Plane, eventually, refusal};
use std::net::TcpStream;

#[test]
fn silent_connections_do_not_keep_an_operator_from_revoking() {
    // Few descriptors, as on a system whose limit nobody has raised.
    let plane = Plane::start_with_open_files(128);
    let (id, secret) = plane.key(&[]);
    assert_eq!(plane.get(&secret, "/").0, 200);
    let flood: Vec<_> = (0..300).filter_map(|_| TcpStream::connect(plane.var("COUNTERSIGN_GATEWAY")).ok()).collect();
    assert!(flood.len() > 128, "{}", flood.len());
    for n in 0..10 {
        assert_eq!(plane.get(&secret, "/").0, 200, "a good connection is served meanwhile, {n}");
    }
    let (status, _) = plane.curl(&[plane.var("COUNTERSIGN_METRICS")]);
    assert_eq!(status, 200, "metrics are served meanwhile");
    let answer = plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &id]).ok().json();
    assert_eq!(answer["requestStatus"]["receipt"]["inEffect"], true, "{answer}");
    drop(flood);
    eventually("the door is open again, to others than the revoked", || {
        let (status, body) = plane.get(&secret, "/");
        (status, refusal(&body).as_str()) == (401, "key_unknown")
    });
}
