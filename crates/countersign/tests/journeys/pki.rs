//! Issuers: what they publish as OpenSSL sees it, and one taking another's place (issue's items 1 and 4; rules D8, F1, F6 to F8, G1, G5).

use crate::plane::{Answer, Plane, text};
use std::process::Command;

fn openssl(plane: &Plane, args: &[&str]) -> Answer {
    Answer::of(Command::new("openssl").args(args).current_dir(plane.path("")).output().unwrap())
}

/// Reads a published file in clear.
fn fetch(plane: &Plane, name: &str, to: &str) {
    let url = format!("{}/{name}", plane.env["COUNTERSIGN_PKI"]);
    let done = Command::new("curl").args(["-sSf", "-o", to, &url]).current_dir(plane.path("")).output().unwrap();
    assert!(done.status.success(), "{url}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An application with a right in the demo namespace, and a certificate of its sandbox in `NAME/`.
pub fn certificate(plane: &Plane, name: &str) -> String {
    let made = plane.cli(&[
        "certificate",
        "create",
        "--application",
        "shop",
        "--environment",
        "sandbox",
        "--alias",
        name,
        "--generate-key",
        "--out-dir",
        name,
    ]);
    text(&made.ok().json(), "id")
}

fn shop() -> Plane {
    let plane = Plane::start();
    let permission = format!("{}=write", plane.namespace());
    plane.cli(&["application", "create", "--name", "shop", "--sandbox-permission", &permission]).ok();
    plane
}

fn get(plane: &Plane, name: &str) -> u16 {
    let (certificate, key) = (format!("{name}/{name}.pem"), format!("{name}/{name}.key"));
    plane.curl(&["--cert", &certificate, "--key", &key, &plane.url("/hello")]).0
}

#[test]
fn openssl_accepts_what_is_published_and_sees_a_revocation_at_once() {
    let plane = shop();
    certificate(&plane, "till");
    certificate(&plane, "kiosk");
    assert_eq!((get(&plane, "till"), get(&plane, "kiosk")), (200, 200));
    fetch(&plane, "root-1.pem", "root.pem");
    fetch(&plane, "sandbox-1.pem", "chain.pem");
    fetch(&plane, "sandbox-1.crt", "issuer.der");
    openssl(&plane, &["x509", "-inform", "DER", "-in", "issuer.der", "-out", "issuer.pem"]).ok();
    let verify = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "root.pem", "-untrusted", "chain.pem", "till/till.pem"];
    openssl(&plane, &verify).ok();

    let responder = format!("{}/ocsp", plane.env["COUNTERSIGN_PKI"]);
    let ask = |name: &str| {
        let file = format!("{name}/{name}.pem");
        let said = openssl(&plane, &["ocsp", "-issuer", "issuer.pem", "-cert", &file, "-url", &responder, "-CAfile", "root.pem"]).ok();
        assert!(said.stderr.contains("Response verify OK"), "{said:?}");
        said.stdout
    };
    assert!(ask("till").contains("till.pem: good"));

    plane.cli(&["--auto-confirm", "certificate", "revoke", "--certificate", "till/till.pem", "--reason", "keyCompromise"]).ok();
    let said = ask("till");
    assert!(said.contains("till.pem: revoked") && said.contains("keyCompromise"), "{said}");
    assert!(ask("kiosk").contains("kiosk.pem: good"));
    fetch(&plane, "sandbox-1.crl", "list.der");
    let read = openssl(&plane, &["crl", "-inform", "DER", "-in", "list.der", "-CAfile", "issuer.pem", "-noout", "-text"]).ok();
    assert!(read.stderr.contains("verify OK") && read.stdout.contains("Key Compromise"), "{read:?}");
    // And OpenSSL itself refuses by that list.
    openssl(&plane, &["crl", "-inform", "DER", "-in", "list.der", "-out", "list.pem"]).ok();
    fetch(&plane, "root-1.crl", "root.der");
    openssl(&plane, &["crl", "-inform", "DER", "-in", "root.der", "-out", "rootlist.pem"]).ok();
    let checked = |name: &str| {
        let file = format!("{name}/{name}.pem");
        let lists = ["-CRLfile", "list.pem", "-CRLfile", "rootlist.pem"];
        let args: Vec<&str> = ["verify", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "issuer.pem"]
            .into_iter()
            .chain(lists)
            .chain([file.as_str()])
            .collect();
        openssl(&plane, &args)
    };
    checked("kiosk").ok();
    let refused = checked("till");
    assert!(refused.code != 0 && refused.stderr.contains("revoked"), "{refused:?}");

    // A serial number that nobody here ever used, and another CA's.
    let unknown = openssl(&plane, &["ocsp", "-issuer", "issuer.pem", "-serial", "4711", "-url", &responder, "-CAfile", "root.pem"]).ok();
    assert!(unknown.stdout.contains("4711: unknown"), "{unknown:?}");
    plane.certificates("stranger");
    let other = openssl(&plane, &["ocsp", "-issuer", "stranger-ca.pem", "-cert", "stranger.pem", "-url", &responder]);
    assert!(format!("{}{}", other.stdout, other.stderr).contains("unauthorized"), "{other:?}");
}

#[test]
fn f6_a_reader_who_has_the_newest_list_is_told_so_and_a_revocation_makes_a_newer_one() {
    let plane = shop();
    certificate(&plane, "till");
    let url = format!("{}/sandbox-1.crl", plane.env["COUNTERSIGN_PKI"]);
    let head = |more: &[&str]| {
        let done = Command::new("curl").args(["-sS", "-D", "-", "-o", "/dev/null"]).args(more).arg(&url).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let first = head(&[]);
    let field = |head: &str, name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).unwrap_or_else(|| panic!("{head}"))
    };
    let etag = field(&first, "etag:");
    assert!(first.contains("application/pkix-crl") && first.contains("last-modified:"), "{first}");
    let condition = format!("If-None-Match: {etag}");
    assert!(head(&["-H", &condition]).starts_with("HTTP/1.1 304"));
    plane.cli(&["--auto-confirm", "certificate", "revoke", "--alias", "till"]).ok();
    let newer = head(&["-H", &condition]);
    assert!(newer.starts_with("HTTP/1.1 200") && field(&newer, "etag:") != etag, "{newer}");
}

