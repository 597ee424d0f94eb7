use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The contract's seconds since 1970 as the standard library's time; what cannot be held ends at the
/// largest time that can.
pub(crate) fn from_unix_seconds(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .or_else(|| UNIX_EPOCH.checked_add(Duration::from_secs(u64::from(u32::MAX))))
        .unwrap_or(UNIX_EPOCH)
}

/// Whole seconds since 1970; times before that are 1970.
pub(crate) fn to_unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whole seconds, rounded up so that a wait is never cut to nothing.
pub(crate) fn to_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_way_there_and_back() {
        for seconds in [0, 1, 1_767_225_600, u64::from(u32::MAX)] {
            assert_eq!(to_unix_seconds(from_unix_seconds(seconds)), seconds);
        }
    }

    #[test]
    fn a_time_beyond_the_platform_does_not_panic() {
        let _ = from_unix_seconds(u64::MAX);
    }

    #[test]
    fn part_of_a_second_counts_as_one() {
        assert_eq!(to_seconds(Duration::from_millis(1)), 1);
        assert_eq!(to_seconds(Duration::from_secs(2)), 2);
        assert_eq!(to_seconds(Duration::MAX), u32::MAX);
    }
}
