//! From a line of configuration to a plug-in that can be asked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use countersign_config as config;
use countersign_sandbox::{
    ArtefactError, Artefacts, Compiler, Component, ComponentError, Digest, LoadError, Plugin,
    PluginSettings, Sandbox, Standing,
};

use crate::{
    change::{Change, changes},
    file::{self, FileError},
    from_config::{digest, plugin_settings},
    lock::{LockError, LockFile, Locked},
    powers::PowerError,
};

/// Plug-ins of one process: its sandbox, its folder of machine code, its lock file.
pub struct Catalog {
    sandbox: Arc<Sandbox>,
    artefacts: Arc<Artefacts>,
    compiler: Compiler,
    lock_path: PathBuf,
    lock: LockFile,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").field("lock", &self.lock_path).finish_non_exhaustive()
    }
}

/// A plug-in that came through.
#[derive(Debug)]
pub struct Installed {
    /// Ready to be asked.
    pub plugin: Plugin,
    /// What is different since it was installed last; nothing at the first time.
    pub changes: Vec<Change>,
}

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The folder.
    #[error(transparent)]
    Artefacts(#[from] ArtefactError),
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Why a plug-in was not installed.
#[derive(Debug, thiserror::Error)]
#[error("plug-in `{plugin}`: {reason}")]
pub struct InstallError {
    /// Its name in the configuration.
    pub plugin: String,
    /// Why.
    #[source]
    pub reason: Reason,
}

/// The station at which it failed.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The compiler.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A host, credential or secret that is granted cannot be given.
    #[error(transparent)]
    Power(#[from] PowerError),
    /// Imports, contract, trial, settings.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The compiler's thread broke.
    #[error("the compiler broke: {0}")]
    Thread(String),
}

impl Catalog {
    /// Opens the folder of machine code (made with mode 0700 if absent) and the lock file in it.
    pub fn open(
        sandbox: Arc<Sandbox>,
        folder: &Path,
        compiler: Compiler,
    ) -> Result<Self, CatalogError> {
        let artefacts = Arc::new(Artefacts::open(folder)?);
        let lock_path = folder.join("plugins.lock");
        let lock = LockFile::read(&lock_path)?;
        Ok(Self { sandbox, artefacts, compiler, lock_path, lock })
    }

    /// What was installed last.
    pub fn lock(&self) -> &LockFile {
        &self.lock
    }

    /// Installs `[plugin.NAME]`.
    pub async fn install(
        &mut self,
        name: &str,
        from: &config::PluginSettings,
    ) -> Result<Installed, InstallError> {
        let settings = plugin_settings(name, from).map_err(|error| InstallError {
            plugin: name.to_owned(),
            reason: Reason::Power(error),
        })?;
        self.install_component(&from.component, digest(from), settings).await
    }

    /// Installs a component with settings of one's own: digest, compiler, imports against grants,
    /// `describe`, settings, trial, lock-file entry.
    pub async fn install_component(
        &mut self,
        path: &Path,
        digest: Digest,
        settings: PluginSettings,
    ) -> Result<Installed, InstallError> {
        let name = settings.name.clone();
        self.bring(path, digest, settings)
            .await
            .map_err(|reason| InstallError { plugin: name, reason })
    }

    async fn bring(
        &mut self,
        path: &Path,
        digest: Digest,
        settings: PluginSettings,
    ) -> Result<Installed, Reason> {
        let component = self.compiled(path, digest).await?;
        let plugin = self.sandbox.load(&component, &settings).await?;
        let now = locked(&component, &plugin);
        let before = self.lock.plugins.insert(settings.name, now.clone());
        let changes = before.as_ref().map_or_else(Vec::new, |before| changes(before, &now));
        if before.as_ref() != Some(&now) {
            self.lock.write(&self.lock_path)?;
        }
        for change in &changes {
            tracing::warn!(plugin = plugin.name(), %change, "the plug-in has changed");
        }
        Ok(Installed { plugin, changes })
    }

    /// Reading and compiling block for seconds: off the executor.
    async fn compiled(&self, path: &Path, digest: Digest) -> Result<Component, Reason> {
        let sandbox = Arc::clone(&self.sandbox);
        let artefacts = Arc::clone(&self.artefacts);
        let compiler = self.compiler.clone();
        let path = path.to_owned();
        let work = move || {
            let bytes = file::read_pinned(&path, digest)?;
            Ok(sandbox.component(&bytes, &artefacts, &compiler)?)
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|broken| Err(Reason::Thread(broken.to_string())))
    }
}

fn locked(component: &Component, plugin: &Plugin) -> Locked {
    let description = plugin.description();
    Locked {
        digest: component.digest().to_string(),
        contract: component.contract_version().unwrap_or_default(),
        version: description.version.clone(),
        imports: component
            .imports()
            .into_iter()
            .filter(|import| import.standing == Standing::Grant)
            .map(|import| import.name)
            .collect(),
        offers: component.offers(),
        wants: description.wants.clone(),
        vouches_from_user_attributes: description.vouches_from_user_attributes,
    }
}
