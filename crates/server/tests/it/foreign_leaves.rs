//! A revoked leaf of another CA stays out, whatever certificate of that CA it comes with: renewed, cross-signed, removed and accepted
//! again, and as an older version kept it.

use crate::harness::{Chance, Plane, settings};
use crate::revocation::{Desk, Foreign, explained};
use countersign_core::snapshot::{BlockedLeaf, LeafSelector};
use countersign_core::time::Lifetime;
use countersign_server::App;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

const CAS: &str = "/namespaces/demo/accepted-client-cas";

/// The CA's next certificate: the same name and key.
fn renewed(foreign: &Foreign) -> String {
    foreign.desk.openssl("req -x509 -key ca.key -days 700 -subj /CN=foreign -config ca.cnf -extensions v3ca -out next.pem");
    foreign.desk.read("next.pem")
}

async fn prints(plane: &Plane) -> Vec<String> {
    let cas = plane.get(CAS, &plane.owner).await.ok();
    cas["acceptedClientCas"].as_array().unwrap().iter().map(|ca| ca["fingerprintSha256"].as_str().unwrap().to_owned()).collect()
}

async fn remove(plane: &Plane, print: &str) {
    plane.call("DELETE", &format!("{CAS}/{print}"), &plane.owner, Value::Null).await.ok();
}

#[tokio::test]
async fn a_revoked_leaf_stays_out_when_its_cas_renewed_certificate_is_accepted() {
    for by_list in [false, true] {
        let plane = Plane::start().await;
        let ca = Foreign::accepted(&plane).await;
        let (one, two) = (ca.desk.read("one.pem"), ca.desk.read("two.pem"));
        if by_list {
            ca.desk.openssl("ca -config ca.cnf -revoke one.pem");
            plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": ca.crl() })).await.ok();
        } else {
            plane.post(&ca.path("revoked-leaves"), &plane.owner, json!({ "certificate": one })).await.ok();
        }
        assert_eq!(explained(&plane, &one).await, "certificate_revoked");
        // Beside it, instead of it, and the old one again after all were gone.
        let next = renewed(&ca);
        plane.post(CAS, &plane.owner, json!({ "certificates": next })).await.ok();
        let out = async |what: &str| {
            assert_eq!(explained(&plane, &one).await, "certificate_revoked", "{what}, by list: {by_list}");
            assert_eq!(explained(&plane, &two).await, "admitted", "{what}, by list: {by_list}");
            plane.assert_snapshot_is_the_stores().await;
        };
        out("beside").await;
        remove(&plane, &ca.print).await;
        out("instead").await;
        let next_print = prints(&plane).await.remove(0);
        let shown = plane.get(&format!("{CAS}/{next_print}/revoked-leaves"), &plane.owner).await.ok();
        assert_eq!((&shown["count"], &shown["items"][0]["by"]), (&json!(1), &json!(if by_list { "crl" } else { "here" })), "{shown}");
        remove(&plane, &next_print).await;
        plane.post(CAS, &plane.owner, json!({ "certificates": ca.desk.read("ca.pem") })).await.ok();
        out("removed and accepted again").await;
        // In another namespace too, which accepts the renewed one only.
        let other = plane.namespace("other").await;
        plane.post(&format!("/namespaces/{other}/accepted-client-cas"), &plane.owner, json!({ "certificates": next })).await.ok();
        let question = json!({ "namespace": other, "certificate": one });
        let said = plane.post("/explain", &plane.owner, question).await.ok();
        assert!(said["admitted"] == false && said["code"] != "certificate_unknown", "{said}");
        // Nor is it registered by way of the renewed CA.
        plane.post("/certificates", &plane.owner, json!({ "certificate": one })).await.refused(409, "certificate_revoked");
    }
}

