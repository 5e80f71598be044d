//! What comes in from files and flags: certificates, permissions, durations. Checks only what makes a better message here;
//! the server remains the judge.

use super::errors::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Lifetime;
use countersign_core::limits::API_KEY_LIFETIME_MAX;
use countersign_proto::convert;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// More than this is not read: no input here is larger.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads a file, or stdin for `-`. It may hold a private key by mistake, so it is wiped.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file("read", path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::refused("file_too_large", format!("{} is larger than 4 MiB", path.display())));
    }
    Ok(bytes)
}

/// Certificates from `--ca-certificate` (base64) or `--ca-certificate-file`, as PEM text. A private key never leaves this machine.
pub fn certificates(base64: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Failure> {
    let bytes = match (base64, file) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--ca-certificate and --ca-certificate-file exclude each other").hint("give one of them"));
        }
        (None, None) => return Ok(None),
        (Some(text), None) => Zeroizing::new(text.as_bytes().to_vec()),
        (None, Some(path)) => read(path)?,
    };
    pem_text(&bytes).map(Some)
}

/// Any form of certificates as PEM text; a private key among them is refused before anything is sent.
pub fn pem_text(bytes: &[u8]) -> Result<String, Failure> {
    let blocks = countersign_x509::pem::read(bytes)?;
    if blocks.encrypted_key {
        return Err(Failure::refused("encrypted_key_in_upload", "the input holds an encrypted private key; nothing was sent")
            .hint("give the certificate alone, and keep the key where it is"));
    }
    if blocks.has_private_key() {
        return Err(Failure::refused("private_key_in_upload", "the input holds a private key; nothing was sent")
            .hint("give the certificate alone; a key that was passed around is best replaced"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        // DER: the server takes text.
        Err(_) => Ok(STANDARD.encode(bytes)),
    }
}

/// The certificates of a file that may hold their private key beside them (seed 003's FAQ): the key stays here, and that is said.
pub fn pem_text_without_key(bytes: &[u8]) -> Result<String, Failure> {
    let blocks = countersign_x509::pem::read(bytes)?;
    if !blocks.has_private_key() {
        return pem_text(bytes);
    }
    let certificates: String = blocks
        .blocks
        .iter()
        .filter_map(|block| match block {
            countersign_x509::pem::Block::Certificate(der) => Some(convert::certificate_pem(der)),
            _ => None,
        })
        .collect();
    if certificates.is_empty() && blocks.encrypted_key {
        return pem_text(bytes);
    }
    if certificates.is_empty() {
        return Err(super::key::none_found());
    }
    super::output::note("The private key in the file stays on this machine; only the certificate is sent.");
    Ok(certificates)
}

/// `NAMESPACE=PERMISSION`, several times.
pub fn permissions(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut map = BTreeMap::new();
    for pair in pairs {
        let (namespace, permission) = pair
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{pair}` is no namespace permission")).hint("write it as demo.abc12=read"))?;
        let permission = convert::parse_permission(permission.trim()).map_err(Failure::usage)?;
        if map.insert(namespace.trim().to_owned(), permission.to_string()).is_some() {
            return Err(Failure::usage(format!("the namespace {namespace} is given twice")));
        }
    }
    Ok(map)
}

/// An account role in the server's spelling, from any of `tcld`'s.
pub fn role(text: &str) -> Result<String, Failure> {
    convert::parse_role(text.trim()).map(|role| role.to_string()).map_err(Failure::usage)
}

/// A key's duration, checked for a better message; the text itself is sent.
pub fn key_duration(text: &str) -> Result<String, Failure> {
    let lifetime = Lifetime::parse(text).map_err(|error| Failure::usage(error.to_string()))?;
    if lifetime > API_KEY_LIFETIME_MAX {
        return Err(
            Failure::usage(format!("the duration `{}` is longer than two years", text.trim())).hint("an API key lives at most 2y (730d)")
        );
    }
    Ok(text.trim().to_owned())
}

/// A fingerprint as it is pasted from anywhere: colons, spaces and capitals are gone.
pub fn fingerprint(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let bare = text.rsplit('=').next().unwrap_or(text);
    let plain: String = bare.chars().filter(|c| !matches!(c, ':' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    if matches!(plain.len(), 40 | 64) && plain.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(plain);
    }
    Err(Failure::usage(format!("`{text}` is no fingerprint"))
        .hint("give the SHA-1 (40 digits) or SHA-256 (64 digits) that accepted-client-ca list prints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_taken_as_openssl_prints_it() {
        let printed = "SHA1 Fingerprint=5A:8B:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11";
        assert_eq!(fingerprint(printed), Ok("5a8b00112233445566778899aabbccddeeff0011".to_owned()));
        assert!(fingerprint("5a8b").is_err());
    }

    #[test]
    fn permissions_are_written_as_tcld_writes_them() {
        let map = permissions(&["demo.abc12=Admin".into(), "b.abc12=read".into()]);
        assert_eq!(
            map.map(|m| m.into_iter().collect::<Vec<_>>()),
            Ok(vec![("b.abc12".into(), "read".into()), ("demo.abc12".into(), "admin".into())])
        );
        assert!(permissions(&["demo.abc12".into()]).is_err());
        assert!(permissions(&["a=read".into(), "a=write".into()]).is_err());
    }

    #[test]
    fn a_key_of_three_years_is_refused_before_it_is_asked_for() {
        assert!(key_duration("3y").is_err());
        assert!(key_duration("0d").is_err());
        assert_eq!(key_duration(" 4d12h "), Ok("4d12h".to_owned()));
        assert!(key_duration("1y30d").is_ok() && key_duration("1.5y").is_err());
    }

    #[test]
    fn a_private_key_never_leaves_this_machine() {
        let pem =
            b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
        assert_eq!(pem_text(pem).map_err(|f| f.code), Err("private_key_in_upload".to_owned()));
    }
}
