//! Makes a text that comes out of a certificate fit to be shown: what moves a cursor, breaks a line or turns the direction of reading is
//! escaped, so that no name looks like another or writes a line of its own.

use std::borrow::Cow;

/// The text with control characters, line and paragraph separators, bidirectional controls and invisible characters escaped as RFC 4514
/// section 2.4 writes bytes: a backslash and two hexadecimal digits for each byte of UTF-8.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            let mut buffer = [0_u8; 4];
            c.encode_utf8(&mut buffer).bytes().for_each(|byte| out.push_str(&format!("\\{byte:02x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// As [`printable`], without a copy where nothing is escaped.
pub fn printed(text: String) -> String {
    match printable(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

/// Whether a character does something else than show itself.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_the_text_is_escaped() {
        for (raw, shown) in [
            ("CN=plain, O=Ünïcode 名", "CN=plain, O=Ünïcode 名"),
            ("a\u{1b}[31m", "a\\1b[31m"),
            ("a\nb\r\tc\u{7f}", "a\\0ab\\0d\\09c\\7f"),
            ("a\u{2028}b\u{2029}", "a\\e2\\80\\a8b\\e2\\80\\a9"),
            ("\u{202e}gnp.exe", "\\e2\\80\\aegnp.exe"),
            ("\u{2066}x\u{2069}\u{200b}\u{feff}", "\\e2\\81\\a6x\\e2\\81\\a9\\e2\\80\\8b\\ef\\bb\\bf"),
            ("\u{85}", "\\c2\\85"),
        ] {
            assert_eq!(printable(raw), shown);
        }
        assert_eq!(printable(&printable("\u{202e}x")), printable("\u{202e}x"));
    }
}
