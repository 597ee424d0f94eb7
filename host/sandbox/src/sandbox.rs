//! Where plug-ins come to life: one engine, its linkers, and the steps from bytes to a plug-in.

use std::sync::Arc;

use wasmtime::Engine;

use crate::{
    artefact::{self, Artefacts, StoreError},
    budget::Budgets,
    call::CallFailure,
    compile::{CompileError, Compiler},
    component::{Component, Digest},
    contract::{Adapter, PACKAGE, VERSION},
    engine::{self, EngineError, Metering, PoolSize},
    grants::Grants,
    http::{HttpClient, HttpSetupError},
    imports::{self, ImportRefusal, Standing},
    linking::Linkers,
    model::{Description, Problem},
    plugin::{Plugin, PluginSettings, Runner},
    rehearsal::{Rehearsal, Stage},
    settings::{self, SchemaError},
    state::Reach,
};

/// The engine of this process and everything that plug-ins share.
pub struct Sandbox {
    engine: Engine,
    linkers: Linkers,
    rehearsal_linkers: Linkers,
    pool: PoolSize,
    metering: Metering,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Why bytes did not become a component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The compiler refused or did not survive it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The machine code could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a component did not become a plug-in.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It imports what it may not.
    #[error(transparent)]
    Import(#[from] ImportRefusal),
    /// It exports no `verifier` at all.
    #[error(
        "the component exports no `{PACKAGE}/verifier`, so it is no verifier plug-in; it exports: {}",
        if .exports.is_empty() { "nothing".to_owned() } else { .exports.join(", ") }
    )]
    NoVerifier {
        /// What it exports.
        exports: Vec<String>,
    },
    /// It speaks another version of the contract.
    #[error(
        "the plug-in speaks version {found} of the contract, this host speaks {VERSION}; use a \
         version of the plug-in that was built for {VERSION}, or a host that speaks {found}"
    )]
    Version {
        /// Its version.
        found: String,
    },
    /// Roots, certificates or credentials are not right.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    /// Its types are not those of the contract, or it wants more than a call can have.
    #[error("the plug-in does not fit the contract {VERSION}: {0}")]
    Link(String),
    /// It did not get through its first call.
    #[error("the plug-in failed its trial ({stage}): {failure}")]
    Trial {
        /// `describe` or `validate-settings`.
        stage: &'static str,
        /// How.
        failure: Box<CallFailure>,
    },
    /// It does not answer the same twice.
    #[error(
        "the plug-in's `describe` gives another answer each time; it must be pure, so that what \
         was reviewed is what runs"
    )]
    Impure,
    /// Its schema is none.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The settings are wrong.
    #[error("the settings of the plug-in `{plugin}` are not right:{}", list(.problems))]
    Settings {
        /// Its name.
        plugin: String,
        /// Everything found.
        problems: Vec<Problem>,
    },
    /// It asks for a larger budget than the pool was made for.
    #[error(
        "the plug-in `{plugin}` may use {what} of {wanted}, but the pool of this process was made \
         for {most}; lower the plug-in's limit or raise the pool's"
    )]
    Pool {
        /// Its name.
        plugin: String,
        /// Which budget.
        what: &'static str,
        /// Asked.
        wanted: usize,
        /// There.
        most: usize,
    },
}

/// How full the pool is: for gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Live component instances.
    pub component_instances: u64,
    /// Live core instances.
    pub core_instances: u64,
    /// Live linear memories.
    pub memories: usize,
    /// Live tables.
    pub tables: usize,
    /// Live stacks.
    pub stacks: usize,
}

impl Sandbox {
    /// Starts the engine. Refuses a wasmtime below the floor, and processors without a tier-1
    /// compiler.
    pub fn new(pool: PoolSize) -> Result<Self, EngineError> {
        Self::with(pool, Metering::Off)
    }

    /// As [`Sandbox::new`], and every call's work is counted ([`Used::fuel`](crate::Used)). Two to
    /// three times slower: to measure plug-ins, not to run them.
    pub fn metered(pool: PoolSize) -> Result<Self, EngineError> {
        Self::with(pool, Metering::On)
    }

    fn with(pool: PoolSize, metering: Metering) -> Result<Self, EngineError> {
        Ok(Self {
            engine: engine::running(&pool, metering)?,
            linkers: Linkers::in_earnest(),
            rehearsal_linkers: Linkers::for_rehearsals(),
            pool,
            metering,
        })
    }

    /// Compiles a component, or takes what was compiled before. Blocks while it compiles: call it
    /// off the executor.
    pub fn component(
        &self,
        bytes: &[u8],
        artefacts: &Artefacts,
        compiler: &Compiler,
    ) -> Result<Component, ComponentError> {
        let digest = Digest::of(bytes);
        if let Some(component) = artefacts.load(&self.engine, digest) {
            return Ok(component);
        }
        let code = compiler.compile(bytes, self.metering)?;
        Ok(artefacts.store(&self.engine, digest, &code)?)
    }

    /// Compiles a component and keeps nothing: to look at one. Blocks while it compiles.
    pub fn component_once(
        &self,
        bytes: &[u8],
        compiler: &Compiler,
    ) -> Result<Component, ComponentError> {
        let code = compiler.compile(bytes, self.metering)?;
        Ok(artefact::load_once(&self.engine, Digest::of(bytes), &code)?)
    }

    /// Makes a plug-in of a component: imports against grants, types of both sides, `describe`
    /// twice, settings against the schema, `validate-settings`. Needs a tokio run-time.
    pub async fn load(
        &self,
        component: &Component,
        settings: &PluginSettings,
    ) -> Result<Plugin, LoadError> {
        self.admitted(component, settings, None).await
    }

