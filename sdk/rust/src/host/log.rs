use super::Backend;
use crate::Attributes;

/// Lines in the host's log, marked there with the plug-in's name and the trace id. See
/// [`Host::log`](super::Host::log).
///
/// Messages end at 4 KiB, and a call may write 64 lines. Never log challenges, tokens or keys.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a>(pub(super) &'a Backend);

impl Log<'_> {
    /// For following one call closely.
    pub fn debug(&self, message: impl AsRef<str>) {
        self.line(Level::Debug, message, Attributes::new());
    }

    /// Something an admin may want to know.
    pub fn info(&self, message: impl AsRef<str>) {
        self.line(Level::Info, message, Attributes::new());
    }

    /// Something is odd.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.line(Level::Warn, message, Attributes::new());
    }

    /// Something is broken.
    pub fn error(&self, message: impl AsRef<str>) {
        self.line(Level::Error, message, Attributes::new());
    }

    /// A line with fields beside the message.
    ///
    /// ```no_run
    /// # use countersign_sdk::{Attributes, Host, Level};
    /// # fn example(host: &Host) {
    /// let fields = Attributes::from([("mdm-record", "4711")]);
    /// host.log().line(Level::Info, "the device is known", fields);
    /// # }
    /// ```
    pub fn line(&self, level: Level, message: impl AsRef<str>, fields: Attributes) {
        self.0.log(level, message.as_ref(), fields);
    }
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For following one call closely.
    Debug,
    /// Something an admin may want to know.
    Info,
    /// Something is odd.
    Warn,
    /// Something is broken.
    Error,
}
