//! The few pieces of HTTP/2 and HPACK that the load generator writes itself.

/// A frame (RFC 9113 section 4.1).
pub fn frame(out: &mut Vec<u8>, ty: u8, flags: u8, stream: u32, body: &[u8]) {
    let l = body.len();
    out.extend_from_slice(&[(l >> 16) as u8, (l >> 8) as u8, l as u8, ty, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(body);
}

/// A literal field with an indexed name (RFC 7541 section 6.2).
pub fn lit(out: &mut Vec<u8>, idx: u8, indexed: bool, val: &[u8]) {
    // literal field with a static name; with incremental indexing or without
    if indexed {
        out.push(0x40 | idx);
    } else if idx < 15 {
        out.push(idx);
    } else {
        out.extend_from_slice(&[0x0f, idx - 15]);
    }
    if val.len() < 127 {
        out.push(val.len() as u8);
    } else {
        out.extend_from_slice(&[127, (val.len() - 127) as u8]);
    }
    out.extend_from_slice(val);
}

/// A literal field with a new name.
pub fn lit_new(out: &mut Vec<u8>, name: &[u8], indexed: bool, val: &[u8]) {
    out.push(if indexed { 0x40 } else { 0 });
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    out.push(val.len() as u8);
    out.extend_from_slice(val);
}

