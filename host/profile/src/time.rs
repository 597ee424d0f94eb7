//! UTCTime and GeneralizedTime to seconds since 1970.

use crate::der::{DerError, Tlv, tag};

/// Reads a Time as RFC 5280 §4.1.2.5 writes it: with seconds, in UTC. Anything before 1970 is 0.
pub(crate) fn unix_seconds(time: Tlv<'_>) -> Result<u64, DerError> {
    const ERROR: DerError = DerError::Value("a time");
    let (year, rest) = match time.tag {
        tag::UTC_TIME => {
            let (two, rest) = digits(time.value, 2).ok_or(ERROR)?;
            (if two < 50 { 2000 + two } else { 1900 + two }, rest)
        }
        tag::GENERALIZED_TIME => digits(time.value, 4).ok_or(ERROR)?,
        _ => return Err(ERROR),
    };
    let (month, rest) = digits(rest, 2).ok_or(ERROR)?;
    let (day, rest) = digits(rest, 2).ok_or(ERROR)?;
    let (hour, rest) = digits(rest, 2).ok_or(ERROR)?;
    let (minute, rest) = digits(rest, 2).ok_or(ERROR)?;
    let (second, rest) = digits(rest, 2).ok_or(ERROR)?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(month, year)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if rest != b"Z" || !in_range {
        return Err(ERROR);
    }
    if year < 1970 {
        return Ok(0);
    }
    let days = days_since_1970(year, month, day);
    Ok(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn digits(text: &[u8], count: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(count)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), rest))
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(month: u64, year: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `year` is at least 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let before = year - 1;
    let leap_days = |until: u64| until / 4 - until / 100 + until / 400;
    let years = (year - 1970) * 365 + leap_days(before) - leap_days(1969);
    let months: u64 = (1..month).map(|month| days_in(month, year)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::{encode, only};

    fn read(tag: u8, text: &str) -> Result<u64, DerError> {
        unix_seconds(only(&encode(tag, &[text.as_bytes()])).unwrap())
    }

    #[test]
    fn times_are_seconds_since_1970() {
        for (text, seconds) in [
            ("700101000000Z", 0),
            ("000229120000Z", 951_825_600),
            ("261122180112Z", 1_795_370_472),
            ("491231235959Z", 2_524_607_999),
            ("500101000000Z", 0),
        ] {
            assert_eq!(read(tag::UTC_TIME, text), Ok(seconds), "{text}");
        }
        assert_eq!(read(tag::GENERALIZED_TIME, "99991231235959Z"), Ok(253_402_300_799));
        assert_eq!(read(tag::GENERALIZED_TIME, "20500101000000Z"), Ok(2_524_608_000));
    }

    #[test]
    fn odd_times_are_refused() {
        for text in [
            "",
            "Z",
            "2611221801Z",
            "261122180112",
            "261122180112+0000",
            "261322180112Z",
            "260230180112Z",
            "260100180112Z",
            "261122240112Z",
            "26112218a112Z",
        ] {
            assert!(read(tag::UTC_TIME, text).is_err(), "{text}");
        }
        assert!(read(tag::IA5_STRING, "261122180112Z").is_err());
    }
}
