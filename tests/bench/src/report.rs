//! The table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::arguments::{Algorithm, Arguments};
use crate::numbers::{median, microseconds, quantile};
use crate::run::{Measured, Row, Side};
use crate::upstream::{self, Upstream};
use crate::{plot, stations};

/// Everything that one run found, as text.
pub(crate) fn report(arguments: &Arguments, algorithm: Algorithm, found: &Measured) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut text, arguments, algorithm, found);
    text
}

fn write(
    text: &mut String,
    arguments: &Arguments,
    algorithm: Algorithm,
    found: &Measured,
) -> std::fmt::Result {
    let yard = &found.yardsticks;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(
        text,
        "\n=== CA and EA {}; CEP, REP, devices and all of scepserver RSA-2048 ===\n\
         {} enrolments of each system in each row, in {} turns; {cores} cores shared with the client \
         and the lab CA (a process of its own).\n\
         Yardsticks: RSA-2048 sign {:.0} µs, P-256 sign {:.1} µs, P-256 verify {:.1} µs, fsync \
         (append 4 KiB) {:.0} µs.\n",
        algorithm.name(),
        arguments.requests,
        arguments.turns,
        yard.rsa_sign,
        yard.p256_sign,
        yard.p256_verify,
        yard.fsync,
    )?;
    writeln!(
        text,
        "{:>4}  {:<12} {:>8} {:>8} {:>8} {:>8} {:>6} {:>5} {:>11} {:>9}",
        "at", "", "good/s", "p50 ms", "p95 ms", "p99 ms", "good", "bad", "CPU µs each", "in RSA"
    )?;
    for row in &found.rows {
        side(text, row.concurrency, "countersign", &row.ours, yard.rsa_sign)?;
        for (theirs, (name, _)) in row.theirs.iter().zip(&found.rivals) {
            side(text, row.concurrency, name, theirs, yard.rsa_sign)?;
        }
        for (theirs, (name, _)) in row.theirs.iter().zip(&found.rivals) {
            let ratios = row.ours.rates.iter().zip(&theirs.rates).map(|(ours, its)| ours / its);
            let p99 = ratio(quantile(&row.ours.took, 0.99), quantile(&theirs.took, 0.99));
            writeln!(
                text,
                "{:>4}  {:<12} {:>7.2}x {:>35.2}x   (to {name}: median of the turns; p99 to p99)",
                "",
                "ratio",
                median(ratios.collect()),
                p99,
            )?;
        }
    }
    for row in &found.rows {
        let theirs = row.theirs.iter().zip(&found.rivals).map(|(side, (name, _))| (*name, side));
        for (name, side) in [("countersign", &row.ours)].into_iter().chain(theirs) {
            for (reason, count) in &side.bad {
                writeln!(text, "bad at {}, {name}: {count} × {reason}", row.concurrency)?;
            }
        }
    }
    plot::rates(text, found)?;
    stations_of(text, &found.rows)?;
    processors(text, algorithm, found, cores)?;
    memory(text, found)?;
    if let Some((row, alone)) = &found.softhsm {
        softhsm(text, row, *alone)?;
    }
    if let Some(found) = &found.upstream {
        upstream(text, found)?;
    }
    write!(text, "GetCACaps a second at 16:")?;
    let names = ["countersign"].into_iter().chain(found.rivals.iter().map(|(name, _)| *name));
    for (name, rate) in names.zip(&found.capabilities) {
        write!(text, " {name} {rate:.0}")?;
    }
    writeln!(text, ".")?;
    plot::tenths(text, &found.tenths)
}

fn upstream(text: &mut String, found: &Upstream) -> std::fmt::Result {
    let p99 = |side: &Side| milliseconds(quantile(&side.took, 0.99));
    let latency = milliseconds(upstream::LATENCY);
    let (without, with) = (p99(&found.without), p99(&found.with));
    writeln!(
        text,
        "{:.0} devices arriving a second: {:.1} good/s, {without:.1} ms p99 without a service; {:.1} \
         good/s, {with:.1} ms p99 with one that takes {latency:.0} ms (at most {:.1} are wanted), \
         {} bad; it was asked {} times on {} connections.",
        found.arriving,
        found.without.rate(),
        found.with.rate(),
        latency + 3.0 * without,
        found.with.bad.values().sum::<usize>() + found.without.bad.values().sum::<usize>(),
        found.asked.0,
        found.asked.1,
    )
}

fn softhsm(text: &mut String, row: &Row, alone: f64) -> std::fmt::Result {
    let ours = each(row.ours.processor, row.ours.good + row.ours.bad.values().sum::<usize>());
    writeln!(
        text,
        "With SoftHSM2 for all roles at {}: {:.1} good/s, {:.1} ms p99, {} bad; our processes spend \
         {ours:.0} µs on an enrolment, the tokens alone {alone:.0} µs on its operations: {:.0} %.",
        row.concurrency,
        row.ours.rate(),
        milliseconds(quantile(&row.ours.took, 0.99)),
        row.ours.bad.values().sum::<usize>(),
        alone / ours * 100.0,
    )
}

