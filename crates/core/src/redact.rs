//! Takes secrets out of texts that are kept or shown: logs, records of denials, audit entries, errors. What a secret looks like is
//! defined once, in [`SHAPE`].

use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// The shape of an API key (`csk_`), a login's access token, refresh token or cookie (`cst_`, `csr_`, `csb_`) and an invitation (`csi_`),
/// whole or cut off, in any case, each character as it is or percent-encoded once or several times; and of an id with a secret behind it
/// whose prefix is missing.
pub const SHAPE: &str = concat!(
    r"(?:[Cc]|%(?:25)*[46]3)(?:[Ss]|%(?:25)*[57]3)(?:[KkTtRrBbIi]|%(?:25)*(?:[46][Bb29]|[57][24]))(?:_|%(?:25)*5[Ff])",
    r"(?:[A-Za-z0-9_-]|%(?:25)*[0-9A-Fa-f]{2}){8,}",
    r"|(?-u:\b)[a-z][0-9a-hjkmnp-tv-z]{19}_(?:[A-Za-z0-9_-]|%(?:25)*[0-9A-Fa-f]{2}){16,}",
);

/// A key's prefix and public id, which are no secret.
const PUBLIC: &str = r"^(?:cs[ktrbi]_)?[a-z][0-9a-hjkmnp-tv-z]{19}_?";

static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(SHAPE).ok());
static KEPT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PUBLIC).ok());

/// The text without the secrets in it. A key's prefix and id stay, so that its owner can find it; the secret becomes `…`.
pub fn redact(text: &str) -> Cow<'_, str> {
    // Every alternative has an underscore in it, or its escape.
    if !text.contains('_') && !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (Some(secret), Some(kept)) = (&*SECRET, &*KEPT) else { return Cow::Borrowed("[redacted]") };
    secret.replace_all(text, |found: &Captures<'_>| {
        let found = &found[0];
        match kept.find(found) {
            Some(public) if public.len() == found.len() => found.to_owned(),
            Some(public) => format!("{}…", public.as_str()),
            None => "csk_…".to_owned(),
        }
    })
}

/// As [`redact`], without a copy where there is nothing to take out.
pub fn redacted(text: String) -> String {
    match redact(&text) {
        Cow::Borrowed(same) if same.len() == text.len() => text,
        other => other.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::api_key;
    use crate::id::ApiKeyId;
    use proptest::prelude::*;

    struct Bytes(Vec<u8>);
    impl crate::Entropy for Bytes {
        fn fill(&self, out: &mut [u8]) {
            out.iter_mut().zip(self.0.iter().cycle()).for_each(|(out, byte)| *out = *byte);
        }
    }

    fn key(bytes: &[u8]) -> (String, String) {
        let entropy = Bytes(bytes.to_vec());
        let id = ApiKeyId::mint(&entropy);
        let (text, _) = api_key::mint(&id, &entropy);
        (id.to_string(), text.expose().to_owned())
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for text in
            ["", "csk_…", "csk_<id>_<secret>", "send `csk_…`", "the id stands between csk_ and the next _", "certificate_unknown", "/a%20b"]
        {
            assert_eq!(redact(text), text);
        }
        let (id, _) = key(&[7]);
        for text in [id.clone(), format!("csk_{id}"), format!("csk_{id}_…"), format!("kk.acc01 {id}")] {
            assert_eq!(redact(&text), text);
        }
    }

    #[test]
    fn every_kind_of_secret_is_taken_out_and_its_id_stays() {
        for prefix in ["csk_", "cst_", "csr_", "csb_", "csi_"] {
            assert_eq!(redact(&format!("/p/{prefix}k0000000000000000000_AbCdEf/x")), format!("/p/{prefix}k0000000000000000000_…/x"));
        }
        for text in ["/p/%63sk_k0000000000000000000_AbCd", "CSK_ABCDEFGHIJ", "/%2563%2573k%5fABCDEFGHIJ", "csk_k000%30000_AbCdE"] {
            assert!(redact(text).ends_with("csk_…"), "{text}");
        }
        assert_eq!(redact("k0000000000000000000_AbCdEfGhIjKlMnOpQrSt"), "k0000000000000000000_…");
    }

    proptest! {
        #[test]
        fn no_key_survives_in_any_spelling_or_part(
            bytes in proptest::collection::vec(any::<u8>(), 40),
            encoded in proptest::collection::vec(0..8_u8, 80),
            cut in 34..78_usize,
            around in "[ /?&=\"a-z]{0,6}",
        ) {
            let (id, text) = key(&bytes);
            let secret = &text[25..];
            let spelled = |part: &str| -> String {
                part.bytes().zip(&encoded).map(|(byte, how)| match how {
                    0 => format!("%{byte:02x}"),
                    1 => format!("%25{byte:02X}"),
                    _ => char::from(byte).to_string(),
                }).collect()
            };
            for part in [&text[..], &text[..cut.min(text.len())], &text[4..]] {
                let shown = redact(&format!("{around} {part} {around}")).into_owned();
                prop_assert!(!shown.contains(&secret[..8]), "{}", shown);
                prop_assert!(shown.contains(&id), "{}", shown);
            }
            let shown = redact(&spelled(&text)).into_owned();
            prop_assert!(!shown.contains(&secret[secret.len() - 8..]), "{}", shown);
        }
    }
}
