use super::*;

const SECOND: u64 = 1_000_000_000;

fn budgets(messages: u32, failures: u32, unwraps: u32, key_failures: u32) -> Budgets {
    let limits = BudgetLimits {
        messages_per_source: messages.try_into().unwrap(),
        failures_per_source: failures.try_into().unwrap(),
        unwraps_per_key: unwraps.try_into().unwrap(),
        failures_per_key: key_failures.try_into().unwrap(),
        sources: 4,
    };
    Budgets::new(limits, &mut Registry::default())
}

fn from(address: &str) -> Source {
    Source::Address(address.parse().unwrap())
}

/// How many messages in a row the source gets through at this moment.
fn messages(budgets: &Budgets, source: &str, now: u64) -> usize {
    std::iter::from_fn(|| budgets.message_at(from(source), now).ok()).take(1000).count()
}

// Fails when `message_at` does not spend, or `wait` forgets the burst.
#[test]
fn a_source_gets_its_minute_at_once_and_then_its_rate() {
    let budgets = budgets(60, 9, 9, 9);
    assert_eq!(messages(&budgets, "192.0.2.1", 0), 60);
    let refused = budgets.message_at(from("192.0.2.1"), 0).unwrap_err();
    assert_eq!(refused, OverBudget { budget: Budget::SourceMessages, retry_after: 1 });
    assert_eq!(messages(&budgets, "192.0.2.1", 10 * SECOND), 10);
    // A quiet hour saves up one minute, not sixty.
    assert_eq!(messages(&budgets, "192.0.2.1", 3600 * SECOND), 60);
    assert_eq!(messages(&budgets, "192.0.2.2", 3600 * SECOND), 60, "another source has its own");
}

// Fails when `Prefix::of` takes whole IPv6 addresses: a host has 2^64 of them.
#[test]
fn an_ipv6_network_pays_as_one_and_a_mapped_address_as_itself() {
    let budgets = budgets(2, 9, 9, 9);
    assert_eq!(messages(&budgets, "2001:db8:1:2::1", 0), 2);
    assert_eq!(messages(&budgets, "2001:db8:1:2:ffff::9", 0), 0);
    assert_eq!(messages(&budgets, "2001:db8:1:3::1", 0), 2);
    assert_eq!(messages(&budgets, "192.0.2.1", 0), 2);
    assert_eq!(messages(&budgets, "::ffff:192.0.2.1", 0), 0);
}

// Fails when `unwrap_at` does not look at the source's failures.
#[test]
fn failures_are_a_budget_of_their_own() {
    let budgets = budgets(100, 3, 100, 100);
    let attacker = from("192.0.2.1");
    for _ in 0..3 {
        let payer = budgets.unwrap_at(attacker, 0, 0).unwrap();
        budgets.failed_at(payer.source, payer.key, 0);
    }
    let refused = budgets.unwrap_at(attacker, 0, 0).unwrap_err();
    assert_eq!(refused, OverBudget { budget: Budget::SourceFailures, retry_after: 20 });
    assert!(budgets.alarm_at(SECOND).unwrap().contains("failures-per-source"));
    assert!(budgets.alarm_at(700 * SECOND).is_none(), "an old alarm is not shown for ever");
    // Messages that open cost nothing of it.
    for _ in 0..50 {
        assert!(budgets.unwrap_at(from("192.0.2.2"), 0, 0).is_ok());
    }
    assert!(budgets.unwrap_at(attacker, 0, 20 * SECOND).is_ok());
}

// Fails when failures beyond the budget leave no debt: 100 in flight would be 100 for free.
#[test]
fn failures_on_their_way_when_the_budget_ran_out_are_paid_later() {
    let budgets = budgets(1000, 6, 1000, 1000);
    let payers: Vec<_> =
        (0..60).map(|_| budgets.unwrap_at(from("192.0.2.1"), 0, 0).unwrap()).collect();
    for payer in payers {
        budgets.failed_at(payer.source, payer.key, 0);
    }
    // 60 at 6 a minute: ten minutes, of which the last is the burst.
    assert!(budgets.unwrap_at(from("192.0.2.1"), 0, 540 * SECOND).is_err());
    assert!(budgets.unwrap_at(from("192.0.2.1"), 0, 560 * SECOND).is_ok());
}

// Fails when the key's failures are not counted over all sources, or when they shut out everybody.
#[test]
fn an_attack_from_many_sources_spends_the_keys_budget_and_spares_the_innocent() {
    let budgets = budgets(100, 100, 1000, 4);
    for last in 1..=4 {
        let source = from(&format!("192.0.2.{last}"));
        let payer = budgets.unwrap_at(source, 0, 0).unwrap();
        budgets.failed_at(payer.source, payer.key, 0);
    }
    let again = budgets.unwrap_at(from("192.0.2.1"), 0, 0).unwrap_err();
    assert_eq!(again.budget, Budget::KeyFailures);
    assert!(budgets.unwrap_at(from("198.51.100.1"), 0, 0).is_ok(), "no failure of its own");
    assert!(budgets.unwrap_at(from("192.0.2.1"), 1, 0).is_ok(), "another key has its own");
    // Nobody knows who stands behind a socket without a source header.
    assert_eq!(budgets.unwrap_at(Source::Unix, 0, 0).unwrap_err().budget, Budget::KeyFailures);
    assert_eq!(budgets.unwrap_at(from("127.0.0.1"), 0, 0).unwrap_err().budget, Budget::KeyFailures);
}

#[test]
fn the_keys_unwraps_are_bounded_whoever_asks() {
    let budgets = budgets(100, 100, 5, 100);
    let unwraps = (0..20)
        .filter(|last| budgets.unwrap_at(from(&format!("192.0.2.{last}")), 0, 0).is_ok())
        .count();
    assert_eq!(unwraps, 5);
}

// Fails when `of_source` inserts without looking at the bound.
#[test]
fn the_table_is_bounded_and_newcomers_share_until_somebody_is_forgotten() {
    let budgets = budgets(2, 9, 9, 9);
    for last in 0..100 {
        let _ = budgets.message_at(from(&format!("192.0.2.{last}")), 0);
        assert!(budgets.lock().sources.len() <= 4);
    }
    // All newcomers together had two.
    assert_eq!(messages(&budgets, "198.51.100.1", 0), 0);
    // After a minute all are whole and forgotten.
    assert_eq!(messages(&budgets, "198.51.100.1", 61 * SECOND), 2);
    assert_eq!(budgets.lock().sources.len(), 1);
}

#[test]
fn a_source_on_this_host_has_no_budget_of_its_own() {
    let budgets = budgets(1, 1, 1000, 1000);
    assert_eq!(messages(&budgets, "127.0.0.1", 0), 1000);
    assert!((0..100).all(|_| budgets.message_at(Source::Unix, 0).is_ok()));
    assert!(budgets.lock().sources.is_empty());
}
