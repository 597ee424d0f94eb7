//! What is written for people and scripts: facts on standard output, everything else on standard
//! error. Colours only on a terminal and without NO_COLOR (anstream sees to it).

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

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
pub(crate) fn json(value: &serde_json::Value) {
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
}
