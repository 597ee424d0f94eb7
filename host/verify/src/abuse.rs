//! Requests refused for their challenge: one is a mistake, many are somebody trying. Counted by kind, by
//! source and by the device that the challenge was made for; an alarm over a limit, and over another
//! one a source or device must wait.
//!
//! In memory only, and bounded: a restart forgives, and what no longer fits is counted together. A
//! device that repeats its own spent challenge does nothing of the kind, and is not counted here.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use countersign_config::ChallengeSettings;

use crate::counters::Counters;

/// Sources and devices that are told apart; the rest share one count and are never locked.
const MOST: usize = 8192;

/// What was wrong with the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was held or spent by another request.
    Reuse,
    /// It was made for other names.
    Mismatch,
    /// It was missing, unknown, expired.
    Failure,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Reuse, Self::Mismatch, Self::Failure];

    /// What a denial says of a challenge, if anything.
    pub(crate) fn of(code: &str) -> Option<Self> {
        match code {
            "challenge-used" => Some(Self::Reuse),
            "otp_identity_mismatch" => Some(Self::Mismatch),
            "challenge-missing" | "challenge-unknown" | "challenge-expired"
            | "challenge-unbound" => Some(Self::Failure),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::Mismatch => "mismatch",
            Self::Failure => "failure",
        }
    }
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// An address; one network of IPv6 is one source.
    Source(IpAddr),
    /// A device, in the words of its management, of one profile.
    Device { profile: String, device_id: String },
    /// Everybody beyond those that are told apart.
    Others,
}

impl Who {
    /// The source of a request, if it is one that can be told from others.
    pub(crate) fn source(text: &str) -> Option<Self> {
        let address = match text.parse::<IpAddr>().ok()?.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        };
        Some(Self::Source(address))
    }

    /// A device of a profile.
    pub(crate) fn device(profile: &str, device_id: &str) -> Self {
        Self::Device { profile: profile.to_owned(), device_id: device_id.to_owned() }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Device { .. } => "device",
            Self::Others => "others",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(address) => address.fmt(f),
            Self::Device { profile, device_id } => {
                write!(f, "{} of profile {profile}", device_id.escape_debug())
            }
            Self::Others => f.write_str("others"),
        }
    }
}

/// The counts.
#[derive(Debug)]
pub(crate) struct Abuse {
    settings: ChallengeSettings,
    counts: Mutex<HashMap<Who, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    began: u64,
    refusals: [u32; Kind::ALL.len()],
    locked_until: u64,
}

impl Abuse {
    pub(crate) fn new(settings: ChallengeSettings) -> Self {
        Self { settings, counts: Mutex::default() }
    }

    /// Seconds that somebody still has to wait.
    pub(crate) fn locked(&self, who: &Who, now: u64) -> Option<u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.get(who)?.locked_until.saturating_sub(now);
        (left > 0).then_some(left)
    }

    /// Counts a refusal for each of `whom`.
    pub(crate) fn refused(
        &self,
        kind: Kind,
        whom: impl IntoIterator<Item = Who>,
        counters: &Counters,
        now: u64,
    ) {
        counters.count("challenge_abuse", &[("kind", kind.word())]);
        for who in whom {
            let (who, count, locked) = self.count(kind, who, now);
            if is_alarming(count, self.settings.alarm_after) {
                counters.count("challenge_alarms", &[("kind", kind.word()), ("by", who.word())]);
                tracing::error!(kind = kind.word(), by = who.word(), %who, count,
                    "ALARM: requests keep being refused for their challenge");
            }
            if locked {
                counters.count("challenge_locks", &[("by", who.word())]);
                tracing::error!(by = who.word(), %who, seconds = self.settings.lock_seconds,
                    "ALARM: somebody must wait after too many refused challenges");
            }
        }
    }

    /// Who it counts for, the refusals of the kind, and whether that locks.
    fn count(&self, kind: Kind, who: Who, now: u64) -> (Who, u32, bool) {
        let window = u64::from(self.settings.window_seconds);
        let is_over = |count: &Count| now >= count.began.saturating_add(window);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(&who) {
            counts.retain(|_, count| !is_over(count) || count.locked_until > now);
        }
        let fits = counts.len() < MOST || counts.contains_key(&who);
        let who = if fits { who } else { Who::Others };
        let fresh = Count { began: now, refusals: [0; Kind::ALL.len()], locked_until: 0 };
        let count = counts.entry(who.clone()).or_insert(fresh);
        if is_over(count) {
            *count = Count { locked_until: count.locked_until, ..fresh };
        }
        let mut of_kind = 0;
        for (one, refusals) in Kind::ALL.iter().zip(&mut count.refusals) {
            if *one == kind {
                *refusals = refusals.saturating_add(1);
                of_kind = *refusals;
            }
        }
        let most = match who {
            Who::Source(_) => self.settings.lock_source_after,
            Who::Device { .. } => self.settings.lock_device_after,
            Who::Others => 0,
        };
        let all = count.refusals.iter().fold(0_u32, |all, one| all.saturating_add(*one));
        let locks = most > 0 && all >= most && count.locked_until <= now;
        if locks {
            count.locked_until = now.saturating_add(self.settings.lock_seconds.into());
            // After the lock it begins anew.
            count.refusals = fresh.refusals;
            count.began = now;
        }
        (who, of_kind, locks)
    }
}

