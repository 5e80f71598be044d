//! Revocation lists: rules F1, F6 and E4, judged by OpenSSL.

use super::fixtures::*;
use super::issuer::{Authorities, authorities, leaf};
use crate::certificate::Certificate;
use crate::crl::{self, Entry, Issue};
use crate::foreign_crl::ForeignCrl;
use crate::pem;
use crate::private_key::{KeyKind, LocalKey};
use countersign_core::Timestamp;
use countersign_core::credential::certificate::RevocationReason;

fn issue() -> Issue {
    Issue { number: 7, this_update: now().minus(days(1)), next_update: now().plus(days(7)) }
}

pub fn list(ca: &Authorities, revoked: &[(&[u8], RevocationReason)]) -> Vec<u8> {
    let entries = revoked.iter().map(|(serial, reason)| Entry {
        serial,
        revoked_at: now().minus(days(2)),
        reason: *reason,
        invalid_since: (*reason == RevocationReason::KeyCompromise).then(|| Timestamp::from_seconds(1)),
    });
    crl::build(&ca.issuing, &ca.key, issue(), entries).unwrap()
}

#[test]
fn f6_openssl_verifies_the_list_and_refuses_what_is_on_it() {
    let dir = Dir::new();
    for kind in [KeyKind::P256, KeyKind::Rsa2048, KeyKind::Ed25519] {
        let ca = authorities(kind);
        let key = LocalKey::generate(KeyKind::P256).unwrap();
        let (good, bad) = (leaf(&ca, "good", &key), leaf(&ca, "bad", &key));
        let serial = Certificate::read(&bad).unwrap().serial;
        dir.write("ca.pem", format!("{}\n{}\n", pem::certificate(ca.root.der()), pem::certificate(ca.issuing.der())));
        dir.write("issuing.pem", pem::certificate(ca.issuing.der()));
        dir.write("good.pem", pem::certificate(&good));
        dir.write("bad.pem", pem::certificate(&bad));
        dir.write(
            "list.pem",
            crl::to_pem(&list(&ca, &[(&serial, RevocationReason::KeyCompromise), (&[0x80], RevocationReason::Unspecified)])),
        );
        dir.openssl("crl -in list.pem -CAfile issuing.pem -noout");
        let text = dir.openssl("crl -in list.pem -noout -text");
        for expected in
            ["Version 2", "X509v3 CRL Number", "X509v3 Authority Key Identifier", "Key Compromise", "Invalidity Date", "Serial Number: 80"]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("Unspecified"), "F1: the default is not written");
        dir.openssl("verify -crl_check -CRLfile list.pem -CAfile ca.pem good.pem");
        let refusal = dir.openssl_fails("verify -crl_check -CRLfile list.pem -CAfile ca.pem bad.pem");
        assert!(refusal.contains("certificate revoked"), "{refusal}");
        dir.write("empty.pem", crl::to_pem(&list(&ca, &[])));
        dir.openssl("verify -x509_strict -crl_check -CRLfile empty.pem -CAfile ca.pem bad.pem");
        assert!(dir.openssl("crl -in empty.pem -noout -text").contains("No Revoked Certificates"));
    }
}

#[test]
fn f1_every_reason_survives_the_way_out_and_in() {
    let ca = authorities(KeyKind::P256);
    let serials: Vec<[u8; 2]> = (0..8).map(|i| [0xff - i, i]).collect();
    let revoked: Vec<(&[u8], RevocationReason)> =
        RevocationReason::ALL.into_iter().zip(&serials).map(|(reason, serial)| (&serial[..], reason)).collect();
    let der = list(&ca, &revoked);
    let read = ForeignCrl::read(&der, ca.issuing.der(), now()).unwrap();
    assert_eq!(read, ForeignCrl::read(crl::to_pem(&der).as_bytes(), ca.issuing.der(), now()).unwrap());
    assert_eq!((read.number.as_slice(), read.next_update.seconds()), (&[7_u8][..], issue().next_update.seconds()));
    for (serial, reason) in revoked {
        let found = read.find(serial).unwrap();
        assert_eq!((found.reason(), found.revoked_at().seconds()), (reason, now().minus(days(2)).seconds()));
        assert_eq!(read.find(&[&[0, 0], serial].concat()), Some(found), "leading zeros do not matter");
    }
    assert!(read.find(&[1]).is_none() && read.find(&[1; 30]).is_none());
    assert!(!read.is_stale(now()) && read.is_stale(now().plus(days(8))));
}

