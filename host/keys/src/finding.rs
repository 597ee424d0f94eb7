//! What the start gate is told: a fault of the installation that an admin must mend.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the installation is meant: `lab` marks every ledger entry and lets keys lie in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Trials and tests: development tokens allowed, every ledger entry marked `lab`.
    Lab,
    /// Real devices: keys on hardware tokens, each process under its own user.
    Production,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lab => "lab",
            Self::Production => "production",
        })
    }
}

/// How much a finding weighs. A process with a critical finding does not become ready.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth mending.
    Medium,
    /// Mend soon.
    High,
    /// Not ready until mended.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// One fault of the installation, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Row of the founding checklist, where it belongs to one.
    pub row: Option<u8>,
    /// How much it weighs.
    pub severity: Severity,
    /// Stable name of the fault, kebab-case.
    pub id: &'static str,
    /// What was expected and what was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.id, self.message)?;
        if let Some(row) = self.row {
            write!(f, " (row {row})")?;
        }
        write!(f, "\n  remedy: {}", self.remedy)
    }
}
