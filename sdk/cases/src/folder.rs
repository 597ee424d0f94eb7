use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::case::{Case, HostState};

/// The file of a folder that says what the hosts of all its cases have: of the form of `host` in a
/// case. What a case says itself goes before it, key by key.
const COMMON: &str = "_host.json";

/// No case is larger.
const LARGEST: u64 = 4 << 20;

/// A case and where it comes from.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// The file.
    pub path: PathBuf,
    /// What it says, with what all cases of the folder have.
    pub case: Case,
}

impl CaseFile {
    /// The file's name without its ending.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Why a file is no case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is larger than any case.
    #[error("is no case: it has more than {LARGEST} bytes")]
    TooLarge,
    /// It is of another form.
    #[error("is no case: {pointer} {text}")]
    Form {
        /// Where.
        pointer: String,
        /// What was expected and found.
        text: String,
    },
}

/// Reads one case, with what the cases of its folder have in common.
///
/// # Errors
///
/// Why it is none.
pub fn read(path: &Path) -> Result<CaseFile, CaseError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let common = folder.unwrap_or(Path::new(".")).join(COMMON);
    let common = if common.is_file() { parse(&common)? } else { HostState::default() };
    let mut case: Case = parse(path)?;
    inherit(&mut case.host, common);
    Ok(CaseFile { path: path.to_owned(), case })
}

/// Reads every `*.json` of a folder that does not begin with `_`, in the order of their names.
///
/// # Errors
///
/// The folder cannot be read.
pub fn read_all(folder: &Path) -> io::Result<Vec<(PathBuf, Result<CaseFile, CaseError>)>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".json") && !name.starts_with('_') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| (path.clone(), read(&path))).collect())
}

fn inherit(own: &mut HostState, common: HostState) {
    own.now = own.now.or(common.now);
    for (key, value) in common.kv {
        own.kv.entry(key).or_insert(value);
    }
    for (name, value) in common.secrets {
        own.secrets.entry(name).or_insert(value);
    }
    if own.challenges.is_empty() {
        own.challenges = common.challenges;
    }
    if own.http.is_empty() {
        own.http = common.http;
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, CaseError> {
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(CaseError::TooLarge);
    }
    let mut json = serde_json::Deserializer::from_slice(&text);
    let form = |pointer: String, text: String| CaseError::Form { pointer, text };
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| form(pointer(error.path()), error.inner().to_string()))?;
    json.end().map_err(|error| form(String::new(), error.to_string()))?;
    Ok(value)
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may state what they know")]
mod tests {
    use super::*;

    const CASE: &str = r#"{"summary":"s","host":{"secrets":{"a":"own"}},
        "request":{"profile":"laptops"},"expect":{"verdict":"pending"}}"#;

    #[test]
    fn what_all_hosts_of_a_folder_have_is_there_unless_a_case_says_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one.json"), CASE).unwrap();
        let common = r#"{"now":5,"secrets":{"a":"common","b":"common"}}"#;
        fs::write(folder.path().join(COMMON), common).unwrap();
        let cases = read_all(folder.path()).unwrap();
        assert_eq!(cases.len(), 1, "the common file is no case");
        let case = &cases[0].1.as_ref().unwrap().case;
        assert_eq!(case.host.now(), 5);
        assert_eq!(case.host.secrets["a"], "own");
        assert_eq!(case.host.secrets["b"], "common");
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.json");
        fs::write(&path, CASE.replace("laptops\"", "laptops\",\"chalenge\":\"x\"")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("/request/chalenge"), "{error}");
        fs::write(&path, format!("{CASE} {{}}")).unwrap();
        assert!(read(&path).is_err(), "text after the case");
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.json");
        fs::write(&path, CASE).unwrap();
        let first = read(&path).unwrap().case;
        fs::write(&path, serde_json::to_string(&first).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap().case.expect, first.expect);
    }
}
