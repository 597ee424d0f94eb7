//! The conformance kit: what every verifier must do, asked of the component itself.

mod cases;
mod description;
mod exports;
mod faults;
mod imports;
mod powers;
mod report;
mod settings;
mod usage;

use std::path::{Path, PathBuf};
use std::time::Instant;

use countersign_cases::{Case, CaseError, CaseFile, Expected, read_all};
use countersign_sandbox::{Compiler, Used};

pub use self::report::{Check, Checks, Outcome, Peak, Report};
use crate::grants::{Fragment, FragmentError};
use crate::play::most;
use crate::workshop::{OpenError, Workshop};

/// What is checked beside the component itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A folder of golden cases.
    pub cases: Option<PathBuf>,
    /// A file with settings that the plug-in must accept.
    pub settings: Option<PathBuf>,
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The component.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The cases.
    #[error("{folder}: {source}; name the folder of golden cases with --cases")]
    Cases {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The settings.
    #[error(transparent)]
    Settings(#[from] FragmentError),
}

/// Everything that is checked, and what came of it.
pub(crate) struct Bench<'a> {
    pub(crate) workshop: &'a Workshop,
    pub(crate) cases: Vec<(PathBuf, Result<CaseFile, CaseError>)>,
    pub(crate) settings: Option<Fragment>,
    pub(crate) used: Used,
    pub(crate) answer_bytes: usize,
}

impl Bench<'_> {
    /// Cases that ask something, as far as they can be read.
    pub(crate) fn asking(&self) -> Vec<(String, Case)> {
        self.cases
            .iter()
            .filter_map(|(_, case)| case.as_ref().ok())
            .filter(|file| file.case.request.is_some())
            .map(|file| (file.name(), file.case.clone()))
            .collect()
    }

    /// Those that end with an approval.
    pub(crate) fn approving(&self) -> Vec<(String, Case)> {
        let mut cases = self.asking();
        cases.retain(|(_, case)| matches!(case.expect, Expected::Approve { .. }));
        cases
    }

    pub(crate) fn uses(&mut self, used: Used) {
        self.used = most(self.used, used);
    }
}

/// Checks a component. Blocks while it compiles.
///
/// # Errors
///
/// Nothing could be checked: the file is no component, or what was named beside it cannot be read.
/// What is wrong with the plug-in is in the report.
pub async fn check(
    path: &Path,
    compiler: &Compiler,
    options: &Options,
) -> Result<Report, CheckError> {
    let began = Instant::now();
    let settings = options.settings.as_deref().map(Fragment::read).transpose()?;
    let cases = match &options.cases {
        None => Vec::new(),
        Some(folder) => read_all(folder)
            .map_err(|source| CheckError::Cases { folder: folder.clone(), source })?,
    };
    let workshop = Workshop::open(path, compiler).await?;
    let used = Used::default();
    let mut bench = Bench { workshop: &workshop, cases, settings, used, answer_bytes: 0 };

    let mut groups = vec![imports::check(&bench), description::check(&bench)];
    if workshop.description().is_some() && workshop.inspection.obstacles.is_empty() {
        groups.push(settings::check(&bench).await);
        groups.push(cases::check(&mut bench).await);
        groups.push(cases::deterministic(&mut bench).await);
        groups.push(cases::twice(&mut bench).await);
        groups.push(faults::malformed(&mut bench).await);
        groups.push(faults::silent(&mut bench).await);
        groups.push(powers::check(&mut bench).await);
        groups.push(exports::check(&mut bench).await);
        groups.push(usage::check(&bench));
    }
    Ok(Report::new(&bench, groups, began.elapsed()))
}
