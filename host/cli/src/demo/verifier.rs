//! Verifiers that whoever runs the demo brings along.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{digest, lab::PROFILE};
use crate::failure::{Exit, Failure};

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    /// In `[plugin.NAME]`, and of its profile.
    pub(crate) name: String,
    /// Of its component.
    pub(crate) digest: String,
    /// `[plugin.NAME]`, with whole paths and the digest.
    pub(crate) toml: String,
}

/// Reads each file; their names differ.
pub(super) fn read_all(files: &[PathBuf]) -> Result<Vec<Verifier>, Failure> {
    let mut verifiers: Vec<Verifier> = Vec::new();
    for file in files {
        let verifier = read(file)?;
        let taken = ["one-time-password", PROFILE].contains(&verifier.name.as_str())
            || verifiers.iter().any(|known| known.name == verifier.name);
        if taken {
            return Err(wrong(file, &format!("the demo has a `{}` already", verifier.name)));
        }
        verifiers.push(verifier);
    }
    Ok(verifiers)
}

fn read(file: &Path) -> Result<Verifier, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| wrong(file, &error.to_string()))?;
    let mut table: Table =
        toml::from_str(&text).map_err(|error| wrong(file, &error.to_string()))?;
    let only = "expected one [plugin.NAME] and nothing else";
    let mut names = match (table.len(), table.get_mut("plugin")) {
        (1, Some(Value::Table(plugins))) if plugins.len() == 1 => plugins.iter_mut(),
        _ => return Err(wrong(file, only)),
    };
    let Some((name, Value::Table(plugin))) = names.next() else {
        return Err(wrong(file, only));
    };
    let name = name.clone();
    let folder = file.parent().unwrap_or(Path::new("."));
    let component = whole(file, folder, plugin, "component")?
        .ok_or_else(|| wrong(file, "expected `component`, the .wasm file"))?;
    let digest = digest(&component)
        .map_err(|error| wrong(file, &format!("{}: {error}; is it built?", component.display())))?;
    plugin.entry("digest").or_insert(Value::String(digest.clone()));
    if let Some(Value::Table(http)) = plugin.get_mut("http") {
        whole(file, folder, http, "roots")?;
    }
    let toml = toml::to_string(&table).map_err(|error| wrong(file, &error.to_string()))?;
    Ok(Verifier { name, digest, toml })
}

/// Makes a path of the file a whole one: the lab's config lies elsewhere.
fn whole(
    file: &Path,
    folder: &Path,
    table: &mut Table,
    key: &str,
) -> Result<Option<PathBuf>, Failure> {
    let Some(Value::String(path)) = table.get_mut(key) else {
        return Ok(None);
    };
    let found = std::path::absolute(folder.join(path.as_str()))
        .map_err(|error| wrong(file, &error.to_string()))?;
    found.to_str().ok_or_else(|| wrong(file, "a path is not UTF-8"))?.clone_into(path);
    Ok(Some(found))
}

fn wrong(file: &Path, what: &str) -> Failure {
    Failure::of(Exit::Usage, format!("{}: {what}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAGMENT: &str = "[plugin.mine]\ncomponent = \"mine.wasm\"\n\n[plugin.mine.grants]\nlog = true\n\
                            \n[plugin.mine.http]\nroots = \"/etc/roots.pem\"\n";

    #[test]
    fn paths_become_whole_and_the_digest_is_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.wasm"), b"octets").unwrap();
        let file = folder.path().join("plugin.toml");
        std::fs::write(&file, FRAGMENT).unwrap();
        let read = read_all(std::slice::from_ref(&file)).unwrap();
        let table: Table = toml::from_str(&read[0].toml).unwrap();
        let plugin = &table["plugin"]["mine"];
        let component = folder.path().join("mine.wasm");
        assert_eq!(plugin["component"].as_str(), component.to_str());
        assert_eq!(plugin["digest"].as_str(), Some(read[0].digest.as_str()));
        assert_eq!(plugin["http"]["roots"].as_str(), Some("/etc/roots.pem"));
        assert!(read_all(&[file.clone(), file]).is_err(), "twice the same name");
    }

    #[test]
    fn what_is_no_fragment_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugin.toml");
        for text in [
            "",
            "mode = \"lab\"",
            FRAGMENT,
            "[plugin]\na = 1",
            "[plugin.one-time-password]\ncomponent = \"x\"",
        ] {
            std::fs::write(&file, text).unwrap();
            let error = read_all(std::slice::from_ref(&file)).unwrap_err().to_string();
            assert!(error.contains("plugin.toml"), "{error}");
        }
    }
}