#[test]
fn f6_a_list_that_nobody_could_use_is_not_made() {
    let ca = authorities(KeyKind::P256);
    let none: [Entry<'_>; 0] = [];
    let when = |this, next| Issue { number: 1, this_update: this, next_update: next };
    refused(crl::build(&ca.issuing, &ca.key, when(now(), now()), none), "crl_dates", "F6");
    refused(crl::build(&ca.issuing, &ca.root_key, issue(), none), "key_mismatch", "D11");
    let dir = Dir::new();
    dir.self_signed(EC, "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", "");
    let der = pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap();
    let unfit = crate::issuer::IssuerCertificate::read(&der).unwrap();
    let key = LocalKey::from_pem(&dir.text("k.pem")).unwrap();
    refused(crl::build(&unfit, &key, issue(), none), "not_a_crl_signer", "A5");
}

/// OpenSSL's own CA, with whatever extensions its lists shall have.
fn openssl_list(dir: &Dir, list: &str, entry: &str, command: &str) -> (Vec<u8>, Vec<u8>) {
    dir.self_signed(EC, SOUND, "");
    let folder = dir.0.display();
    dir.write("index.txt", format!("R\t390101000000Z\t250101000000Z{entry}\t1234\tunknown\t/CN=x\n"));
    dir.write("index.txt.attr", "unique_subject = no\n");
    dir.write("number", "0A\n");
    dir.write(
        "ca.cnf",
        format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index.txt\ncrlnumber={folder}/number\ndefault_md=sha256\ncrl_extensions=e\n[e]\n{list}\n[point]\nfullname=URI:http://x/y\n"
        ),
    );
    dir.openssl(format!("ca -config ca.cnf -gencrl -cert c.pem -keyfile k.pem -crldays 9 -out list.pem {command}").trim_end());
    (dir.read("list.pem"), pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap().to_vec())
}

#[test]
fn e4_openssls_lists_are_read() {
    let dir = Dir::new();
    let (list, ca) = openssl_list(&dir, "authorityKeyIdentifier=keyid", ",superseded", "");
    let read = ForeignCrl::read(&list, &ca, now()).unwrap();
    assert_eq!(read.entries().len(), 1);
    assert_eq!(read.find(&[0x12, 0x34]).unwrap().reason(), RevocationReason::Superseded);
    assert_eq!(read.number, [10_u8]);
}

#[test]
fn e4_lists_that_do_not_cover_the_ca_are_refused_with_the_reason() {
    let dir = Dir::new();
    let read = |(list, ca): (Vec<u8>, Vec<u8>)| ForeignCrl::read(&list, &ca, now());
    for scope in ["DER:3003820 1ff", "DER:300483020 640", "DER:3003850 1ff", "DER:3006a004a1023000"] {
        let list = format!("2.5.29.28=critical,{}", scope.replace(' ', ""));
        refused(read(openssl_list(&dir, &list, "", "")), "crl_scoped", "E4");
    }
    refused(read(openssl_list(&dir, "2.5.29.28=critical,DER:30038401ff", "", "")), "crl_indirect", "E4");
    // Empty, a false that is written out, out of order, of an unknown kind, twice.
    for wrong in ["3000", "3003810100", "30068201ff8101ff", "30038601ff", "30068101ff8101ff", "3002a000"] {
        refused(read(openssl_list(&dir, &format!("2.5.29.28=critical,DER:{wrong}"), "", "")), "malformed_crl", "E4");
    }
    refused(read(openssl_list(&dir, "2.5.29.27=critical,DER:020109", "", "")), "crl_delta", "E4");
    refused(read(openssl_list(&dir, "1.2.3.4=critical,DER:0500", "", "")), "crl_unknown_critical", "E4");
    refused(read(openssl_list(&dir, "", "", "-md sha1")), "sha1_signature", "E4");
}

#[test]
fn e4_a_list_for_a_distribution_point_or_for_end_entity_certificates_is_taken() {
    let dir = Dir::new();
    let read = |list: &str| {
        let (list, ca) = openssl_list(&dir, list, ",superseded", "");
        ForeignCrl::read(&list, &ca, now()).unwrap()
    };
    let point = read("issuingDistributionPoint=critical,@point");
    assert!(point.point.is_some() && point.find(&[0x12, 0x34]).is_some());
    let user = read("2.5.29.28=critical,DER:30038101ff");
    assert!(user.point.is_none() && user.find(&[0x12, 0x34]).is_some());
    assert_eq!(read("issuingDistributionPoint=@point").point, point.point, "not critical: the same point");
}

