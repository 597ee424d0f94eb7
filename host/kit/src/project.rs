//! A project to begin from: it builds and passes at once, and everything in it is to be changed.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What a project may have beside the question itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extra {
    /// Issues challenges.
    Challenges,
    /// Tells how enrolments ended.
    Outcomes,
    /// Listens to the device management.
    Events,
}

impl Extra {
    const ALL: [Self; 3] = [Self::Challenges, Self::Outcomes, Self::Events];

    fn word(self) -> &'static str {
        match self {
            Self::Challenges => "challenges",
            Self::Outcomes => "outcomes",
            Self::Events => "events",
        }
    }
}

/// Where the SDK is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// In a folder.
    Path(PathBuf),
    /// Not here: by its version.
    Version,
}

impl Sdk {
    /// The folder that is named, or the one beside the source that this program was built from.
    ///
    /// # Errors
    ///
    /// The named folder does not hold it.
    pub fn find(named: Option<&Path>) -> Result<Self, NewError> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/rust");
        let folder = named.unwrap_or(&beside);
        let is_sdk = fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|text| text.contains("name = \"countersign-sdk\""));
        match (is_sdk, named) {
            (true, _) => fs::canonicalize(folder)
                .map(Self::Path)
                .map_err(|source| NewError::Io { path: folder.to_owned(), source }),
            (false, None) => Ok(Self::Version),
            (false, Some(folder)) => Err(NewError::NoSdk { folder: folder.to_owned() }),
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Path(folder) => {
                format!("countersign-sdk = {{ path = {:?} }}", folder.display().to_string())
            }
            Self::Version => format!(
                "# The SDK was not beside the program that made this: name its folder with `path = \
                 \"…/sdk/rust\"`,\n# or its repository with `git = \"…\"`.\ncountersign-sdk = \
                 \"{}\"",
                env!("CARGO_PKG_VERSION")
            ),
        }
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Of plug-in and crate.
    pub name: String,
    /// The folder, which must not be there.
    pub folder: PathBuf,
    /// What it has beside the question.
    pub extras: Vec<Extra>,
    /// Where the SDK is.
    pub sdk: Sdk,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Project {
    /// Where.
    pub folder: PathBuf,
    /// Its files, from there.
    pub files: Vec<PathBuf>,
    /// The component that it builds, from there.
    pub component: PathBuf,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The name is none.
    #[error(
        "`{name}` is no name for a plug-in: {why}; expected lower-case letters, digits and single \
         hyphens, beginning with a letter, such as `acme-inventory`"
    )]
    Name {
        /// As it was given.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Something is there already.
    #[error("{folder} is there already, and nothing is overwritten; choose another name or folder")]
    Exists {
        /// What.
        folder: PathBuf,
    },
    /// No SDK where it was said to be.
    #[error(
        "{folder} does not hold the SDK; expected its folder `sdk/rust`, with a Cargo.toml that says \
         `name = \"countersign-sdk\"`"
    )]
    NoSdk {
        /// Where.
        folder: PathBuf,
    },
    /// A template of this program is broken.
    #[error("the template {file} is broken: {what}; please report this")]
    Template {
        /// Which.
        file: &'static str,
        /// How.
        what: String,
    },
    /// It cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("../../../sdk/rust/template/", $file))
    };
}

/// Where each goes, and what is in it.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", template!("Cargo.toml.template")),
    (".gitignore", template!("gitignore.template")),
    ("src/lib.rs", template!("src/lib.rs.template")),
    ("tests/verdicts.rs", template!("tests/verdicts.rs.template")),
    ("README.md", template!("README.md.template")),
    ("plugin.toml", template!("plugin.toml.template")),
    (".github/workflows/ci.yml", template!("ci/ci.yml.template")),
];

