//! The front end for what people paste: PEM with any surroundings, plain DER, base64 of either, PKCS#7. It finds blocks and
//! says what they are; it judges no certificate, and it never keeps a private key: such a block is wiped and only counted.

use crate::X509Error;
use crate::certificate::{children, single};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::{Zeroize, Zeroizing};

/// People lose the padding when they copy; nothing else is forgiven.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A certificate in DER (not yet looked into).
    Certificate(Vec<u8>),
    /// A private key, or a container that may hold one. Its bytes are gone already.
    PrivateKey,
    /// Something else, by its label.
    Other(String),
}

/// Everything that was found, in the order of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// How many bytes the text had after an outer base64 was undone.
    pub bytes: usize,
    /// Whether a private key among them is locked by a password.
    pub encrypted_key: bool,
}

impl Blocks {
    /// Whether a private key is among them.
    pub fn has_private_key(&self) -> bool {
        self.blocks.contains(&Block::PrivateKey)
    }
}

/// A block with what only some readers want to know of it.
pub(crate) enum Piece {
    /// DER, not looked into.
    Certificate(Vec<u8>),
    /// Its bytes are gone.
    PrivateKey { encrypted: bool },
    /// A certificate request in DER, perhaps with bytes after it.
    Request(Vec<u8>),
    /// The certificates of a PKCS#7 file.
    Pkcs7(Vec<Vec<u8>>),
    /// Something else, by its label.
    Other(String),
}

/// The pieces, and the length of the text they stood in.
pub(crate) struct Pieces {
    pub pieces: Vec<Piece>,
    pub bytes: usize,
}

impl Pieces {
    fn has_private_key(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::PrivateKey { .. }))
    }
}

/// The largest input that is looked at. Twice the bundle limit leaves room for an outer base64 and refuses before parsing.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;

/// BEGIN lines that are looked at; each costs a search through the rest.
const ROUNDS_MAX: usize = 200;

/// Finds the blocks. Fails with `input_too_large`, `empty_input`, `not_a_certificate` or `bad_pem`.
/// The caller wipes its own buffer when a private key was found; copies made here are wiped here.
pub fn read(input: &[u8]) -> Result<Blocks, X509Error> {
    let found = pieces(input)?;
    let encrypted_key = found.pieces.iter().any(|piece| matches!(piece, Piece::PrivateKey { encrypted: true }));
    let blocks = found.pieces.into_iter().flat_map(|piece| match piece {
        Piece::Certificate(der) => vec![Block::Certificate(der)],
        Piece::PrivateKey { .. } => vec![Block::PrivateKey],
        Piece::Request(_) => vec![Block::Other("CERTIFICATE REQUEST".to_owned())],
        Piece::Pkcs7(ders) => ders.into_iter().map(Block::Certificate).collect(),
        Piece::Other(label) => vec![Block::Other(label)],
    });
    Ok(Blocks { blocks: blocks.collect(), bytes: found.bytes, encrypted_key })
}

/// As [`read`], with the pieces told apart more finely.
pub(crate) fn pieces(input: &[u8]) -> Result<Pieces, X509Error> {
    if input.len() > INPUT_BYTES_MAX {
        return Err(X509Error::new(
            "bundle_too_large",
            Some("A1"),
            format!("the input has {} bytes; at most {INPUT_BYTES_MAX} are read", input.len()),
            "send only the certificates that are needed",
        ));
    }
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    if input.iter().all(u8::is_ascii_whitespace) {
        return Err(X509Error::new(
            "empty_input",
            Some("A1"),
            "the input holds no certificate",
            "paste the PEM text, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----",
        ));
    }
    // Windows editors save UTF-16; only its ASCII part can be PEM.
    if let Some(text) = utf16(input) {
        return armoured(text.as_bytes());
    }
    if holds(input, b"-----BEGIN ") {
        return armoured(input);
    }
    if let Some(piece) = binary(input) {
        return Ok(Pieces { pieces: vec![piece], bytes: input.len() });
    }
    // base64 of PEM (the wire form of `accepted_client_ca`) or of DER.
    if let Some(decoded) = unbase64(input) {
        let decoded = Zeroizing::new(decoded);
        if let Some(text) = utf16(&decoded) {
            return armoured(text.as_bytes());
        }
        if holds(&decoded, b"-----BEGIN ") {
            return armoured(&decoded);
        }
        if let Some(piece) = binary(&decoded) {
            return Ok(Pieces { pieces: vec![piece], bytes: decoded.len() });
        }
    }
    Err(X509Error::new(
        "not_a_certificate",
        Some("A1"),
        "the input is neither PEM nor DER nor base64 of either",
        "paste the PEM text, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----",
    ))
}