#[tokio::test]
async fn a_revoked_leaf_stays_out_by_another_cross_signed_intermediate() {
    let plane = Plane::start().await;
    let desk = Desk::new();
    desk.write("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n");
    desk.write("leaf.ext", "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n");
    for root in ["red", "blue"] {
        desk.openssl(&format!("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {root}.key -days 365 -subj /CN={root} -addext keyUsage=critical,keyCertSign,cRLSign -out {root}.pem"));
    }
    desk.openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout mid.key -subj /CN=mid -out mid.csr");
    for (root, days) in [("red", "90"), ("blue", "80"), ("red", "70")] {
        desk.openssl(&format!(
            "x509 -req -in mid.csr -CA {root}.pem -CAkey {root}.key -days {days} -extfile ca.ext -out mid-{root}-{days}.pem"
        ));
    }
    for name in ["one", "two"] {
        desk.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -subj /CN={name} -out {name}.csr"
        ));
        desk.openssl(&format!("x509 -req -in {name}.csr -CA mid-red-90.pem -CAkey mid.key -days 60 -extfile leaf.ext -out {name}.pem"));
    }
    for root in ["red", "blue"] {
        plane.post(CAS, &plane.owner, json!({ "certificates": desk.read(&format!("{root}.pem")) })).await.ok();
    }
    let [one, two] = ["one", "two"].map(|name| desk.read(&format!("{name}.pem")));
    let ways = ["mid-red-90", "mid-blue-80", "mid-red-70"].map(|mid| desk.read(&format!("{mid}.pem")));
    for way in &ways {
        assert_eq!(explained(&plane, &format!("{one}{way}")).await, "admitted");
    }
    // The leaf itself is named, under one of the roots: nobody told of its intermediate's key.
    let red = prints(&plane).await.remove(0);
    plane.post(&format!("{CAS}/{red}/revoked-leaves"), &plane.owner, json!({ "certificate": one })).await.ok();
    for way in &ways {
        assert_eq!(explained(&plane, &format!("{one}{way}")).await, "certificate_revoked");
        assert_eq!(explained(&plane, &format!("{two}{way}")).await, "admitted");
    }
    // And by the intermediate's own list, once that is accepted, of whichever of its certificates.
    plane.post(CAS, &plane.owner, json!({ "certificates": ways[0] })).await.ok();
    let mid = countersign_x509::facts::of(&der(&ways[0])).map(|_| prints(&plane)).unwrap().await.pop().unwrap();
    desk.write(
        "ca.cnf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ncertificate=mid-red-90.pem\nprivate_key=mid.key\n\
         default_md=sha256\ndefault_crl_days=30\n",
    );
    desk.write("index.txt", "");
    desk.write("crlnumber", "01\n");
    desk.openssl("ca -config ca.cnf -revoke two.pem");
    desk.openssl("ca -config ca.cnf -gencrl -out list.crl");
    plane.post(&format!("{CAS}/{mid}/crl"), &plane.owner, json!({ "crl": desk.read("list.crl") })).await.ok();
    remove(&plane, &mid).await;
    for way in &ways {
        assert_eq!(explained(&plane, &format!("{two}{way}")).await, "certificate_revoked", "the intermediate comes with the client now");
    }
    plane.assert_snapshot_is_the_stores().await;
}

