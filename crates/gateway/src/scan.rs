//! The strict reading of HTTP/1 framing, in front of hyper: finds where each request begins and ends, and refuses what two readers
//! could take in two ways (promise P8, RFC 9112). It decides nothing but framing and changes no byte.

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Violation {
    /// A line that does not end in CRLF, or an empty line before the request.
    Line = 1,
    /// A request line that is not method, target and HTTP/1.0 or HTTP/1.1.
    RequestLine = 2,
    /// A field line without a proper name, with a folded value, or with a control character.
    Field = 3,
    /// No Host, or more than one.
    Host = 4,
    /// Content-Length and Transfer-Encoding together, repeated, or other than a number and `chunked`.
    Length = 5,
    /// More bytes than the limit, or more than 100 fields.
    TooLarge = 6,
}

impl Violation {
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Line),
            2 => Some(Self::RequestLine),
            3 => Some(Self::Field),
            4 => Some(Self::Host),
            5 => Some(Self::Length),
            6 => Some(Self::TooLarge),
            _ => None,
        }
    }

    /// Which rule, for the one who looks the refusal up.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Line => "a line of the request's head does not end in CRLF (RFC 9112 section 2.2)",
            Self::RequestLine => "the request line is not method, target, HTTP/1.1 (RFC 9112 section 3)",
            Self::Field => "a field line has no proper name, is folded, or holds a control character (RFC 9112 section 5)",
            Self::Host => "the request must have exactly one Host field (RFC 9112 section 3.2)",
            Self::Length => "the length of the body is given twice, or other than by one number or by `chunked` (RFC 9112 section 6)",
            Self::TooLarge => "the head is larger than the gateway takes, or has more than 100 fields",
        }
    }
}

/// A body whose chunks cannot be read; the connection ends.
#[derive(Debug)]
pub(crate) struct BrokenBody;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    ChunkSize { value: u64, digits: u8, line: u16, extension: bool, cr: bool },
    ChunkData(u64),
    ChunkEnd { cr: bool },
    Trailers { line: u16, cr: bool, total: u32 },
    Upgrade,
    Refused,
}

const CHUNK_SIZE: State = State::ChunkSize { value: 0, digits: 0, line: 0, extension: false, cr: false };
const FIELDS_MAX: usize = 100;
const TARGET_MAX: usize = 8192;

/// Where the reader is.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    heads: u64,
    limit: usize,
    /// Bytes of the unfinished head that were looked at already.
    seen: usize,
}

