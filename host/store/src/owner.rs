use std::fmt;

/// The process that a database belongs to. Its number is written into the file's header
/// (`PRAGMA application_id`), so that a file put into the wrong place is refused by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// `countersign-serve`: enrolments, outbox.
    Serve,
    /// `countersign-verify`: challenges, kv, device index.
    Verify,
    /// `countersign-sign`: ledger, fuses, stored signatures.
    Sign,
    /// `countersign-lab-ca`: the lab's issued certificates.
    LabCa,
}

impl Owner {
    /// Number in the header: ASCII `CSn` and one letter.
    #[must_use]
    pub fn application_id(self) -> i32 {
        i32::from_be_bytes(match self {
            Self::Serve => *b"CSnE",
            Self::Verify => *b"CSnV",
            Self::Sign => *b"CSnS",
            Self::LabCa => *b"CSnL",
        })
    }

    /// The owner whose number this is.
    #[must_use]
    pub fn from_application_id(number: i32) -> Option<Self> {
        [Self::Serve, Self::Verify, Self::Sign, Self::LabCa]
            .into_iter()
            .find(|owner| owner.application_id() == number)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "serve",
            Self::Verify => "verify",
            Self::Sign => "sign",
            Self::LabCa => "lab-ca",
        })
    }
}