    /// As [`Sandbox::load`], with the same checks, onto a stage.
    pub async fn rehearse(
        &self,
        component: &Component,
        settings: &PluginSettings,
        stage: &Stage,
    ) -> Result<Rehearsal, LoadError> {
        self.admitted(component, settings, Some(stage)).await.map(Rehearsal::new)
    }

    async fn admitted(
        &self,
        component: &Component,
        settings: &PluginSettings,
        stage: Option<&Stage>,
    ) -> Result<Plugin, LoadError> {
        self.fits_pool(settings)?;
        let grants = settings.grants();
        imports::admit(&settings.name, &component.imports(), grants)?;
        let runner = self.runner(component, settings, grants, stage)?;
        let description = describe(&runner).await?;
        let value = serde_json::Value::Object(settings.settings.clone());
        let mut problems = settings::check(&description.settings_schema, &value)?;
        if problems.is_empty() {
            let text = Arc::clone(&runner.settings);
            problems = runner.validate_settings(text).await.map_err(trial("validate-settings"))?;
        }
        if !problems.is_empty() {
            return Err(LoadError::Settings { plugin: settings.name.clone(), problems });
        }
        Ok(Plugin::new(runner, component.digest(), description, settings))
    }

    /// What a component says about itself, without any grant and without any effect: its imports
    /// are there to be linked, and refuse to work. None where it imports what this host cannot even
    /// link.
    pub async fn describe(&self, component: &Component) -> Result<Option<Description>, LoadError> {
        let linkable = component
            .imports()
            .iter()
            .all(|import| matches!(import.standing, Standing::Free | Standing::Grant));
        if !linkable {
            return Ok(None);
        }
        let settings = PluginSettings::new("(being inspected)");
        let runner = self.runner(component, &settings, Grants::ALL, None)?;
        describe(&runner).await.map(Some)
    }

    /// What a component's `validate-settings` says of a text, whatever the schema says: to see whether
    /// the two agree. As pure as [`Sandbox::describe`].
    pub async fn validate_settings(
        &self,
        component: &Component,
        text: &str,
    ) -> Result<Vec<Problem>, LoadError> {
        let settings = PluginSettings::new("(being inspected)");
        let runner = self.runner(component, &settings, Grants::ALL, None)?;
        runner.validate_settings(text.into()).await.map_err(trial("validate-settings"))
    }

    /// How full the pool is.
    pub fn pool_use(&self) -> PoolUse {
        let Some(metrics) = self.engine.pooling_allocator_metrics() else {
            return PoolUse {
                component_instances: 0,
                core_instances: 0,
                memories: 0,
                tables: 0,
                stacks: 0,
            };
        };
        PoolUse {
            component_instances: metrics.component_instances(),
            core_instances: metrics.core_instances(),
            memories: metrics.memories(),
            tables: metrics.tables(),
            stacks: metrics.stacks(),
        }
    }

    fn runner(
        &self,
        component: &Component,
        settings: &PluginSettings,
        grants: Grants,
        stage: Option<&Stage>,
    ) -> Result<Runner, LoadError> {
        match component.contract_version() {
            Some(version) if version == VERSION => {}
            Some(found) => return Err(LoadError::Version { found }),
            None => return Err(LoadError::NoVerifier { exports: component.exports() }),
        }
        let linkers = if stage.is_some() { &self.rehearsal_linkers } else { &self.linkers };
        let linker = linkers
            .for_grants(&self.engine, grants)
            .map_err(|error| LoadError::Link(format!("{error:#}")))?;
        let adapter = linker
            .instantiate_pre(&component.compiled)
            .and_then(Adapter::new)
            .map_err(|error| LoadError::Link(crate::log::escaped(&format!("{error:#}"), 2048)))?;
        let value = serde_json::Value::Object(settings.settings.clone());
        let http = match &settings.http {
            Some(http) => {
                let wire = stage.map(|stage| stage.wire.clone());
                Some(Arc::new(HttpClient::new(&settings.name, http.clone(), wire)?))
            }
            None => None,
        };
        Ok(Runner {
            engine: self.engine.clone(),
            adapter: Arc::new(adapter),
            name: settings.name.as_str().into(),
            grants,
            reach: Reach {
                http,
                secrets: Arc::new(settings.secrets.clone()),
                random: stage.map(|stage| stage.random.clone()),
            },
            settings: value.to_string().into(),
            budgets: Arc::new(settings.budgets.clone()),
        })
    }

    fn fits_pool(&self, settings: &PluginSettings) -> Result<(), LoadError> {
        let Budgets { memory_bytes, table_elements, .. } = settings.budgets;
        let refuse = |what, wanted, most| {
            Err(LoadError::Pool { plugin: settings.name.clone(), what, wanted, most })
        };
        if memory_bytes > self.pool.memory_bytes {
            return refuse("memory bytes", memory_bytes, self.pool.memory_bytes);
        }
        if table_elements > self.pool.table_elements {
            return refuse("table elements", table_elements, self.pool.table_elements);
        }
        Ok(())
    }
}

async fn describe(runner: &Runner) -> Result<Description, LoadError> {
    let first = runner.describe().await.map_err(trial("describe"))?;
    let second = runner.describe().await.map_err(trial("describe"))?;
    if first == second { Ok(first) } else { Err(LoadError::Impure) }
}

fn trial(stage: &'static str) -> impl FnOnce(CallFailure) -> LoadError {
    move |failure| LoadError::Trial { stage, failure: Box::new(failure) }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
