//! The lists of Debian's broken generator (CVE-2008-0166; C7 of `research/pki.md` section 6), in the format of Debian's package
//! openssl-blacklist: a line a key, of twenty hexadecimal digits, the last ten bytes of the SHA-1 of `Modulus=`, the modulus in
//! upper-case hexadecimal, and a line feed. Whose keys those are depends on a process id, a size and an architecture of that time, so a
//! list is read and never made up here.

use crate::X509Error;
use crate::key;
use std::collections::HashSet;

/// Keys that are known to anybody.
#[derive(Clone, Debug, Default)]
pub struct WeakList(HashSet<[u8; 10]>);

impl WeakList {
    /// Adds the lines of one list; empty ones and those that begin with `#` are passed over. Fails with the number of the first line
    /// that is neither, from 1: a list that is read in part would be trusted whole.
    pub fn add(&mut self, text: &str) -> Result<(), usize> {
        for (number, line) in (1_usize..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            self.0.insert(digits(line).ok_or(number)?);
        }
        Ok(())
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses the RSA key of this SubjectPublicKeyInfo if it is on the list. Fails with `debian_weak_key`.
    pub fn check(&self, public_key: &[u8]) -> Result<(), X509Error> {
        let known = key::debian_fingerprint(public_key).and_then(|text| digits(&text)).is_some_and(|name| self.0.contains(&name));
        if !known {
            return Ok(());
        }
        Err(X509Error::new(
            "debian_weak_key",
            Some("C7"),
            "its RSA key is one of those that Debian's broken generator made from 2006 to 2008, and anybody has the private key \
             (CVE-2008-0166)",
            "make a new key pair with a generator of today; no certificate of the old key is safe",
        ))
    }
}

fn digits(text: &str) -> Option<[u8; 10]> {
    let mut bytes = [0; 10];
    if text.len() != 20 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_key::{KeyKind, LocalKey, Signer as _};

    #[test]
    fn c7_a_key_on_the_list_is_refused_and_no_other() {
        let (weak, sound) = (LocalKey::generate(KeyKind::Rsa2048).unwrap(), LocalKey::generate(KeyKind::P256).unwrap());
        let name = key::debian_fingerprint(weak.public_key()).unwrap();
        let mut list = WeakList::default();
        assert!(list.check(weak.public_key()).is_ok());
        list.add(&format!("# a comment\n\n00112233445566778899\n{}\r\n", name.to_uppercase())).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list.check(weak.public_key()).unwrap_err().code, "debian_weak_key");
        assert!(list.check(sound.public_key()).is_ok());
    }

    #[test]
    fn a_line_that_is_no_entry_is_named_by_its_number() {
        let mut list = WeakList::default();
        for bad in ["0011", "001122334455667788990", "zz112233445566778899", "+0112233445566778899", "00112233445566778899 x"] {
            assert_eq!(list.add(&format!("# x\n{bad}\n")), Err(2), "{bad}");
        }
    }
}
