//! The asking side: a certificate request for a key that stays where it was made. Used by the command line and the agent, never
//! by the control plane, which only reads requests (`csr`).

use crate::X509Error;
use crate::alternative_name::{self, AlternativeName, check_count};
use crate::certificate::{CLIENT_AUTH, Certificate, DIGITAL_SIGNATURE, EXTENDED_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, single};
use crate::encode::{bit_string, integer, named_bits, oid, sequence, tlv};
use crate::issue;
use crate::key::{self, Signed};
use crate::pem;
use crate::private_key::{Signer, failed};
use crate::subject::Subject;
use const_oid::ObjectIdentifier;

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// Makes a PKCS#10 request (RFC 2986) for `subject` and `names`, signed by `key`, and returns its DER. It asks for what the
/// client profile gives anyway: digitalSignature and clientAuth. Fails with `bad_alternative_name` and `signing_failed`.
pub fn build(key: &dyn Signer, subject: &Subject, names: &[AlternativeName]) -> Result<Vec<u8>, X509Error> {
    check_count(names.len())?;
    let mut extensions = vec![
        issue::extension(KEY_USAGE, true, &named_bits(&[DIGITAL_SIGNATURE])),
        issue::extension(EXTENDED_KEY_USAGE, false, &sequence(&[oid(CLIENT_AUTH)])),
    ];
    if !names.is_empty() {
        let entries: Vec<Vec<u8>> = names.iter().map(AlternativeName::entry).collect();
        extensions.push(issue::extension(SUBJECT_ALT_NAME, false, &sequence(&entries)));
    }
    let attribute = sequence(&[oid(EXTENSION_REQUEST), tlv(0x31, &sequence(&extensions))]);
    let signed = sequence(&[integer(&[0]), subject.to_der(), key.public_key().to_vec(), tlv(0xa0, &attribute)]);
    let algorithm = issue::algorithm(key)?;
    let signature = key.sign(&signed)?;
    let content = single(&algorithm).map_err(|_| failed("no algorithm"))?.value;
    if key::verifies(key.public_key(), content, &signed, &signature) != Signed::Yes {
        return Err(failed("the signature that was made does not verify"));
    }
    Ok(sequence(&[signed, algorithm, bit_string(&signature)]))
}

/// As [`build`], as PEM with a trailing newline.
pub fn build_pem(key: &dyn Signer, subject: &Subject, names: &[AlternativeName]) -> Result<String, X509Error> {
    Ok(pem::armour("CERTIFICATE REQUEST", &build(key, subject, names)?))
}

/// Makes a request for the successor of `certificate_der`: its subject and its alternative names, for another key. Fails with
/// `not_a_certificate`, the codes of [`Subject::new`], `bad_alternative_name` and `signing_failed`.
pub fn successor(key: &dyn Signer, certificate_der: &[u8]) -> Result<Vec<u8>, X509Error> {
    let (subject, names) = names_of(&Certificate::read(certificate_der)?)?;
    build(key, &subject, &names)
}

/// What a certificate is made out to.
pub(crate) fn names_of(certificate: &Certificate<'_>) -> Result<(Subject, Vec<AlternativeName>), X509Error> {
    let names = match certificate.alternative_names {
        Some(content) => alternative_name::read(content)?,
        None => Vec::new(),
    };
    Ok((Subject::from_der(&tlv(0x30, certificate.subject))?, names))
}