/// One certificate as PEM, without a trailing newline.
pub fn certificate(der: &[u8]) -> String {
    armour("CERTIFICATE", der).trim_end().to_owned()
}

/// A PEM block with 64 columns and a trailing newline.
pub(crate) fn armour(label: &str, der: &[u8]) -> String {
    let mut body = BASE64.encode(der);
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in body.as_bytes().chunks(64) {
        out.extend(line.iter().map(|b| char::from(*b)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    body.zeroize();
    out
}

/// The DER of the first block with `label`, wiped by its owner. For our own files only; pastes go through [`read`].
pub(crate) fn block_of(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    unbase64(body.as_bytes()).map(Zeroizing::new)
}

/// The DER of each block with `label`, in order; `None` for one that has no end or is not base64.
pub(crate) fn blocks_of(text: &str, label: &str) -> Vec<Option<Zeroizing<Vec<u8>>>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    text.split(&begin)
        .skip(1)
        .map(|block| block.split_once(&end).and_then(|(body, _)| unbase64(body.as_bytes())).map(Zeroizing::new))
        .collect()
}

fn holds(input: &[u8], needle: &[u8]) -> bool {
    find(input, needle).is_some()
}

fn find(input: &[u8], needle: &[u8]) -> Option<usize> {
    input.windows(needle.len()).position(|window| window == needle)
}

fn utf16(input: &[u8]) -> Option<Zeroizing<String>> {
    let little = match input {
        [0xff, 0xfe, ..] => true,
        [0xfe, 0xff, ..] => false,
        _ => return None,
    };
    let text = input.get(2..)?.chunks_exact(2).filter_map(|pair| match (pair, little) {
        ([low, 0], true) | ([0, low], false) if low.is_ascii() => Some(char::from(*low)),
        _ => None,
    });
    Some(Zeroizing::new(text.collect()))
}

/// base64 with any white space in it, and with the `\n` that a JSON string leaves behind.
pub(crate) fn unbase64(body: &[u8]) -> Option<Vec<u8>> {
    let mut clean: Vec<u8> = Vec::with_capacity(body.len());
    let mut bytes = body.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next_if(|next| matches!(next, b'n' | b'r')).is_some() => {}
            b if b.is_ascii_whitespace() => {}
            b => clean.push(b),
        }
    }
    let decoded = BASE64.decode(&clean).ok();
    clean.zeroize();
    decoded.filter(|d| !d.is_empty())
}

