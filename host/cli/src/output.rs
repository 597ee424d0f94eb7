//! What is written for people and scripts: facts on standard output, everything else on standard
//! error. Colours only on a terminal and without NO_COLOR (anstream sees to it).

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::Value;

use crate::time;

/// How facts are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For scripts: one JSON value, in a stable shape.
    Json,
}

/// A line on standard output. A closed pipe (`| head`) is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// A line on standard error.
pub(crate) fn error_line(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A JSON value on standard output.
pub(crate) fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// Text from a device, a server or a file: control characters and what turns the direction of
/// writing cannot reach the terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// A member of facts as one word or line, escaped; `-` where there is nothing.
pub(crate) fn fact(facts: &Value, member: &str) -> String {
    shown(facts.get(member).unwrap_or(&Value::Null))
}

/// A value of facts as one word or line.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => escaped(text),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => escaped(&other.to_string()),
    }
}

/// A member of facts that holds seconds since 1970, as RFC 3339.
pub(crate) fn moment(facts: &Value, member: &str) -> String {
    facts.get(member).and_then(Value::as_u64).map_or_else(|| "-".to_owned(), time::rfc3339)
}

/// Lines under headings, each column as wide as its widest text.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| heading.to_uppercase()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut text = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                text.push_str(&format!("{cell:<width$}  "));
            }
            f.write_str(text.trim_end())?;
            if index + 1 < self.rows.len() {
                f.write_str("\n")?;
            }
        }
        Ok(())
    }
}

/// The text in green.
pub(crate) fn green(text: &str) -> String {
    styled(AnsiColor::Green.on_default().bold(), text)
}

/// The text in red.
pub(crate) fn red(text: &str) -> String {
    styled(AnsiColor::Red.on_default().bold(), text)
}

/// The text in yellow.
pub(crate) fn yellow(text: &str) -> String {
    styled(AnsiColor::Yellow.on_default().bold(), text)
}

/// The text in bold.
pub(crate) fn bold(text: &str) -> String {
    styled(Style::new().bold(), text)
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_move_the_cursor_or_turn_the_line() {
        assert_eq!(escaped("CN=a\u{1b}[2Jb\n"), "CN=a\\u{1b}[2Jb\\u{a}");
        assert_eq!(escaped("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(escaped("Gerät 17"), "Gerät 17");
    }

    #[test]
    fn a_table_aligns_its_columns_and_leaves_no_trailing_space() {
        let mut table = Table::new(&["name", "state"]);
        table.row(vec!["one-time-password".into(), "good".into()]);
        table.row(vec!["b".into(), "-".into()]);
        let expected = "NAME               STATE\none-time-password  good\nb                  -";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn facts_are_shown_without_what_could_deceive() {
        let facts =
            serde_json::json!({ "a": "x\u{1b}", "b": ["CN=1", "DNS:a"], "c": 0, "n": null });
        assert_eq!(fact(&facts, "a"), "x\\u{1b}");
        assert_eq!(fact(&facts, "b"), "CN=1, DNS:a");
        assert_eq!(fact(&facts, "none"), "-");
        assert_eq!(moment(&facts, "c"), "1970-01-01T00:00:00Z");
        assert_eq!(moment(&facts, "n"), "-");
    }
}
