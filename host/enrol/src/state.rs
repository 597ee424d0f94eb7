//! The states of an enrolment and the only ways between them.
//!
//! ```text
//!  (none) ─▶ waiting ─▶ ready ◀─▶ intended ─▶ pending ─▶ issued
//!     └──────────┴────────▶┘           │          ├─────▶ refused
//!                                      └──────────┴─────▶ withheld
//!                          ready ──────────────────────▶ abandoned
//! ```

use std::fmt;

/// Where an enrolment stands. Each arrow of the picture above is one durable transaction, guarded
/// by the state it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A verifier wants more time; the request is kept, encrypted.
    Waiting,
    /// Countersigned, and surely not processed by the CA.
    Ready,
    /// About to be submitted, or submitted without an answer: the CA may have issued.
    Intended,
    /// The CA keeps it under submission.
    Pending,
    /// The certificate passed the check. Final.
    Issued,
    /// The CA refused definitely. Final for this attempt.
    Refused,
    /// The CA issued what was not approved. Final: the same request gets the same refusal.
    Withheld,
    /// Countersigned and never submitted, given up. Final for this attempt.
    Abandoned,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Ready,
        Self::Intended,
        Self::Pending,
        Self::Issued,
        Self::Refused,
        Self::Withheld,
        Self::Abandoned,
    ];

    /// Its stable name, as stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Intended => "intended",
            Self::Pending => "pending",
            Self::Issued => "issued",
            Self::Refused => "refused",
            Self::Withheld => "withheld",
            Self::Abandoned => "abandoned",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// True if nothing will change it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Waiting | Self::Ready | Self::Intended | Self::Pending => false,
            Self::Issued | Self::Refused | Self::Withheld | Self::Abandoned => true,
        }
    }

    /// True if the picture has an arrow from `self` to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Waiting => matches!(next, Self::Intended | Self::Abandoned),
            // `Intended` again: the identical bytes once more, as the profile allows.
            Self::Ready => matches!(next, Self::Intended | Self::Abandoned),
            Self::Intended => matches!(
                next,
                Self::Intended
                    | Self::Ready
                    | Self::Pending
                    | Self::Issued
                    | Self::Refused
                    | Self::Withheld
            ),
            Self::Pending => {
                matches!(next, Self::Issued | Self::Refused | Self::Withheld)
            }
            Self::Issued | Self::Refused | Self::Withheld | Self::Abandoned => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_state_has_no_way_out_and_every_other_has_one() {
        for from in State::ALL {
            let ways = State::ALL.into_iter().filter(|to| from.may_become(*to)).count();
            assert_eq!(from.is_final(), ways == 0, "{from}");
        }
    }

    #[test]
    fn what_the_ca_may_have_seen_is_never_abandoned() {
        assert!(!State::Intended.may_become(State::Abandoned));
        assert!(!State::Pending.may_become(State::Abandoned));
    }

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(State::from_name("approved"), None);
    }
}
