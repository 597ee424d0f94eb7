//! Runs verifier plug-ins: WebAssembly components of the contract in `wit/`, each call in a fresh
//! instance with bounded memory, time, stack, handles, host calls and log.
//!
//! This crate never approves anything, never commits anything (what a call wants to change comes
//! back as [`Staged`] with its answer), never opens a file for a plug-in, and a socket only for a
//! request over TLS to a host that was granted ([`HttpSettings`]); it knows nothing of SCEP or of
//! certificate keys. A trap, a time-out, a malformed answer or a used-up
//! budget is a [`CallFailure`], which means "unavailable" to whoever asked.
//!
//! ```no_run
//! # async fn example(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! use countersign_sandbox::{Artefacts, ChildCompiler, Compiler, Grants, PluginSettings, Sandbox};
//!
//! let sandbox = Sandbox::new(Default::default())?;
//! let artefacts = Artefacts::open("/var/lib/countersign-verify/artefacts".as_ref())?;
//! let compiler = Compiler::Child(ChildCompiler::new(std::env::current_exe()?));
//! let component = sandbox.component(bytes, &artefacts, &compiler)?;
//! let mut settings = PluginSettings::new("one-time-password");
//! settings.grants = Grants { log: true, challenges: true, ..Grants::default() };
//! let plugin = sandbox.load(&component, &settings).await?;
//! println!("{} {}", plugin.description().name, plugin.digest());
//! # Ok(())
//! # }
//! ```

mod artefact;
mod backend;
mod breaker;
mod budget;
mod bulkhead;
mod call;
mod compile;
mod component;
mod contract;
mod engine;
mod grants;
mod http;
mod imports;
mod linking;
mod log;
pub mod model;
mod plugin;
pub mod rehearsal;
mod sandbox;
mod secrets;
mod settings;
mod staging;
mod state;

pub use artefact::{ArtefactError, Artefacts, StoreError};
pub use backend::{
    Answer, Backend, IssueRefusal, KvChange, KvExpectation, KvWrite, RedeemRefusal, Redeemed,
    Staged, Unavailable,
};
pub use breaker::BreakerSettings;
pub use budget::{Budgets, Exceeded};
pub use bulkhead::BulkheadSettings;
pub use call::{CallContext, CallError, CallFailure, CallOutcome, NotExported, Used};
pub use compile::{
    CHILD_ARGUMENT, COMPONENT_BYTES, ChildCompiler, CompileError, Compiler, is_component,
    run_if_child,
};
pub use component::{Component, Digest};
pub use contract::{Offers, PACKAGE as CONTRACT_PACKAGE, VERSION as CONTRACT_VERSION};
pub use engine::{EngineError, PoolSize, WASMTIME_VERSION};
pub use grants::Grants;
pub use http::{
    AddressRange, ClientIdentity, ClientProof, Credential, CredentialKind, HostMatch, HostRule,
    HttpLimits, HttpRefusal, HttpRequest, HttpResponse, HttpSettings, HttpSetupError, OAuth2,
    Resolve, SystemResolver,
};
pub use imports::{Import, ImportRefusal, Standing, judge};
pub use log::{LogLevel, LogLine};
pub use plugin::{Plugin, PluginSettings};
pub use sandbox::{ComponentError, LoadError, PoolUse, Sandbox};
pub use secrets::PluginSecrets;
pub use settings::{SchemaError, check as check_schema};
