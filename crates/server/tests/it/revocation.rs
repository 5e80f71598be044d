//! Ending certificates before their time: whatever they are named by, for a while or for ever, and leaves that are not ours.

use crate::harness::Plane;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::time::Lifetime;
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
use countersign_x509::{given_key, pem};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A directory in which openssl works.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    #[track_caller]
    pub fn openssl(&self, words: &str) {
        let output = Command::new("openssl").args(words.split_whitespace()).current_dir(self.path()).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// A key and a self-signed leaf of it.
    pub fn leaf(&self, key: &str, name: &str) -> String {
        if !self.path().join(format!("{key}.key")).exists() {
            self.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {key}.key"));
        }
        self.openssl(&format!("req -x509 -key {key}.key -days 90 -subj /CN={name} -out {name}.pem"));
        self.read(&format!("{name}.pem"))
    }
}

async fn register(plane: &Plane, key: &str, certificate: &str) -> String {
    plane.post("/certificates", key, json!({ "certificate": certificate })).await.ok()["id"].as_str().unwrap().to_owned()
}

async fn revoke(plane: &Plane, id: &str, reason: &str) -> crate::harness::Answer {
    plane.post(&format!("/certificates/{id}/revoke"), &plane.owner, json!({ "reason": reason })).await
}

pub async fn explained(plane: &Plane, certificate: &str) -> String {
    let question = json!({ "namespace": "demo", "certificate": certificate });
    plane.post("/explain", &plane.owner, question).await.ok()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn f2_a_second_revoke_changes_nothing_and_says_when_the_first_was() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    let id = register(&plane, &plane.owner, &desk.leaf("a", "a")).await;
    let first = revoke(&plane, &id, "superseded").await.ok();
    let since = first["certificates"][0]["revokedTime"].as_str().unwrap().to_owned();
    assert_eq!((&first["count"], &first["requestStatus"]["receipt"]["connectionsCut"]), (&json!(1), &json!(2)), "{first}");
    plane.clock.advance(Lifetime::from_days(1));
    for reason in ["superseded", "privilegeWithdrawn", "certificateHold"] {
        let again = revoke(&plane, &id, reason).await.refused(400, "nothing_to_change");
        let detail = again["detail"].as_str().unwrap();
        assert!(detail.contains(&since) && detail.contains("superseded"), "{detail}");
    }
    // It may turn out to have been a compromise; when it was revoked stays.
    let worse = revoke(&plane, &id, "keyCompromise").await.ok();
    assert_eq!((&worse["certificates"][0]["revokedTime"], &worse["certificates"][0]["reason"]), (&json!(since), &json!("keyCompromise")));
    revoke(&plane, &id, "keyCompromise").await.refused(400, "nothing_to_change");
    revoke(&plane, &id, "cACompromise").await.refused(400, "invalid_argument");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn f1_only_a_hold_is_taken_back() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    let text = desk.leaf("a", "a");
    let id = register(&plane, &plane.owner, &text).await;
    let path = format!("/certificates/{id}/release");
    let release = || plane.post(&path, &plane.owner, Value::Null);
    release().await.refused(400, "nothing_to_change");
    revoke(&plane, &id, "certificateHold").await.ok();
    assert_eq!(explained(&plane, &text).await, "certificate_revoked");
    revoke(&plane, &id, "certificate-hold").await.refused(400, "nothing_to_change");
    release().await.ok();
    assert_eq!(explained(&plane, &text).await, "admitted");
    revoke(&plane, &id, "certificateHold").await.ok();
    revoke(&plane, &id, "superseded").await.ok();
    release().await.refused(409, "certificate_revoked");
    assert_eq!(explained(&plane, &text).await, "certificate_revoked");
    let (_, stranger) = plane.machine("m", "developer", json!({})).await;
    plane.post(&format!("/certificates/{id}/release"), &stranger, Value::Null).await.refused(404, "not_found");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn f4_a_compromised_key_is_blocked_for_ever_with_all_that_carry_it() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    let (one, two, other) = (desk.leaf("a", "one"), desk.leaf("a", "two"), desk.leaf("b", "other"));
    let ids = [register(&plane, &plane.owner, &one).await, register(&plane, &plane.owner, &two).await];
    register(&plane, &plane.owner, &other).await;
    let said = revoke(&plane, &ids[0], "keyCompromise").await.ok();
    let named: Vec<_> = said["certificates"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect();
    assert!(said["count"] == 2 && ids.iter().all(|id| named.contains(id)), "{said}");
    assert!(said["blockedKey"].is_string());
    for text in [&one, &two] {
        assert_eq!(explained(&plane, text).await, "certificate_revoked");
    }
    assert_eq!(explained(&plane, &other).await, "admitted");
    // A certificate that nobody had registered, of the same key.
    let late = desk.leaf("a", "late");
    assert_eq!(explained(&plane, &late).await, "certificate_revoked");
    assert!(plane.post("/certificates", &plane.owner, json!({ "certificate": late })).await.status >= 400);
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn f3_a_certificate_is_revoked_by_whatever_one_has_of_it() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    for (n, how) in ["print", "colons", "certificate", "private", "public", "csr"].into_iter().enumerate() {
        let name = format!("leaf{n}");
        let text = desk.leaf(&name, &name);
        let id = register(&plane, &plane.owner, &text).await;
        let der = pem::read(text.as_bytes()).unwrap().blocks.into_iter().find_map(|b| match b {
            pem::Block::Certificate(der) => Some(der),
            _ => None,
        });
        let print = Fingerprint::of(&der.unwrap()).to_string();
        desk.openssl(&format!("pkey -in {name}.key -pubout -out {name}.pub"));
        desk.openssl(&format!("req -new -key {name}.key -subj /CN=whatever -out {name}.csr"));
        let body = match how {
            "print" => json!({ "fingerprintSha256": print }),
            "colons" => {
                let pairs: Vec<_> = print.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
                json!({ "fingerprintSha256": pairs.join(":") })
            }
            "certificate" => json!({ "certificate": text }),
            "private" => json!({ "key": desk.read(&format!("{name}.key")) }),
            "public" => json!({ "key": desk.read(&format!("{name}.pub")) }),
            _ => json!({ "key": desk.read(&format!("{name}.csr")) }),
        };
        let mut dry = body.clone();
        dry["dryRun"] = true.into();
        let planned = plane.post("/revocations", &plane.owner, dry).await.ok();
        assert_eq!((&planned["count"], &planned["certificates"][0]["id"]), (&json!(1), &json!(id)), "{how}: {planned}");
        assert!(planned["requestStatus"].is_null() && planned["dryRun"] == true);
        assert_eq!(explained(&plane, &text).await, "admitted", "{how}: a dry run changes nothing");
        let done = plane.post("/revocations", &plane.owner, body.clone()).await.ok();
        assert_eq!(done["blockedKey"].is_string(), how == "private" || how == "public" || how == "csr", "{how}");
        assert_eq!(explained(&plane, &text).await, "certificate_revoked", "{how}");
        plane.post("/revocations", &plane.owner, body).await.refused(400, "nothing_to_change");
    }
    for bad in [
        json!({}),
        json!({ "serial": "01", "ownerId": "x" }),
        json!({ "serial": "xyz" }),
        json!({ "fingerprintSha256": "00" }),
        json!({ "ownerId": "nobody" }),
        json!({ "fingerprintSha256": "00".repeat(32), "environment": "sandbox" }),
    ] {
        plane.post("/revocations", &plane.owner, bad.clone()).await.refused(400, "invalid_argument");
    }
    plane.post("/revocations", &plane.owner, json!({ "serial": "0102" })).await.refused(404, "not_found");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn p10_a_private_key_that_proves_its_compromise_is_kept_nowhere() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    let text = desk.leaf("a", "a");
    register(&plane, &plane.owner, &text).await;
    let key = desk.read("a.key");
    let (_, finder) = plane.machine("finder", "read", json!({})).await;
    // Whoever found it proves by it what nobody else may: but he learns no more than how many.
    let said = plane.post("/revocations", &finder, json!({ "key": key })).await.ok();
    assert_eq!((&said["count"], said["certificates"].as_array().map(Vec::len)), (&json!(1), Some(0)), "{said}");
    assert_eq!(explained(&plane, &text).await, "certificate_revoked");
    let body: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let piece = &body[20..60];
    let audit = Value::Array(plane.audit().await).to_string();
    assert!(!audit.contains(piece) && !said.to_string().contains(piece));
    plane.store.close().await.unwrap();
    for file in std::fs::read_dir(plane.directory.path().join("data")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(piece.len()).any(|window| window == piece.as_bytes()), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn nobody_is_shut_out_by_a_registration_of_his_public_key() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    // The victim's key in a certificate that somebody else's CA made for it, registered by that somebody.
    let victim = desk.leaf("victim", "victim");
    register(&plane, &plane.owner, &victim).await;
    desk.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -days 90 -subj /CN=evil -out ca.pem");
    desk.openssl("req -new -key victim.key -subj /CN=evil-copy -out copy.csr");
    desk.openssl("x509 -req -in copy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -out copy.pem");
    let body = json!({ "email": "dev@example.test", "access": { "accountRole": "developer" } });
    let _ = plane.post("/users", &plane.owner, body).await;
    let (account, attacker) = plane.scoped("attacker", "demo", "admin").await;
    let copy = json!({ "certificate": desk.read("copy.pem"), "serviceAccountId": account });
    let made = plane.post("/certificates", &attacker, copy).await;
    // Where it can be registered at all, it is no lever: the key is not blocked by it.
    if made.status < 300 {
        let id = made.ok()["id"].as_str().unwrap().to_owned();
        plane.post(&format!("/certificates/{id}/revoke"), &attacker, json!({ "reason": "keyCompromise" })).await.refused(403, "forbidden");
    }
    desk.openssl("pkey -in victim.key -pubout -out victim.pub");
    assert!(plane.post("/revocations", &attacker, json!({ "key": desk.read("victim.pub") })).await.status >= 400);
    assert_eq!(explained(&plane, &victim).await, "admitted");
}

#[tokio::test]
async fn all_of_an_owner_go_in_one_change_and_a_dry_run_counts_them() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    let (account, key) = plane.machine("m", "read", json!({})).await;
    let mut texts = Vec::new();
    for n in 0..3 {
        let name = format!("l{n}");
        let text = desk.leaf(&name, &name);
        let body = json!({ "certificate": text, "serviceAccountId": account });
        plane.post("/certificates", &plane.owner, body).await.ok();
        texts.push(text);
    }
    let body = json!({ "ownerId": account, "reason": "cessationOfOperation" });
    assert!(plane.post("/revocations", &key, body.clone()).await.status >= 400, "a machine ends nothing without the right");
    let mut dry = body.clone();
    dry["dryRun"] = true.into();
    assert_eq!(plane.post("/revocations", &plane.owner, dry).await.ok()["count"], 3);
    let revision = plane.app.snapshot().revision();
    let done = plane.again("/revocations", &plane.owner, &body, "all-of-m").await.ok();
    assert_eq!(done["count"], 3);
    assert_eq!(plane.app.snapshot().revision(), revision + 1);
    let again = plane.again("/revocations", &plane.owner, &body, "all-of-m").await.ok();
    assert_eq!(again["requestStatus"]["requestId"], "all-of-m");
    for text in &texts {
        assert_eq!(explained(&plane, text).await, "certificate_revoked");
    }
    plane.post("/revocations", &plane.owner, body).await.refused(400, "nothing_to_change");
    plane
        .post("/revocations", &plane.owner, json!({ "ownerId": account, "reason": "keyCompromise" }))
        .await
        .refused(400, "invalid_argument");
    let entry = plane.audit().await.into_iter().find(|e| e["action"] == "RevokeCertificate" && e["result"] == "ok").unwrap();
    assert_eq!(entry["after"]["certificates"].as_array().map(Vec::len), Some(3), "{entry}");
}

/// A CA of openssl's own, accepted by the namespace demo, with two leaves.
pub struct Foreign {
    pub desk: Desk,
    pub print: String,
}

impl Foreign {
    pub async fn accepted(plane: &Plane) -> Self {
        let desk = Desk::new();
        desk.write(
            "ca.cnf",
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\ncrlnumber=crlnumber\nnew_certs_dir=.\ncertificate=ca.pem\n\
             private_key=ca.key\ndefault_md=sha256\ndefault_days=90\ndefault_crl_days=30\npolicy=p\nx509_extensions=leaf\nunique_subject=no\n\
             [p]\ncommonName=supplied\n[leaf]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n\
             [req]\ndistinguished_name=dn\n[dn]\n[v3ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
             subjectKeyIdentifier=hash\n",
        );
        desk.write("index.txt", "");
        desk.write("serial", "0A01\n");
        desk.write("crlnumber", "01\n");
        desk.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -days 365 -subj /CN=foreign -config ca.cnf -extensions v3ca -out ca.pem");
        for name in ["one", "two"] {
            desk.openssl(&format!("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -subj /CN={name} -config ca.cnf -out {name}.csr"));
            desk.openssl(&format!("ca -batch -config ca.cnf -in {name}.csr -out {name}.pem -notext"));
        }
        plane.post("/namespaces/demo/accepted-client-cas", &plane.owner, json!({ "certificates": desk.read("ca.pem") })).await.ok();
        let cas = plane.get("/namespaces/demo/accepted-client-cas", &plane.owner).await.ok();
        let print = cas["acceptedClientCas"][0]["fingerprintSha256"].as_str().unwrap().to_owned();
        Self { desk, print }
    }

    pub fn path(&self, tail: &str) -> String {
        format!("/namespaces/demo/accepted-client-cas/{}/{tail}", self.print)
    }

    pub fn crl(&self) -> String {
        self.desk.openssl("ca -config ca.cnf -gencrl -out list.crl");
        self.desk.read("list.crl")
    }
}

#[tokio::test]
async fn a_leaf_of_an_accepted_ca_is_revoked_here_although_we_are_not_its_ca() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    let (one, two) = (ca.desk.read("one.pem"), ca.desk.read("two.pem"));
    assert_eq!((explained(&plane, &one).await, explained(&plane, &two).await), ("admitted".into(), "admitted".into()));
    let leaves = ca.path("revoked-leaves");
    let done = plane.post(&leaves, &plane.owner, json!({ "certificate": one, "reason": "privilegeWithdrawn" })).await.ok();
    assert_eq!(done["requestStatus"]["receipt"]["connectionsCut"], 2);
    assert_eq!((explained(&plane, &one).await, explained(&plane, &two).await), ("certificate_revoked".into(), "admitted".into()));
    // By its number it is the same leaf, however it is written.
    plane.post(&leaves, &plane.owner, json!({ "serial": "0x0A01" })).await.refused(400, "nothing_to_change");
    plane.post(&leaves, &plane.owner, json!({ "serial": "0A:02" })).await.ok();
    assert_eq!(explained(&plane, &two).await, "certificate_revoked");
    let listed = plane.get(&leaves, &plane.owner).await.ok();
    assert_eq!((&listed["count"], &listed["items"][0]["by"], &listed["items"][0]["serial"]), (&json!(2), &json!("here"), &json!("0a01")));
    plane.assert_snapshot_is_the_stores().await;
    plane.call("DELETE", &format!("{leaves}/0a01"), &plane.owner, Value::Null).await.ok();
    plane.call("DELETE", &format!("{leaves}/0a01"), &plane.owner, Value::Null).await.refused(404, "not_found");
    assert_eq!(explained(&plane, &one).await, "admitted");
    for bad in [json!({}), json!({ "serial": "1", "certificate": one }), json!({ "serial": "zz" }), json!({ "serial": "1", "reason": "x" })]
    {
        plane.post(&leaves, &plane.owner, bad).await.refused(400, "invalid_argument");
    }
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_namespace_admin_can_always_block_a_leaf_in_their_own_namespace_and_in_no_other() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    let (_, admin) = plane.scoped("a", "demo", "admin").await;
    let (_, writer) = plane.scoped("w", "demo", "write").await;
    let leaves = ca.path("revoked-leaves");
    let body = json!({ "serial": "0A01" });
    plane.post(&leaves, &writer, body.clone()).await.refused(403, "forbidden");
    // Another namespace accepts the same CA; that takes nothing away from this one's admin.
    let other = plane.namespace("other").await;
    let there = format!("/namespaces/{other}/accepted-client-cas");
    plane.post(&there, &plane.owner, json!({ "certificates": ca.desk.read("ca.pem") })).await.ok();
    plane.call("PUT", &format!("/namespaces/{other}/auth-method"), &plane.owner, json!({ "authMethod": "mtls" })).await;
    let one = ca.desk.read("one.pem");
    let elsewhere = async || {
        let question = json!({ "namespace": other, "certificate": one });
        plane.post("/explain", &plane.owner, question).await.ok()["code"].as_str().unwrap().to_owned()
    };
    let before = elsewhere().await;
    plane.post(&leaves, &admin, body.clone()).await.ok();
    assert_eq!(explained(&plane, &one).await, "certificate_revoked");
    assert_eq!(elsewhere().await, before, "no word of demo's admin counts in another namespace");
    assert_eq!(plane.get(&format!("{there}/{}/revoked-leaves", ca.print), &plane.owner).await.ok()["count"], 0);
    // With the key, it is that key in this namespace that is out, and not everybody's.
    plane.post(&leaves, &admin, json!({ "certificate": one, "reason": "keyCompromise" })).await.ok();
    assert_eq!(elsewhere().await, before);
    let restored = format!("{leaves}/0a01");
    plane.call("DELETE", &restored, &admin, Value::Null).await.ok();
    assert_eq!(explained(&plane, &one).await, "admitted");
    // What a Global Admin revoked is out everywhere, and nobody less takes it back.
    plane.post(&leaves, &plane.owner, body.clone()).await.ok();
    assert_eq!((explained(&plane, &one).await.as_str(), elsewhere().await.as_str()), ("certificate_revoked", "certificate_revoked"));
    plane.call("DELETE", &restored, &admin, Value::Null).await.refused(403, "forbidden");
    plane.call("DELETE", &restored, &plane.owner, Value::Null).await.ok();
    // A namespace that is deleted and made again has nothing of the old one's.
    let there_admin = plane.scoped("b", "other", "admin").await.1;
    plane.post(&format!("{there}/{}/revoked-leaves", ca.print), &there_admin, body).await.ok();
    plane.call("DELETE", &format!("/namespaces/{other}"), &plane.owner, Value::Null).await.ok();
    plane.assert_snapshot_is_the_stores().await;
    plane.namespace("other").await;
    plane.post(&there, &plane.owner, json!({ "certificates": ca.desk.read("ca.pem") })).await.ok();
    assert_eq!(plane.get(&format!("{there}/{}/revoked-leaves", ca.print), &plane.owner).await.ok()["count"], 0);
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn e4_a_foreign_list_keeps_out_whom_it_names_and_its_number_only_rises() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    let (one, two) = (ca.desk.read("one.pem"), ca.desk.read("two.pem"));
    let path = ca.path("crl");
    plane.get(&path, &plane.owner).await.refused(404, "not_found");
    let empty = ca.crl();
    let taken = plane.post(&path, &plane.owner, json!({ "crl": empty })).await.ok();
    assert_eq!((&taken["added"], &taken["crl"]["number"], &taken["crl"]["stale"]), (&json!(0), &json!("01"), &json!("keep")), "{taken}");
    plane.post(&path, &plane.owner, json!({ "crl": empty })).await.refused(400, "nothing_to_change");
    ca.desk.openssl("ca -config ca.cnf -revoke one.pem -crl_reason keyCompromise");
    let second = ca.crl();
    let taken = plane.post(&path, &plane.owner, json!({ "crl": second })).await.ok();
    assert_eq!((&taken["added"], &taken["crl"]["revoked"]), (&json!(1), &json!(1)), "{taken}");
    assert_eq!(taken["requestStatus"]["receipt"]["connectionsCut"], 2);
    assert_eq!((explained(&plane, &one).await, explained(&plane, &two).await), ("certificate_revoked".into(), "admitted".into()));
    assert_eq!(plane.get(&ca.path("revoked-leaves"), &plane.owner).await.ok()["items"][0]["by"], "crl");
    // An older list, which names nobody, is refused and changes nothing.
    plane.post(&path, &plane.owner, json!({ "crl": empty })).await.refused(409, "crl_older");
    assert_eq!(explained(&plane, &one).await, "certificate_revoked");
    // Nobody but its CA takes back what a CA revoked.
    plane.call("DELETE", &format!("{}/0a01", ca.path("revoked-leaves")), &plane.owner, Value::Null).await.refused(404, "not_found");
    // DER in base64 is as good.
    ca.desk.openssl("ca -config ca.cnf -gencrl -out list.crl");
    ca.desk.openssl("crl -in list.crl -outform DER -out list.der");
    ca.desk.openssl("base64 -in list.der -out list.b64");
    plane.post(&path, &plane.owner, json!({ "crl": ca.desk.read("list.b64") })).await.ok();
    // Another CA's list of the same name is not this one's.
    let stranger = Foreign { desk: Desk::new(), print: String::new() };
    for file in ["ca.cnf", "index.txt"] {
        stranger.desk.write(file, &ca.desk.read(file));
    }
    stranger.desk.write("crlnumber", "99\n");
    stranger.desk.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -days 365 -subj /CN=foreign -config ca.cnf -extensions v3ca -out ca.pem");
    plane.post(&path, &plane.owner, json!({ "crl": stranger.crl() })).await.refused(400, "crl_signature");
    plane.post(&path, &plane.owner, json!({ "crl": one })).await.refused(400, "malformed_crl");
    plane.post(&path, &plane.owner, json!({})).await.refused(400, "invalid_argument");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn e4_what_a_stale_list_does_is_said_and_is_not_forgotten_when_the_cas_are_set_again() {
    let plane = Plane::start().await;
    let ca = Foreign::accepted(&plane).await;
    let two = ca.desk.read("two.pem");
    let path = ca.path("crl");
    plane.post(&path, &plane.owner, json!({ "stale": "refuse" })).await.refused(400, "invalid_argument");
    plane.post(&path, &plane.owner, json!({ "crl": ca.crl() })).await.ok();
    plane.clock.advance(Lifetime::from_days(31));
    let shown = plane.get(&path, &plane.owner).await.ok();
    assert!(shown["isStale"] == true && shown["warnings"][0].as_str().unwrap().contains("still let in"), "{shown}");
    assert_eq!(explained(&plane, &two).await, "admitted");
    let cut = plane.post(&path, &plane.owner, json!({ "stale": "refuse" })).await.ok();
    assert_eq!(cut["requestStatus"]["receipt"]["connectionsCut"], 2, "{cut}");
    assert_eq!(explained(&plane, &two).await, "certificate_revoked");
    plane.post(&path, &plane.owner, json!({ "stale": "refuse" })).await.refused(400, "nothing_to_change");
    let both = format!("{}{}", ca.desk.read("ca.pem"), {
        let desk = Desk::new();
        desk.write("x.cnf", &ca.desk.read("ca.cnf"));
        desk.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout y.key -days 365 -subj /CN=second -config x.cnf -extensions v3ca -out y.pem");
        desk.read("y.pem")
    });
    plane.call("PUT", "/namespaces/demo/accepted-client-cas", &plane.owner, json!({ "certificates": both })).await.ok();
    assert_eq!(explained(&plane, &two).await, "certificate_revoked");
    plane.post(&path, &plane.owner, json!({ "stale": "keep" })).await.ok();
    assert_eq!(explained(&plane, &two).await, "admitted");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_key_can_be_blocked_before_anything_carries_it() {
    let (plane, desk) = (Plane::start().await, Desk::new());
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let public = given_key::public_pem(key.public_key());
    let (_, developer) = plane.machine("m", "developer", json!({})).await;
    plane.post("/revocations", &developer, json!({ "key": public })).await.refused(404, "not_found");
    let done = plane.post("/revocations", &plane.owner, json!({ "key": public })).await.ok();
    assert_eq!((&done["count"], &done["blockedKey"]), (&json!(0), &json!(Fingerprint::of(key.public_key()).to_string())));
    desk.write("k.pem", key.to_pem().unwrap().expose());
    desk.openssl("req -x509 -key k.pem -days 90 -subj /CN=late -out late.pem");
    let late = desk.read("late.pem");
    assert!(plane.post("/certificates", &plane.owner, json!({ "certificate": late })).await.status >= 400);
    assert_eq!(explained(&plane, &late).await, "certificate_revoked");
    plane.post("/revocations", &plane.owner, json!({ "key": public })).await.refused(400, "nothing_to_change");
    plane.post("/revocations", &plane.owner, json!({ "key": public, "reason": "superseded" })).await.refused(400, "invalid_argument");
}

#[tokio::test]
async fn s15_an_issued_certificate_is_revoked_by_its_serial_and_all_of_an_application_at_once() {
    let plane = crate::issuing::plane().await;
    crate::issuing::application(&plane, "app").await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let csr = crate::issuing::csr(&crate::issuing::key(), &format!("/O=Acme/CN={name}"));
        made.push(crate::issuing::ask(&plane, "app", &csr).await.ok());
    }
    let serial = made[0]["serial"].as_str().unwrap();
    plane.post("/revocations", &plane.owner, json!({ "serial": serial, "issuer": "production-1" })).await.refused(404, "not_found");
    plane.post("/revocations", &plane.owner, json!({ "serial": serial, "issuer": "nobody" })).await.refused(404, "not_found");
    let spelled: Vec<_> = serial.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
    let body = json!({ "serial": spelled.join(":"), "issuer": "sandbox-1", "reason": "privilegeWithdrawn" });
    let done = plane.post("/revocations", &plane.owner, body).await.ok();
    assert_eq!((&done["count"], &done["certificates"][0]["id"]), (&json!(1), &made[0]["id"]), "{done}");
    for (body, count) in [
        (json!({ "applicationId": "app", "dryRun": true }), 2),
        (json!({ "applicationId": "app", "environment": "sandbox", "dryRun": true }), 2),
    ] {
        assert_eq!(plane.post("/revocations", &plane.owner, body).await.ok()["count"], count);
    }
    let empty = json!({ "applicationId": "app", "environment": "production" });
    plane.post("/revocations", &plane.owner, empty).await.refused(400, "nothing_to_change");
    let (_, stranger) = plane.machine("m", "developer", json!({})).await;
    plane.post("/revocations", &stranger, json!({ "applicationId": "app" })).await.refused(404, "not_found");
    plane.post("/revocations", &stranger, json!({ "serial": made[1]["serial"] })).await.refused(404, "not_found");
    assert_eq!(plane.post("/revocations", &plane.owner, json!({ "applicationId": "app" })).await.ok()["count"], 2);
    let mut read = plane.store.read().await.unwrap();
    let issuer = read.issuer_by_name("sandbox-1").await.unwrap().unwrap();
    let listed = read.revoked_of(&issuer.id, &countersign_store::Page::first(10)).await.unwrap();
    assert_eq!(listed.len(), 3, "all of them stand on the list of their issuer");
    drop(read);
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn p13_a_certificate_of_others_is_absent_in_the_very_words_of_one_that_nobody_has() {
    let (plane, desk) = (crate::issuing::plane().await, Desk::new());
    let csr = crate::issuing::csr(&crate::issuing::key(), "/CN=billing");
    let made = plane.post("/certificates", &plane.owner, json!({ "csr": csr })).await.ok();
    let (_, stranger) = plane.machine("stranger", "developer", json!({})).await;
    let print = made["fingerprintSha256"].as_str().unwrap().to_owned();
    let nobody = desk.leaf("a", "a");
    let nobodys = Fingerprint::of(&countersign_x509::pem::read(nobody.as_bytes()).map(der).unwrap()).to_string();
    let serial = made["serial"].as_str().unwrap().to_owned();
    let unknown_serial = format!("7{}", &serial[1..serial.len() - 1]) + "0";
    for (known, unknown) in [
        (json!({ "serial": serial }), json!({ "serial": unknown_serial })),
        (json!({ "fingerprintSha256": print }), json!({ "fingerprintSha256": nobodys })),
        (json!({ "certificate": made["certificate"] }), json!({ "certificate": nobody })),
    ] {
        for dry in [true, false] {
            let ask = async |body: &Value| {
                let mut body = body.clone();
                body["dryRun"] = dry.into();
                let said = plane.post("/revocations", &stranger, body).await.refused(404, "not_found");
                let text = format!("{} {}", said["detail"], said["hint"]);
                text.replace(&serial, "N").replace(&unknown_serial, "N").replace(&print, "N").replace(&nobodys, "N")
            };
            assert_eq!(ask(&known).await, ask(&unknown).await);
        }
    }
    plane.post("/revocations", &plane.owner, json!({ "serial": serial, "dryRun": true })).await.ok();
}

fn der(read: pem::Blocks) -> Vec<u8> {
    match read.blocks.into_iter().next() {
        Some(pem::Block::Certificate(der)) => der,
        _ => panic!("no certificate"),
    }
}

#[tokio::test]
async fn f1_a_hold_that_an_admin_set_is_not_taken_off_by_the_owner_of_the_certificate() {
    let plane = crate::issuing::plane().await;
    let (_, holder) = plane.scoped("holder", "demo", "admin").await;
    let csr = crate::issuing::csr(&crate::issuing::key(), "/CN=billing");
    let made = plane.post("/certificates", &holder, json!({ "csr": csr })).await.ok();
    let id = made["id"].as_str().unwrap();
    let ask = async |key: &str, what: &str| {
        let body = if what == "revoke" { json!({ "reason": "certificateHold" }) } else { Value::Null };
        plane.post(&format!("/certificates/{id}/{what}"), key, body).await
    };
    ask(&plane.owner, "revoke").await.ok();
    ask(&holder, "release").await.refused(403, "forbidden");
    ask(&plane.owner, "release").await.ok();
    // His own he takes off himself, also after that.
    ask(&holder, "revoke").await.ok();
    ask(&holder, "release").await.ok();
}
