use std::time::SystemTime;

use crate::{Attributes, Bytes};

/// A call of the device management to `/event/<plugin>`. The host authenticated the caller; the body
/// is for the plug-in to understand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What followed `/event/<plugin>/` in the path; often empty.
    pub path_suffix: String,
    /// The decoded query of the URL.
    pub query: Vec<(String, String)>,
    /// Header fields with lower-case names; credentials are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When it came.
    pub received: SystemTime,
    /// What the host knows beside.
    pub attributes: Attributes,
}

/// Something to be done. Repeating an id repeats nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The plug-in's own; comes back in [`ActionResult`].
    pub id: String,
    /// What shall be done.
    pub act: Act,
    /// Open-ended facts for the host.
    pub attributes: Attributes,
}

impl Action {
    /// Orders the revocation of all certificates of a device. `device` is the id that was given to
    /// [`Approval::device_id`](crate::Approval::device_id); `detail` says, for the ledger, which
    /// event led to this.
    pub fn revoke_device(
        id: impl Into<String>,
        device: impl Into<String>,
        reason: Reason,
        detail: impl Into<String>,
    ) -> Self {
        Self::revoke(id, Target::Device(device.into()), reason, detail)
    }

    /// Orders the revocation of one certificate, by its issuer's distinguished name (RFC 4514) and
    /// serial number (lower-case hex).
    pub fn revoke_certificate(
        id: impl Into<String>,
        issuer: impl Into<String>,
        serial_number: impl Into<String>,
        reason: Reason,
        detail: impl Into<String>,
    ) -> Self {
        let target =
            Target::Certificate { issuer: issuer.into(), serial_number: serial_number.into() };
        Self::revoke(id, target, reason, detail)
    }

    fn revoke(
        id: impl Into<String>,
        target: Target,
        reason: Reason,
        detail: impl Into<String>,
    ) -> Self {
        let revocation = Revocation { target, reason, detail: detail.into() };
        Self { id: id.into(), act: Act::Revoke(revocation), attributes: Attributes::new() }
    }
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Order a revocation. The host keeps a limit on how many at once.
    Revoke(Revocation),
    /// One that this version of the contract does not name.
    Other(String),
}

/// A revocation to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which certificates are meant.
    pub target: Target,
    /// The reason that the CRL will show.
    pub reason: Reason,
    /// For the ledger: which event led to this.
    pub detail: String,
}

/// Which certificates are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All certificates of this device. It gets no further certificate until an admin lifts that.
    Device(String),
    /// One certificate.
    Certificate {
        /// The issuer's distinguished name (RFC 4514).
        issuer: String,
        /// Lower-case hex.
        serial_number: String,
    },
    /// One that this version of the contract does not name.
    Other(String),
}

/// Reasons of RFC 5280 §5.3.1 that make sense here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// None is said.
    Unspecified,
    /// The key may be in other hands: lost, stolen.
    KeyCompromise,
    /// The holder left or changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The device is no longer in use: retired, wiped.
    CessationOfOperation,
    /// One that this version of the contract does not name.
    Other(String),
}

/// A page of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What shall be done.
    pub actions: Vec<Action>,
    /// Where to go on. Kept by the host once the actions are safely stored; at most 4 KiB.
    pub cursor: Vec<u8>,
    /// More is waiting: ask again at once.
    pub more: bool,
    /// Open-ended facts for the host.
    pub attributes: Attributes,
}

impl Batch {
    /// The last page there is for now.
    pub fn last(actions: Vec<Action>, cursor: impl Into<Vec<u8>>) -> Self {
        Self { actions, cursor: cursor.into(), more: false, attributes: Attributes::new() }
    }

    /// A page after which more is waiting.
    pub fn more(actions: Vec<Action>, cursor: impl Into<Vec<u8>>) -> Self {
        Self { more: true, ..Self::last(actions, cursor) }
    }
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActionResult {
    /// The id that the plug-in gave.
    pub id: String,
    /// What became of it.
    pub kind: ResultKind,
    /// What the host knows beside.
    pub attributes: Attributes,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// It was done.
    Done,
    /// There was nothing to do: no such certificate, or already revoked.
    NothingToDo,
    /// Not done, and will not be: the text says why.
    Refused(String),
    /// Given up after repeated tries: the text says why.
    Failed(String),
    /// One that this version of the contract does not name.
    Other(String),
}
