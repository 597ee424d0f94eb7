//! What a component is and wants, before anything is granted to it.

use std::path::{Path, PathBuf};

use countersign_sandbox::{
    CONTRACT_VERSION, Compiler, Component, ComponentError, Import, Offers, Sandbox, Standing,
    model::{Description, Power},
};
use serde::Serialize;

use crate::{
    file::{self, FileError},
    metadata::{self, Metadata},
};

/// Everything that can be seen of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// For the configuration: `sha256:…`.
    pub digest: String,
    /// Of the file, in bytes.
    pub size: usize,
    /// The version of the contract that it speaks; none if it is no verifier.
    pub contract_version: Option<String>,
    /// The version that this host speaks.
    pub host_contract_version: &'static str,
    /// What it exports.
    pub exports: Vec<Export>,
    /// Which optional interfaces it has.
    pub offers: Offers,
    /// What it imports, and why that is there.
    pub imports: Vec<Import>,
    /// What it says about itself.
    pub description: Option<Description>,
    /// Why it would not run here, whatever is granted.
    pub obstacles: Vec<String>,
    /// SDK and tools.
    pub metadata: Metadata,
}

/// An export and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Export {
    /// As the component writes it.
    pub name: String,
    /// What the host makes of it.
    pub why: &'static str,
}

/// Why a file cannot even be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The compiler.
    #[error("{path}: {source}")]
    Component {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ComponentError,
    },
}

/// Looks at a component. Needs no grants, keeps nothing, and runs nothing but its `describe`, with
/// imports that refuse to work.
pub async fn inspect(
    sandbox: &Sandbox,
    compiler: &Compiler,
    path: &Path,
) -> Result<Inspection, InspectError> {
    Ok(inspect_component(sandbox, compiler, path).await?.1)
}

/// As [`inspect`], and gives the component as well, for whoever goes on with it.
pub async fn inspect_component(
    sandbox: &Sandbox,
    compiler: &Compiler,
    path: &Path,
) -> Result<(Component, Inspection), InspectError> {
    let bytes = file::read(path)?;
    let component = sandbox
        .component_once(&bytes, compiler)
        .map_err(|source| InspectError::Component { path: path.into(), source })?;
    let (description, mut obstacles) = match sandbox.describe(&component).await {
        Ok(description) => (description, Vec::new()),
        Err(error) => (None, vec![error.to_string()]),
    };
    obstacles.extend(refused_imports(&component));
    let inspection = Inspection {
        path: path.into(),
        digest: component.digest().to_string(),
        size: bytes.len(),
        contract_version: component.contract_version(),
        host_contract_version: CONTRACT_VERSION,
        exports: component
            .exports()
            .into_iter()
            .map(|name| Export { why: purpose(&name), name })
            .collect(),
        offers: component.offers(),
        imports: component.imports(),
        description,
        obstacles,
        metadata: metadata::read(&bytes),
    };
    Ok((component, inspection))
}

impl Inspection {
    /// The lines of TOML that would enable it, with every grant that it needs.
    pub fn to_toml(&self) -> String {
        let name = self.description.as_ref().map_or("NAME", |description| &description.name);
        let mut toml = format!(
            "[plugin.{name}]\ncomponent = {:?}\ndigest = \"{}\"\n",
            self.path.display().to_string(),
            self.digest
        );
        let needed: Vec<_> = self.imports.iter().filter_map(grant).collect();
        if !needed.is_empty() {
            toml.push_str(&format!("\n[plugin.{name}.grants]\n"));
            needed.iter().for_each(|grant| toml.push_str(&self.grant_line(grant)));
        }
        if needed.contains(&"http") {
            toml.push_str(&format!(
                "\n# The only roots that are trusted; the system's here.\n[plugin.{name}.http]\n\
                 roots = \"/etc/ssl/certs/ca-certificates.crt\"\n"
            ));
        }
        toml
    }

    /// The line that grants an import, with what the plug-in says it wants of it.
    fn grant_line(&self, import: &str) -> String {
        let wants = self.description.iter().flat_map(|description| &description.wants);
        let wanted = |read: fn(&Power) -> Option<&String>| -> Vec<&String> {
            wants.clone().filter_map(|want| read(&want.power)).collect()
        };
        match import {
            "http" => {
                let hosts = wanted(|power| match power {
                    Power::Host(host) => Some(host),
                    _ => None,
                });
                format!("hosts = {hosts:?}\n")
            }
            "secrets" => {
                let secrets = wanted(|power| match power {
                    Power::Secret(secret) => Some(secret),
                    _ => None,
                });
                format!(
                    "# keys, each with a [plugin.NAME.secrets.X]; a credential has a \
                     [plugin.NAME.credentials.X] instead\nsecrets = {secrets:?}\n"
                )
            }
            _ => format!("{import} = true\n"),
        }
    }
}

fn grant(import: &Import) -> Option<&str> {
    if import.standing != Standing::Grant {
        return None;
    }
    import.name.split_once('/')?.1.split('@').next()
}

fn refused_imports(component: &Component) -> Vec<String> {
    component
        .imports()
        .into_iter()
        .filter(|import| matches!(import.standing, Standing::Forbidden | Standing::NotOffered))
        .map(|import| format!("imports `{}`: {}", import.name, import.why))
        .collect()
}

fn purpose(export: &str) -> &'static str {
    let interface = export
        .strip_prefix(countersign_sandbox::CONTRACT_PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split('@').next());
    match interface {
        Some("verifier") => "answers whether a device is who it says it is",
        Some("outcomes") => "is told how enrolments ended",
        Some("challenges-issuer") => "issues challenges before a device enrols",
        Some("events") => "listens to the device management, and may ask for revocations",
        _ => "not part of the contract; never called",
    }
}
