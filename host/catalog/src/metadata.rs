//! What a component carries about its making. Nothing here is proof: its author wrote it.

use serde::Serialize;
use wasmparser::{KnownCustom, Parser, Payload};

/// The custom section in which an SDK leaves its language and version.
const SDK_SECTION: &str = "countersign-sdk";
const SDK_TEXT: usize = 128;
const PRODUCERS: usize = 32;

/// What the custom sections say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Metadata {
    /// `rust 0.1.0`, if an SDK made it.
    pub sdk: Option<String>,
    /// Languages and tools.
    pub producers: Vec<Producer>,
}

/// A language or a tool that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Producer {
    /// `language`, `processed-by`, `sdk`.
    pub role: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Reads what can be read; what is broken is left out, since the compiler judges the component.
pub(crate) fn read(component: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else { break };
        let Payload::CustomSection(section) = payload else { continue };
        if section.name() == SDK_SECTION && metadata.sdk.is_none() {
            metadata.sdk = std::str::from_utf8(section.data()).ok().map(printable);
        } else if let KnownCustom::Producers(fields) = section.as_known() {
            for field in fields.into_iter().flatten() {
                for value in field.values.into_iter().flatten() {
                    add(
                        &mut metadata.producers,
                        Producer {
                            role: printable(field.name),
                            name: printable(value.name),
                            version: printable(value.version),
                        },
                    );
                }
            }
        }
    }
    metadata
}

fn add(producers: &mut Vec<Producer>, producer: Producer) {
    if producers.len() < PRODUCERS && !producers.contains(&producer) {
        producers.push(producer);
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SDK_TEXT).collect()
}
