//! Certificate templates, and the ways a template can be told to misbehave.

use serde::{Deserialize, Serialize};

/// `id-kp-clientAuth`.
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
/// `id-kp-serverAuth`.
pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
/// Certificate Request Agent: what lets a certificate countersign requests.
pub const CERTIFICATE_REQUEST_AGENT: &str = "1.3.6.1.4.1.311.20.2.1";

/// What the CA issues under one name, and to whom. The defaults are those of a template as an admin
/// would make it for Countersign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Template {
    /// The name requests give (`CertificateTemplate`), compared without case.
    pub name: String,
    /// The template's own object identifier, for the extension 1.3.6.1.4.1.311.21.7.
    pub oid: String,
    /// Authorised signatures demanded (`msPKI-RA-Signature`): 0 or 1.
    pub authorised_signatures: u32,
    /// Under submission until a certificate manager approves.
    pub pending: bool,
    /// The subject is taken from the request; else it must be empty there, and `CN=<requester>` is
    /// issued.
    pub subject_in_request: bool,
    /// Smallest RSA key, bits.
    pub minimum_rsa_bits: u32,
    /// Whether keys on P-256, P-384 and P-521 are taken too.
    pub elliptic_curves: bool,
    /// How long a certificate is valid, days.
    pub validity_days: u32,
    /// Extended key usages, dotted.
    pub extended_key_usages: Vec<String>,
    /// Accounts that may enrol (user name, or common name of the client certificate). Empty: all.
    pub enrollers: Vec<String>,
    /// Common names of EA certificates that may countersign (the CA's enrollment-agent
    /// restrictions). Empty: every EA.
    pub agents: Vec<String>,
    /// How this template misbehaves. Empty: not at all.
    pub misbehave: Vec<Misbehave>,
}

/// One misbehaviour and how often it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Misbehave {
    /// What happens.
    pub what: Misbehaviour,
    /// How many times; always if not set. Counted by the serving process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// What a CA, or whoever poses as one, can do wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Misbehaviour {
    /// Issues with this DNS name as the only SAN.
    OtherSan {
        /// The name.
        dns: String,
    },
    /// Issues with this subject common name.
    OtherSubject {
        /// The name.
        common_name: String,
    },
    /// Issues with this extended key usage beside the template's.
    ExtraEku {
        /// Dotted.
        oid: String,
    },
    /// Issues for this many days, whatever the template says.
    OtherValidity {
        /// Days.
        days: u32,
    },
    /// Issues a certificate that ends so soon: for tests of what happens afterwards.
    EndsIn {
        /// Seconds.
        seconds: u64,
    },
    /// Issues for another public key than the request's.
    OtherKey,
    /// Issues a CA certificate.
    CertificateAuthority,
    /// Issues with an extension nobody asked for.
    ExtraExtension {
        /// Dotted.
        oid: String,
        /// The value's DER, hexadecimal.
        value: String,
        /// Marked critical.
        critical: bool,
    },
    /// Issues under another CA's name and key.
    OtherIssuer,
    /// Issues to requests that nobody countersigned.
    AcceptUncountersigned,
    /// Issues, and closes the connection instead of answering.
    LoseAnswer,
    /// Answers late.
    AnswerSlowly {
        /// How late, milliseconds.
        milliseconds: u64,
    },
    /// Issues nothing, and answers this in place of SOAP.
    AnswerInstead {
        /// HTTP status.
        status: u16,
        /// Header fields, name and value.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Issues, and answers this in place of SOAP.
    AnswerInsteadAfterIssuing {
        /// HTTP status.
        status: u16,
        /// Header fields, name and value.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Refuses with this code, whatever the request is.
    Refuse {
        /// An HRESULT, such as 2148091913 for 0x80094809.
        hresult: u32,
    },
}

impl Template {
    /// A template of that name with the defaults of this type.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The same, under submission until approved.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.pending = true;
        self
    }

    /// The same, misbehaving always.
    #[must_use]
    pub fn that(mut self, what: Misbehaviour) -> Self {
        self.misbehave.push(Misbehave { what, times: None });
        self
    }

    /// The same, misbehaving the first time only.
    #[must_use]
    pub fn that_once(mut self, what: Misbehaviour) -> Self {
        self.misbehave.push(Misbehave { what, times: Some(1) });
        self
    }
}

impl Default for Template {
    fn default() -> Self {
        Self {
            name: String::new(),
            oid: "1.3.6.1.4.1.311.21.8.1.2.3.4".into(),
            authorised_signatures: 1,
            pending: false,
            subject_in_request: true,
            minimum_rsa_bits: 2048,
            elliptic_curves: true,
            validity_days: 365,
            extended_key_usages: vec![CLIENT_AUTH.into()],
            enrollers: Vec::new(),
            agents: Vec::new(),
            misbehave: Vec::new(),
        }
    }
}
