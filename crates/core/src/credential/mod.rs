//! Credentials: API keys and client certificates.

pub mod api_key;
pub mod certificate;

use std::fmt::Write as _;

/// Lower-case hexadecimal, two characters a byte.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads lower- or upper-case hexadecimal, colons allowed between bytes, of exactly `N` bytes.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let plain: String = text.chars().filter(|c| *c != ':').collect();
    if plain.len() != N * 2 || !plain.is_ascii() {
        return None;
    }
    let mut out = [0_u8; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&plain[i * 2..i * 2 + 2], 16).ok()?;
    }
    Some(out)
}
