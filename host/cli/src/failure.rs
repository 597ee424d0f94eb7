//! The one place where errors become what a person reads and a script tests.

use std::fmt;
use std::process::ExitCode;

use countersign_config::Problem;
use countersign_ipc::CallError;

use crate::output;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    exit: Exit,
}

/// The kinds of failure that a script can tell apart. Stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything else.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The config file, or what it names, has problems.
    Config = 3,
    /// A server, a CA or a process refused.
    Refused = 4,
    /// Nobody answered.
    NotReachable = 5,
}

impl Failure {
    /// Failed, for the reason in `message`: what was expected, what was found, what to do.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::Failed }
    }

    /// A failure of one kind.
    pub(crate) fn of(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), exit }
    }

    /// A failure that was shown already, as facts.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::of(exit, "")
    }

    /// The config file has problems: all of them, each with its line.
    #[allow(clippy::needless_pass_by_value, reason = "handed to map_err by its name")]
    pub(crate) fn config(problems: Vec<Problem>) -> Self {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let count = match problems.len() {
            1 => "1 problem".to_owned(),
            several => format!("{several} problems"),
        };
        Self::of(Exit::Config, format!("{}\n\n{count} in the config file", shown.join("\n\n")))
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells the person, and gives the process's exit code.
    pub(crate) fn report(self) -> ExitCode {
        if self.message.is_empty() {
            // Shown already, as facts.
        } else if self.message.starts_with("error[") {
            // Already in the form of a compiler's messages.
            output::error_line(&self.message);
        } else {
            output::error_line(&format!("{}: {}", output::red("error"), self.message));
        }
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::NotWelcome { .. } => Self::of(Exit::Refused, error.to_string()),
            CallError::NotThere { .. } => Self::of(
                Exit::NotReachable,
                format!("{error}; start it, or give the config it was started with by --config"),
            ),
            CallError::Broken(_) | CallError::Deadline { .. } => {
                Self::of(Exit::NotReachable, error.to_string())
            }
            CallError::Frame(_) => Self::new(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
