//! The error codes of AD CS, each with what it means and what to do.

use std::fmt;

/// A Windows error code as a CA reports it. Displayed as hexadecimal (`0x80094809`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hresult(pub u32);

/// What is known about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) name: &'static str,
    pub(crate) explanation: &'static str,
    pub(crate) remedy: &'static str,
}

impl Hresult {
    /// The request lacks the countersignature the template demands.
    pub const SIGNATURE_POLICY_REQUIRED: Self = Self(0x8009_4809);
    /// The request carries fewer authorised signatures than the template demands.
    pub const SIGNATURE_COUNT: Self = Self(0x8009_480A);

    /// From the signed decimal in a WSTEP fault (MS-WSTEP §3.1.4.1.3.7, `ErrorCode` is `xs:int`).
    #[must_use]
    pub fn from_signed(code: i32) -> Self {
        Self(code.cast_unsigned())
    }

    /// The symbolic name, or `unknown`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.meaning().name
    }

    pub(crate) fn meaning(self) -> Meaning {
        MEANINGS
            .iter()
            .find(|(code, ..)| *code == self.0)
            .map_or(UNKNOWN, |(_, name, explanation, remedy)| Meaning { name, explanation, remedy })
    }

    /// Codes that say the CA itself was not reached or did not take the request: the enrolment web
    /// service answered, the CA behind it did not act.
    pub(crate) fn is_not_processed(self) -> bool {
        matches!(
            self.0,
            0x8009_4006 // CERTSRV_E_SERVER_SUSPENDED
                | 0x8009_400F // CERTSRV_E_NO_DB_SESSIONS
                | 0x8007_06BA // RPC_S_SERVER_UNAVAILABLE
                | 0x8007_06BB // RPC_S_SERVER_TOO_BUSY
                | 0x8007_06BF // RPC_S_CALL_FAILED_DNE
        )
    }

    /// Codes by which the CA (or certificate checking for it) decided. Anything else, such as a
    /// failed remote call or an unspecified failure, may have struck after the CA issued.
    pub(crate) fn is_refusal(self) -> bool {
        const SECURITY: u32 = 9;
        const CERTIFICATE: u32 = 11;
        const BROKEN_CALL: u32 = 0x8007_06BE;
        let facility = (self.0 >> 16) & 0x7ff;
        matches!(facility, SECURITY | CERTIFICATE)
            || (self.meaning() != UNKNOWN && self.0 != BROKEN_CALL)
    }
}

impl fmt::Display for Hresult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#010x}", self.0)
    }
}

impl fmt::Debug for Hresult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self} {}", self.name())
    }
}

const UNKNOWN: Meaning = Meaning {
    name: "unknown",
    explanation: "The CA refused with a code that is not in our table.",
    remedy: "Look the code up (certutil -error CODE on Windows) and see the CA's failed requests.",
};

const TEMPLATE: &str = "Check the template's name in the profile, and that the CA publishes it (certutil -CATemplates on the CA).";
const AGENT: &str = "Check that the EA certificate is current and was issued by a CA this CA trusts (NTAuth store).";
const REVOCATION: &str = "Check that the CA can fetch the CRL of whoever issued the EA certificate, and that it is current.";