fn armoured(input: &[u8]) -> Result<Pieces, X509Error> {
    let broken = |index: usize, what: &str| {
        X509Error::new(
            "bad_pem",
            Some("A1"),
            format!("block {index}: {what}"),
            "copy the whole text, from -----BEGIN to the last dashes of the END line",
        )
    };
    let mut found = Pieces { pieces: Vec::new(), bytes: input.len() };
    let mut rest = input;
    let mut first_error = None;
    let mut rounds = 0;
    while let Some(at) = find(rest, b"-----BEGIN ") {
        rounds += 1;
        if rounds > ROUNDS_MAX {
            return Err(broken(rounds, "there are too many BEGIN lines"));
        }
        let index = found.pieces.len() + 1;
        let after = rest.get(at + 11..).unwrap_or_default();
        let Some(label_end) = find(after, b"-----") else {
            first_error.get_or_insert_with(|| broken(index, "the BEGIN line does not end"));
            // A key whose line was cut is a key all the same.
            if holds(after, b"PRIVATE KEY") {
                found.pieces.push(Piece::PrivateKey { encrypted: false });
            }
            break;
        };
        let label = String::from_utf8_lossy(after.get(..label_end).unwrap_or_default()).trim().to_owned();
        let body = after.get(label_end + 5..).unwrap_or_default();
        // A private key counts even when its END line is lost: what is left of it is a secret still.
        let is_key = label.contains("PRIVATE KEY") || label == "PKCS12";
        let end = format!("-----END {label}-----");
        let Some(length) = find(body, end.as_bytes()) else {
            if is_key {
                found.pieces.push(Piece::PrivateKey { encrypted: label.contains("ENCRYPTED") });
            } else {
                first_error.get_or_insert_with(|| broken(index, &format!("there is no line -----END {}-----", clip(&label))));
            }
            rest = body;
            continue;
        };
        let content = body.get(..length).unwrap_or_default();
        rest = body.get(length + end.len()..).unwrap_or_default();
        if is_key {
            let encrypted = label.contains("ENCRYPTED") || label == "PKCS12" || holds(content, b",ENCRYPTED");
            found.pieces.push(Piece::PrivateKey { encrypted });
            continue;
        }
        match label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" | "PKCS7" | "CMS" => match unbase64(content) {
                Some(der) => {
                    let der = Zeroizing::new(der);
                    match binary(&der) {
                        Some(piece) => found.pieces.push(piece),
                        // Not readable as anything: the certificate reader will say so with the index.
                        None => found.pieces.push(Piece::Certificate(der.to_vec())),
                    }
                }
                None => {
                    first_error.get_or_insert_with(|| broken(index, "its body is not base64"));
                    found.pieces.push(Piece::Other(label));
                }
            },
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => match unbase64(content) {
                Some(der) => found.pieces.push(Piece::Request(der)),
                None => {
                    first_error.get_or_insert_with(|| broken(index, "its body is not base64"));
                }
            },
            _ => found.pieces.push(Piece::Other(clip(&label))),
        }
    }
    // A key whose dashes got damaged is no block, but it was sent all the same.
    if !found.has_private_key() && holds(input, b"PRIVATE KEY-") {
        found.pieces.push(Piece::PrivateKey { encrypted: holds(input, b"ENCRYPTED") });
    }
    match first_error {
        // The key is the graver finding, so the caller gets to see it.
        Some(error) if !found.has_private_key() => Err(error),
        _ => Ok(found),
    }
}

/// A label in a message is never longer than this.
fn clip(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// What a DER value is, by its first fields; `None` when it is no DER.
pub(crate) fn binary(der: &[u8]) -> Option<Piece> {
    let outer = single(der).ok().filter(|o| o.tag == 0x30)?;
    let fields = children(outer.value).ok()?;
    let other = |what: &str| Some(Piece::Other(what.to_owned()));
    match (fields.first()?.tag, fields.len()) {
        // PKCS#8, PKCS#1 and SEC1 keys and PKCS#12 begin with a version number.
        (0x02, _) => Some(Piece::PrivateKey { encrypted: false }),
        (0x06, _) => pkcs7(fields.get(1)?.value),
        (0x30, 3) => {
            let inner = children(fields.first()?.value).ok()?;
            // A CSR's second field is a name after a bare version; a certificate's is a serial or a context tag.
            match (inner.first().map(|f| f.tag), inner.get(1).map(|f| f.tag), inner.len()) {
                (Some(0x02), Some(0x30), 3 | 4) => Some(Piece::Request(der.to_vec())),
                // A CRL's TBS begins with a version and an algorithm and has no key.
                (Some(0x02), Some(0x30), _) if inner.iter().any(|f| matches!(f.tag, 0x17 | 0x18)) => other("X509 CRL"),
                _ => Some(Piece::Certificate(der.to_vec())),
            }
        }
        (0x30, 2) => match fields.get(1).map(|f| f.tag) {
            Some(0x04) => Some(Piece::PrivateKey { encrypted: true }),
            _ => other("PUBLIC KEY"),
        },
        _ => None,
    }
}

/// The certificates of a degenerate SignedData (RFC 5652 section 5.1).
fn pkcs7(content: &[u8]) -> Option<Piece> {
    let fields = children(single(content).ok()?.value).ok()?;
    let certificates = fields.iter().find(|f| f.tag == 0xa0)?;
    Some(Piece::Pkcs7(children(certificates.value).ok()?.iter().map(|c| c.whole.to_vec()).collect()))
}
