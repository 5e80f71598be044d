//! Reads header blocks of HTTP/2 (HPACK, RFC 7541) as they pass, and writes plain ones. It keeps a decoding table of its own beside the
//! engine's, which has to see the same bytes. Knows no frames.

use std::collections::VecDeque;

/// Bytes of the dynamic table, as SETTINGS_HEADER_TABLE_SIZE has them by default, which is what the gateway's peers are told.
const TABLE_BYTES: usize = 4096;
/// What an entry counts beside its texts (RFC 7541 section 4.1).
const ENTRY: usize = 32;

/// The static table (RFC 7541 appendix A).
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// How long each symbol's code is (RFC 7541 appendix B). The code is canonical, so the lengths are all there is to know.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// For each length the first code of it, how many there are, and where its symbols begin in `symbols`.
struct Huffman {
    first: [u32; 31],
    begin: [u16; 31],
    count: [u16; 31],
    symbols: [u8; 256],
}

static CODES: Huffman = {
    let mut huffman = Huffman { first: [0; 31], begin: [0; 31], count: [0; 31], symbols: [0; 256] };
    let (mut code, mut at, mut length) = (0_u32, 0_u16, 1_usize);
    while length <= 30 {
        code <<= 1;
        huffman.first[length] = code;
        huffman.begin[length] = at;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                huffman.symbols[at as usize] = symbol as u8;
                huffman.count[length] += 1;
                at += 1;
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    huffman
};

/// Why a block is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not HPACK.
    Malformed,
    /// Its fields are larger than is looked into.
    TooLarge,
}

/// A field's name and value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// The state of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    entries: VecDeque<Field>,
    bytes: usize,
    limit: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit: TABLE_BYTES }
    }
}

