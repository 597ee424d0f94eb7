//! The comparison of two samples of times, without assumptions about their shape: the rank test of
//! Mann and Whitney, Cliff's delta, and the shift of Hodges and Lehmann.

/// What a comparison found. Positive: the second sample is later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Two-sided p of the hypothesis that neither tends to be later.
    pub p: f64,
    /// Cliff's delta: P(second later) − P(first later), from −1 to 1; 0 where neither tends to be.
    pub delta: f64,
    /// The median of all differences between one of the second and one of the first, in their
    /// unit.
    pub shift: i64,
}

/// Compares two samples, which are sorted by it.
///
/// # Panics
/// A sample is empty.
#[must_use]
pub fn compare(first: &mut [u64], second: &mut [u64]) -> Comparison {
    assert!(!first.is_empty() && !second.is_empty(), "nothing to compare");
    first.sort_unstable();
    second.sort_unstable();
    let (n, m) = (first.len() as f64, second.len() as f64);

    // U counts the pairs in which the second is later, a tie as half.
    let (mut below, mut up_to) = (0, 0);
    let mut twice_u = 0_u128;
    for value in second.iter() {
        while below < first.len() && first[below] < *value {
            below += 1;
        }
        up_to = up_to.max(below);
        while up_to < first.len() && first[up_to] <= *value {
            up_to += 1;
        }
        twice_u += (below + up_to) as u128;
    }
    let u = twice_u as f64 / 2.0;
    let delta = 2.0 * u / (n * m) - 1.0;

    let total = n + m;
    let ties = ties(first, second) / (total * (total - 1.0));
    let variance = n * m / 12.0 * (total + 1.0 - ties);
    // With the correction for continuity.
    let distance = ((u - n * m / 2.0).abs() - 0.5).max(0.0);
    let p = if variance > 0.0 { two_sided(distance / variance.sqrt()) } else { 1.0 };
    Comparison { p, delta, shift: shift(first, second) }
}

/// The sum of t³ − t over all groups of t equal values in both samples.
fn ties(first: &[u64], second: &[u64]) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while i < first.len() || j < second.len() {
        let value = match (first.get(i), second.get(j)) {
            (Some(a), Some(b)) => *a.min(b),
            (Some(a), None) => *a,
            (None, Some(b)) => *b,
            (None, None) => break,
        };
        let begin = i + j;
        while first.get(i) == Some(&value) {
            i += 1;
        }
        while second.get(j) == Some(&value) {
            j += 1;
        }
        let group = (i + j - begin) as f64;
        sum += group * group * group - group;
    }
    sum
}

/// The median of all differences, found by halving: the number of differences up to a bound takes
/// one walk over both sorted samples.
fn shift(first: &[u64], second: &[u64]) -> i64 {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let half = (first.len() as u128 * second.len() as u128).div_ceil(2);
    let mut low = signed(second[0]) - signed(first[first.len() - 1]);
    let mut high = signed(second[second.len() - 1]) - signed(first[0]);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut within = 0_u128;
        let mut up_to = 0;
        for value in first {
            while up_to < second.len() && signed(second[up_to]) - signed(*value) <= middle {
                up_to += 1;
            }
            within += up_to as u128;
        }
        if within >= half { high = middle } else { low = middle + 1 }
    }
    low
}

/// P(|Z| ≥ z) of the standard normal distribution.
fn two_sided(z: f64) -> f64 {
    complementary_error(z / std::f64::consts::SQRT_2)
}

/// erfc for x ≥ 0: the series of erf where it converges quickly, else the continued fraction of
/// Laplace, which keeps its relative precision however small the value.
fn complementary_error(x: f64) -> f64 {
    let factor = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.0 {
        // erf x = 2/√π e^(−x²) Σ 2^k x^(2k+1) / (1·3·…·(2k+1))
        let (mut term, mut sum) = (x, x);
        for k in 1..100 {
            term *= 2.0 * x * x / f64::from(2 * k + 1);
            sum += term;
        }
        1.0 - 2.0 * factor * sum
    } else {
        // erfc x = e^(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))
        let tail = (1..=100).rev().fold(x, |tail, k| x + f64::from(k) / 2.0 / tail);
        factor / tail
    }
}

