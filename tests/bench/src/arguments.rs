//! What is to be measured.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use countersign_tests::lab_ca;

/// Whole enrolments per second, beside micromdm's scepserver and step-ca.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
pub(crate) struct Arguments {
    /// How many devices ask at the same time; one row each.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    pub(crate) concurrency: Vec<usize>,
    /// Enrolments of each system for each concurrency.
    #[arg(long, default_value_t = 800)]
    pub(crate) requests: usize,
    /// Keys of CA and EA, and of step-ca's CA; what opens envelopes and signs answers stays RSA-2048,
    /// and so does all of scepserver.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "rsa-2048,p-256")]
    pub(crate) algorithm: Vec<Algorithm>,
    /// In how many turns of the systems the enrolments are made.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) turns: u16,
    /// How many RSA-2048 keys the devices share.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) keys: u16,
    /// Seconds of GetCACaps for each system.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) capabilities_seconds: f64,
    /// The program step-ca; without it step-ca is left out. `cargo xtask bench` sets this where Go is
    /// there.
    #[arg(long)]
    pub(crate) step_ca: Option<PathBuf>,
    /// At the end so many enrolments more of ours alone, 16 at a time: does the last tenth take longer
    /// than the first? 20000 is a good number; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub(crate) long: usize,
    /// At the end once more with the keys of all roles on SoftHSM2, 16 at a time: what our processes
    /// spend beside what the tokens alone spend on the same operations.
    #[arg(long)]
    pub(crate) softhsm: bool,
    /// At the end devices that come at 40 % of the best rate whether others were answered or not, to
    /// a verifier that asks a service which takes 50 ms.
    #[arg(long)]
    pub(crate) upstream: bool,
    /// Internal: only measures the tokens that this config names.
    #[arg(long, hide = true)]
    pub(crate) token_alone: Option<PathBuf>,
}

/// Keys of CA and EA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// RSA with 2048 bits.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// ECDSA on P-256.
    #[value(name = "p-256")]
    P256,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA-2048",
            Self::P256 => "P-256",
        }
    }

    pub(crate) fn of_lab_ca(self) -> lab_ca::Algorithm {
        match self {
            Self::Rsa2048 => lab_ca::Algorithm::Rsa2048,
            Self::P256 => lab_ca::Algorithm::P256,
        }
    }

    /// Private-key operations of one enrolment, RSA-2048 and P-256: in our three processes (CEP
    /// unwrap, REP sign, EA sign), and with those of the lab CA, which like AD CS signs its answer
    /// too.
    pub(crate) fn private_operations(self) -> [(f64, f64); 2] {
        match self {
            Self::Rsa2048 => [(3.0, 0.0), (5.0, 0.0)],
            Self::P256 => [(2.0, 1.0), (2.0, 3.0)],
        }
    }
}
