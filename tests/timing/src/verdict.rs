//! What counts as a difference, fixed before anything is measured, and the table of what was found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::classes::Class;
use crate::statistics::{Comparison, compare, quantile};

/// The chance that a run with no difference at all shows one, over all its pairs together
/// (Bonferroni: each pair is held to its share).
pub const FAMILY_P: f64 = 0.001;

/// The smallest Cliff's delta that counts. Below it, who sees what was measured needs more than 700
/// failures of each kind to tell two kinds apart once with an error of 5 % either way (Noether 1987:
/// (1.645 + 1.645)² / (3 · (delta/2)²) in all), and a padding oracle must be asked thousands of
/// times. The budget for failures of a source is 30 a minute.
pub const LEAST_DELTA: f64 = 0.1;

/// The smallest shift that counts, in nanoseconds. Answers leave by a timer of one millisecond
/// after the time bucket, so what remains inside it is hidden five hundred times over; and without
/// a floor a quiet machine would find the cache lines of one function.
pub const LEAST_SHIFT: i64 = 2000;

/// Nanoseconds of each class, under one content cipher.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    of: BTreeMap<Class, Vec<u64>>,
}

/// One pair, judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The two classes.
    pub pair: (Class, Class),
    /// What was found.
    pub found: Comparison,
    /// Whether it counts as a difference.
    pub differs: bool,
}

impl Samples {
    /// Room for this many of each class.
    #[must_use]
    pub fn with_capacity(samples: usize) -> Self {
        Self { of: Class::ALL.iter().map(|class| (*class, Vec::with_capacity(samples))).collect() }
    }

    /// Adds a time.
    pub fn add(&mut self, class: Class, nanoseconds: u64) {
        self.of.entry(class).or_default().push(nanoseconds);
    }

    /// Judges every pair; `pairs` is how many pairs the whole run has.
    pub fn judge(&mut self, pairs: usize) -> Vec<Judged> {
        Class::pairs()
            .map(|pair| {
                let mut first = self.of.remove(&pair.0).unwrap_or_default();
                let mut second = self.of.remove(&pair.1).unwrap_or_default();
                let found = compare(&mut first, &mut second);
                self.of.insert(pair.0, first);
                self.of.insert(pair.1, second);
                Judged { pair, found, differs: differs(found, pairs) }
            })
            .collect()
    }

    /// Each class with its quartiles.
    #[must_use]
    pub fn describe(&mut self) -> String {
        let mut text = format!(
            "  {:<24}{:>9}{:>12}{:>12}{:>12}\n",
            "class", "samples", "25 % µs", "median µs", "75 % µs"
        );
        for (class, times) in &mut self.of {
            times.sort_unstable();
            let at = |part| quantile(times, part) as f64 / 1000.0;
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "  {class:<24}{:>9}{:>12.2}{:>12.2}{:>12.2}",
                times.len(),
                at(0.25),
                at(0.5),
                at(0.75)
            );
        }
        text
    }
}

/// The rule: significant, and large enough to matter in both measures of size.
#[must_use]
pub fn differs(found: Comparison, pairs: usize) -> bool {
    found.p < FAMILY_P / pairs.max(1) as f64
        && found.delta.abs() >= LEAST_DELTA
        && found.shift.abs() >= LEAST_SHIFT
}

/// One line for each pair.
#[must_use]
pub fn table(judged: &[Judged]) -> String {
    let mut text =
        format!("  {:<48}{:>12}{:>10}{:>12}  verdict\n", "pair", "shift µs", "delta", "p");
    for Judged { pair: (first, second), found, differs } in judged {
        let verdict = if *differs { "FAIL: told apart" } else { "pass" };
        let pair = format!("{first} | {second}");
        let _ = writeln!(
            text,
            "  {pair:<48}{:>12.3}{:>10.4}{:>12.1e}  {verdict}",
            found.shift as f64 / 1000.0,
            found.delta,
            found.p
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_must_be_significant_and_large_in_both_measures() {
        let clear = Comparison { p: 1e-9, delta: -0.3, shift: -9000 };
        assert!(differs(clear, 30));
        assert!(!differs(Comparison { p: 1e-4, ..clear }, 30), "Bonferroni");
        assert!(differs(Comparison { p: 1e-4, ..clear }, 1));
        assert!(!differs(Comparison { delta: -0.09, ..clear }, 30));
        assert!(!differs(Comparison { shift: -1999, ..clear }, 30));
    }

    #[test]
    fn all_fifteen_pairs_are_judged() {
        let mut samples = Samples::with_capacity(50);
        for class in Class::ALL {
            for time in 0..50 {
                let later = if class == Class::NotDer { 40_000 } else { 0 };
                samples.add(class, 100_000 + time * 1000 + later);
            }
        }
        let judged = samples.judge(15);
        assert_eq!(judged.len(), 15);
        assert_eq!(judged.iter().filter(|judged| judged.differs).count(), 5);
        assert_eq!(table(&judged).matches("FAIL").count(), 5);
    }
}