/// A verifier whose challenges are the inventory's.
const ASKED: [(&str, &str); 9] = [
    ("cases/approved.json", template!("cases/asked/approved.json")),
    (
        "cases/another-name-is-not-vouched-for.json",
        template!("cases/asked/another-name-is-not-vouched-for.json"),
    ),
    ("cases/challenge-missing.json", template!("cases/asked/challenge-missing.json")),
    ("cases/challenge-unknown.json", template!("cases/asked/challenge-unknown.json")),
    ("cases/not-allowed.json", template!("cases/asked/not-allowed.json")),
    ("cases/server-error.json", template!("cases/asked/server-error.json")),
    ("cases/settings-misspelt.json", template!("cases/asked/settings-misspelt.json")),
    ("cases/settings-no-host-name.json", template!("cases/asked/settings-no-host-name.json")),
    ("cases/time-out.json", template!("cases/asked/time-out.json")),
];

/// A verifier whose challenges are the host's.
const ISSUED: [(&str, &str); 12] = [
    ("cases/approved.json", template!("cases/issued/approved.json")),
    (
        "cases/another-name-is-not-vouched-for.json",
        template!("cases/issued/another-name-is-not-vouched-for.json"),
    ),
    ("cases/challenge-alone.json", template!("cases/issued/challenge-alone.json")),
    ("cases/challenge-missing.json", template!("cases/issued/challenge-missing.json")),
    ("cases/challenge-unknown.json", template!("cases/issued/challenge-unknown.json")),
    ("cases/challenge-used.json", template!("cases/issued/challenge-used.json")),
    ("cases/device-unknown.json", template!("cases/issued/device-unknown.json")),
    ("cases/not-allowed.json", template!("cases/issued/not-allowed.json")),
    ("cases/server-error.json", template!("cases/issued/server-error.json")),
    ("cases/settings-misspelt.json", template!("cases/issued/settings-misspelt.json")),
    ("cases/settings-no-host-name.json", template!("cases/issued/settings-no-host-name.json")),
    ("cases/time-out.json", template!("cases/issued/time-out.json")),
];

