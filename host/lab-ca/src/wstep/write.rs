//! Writes answers as WCF writes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;

use crate::decide::Refusal;

const REPLY: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/RSTRC/wstep";
const REFUSED: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/RequestSecurityTokenCertificateEnrollmentWSDetailFault";
const ADDRESSING_FAULT: &str = "http://www.w3.org/2005/08/addressing/fault";
const SOAP_FAULT: &str = "http://www.w3.org/2005/08/addressing/soap/fault";
const DISPATCHER_FAULT: &str =
    "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher/fault";
const SECURITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const ENROLLMENT: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment";

/// A fault that WCF itself makes, before any certificate is thought of.
pub(super) enum Fault<'a> {
    FailedAuthentication,
    InvalidSecurity,
    DestinationUnreachable(&'a str),
    ActionNotSupported(&'a str),
    Unreadable(&'a str),
}

pub(super) fn issued(message: &str, request: u32, full: &[u8], certificate: &[u8]) -> String {
    let certificate = lines(certificate);
    let requested = format!(
        r#"<RequestedSecurityToken><BinarySecurityToken ValueType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3" EncodingType="{SECURITY}#base64binary" xmlns="{SECURITY}">{certificate}</BinarySecurityToken></RequestedSecurityToken>"#
    );
    response(message, request, "Issued", full, &requested)
}

pub(super) fn pending(
    message: &str,
    request: u32,
    text: &str,
    full: &[u8],
    address: &str,
) -> String {
    let address = escape(address);
    let requested = format!(
        r#"<RequestedSecurityToken><SecurityTokenReference xmlns="{SECURITY}"><Reference URI="{address}"></Reference></SecurityTokenReference></RequestedSecurityToken>"#
    );
    response(message, request, text, full, &requested)
}

pub(super) fn refused(
    message: &str,
    request: Option<u32>,
    refusal: &Refusal,
    full: &[u8],
) -> String {
    let code = refusal.signed();
    let reason = escape(refusal.text.as_ref());
    let binary = lines(full);
    let request = match request {
        Some(request) => format!("<RequestID>{request}</RequestID>"),
        None => r#"<RequestID xsi:nil="true"></RequestID>"#.into(),
    };
    envelope(
        REFUSED,
        message,
        &format!(
            r#"<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang="en-US">{reason}</s:Text></s:Reason><s:Detail><CertificateEnrollmentWSDetail xmlns="{ENROLLMENT}" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><BinaryResponse>{binary}</BinaryResponse><ErrorCode>{code}</ErrorCode><InvalidRequest>true</InvalidRequest>{request}</CertificateEnrollmentWSDetail></s:Detail></s:Fault>"#
        ),
    )
}

pub(super) fn fault(message: &str, fault: Fault<'_>) -> String {
    let (action, value, prefix, subcode, reason) = match fault {
        Fault::FailedAuthentication => (
            SOAP_FAULT,
            "Sender",
            SECURITY,
            "FailedAuthentication",
            "At least one security token in the message could not be validated.".to_owned(),
        ),
        Fault::InvalidSecurity => (
            SOAP_FAULT,
            "Sender",
            SECURITY,
            "InvalidSecurity",
            "An error occurred when verifying security for the message.".to_owned(),
        ),
        Fault::DestinationUnreachable(to) => (
            ADDRESSING_FAULT,
            "Sender",
            "http://www.w3.org/2005/08/addressing",
            "DestinationUnreachable",
            format!(
                "The message with To '{to}' cannot be processed at the receiver, due to an AddressFilter mismatch at the EndpointDispatcher.  Check that the sender and receiver's EndpointAddresses agree."
            ),
        ),
        Fault::ActionNotSupported(action) => (
            ADDRESSING_FAULT,
            "Sender",
            "http://www.w3.org/2005/08/addressing",
            "ActionNotSupported",
            format!(
                "The message with Action '{action}' cannot be processed at the receiver, due to a ContractFilter mismatch at the EndpointDispatcher."
            ),
        ),
        Fault::Unreadable(problem) => (
            DISPATCHER_FAULT,
            "Sender",
            "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher",
            "DeserializationFailed",
            format!(
                "The formatter threw an exception while trying to deserialize the message: {problem}"
            ),
        ),
    };
    let reason = escape(reason.as_str());
    envelope(
        action,
        message,
        &format!(
            r#"<s:Fault><s:Code><s:Value>s:{value}</s:Value><s:Subcode><s:Value xmlns:a="{prefix}">a:{subcode}</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">{reason}</s:Text></s:Reason></s:Fault>"#
        ),
    )
}

fn response(message: &str, request: u32, text: &str, full: &[u8], requested: &str) -> String {
    let full = lines(full);
    let text = escape(text);
    envelope(
        REPLY,
        message,
        &format!(
            r#"<RequestSecurityTokenResponseCollection xmlns="http://docs.oasis-open.org/ws-sx/ws-trust/200512"><RequestSecurityTokenResponse><TokenType>http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3</TokenType><DispositionMessage xml:lang="en-US" xmlns="{ENROLLMENT}">{text}</DispositionMessage><BinarySecurityToken ValueType="{SECURITY}#PKCS7" EncodingType="{SECURITY}#base64binary" xmlns="{SECURITY}">{full}</BinarySecurityToken>{requested}<RequestID xmlns="{ENROLLMENT}">{request}</RequestID></RequestSecurityTokenResponse></RequestSecurityTokenResponseCollection>"#
        ),
    )
}

fn envelope(action: &str, message: &str, body: &str) -> String {
    let relates = if message.is_empty() {
        String::new()
    } else {
        format!("<a:RelatesTo>{}</a:RelatesTo>", escape(message))
    };
    format!(
        r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header><a:Action s:mustUnderstand="1">{action}</a:Action>{relates}</s:Header><s:Body>{body}</s:Body></s:Envelope>"#
    )
}

/// Base64 in lines of 64 with CR LF, as Windows writes it.
fn lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut broken = String::with_capacity(text.len() + text.len() / 32);
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            broken.push_str("&#xD;\n");
        }
        broken.push(character);
    }
    broken
}
