//! What is different about a plug-in since it was installed last.

use std::fmt;

use serde::Serialize;

use crate::lock::Locked;

/// One difference that an admin should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// Another component.
    Version {
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// It imports more of the host.
    MoreImports {
        /// What.
        import: String,
    },
    /// It says that it wants more.
    MoreWants {
        /// What.
        want: String,
        /// Why.
        why: String,
    },
    /// It vouches for names that a user can change, and did not before.
    UserAttributes,
    /// It may ask for revocations, and could not before.
    Events,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { from, to } => write!(f, "version {from} became {to}"),
            Self::MoreImports { import } => write!(f, "imports `{import}` now"),
            Self::MoreWants { want, why } => write!(f, "wants {want} now: {why}"),
            Self::UserAttributes => {
                f.write_str("vouches for names that a user can change, which it did not before")
            }
            Self::Events => f.write_str("listens to events now, and may ask for revocations"),
        }
    }
}

/// Compares what was with what is.
pub(crate) fn changes(before: &Locked, now: &Locked) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.digest != now.digest {
        let named = |locked: &Locked| format!("{} ({})", locked.version, locked.digest);
        changes.push(Change::Version { from: named(before), to: named(now) });
    }
    let more = now.imports.iter().filter(|import| !before.imports.contains(import));
    changes.extend(more.map(|import| Change::MoreImports { import: import.clone() }));
    let wanted = |want: &&countersign_sandbox::model::Want| {
        before.wants.iter().all(|earlier| earlier.power != want.power)
    };
    changes.extend(
        now.wants
            .iter()
            .filter(wanted)
            .map(|want| Change::MoreWants { want: want.power.to_string(), why: want.why.clone() }),
    );
    if now.vouches_from_user_attributes && !before.vouches_from_user_attributes {
        changes.push(Change::UserAttributes);
    }
    if now.offers.events && !before.offers.events {
        changes.push(Change::Events);
    }
    changes
}

#[cfg(test)]
mod tests {
    use countersign_sandbox::{
        Offers,
        model::{Power, Want},
    };

    use super::*;

    fn locked() -> Locked {
        Locked {
            digest: "sha256:00".into(),
            contract: "1.0.0-rc.2".into(),
            version: "1.0.0".into(),
            imports: vec!["log".into()],
            offers: Offers::default(),
            wants: Vec::new(),
            vouches_from_user_attributes: false,
        }
    }

    #[test]
    fn nothing_changed_says_nothing_and_fewer_powers_are_no_news() {
        assert!(changes(&locked(), &locked()).is_empty());
        assert!(changes(&locked(), &Locked { imports: Vec::new(), ..locked() }).is_empty());
    }

    #[test]
    fn every_new_power_is_named() {
        let now = Locked {
            digest: "sha256:11".into(),
            version: "1.1.0".into(),
            imports: vec!["log".into(), "kv".into()],
            offers: Offers { events: true, ..Offers::default() },
            wants: vec![Want { power: Power::Host("mdm".into()), why: "asks".into() }],
            vouches_from_user_attributes: true,
            ..locked()
        };
        let said: Vec<_> = changes(&locked(), &now).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "version 1.0.0 (sha256:00) became 1.1.0 (sha256:11)",
                "imports `kv` now",
                "wants host mdm now: asks",
                "vouches for names that a user can change, which it did not before",
                "listens to events now, and may ask for revocations",
            ]
        );
    }
}
