//! Where an order stands.

/// The states of an order, in column `revocation_order.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Durable here; `sign` has not answered yet.
    Placed,
    /// `sign`'s revocation fuse has blown: the order waits for two people.
    Held,
    /// Signed and in the ledger; the revoker can pull it.
    Signed,
    /// The CA has revoked the certificate.
    CarriedOut,
    /// The CA knows no such certificate, or had revoked it before.
    NothingToDo,
    /// The last try failed. Served again unless `final` is set.
    Failed,
    /// Two people took it back before it was signed.
    Withdrawn,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Placed,
        Self::Held,
        Self::Signed,
        Self::CarriedOut,
        Self::NothingToDo,
        Self::Failed,
        Self::Withdrawn,
    ];

    /// The stable word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Held => "held",
            Self::Signed => "signed",
            Self::CarriedOut => "carried-out",
            Self::NothingToDo => "nothing-to-do",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of that word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}
