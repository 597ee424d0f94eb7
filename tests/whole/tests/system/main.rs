//! The whole system, as devices, admins, CAs and attackers meet it. One program, so that it is
//! linked once; a file for each theme.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

#[path = "../../../../host/scep/tests/forge/mod.rs"]
mod forge;
// The failures whose times are compared are the failures whose answers are.
#[allow(dead_code, unreachable_pub, reason = "it is the timing command's; not all is used here")]
#[path = "../../../timing/src/classes.rs"]
mod classes;
#[path = "../../../../host/sandbox/tests/guests/mod.rs"]
mod guests;

mod access;
mod bad_input;
mod ca_faults;
mod challenge_abuse;
mod clients;
mod enrolment;
mod events;
mod fleet;
mod founding_checklist;
mod intune;
mod jamf_pro;
mod kandji;
mod lifetime;
mod managed_renewal;
mod mdm;
mod mdm_caller;
mod messages;
mod ndes_otp;
mod not_served;
mod processes_down;
mod renewal;
mod renewal_claims;
mod revocation;
mod rules;
mod signed_challenge;
mod start_gate;
mod stolen_serve;
mod tls;
mod tokens;
mod uniform_failure;
mod verifier_words;
mod webhook;
mod workspace_one;
mod wrong_certificates;
mod zone_a;
