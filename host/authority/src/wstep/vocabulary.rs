//! The names MS-WSTEP, WS-Trust, WS-Addressing and WS-Security use on the wire.

pub(super) const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
pub(super) const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";
pub(super) const ANONYMOUS: &str = "http://www.w3.org/2005/08/addressing/anonymous";
pub(super) const TRUST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
pub(super) const SECURITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
pub(super) const UTILITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
pub(super) const AUTHORIZATION: &str = "http://schemas.xmlsoap.org/ws/2006/12/authorization";
pub(super) const ENROLLMENT: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment";
pub(super) const XML_SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
pub(super) const DISPATCHER: &str =
    "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher";

/// SOAP action of both requests (MS-WSTEP §3.1.4.2).
pub(super) const ACTION_REQUEST: &str =
    "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/RST/wstep";
/// SOAP action of an answer that is not a fault.
pub(super) const ACTION_REPLY: &str =
    "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/RSTRC/wstep";
/// MS-WSTEP §3.1.4.1.2.7.
pub(super) const REQUEST_ISSUE: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue";
/// MS-WSTEP §3.1.4.1.2.7.
pub(super) const REQUEST_QUERY: &str =
    "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/QueryTokenStatus";
/// MS-WSTEP §3.1.4.1.2.8; also the ValueType of the issued certificate.
pub(super) const TOKEN_X509V3: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
/// ValueType of every request in the protocol's examples, whatever the bytes are: the server looks
/// into them itself.
pub(super) const TOKEN_PKCS7: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#PKCS7";
/// With the lower-case `b` that WCF insists on.
pub(super) const ENCODING_BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#base64binary";
/// WS-Security UsernameToken profile 1.0 §3.1.
pub(super) const PASSWORD_TEXT: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText";