#[test]
fn e4_a_file_with_several_lists_is_taken_whole_or_not_at_all() {
    let (one, two, stranger) = (authorities(KeyKind::P256), authorities(KeyKind::P256), authorities(KeyKind::P256));
    let lists: Vec<String> =
        [&one, &two, &stranger].iter().zip(1_u8..).map(|(ca, n)| crl::to_pem(&list(ca, &[(&[n], RevocationReason::Superseded)]))).collect();
    let issuers = [one.issuing.der(), two.issuing.der()];
    let read = ForeignCrl::read_all(format!("{}\n{}", lists[1], lists[0]).as_bytes(), &issuers, now()).unwrap();
    assert_eq!(read.iter().map(|(at, list)| (*at, list.find(&[2 - *at as u8]).is_none())).collect::<Vec<_>>(), [(1, true), (0, true)]);
    assert!(read[0].1.find(&[2]).is_some() && read[1].1.find(&[1]).is_some());
    let all = lists.join("\n");
    refused(ForeignCrl::read_all(all.as_bytes(), &issuers, now()), "crl_signature", "E4");
    let cut = all.rsplit_once("-----END").unwrap().0;
    assert!(ForeignCrl::read_all(cut.as_bytes(), &issuers, now()).is_err(), "a block without its end is not passed over");
    let many = lists[0].repeat(crate::foreign_crl::FOREIGN_CRLS_MAX + 1);
    refused(ForeignCrl::read_all(many.as_bytes(), &issuers, now()), "crl_too_large", "E4");
}

#[test]
fn e4_lists_for_other_cas_and_without_an_end_are_refused() {
    use crate::encode::{bit_string, integer, sequence, time, tlv};
    use crate::private_key::Signer;
    let ca = authorities(KeyKind::P256);
    let date = time(now()).unwrap();
    let signed = |fields: &[Vec<u8>]| {
        let mut all = vec![integer(&[1]), ca.issuing.algorithm().to_vec(), ca.issuing.subject().to_vec(), date.clone()];
        all.extend_from_slice(fields);
        let signed = sequence(&all);
        let signature = ca.key.sign(&signed).unwrap();
        let der = sequence(&[signed, ca.issuing.algorithm().to_vec(), bit_string(&signature)]);
        ForeignCrl::read(&der, ca.issuing.der(), now())
    };
    let next = time(now().plus(days(1))).unwrap();
    let entry = |extension: Vec<u8>| sequence(&[sequence(&[integer(&[5]), date.clone(), sequence(&[extension])])]);
    let extension = |kind: &str, value: &[u8]| crate::issue::extension(const_oid::ObjectIdentifier::new_unwrap(kind), true, value);
    let plain =
        |kind: &str, critical: bool, value: &[u8]| crate::issue::extension(const_oid::ObjectIdentifier::new_unwrap(kind), critical, value);
    let extended = |extensions: &[Vec<u8>]| signed(&[next.clone(), tlv(0xa0, &sequence(extensions))]);
    let one = plain("2.5.29.20", false, &tlv(2, &[1]));
    assert!(extended(std::slice::from_ref(&one)).is_ok());
    refused(signed(std::slice::from_ref(&next)), "crl_without_number", "E4");
    // RFC 5280 section 5.2.3: not critical, not negative, at most 20 octets; and in DER, once.
    refused(extended(&[plain("2.5.29.20", true, &tlv(2, &[1]))]), "malformed_crl", "E4");
    for wrong in [
        tlv(2, &[0x80]),
        tlv(2, &[0xff]),
        tlv(2, &[]),
        tlv(2, &[0, 1]),
        tlv(2, &[1; 21]),
        tlv(2, &[&[0][..], &[0xff; 20]].concat()),
        tlv(4, &[1]),
    ] {
        refused(extended(&[plain("2.5.29.20", false, &wrong)]), "malformed_crl", "E4");
    }
    assert!(extended(&[plain("2.5.29.20", false, &tlv(2, &[0x7f; 20]))]).is_ok());
    refused(extended(&[one.clone(), one.clone()]), "malformed_crl", "E4");
    // An authorityKeyIdentifier that is none.
    for wrong in [&b"garbage"[..], &[0x30, 0], &[4, 1, 1], &[0x30, 3, 0x82, 1, 1], &[0x30, 2, 0x80, 0]] {
        refused(extended(&[one.clone(), plain("2.5.29.35", false, wrong)]), "malformed_crl", "E4");
    }
    assert!(extended(&[one.clone(), plain("2.5.29.35", false, &[0x30, 3, 0x80, 1, 1])]).is_ok());
    // Serial numbers of entries: there, in DER, of at most 20 octets.
    let listed = |serial: Vec<u8>| {
        signed(&[next.clone(), sequence(&[sequence(&[serial, date.clone()])]), tlv(0xa0, &sequence(std::slice::from_ref(&one)))])
    };
    for wrong in [tlv(2, &[]), tlv(2, &[0, 1]), tlv(4, &[1]), tlv(2, &[1; 21])] {
        refused(listed(wrong), "malformed_crl", "E4");
    }
    for odd in [tlv(2, &[0]), tlv(2, &[0x80]), tlv(2, &[&[0][..], &[0xff; 20]].concat())] {
        assert!(listed(odd).is_ok());
    }
    refused(signed(&[]), "crl_without_next_update", "E4");
    refused(signed(&[next.clone(), entry(extension("2.5.29.29", &tlv(0x30, &[])))]), "crl_indirect", "E4");
    refused(signed(&[next.clone(), entry(extension("1.2.3", &tlv(5, &[])))]), "crl_unknown_critical", "E4");
    refused(signed(&[next.clone(), entry(vec![1])]), "malformed_crl", "E4");
    refused(signed(&[next.clone(), tlv(5, &[])]), "malformed_crl", "E4");
}

