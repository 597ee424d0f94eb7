/// Makes a component of a [`Verifier`](crate::Verifier). One line, at the top level of the plug-in's
/// crate:
///
/// ```ignore
/// countersign_sdk::export!(MyVerifier);
/// countersign_sdk::export!(MyVerifier with outcomes);
/// countersign_sdk::export!(MyVerifier with challenges, outcomes, events);
/// ```
///
/// The words after `with` name the optional interfaces that the component exports, in any
/// combination; each needs its trait: `challenges` is [`ChallengesIssuer`](crate::ChallengesIssuer),
/// `outcomes` [`Outcomes`](crate::Outcomes), `events` [`Events`](crate::Events).
///
/// Outside WebAssembly it only checks that the traits are there, so `cargo test` runs the verifier
/// against [`mock::Host`](crate::mock::Host).
#[macro_export]
macro_rules! export {
    ($verifier:ident $(with $($interface:ident),+ $(,)?)?) => {
        const _: () = {
            type Plugin = $crate::__rt::Adapter<$verifier>;

            #[cfg(target_arch = "wasm32")]
            $crate::bindings::plugin::export_verifier!(Plugin with_types_in $crate::bindings::plugin);
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn() -> $crate::Description = <$verifier as $crate::Verifier>::describe;

            $($($crate::__export_interface!($interface $verifier);)+)?

            #[cfg(target_arch = "wasm32")]
            #[unsafe(link_section = "countersign-sdk")]
            #[used]
            static SDK: [u8; $crate::__rt::SDK.len()] = $crate::__rt::SDK;
        };
    };
}

/// One optional interface of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __export_interface {
    (outcomes $verifier:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::outcomes::export_outcomes!(
            Plugin with_types_in $crate::bindings::outcomes
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = $crate::__rt::has_outcomes::<$verifier>();
    };
    (challenges $verifier:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::challenges_issuer::export_challenges_issuer!(
            Plugin with_types_in $crate::bindings::challenges_issuer
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = $crate::__rt::issues_challenges::<$verifier>();
    };
    (events $verifier:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::events::export_events!(
            Plugin with_types_in $crate::bindings::events
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = $crate::__rt::has_events::<$verifier>();
    };
    ($other:ident $verifier:ident) => {
        compile_error!(concat!(
            "no optional interface `",
            stringify!($other),
            "`: expected `challenges`, `outcomes` or `events`"
        ));
    };
}

/// What [`export!`] expands to needs; not for authors.
#[doc(hidden)]
pub mod __rt {
    pub use crate::adapter::Adapter;

    /// Language and version of the SDK: the custom section `countersign-sdk` of a component.
    pub const SDK: [u8; SDK_TEXT.len()] = bytes(SDK_TEXT);

    const SDK_TEXT: &str = concat!("rust ", env!("CARGO_PKG_VERSION"));

    #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, for one constant text")]
    const fn bytes<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let mut index = 0;
        while index < LENGTH {
            bytes[index] = text.as_bytes()[index];
            index += 1;
        }
        bytes
    }

    pub const fn has_outcomes<V: crate::Outcomes>() {}

    pub const fn issues_challenges<V: crate::ChallengesIssuer>() {}

    pub const fn has_events<V: crate::Events>() {}
}