#[test]
fn g1_an_issuer_takes_anothers_place_and_no_good_client_is_refused() {
    let plane = shop();
    certificate(&plane, "before");
    plane.cli(&["issuer", "retiring", "--name", "sandbox-1"]).refused("issuer_in_use");
    plane.cli(&["issuer", "create", "--name", "sandbox-2", "--environment", "sandbox", "--key-type", "rsa-3072"]).ok();
    // Staged, it signs nothing yet.
    certificate(&plane, "between");
    plane.cli(&["issuer", "activate", "--name", "sandbox-2"]).ok();
    plane.cli(&["issuer", "retiring", "--name", "sandbox-1"]).ok();
    certificate(&plane, "after");
    let issuer = |name: &str| openssl(&plane, &["x509", "-noout", "-issuer", "-in", &format!("{name}/{name}.pem")]).ok().stdout;
    assert!(issuer("between").contains("sandbox-1") && issuer("after").contains("sandbox-2"), "{} {}", issuer("between"), issuer("after"));
    for name in ["before", "between", "after"] {
        assert_eq!(get(&plane, name), 200, "{name}");
    }
    // Both go on publishing.
    for name in ["sandbox-1.crl", "sandbox-2.crl"] {
        fetch(&plane, name, "list.der");
        openssl(&plane, &["crl", "-inform", "DER", "-in", "list.der", "-noout"]).ok();
    }
    // G5: not under living certificates, unless it is insisted on.
    plane.cli(&["--auto-confirm", "issuer", "retire", "--name", "sandbox-1"]).refused("issuer_in_use");
    plane.cli(&["--auto-confirm", "issuer", "retire", "--name", "sandbox-1", "--force"]).ok();
    assert_eq!((get(&plane, "before"), get(&plane, "after")), (403, 200));
    plane.cli(&["issuer", "activate", "--name", "sandbox-1"]).refused("invalid_argument");
}

#[test]
fn what_a_retired_issuer_signed_stays_out_after_a_restart_and_keys_need_their_master_key() {
    let mut plane = shop();
    certificate(&plane, "till");
    plane.cli(&["issuer", "create", "--name", "sandbox-2", "--environment", "sandbox"]).ok();
    plane.cli(&["issuer", "activate", "--name", "sandbox-2"]).ok();
    plane.cli(&["issuer", "retiring", "--name", "sandbox-1"]).ok();
    plane.cli(&["--auto-confirm", "issuer", "retire", "--name", "sandbox-1", "--force"]).ok();
    plane.stop();
    plane.restart();
    assert_eq!(get(&plane, "till"), 403);
    certificate(&plane, "new");
    assert_eq!(get(&plane, "new"), 200);
    plane.stop();
    let key = plane.data().join("master.key");
    std::fs::write(&key, format!("{}\n", "07".repeat(32))).unwrap();
    let started = Command::new(crate::plane::binary())
        .args(["dev", "--control", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data-dir"])
        .arg(plane.data())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success() && said.contains("master key") && said.contains("issuer"), "{said}");
}

#[test]
fn a_ca_made_by_openssl_is_imported_with_its_key_and_signs() {
    let plane = shop();
    let made = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
        "-nodes",
        "-keyout",
        "own.key",
        "-out",
        "own.pem",
        "-days",
        "900",
    ];
    let named = [
        "-subj",
        "/O=Acme/CN=Acme issuing",
        "-addext",
        "basicConstraints=critical,CA:TRUE,pathlen:0",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ];
    openssl(&plane, &made.into_iter().chain(named).collect::<Vec<_>>()).ok();
    openssl(&plane, &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "other.key"]).ok();
    let import = |key: &str| {
        plane.cli(&["issuer", "import", "--name", "acme", "--environment", "sandbox", "--certificate", "own.pem", "--private-key", key])
    };
    import("other.key").refused("key_mismatch");
    import("own.key").ok();
    let shown = plane.cli(&["issuer", "get", "--name", "acme"]).ok();
    assert!(!shown.stdout.contains("PRIVATE") && shown.json()["state"] == "staged", "{shown:?}");
    let audit = plane.cli(&["audit", "list"]).ok().stdout;
    assert!(!audit.contains("PRIVATE KEY"), "a key stands in the trail");
}