fn memory(text: &mut String, found: &Measured) -> std::fmt::Result {
    let [serve, verify, sign] = found.resident;
    write!(
        text,
        "\nResident at the end, MiB (most): serve {:.0} ({:.0}), verify {:.0} ({:.0}), sign {:.0} \
         ({:.0}), together {:.0} ({:.0})",
        serve.0,
        serve.1,
        verify.0,
        verify.1,
        sign.0,
        sign.1,
        serve.0 + verify.0 + sign.0,
        serve.1 + verify.1 + sign.1,
    )?;
    for (name, (now, most)) in &found.rivals {
        write!(text, "; {name} {now:.0} ({most:.0})")?;
    }
    writeln!(text, ".")
}

fn side(text: &mut String, at: usize, name: &str, side: &Side, rsa: f64) -> std::fmt::Result {
    let bad: usize = side.bad.values().sum();
    let each = each(side.processor, side.good + bad);
    writeln!(
        text,
        "{at:>4}  {name:<12} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>6} {bad:>5} {each:>11.0} {:>9.1}",
        side.rate(),
        milliseconds(quantile(&side.took, 0.50)),
        milliseconds(quantile(&side.took, 0.95)),
        milliseconds(quantile(&side.took, 0.99)),
        side.good,
        each / rsa,
    )
}

fn stations_of(text: &mut String, rows: &[Row]) -> std::fmt::Result {
    write!(text, "\nWhere the time goes, µs of one passage (serve's clock):\n{:<14}", "station")?;
    for row in rows {
        write!(text, "{:>12}", format!("at {}", row.concurrency))?;
    }
    writeln!(text)?;
    for station in stations::ORDER {
        write!(text, "{station:<14}")?;
        for row in rows {
            write!(text, "{:>12.0}", row.stations.microseconds(station))?;
        }
        writeln!(text)?;
    }
    let sum = |row: &Row| -> f64 {
        stations::ORDER.iter().map(|station| row.stations.microseconds(station)).sum()
    };
    let whole = |row: &Row| {
        let count = row.ours.took.len().max(1) as f64;
        microseconds(row.ours.took.iter().sum::<Duration>()) / count
    };
    write!(text, "{:<14}", "between them")?;
    for row in rows {
        write!(text, "{:>12.0}", whole(row) - sum(row))?;
    }
    write!(text, "   (own records made durable, HTTP, waiting)\n{:<14}", "whole")?;
    for row in rows {
        write!(text, "{:>12.0}", whole(row))?;
    }
    writeln!(text, "   (client's clock, mean)")
}

fn processors(
    text: &mut String,
    algorithm: Algorithm,
    found: &Measured,
    cores: usize,
) -> std::fmt::Result {
    let yard = &found.yardsticks;
    let [own, all] = algorithm.private_operations();
    let cost = |(rsa, p256): (f64, f64)| rsa * yard.rsa_sign + p256 * yard.p256_sign;
    writeln!(
        text,
        "\nProcessor time of one enrolment, µs:\n{:>4} {:>8} {:>8} {:>8} {:>9} {:>8} {:>22} {:>12} {:>7}",
        "at",
        "serve",
        "verify",
        "sign",
        "together",
        "lab CA",
        "beside the keys (in P)",
        "verify jobs",
        "client"
    )?;
    for row in &found.rows {
        let bad: usize = row.ours.bad.values().sum();
        let count = row.ours.good + bad;
        let of = |time| each(time, count);
        let together = of(row.ours.processor);
        let beside = together - cost(own);
        writeln!(
            text,
            "{:>4} {:>8.0} {:>8.0} {:>8.0} {together:>9.0} {:>8.0} {:>22} {:>12} {:>6.0}%",
            row.concurrency,
            of(row.processor.serve),
            of(row.processor.verify),
            of(row.processor.sign),
            of(row.processor.ca),
            format!("{beside:.0} ({:.1})", beside / yard.p256_verify),
            format!("{:.1}/{:.1}", row.commits.1 / count as f64, row.commits.0 / count as f64),
            row.client * 100.0,
        )?;
    }
    let ceiling = cores as f64 * 1e6 / cost(all);
    let best = found.rows.iter().map(|row| row.ours.rate()).fold(0.0, f64::max);
    writeln!(
        text,
        "(beside the keys: without {} RSA-2048 and {} P-256 private-key operations, and that in P-256 \
         verifications; verify jobs: jobs/group commits of its store for one enrolment; client: its \
         share of one core.)\n\
         The private-key operations of an enrolment (CA included) alone would let {cores} cores make \
         {ceiling:.0} a second; the best row makes {:.0} % of that.",
        own.0,
        own.1,
        best / ceiling * 100.0,
    )
}

fn each(time: Duration, count: usize) -> f64 {
    microseconds(time) / count.max(1) as f64
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
