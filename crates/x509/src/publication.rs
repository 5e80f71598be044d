//! The addresses that a certificate carries for those who want to know whether it was revoked (D8 of `research/pki.md` section
//! 6). They are written, never opened: no connection is made to an address out of a certificate (P19).

use crate::X509Error;
use crate::encode::{oid, sequence, tlv};
use crate::issue;
use const_oid::ObjectIdentifier;

pub(crate) const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
pub(crate) const AUTHORITY_INFO_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

/// Where those who rely on a certificate find out whether it was revoked. Plain `http://` addresses; what is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Addresses of the CRL that lists the certificate.
    pub crl_urls: Vec<String>,
    /// Addresses of OCSP responders.
    pub ocsp_urls: Vec<String>,
    /// Addresses of the issuer's certificate.
    pub issuer_urls: Vec<String>,
}

impl Publication {
    /// The extensions, encoded. Fails with `bad_publication_url`.
    pub(crate) fn extensions(&self) -> Result<Vec<Vec<u8>>, X509Error> {
        for url in self.crl_urls.iter().chain(&self.ocsp_urls).chain(&self.issuer_urls) {
            let rest = url.strip_prefix("http://").unwrap_or_default();
            if rest.is_empty() || rest.starts_with('/') || url.len() > 1024 || !url.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(X509Error::new(
                    "bad_publication_url",
                    Some("D8"),
                    format!(
                        "`{}` is no address for a CRL, OCSP or issuer",
                        url.chars().filter(|c| !c.is_control()).take(80).collect::<String>()
                    ),
                    "give a plain http:// URL in ASCII; https would need the very check it serves",
                ));
            }
        }
        let uri = |url: &String| tlv(0x86, url.as_bytes());
        let mut all = Vec::new();
        if !self.crl_urls.is_empty() {
            let names: Vec<Vec<u8>> = self.crl_urls.iter().map(uri).collect();
            let point = sequence(&[tlv(0xa0, &tlv(0xa0, &names.concat()))]);
            all.push(issue::extension(CRL_DISTRIBUTION_POINTS, false, &sequence(&[point])));
        }
        let access = |kind, urls: &[String]| urls.iter().map(|u| sequence(&[oid(kind), uri(u)])).collect::<Vec<_>>();
        let accesses = [access(OCSP, &self.ocsp_urls), access(CA_ISSUERS, &self.issuer_urls)].concat();
        if !accesses.is_empty() {
            all.push(issue::extension(AUTHORITY_INFO_ACCESS, false, &sequence(&accesses)));
        }
        Ok(all)
    }
}
