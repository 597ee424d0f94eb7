//! The whole vocabulary. Adding a message means adding it here and to the exhaustive match of
//! the process that answers it.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::approval::{EnrolmentId, Kind, SealedApproval};
use crate::bytes_as_text::Bytes;
use crate::order::{EndedOrder, OrderToSign, SignedOrder};

/// What `serve` asks of `verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum VerifyRequest {
    /// Is this device who it claims to be?
    Verify(VerifyEnrolment),
    /// What became of an approved enrolment; at least once, in order per enrolment.
    Outcome(OutcomeRecord),
    /// The same of several; answered by [`VerifyReply::Each`].
    Outcomes(Vec<OutcomeRecord>),
    /// The device waits for this outcome, and some verifiers must hear of it first. Taken as
    /// [`VerifyRequest::Outcome`] is, which may come before or after; answered by
    /// [`VerifyReply::Told`].
    TellFirst(OutcomeRecord),
    /// A certificate that must be revoked.
    Order(RevocationOrder),
    /// A part of the list that [`VerifyReply::RevocationListNeeded`] asked for.
    RevocationList(RevocationListPart),
    /// Is the process well?
    Health,
}

/// A request that passed the profile, as `verify` needs it. `verify` parses the CSR itself and
/// takes the challenge from there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VerifyEnrolment {
    /// Profile name in the config.
    pub profile: String,
    /// What followed `/scep/<profile>` in the URL, decoded; empty if nothing.
    pub path_suffix: String,
    /// SCEP transaction ID as received, at most 255 octets.
    pub transaction_id: Bytes,
    /// Attempt of this enrolment, from 1.
    pub attempt: u32,
    /// Initial or renewal.
    pub kind: Kind,
    /// The PKCS#10 as received.
    pub csr: Bytes,
    /// Where the request came from, as far as known: an IP address or `unix`.
    pub source: String,
    /// For a renewal, and only then: what `verify` needs to validate it itself.
    pub renewal: Option<RenewalEvidence>,
}

/// A renewal as it came, with what opens it. `verify` checks all of it again: that `serve` calls a
/// request a renewal proves nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RenewalEvidence {
    /// The pkiMessage as received, signed by the current certificate.
    pub message: Bytes,
    /// The content key of its envelope. A secret.
    pub content_key: Bytes,
    /// When the CA made the newest revocation list that `serve` has, seconds since 1970 UTC.
    pub list_made: u64,
}

/// A part of a CA's revocation list. `verify` faces no CA, so `serve` fetches; `verify` checks
/// signature and currency itself, and never goes back to an older list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevocationListPart {
    /// Authority name in the config.
    pub authority: String,
    /// SHA-256 of the whole list.
    pub list_sha256: Bytes,
    /// Octets of the whole list.
    pub length: u64,
    /// Where this part begins; parts come in order.
    pub offset: u64,
    /// The part, at most [`RevocationListPart::LONGEST`] octets.
    pub octets: Bytes,
}

impl RevocationListPart {
    /// Most octets of one part: well below a frame, base64 included.
    pub const LONGEST: usize = 512 * 1024;
}

/// What `verify` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum VerifyReply {
    /// All verifiers approved; binding and approval are durable.
    Approved {
        /// What `sign` will want to see.
        sealed: SealedApproval,
    },
    /// Answer to [`VerifyRequest::TellFirst`].
    Told {
        /// True if every verifier that must hear of the outcome before the device does, has.
        all: bool,
    },
    /// At least one verifier refused. The reason is in the ledger, not here for the device.
    Denied {
        /// Stable code, for the log of `serve`.
        code: String,
    },
    /// A verifier wants more time.
    Pending {
        /// Seconds until asking again makes sense.
        retry_after: u32,
    },
    /// No decision could be made; nothing was bound, nothing was spent.
    Unavailable {
        /// Seconds until asking again makes sense.
        retry_after: u32,
        /// For the log.
        detail: String,
    },
    /// No decision could be made before a current revocation list of the profile's authority is
    /// here, no older than `serve` says its own is: send it, then ask again.
    RevocationListNeeded,
    /// One answer for each of several messages, in their order.
    Each(Vec<VerifyReply>),
    /// The message was taken and is durable.
    Done,
    /// Answer to [`VerifyRequest::Health`].
    Healthy {
        /// True if every component that a profile needs is loaded.
        ready: bool,
        /// What is not well, for admins.
        detail: Vec<String>,
    },
}

