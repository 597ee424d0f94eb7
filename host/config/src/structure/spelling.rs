//! What was probably meant.

/// The candidate that a slip of the keyboard turns into `text`.
pub(super) fn closest<'c>(
    text: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    candidates
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 4))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, `_` and `-` taken as the same letter.
fn distance(one: &str, two: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().take(64).map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let (one, two) = (letters(one), letters(two));
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, above) in two.iter().zip(row.windows(2)) {
            let [diagonal, up] = above else { continue };
            left = (left + 1).min(up + 1).min(diagonal + usize::from(a != b));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_understood_and_another_word_is_not() {
        let known = ["max-in-flight", "listen", "user"];
        assert_eq!(closest("max_in_flight", known.into_iter()), Some("max-in-flight"));
        assert_eq!(closest("lisen", known.into_iter()), Some("listen"));
        assert_eq!(closest("password", known.into_iter()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
