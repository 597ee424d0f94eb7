//! What the service answered: a disposition, a fault, or something that cannot be read.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use der::Decode;
use x509_cert::certificate::{CertificateInner, Raw};

use crate::disposition::{Disposition, RequestId};
use crate::error::AuthorityError;
use crate::hresult::Hresult;

use super::vocabulary as words;
use super::xml::{self, Element};

/// A SOAP answer, understood.
#[derive(Debug)]
pub(super) enum Reply {
    Disposition(Disposition),
    /// A fault; what it says about the request is in the error.
    Fault(AuthorityError),
}

/// Reads an answer to the message with this ID.
///
/// # Errors
/// In words, what is wrong with the bytes. What that means for the request depends on the question.
pub(super) fn read(bytes: &[u8], message_id: &str) -> Result<Reply, String> {
    let envelope =
        xml::read(bytes).map_err(|error| format!("the answer is not readable: {error}"))?;
    if !envelope.is(words::SOAP, "Envelope") {
        return Err(format!(
            "expected a SOAP 1.2 envelope, found <{}> of namespace \"{}\"",
            envelope.name, envelope.namespace
        ));
    }
    let header = envelope.child(words::SOAP, "Header");
    let body = envelope.child(words::SOAP, "Body").ok_or("the answer has no SOAP body")?;
    let related = header
        .and_then(|header| header.child(words::ADDRESSING, "RelatesTo"))
        .map(|related| related.text.trim());
    if related.is_some_and(|related| related != message_id) {
        return Err("the answer relates to another message".into());
    }
    if let Some(fault) = body.child(words::SOAP, "Fault") {
        return Ok(Reply::Fault(read_fault(fault)));
    }
    if related.is_none() {
        return Err("the answer does not say which message it relates to".into());
    }
    let action = header
        .and_then(|header| header.child(words::ADDRESSING, "Action"))
        .map(|action| collapsed(&action.text));
    if action.as_deref() != Some(words::ACTION_REPLY) {
        return Err(format!("expected the action {}, found {action:?}", words::ACTION_REPLY));
    }
    // MS-WSTEP §3.1.4.1.3.5: one response at most.
    let response = body
        .child(words::TRUST, "RequestSecurityTokenResponseCollection")
        .and_then(|collection| collection.child(words::TRUST, "RequestSecurityTokenResponse"))
        .ok_or("the answer does not hold exactly one RequestSecurityTokenResponse")?;
    read_response(response).map(Reply::Disposition)
}

fn read_response(response: &Element) -> Result<Disposition, String> {
    let request_id = read_request_id(response)?;
    let issued = response
        .child(words::TRUST, "RequestedSecurityToken")
        .and_then(|requested| requested.child(words::SECURITY, "BinarySecurityToken"));
    if let Some(token) = issued {
        // MS-WSTEP §3.1.4.1.3.2: here the value type MUST be X509v3.
        let value_type = token.attribute("", "ValueType").map(collapsed);
        if value_type.as_deref() != Some(words::TOKEN_X509V3) {
            return Err(format!("expected an X509v3 token, found {value_type:?}"));
        }
        let certificate_der = read_base64(&token.text)?;
        CertificateInner::<Raw>::from_der(&certificate_der)
            .map_err(|error| format!("the issued token is not a certificate: {error}"))?;
        return Ok(Disposition::Issued { certificate_der, request_id });
    }
    let message = response
        .child(words::ENROLLMENT, "DispositionMessage")
        .map(|message| printable(&message.text))
        .unwrap_or_default();
    let request_id = request_id
        .ok_or("the answer holds neither a certificate nor a request number to poll with")?;
    Ok(Disposition::Pending { request_id, message })
}

/// MS-WSTEP §3.1.4.1.2.4: a string by schema; AD CS writes a number, and we take nothing else.
fn read_request_id(parent: &Element) -> Result<Option<RequestId>, String> {
    let Some(element) = parent.child(words::ENROLLMENT, "RequestID") else {
        return Ok(None);
    };
    let nil = element.attribute(words::XML_SCHEMA_INSTANCE, "nil");
    let text = element.text.trim();
    if matches!(nil, Some("true" | "1")) || text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("expected a request number, found \"{}\"", printable(text)))
}

fn read_fault(fault: &Element) -> AuthorityError {
    let reason = fault
        .child(words::SOAP, "Reason")
        .and_then(|reason| reason.first(words::SOAP, "Text"))
        .map(|text| printable(&text.text))
        .unwrap_or_default();
    let detail = fault
        .child(words::SOAP, "Detail")
        .and_then(|detail| detail.child(words::ENROLLMENT, "CertificateEnrollmentWSDetail"));
    if let Some(error) = detail.and_then(|detail| read_detail(detail, &reason)) {
        return error;
    }
    let code = fault.child(words::SOAP, "Code");
    let value = code
        .and_then(|code| code.child(words::SOAP, "Value"))
        .and_then(|value| value.qualified.clone());
    let subcode = code
        .and_then(|code| code.child(words::SOAP, "Subcode"))
        .and_then(|subcode| subcode.child(words::SOAP, "Value"))
        .and_then(|value| value.qualified.clone());
    plain_fault(value, subcode, &reason)
}