#[test]
fn e4_only_the_cas_own_signature_counts() {
    let (ca, other) = (authorities(KeyKind::P256), authorities(KeyKind::P256));
    let der = list(&ca, &[(&[1], RevocationReason::Superseded)]);
    refused(ForeignCrl::read(&der, ca.root.der(), now()), "crl_other_issuer", "E4");
    // The same name with another key.
    refused(ForeignCrl::read(&der, other.issuing.der(), now()), "crl_signature", "E4");
    let mut changed = der.clone();
    let at = changed.len() - 90;
    changed[at] ^= 1;
    assert!(ForeignCrl::read(&changed, ca.issuing.der(), now()).is_err());
    refused(ForeignCrl::read(&der, ca.issuing.der(), now().minus(days(3))), "crl_from_future", "E4");
    refused(ForeignCrl::read(b"x", ca.issuing.der(), now()), "malformed_crl", "E4");
    let mut longer = der.clone();
    longer.push(0);
    refused(ForeignCrl::read(&longer, ca.issuing.der(), now()), "malformed_crl", "E4");
}

#[test]
fn e4_the_name_of_a_list_and_of_its_ca_are_compared_by_text() {
    let dir = Dir::new();
    let (_, ca) = openssl_list(&dir, "authorityKeyIdentifier=keyid", "", "");
    // The same CA, as it would write its name in another string type, in another case and with other blanks; and another name.
    for (subject, outcome) in [("O=ODD\nCN=odd", Ok(())), ("O= Odd \nCN=oDD", Ok(())), ("O=Odd\nCN=other", Err("crl_other_issuer"))] {
        let config =
            format!("[req]\nstring_mask=default\ndistinguished_name=dn\nprompt=no\nx509_extensions=e\n[dn]\n{subject}\n[e]\n{SOUND}\n");
        dir.write("p.cnf", config);
        dir.openssl("req -x509 -key k.pem -days 30 -config p.cnf -out p.pem");
        dir.openssl("ca -config ca.cnf -gencrl -cert p.pem -keyfile k.pem -crldays 9 -out other.pem");
        let read = ForeignCrl::read(&dir.read("other.pem"), &ca, now());
        assert_eq!(read.map(|_| ()).map_err(|error| error.code), outcome, "{subject}");
    }
}

#[test]
fn f6_a_hundred_thousand_entries_are_one_pass() {
    let ca = authorities(KeyKind::P256);
    let serials: Vec<[u8; 16]> = (1..100_000_u128).map(|i| ((i * 0x1234_5678_9abc_def1_0203_0405) | (1 << 126)).to_be_bytes()).collect();
    let entries =
        serials.iter().map(|serial| Entry { serial, revoked_at: now(), reason: RevocationReason::Superseded, invalid_since: None });
    let der = crl::build(&ca.issuing, &ca.key, issue(), entries).unwrap();
    assert!(der.len() / serials.len() < 50, "{} bytes", der.len());
    let read = ForeignCrl::read(&der, ca.issuing.der(), now()).unwrap();
    assert_eq!(read.entries().len(), serials.len());
    assert!(read.find(&serials[77_777]).is_some());
}
