//! Intune's codes and what they mean to an admin.

use countersign_sdk::DenialCode;

/// The denial that a code stands for, and what to do; none for a code that is not documented.
pub(crate) fn of(code: &str) -> Option<(DenialCode, &'static str)> {
    let other = |word: &str| DenialCode::Other(word.to_owned());
    Some(match code {
        "Unknown" => (
            other("intune-unknown"),
            "Intune failed and does not say why; the device asks again, and Microsoft's support \
             finds the call by its id",
        ),
        "CertificateRequestDecodingFailed" => (
            other("request-not-decoded"),
            "Intune cannot read the PKCS#10: look at the device's SCEP client",
        ),
        "ChallengePasswordMissing" => (
            DenialCode::ChallengeMissing,
            "the request holds no challenge for Intune: it does not come by an SCEP profile",
        ),
        "ChallengeDeserializationError" => (
            DenialCode::ChallengeUnknown,
            "the challenge is none of Intune's: cut short, or made up",
        ),
        "ChallengeDecryptionError" => (
            DenialCode::ChallengeUnknown,
            "the challenge was not made for this tenant: compare the tenant of the credentials with \
             that of the device",
        ),
        "ChallengeDecodingError" => (
            DenialCode::ChallengeUnknown,
            "the challenge is none of Intune's: damaged on its way, or made up",
        ),
        "ChallengeInvalidTimestamp" => {
            (DenialCode::ChallengeUnknown, "the challenge's time makes no sense: it was altered")
        }
        "ChallengeExpired" => (
            DenialCode::ChallengeExpired,
            "the challenge is older than an hour: the device gets a new one when it checks in",
        ),
        "SubjectNameMissing" => {
            (DenialCode::NameMismatch, "the SCEP profile asks for a subject, the request has none")
        }
        "SubjectNameMismatch" => (
            DenialCode::NameMismatch,
            "the subject is not the one of the SCEP profile: somebody else's challenge, or the \
             device's name changed since it was made",
        ),
        "SubjectAltNameMissing" => (
            DenialCode::NameMismatch,
            "the SCEP profile asks for subject alternative names, the request has none",
        ),
        "SubjectAltNameMismatch" => (
            DenialCode::NameMismatch,
            "the subject alternative names are not those of the SCEP profile",
        ),
        "KeyUsageMismatch" => {
            (other("key-usage-mismatch"), "the key usage is not the one of the SCEP profile")
        }
        "KeyLengthMismatch" => (
            other("key-length-mismatch"),
            "the length of the key is not the one of the SCEP profile",
        ),
        "EnhancedKeyUsageMissing" => (
            other("extended-key-usage-missing"),
            "the SCEP profile asks for extended key usages, the request has none",
        ),
        "EnhancedKeyUsageMismatch" => (
            other("extended-key-usage-mismatch"),
            "the extended key usages are not those of the SCEP profile",
        ),
        "AadKeyIdentifierListMissing" => (
            other("registered-key-missing"),
            "Intune knows no key that this device is registered with: register it anew in Entra ID",
        ),
        "RegisteredKeyMismatch" => (
            other("registered-key-mismatch"),
            "the key is not the one that the device is registered with: register it anew in Entra \
             ID, and if that is not it, suspect a stolen challenge",
        ),
        "SigningCertThumbprintMismatch" => (
            other("signing-certificate-mismatch"),
            "the challenge was signed with another certificate than Intune's present one: the \
             device gets a new challenge when it checks in",
        ),
        "ScepProfileNoLongerTargetedToTheClient" => (
            DenialCode::DeviceNotPermitted,
            "the SCEP profile is not assigned to this device or user any more: assign it, or leave \
             it so",
        ),
        "SignatureValidationFailed" => (
            DenialCode::ChallengeUnknown,
            "the challenge's signature does not hold: it was altered or made up",
        ),
        "BadCertificateRequestIdInChallenge" => (
            DenialCode::ChallengeUnknown,
            "the challenge is for another request than Intune waits for: the device gets a new one \
             when it checks in",
        ),
        "BadDeviceIdInChallenge" => (
            DenialCode::DeviceUnknown,
            "Intune does not know the device in the challenge: it was removed, or enrolled anew",
        ),
        "BadUserIdInChallenge" => (
            other("user-unknown"),
            "Intune does not know the user in the challenge: removed, or without a licence",
        ),
        _ => return None,
    })
}