impl Scanner {
    /// For heads of up to `limit` bytes.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { state: State::Head, heads: 0, limit, seen: 0 }
    }

    /// How many heads were passed or refused.
    pub(crate) const fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether an upgrade was asked for, so that nothing more may be read as HTTP before it is decided.
    pub(crate) const fn awaits_upgrade(&self) -> bool {
        matches!(self.state, State::Upgrade)
    }

    /// Whether reading has ended because of a violation.
    pub(crate) const fn refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// Whether a body has begun and not ended.
    pub(crate) const fn inside_body(&self) -> bool {
        !matches!(self.state, State::Head | State::Upgrade)
    }

    /// Looks at `data`, which begins with the bytes that were not passed last time. Returns how many bytes may be passed on.
    pub(crate) fn scan(&mut self, data: &[u8]) -> Result<(usize, Option<Violation>), BrokenBody> {
        let mut at = 0;
        while at < data.len() {
            match self.state {
                State::Refused | State::Upgrade => break,
                State::Head => match self.head(&data[at..]) {
                    Ok(Some(length)) => at += length,
                    Ok(None) => break,
                    Err(violation) => {
                        self.state = State::Refused;
                        self.heads += 1;
                        return Ok((at, Some(violation)));
                    }
                },
                State::Body(left) => at += self.take(left, data.len() - at, State::Body, State::Head),
                State::ChunkData(left) => at += self.take(left, data.len() - at, State::ChunkData, State::ChunkEnd { cr: false }),
                _ => {
                    self.chunk_byte(data[at])?;
                    at += 1;
                }
            }
        }
        Ok((at, None))
    }

    fn take(&mut self, left: u64, available: usize, same: fn(u64) -> State, next: State) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        let rest = left - taken as u64;
        self.state = if rest == 0 { next } else { same(rest) };
        taken
    }

    /// The length of the head when it is whole.
    fn head(&mut self, data: &[u8]) -> Result<Option<usize>, Violation> {
        let mut i = self.seen;
        while let Some(found) = data[i..].iter().position(|b| *b == b'\n') {
            let end = i + found;
            if end == 0 || data[end - 1] != b'\r' {
                return Err(Violation::Line);
            }
            if end >= self.limit {
                return Err(Violation::TooLarge);
            }
            if end == 1 {
                return Err(Violation::Line);
            }
            if data[..end - 1].ends_with(b"\r\n") {
                self.seen = 0;
                self.state = read_head(&data[..end - 1])?;
                self.heads += 1;
                return Ok(Some(end + 1));
            }
            i = end + 1;
        }
        if data.len() >= self.limit {
            return Err(Violation::TooLarge);
        }
        // A line that is not whole is looked at again from its beginning on only as far as its end is concerned.
        self.seen = data.len();
        Ok(None)
    }

    fn chunk_byte(&mut self, byte: u8) -> Result<(), BrokenBody> {
        self.state = match self.state {
            State::ChunkSize { value, digits, line, extension, cr } => {
                if line > 256 {
                    return Err(BrokenBody);
                }
                let line = line + 1;
                match byte {
                    b'\n' if cr && digits > 0 => {
                        if value == 0 {
                            State::Trailers { line: 0, cr: false, total: 0 }
                        } else {
                            State::ChunkData(value)
                        }
                    }
                    _ if cr => return Err(BrokenBody),
                    b'\r' if digits > 0 => State::ChunkSize { value, digits, line, extension, cr: true },
                    b';' if digits > 0 => State::ChunkSize { value, digits, line, extension: true, cr },
                    b'\t' | 0x20..=0x7e if extension => State::ChunkSize { value, digits, line, extension, cr },
                    _ => {
                        let digit = char::from(byte).to_digit(16).filter(|_| !extension && digits < 15).ok_or(BrokenBody)?;
                        State::ChunkSize { value: value << 4 | u64::from(digit), digits: digits + 1, line, extension, cr }
                    }
                }
            }
            State::ChunkEnd { cr: false } if byte == b'\r' => State::ChunkEnd { cr: true },
            State::ChunkEnd { cr: true } if byte == b'\n' => CHUNK_SIZE,
            State::Trailers { line, cr, total } => {
                if total > 16 * 1024 {
                    return Err(BrokenBody);
                }
                let total = total + 1;
                match byte {
                    b'\n' if cr && line == 0 => State::Head,
                    b'\n' if cr => State::Trailers { line: 0, cr: false, total },
                    b'\n' => return Err(BrokenBody),
                    _ if cr => return Err(BrokenBody),
                    b'\r' => State::Trailers { line, cr: true, total },
                    b' ' | b'\t' if line == 0 => return Err(BrokenBody),
                    _ => State::Trailers { line: line.saturating_add(1), cr: false, total },
                }
            }
            _ => return Err(BrokenBody),
        };
        Ok(())
    }
}

/// Reads a whole head, without its last empty line, and says what follows it.
fn read_head(head: &[u8]) -> Result<State, Violation> {
    let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let old = request_line(lines.next().unwrap_or_default())?;
    let (mut hosts, mut fields, mut upgrade) = (0_u8, 0_usize, false);
    let (mut length, mut chunked): (Option<u64>, bool) = (None, false);
    for line in lines {
        if line.is_empty() {
            continue;
        }
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(Violation::TooLarge);
        }
        let colon = line.iter().position(|b| *b == b':').ok_or(Violation::Field)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(Violation::Field);
        }
        if value.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return Err(Violation::Field);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let value = value.trim_ascii();
                if length.is_some() || !(1..=18).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
                    return Err(Violation::Length);
                }
                length = Some(value.iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if chunked || old || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Violation::Length);
                }
                chunked = true;
            }
            _ => {}
        }
    }
    if hosts != 1 {
        return Err(Violation::Host);
    }
    match (length, chunked) {
        (Some(_), true) => Err(Violation::Length),
        // An upgrade with a body would make it unclear where the new protocol begins.
        (Some(1..), false) | (None, true) if upgrade => Err(Violation::Length),
        _ if upgrade => Ok(State::Upgrade),
        (None | Some(0), false) => Ok(State::Head),
        (Some(n), false) => Ok(State::Body(n)),
        (None, true) => Ok(CHUNK_SIZE),
    }
}

/// Checks the request line; tells whether it is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Violation> {
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Violation::RequestLine);
    };
    let ok = !method.is_empty()
        && method.iter().all(|b| is_token(*b))
        && !target.is_empty()
        // The last three are no characters of a URI (RFC 3986 appendix A), and browsers encode them.
        && target.iter().all(|b| (0x21..=0x7e).contains(b) && !matches!(b, b'#' | b'"' | b'<' | b'>'));
    if !ok {
        return Err(Violation::RequestLine);
    }
    if target.len() > TARGET_MAX {
        return Err(Violation::TooLarge);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(Violation::RequestLine),
    }
}

/// Which bytes a method or a field's name may have (RFC 9110 section 5.6.2), as a table: it is asked for every byte of every name.
const TOKENS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = may_be_in_token(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

const fn is_token(byte: u8) -> bool {
    TOKENS[byte as usize]
}

const fn may_be_in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests;
