//! What `wit-bindgen` makes of `/wit`. Hidden: authors see the types of this crate instead.
//!
//! One module for each exported interface. A component may carry the metadata of several worlds and
//! the component linker joins them, so any set of optional interfaces needs no world of its own;
//! [`export!`](crate::export) invokes the macros of those that the author names.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    rustdoc::all,
    reason = "generated code: lowering to the canonical ABI works on raw memory"
)]

/// The interface `verifier`, which every plug-in exports, and all imports.
pub mod plugin {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "countersign:verifier/plugin",
        pub_export_macro: true,
        export_macro_name: "export_verifier",
        default_bindings_module: "countersign_sdk::bindings::plugin",
        generate_unused_types: true,
    });
}

/// Random numbers of WASI, which every plug-in may import.
pub mod random {
    wit_bindgen::generate!({
        inline: "
            package wasi:random@0.2.6;
            interface random {
                get-random-bytes: func(len: u64) -> list<u8>;
                get-random-u64: func() -> u64;
            }
            world source { import random; }
        ",
        world: "wasi:random/source",
    });
}

/// The optional interface `outcomes`.
pub mod outcomes {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package countersign:sdk-outcomes;
            world sdk-outcomes { export countersign:verifier/outcomes@1.0.0-rc.2; }
        ",
        world: "countersign:sdk-outcomes/sdk-outcomes",
        with: { "countersign:verifier/types@1.0.0-rc.2": crate::bindings::plugin::countersign::verifier::types },
        pub_export_macro: true,
        export_macro_name: "export_outcomes",
        default_bindings_module: "countersign_sdk::bindings::outcomes",
    });
}

/// The optional interface `challenges-issuer`.
pub mod challenges_issuer {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package countersign:sdk-challenges-issuer;
            world sdk-challenges-issuer { export countersign:verifier/challenges-issuer@1.0.0-rc.2; }
        ",
        world: "countersign:sdk-challenges-issuer/sdk-challenges-issuer",
        with: { "countersign:verifier/types@1.0.0-rc.2": crate::bindings::plugin::countersign::verifier::types },
        pub_export_macro: true,
        export_macro_name: "export_challenges_issuer",
        default_bindings_module: "countersign_sdk::bindings::challenges_issuer",
    });
}

/// The optional interface `events`.
pub mod events {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package countersign:sdk-events;
            world sdk-events { export countersign:verifier/events@1.0.0-rc.2; }
        ",
        world: "countersign:sdk-events/sdk-events",
        with: { "countersign:verifier/types@1.0.0-rc.2": crate::bindings::plugin::countersign::verifier::types },
        pub_export_macro: true,
        export_macro_name: "export_events",
        default_bindings_module: "countersign_sdk::bindings::events",
    });
}
