//! What the built component is: its powers are its imports, so they are listed here in full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

#[path = "../../component.rs"]
mod component;

use std::collections::BTreeSet;

use component::{build, interfaces};

/// A plug-in of this size is read, checked and compiled in well under a second.
const LARGEST: usize = 520 * 1024;

#[test]
fn the_component_imports_http_kv_and_what_starting_needs() {
    let component = std::fs::read(build()).unwrap();
    let (imports, exports) = interfaces(&component);

    let ours: Vec<_> = imports.iter().filter(|name| name.starts_with("countersign:")).collect();
    assert_eq!(
        ours,
        [
            "countersign:verifier/http@1.0.0-rc.2",
            "countersign:verifier/kv@1.0.0-rc.2",
            "countersign:verifier/log@1.0.0-rc.2",
            "countersign:verifier/types@1.0.0-rc.2",
        ]
    );
    for import in imports.iter().filter(|name| !name.starts_with("countersign:")) {
        let allowed = ["wasi:cli/", "wasi:clocks/", "wasi:io/", "wasi:random/"];
        assert!(allowed.iter().any(|package| import.starts_with(package)), "{import}");
    }
    let offered = ["events", "outcomes", "verifier"]
        .map(|name| format!("countersign:verifier/{name}@1.0.0-rc.2"));
    assert_eq!(exports, BTreeSet::from(offered));
    assert!(component.len() < LARGEST, "{} bytes", component.len());
}