fn der(text: &str) -> Vec<u8> {
    match countersign_x509::pem::read(text.as_bytes()).unwrap().blocks.remove(0) {
        countersign_x509::pem::Block::Certificate(der) => der,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_counts_for_every_certificate_of_its_ca_whenever_that_is_accepted() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    ca.desk.openssl("ca -config ca.cnf -revoke one.pem");
    let list = ca.crl();
    plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": list, "stale": "refuse" })).await.ok();
    plane.post(CAS, &plane.owner, json!({ "certificates": renewed(&ca) })).await.ok();
    let next = prints(&plane).await.into_iter().find(|print| *print != ca.print).unwrap();
    let crl = format!("{CAS}/{next}/crl");
    let shown = plane.get(&crl, &plane.owner).await.ok();
    assert_eq!((&shown["number"], &shown["revoked"], &shown["stale"]), (&json!("01"), &json!(1), &json!("refuse")), "{shown}");
    plane.post(&crl, &plane.owner, json!({ "crl": list })).await.refused(400, "nothing_to_change");
    remove(&plane, &ca.print).await;
    // What a stale list means was decided of the CA, and not of one certificate of its.
    let two = ca.desk.read("two.pem");
    assert_eq!(explained(&plane, &two).await, "admitted");
    plane.clock.advance(Lifetime::from_days(31));
    assert_eq!(explained(&plane, &two).await, "certificate_revoked");
    // The next list, given for the renewed one, holds for all.
    let third = renewed(&ca);
    plane.post(CAS, &plane.owner, json!({ "certificates": third })).await;
    ca.desk.openssl("ca -config ca.cnf -gencrl -crldays 90 -out list.crl");
    plane.post(&crl, &plane.owner, json!({ "crl": ca.desk.read("list.crl") })).await.ok();
    assert_eq!(explained(&plane, &two).await, "admitted");
    assert_eq!(explained(&plane, &ca.desk.read("one.pem")).await, "certificate_revoked");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn the_number_of_a_list_goes_with_its_ca_and_what_it_revoked_does_not() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    ca.desk.openssl("ca -config ca.cnf -revoke one.pem");
    ca.desk.write("crlnumber", "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\n");
    plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": ca.crl() })).await.ok();
    ca.desk.write("crlnumber", "05\n");
    let lower = ca.crl();
    plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": lower })).await.refused(409, "crl_older");
    remove(&plane, &ca.print).await;
    plane.post(CAS, &plane.owner, json!({ "certificates": ca.desk.read("ca.pem") })).await.ok();
    assert_eq!(explained(&plane, &ca.desk.read("one.pem")).await, "certificate_revoked");
    plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": lower })).await.ok();
    assert_eq!(explained(&plane, &ca.desk.read("one.pem")).await, "certificate_revoked");
    // A number that is none of RFC 5280 section 5.2.3 is refused at once.
    for wrong in ["020180", "0215010101010101010101010101010101010101010101"] {
        ca.desk.write("odd.cnf", &format!("{}[odd]\n2.5.29.20=DER:{wrong}\n", ca.desk.read("ca.cnf")));
        std::fs::remove_file(ca.desk.path().join("crlnumber")).ok();
        ca.desk.write("odd.cnf", &ca.desk.read("odd.cnf").replace("crlnumber=crlnumber\n", ""));
        ca.desk.openssl("ca -config odd.cnf -gencrl -crlexts odd -out odd.crl");
        plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": ca.desk.read("odd.crl") })).await.refused(400, "malformed_crl");
    }
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn lists_of_two_distribution_points_stand_beside_each_other_and_come_in_one_file() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    let (one, two) = (ca.desk.read("one.pem"), ca.desk.read("two.pem"));
    for (name, revoked) in [("first", "one"), ("second", "two")] {
        ca.desk.write(
            &format!("{name}.cnf"),
            &format!(
                "{}[ext]\nissuingDistributionPoint=critical,@point\n[point]\nfullname=URI:http://crl.example/{name}\n",
                ca.desk.read("ca.cnf")
            ),
        );
        ca.desk.write("index.txt", "");
        ca.desk.openssl(&format!("ca -config {name}.cnf -revoke {revoked}.pem"));
        ca.desk.openssl(&format!("ca -config {name}.cnf -gencrl -crlexts ext -out {name}.crl"));
    }
    let both = format!("{}{}", ca.desk.read("first.crl"), ca.desk.read("second.crl"));
    let taken = plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": both })).await.ok();
    assert_eq!((&taken["added"], &taken["crl"]["revoked"]), (&json!(2), &json!(2)), "{taken}");
    assert_eq!(
        (explained(&plane, &one).await, explained(&plane, &two).await),
        ("certificate_revoked".into(), "certificate_revoked".into())
    );
    // A later list of one point says nothing of the other.
    ca.desk.write("index.txt", "");
    ca.desk.openssl("ca -config first.cnf -gencrl -crlexts ext -out first.crl");
    let taken = plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": ca.desk.read("first.crl") })).await.ok();
    assert_eq!((&taken["removed"], &taken["crl"]["revoked"]), (&json!(1), &json!(1)), "{taken}");
    assert_eq!((explained(&plane, &one).await, explained(&plane, &two).await), ("admitted".into(), "certificate_revoked".into()));
    // One of the whole CA says all.
    let taken = plane.post(&ca.path("crl"), &plane.owner, json!({ "crl": ca.crl() })).await.ok();
    assert_eq!((&taken["removed"], &taken["crl"]["revoked"]), (&json!(1), &json!(0)), "{taken}");
    assert_eq!((explained(&plane, &one).await, explained(&plane, &two).await), ("admitted".into(), "admitted".into()));
    plane.assert_snapshot_is_the_stores().await;
}

/// The same certificate with the other valid form of its ECDSA signature, (r, n - s).
fn other_form(text: &str) -> String {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
        0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    fn part<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
        let (head, length) = match bytes[1] {
            short @ 0..=127 => (2, usize::from(short)),
            0x81 => (3, usize::from(bytes[2])),
            _ => (4, usize::from(bytes[2]) << 8 | usize::from(bytes[3])),
        };
        let (whole, rest) = bytes.split_at(head + length);
        *bytes = rest;
        &whole[head..]
    }
    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = match content.len() {
            short @ 0..=127 => vec![short as u8],
            middle @ 128..=255 => vec![0x81, middle as u8],
            long => vec![0x82, (long >> 8) as u8, long as u8],
        };
        [&[tag][..], &length, content].concat()
    }
    let der = der(text);
    let mut all = der.as_slice();
    let mut inside = part(&mut all);
    let (signed, algorithm) = (part(&mut inside), part(&mut inside));
    let bits = part(&mut inside);
    let mut numbers = &bits[1..];
    let mut numbers = part(&mut numbers);
    let (r, s) = (part(&mut numbers), part(&mut numbers));
    let mut padded = [0; 32];
    let s = if s.len() > 32 { &s[1..] } else { s };
    padded[32 - s.len()..].copy_from_slice(s);
    let (mut other, mut borrow) = ([0; 32], 0_i16);
    for i in (0..32).rev() {
        let digit = i16::from(N[i]) - i16::from(padded[i]) - borrow;
        borrow = i16::from(digit < 0);
        other[i] = digit.rem_euclid(256) as u8;
    }
    let start = other.iter().position(|byte| *byte != 0).unwrap();
    let mut s = other[start..].to_vec();
    if s[0] >= 0x80 {
        s.insert(0, 0);
    }
    let signature = [&[0][..], &tlv(0x30, &[tlv(2, r), tlv(2, &s)].concat())].concat();
    let whole = tlv(0x30, &[tlv(0x30, signed), tlv(0x30, algorithm), tlv(3, &signature)].concat());
    countersign_x509::pem::certificate(&whole)
}

