//! Who wants a certificate revoked.

/// Who placed an order; it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The issued certificate is not what was approved, and was withheld.
    Check {
        /// Stable code of what `serve` found.
        code: String,
    },
    /// A device management, through a plug-in.
    Event {
        /// Name of the plug-in in the config.
        plugin: String,
        /// Its own identity of the action.
        action: String,
    },
    /// A device that was wiped while it enrolled.
    Tombstone {
        /// Name of the plug-in that left the tombstone.
        plugin: String,
    },
    /// People, by hand.
    Admin {
        /// Who: `uid 1001 (anna)`; two above the limit.
        persons: Vec<String>,
    },
}

/// What is kept of an action's identity; a plug-in chooses it.
const LONGEST: usize = 256;

impl Source {
    /// The stable word of the kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Check { .. } => "check",
            Self::Event { .. } => "event",
            Self::Tombstone { .. } => "tombstone",
            Self::Admin { .. } => "admin",
        }
    }

    /// The rest, as it stands in database and ledger.
    pub(crate) fn detail(&self) -> String {
        let detail = match self {
            Self::Check { code } => code.clone(),
            Self::Event { plugin, action } => format!("{plugin}: {action}"),
            Self::Tombstone { plugin } => plugin.clone(),
            Self::Admin { persons } => persons.join(", "),
        };
        detail.chars().take(LONGEST).collect()
    }

    /// The plug-in behind it, if one is.
    pub(crate) fn plugin(&self) -> Option<&str> {
        match self {
            Self::Event { plugin, .. } | Self::Tombstone { plugin } => Some(plugin),
            Self::Check { .. } | Self::Admin { .. } => None,
        }
    }
}
