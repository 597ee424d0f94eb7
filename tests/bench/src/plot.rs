//! The same in bars, for a terminal.

use std::fmt::Write as _;

use crate::numbers::quantile;
use crate::run::{Measured, Side};

/// Characters of the longest bar.
const WIDTH: f64 = 48.0;

/// Enrolments a second by concurrency, and behind each bar its p99.
pub(crate) fn rates(text: &mut String, found: &Measured) -> std::fmt::Result {
    let sides = |row: usize| {
        let row = &found.rows[row];
        let theirs = row.theirs.iter().zip(&found.rivals).map(|(side, (name, _))| (*name, side));
        [("countersign", &row.ours)].into_iter().chain(theirs).collect::<Vec<(&str, &Side)>>()
    };
    let most = (0..found.rows.len())
        .flat_map(|row| sides(row).into_iter().map(|(_, side)| side.rate()))
        .fold(1.0, f64::max);
    writeln!(text, "\nGood enrolments a second:")?;
    for (index, row) in found.rows.iter().enumerate() {
        for (name, side) in sides(index) {
            writeln!(
                text,
                "{:>4} {name:<12} {} {:.0}   (p99 {:.1} ms)",
                row.concurrency,
                bar(side.rate() / most),
                side.rate(),
                quantile(&side.took, 0.99).as_secs_f64() * 1e3,
            )?;
        }
    }
    Ok(())
}

/// A long run by tenths.
pub(crate) fn tenths(text: &mut String, tenths: &[f64]) -> std::fmt::Result {
    let (Some(first), Some(last)) = (tenths.first(), tenths.last()) else { return Ok(()) };
    let most = tenths.iter().copied().fold(1.0, f64::max);
    writeln!(text, "\nA long run by tenths, good enrolments a second at 16:")?;
    for (number, rate) in tenths.iter().enumerate() {
        writeln!(text, "{:>4} {} {rate:.0}", number + 1, bar(rate / most))?;
    }
    writeln!(text, "An enrolment of the last tenth took {:.2} × one of the first.", first / last)
}

/// Eighths of a character.
fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * WIDTH * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if let Some(rest) = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get((eighths % 8).wrapping_sub(1))
    {
        bar.push(*rest);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(1.0).chars().count(), 48);
        assert_eq!(bar(0.5).chars().count(), 24);
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1.0 / 96.0), "▌");
    }

    #[test]
    fn a_long_run_ends_with_its_last_tenth_beside_its_first() {
        let mut text = String::new();
        tenths(&mut text, &[100.0, 90.0, 80.0]).expect("a String takes it");
        assert!(text.contains("took 1.25 ×"), "{text}");
    }
}
