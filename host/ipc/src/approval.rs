//! The sealed approval: what `verify` approved, in canonical octets, under a MAC.
//!
//! `serve` carries it and reads it but cannot make one: the key is known to `verify` and `sign`
//! only. `sign` believes nothing that is not under the MAC.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::bytes_as_text::Bytes;

/// First octets of every approval: protocol and version, so that a MAC made for something else
/// can never be read as one.
const DOMAIN: &[u8] = b"countersign approval 1\n";

/// No approval is larger than this; read before anything is parsed.
const MAX_APPROVAL: usize = 256 * 1024;

/// Identity of an enrolment: SHA-256 over profile, transaction ID, hash of the
/// CertificationRequestInfo and hash of the current certificate or none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnrolmentId(pub [u8; 32]);

impl EnrolmentId {
    /// The identity of the enrolment that asks for `info_sha256` under `transaction_id`.
    ///
    /// Strangers see transaction IDs in clear, so the ID alone identifies nothing: the same ID
    /// with another request is another enrolment.
    #[must_use]
    pub fn of(
        profile: &str,
        transaction_id: &[u8],
        info_sha256: &[u8; 32],
        current_certificate_sha256: Option<&[u8; 32]>,
    ) -> Self {
        let mut canonical = Writer::new(b"countersign enrolment 1\n");
        canonical.octets(profile.as_bytes());
        canonical.octets(transaction_id);
        canonical.octets(info_sha256);
        canonical.optional(current_certificate_sha256.map(<[u8; 32]>::as_slice));
        Self(sha256(&canonical.0))
    }

    /// Lower-case hexadecimal, 64 characters.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for EnrolmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for EnrolmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl std::str::FromStr for EnrolmentId {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut id = [0_u8; 32];
        hex::decode_to_slice(text, &mut id).map_err(|_| SealError::Malformed)?;
        Ok(Self(id))
    }
}

impl Serialize for EnrolmentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for EnrolmentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// First certificate, or a new one on the strength of the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The device has no certificate yet, or does not show it.
    Initial,
    /// The device proves its current certificate.
    Renewal,
}

/// One verifier that approved, and why, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierRecord {
    /// Name of the plug-in in the config.
    pub plugin: String,
    /// SHA-256 of the component that ran.
    pub digest: [u8; 32],
    /// What it gave as evidence: pairs of short texts.
    pub evidence: Vec<(String, String)>,
}

/// Everything that was approved: `sign` signs nothing that is not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Which enrolment.
    pub enrolment: EnrolmentId,
    /// Attempt of that enrolment, from 1.
    pub attempt: u32,
    /// Initial or renewal.
    pub kind: Kind,
    /// Profile name in the config.
    pub profile: String,
    /// SHA-256 of the current certificate's DER, for a renewal.
    pub current_certificate_sha256: Option<[u8; 32]>,
    /// SHA-256 of the CSR's DER as received.
    pub csr_sha256: [u8; 32],
    /// SHA-256 of the CertificationRequestInfo as received.
    pub info_sha256: [u8; 32],
    /// The names approved, in the textual form of `profile::Name`, sorted.
    pub names: Vec<String>,
    /// What the MDM calls the device, if a verifier said so.
    pub device_id: Option<String>,
    /// Latest end of validity, seconds since 1970 UTC, if a verifier set one.
    pub latest_end: Option<u64>,
    /// The verifiers that approved, in the profile's order.
    pub verifiers: Vec<VerifierRecord>,
    /// SHA-256 of the config file under which the decision was made.
    pub config_digest: [u8; 32],
    /// When it was approved, seconds since 1970 UTC.
    pub approved_at: u64,
    /// After this second `sign` refuses it.
    pub expires_at: u64,
}

/// An approval's canonical octets and their MAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedApproval {
    approval: Bytes,
    mac: Bytes,
    /// Outside the seal, for `serve` alone: it is `serve` that answers devices, and no seal would hold
    /// it to this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tell_first: bool,
}

/// Why a sealed approval was not accepted. Deliberately coarse: the peer learns nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The MAC is not ours: forged, altered, or made under another key.
    #[error("the approval's seal is not valid")]
    Forged,
    /// The octets are not a canonical approval.
    #[error("the approval is not in canonical form")]
    Malformed,
    /// A key of another length than 32 octets.
    #[error("the approval key must hold exactly 32 octets")]
    Key,
}

/// The key shared by `verify` and `sign`, and by nobody else.
pub struct ApprovalKey(hmac::Key);

impl fmt::Debug for ApprovalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApprovalKey(..)")
    }
}

