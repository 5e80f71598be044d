//! Lists in aligned columns, as `kubectl` and `gh` print them: no boxes, no wrapping, one row a line.
//!
//! Where a list is wider than the terminal, texts are shortened first (never ids, addresses, times or commands), then columns are left
//! out from the right; the first column always stays whole. `--wide` shows everything.

use crate::terminal::{Style, Terminal, clean_line, columns, shorten};

/// A text is not shortened below this many columns.
const TEXT_MIN: usize = 10;
/// Between two columns.
const GAP: usize = 2;

/// One column of a list. They are listed by importance: the last ones are left out first.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    is_text: bool,
}

/// A column that is shown whole or not at all: ids, states, times, addresses, commands.
pub const fn whole(name: &'static str) -> Column {
    Column { name, is_text: false }
}

/// A column whose values may be shortened: names and descriptions, which nobody has to copy.
pub const fn text(name: &'static str) -> Column {
    Column { name, is_text: true }
}

/// The rows below their headings; `wide` shows every column whole.
pub fn render(terminal: Terminal, wide: bool, head: &[Column], rows: &[Vec<String>]) -> String {
    // A value of several lines becomes one line: a row is a line.
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|text| clean_line(&text.replace('\n', "; "))).collect()).collect();
    let natural: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(i, column)| rows.iter().filter_map(|row| row.get(i)).map(|text| columns(text)).chain([columns(column.name)]).max())
        .map(Option::unwrap_or_default)
        .collect();
    let widths = fit(head, &natural, terminal.width().filter(|_| !wide));
    let line = |style: Option<Style>, values: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (i, (value, width)) in values.zip(&widths).enumerate() {
            let value = shorten(value, *width);
            // Nothing is behind the last column.
            let blanks = if i + 1 < widths.len() { width.saturating_sub(columns(&value)) + GAP } else { 0 };
            line.push_str(&style.map_or_else(|| value.clone(), |style| terminal.paint(style, &value)));
            line.push_str(&" ".repeat(blanks));
        }
        // Nor behind a row whose last values are empty.
        format!("{}\n", line.trim_end_matches(' '))
    };
    let mut out = line(Some(Style::Faint), &mut head.iter().map(|column| column.name));
    for row in &rows {
        out.push_str(&line(None, &mut row.iter().map(String::as_str)));
    }
    let hidden: Vec<&str> = head.iter().skip(widths.len()).map(|column| column.name).collect();
    if !hidden.is_empty() {
        out.push_str(&format!("{}\n", terminal.paint(Style::Faint, &format!("not shown: {} (--wide)", hidden.join(", ")))));
    }
    out
}

/// The widths of the columns that are shown.
fn fit(head: &[Column], natural: &[usize], width: Option<usize>) -> Vec<usize> {
    let Some(width) = width else { return natural.to_vec() };
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    for shown in (1..=natural.len()).rev() {
        let mut widths = natural.get(..shown).unwrap_or_default().to_vec();
        while total(&widths) > width {
            let least = |i: usize| head.get(i).map_or(0, |column| columns(column.name).max(TEXT_MIN));
            let widest = (1..shown).filter(|i| head.get(*i).is_some_and(|c| c.is_text) && widths.get(*i).is_some_and(|w| *w > least(*i)));
            match widest.max_by_key(|i| widths.get(*i).copied()).and_then(|i| widths.get_mut(i)) {
                Some(one) => *one -= 1,
                None => break,
            }
        }
        if total(&widths) <= width || shown == 1 {
            return widths;
        }
    }
    natural.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[Column] = &[whole("ID"), text("NAME"), whole("STATE"), text("OWNER"), whole("REQUESTS")];

    fn rows() -> Vec<Vec<String>> {
        let row = |values: [&str; 5]| values.map(str::to_owned).to_vec();
        vec![
            row(["c22vk518498zasg7eqrg", "billing of the whole company", "enabled", "somebody@example.com", "1234567"]),
            row(["kswvnpbej9zhxvrcdyqb", "till", "disabled", "ann@example.com", "0"]),
        ]
    }

    #[test]
    fn a_list_fits_80_columns_and_never_breaks_an_id() {
        for width in [20, 40, 60, 80, 100, 200] {
            let out = render(Terminal::wide(width, false), false, HEAD, &rows());
            for line in out.lines().filter(|line| !line.starts_with("not shown")) {
                assert!(columns(line) <= width.max(20), "{width}: {line}");
            }
            assert!(out.contains("c22vk518498zasg7eqrg") && out.contains("kswvnpbej9zhxvrcdyqb"), "{width}: {out}");
        }
    }

    #[test]
    fn texts_are_shortened_first_and_then_columns_go_from_the_right() {
        let at = |width| render(Terminal::wide(width, false), false, HEAD, &rows());
        assert!(at(120).contains("billing of the whole company"), "{}", at(120));
        assert!(at(80).contains("billing of the wh…") && at(80).contains("1234567"), "{}", at(80));
        assert!(at(60).ends_with("not shown: REQUESTS (--wide)\n"), "{}", at(60));
        assert!(at(24).ends_with("not shown: NAME, STATE, OWNER, REQUESTS (--wide)\n"), "{}", at(24));
    }

    #[test]
    fn wide_and_a_pipe_show_every_column_whole() {
        for out in [render(Terminal::wide(40, false), true, HEAD, &rows()), render(Terminal::PLAIN, false, HEAD, &rows())] {
            assert!(out.contains("billing of the whole company  enabled   somebody@example.com  1234567\n"), "{out}");
            assert!(!out.contains("not shown"), "{out}");
        }
    }

    #[test]
    fn no_line_ends_in_blanks_and_a_value_of_two_lines_stays_one_row() {
        let rows = [vec!["a\nb".to_owned(), String::new()]];
        assert_eq!(render(Terminal::PLAIN, false, &[whole("ONE"), whole("TWO")], &rows), "ONE   TWO\na; b\n");
    }
}