/// Writes a project.
///
/// # Errors
///
/// The name is none, the folder is there, or it cannot be written.
pub fn create(chosen: &Chosen) -> Result<Project, NewError> {
    check_name(&chosen.name)?;
    let words = Words::of(chosen);
    let with_challenges = chosen.extras.contains(&Extra::Challenges);
    let cases: &[(&str, &str)] = if with_challenges { &ISSUED } else { &ASKED };
    // All of it before the first file: a half-written project helps nobody.
    let rendered = FILES
        .iter()
        .chain(cases)
        .map(|(file, template)| {
            let text = words.render(template);
            text.map(|text| (*file, text)).map_err(|what| NewError::Template { file, what })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if chosen.folder.symlink_metadata().is_ok() {
        return Err(NewError::Exists { folder: chosen.folder.clone() });
    }
    for (file, text) in &rendered {
        let path = chosen.folder.join(file);
        write(&path, text).map_err(|source| NewError::Io { path, source })?;
    }
    Ok(Project {
        folder: chosen.folder.clone(),
        files: rendered.iter().map(|(file, _)| PathBuf::from(file)).collect(),
        component: Path::new("target/wasm32-wasip2/release")
            .join(format!("{}.wasm", chosen.name.replace('-', "_"))),
    })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn check_name(name: &str) -> Result<(), NewError> {
    /// Names that a crate cannot have, or that would hide one.
    const TAKEN: [&str; 12] = [
        "alloc",
        "core",
        "countersign",
        "countersign-sdk",
        "proc-macro",
        "schemars",
        "serde",
        "std",
        "test",
        "self",
        "super",
        "crate",
    ];
    let refuse = |why| Err(NewError::Name { name: name.escape_debug().to_string(), why });
    if name.is_empty() || name.len() > 48 {
        return refuse("it has none, or more than 48, characters");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return refuse("it holds something else");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return refuse("it begins otherwise");
    }
    if name.ends_with('-') || name.contains("--") {
        return refuse("a hyphen stands between words");
    }
    if TAKEN.contains(&name) || is_keyword(name) {
        return refuse("Rust has another use for it");
    }
    Ok(())
}

fn is_keyword(name: &str) -> bool {
    [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
        "unsized", "use", "virtual", "where", "while", "yield",
    ]
    .contains(&name)
}

/// What stands in for what in a template.
struct Words<'a> {
    words: Vec<(&'static str, String)>,
    extras: &'a [Extra],
}

impl<'a> Words<'a> {
    fn of(chosen: &'a Chosen) -> Self {
        let name = &chosen.name;
        let camel: String = name
            .split('-')
            .map(|part| {
                let mut letters = part.chars();
                letters
                    .next()
                    .map(|first| first.to_ascii_uppercase())
                    .into_iter()
                    .chain(letters)
                    .collect::<String>()
            })
            .collect();
        let with: Vec<&str> = Extra::ALL
            .into_iter()
            .filter(|extra| chosen.extras.contains(extra))
            .map(Extra::word)
            .collect();
        let with =
            if with.is_empty() { String::new() } else { format!(" with {}", with.join(", ")) };
        let words = vec![
            ("{{name}}", name.clone()),
            ("{{crate}}", name.replace('-', "_")),
            ("{{Type}}", camel),
            ("{{with}}", with),
            ("{{sdk}}", chosen.sdk.line()),
        ];
        Self { words, extras: &chosen.extras }
    }

    /// Takes out what is for others: `{{#if events}}…{{/if}}`, `{{#not events}}…{{/not}}`; a mark that
    /// has a line of its own leaves none behind.
    fn render(&self, template: &str) -> Result<String, String> {
        let mut text = template.to_owned();
        for extra in Extra::ALL {
            let has = self.extras.contains(&extra);
            text = cut(&text, &format!("{{{{#if {}}}}}", extra.word()), "{{/if}}", has)?;
            text = cut(&text, &format!("{{{{#not {}}}}}", extra.word()), "{{/not}}", !has)?;
        }
        for (word, value) in &self.words {
            text = text.replace(word, value);
        }
        match text.find("{{") {
            Some(at) => {
                let rest: String = text.get(at..).unwrap_or_default().chars().take(20).collect();
                Err(format!("`{rest}` is left"))
            }
            None => Ok(text),
        }
    }
}

fn cut(text: &str, begin: &str, end: &str, keep: bool) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(begin) {
        let (inside, after) =
            after.split_once(end).ok_or_else(|| format!("`{begin}` has no `{end}`"))?;
        // A mark on a line of its own takes its line feed along.
        let inside = inside.strip_prefix('\n').unwrap_or(inside);
        let own_line = inside.is_empty() || inside.ends_with('\n');
        let after = if own_line { after.strip_prefix('\n').unwrap_or(after) } else { after };
        out.push_str(before);
        if keep {
            out.push_str(inside);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_not_build_are_refused_with_the_reason() {
        for name in ["inventory", "a", "acme-inventory-2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in
            ["", "Inventory", "2nd", "-a", "a-", "a--b", "a_b", "a/b", "..", "a b", "std", "match"]
        {
            let error = check_name(name).unwrap_err().to_string();
            assert!(error.contains("acme-inventory"), "{error}");
        }
    }

    #[test]
    fn every_combination_renders_without_a_mark_left() {
        for bits in 0_u8..8 {
            let extras: Vec<Extra> = Extra::ALL
                .into_iter()
                .enumerate()
                .filter(|(place, _)| bits & (1 << place) != 0)
                .map(|(_, extra)| extra)
                .collect();
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path().join("new");
            let chosen = Chosen {
                name: "acme-inventory".into(),
                folder: folder.clone(),
                extras,
                sdk: Sdk::Version,
            };
            let project = create(&chosen).unwrap();
            assert!(project.files.len() >= 16);
            let code = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
            assert!(code.contains("pub struct AcmeInventory;"), "{code}");
            assert!(!code.contains("\n\n\n"), "{code}");
            assert!(matches!(create(&chosen), Err(NewError::Exists { .. })));
        }
    }
}
