//! The measurement itself, small: it must see what it is there to see, and nothing where there is
//! nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test states what it knows"
)]

use countersign_scep::ContentCipher;
use countersign_timing::classes::Class;
use countersign_timing::schedule::Shuffle;
use countersign_timing::verdict::{Judged, table};
use countersign_timing::work::{Opener, Work};

fn judged(work: &Work, opener: Opener, cipher: ContentCipher, samples: usize) -> Vec<Judged> {
    let mut times = work.measure(opener, cipher, samples, &mut Shuffle::new(1), |_| {});
    times.judge(2 * Class::pairs().count())
}

/// Whether a pair is one of a failure of the unwrap and one of what comes after it.
fn is_across_the_unwrap((first, second): (Class, Class)) -> bool {
    let of_unwrap = |class| matches!(class, Class::WrongPadding | Class::WrongLength);
    of_unwrap(first) != of_unwrap(second)
}

#[test]
fn an_opener_without_the_substitute_key_is_told_apart() {
    let work = Work::new();
    for cipher in [ContentCipher::Aes128, ContentCipher::Aes256] {
        let judged = judged(&work, Opener::WithoutSubstituteKey, cipher, 1000);
        let missed = judged.iter().filter(|one| is_across_the_unwrap(one.pair) && !one.differs);
        assert_eq!(missed.count(), 0, "{}\n{}", cipher.name(), table(&judged));
    }
}

/// A noisy machine widens the times of all classes alike, so that the real rule could be asserted
/// at 100,000 samples on a quiet one (`cargo xtask timing`). Here the bound is five times the rule's:
/// what the removal of one step (the substitute key, the stand-in) costs is far above it.
#[test]
fn the_products_failures_differ_by_no_step() {
    let work = Work::new();
    for cipher in [ContentCipher::Aes128, ContentCipher::Aes256] {
        let judged = judged(&work, Opener::Product, cipher, 1000);
        let apart = judged.iter().filter(|one| one.differs && one.found.shift.abs() >= 10_000);
        assert_eq!(apart.count(), 0, "{}\n{}", cipher.name(), table(&judged));
    }
}
