//! A compiled component, and what can be seen from outside before it runs.

use wasmtime::{Engine, component::types::ComponentItem};

use crate::{
    contract::{Offers, PACKAGE, VERSION},
    imports::{Import, judge},
};

/// The SHA-256 of a component's bytes as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of a component's bytes.
    pub fn of(component: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, component);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// 64 lower-case hex digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

/// A component, compiled for this engine; made by `Sandbox::component` only.
#[derive(Clone)]
pub struct Component {
    pub(crate) digest: Digest,
    pub(crate) compiled: wasmtime::component::Component,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Component").field(&self.digest).finish()
    }
}

impl Component {
    /// Of the bytes it was made from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Everything it imports, judged.
    pub fn imports(&self) -> Vec<Import> {
        let engine = self.compiled.engine();
        self.compiled.component_type().imports(engine).map(|(name, _)| judge(name)).collect()
    }

    /// The names of everything it exports.
    pub fn exports(&self) -> Vec<String> {
        let engine = self.compiled.engine();
        self.compiled.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect()
    }

    /// The version of the contract that it speaks, if it is a verifier at all.
    pub fn contract_version(&self) -> Option<String> {
        let prefix = format!("{PACKAGE}/verifier@");
        self.exports().iter().find_map(|name| name.strip_prefix(&prefix).map(str::to_owned))
    }

    /// Which optional interfaces it has.
    pub fn offers(&self) -> Offers {
        let engine = self.compiled.engine();
        Offers {
            outcomes: self.has_interface(engine, "outcomes"),
            challenges_issuer: self.has_interface(engine, "challenges-issuer"),
            events: self.has_interface(engine, "events"),
        }
    }

    fn has_interface(&self, engine: &Engine, interface: &str) -> bool {
        let name = format!("{PACKAGE}/{interface}@{VERSION}");
        let exported = self.compiled.component_type();
        matches!(
            exported.get_export(engine, &name).map(|export| export.ty),
            Some(ComponentItem::ComponentInstance(_))
        )
    }
}
