//! Message types, statuses and reasons of failure (RFC 8894 §3.2.1).

use std::fmt;

/// What a pkiMessage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// 3: the answer to any request.
    CertRep,
    /// 17: a PKCS#10 signed with a certificate that is to be renewed.
    RenewalReq,
    /// 19: a PKCS#10 from a device that has no certificate yet (or of a client that renews so).
    PkcsReq,
    /// 20: asks again for what was pending (older name: GetCertInitial).
    CertPoll,
    /// 21: asks for a certificate by issuer and serial.
    GetCert,
    /// 22: asks for a CRL.
    GetCrl,
}

impl MessageType {
    /// Every message type there is.
    pub const ALL: [MessageType; 6] = [
        MessageType::CertRep,
        MessageType::RenewalReq,
        MessageType::PkcsReq,
        MessageType::CertPoll,
        MessageType::GetCert,
        MessageType::GetCrl,
    ];

    /// The number, as the decimal text that travels.
    pub fn number(self) -> &'static str {
        match self {
            MessageType::CertRep => "3",
            MessageType::RenewalReq => "17",
            MessageType::PkcsReq => "19",
            MessageType::CertPoll => "20",
            MessageType::GetCert => "21",
            MessageType::GetCrl => "22",
        }
    }

    /// The name, `PKCSReq`.
    pub fn name(self) -> &'static str {
        match self {
            MessageType::CertRep => "CertRep",
            MessageType::RenewalReq => "RenewalReq",
            MessageType::PkcsReq => "PKCSReq",
            MessageType::CertPoll => "CertPoll",
            MessageType::GetCert => "GetCert",
            MessageType::GetCrl => "GetCRL",
        }
    }

    /// The type of this number; nothing but the exact decimal text is one.
    pub(crate) fn from_number(text: &[u8]) -> Option<MessageType> {
        Self::ALL.into_iter().find(|kind| kind.number().as_bytes() == text)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A message type that asks for something: every one but CertRep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestType {
    /// See [`MessageType::RenewalReq`].
    RenewalReq,
    /// See [`MessageType::PkcsReq`].
    PkcsReq,
    /// See [`MessageType::CertPoll`].
    CertPoll,
    /// See [`MessageType::GetCert`].
    GetCert,
    /// See [`MessageType::GetCrl`].
    GetCrl,
}

impl RequestType {
    /// Every request type there is.
    pub const ALL: [RequestType; 5] = [
        RequestType::RenewalReq,
        RequestType::PkcsReq,
        RequestType::CertPoll,
        RequestType::GetCert,
        RequestType::GetCrl,
    ];
}

impl From<RequestType> for MessageType {
    fn from(kind: RequestType) -> Self {
        match kind {
            RequestType::RenewalReq => MessageType::RenewalReq,
            RequestType::PkcsReq => MessageType::PkcsReq,
            RequestType::CertPoll => MessageType::CertPoll,
            RequestType::GetCert => MessageType::GetCert,
            RequestType::GetCrl => MessageType::GetCrl,
        }
    }
}

impl TryFrom<MessageType> for RequestType {
    type Error = NotARequest;

    fn try_from(kind: MessageType) -> Result<Self, NotARequest> {
        match kind {
            MessageType::CertRep => Err(NotARequest),
            MessageType::RenewalReq => Ok(RequestType::RenewalReq),
            MessageType::PkcsReq => Ok(RequestType::PkcsReq),
            MessageType::CertPoll => Ok(RequestType::CertPoll),
            MessageType::GetCert => Ok(RequestType::GetCert),
            MessageType::GetCrl => Ok(RequestType::GetCrl),
        }
    }
}

impl fmt::Display for RequestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MessageType::from(*self).name())
    }
}

/// A CertRep is an answer, not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a CertRep is an answer and cannot be a request")]
pub struct NotARequest;

/// How a request went (RFC 8894 §3.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PkiStatus {
    /// 0: the certificate is inside.
    Success,
    /// 2: refused; [`FailInfo`] says why.
    Failure,
    /// 3: ask again later.
    Pending,
}

impl PkiStatus {
    /// The number, as the decimal text that travels.
    pub fn number(self) -> &'static str {
        match self {
            PkiStatus::Success => "0",
            PkiStatus::Failure => "2",
            PkiStatus::Pending => "3",
        }
    }

    pub(crate) fn from_number(text: &[u8]) -> Option<PkiStatus> {
        [PkiStatus::Success, PkiStatus::Failure, PkiStatus::Pending]
            .into_iter()
            .find(|status| status.number().as_bytes() == text)
    }
}

/// Why a request failed (RFC 8894 §3.2.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailInfo {
    /// 0: an algorithm that is not taken.
    BadAlg,
    /// 1: signature, integrity or decryption failed.
    BadMessageCheck,
    /// 2: not permitted, or not supported.
    BadRequest,
    /// 3: signingTime too far off. Never sent by us; old servers do.
    BadTime,
    /// 4: no certificate of that name.
    BadCertId,
}

impl FailInfo {
    /// The number, as the decimal text that travels.
    pub fn number(self) -> &'static str {
        match self {
            FailInfo::BadAlg => "0",
            FailInfo::BadMessageCheck => "1",
            FailInfo::BadRequest => "2",
            FailInfo::BadTime => "3",
            FailInfo::BadCertId => "4",
        }
    }

    /// The name, `badMessageCheck`.
    pub fn name(self) -> &'static str {
        match self {
            FailInfo::BadAlg => "badAlg",
            FailInfo::BadMessageCheck => "badMessageCheck",
            FailInfo::BadRequest => "badRequest",
            FailInfo::BadTime => "badTime",
            FailInfo::BadCertId => "badCertId",
        }
    }

    pub(crate) fn from_number(text: &[u8]) -> Option<FailInfo> {
        [
            FailInfo::BadAlg,
            FailInfo::BadMessageCheck,
            FailInfo::BadRequest,
            FailInfo::BadTime,
            FailInfo::BadCertId,
        ]
        .into_iter()
        .find(|info| info.number().as_bytes() == text)
    }
}

impl fmt::Display for FailInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
