//! A problem in the file, and how people see it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::value::BadValue;

/// One problem of a configuration file. `Display` shows it as compilers do: what, where, the
/// line itself, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable name of the problem, kebab-case.
    pub id: &'static str,
    /// Row of the founding checklist, where it belongs to one.
    pub row: Option<u8>,
    /// The file.
    pub file: PathBuf,
    /// The key it is about, dotted (`profile.wifi.authority`); empty for the file as a whole.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
    #[serde(skip)]
    excerpt: Excerpt,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.id, self.message)?;
        let gutter = " ".repeat(self.line.to_string().len());
        writeln!(f, "{gutter}--> {}:{}:{}", self.file.display(), self.line, self.column)?;
        if !self.excerpt.line.is_empty() {
            let caret = "^".repeat(self.excerpt.width.max(1));
            let indent = " ".repeat(self.column.saturating_sub(1));
            writeln!(f, "{gutter} |")?;
            writeln!(f, "{} | {}", self.line, self.excerpt.line)?;
            writeln!(f, "{gutter} | {indent}{caret}")?;
        }
        write!(f, "{gutter} = help: {}", self.remedy)?;
        if let Some(row) = self.row {
            write!(f, "\n{gutter} = note: row {row} of the founding checklist")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Excerpt {
    line: String,
    width: usize,
}

/// A problem whose place is still an offset.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) what: BadValue,
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
}

/// The file's text, which turns offsets into lines and columns.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// Problems in the order of the file, each with its line.
    pub(crate) fn place(&self, mut drafts: Vec<Draft>) -> Vec<Problem> {
        drafts.sort_by_key(|draft| draft.span.start);
        drafts.into_iter().map(|draft| self.place_one(draft)).collect()
    }

    /// A problem of the file as a whole.
    pub(crate) fn whole(&self, what: BadValue) -> Problem {
        Problem {
            excerpt: Excerpt::default(),
            ..self.place_one(Draft { what, path: String::new(), span: 0..0 })
        }
    }

    fn place_one(&self, draft: Draft) -> Problem {
        let start = floor_boundary(self.text, draft.span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |position| position + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let end = floor_boundary(self.text, draft.span.end);
        let width = self
            .text
            .get(start..end)
            .and_then(|marked| marked.lines().next())
            .map_or(1, |marked| marked.chars().count());
        Problem {
            id: draft.what.id,
            row: draft.what.row,
            file: self.file.to_owned(),
            path: draft.path,
            line: before.matches('\n').count() + 1,
            column: in_line.chars().count() + 1,
            message: draft.what.message,
            remedy: draft.what.remedy,
            excerpt: Excerpt { line: printable(without_secrets(line)), width },
        }
    }
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Words in a key's name after which a secret may stand.
const SECRET_WORDS: [&str; 7] =
    ["password", "secret", "token", "pin", "passphrase", "key", "value"];

/// The line up to a value that may be a secret written where a reference belongs: a problem is
/// printed to terminals and logs.
fn without_secrets(line: &str) -> &str {
    let mut from = 0;
    while let Some(position) = line.get(from..).and_then(|rest| rest.find('=')) {
        let equals = from + position;
        let name = line.get(from..equals).unwrap_or_default().to_ascii_lowercase();
        let value = line.get(equals + 1..).unwrap_or_default().trim_start();
        let harmless = ["\"file:", "'file:", "\"credential:", "'credential:", "{"]
            .iter()
            .any(|start| value.starts_with(start));
        if !harmless && SECRET_WORDS.iter().any(|word| name.contains(word)) {
            return line.get(..=equals).unwrap_or_default();
        }
        from = equals + 1;
    }
    line
}

/// No control characters reach a terminal.
fn printable(line: &str) -> String {
    line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, span: Range<usize>) -> Problem {
        let source = Source { file: Path::new("ra.toml"), text };
        let what = BadValue::new("some-id", "it is wrong", "mend it").of_row(61);
        let mut placed = source.place(vec![Draft { what, path: "serve.listen".into(), span }]);
        placed.remove(0)
    }

    #[test]
    fn a_problem_shows_what_where_the_line_and_the_remedy() {
        let text = "mode = \"lab\"\n[serve]\nlisten = \"nowhere\"\n";
        let at = text.find("\"nowhere\"").unwrap();
        let shown = problem(text, at..at + 9).to_string();
        let expected = "\
error[some-id]: it is wrong
 --> ra.toml:3:10
  |
3 | listen = \"nowhere\"
  |          ^^^^^^^^^
  = help: mend it
  = note: row 61 of the founding checklist";
        assert_eq!(shown, expected);
    }

    #[test]
    fn columns_count_characters_and_offsets_inside_one_do_no_harm() {
        let text = "# äöü\nä = 1\n";
        let at = text.rfind('1').unwrap();
        let found = problem(text, at..at + 1);
        assert_eq!((found.line, found.column), (2, 5));
        let inside = problem(text, 3..4);
        assert_eq!(inside.line, 1);
        let beyond = problem(text, 999..1000);
        assert_eq!(beyond.line, 3);
    }

    #[test]
    fn a_secret_written_into_the_file_is_not_printed() {
        for text in [
            "password = \"hunter2\"",
            "username-token = { username = \"ra\", password = \"hunter2\" }",
            "challenge-key = \"hunter2",
            "pin = 'hunter2'",
        ] {
            let shown = problem(text, 0..3).to_string();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let shown = problem("key = \"file:/etc/ra/ea.pem\"", 0..3).to_string();
        assert!(shown.contains("/etc/ra/ea.pem"), "{shown}");
    }

    #[test]
    fn control_characters_of_the_file_do_not_reach_the_terminal() {
        let shown = problem("a = \"\u{1b}[2J\"", 0..1).to_string();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
