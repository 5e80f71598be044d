//! What a text may hold that people read as a name, and when two texts look the same. A compact rule, not Unicode's whole
//! table of confusables (UTS 39): it knows the scripts that share letter shapes with Latin. It changes no text.

/// Why a text is not fit for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFault {
    /// NUL, a line feed, DEL, or another control character.
    Control,
    /// Zero width, bidirectional override or isolate, soft hyphen, filler, variation selector, tag, private use.
    Invisible,
    /// One word in several of the scripts that look alike, or a typographic form of Latin letters.
    LookAlike,
    /// A combining accent, which a composed letter should stand for.
    Unnormalized,
}

/// The first fault of a text.
pub(crate) fn fault(text: &str) -> Option<TextFault> {
    if text.chars().any(char::is_control) {
        return Some(TextFault::Control);
    }
    if text.chars().any(invisible) {
        return Some(TextFault::Invisible);
    }
    if text.chars().any(typographic) || text.split(|c: char| !c.is_alphanumeric()).any(mixed) {
        return Some(TextFault::LookAlike);
    }
    text.chars().any(combining).then_some(TextFault::Unnormalized)
}

fn invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}'
        // Spaces other than the one on the keyboard.
        | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Full-width, mathematical and enclosed forms of plain letters and digits.
fn typographic(c: char) -> bool {
    matches!(c, '\u{2100}'..='\u{214f}' | '\u{2460}'..='\u{24ff}' | '\u{ff00}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}')
}

fn combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Whether one word has letters of two scripts that share shapes.
fn mixed(word: &str) -> bool {
    let mut scripts = word.chars().filter_map(|c| match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Some(0),
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Some(1),
        '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}' => Some(2),
        '\u{530}'..='\u{58f}' => Some(3),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Some(4),
        _ => None,
    });
    let Some(first) = scripts.next() else { return false };
    scripts.any(|script| script != first)
}

/// The text as it looks: lower case, white space collapsed, and of each group of look-alikes one. Two texts with one skeleton
/// need not be the same; they are worth a question.
pub(crate) fn skeleton(text: &str) -> String {
    let folded: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'а' | 'α' => 'a',
            'в' | 'β' => 'b',
            'с' | 'ϲ' => 'c',
            'ԁ' => 'd',
            'е' | 'є' | 'ε' => 'e',
            'һ' | 'н' | 'η' => 'h',
            'і' | 'ι' | 'ı' | '1' | '|' | 'l' | 'ӏ' => 'i',
            'ј' => 'j',
            'к' | 'κ' => 'k',
            'м' | 'μ' => 'm',
            'п' | 'ո' => 'n',
            'о' | 'ο' | 'σ' | '0' | 'օ' => 'o',
            'р' | 'ρ' => 'p',
            'ѕ' | '5' => 's',
            'т' | 'τ' => 't',
            'υ' | 'ս' => 'u',
            'ѵ' | 'ν' => 'v',
            'ԝ' | 'ω' => 'w',
            'х' | 'χ' => 'x',
            'у' | 'γ' => 'y',
            'ζ' | '2' => 'z',
            '‐' | '‑' | '‒' | '–' | '—' | '−' => '-',
            '’' | '‘' | 'ʼ' => '\'',
            c => c,
        })
        .collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ").replace("rn", "m").replace("vv", "w")
}
