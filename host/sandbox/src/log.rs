//! What plug-ins say in the log: bounded, and harmless to whoever reads it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::model::{Attributes, attributes_fit, is_hidden};

const MESSAGE: usize = 4 * 1024;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words are the usual ones")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// One line, escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// Control characters escaped, cut at 4 KiB.
    pub message: String,
    /// Escaped like the message; dropped where they were over the contract's limits.
    pub fields: Attributes,
}

impl LogLine {
    fn len(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.message.len() + fields
    }
}

/// One call's lines. They go to the process's log at once, so that nothing is lost with the call.
#[derive(Debug)]
pub(crate) struct LogBook {
    lines: Vec<LogLine>,
    lines_left: u32,
    bytes_left: usize,
    dropped: u32,
}

impl LogBook {
    pub(crate) fn new(lines: u32, bytes: u32) -> Self {
        Self {
            lines: Vec::new(),
            lines_left: lines,
            bytes_left: usize::try_from(bytes).unwrap_or(usize::MAX),
            dropped: 0,
        }
    }

    /// Takes a line, or counts it where there are too many.
    pub(crate) fn add(
        &mut self,
        plugin: &str,
        trace_id: &str,
        level: LogLevel,
        message: &str,
        fields: &Attributes,
    ) {
        if self.lines_left == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let fields = if attributes_fit(fields) { fields.as_slice() } else { &[] };
        let line = LogLine {
            level,
            message: escaped(message, MESSAGE),
            fields: fields
                .iter()
                .map(|(name, value)| (escaped(name, MESSAGE), escaped(value, MESSAGE)))
                .collect(),
        };
        let Some(bytes_left) = self.bytes_left.checked_sub(line.len()) else {
            self.dropped = self.dropped.saturating_add(1);
            return;
        };
        self.bytes_left = bytes_left;
        self.lines_left -= 1;
        emit(plugin, trace_id, &line);
        self.lines.push(line);
    }

    /// The lines, and how many more there were.
    pub(crate) fn close(self, plugin: &str, trace_id: &str) -> (Vec<LogLine>, u32) {
        if self.dropped > 0 {
            tracing::warn!(
                target: "plugin",
                plugin,
                trace_id,
                dropped = self.dropped,
                "the plug-in wrote more lines than it may"
            );
        }
        (self.lines, self.dropped)
    }
}

/// Escapes what is not seen but acts (control characters, marks of direction), and cuts at a
/// character.
pub(crate) fn escaped(text: &str, most: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        let before = safe.len();
        if is_hidden(c) {
            let _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
        if safe.len() > most {
            safe.truncate(before);
            safe.push('…');
            break;
        }
    }
    safe
}

fn emit(plugin: &str, trace_id: &str, line: &LogLine) {
    let fields = if line.fields.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&line.fields).unwrap_or_default()
    };
    let message = line.message.as_str();
    match line.level {
        LogLevel::Trace => tracing::trace!(target: "plugin", plugin, trace_id, fields, "{message}"),
        LogLevel::Debug => tracing::debug!(target: "plugin", plugin, trace_id, fields, "{message}"),
        LogLevel::Info => tracing::info!(target: "plugin", plugin, trace_id, fields, "{message}"),
        LogLevel::Warn => tracing::warn!(target: "plugin", plugin, trace_id, fields, "{message}"),
        LogLevel::Error => tracing::error!(target: "plugin", plugin, trace_id, fields, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_turns_text_survives() {
        let shown = escaped("a\r\nadmin logged in\u{1b}[2J\u{202e}gnp\u{85}", 4096);
        assert_eq!(shown, "a\\u{d}\\u{a}admin logged in\\u{1b}[2J\\u{202e}gnp\\u{85}");
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let shown = escaped(&"é".repeat(4096), 101);
        assert_eq!(shown.chars().filter(|c| *c == 'é').count(), 50);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn lines_over_the_limit_are_counted_not_kept() {
        let mut book = LogBook::new(2, 1024);
        for _ in 0..5 {
            book.add("p", "t", LogLevel::Info, "m", &Attributes::new());
        }
        let (lines, dropped) = book.close("p", "t");
        assert_eq!((lines.len(), dropped), (2, 3));
    }

    #[test]
    fn bytes_over_the_limit_are_counted_not_kept() {
        let mut book = LogBook::new(64, 100);
        for _ in 0..5 {
            book.add("p", "t", LogLevel::Info, &"m".repeat(40), &Attributes::new());
        }
        let (lines, dropped) = book.close("p", "t");
        assert_eq!((lines.len(), dropped), (2, 3));
    }
}