impl Decoder {
    /// Reads a whole block into its fields, in their order. Fails when they count for more than `most` bytes.
    pub(crate) fn decode(&mut self, mut block: &[u8], most: usize) -> Result<Vec<Field>, Unreadable> {
        let (mut fields, mut size) = (Vec::with_capacity(16), 0);
        while let Some(first) = block.first().copied() {
            let field = if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                self.at(index)?
            } else if first & 0x40 != 0 {
                let field = self.literal(&mut block, 6)?;
                self.insert(field.clone());
                field
            } else if first & 0x20 != 0 {
                self.limit = integer(&mut block, 5)?;
                if self.limit > TABLE_BYTES || !fields.is_empty() {
                    return Err(Unreadable::Malformed);
                }
                self.shrink(0);
                continue;
            } else {
                self.literal(&mut block, 4)?
            };
            size += field.0.len() + field.1.len() + ENTRY;
            if size > most {
                return Err(Unreadable::TooLarge);
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn literal(&self, block: &mut &[u8], prefix: u8) -> Result<Field, Unreadable> {
        let index = integer(block, prefix)?;
        let name = if index == 0 { string(block)? } else { self.at(index)?.0 };
        Ok((name, string(block)?))
    }

    fn at(&self, index: usize) -> Result<Field, Unreadable> {
        let place = index.checked_sub(1).ok_or(Unreadable::Malformed)?;
        match STATIC.get(place) {
            Some((name, value)) => Ok((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
            None => self.entries.get(place - STATIC.len()).cloned().ok_or(Unreadable::Malformed),
        }
    }

    fn insert(&mut self, field: Field) {
        let size = field.0.len() + field.1.len() + ENTRY;
        self.shrink(size);
        if size <= self.limit {
            self.bytes += size;
            self.entries.push_front(field);
        }
    }

    /// Makes room for `size` bytes.
    fn shrink(&mut self, size: usize) {
        while self.bytes + size > self.limit {
            let Some((name, value)) = self.entries.pop_back() else { return };
            self.bytes -= name.len() + value.len() + ENTRY;
        }
    }
}

fn integer(block: &mut &[u8], prefix: u8) -> Result<usize, Unreadable> {
    let (first, mut rest) = block.split_first().ok_or(Unreadable::Malformed)?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & most;
    if value == most {
        for shift in [0, 7, 14, 21] {
            let (byte, after) = rest.split_first().ok_or(Unreadable::Malformed)?;
            rest = after;
            value += (usize::from(*byte) & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *block = rest;
                return Ok(value);
            }
        }
        return Err(Unreadable::Malformed);
    }
    *block = rest;
    Ok(value)
}

fn string(block: &mut &[u8]) -> Result<Vec<u8>, Unreadable> {
    let huffman = block.first().ok_or(Unreadable::Malformed)? & 0x80 != 0;
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Unreadable::Malformed)?;
    *block = rest;
    if huffman { decompress(text) } else { Ok(text.to_vec()) }
}

fn decompress(text: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut out = Vec::with_capacity(text.len() * 8 / 5);
    let (mut code, mut length) = (0_u32, 0_usize);
    for byte in text {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            let place = code.wrapping_sub(CODES.first[length]);
            if place < u32::from(CODES.count[length]) {
                out.push(CODES.symbols[usize::from(CODES.begin[length]) + place as usize]);
                (code, length) = (0, 0);
            } else if length == 30 {
                return Err(Unreadable::Malformed);
            }
        }
    }
    // Less than a byte of ones may be left.
    if length < 8 && code + 1 == 1 << length { Ok(out) } else { Err(Unreadable::Malformed) }
}

/// Writes fields so that they need and change no table.
pub(crate) fn encode_plain(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 0x7f {
                block.push(length as u8);
            } else {
                block.push(0x7f);
                length -= 0x7f;
                while length >= 0x80 {
                    block.push(length as u8 | 0x80);
                    length >>= 7;
                }
                block.push(length as u8);
            }
            block.extend_from_slice(text);
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter_map(|b| char::from(b).to_digit(16).map(|digit| digit as u8)).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn text(fields: &[Field]) -> Vec<String> {
        fields.iter().map(|(n, v)| format!("{}: {}", String::from_utf8_lossy(n), String::from_utf8_lossy(v))).collect()
    }

    #[test]
    fn the_examples_of_rfc_7541_read_as_they_stand_there() {
        // Appendix C.4: three requests with Huffman coding on one connection.
        let mut decoder = Decoder::default();
        let first = decoder.decode(&bytes("828684418cf1e3c2e5f23a6ba0ab90f4ff"), 4096).unwrap();
        assert_eq!(text(&first), [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"]);
        let second = decoder.decode(&bytes("828684be5886a8eb10649cbf"), 4096).unwrap();
        assert_eq!(text(&second)[3..], [":authority: www.example.com", "cache-control: no-cache"]);
        let third = decoder.decode(&bytes("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"), 4096).unwrap();
        assert_eq!(
            text(&third),
            [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"]
        );
        assert_eq!(decoder.bytes, 164);
    }

    #[test]
    fn what_is_written_plainly_reads_back_and_leaves_the_table_alone() {
        let fields: Vec<Field> = vec![(b":path".to_vec(), vec![b'x'; 5000]), (b"a".to_vec(), vec![]), (vec![b'n'; 127], b"v".to_vec())];
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(&encode_plain(&fields), 100_000).unwrap(), fields);
        assert_eq!(decoder.bytes, 0);
    }

    #[test]
    fn nonsense_is_unreadable_and_nothing_worse() {
        for hex in ["80", "ff", "ffffffffffff", "c0", "4085", "418cf1e3", "3fff7f", "0085ffffffffff00", "823f00"] {
            assert_eq!(Decoder::default().decode(&bytes(hex), 4096), Err(Unreadable::Malformed), "{hex}");
        }
        assert_eq!(Decoder::default().decode(&bytes("8282828282"), 100), Err(Unreadable::TooLarge));
    }
}