/// MS-WSTEP §3.1.4.1.3.7. `None` when it carries no error code: then the fault speaks for itself.
fn read_detail(detail: &Element, reason: &str) -> Option<AuthorityError> {
    let text = &detail.child(words::ENROLLMENT, "ErrorCode")?.text;
    let code: i32 = text.trim().parse().ok()?;
    if code >= 0 {
        // Not a failure code: nothing is known.
        return None;
    }
    let hresult = Hresult::from_signed(code);
    let request_id = read_request_id(detail).ok().flatten();
    let said = format!("{hresult} {}: {reason}", hresult.name());
    // "If the request is denied by the Issuer the server MUST return true."
    let denied = detail
        .child(words::ENROLLMENT, "InvalidRequest")
        .is_some_and(|invalid| matches!(invalid.text.trim(), "true" | "1"));
    Some(if hresult.is_not_processed() {
        AuthorityError::unavailable(format!("the enrolment web service answered {said}"))
    } else if denied || hresult.is_refusal() {
        AuthorityError::refused(hresult, reason, request_id)
    } else {
        AuthorityError::unknown(format!("the enrolment web service answered {said}"))
    })
}

fn plain_fault(
    value: Option<(String, String)>,
    subcode: Option<(String, String)>,
    reason: &str,
) -> AuthorityError {
    let name = |code: &Option<(String, String)>| code.clone().unwrap_or_default();
    let (value_namespace, value) = name(&value);
    let (namespace, subcode) = name(&subcode);
    let problem = |what: &str| format!("{what} (fault {value}/{subcode}: \"{reason}\").");
    match (namespace.as_str(), subcode.as_str()) {
        (words::SECURITY, "FailedAuthentication" | "FailedCheck" | "InvalidSecurityToken") => {
            AuthorityError::misconfigured(
                problem("The enrolment web service did not accept our user name and password"),
                "Check the account's name, password and state, and that the URL is the one of the UsernamePassword service.",
            )
        }
        (words::SECURITY, "InvalidSecurity" | "SecurityTokenUnavailable")
        | (words::UTILITY, "MessageExpired") => AuthorityError::misconfigured(
            problem("The enrolment web service did not accept the security header"),
            "Compare this host's clock with the CA's: more than five minutes apart is refused. Then check that the URL's service takes user name and password.",
        ),
        (words::ADDRESSING, "DestinationUnreachable") => AuthorityError::misconfigured(
            problem("The enrolment web service does not answer under this address"),
            "Use the exact URL that the service publishes: host name, CA name and path as in its web.config or in the enrolment policy.",
        ),
        (words::ADDRESSING, "ActionNotSupported") => AuthorityError::misconfigured(
            problem("This address is not a certificate enrolment web service"),
            "Use the URL ending in _CES_…/service.svc/CES, not that of the policy service (CEP).",
        ),
        (words::ADDRESSING, _) if value == "Sender" => AuthorityError::misconfigured(
            problem("The enrolment web service does not understand our addressing"),
            "Check that nothing between us and the service rewrites messages.",
        ),
        // Written by the SOAP stack before any service code runs (SOAP 1.2 §5.4.6).
        _ if value_namespace == words::SOAP
            && matches!(
                value.as_str(),
                "VersionMismatch" | "MustUnderstand" | "DataEncodingUnknown"
            ) =>
        {
            AuthorityError::misconfigured(
                problem("The service does not speak SOAP 1.2 with WS-Security as expected"),
                "Check that the URL's kind of authentication is the one configured.",
            )
        }
        // The service broke while it worked on the request: the CA may have issued already.
        (words::DISPATCHER, _) => AuthorityError::unknown(format!(
            "the enrolment web service failed inside ({subcode}): \"{reason}\""
        )),
        _ => AuthorityError::unknown(format!(
            "the enrolment web service answered a fault that says nothing about the request ({value}/{subcode}): \"{reason}\""
        )),
    }
}

/// WCF and the documents break base64 into lines.
fn read_base64(text: &str) -> Result<Vec<u8>, String> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(compact).map_err(|error| format!("the token is not base64: {error}"))
}

/// The documents' examples break long URIs into lines; a URI holds no white space.
fn collapsed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// A peer's words, fit for a log line: no control characters, white space collapsed, cut.
fn printable(text: &str) -> String {
    const MOST: usize = 300;
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|character| !character.is_control()).take(MOST).collect()
}
