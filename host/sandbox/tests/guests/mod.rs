//! Test guests: core modules by hand, made components of the contract as a tool chain does it.
//! By hand, because hostile guests do what no compiler emits.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "shared between test files, each of which uses a part; tests may state what they know"
)]

use std::fmt::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = "countersign:verifier";
const VERSION: &str = "1.0.0-rc.2";

/// Where a guest's `approve` and `deny` lie in its memory: for `verify` bodies.
pub const APPROVE: u32 = 0x800;
/// `deny(other("found"))`.
pub const DENY: u32 = 0x900;
/// Space that host calls may return into.
pub const SCRATCH: u32 = 0xa00;

/// What of WASI the guests use, in WIT.
const WASI: [&str; 2] = [
    "package wasi:io@0.2.6;
     interface poll { resource pollable { block: func(); } }",
    "package wasi:clocks@0.2.6;
     interface monotonic-clock {
       use wasi:io/poll@0.2.6.{pollable};
       now: func() -> u64;
       subscribe-duration: func(when: u64) -> pollable;
     }",
];

/// A guest to be: each part in the text format of WebAssembly.
#[derive(Clone)]
pub struct Guest {
    /// Of our package; the guest exports exactly its exports.
    pub world: &'static str,
    /// Core imports: (interface, function, type).
    pub imports: Vec<(&'static str, &'static str, &'static str)>,
    /// Optional exports: (interface, function, type, instructions).
    pub exports: Vec<(&'static str, &'static str, &'static str, String)>,
    /// Fields of the module beside the standard ones.
    pub fields: String,
    /// Pages of the first memory.
    pub pages: u32,
    /// Instructions that run when the instance is made.
    pub start: String,
    /// Instructions before `describe` returns.
    pub describe: String,
    /// Instructions before `validate-settings` returns no problems.
    pub validate: String,
    /// Instructions that leave the address of a verdict.
    pub verify: String,
    /// JSON Schema.
    pub schema: String,
    /// The plug-in's own version.
    pub version: &'static str,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            world: "plugin",
            imports: Vec::new(),
            exports: Vec::new(),
            fields: String::new(),
            pages: 2,
            start: String::new(),
            describe: String::new(),
            validate: String::new(),
            verify: format!("(i32.const {APPROVE})"),
            schema: r#"{"type":"object"}"#.into(),
            version: "1.2.3",
        }
    }
}

impl Guest {
    /// A guest whose `verify` is these instructions.
    pub fn verifying(verify: impl Into<String>) -> Self {
        Self { verify: verify.into(), ..Self::default() }
    }

    pub fn importing(
        mut self,
        interface: &'static str,
        function: &'static str,
        signature: &'static str,
    ) -> Self {
        self.imports.push((interface, function, signature));
        self
    }

    /// `log.log`, called as `$log`.
    pub fn logging(self) -> Self {
        self.importing("log", "log", "(param i32 i32 i32 i32 i32)")
    }

    /// `wasi:clocks/monotonic-clock.subscribe-duration` and `pollable.block`.
    pub fn sleeping(self) -> Self {
        self.importing(
            "wasi:clocks/monotonic-clock@0.2.6",
            "subscribe-duration",
            "(param i64) (result i32)",
        )
        .importing("wasi:io/poll@0.2.6", "[method]pollable.block", "(param i32)")
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let mut core = wat::parse_str(self.module()).unwrap();
        let mut resolve = Resolve::default();
        for package in WASI {
            resolve.push_str("wasi.wit", package).unwrap();
        }
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        resolve.push_dir(wit.replace("/catalog/", "/sandbox/")).unwrap();
        let world = format!(
            "package test:guest;
             world guest {{
               import wasi:io/poll@0.2.6;
               import wasi:clocks/monotonic-clock@0.2.6;
               include {CONTRACT}/{}@{VERSION};
             }}",
            self.world
        );
        let package = resolve.push_str("guest.wit", &world).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap()
    }

    fn module(&self) -> String {
        let mut wat = String::from("(module\n");
        for (interface, function, signature) in &self.imports {
            let module = if interface.contains(':') {
                (*interface).to_owned()
            } else {
                format!("{CONTRACT}/{interface}@{VERSION}")
            };
            let name = function.rsplit('.').next().unwrap();
            writeln!(wat, "(import \"{module}\" \"{function}\" (func ${name} {signature}))")
                .unwrap();
        }
        let Self { fields, pages, start, describe, validate, verify, .. } = self;
        let export =
            |function: &str| format!("(export \"{CONTRACT}/verifier@{VERSION}#{function}\")");
        let exports: String = self
            .exports
            .iter()
            .map(|(interface, function, signature, body)| {
                let name = format!("{CONTRACT}/{interface}@{VERSION}#{function}");
                format!("(func (export \"{name}\") {signature} {body})")
            })
            .collect();
        write!(
            wat,
            "(memory $memory (export \"memory\") {pages})
             (global $top (mut i32) (i32.const 0x2000))
             {data}
             {fields}
             {exports}
             (func $start {start})
             (start $start)
             (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
               (local $at i32)
               (local.set $at
                 (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
               (global.set $top (i32.add (local.get $at) (local.get 3)))
               (local.get $at))
             (func {describe_export} (result i32) {describe} (i32.const 0x400))
             (func {validate_export} (param i32 i32) (result i32) {validate} (i32.const 0x700))
             (func {verify_export} (param i32) (result i32) {verify})
             )",
            data = self.data(),
            describe_export = export("describe"),
            validate_export = export("validate-settings"),
            verify_export = export("verify"),
        )
        .unwrap();
        wat
    }

    /// Strings from 0x1000, a description at 0x400, an empty list at 0x700, verdicts.
    fn data(&self) -> String {
        let mut strings = Vec::new();
        let mut string = |text: &str| {
            let at = 0x1000 + u32::try_from(strings.len()).unwrap();
            strings.extend_from_slice(text.as_bytes());
            [at, u32::try_from(text.len()).unwrap()]
        };
        // description: name, version, vendor, summary, schema, wants, events, flag, links, attributes
        let mut description = Vec::new();
        for text in ["test-guest", self.version, "Tests", "For tests.", &self.schema] {
            description.extend(string(text));
        }
        description.extend([0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let host = string("host.example");
        let found = string("found");
        // names(list<name>): one name, dns(host): case 1 of `name`.
        let names = [1, host[0], host[1], 0, 0];
        // approve: case, padding, vouched case 1 with a list of one, no device, no end, lists.
        let approve = [0, 0, 1, 0x8c0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // deny: case 1, padding, code case 10 `other` with a text, detail, attributes.
        let deny = [1, 0, 10, found[0], found[1], 0, 0, 0, 0];
        [
            data(0x400, &words(&description)),
            data(0x700, &words(&[0, 0])),
            data(APPROVE, &words(&approve)),
            data(0x8c0, &words(&names)),
            data(DENY, &words(&deny)),
            data(0x1000, &strings),
        ]
        .join("\n")
    }
}

/// A component of nothing but an import.
pub fn importing_only(import: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (import \"{import}\" (instance)))")).unwrap()
}

/// A component of nothing but an export.
pub fn exporting_only(export: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (instance $i) (export \"{export}\" (instance $i)))"))
        .unwrap()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn data(at: u32, bytes: &[u8]) -> String {
    let mut text = String::new();
    bytes.iter().for_each(|byte| write!(text, "\\{byte:02x}").unwrap());
    format!("(data (i32.const {at}) \"{text}\")")
}