/// What `serve` and `verify` ask of `sign`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignRequest {
    /// Countersign the CSR that the seal approves. From `serve` only.
    Countersign {
        /// From `verify`, by way of `serve`.
        sealed: SealedApproval,
        /// The PKCS#10 as received.
        csr: Bytes,
    },
    /// What became of a signature. From `serve` only.
    Outcome(OutcomeRecord),
    /// The same of several; answered by [`SignReply::Each`].
    Outcomes(Vec<OutcomeRecord>),
    /// A refusal, for the ledger; capped per source and profile.
    Denied(DenialRecord),
    /// A certificate that must be revoked, for the ledger.
    Order(RevocationOrder),
    /// Sign a revocation order for the revoker. From `verify` only.
    SignOrder(OrderToSign),
    /// What became of a signed order. From `verify` only; at least once.
    OrderEnded(EndedOrder),
    /// Two people took back orders that were held, for the ledger. From `verify` only.
    OrdersWithdrawn {
        /// Who.
        people: String,
        /// Which orders.
        detail: String,
    },
    /// Signatures without an outcome. From `serve` only, at start.
    Unsettled,
    /// Is the process well?
    Health,
}

/// What `sign` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignReply {
    /// The signed message; ledger entry and these octets are durable.
    Countersigned {
        /// CMS SignedData over the untouched PKCS#10.
        cms: Bytes,
    },
    /// Answer to [`SignRequest::SignOrder`]: ledger entry and these octets are durable.
    OrderSigned(SignedOrder),
    /// Answer to [`SignRequest::SignOrder`]: the revocation fuse has blown, and holds until two
    /// people reset it.
    OrderHeld {
        /// For the log.
        detail: String,
    },
    /// Not signed, and asking again with the same seal will not help.
    Refused {
        /// Stable code, for the log of `serve`; the ledger has the same.
        code: String,
    },
    /// Not signed now: fuse, token, or store.
    Unavailable {
        /// Seconds until asking again makes sense.
        retry_after: u32,
        /// For the log.
        detail: String,
    },
    /// One answer for each of several messages, in their order.
    Each(Vec<SignReply>),
    /// The message was taken and is durable.
    Done,
    /// Answer to [`SignRequest::Unsettled`].
    Unsettled(Vec<Unsettled>),
    /// Answer to [`SignRequest::Health`].
    Healthy {
        /// True if the process would sign.
        ready: bool,
        /// What is not well, for admins.
        detail: Vec<String>,
    },
}

/// A signature whose outcome `sign` was not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Unsettled {
    /// Which enrolment.
    pub enrolment: EnrolmentId,
    /// Which attempt of it.
    pub attempt: u32,
    /// The profile that it was signed for: its end must name the same.
    pub profile: String,
    /// When it was signed, seconds since 1970 UTC.
    pub signed_at: u64,
}

/// How an approved enrolment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// The CA issued and the check passed: the certificate is the device's.
    Issued,
    /// The CA refused definitely; nothing was issued.
    Refused,
    /// The CA issued what was not approved; withheld and ordered revoked.
    Withheld,
    /// The signed octets were never submitted, and never will be.
    Abandoned,
}

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OutcomeRecord {
    /// Which enrolment.
    pub enrolment: EnrolmentId,
    /// Which attempt of it.
    pub attempt: u32,
    /// Profile name.
    pub profile: String,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// The certificate, where one was issued.
    pub certificate: Option<Bytes>,
    /// Stable code of the reason, where one is worth keeping; never device-supplied text.
    pub code: Option<String>,
}

/// A refusal that a stranger could provoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DenialRecord {
    /// Station that refused: `admit`, `verify`.
    pub station: String,
    /// Profile name.
    pub profile: String,
    /// Stable code.
    pub code: String,
    /// For the admin; bounded and escaped by the ledger.
    pub detail: String,
    /// SHA-256 of the CSR.
    pub csr_sha256: Option<Bytes>,
    /// Names the CSR asked for, textual form.
    pub names: Vec<String>,
    /// Where the request came from.
    pub source: String,
}

