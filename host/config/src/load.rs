//! From a file to a checked configuration.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use toml::de::DeTable;

use countersign_keys::{Finding, Mode};

use crate::config::Config;
use crate::paths::anchor;
use crate::problem::{Draft, Problem, Source};
use crate::rules;
use crate::schema::schema;
use crate::structure::{Places, walk};
use crate::value::BadValue;

/// No configuration is longer than this.
const LONGEST: u64 = 1 << 20;
/// A file that is not TOML at all would give an error for every line.
const MOST_SYNTAX_ERRORS: usize = 20;

/// A configuration that was read and checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration; its paths are absolute if the file's was.
    pub config: Config,
    /// SHA-256 of the file's bytes: approvals and ledger entries name it.
    pub digest: [u8; 32],
    /// What is allowed but worth mending.
    pub findings: Vec<Finding>,
    /// The file.
    pub path: PathBuf,
}

impl Config {
    /// Checks the text of a file as [`Config::load`] does, without looking at a file's owner
    /// and mode. `path` is where the text comes from: relative paths start at its directory.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(text: &str, path: &Path) -> Result<Loaded, Vec<Problem>> {
        let source = Source { file: path, text };
        let (mut config, places) = parse(&source)?;
        let problems = rules::problems(&config, &places);
        if !problems.is_empty() {
            return Err(source.place(problems));
        }
        let findings = rules::findings(&config);
        anchor(&mut config, path.parent().unwrap_or(Path::new("")));
        let mut sha256 = [0u8; 32];
        sha256.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Ok(Loaded { config, digest: sha256, findings, path: path.to_owned() })
    }
}

pub(crate) fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let (text, rights) =
        read(path).map_err(|what| vec![Source { file: path, text: "" }.whole(what)])?;
    let loaded = Config::from_text(&text, path)?;
    let unsafe_rights = rights.problems(loaded.config.mode, path);
    if unsafe_rights.is_empty() {
        return Ok(loaded);
    }
    let source = Source { file: path, text: &text };
    Err(unsafe_rights.into_iter().map(|what| source.whole(what)).collect())
}

fn parse(source: &Source<'_>) -> Result<(Config, Places), Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    let mut drafts: Vec<Draft> =
        errors.iter().take(MOST_SYNTAX_ERRORS).map(|error| syntax(error, source.text)).collect();
    // After other syntax errors the rest of the file is guesswork.
    if drafts.iter().any(|draft| draft.what.id != "duplicate-key") {
        return Err(source.place(drafts));
    }
    let (more, places) = walk(&table, &schema());
    drafts.extend(more);
    if !drafts.is_empty() {
        return Err(source.place(drafts));
    }
    Config::deserialize(toml::de::Deserializer::from(table)).map(|config| (config, places)).map_err(
        |error| {
            let what = BadValue::new(
                "bad-value",
                error.message().to_owned(),
                "see `countersign config schema` for what may stand here",
            );
            let span = error.span().unwrap_or(0..0);
            source.place(vec![Draft { what, path: String::new(), span }])
        },
    )
}

fn syntax(error: &toml::de::Error, text: &str) -> Draft {
    let span = error.span().unwrap_or(0..0);
    let what = if error.message().starts_with("duplicate key") {
        let key = text.get(span.clone()).unwrap_or_default().trim();
        BadValue::new(
            "duplicate-key",
            format!("`{key}` is set twice"),
            "keep one of the two; which of them counts must not be left to chance",
        )
    } else {
        BadValue::new("syntax", error.message().to_owned(), "correct the TOML (https://toml.io)")
    };
    Draft { what, path: String::new(), span }
}

/// Who can change the file.
struct Rights {
    owner: u32,
    mode: u32,
    directory: Option<(u32, u32)>,
}

impl Rights {
    fn problems(&self, mode: Mode, path: &Path) -> Vec<BadValue> {
        let mut problems = Vec::new();
        let shown = path.display();
        if self.mode & 0o022 != 0 {
            problems.push(BadValue::new(
                "file-writable-by-others",
                format!("the file has mode {:04o}: others than its owner can change it", self.mode),
                format!(
                    "run `chmod go-w {shown}`, and read the file again: it may have been changed"
                ),
            ));
        }
        if mode == Mode::Production {
            if self.owner != 0 {
                problems.push(BadValue::new(
                    "file-not-roots",
                    format!(
                        "the file belongs to uid {}: a process could widen its own limits",
                        self.owner
                    ),
                    format!("run `chown root {shown}`"),
                ));
            }
            // Whoever can write a directory can replace the files in it.
            if let Some((owner, mode)) = self.directory
                && (owner != 0 || mode & 0o022 != 0)
            {
                problems.push(BadValue::new(
                    "directory-not-roots",
                    format!(
                        "the file's directory belongs to uid {owner} and has mode {mode:04o}: \
                         others than root can replace the file"
                    ),
                    "keep the file in a directory that root alone can write, such as \
                     /etc/countersign",
                ));
            }
        }
        problems
    }
}

fn read(path: &Path) -> Result<(String, Rights), BadValue> {
    let unreadable = |error: std::io::Error| {
        BadValue::new(
            "unreadable",
            format!("the file cannot be read: {error}"),
            "check the path and that this user may read it",
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    // Of the opened file, not of the path: nobody can swap it in between.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(BadValue::new(
            "not-a-config-file",
            format!("this is no file, or one of more than {LONGEST} bytes"),
            "give the path of the TOML file",
        ));
    }
    let directory = path
        .canonicalize()
        .ok()
        .and_then(|path| path.parent().and_then(|parent| parent.metadata().ok()))
        .map(|metadata| (metadata.uid(), metadata.mode() & 0o7777));
    let rights = Rights { owner: metadata.uid(), mode: metadata.mode() & 0o7777, directory };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        BadValue::new(
            "not-utf-8",
            format!("the file is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()),
            "save it as UTF-8",
        )
    })?;
    Ok((text, rights))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(rights: &Rights, mode: Mode) -> Vec<&'static str> {
        let problems = rights.problems(mode, Path::new("/etc/countersign/countersign.toml"));
        problems.iter().map(|problem| problem.id).collect()
    }

    #[test]
    fn in_production_only_root_can_change_the_file() {
        let good = Rights { owner: 0, mode: 0o644, directory: Some((0, 0o755)) };
        assert!(ids(&good, Mode::Production).is_empty());
        let another = Rights { owner: 1000, ..good };
        assert_eq!(ids(&another, Mode::Production), ["file-not-roots"]);
        assert!(ids(&another, Mode::Lab).is_empty());
        let directory = Rights { owner: 0, mode: 0o644, directory: Some((1000, 0o755)) };
        assert_eq!(ids(&directory, Mode::Production), ["directory-not-roots"]);
        let sticky = Rights { owner: 0, mode: 0o644, directory: Some((0, 0o1777)) };
        assert_eq!(ids(&sticky, Mode::Production), ["directory-not-roots"]);
    }

    #[test]
    fn nobody_but_the_owner_can_write_the_file_even_in_the_lab() {
        for mode in [0o664, 0o646, 0o666] {
            let rights = Rights { owner: 0, mode, directory: None };
            assert_eq!(ids(&rights, Mode::Lab), ["file-writable-by-others"], "{mode:o}");
        }
    }
}
