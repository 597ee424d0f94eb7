use countersign_sandbox::{Budgets, COMPONENT_BYTES};

use super::{Bench, Checks};

/// About the two seconds that a call has by default, on a slow machine.
const FUEL: u64 = 1_000_000_000;

/// What a whole answer may have.
const ANSWER: usize = 1 << 20;

/// What its calls used, against the defaults of an installation.
pub(super) fn check(bench: &Bench<'_>) -> Checks {
    let mut checks = Checks::new("budgets", "every call stays well within the default budgets");
    let (used, budgets) = (bench.used, Budgets::default());
    let mut hold = |name: &str, found: u64, most: u64, unit: &str| {
        let detail = format!("{} of {}{unit}", grouped(found), grouped(most));
        if found > most {
            checks.fail(name, format!("{detail}: an admin would have to raise the limit"));
        } else if found > most / 2 {
            checks.warn(name, format!("{detail}: more than half"));
        } else {
            checks.pass(name, detail);
        }
    };
    let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    hold("memory", number(used.memory_bytes), number(budgets.memory_bytes), " bytes");
    hold("fuel", used.fuel.unwrap_or_default(), FUEL, "");
    hold("host calls", used.host_calls.into(), budgets.host_calls.into(), "");
    hold("answer", number(bench.answer_bytes), number(ANSWER), " bytes");
    hold("component", number(bench.workshop.inspection.size), number(COMPONENT_BYTES), " bytes");
    if used.log_dropped > 0 {
        checks.warn("log", format!("{} lines of one call were over its limits", used.log_dropped));
    }
    checks
}

/// 1234567 as 1 234 567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_groups_of_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }
}