/// A certificate that must be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevocationOrder {
    /// Enrolment that led to it.
    pub enrolment: EnrolmentId,
    /// Attempt of it.
    pub attempt: u32,
    /// Profile name.
    pub profile: String,
    /// Authority name in the config.
    pub authority: String,
    /// SHA-256 of the certificate's DER.
    pub certificate_sha256: Bytes,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// Stable code of the reason, such as `check-failed`.
    pub reason: String,
}

/// What people ask of a process through its admin socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdminRequest {
    /// Readiness and findings. Any process.
    Status,
    /// Prometheus text. Any process.
    Metrics,
    /// Enrolments, newest first. `serve`.
    Requests {
        /// At most so many, up to 1000.
        limit: u32,
    },
    /// One enrolment by (a prefix of) its identity. `serve`.
    Request {
        /// Hexadecimal, at least 8 digits.
        enrolment: String,
    },
    /// Issue a one-time challenge. `verify`.
    IssueChallenge {
        /// Profile it is for.
        profile: String,
        /// Names it vouches for, textual form.
        names: Vec<String>,
        /// What the MDM calls the device.
        device_id: Option<String>,
        /// Seconds until it dies; bounded by the profile.
        ttl: u32,
    },
    /// Installed plug-ins, their digests, powers and state. `verify`.
    Plugins,
    /// Devices that get no further certificate. `verify`.
    Tombstones,
    /// Let a device have certificates again. `verify`.
    LiftTombstone {
        /// The plug-in that placed it.
        plugin: String,
        /// The device, in the words of its management.
        device_id: String,
    },
    /// What could not be told to device managements and was given up. `verify`.
    DeadLetters,
    /// Tell it again. `verify`.
    Resend {
        /// As [`AdminRequest::DeadLetters`] lists it.
        id: String,
    },
    /// Revocation orders not carried out. `verify`.
    Orders,
    /// Orders that came to nothing, and certificates of devices that their management no longer
    /// knows. `verify`.
    Orphans,
    /// Order certificates revoked by hand. `verify`.
    Revoke {
        /// One certificate, by its serial number, hexadecimal; or
        serial: Option<String>,
        /// all certificates of a device, in the words of its management.
        device_id: Option<String>,
        /// Why, in the words of RFC 5280 §5.3.1.
        reason: String,
        /// Who asks, in the lab only.
        person: Option<String>,
    },
    /// Take back orders that `sign` holds. Needs two people. `verify`.
    WithdrawOrders {
        /// Those of this plug-in only.
        plugin: Option<String>,
        /// Who asks, in the lab only.
        person: Option<String>,
    },
    /// The revocation fuse. `sign`.
    FuseStatus,
    /// Reset the revocation fuse. Needs two people, who ask for the same. `sign`.
    FuseReset {
        /// So many orders go through at once, whatever the limits.
        let_through: u32,
        /// Who asks, in the lab only.
        person: Option<String>,
    },
    /// The public half of the key that signs revocation orders, PEM. `sign`.
    OrderKey,
    /// Ledger entries, oldest first. `sign`.
    Ledger {
        /// First index.
        from: u64,
        /// At most so many, up to 1000.
        limit: u32,
        /// Only those that name this enrolment.
        enrolment: Option<EnrolmentId>,
    },
    /// Write a checkpoint now and return it. `sign`.
    Checkpoint,
}

/// What a process answers a person.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdminReply {
    /// Facts, in the shape that the command's `--format json` prints.
    Facts(serde_json::Value),
    /// A fresh challenge. Shown once; only its MAC is kept.
    Challenge {
        /// The challenge.
        text: Zeroizing<String>,
        /// When it dies, seconds since 1970 UTC.
        expires_at: u64,
    },
    /// Plain text, such as metrics or a checkpoint.
    Text(String),
    /// Not done.
    Refused {
        /// What was expected, what came, what to do.
        message: String,
    },
}

impl fmt::Debug for AdminReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Facts(facts) => f.debug_tuple("Facts").field(facts).finish(),
            Self::Challenge { expires_at, .. } => {
                f.debug_struct("Challenge").field("expires_at", expires_at).finish_non_exhaustive()
            }
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Refused { message } => {
                f.debug_struct("Refused").field("message", message).finish()
            }
        }
    }
}