/// The value below which this part of the sorted sample lies.
#[must_use]
pub fn quantile(sorted: &[u64], part: f64) -> u64 {
    let last = sorted.len().saturating_sub(1);
    let at = (part * last as f64).round() as usize;
    sorted.get(at.min(last)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Shuffle;

    fn near(found: f64, expected: f64, relative: f64) {
        assert!((found - expected).abs() <= relative * expected.abs(), "{found} for {expected}");
    }

    #[test]
    fn erfc_has_the_values_of_the_tables() {
        // Abramowitz and Stegun, tables 7.1 and 7.3.
        for (x, expected) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (1.999, 0.004_698_443_348_629_488),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_544e-5),
            (5.0, 1.537_459_794_428_035e-12),
            (10.0, 2.088_487_583_762_545e-45),
        ] {
            near(complementary_error(x), expected, 1e-9);
        }
        near(two_sided(1.959_963_984_540_054), 0.05, 1e-9);
        near(two_sided(3.290_526_731_491_6), 0.001, 1e-9);
    }

    #[test]
    fn a_worked_example_comes_out_as_by_hand() {
        // Of 5 × 4 pairs the second is later in 15, once equal: U = 15.5.
        let found = compare(&mut [1, 2, 3, 4, 9], &mut [4, 5, 7, 8]);
        near(found.delta, 2.0 * 15.5 / 20.0 - 1.0, 1e-12);
        assert_eq!(found.shift, 3);
    }

    #[test]
    fn u_and_p_agree_with_counting_and_a_table() {
        let mut first = [1, 2, 3, 4, 5, 9, 14, 16];
        let mut second = [6, 7, 8, 10, 11, 12, 13, 15];
        // 46 of 64 pairs: z = (46 − 32 − 1/2) / √(8·8·17/12) = 1.41778.
        let found = compare(&mut first, &mut second);
        near(found.delta, 2.0 * 46.0 / 64.0 - 1.0, 1e-12);
        near(found.p, 0.156_254, 1e-5);
    }

    #[test]
    fn the_shift_is_the_median_of_all_differences() {
        let mut shuffle = Shuffle::new(3);
        for (n, m) in [(1, 1), (7, 4), (20, 31)] {
            let mut first: Vec<u64> = (0..n).map(|_| shuffle.number() % 50).collect();
            let mut second: Vec<u64> = (0..m).map(|_| shuffle.number() % 50 + 5).collect();
            let mut all: Vec<i64> = first
                .iter()
                .flat_map(|a| second.iter().map(move |b| *b as i64 - *a as i64))
                .collect();
            all.sort_unstable();
            let expected = all[all.len().div_ceil(2) - 1];
            assert_eq!(compare(&mut first, &mut second).shift, expected);
        }
    }

    #[test]
    fn equal_samples_show_nothing_and_all_equal_values_do_not_divide_by_zero() {
        let found = compare(&mut [5; 100], &mut [5; 100]);
        assert_eq!((found.p, found.delta, found.shift), (1.0, 0.0, 0));
    }

    #[test]
    fn p_is_small_as_rarely_as_it_says() {
        let mut shuffle = Shuffle::new(11);
        let small = (0..1000)
            .filter(|_| {
                let mut sample = || (0..60).map(|_| shuffle.number() % 1000).collect::<Vec<_>>();
                let (mut first, mut second) = (sample(), sample());
                compare(&mut first, &mut second).p < 0.05
            })
            .count();
        assert!((25..=80).contains(&small), "{small} of 1000");
    }

    #[test]
    fn a_shift_of_a_tenth_of_the_noise_is_found_among_ten_thousand() {
        let mut shuffle = Shuffle::new(5);
        let mut sample =
            |more: u64| (0..10_000).map(|_| shuffle.number() % 1000 + more).collect::<Vec<_>>();
        let (mut first, mut second) = (sample(0), sample(100));
        let found = compare(&mut first, &mut second);
        assert!(found.p < 1e-6 && (80..=120).contains(&found.shift), "{found:?}");
        near(found.delta, 0.19, 0.2);
    }
}
