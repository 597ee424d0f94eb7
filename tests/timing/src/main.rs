//! `cargo xtask timing`: pass or fail for each pair of failures of zone A.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring tool: it states what it knows and prints what it found"
)]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use countersign_scep::ContentCipher;
use countersign_timing::answers::{Answers, Asking};
use countersign_timing::classes::Class;
use countersign_timing::schedule::Shuffle;
use countersign_timing::verdict::{FAMILY_P, Judged, LEAST_DELTA, LEAST_SHIFT, Samples, table};
use countersign_timing::work::{Opener, Work};

/// Whether the failures of zone A can be told apart by their time. Ends with 0 if no pair can, and
/// with 1 if one can.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask timing")]
struct Arguments {
    /// Samples of each class of the work itself, without the time bucket; 0 leaves it out.
    #[arg(long, default_value_t = 100_000)]
    samples: usize,
    /// Samples of each class over a socket, with the time bucket; 0 leaves it out.
    #[arg(long, default_value_t = 2000)]
    socket_samples: usize,
    /// Content ciphers; failures are compared under one cipher, which is no secret.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "aes-128,aes-256")]
    cipher: Vec<Cipher>,
    /// The time bucket of the installation behind the socket, in milliseconds.
    #[arg(long, default_value_t = 20)]
    period: u32,
    /// Connections to that installation.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// The order of the measurement.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure an opener without the substitute key instead: this must fail.
    #[arg(long)]
    without_substitute_key: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cipher {
    #[value(name = "aes-128")]
    Aes128,
    #[value(name = "aes-192")]
    Aes192,
    #[value(name = "aes-256")]
    Aes256,
}

impl From<Cipher> for ContentCipher {
    fn from(cipher: Cipher) -> Self {
        match cipher {
            Cipher::Aes128 => Self::Aes128,
            Cipher::Aes192 => Self::Aes192,
            Cipher::Aes256 => Self::Aes256,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let measurements =
        usize::from(arguments.samples > 0) + usize::from(arguments.socket_samples > 0);
    let run = Run {
        pairs: measurements * arguments.cipher.len() * Class::pairs().count(),
        shuffle: Shuffle::new(arguments.seed),
        differences: 0,
    };
    println!(
        "Fixed beforehand: a pair fails if p < {FAMILY_P} / {} and |delta| >= {LEAST_DELTA} and \
         |shift| >= {} µs",
        run.pairs,
        LEAST_SHIFT / 1000
    );
    println!("{}", load());
    let run = work(&arguments, run);
    let run = answers(&arguments, run);
    println!("{}", load());
    if run.differences == 0 {
        println!("PASS: none of {} pairs can be told apart", run.pairs);
        ExitCode::SUCCESS
    } else {
        println!("FAIL: {} of {} pairs can be told apart", run.differences, run.pairs);
        ExitCode::FAILURE
    }
}

struct Run {
    pairs: usize,
    shuffle: Shuffle,
    differences: usize,
}

impl Run {
    fn report(&mut self, what: &str, mut samples: Samples) {
        let judged: Vec<Judged> = samples.judge(self.pairs);
        self.differences += judged.iter().filter(|judged| judged.differs).count();
        println!("\n{what}\n{}\n{}", samples.describe(), table(&judged));
    }
}

fn work(arguments: &Arguments, mut run: Run) -> Run {
    if arguments.samples == 0 {
        return run;
    }
    let (opener, who) = if arguments.without_substitute_key {
        (Opener::WithoutSubstituteKey, "the work WITHOUT the substitute key")
    } else {
        (Opener::Product, "the work itself")
    };
    let work = Work::new();
    for cipher in arguments.cipher.iter().copied().map(ContentCipher::from) {
        let tenth = (arguments.samples / 10).max(1);
        let samples = work.measure(opener, cipher, arguments.samples, &mut run.shuffle, |round| {
            if round % tenth == 0 {
                eprintln!("{}: {round} of {}", cipher.name(), arguments.samples);
            }
        });
        run.report(&format!("{} under {}", who, cipher.name()), samples);
    }
    run
}

fn answers(arguments: &Arguments, mut run: Run) -> Run {
    if arguments.socket_samples == 0 {
        return run;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let asking =
            Asking { samples: arguments.socket_samples, connections: arguments.connections.max(1) };
        let answers = Answers::start(arguments.period).await;
        for cipher in arguments.cipher.iter().copied().map(ContentCipher::from) {
            let samples = answers.measure(asking, cipher, &mut run.shuffle).await;
            run.report(&format!("answers over a socket, {}", cipher.name()), samples);
        }
    });
    run
}

/// Of the machine: what else ran makes noise, not differences.
fn load() -> String {
    let average = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let average: Vec<&str> = average.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("load averages {} on {cores} cores", average.join(" "))
}