/// Code, name, meaning, remedy: winerror.h, MS-WCCE §2.2.1.
const MEANINGS: &[(u32, &str, &str, &str)] = &[
    (
        0x8009_4001,
        "CERTSRV_E_BAD_REQUESTSUBJECT",
        "The request's subject name is invalid or too long for the CA.",
        "Check the subject the device asks for; the CA's policy log has the attribute.",
    ),
    (
        0x8009_4003,
        "CERTSRV_E_BAD_REQUESTSTATUS",
        "The request is not in a state that allows this.",
        "See the request on the CA; it may have been denied or resubmitted by hand.",
    ),
    (
        0x8009_4004,
        "CERTSRV_E_PROPERTY_EMPTY",
        "The CA has no such request or property.",
        "Check that the request number belongs to this CA and was not purged from its database.",
    ),
    (
        0x8009_4006,
        "CERTSRV_E_SERVER_SUSPENDED",
        "The CA service is paused or has no valid CRL.",
        "Start the CA service, and publish its CRL.",
    ),
    (
        0x8009_4009,
        "CERTSRV_E_RESTRICTEDOFFICER",
        "The CA's enrollment-agent restrictions do not let our EA certificate sign for this template or subject.",
        "On the CA: Properties, Enrollment Agents: allow our EA for this template and these subjects.",
    ),
    (
        0x8009_400F,
        "CERTSRV_E_NO_DB_SESSIONS",
        "The CA has no free database session.",
        "The CA is overloaded; try again later.",
    ),
    (
        0x8009_4011,
        "CERTSRV_E_ENROLL_DENIED",
        "Our account may not request certificates from this CA.",
        "On the CA: Properties, Security: grant Request Certificates to our account.",
    ),
    (
        0x8009_4012,
        "CERTSRV_E_TEMPLATE_DENIED",
        "Our account may not enrol for this template.",
        "On the template's Security tab grant Read and Enroll to our account.",
    ),
    (
        0x8009_4014,
        "CERTSRV_E_ADMIN_DENIED_REQUEST",
        "A certificate manager or the CA's policy module denied the request.",
        "Ask the CA's managers; the failed request on the CA carries their reason.",
    ),
    (
        0x8009_4016,
        "CERTSRV_E_WEAK_SIGNATURE_OR_KEY",
        "The CA holds a signature or key in the request for too weak.",
        "Check the device's key size and hash, and the EA signature's hash.",
    ),
    (
        0x8009_4800,
        "CERTSRV_E_UNSUPPORTED_CERT_TYPE",
        "The CA does not know or not publish the template.",
        TEMPLATE,
    ),
    (0x8009_4801, "CERTSRV_E_NO_CERT_TYPE", "The request names no template.", TEMPLATE),
    (
        0x8009_4802,
        "CERTSRV_E_TEMPLATE_CONFLICT",
        "The request itself names another template than the submission.",
        "Refuse template extensions in the profile's limits, or set the device to the profile's template.",
    ),
    (
        0x8009_4807,
        "CERTSRV_E_BAD_TEMPLATE_VERSION",
        "The request was made for an older version of the template.",
        "Renew the device's request; template version in the request and on the CA must match.",
    ),
    (
        0x8009_4809,
        "CERTSRV_E_SIGNATURE_POLICY_REQUIRED",
        "The template demands a signature with a policy that the request's signature lacks.",
        "Check that the EA certificate carries Certificate Request Agent (1.3.6.1.4.1.311.20.2.1), and that the template's issuance requirements ask for just that.",
    ),
    (
        0x8009_480A,
        "CERTSRV_E_SIGNATURE_COUNT",
        "The template demands more authorised signatures than the request carries.",
        "Set the template's number of authorised signatures to 1.",
    ),
    (
        0x8009_480B,
        "CERTSRV_E_SIGNATURE_REJECTED",
        "The CA rejected a signature in the request.",
        AGENT,
    ),
    (
        0x8009_480C,
        "CERTSRV_E_ISSUANCE_POLICY_REQUIRED",
        "The template demands an issuance policy that the signature's certificate lacks.",
        "Ask on the template for the application policy Certificate Request Agent only, or issue the EA certificate with that policy.",
    ),
    (
        0x8009_480F,
        "CERTSRV_E_SUBJECT_DNS_REQUIRED",
        "The template takes the name from Active Directory and finds no DNS name there.",
        "Set the template's subject name to Supply in the request.",
    ),
    (
        0x8009_4811,
        "CERTSRV_E_KEY_LENGTH",
        "The device's key is smaller than the template's minimum.",
        "Set the profile's minimum key size to the template's, and the devices' too.",
    ),
    (
        0x8009_4815,
        "CERTSRV_E_TOO_MANY_SIGNATURES",
        "The request carries more signatures than the CA takes.",
        "Report this: Countersign signs once.",
    ),
    (
        0x8009_0003,
        "NTE_BAD_KEY",
        "The CA cannot use the device's key.",
        "Limit the profile's key types to those the template's provider takes.",
    ),
    (
        0x8009_0006,
        "NTE_BAD_SIGNATURE",
        "A signature in the request does not verify.",
        "The bytes were altered on the way or the EA key and certificate do not belong together; run countersign keys status.",
    ),
    (
        0x8009_1007,
        "CRYPT_E_HASH_VALUE",
        "The digest in the CMS does not match its content.",
        "The bytes were altered on the way; look for a proxy that rewrites bodies.",
    ),
    (
        0x8009_100E,
        "CRYPT_E_SIGNER_NOT_FOUND",
        "The CMS does not carry the certificate of its signer.",
        "Report this: Countersign sends the EA certificate in every request.",
    ),
    (
        0x8009_2010,
        "CRYPT_E_REVOKED",
        "The EA certificate is revoked.",
        "Find out why before anything else; then countersign keys init makes a new EA key.",
    ),
    (
        0x8009_2012,
        "CRYPT_E_NO_REVOCATION_CHECK",
        "The CA could not check whether the EA certificate is revoked.",
        REVOCATION,
    ),
    (
        0x8009_2013,
        "CRYPT_E_REVOCATION_OFFLINE",
        "The CA could not fetch the CRL for the EA certificate.",
        REVOCATION,
    ),
    (
        0x8009_310B,
        "CRYPT_E_ASN1_BADTAG",
        "The CA could not decode the request.",
        "Look for a proxy that rewrites bodies; else report this with the request's SHA-256.",
    ),
    (
        0x800B_0101,
        "CERT_E_EXPIRED",
        "The EA certificate is not valid now.",
        "Renew the EA certificate (countersign keys status shows its end), or correct the clocks.",
    ),
    (
        0x800B_0109,
        "CERT_E_UNTRUSTEDROOT",
        "The CA does not trust the root above the EA certificate.",
        AGENT,
    ),
    (0x800B_010A, "CERT_E_CHAINING", "The CA cannot build a chain for the EA certificate.", AGENT),
    (
        0x800B_010C,
        "CERT_E_REVOKED",
        "The EA certificate is revoked.",
        "Find out why before anything else; then countersign keys init makes a new EA key.",
    ),
    (
        0x800B_010E,
        "CERT_E_REVOCATION_FAILURE",
        "The CA could not check whether the EA certificate is revoked.",
        REVOCATION,
    ),
    (
        0x800B_0110,
        "CERT_E_WRONG_USAGE",
        "The EA certificate is not valid for signing requests.",
        "Issue the EA certificate with Certificate Request Agent (1.3.6.1.4.1.311.20.2.1).",
    ),
    (
        0x800B_0112,
        "CERT_E_UNTRUSTEDCA",
        "The issuer of the EA certificate is not in the NTAuth store.",
        AGENT,
    ),
    (
        0x8007_0005,
        "E_ACCESSDENIED",
        "The enrolment web service's account may not ask the CA on our behalf.",
        "Check the service account's delegation to the CA, and our account's permission on the CA.",
    ),
    (0x8007_0057, "E_INVALIDARG", "The CA found an argument of the submission invalid.", TEMPLATE),
    (
        0x8007_06BA,
        "RPC_S_SERVER_UNAVAILABLE",
        "The enrolment web service cannot reach its CA.",
        "Start the CA service, and check the path between web service and CA.",
    ),
    (
        0x8007_06BE,
        "RPC_S_CALL_FAILED",
        "The call from the enrolment web service to its CA broke off.",
        "Look on the CA whether a certificate was issued.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_in_the_documents_have_their_names() {
        assert_eq!(Hresult::from_signed(-2_146_877_431), Hresult(0x8009_4009));
        assert_eq!(Hresult::from_signed(-2_146_877_431).name(), "CERTSRV_E_RESTRICTEDOFFICER");
        assert_eq!(Hresult::from_signed(-2_146_875_385).name(), "CERTSRV_E_BAD_TEMPLATE_VERSION");
    }

    #[test]
    fn a_code_that_is_not_known_is_shown_as_hexadecimal() {
        let odd = Hresult(0x8009_4FFF);
        assert_eq!(odd.to_string(), "0x80094fff");
        assert_eq!(odd.name(), "unknown");
    }

    #[test]
    fn no_code_stands_twice_in_the_table() {
        let mut codes: Vec<u32> = MEANINGS.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        let before = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), before);
    }
}
