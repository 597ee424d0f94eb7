//! Where plug-ins come from: files for now. Reads a component, holds it to the digest that the
//! configuration names, and brings it through every check before it may answer anything.
//!
//! This crate never runs a component whose digest was not named, never takes machine code from
//! anywhere but our own compiler, and decides nothing about requests.

mod change;
mod file;
mod from_config;
mod inspect;
mod install;
mod lock;
mod metadata;
mod powers;

pub use change::Change;
pub use file::FileError;
pub use from_config::{plugin_settings, pool_size};
pub use inspect::{Export, InspectError, Inspection, inspect, inspect_component};
pub use install::{Catalog, CatalogError, InstallError, Installed, Reason};
pub use lock::{LockError, LockFile, Locked};
pub use metadata::{Metadata, Producer};
pub use powers::PowerError;
