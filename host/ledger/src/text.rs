//! Words of strangers in a log that people read: bounded, and harmless on a terminal.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

/// A [`Text`] has at most so many octets.
pub const MAX_TEXT: usize = 1024;

/// Text that is safe to show: control, bidirectional and invisible characters stand as `\u{…}`,
/// and what is longer than [`MAX_TEXT`] ends in `…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Makes `text` harmless. Doing so twice changes nothing more.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut safe = String::with_capacity(text.len().min(MAX_TEXT));
        let mut escaped = String::new();
        for c in text.chars() {
            escaped.clear();
            if is_deceptive(c) {
                escaped.extend(c.escape_unicode());
            } else {
                escaped.push(c);
            }
            if safe.len() + escaped.len() > MAX_TEXT {
                while safe.len() + ELLIPSIS.len_utf8() > MAX_TEXT {
                    safe.pop();
                }
                safe.push(ELLIPSIS);
                break;
            }
            safe.push_str(&escaped);
        }
        Self(safe)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const ELLIPSIS: char = '…';

/// Characters that make a line say something else than it seems to: C0, C1 and DEL; line and
/// paragraph separators; bidirectional marks, embeddings and isolates; zero-width and tag
/// characters.
pub(crate) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00AD}'
                | '\u{061C}'
                | '\u{115F}'
                | '\u{1160}'
                | '\u{180E}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, Text};

    #[test]
    fn terminal_and_bidi_tricks_are_spelled_out() {
        let text = Text::new("CN=a\u{1b}[2J\r\nforged\u{9b}\u{202e}moc.\u{2066}x\u{7f}\u{200b}");
        assert_eq!(
            text.as_str(),
            r"CN=a\u{1b}[2J\u{d}\u{a}forged\u{9b}\u{202e}moc.\u{2066}x\u{7f}\u{200b}"
        );
    }

    #[test]
    fn ordinary_letters_of_any_script_stay() {
        assert_eq!(Text::new("CN=Müller Žižka 山田 🙂").as_str(), "CN=Müller Žižka 山田 🙂");
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_says_so() {
        for filler in ["a", "ü", "山", "\u{202e}"] {
            let text = Text::new(&filler.repeat(5000));
            assert!(text.len() <= MAX_TEXT && text.len() > MAX_TEXT - 12, "{}", text.len());
            assert!(text.ends_with('…'));
            assert_eq!(Text::new(&text), text);
        }
        assert_eq!(Text::new(&"a".repeat(MAX_TEXT)).len(), MAX_TEXT);
    }
}