/// The first over the limit, then each doubling.
fn is_alarming(count: u32, limit: u32) -> bool {
    count >= limit && count.is_multiple_of(limit) && (count / limit).is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abuse() -> Abuse {
        Abuse::new(ChallengeSettings {
            window_seconds: 600,
            alarm_after: 3,
            lock_device_after: 4,
            lock_source_after: 6,
            lock_seconds: 100,
        })
    }

    fn source(text: &str) -> Who {
        Who::source(text).unwrap()
    }

    fn refuse(abuse: &Abuse, who: &Who, kind: Kind, times: u32, now: u64) -> String {
        let counters = Counters::default();
        for _ in 0..times {
            abuse.refused(kind, [who.clone()], &counters, now);
        }
        let mut text = String::new();
        counters.write(&mut text);
        text
    }

    #[test]
    fn kinds_are_counted_apart_and_alarm_at_the_limit_and_its_doublings() {
        let (abuse, who) = (abuse(), source("192.0.2.1"));
        let text = refuse(&abuse, &who, Kind::Reuse, 2, 0);
        assert!(text.contains("challenge_abuse_total{kind=\"reuse\"} 2"), "{text}");
        assert!(!text.contains("challenge_alarms"), "{text}");
        assert!(!refuse(&abuse, &who, Kind::Failure, 2, 0).contains("challenge_alarms"));
        let text = refuse(&abuse, &who, Kind::Reuse, 1, 0);
        assert!(text.contains("challenge_alarms_total{kind=\"reuse\",by=\"source\"} 1"), "{text}");
        let alarms: Vec<u32> = (0..=24).filter(|count| is_alarming(*count, 3)).collect();
        assert_eq!(alarms, [3, 6, 12, 24]);
    }

    #[test]
    fn over_its_limit_a_device_or_source_waits_and_others_do_not() {
        let abuse = abuse();
        let device = Who::device("wifi", "17");
        refuse(&abuse, &device, Kind::Mismatch, 3, 0);
        assert_eq!(abuse.locked(&device, 0), None);
        let text = refuse(&abuse, &device, Kind::Reuse, 1, 5);
        assert!(text.contains("challenge_locks_total{by=\"device\"} 1"), "{text}");
        assert_eq!(abuse.locked(&device, 5), Some(100));
        assert_eq!(abuse.locked(&device, 105), None);
        assert_eq!(abuse.locked(&Who::device("wifi", "18"), 5), None);
        assert_eq!(abuse.locked(&Who::device("vpn", "17"), 5), None);
        // After its time it may try as often again.
        refuse(&abuse, &device, Kind::Reuse, 3, 106);
        assert_eq!(abuse.locked(&device, 106), None);

        let network = source("2001:db8::1");
        refuse(&abuse, &network, Kind::Failure, 6, 0);
        assert!(abuse.locked(&source("2001:db8::ffff"), 0).is_some());
        assert!(abuse.locked(&source("2001:db8:0:1::1"), 0).is_none());
    }

    #[test]
    fn refusals_are_forgotten_after_the_window() {
        let (abuse, who) = (abuse(), Who::device("wifi", "17"));
        refuse(&abuse, &who, Kind::Reuse, 3, 0);
        refuse(&abuse, &who, Kind::Reuse, 3, 600);
        assert_eq!(abuse.locked(&who, 600), None);
    }

    #[test]
    fn a_lock_can_be_switched_off_and_a_socket_is_no_source() {
        let settings = ChallengeSettings { lock_source_after: 0, ..ChallengeSettings::default() };
        let (abuse, who) = (Abuse::new(settings), source("192.0.2.1"));
        refuse(&abuse, &who, Kind::Failure, 1000, 0);
        assert_eq!(abuse.locked(&who, 0), None);
        assert_eq!(Who::source("unix"), None);
    }

    #[test]
    fn more_than_are_told_apart_share_one_count_and_are_not_locked() {
        let abuse = abuse();
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            let who = Who::Source(IpAddr::V4((0x0a00_0000 + number).into()));
            refuse(&abuse, &who, Kind::Failure, 1, 0);
        }
        assert!(abuse.counts.lock().unwrap().len() <= MOST + 1);
        let late = source("192.0.2.99");
        refuse(&abuse, &late, Kind::Failure, 100, 0);
        assert_eq!(abuse.locked(&late, 0), None);
    }
}