impl ApprovalKey {
    /// A key from exactly 32 secret octets.
    ///
    /// # Errors
    /// [`SealError::Key`] for any other length.
    pub fn new(secret: &Zeroizing<Vec<u8>>) -> Result<Self, SealError> {
        if secret.len() != 32 {
            return Err(SealError::Key);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// Seals `approval`.
    #[must_use]
    pub fn seal(&self, approval: &Approval) -> SealedApproval {
        let octets = approval.to_canonical();
        let mac = hmac::sign(&self.0, &octets).as_ref().to_vec();
        SealedApproval { approval: Bytes(octets), mac: Bytes(mac), tell_first: false }
    }

    /// Checks the seal in constant time, then reads what it covers.
    ///
    /// # Errors
    /// [`SealError::Forged`] before anything is parsed; [`SealError::Malformed`] if the octets
    /// under a good seal are not canonical, which no `verify` of ours makes.
    pub fn open(&self, sealed: &SealedApproval) -> Result<Approval, SealError> {
        hmac::verify(&self.0, &sealed.approval.0, &sealed.mac.0).map_err(|_| SealError::Forged)?;
        Approval::from_canonical(&sealed.approval.0)
    }
}

impl SealedApproval {
    /// Asks `serve` to have verifiers told of the outcome before the device is answered.
    #[must_use]
    pub fn telling_first(mut self, tell_first: bool) -> Self {
        self.tell_first = tell_first;
        self
    }

    /// Whether a verifier must hear of the outcome before the device does.
    #[must_use]
    pub fn must_tell_first(&self) -> bool {
        self.tell_first
    }

    /// What the approval says, without proof that it is one. For `serve`, which holds no key:
    /// good for comparing an issued certificate, never for deciding what to sign.
    ///
    /// # Errors
    /// [`SealError::Malformed`].
    pub fn read_unproven(&self) -> Result<Approval, SealError> {
        Approval::from_canonical(&self.approval.0)
    }

    /// SHA-256 over octets and MAC: names this very seal in the ledger.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let mut whole = Writer::new(b"");
        whole.octets(&self.approval.0);
        whole.octets(&self.mac.0);
        sha256(&whole.0)
    }
}

impl Approval {
    /// The one sequence of octets that stands for this approval: every field, length-prefixed.
    #[must_use]
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Writer::new(DOMAIN);
        out.octets(&self.enrolment.0);
        out.number(self.attempt.into());
        out.number(match self.kind {
            Kind::Initial => 0,
            Kind::Renewal => 1,
        });
        out.octets(self.profile.as_bytes());
        out.optional(self.current_certificate_sha256.as_ref().map(<[u8; 32]>::as_slice));
        out.octets(&self.csr_sha256);
        out.octets(&self.info_sha256);
        out.number(self.names.len() as u64);
        for name in &self.names {
            out.octets(name.as_bytes());
        }
        out.optional(self.device_id.as_deref().map(str::as_bytes));
        out.optional(self.latest_end.map(u64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        out.number(self.verifiers.len() as u64);
        for verifier in &self.verifiers {
            out.octets(verifier.plugin.as_bytes());
            out.octets(&verifier.digest);
            out.number(verifier.evidence.len() as u64);
            for (key, value) in &verifier.evidence {
                out.octets(key.as_bytes());
                out.octets(value.as_bytes());
            }
        }
        out.octets(&self.config_digest);
        out.number(self.approved_at);
        out.number(self.expires_at);
        out.0
    }

    /// Reads canonical octets; anything but exactly what [`Approval::to_canonical`] writes is
    /// refused.
    fn from_canonical(octets: &[u8]) -> Result<Self, SealError> {
        if octets.len() > MAX_APPROVAL {
            return Err(SealError::Malformed);
        }
        let mut input = Reader(octets.strip_prefix(DOMAIN).ok_or(SealError::Malformed)?);
        let approval = Self {
            enrolment: EnrolmentId(input.array()?),
            attempt: u32::try_from(input.number()?).map_err(|_| SealError::Malformed)?,
            kind: match input.number()? {
                0 => Kind::Initial,
                1 => Kind::Renewal,
                _ => return Err(SealError::Malformed),
            },
            profile: input.text()?,
            current_certificate_sha256: input.optional(Reader::array)?,
            csr_sha256: input.array()?,
            info_sha256: input.array()?,
            names: input.list(Reader::text)?,
            device_id: input.optional(Reader::text)?,
            latest_end: input.optional(|input| input.array().map(u64::from_be_bytes))?,
            verifiers: input.list(|input| {
                Ok(VerifierRecord {
                    plugin: input.text()?,
                    digest: input.array()?,
                    evidence: input.list(|input| Ok((input.text()?, input.text()?)))?,
                })
            })?,
            config_digest: input.array()?,
            approved_at: input.number()?,
            expires_at: input.number()?,
        };
        if input.0.is_empty() { Ok(approval) } else { Err(SealError::Malformed) }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(domain: &[u8]) -> Self {
        Self(domain.to_vec())
    }

    fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn octets(&mut self, octets: &[u8]) {
        self.number(octets.len() as u64);
        self.0.extend_from_slice(octets);
    }

    fn optional(&mut self, octets: Option<&[u8]>) {
        match octets {
            None => self.number(0),
            Some(octets) => {
                self.number(1);
                self.octets(octets);
            }
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SealError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SealError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, SealError> {
        let octets = self.take(8)?.try_into().map_err(|_| SealError::Malformed)?;
        Ok(u64::from_be_bytes(octets))
    }

    fn octets(&mut self) -> Result<&'a [u8], SealError> {
        let length = usize::try_from(self.number()?).map_err(|_| SealError::Malformed)?;
        self.take(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SealError> {
        self.octets()?.try_into().map_err(|_| SealError::Malformed)
    }

    fn text(&mut self) -> Result<String, SealError> {
        let octets = self.octets()?;
        std::str::from_utf8(octets).map(str::to_owned).map_err(|_| SealError::Malformed)
    }

    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SealError>,
    ) -> Result<Option<T>, SealError> {
        match self.number()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(SealError::Malformed),
        }
    }

    fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, SealError>,
    ) -> Result<Vec<T>, SealError> {
        let count = self.number()?;
        // Each element takes at least eight octets, so a count beyond that is a lie.
        if count > (self.0.len() as u64) / 8 {
            return Err(SealError::Malformed);
        }
        (0..count).map(|_| read(self)).collect()
    }
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut out = [0_u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(octet: u8) -> ApprovalKey {
        ApprovalKey::new(&Zeroizing::new(vec![octet; 32])).unwrap()
    }

    prop_compose! {
        fn approvals()(
            enrolment in any::<[u8; 32]>(),
            attempt in any::<u32>(),
            renewal in any::<Option<[u8; 32]>>(),
            profile in ".{0,12}",
            hashes in any::<([u8; 32], [u8; 32], [u8; 32])>(),
            names in prop::collection::vec(".{0,12}", 0..4),
            device_id in prop::option::of(".{0,12}"),
            latest_end in any::<Option<u64>>(),
            verifiers in prop::collection::vec(
                (".{0,8}", any::<[u8; 32]>(), prop::collection::vec((".{0,4}", ".{0,4}"), 0..3)),
                0..3,
            ),
            times in any::<(u64, u64)>(),
        ) -> Approval {
            Approval {
                enrolment: EnrolmentId(enrolment),
                attempt,
                kind: if renewal.is_some() { Kind::Renewal } else { Kind::Initial },
                profile,
                current_certificate_sha256: renewal,
                csr_sha256: hashes.0,
                info_sha256: hashes.1,
                names,
                device_id,
                latest_end,
                verifiers: verifiers
                    .into_iter()
                    .map(|(plugin, digest, evidence)| VerifierRecord { plugin, digest, evidence })
                    .collect(),
                config_digest: hashes.2,
                approved_at: times.0,
                expires_at: times.1,
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_what_opens(approval in approvals()) {
            let sealed = key(1).seal(&approval);
            prop_assert_eq!(key(1).open(&sealed), Ok(approval.clone()));
            prop_assert_eq!(sealed.read_unproven(), Ok(approval));
        }

        #[test]
        fn one_changed_octet_breaks_the_seal(
            approval in approvals(),
            place in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let mut sealed = key(1).seal(&approval);
            let at = place.index(sealed.approval.0.len());
            sealed.approval.0[at] ^= flip;
            prop_assert_eq!(key(1).open(&sealed), Err(SealError::Forged));
        }

        #[test]
        fn two_approvals_never_share_their_octets(a in approvals(), b in approvals()) {
            prop_assume!(a != b);
            prop_assert_ne!(a.to_canonical(), b.to_canonical());
        }

        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut with_domain = DOMAIN.to_vec();
            with_domain.extend_from_slice(&octets);
            for input in [&octets, &with_domain] {
                if let Ok(approval) = Approval::from_canonical(input) {
                    prop_assert_eq!(&approval.to_canonical(), input);
                }
            }
        }
    }

    #[test]
    fn a_seal_under_another_key_is_forged() {
        let approval = Approval {
            enrolment: EnrolmentId::of("p", b"t", &[1; 32], None),
            attempt: 1,
            kind: Kind::Initial,
            profile: "p".into(),
            current_certificate_sha256: None,
            csr_sha256: [2; 32],
            info_sha256: [1; 32],
            names: vec![],
            device_id: None,
            latest_end: None,
            verifiers: vec![],
            config_digest: [0; 32],
            approved_at: 0,
            expires_at: 0,
        };
        assert_eq!(key(2).open(&key(1).seal(&approval)), Err(SealError::Forged));
    }

    #[test]
    fn the_same_transaction_id_with_another_request_is_another_enrolment() {
        let one = EnrolmentId::of("p", b"t", &[1; 32], None);
        assert_ne!(one, EnrolmentId::of("p", b"t", &[2; 32], None));
        assert_ne!(one, EnrolmentId::of("p", b"t", &[1; 32], Some(&[0; 32])));
        assert_ne!(one, EnrolmentId::of("q", b"t", &[1; 32], None));
        assert_ne!(
            EnrolmentId::of("pt", b"", &[1; 32], None),
            EnrolmentId::of("p", b"t", &[1; 32], None)
        );
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(ApprovalKey::new(&Zeroizing::new(vec![0; 31])).is_err());
    }
}
