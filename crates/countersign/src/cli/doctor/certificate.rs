//! The client's own certificate, before it is shown to anybody: by the rules that the gateway goes by, each with its id.

use super::report::{Mark, Report};
use countersign_core::Timestamp;
use countersign_x509::{leaf, pem};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

const STEP: &str = "own certificate";

/// Judges the certificate and makes it ready to be shown. `None` when it cannot be.
pub fn judge(report: &mut Report, text: &[u8], key: Option<&[u8]>, now: Timestamp) -> Option<Arc<CertifiedKey>> {
    let leaf = match leaf::parse_registered(text, now, true) {
        Ok(leaf) => leaf,
        Err(error) => {
            let rule = error.rule.map(|rule| format!(" (rule {rule})")).unwrap_or_default();
            report.note(STEP, Mark::Failed, format!("{}{rule}", error.message), error.hint.to_string());
            return None;
        }
    };
    let mut chain: Vec<CertificateDer<'static>> = vec![leaf.der.clone().into()];
    if let Ok(found) = pem::read(text) {
        let mut others = found.blocks.into_iter().filter_map(|block| match block {
            pem::Block::Certificate(der) if der != leaf.der => Some(der),
            _ => None,
        });
        let first_is_leaf =
            CertificateDer::pem_slice_iter(text).next().and_then(Result::ok).is_none_or(|der| der.as_ref() == leaf.der.as_slice());
        if !first_is_leaf {
            report.note(
                STEP,
                Mark::Warning,
                "the file's first certificate is not the client's own: many clients send the first one as the leaf",
                "put the leaf first and the CA that signed it after it",
            );
        }
        chain.extend(others.by_ref().map(CertificateDer::from));
    }
    let private = match key {
        Some(key) => PrivateKeyDer::from_pem_slice(key),
        None => PrivateKeyDer::from_pem_slice(text),
    };
    let Ok(private) = private else {
        report.note(
            STEP,
            Mark::Failed,
            "no private key in PEM was found (an encrypted one cannot be used here)",
            "give it with --key FILE",
        );
        return None;
    };
    let signer = match rustls::crypto::aws_lc_rs::sign::any_supported_type(&private) {
        Ok(signer) => signer,
        Err(error) => {
            report.note(STEP, Mark::Failed, format!("the private key cannot be used: {error}"), "make a new key and certificate");
            return None;
        }
    };
    let certified = CertifiedKey::new(chain, signer);
    if certified.keys_match().is_err() {
        report.note(
            STEP,
            Mark::Failed,
            "the private key is not that of the certificate",
            "give the key that the certificate was made for; compare the public keys of both",
        );
        return None;
    }
    let days = leaf.facts.not_after.since(now) / 86_400_000_000;
    let detail = format!("{}, ends in {days} days", leaf.facts.subject);
    if leaf.warnings.is_empty() {
        report.note(STEP, Mark::Ok, detail, "");
    } else {
        // That the CAs above it and its key are beside it in the file is how a client's file has to be.
        let is_expected = |warning: &str| warning.starts_with("A2") || warning.starts_with("B1:");
        let warnings: Vec<_> = leaf.warnings.iter().filter(|warning| !is_expected(warning)).cloned().collect();
        let mark = if warnings.is_empty() { Mark::Ok } else { Mark::Warning };
        report.note(STEP, mark, std::iter::once(detail).chain(warnings).collect::<Vec<_>>().join("; "), "");
    }
    Some(Arc::new(certified))
}