#[tokio::test]
async fn a_revoked_leaf_stays_out_with_the_other_form_of_its_signature() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    let (one, two) = (ca.desk.read("one.pem"), ca.desk.read("two.pem"));
    let twins = [other_form(&one), other_form(&two)];
    for twin in &twins {
        assert_eq!(explained(&plane, twin).await, "admitted", "it is a certificate of the CA");
    }
    plane.post(&ca.path("revoked-leaves"), &plane.owner, json!({ "certificate": one })).await.ok();
    assert_eq!(explained(&plane, &twins[0]).await, "certificate_revoked");
    // Registered and revoked: the twin is registered nowhere, and its CA is accepted.
    let id = plane.post("/certificates", &plane.owner, json!({ "certificate": two })).await.ok()["id"].as_str().unwrap().to_owned();
    for (reason, after) in [("certificateHold", "certificate_revoked"), ("", "admitted"), ("superseded", "certificate_revoked")] {
        let (path, body) = match reason {
            "" => (format!("/certificates/{id}/release"), Value::Null),
            _ => (format!("/certificates/{id}/revoke"), json!({ "reason": reason })),
        };
        plane.post(&path, &plane.owner, body).await.ok();
        assert_eq!((explained(&plane, &two).await.as_str(), explained(&plane, &twins[1]).await.as_str()), (after, after), "{reason}");
        plane.assert_snapshot_is_the_stores().await;
    }
    let again = plane.post("/certificates", &plane.owner, json!({ "certificate": twins[1] })).await;
    assert!(again.status >= 400, "{}", again.text);
}

#[tokio::test]
async fn what_an_older_version_blocked_stays_blocked() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    let (one, two) = (ca.desk.read("one.pem"), ca.desk.read("two.pem"));
    let file = plane.directory.path().join("data").join("countersign.db");
    let row = |anchor: &str, serial: &str, by_crl: u8| {
        format!("INSERT INTO blocked_leaf VALUES (X'{anchor}', 'CN=foreign', '{serial}', {by_crl}, 'superseded', 0);")
    };
    // One of the CA that is accepted, one of a certificate of it that is not any more.
    let gone = "11".repeat(32);
    let text = format!(
        "{}{}{}INSERT INTO foreign_crl VALUES (X'{}', 'CN=foreign', '09', 1000000, 2000000, 1000000);",
        row(&ca.print, "0a01", 1),
        row(&gone, "0a02", 0),
        row(&gone, "0a09", 0),
        ca.print
    );
    let made = Command::new("sqlite3").arg(&file).arg(text).status().expect("sqlite3 makes rows of an older version");
    assert!(made.success());
    for _ in 0..2 {
        let app = App::start(plane.store.clone(), plane.clock.clone(), Arc::new(Chance), settings()).await.unwrap();
        let snapshot = app.snapshot();
        let demo = snapshot.namespaces().next().unwrap().id.clone();
        let path = countersign_x509::facts::of(&der(&ca.desk.read("ca.pem"))).unwrap().key;
        for text in [&one, &two] {
            let facts = countersign_x509::facts::of(&der(text)).unwrap();
            assert!(snapshot.keeps_out(&demo, &facts, path.as_ref()), "{}", facts.serial);
        }
        let by_key = LeafSelector::Serial { issuer_key: path.unwrap(), serial: "0a01".to_owned() };
        assert!(snapshot.is_leaf_blocked(&BlockedLeaf { namespace: None, leaf: by_key }), "known by its CA's key now");
    }
    let listed = plane.get(&ca.path("crl"), &plane.owner).await.ok();
    assert_eq!((&listed["number"], &listed["revoked"]), (&json!("09"), &json!(1)), "{listed}");
}
