//! A component on the bench: compiled once, looked at, ready to be rehearsed.

use std::path::Path;

use countersign_catalog::{InspectError, Inspection};
use countersign_sandbox::{
    Compiler, Component, EngineError, PoolSize, Sandbox, model::Description,
};

/// A component, and the sandbox that it is tried in.
#[derive(Debug)]
pub struct Workshop {
    pub(crate) sandbox: Sandbox,
    pub(crate) component: Component,
    pub(crate) inspection: Inspection,
}

/// Why there is nothing to try.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The file.
    #[error(transparent)]
    Inspect(#[from] InspectError),
}

impl Workshop {
    /// Compiles a component with its work metered, and looks at it.
    ///
    /// # Errors
    ///
    /// There is no engine, or the file is no component.
    pub async fn open(path: &Path, compiler: &Compiler) -> Result<Self, OpenError> {
        let pool = PoolSize { concurrent_calls: 8, ..PoolSize::default() };
        let sandbox = Sandbox::metered(pool)?;
        let (component, inspection) =
            countersign_catalog::inspect_component(&sandbox, compiler, path).await?;
        Ok(Self { sandbox, component, inspection })
    }

    /// What can be seen of it without running more than its `describe`.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// What it says about itself; none where it would not run at all.
    pub fn description(&self) -> Option<&Description> {
        self.inspection.description.as_ref()
    }
}
