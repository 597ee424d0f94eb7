//! Whole enrolments per second of the whole system (three processes, plug-in, ledger, lab CA),
//! beside micromdm's `scepserver` and step-ca, in one run and one table, with where the time goes.
//!
//! Requests are made before the clock starts; every answer is opened and checked after it stops;
//! only good ones count. The systems take turns, so that a noisy moment meets all. It measures
//! the processes from outside: over their sockets and `/proc`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring tool: it states what it knows and stops where that is not so"
)]

mod arguments;
mod check;
mod fleet;
mod load;
mod numbers;
mod peer;
mod plot;
mod proc;
mod report;
mod rival;
mod run;
mod stations;
mod system;
mod token_alone;
mod upstream;
mod yardstick;

use clap::Parser as _;

use crate::arguments::Arguments;

fn main() {
    let arguments = Arguments::parse();
    if let Some(config) = &arguments.token_alone {
        println!("{}", token_alone::measure(config));
        return;
    }
    // One thread for everything that the client does while the clock runs.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread");
    for &algorithm in &arguments.algorithm {
        let measured = runtime.block_on(run::run(&arguments, algorithm));
        println!("{}", report::report(&arguments, algorithm, &measured));
    }
}
