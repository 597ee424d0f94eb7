//! Reads a request. Written apart from the connector's reader: what they agree on, they agree on
//! twice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::DateTime;
use quick_xml::NsReader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use zeroize::Zeroizing;

pub(super) const ACTION: &str =
    "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/RST/wstep";

const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";
const TRUST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
const SECURITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const AUTHORIZATION: &str = "http://schemas.xmlsoap.org/ws/2006/12/authorization";
const ENROLLMENT: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment";

const ISSUE: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue";
const QUERY: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/QueryTokenStatus";
const X509V3: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#base64binary";
const PASSWORD_TEXT: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText";
/// What clients name a request's form; the server looks into the bytes anyway.
const VALUE_TYPES: [&str; 3] = [
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#PKCS7",
    "http://schemas.microsoft.com/windows/pki/2009/01/enrollment#PKCS7",
    "http://schemas.microsoft.com/windows/pki/2009/01/enrollment#PKCS10",
];
const MAX_DEPTH: usize = 16;

/// A message, as far as the service cares.
pub(super) struct Message {
    pub(super) action: String,
    pub(super) id: String,
    pub(super) to: Option<String>,
    pub(super) token: Option<UsernameToken>,
    pub(super) ask: Ask,
}

pub(super) enum Ask {
    Issue { request: Vec<u8>, template: Option<String> },
    QueryTokenStatus(u32),
}

pub(super) struct UsernameToken {
    pub(super) username: String,
    pub(super) password: Zeroizing<String>,
    /// Seconds since 1970.
    pub(super) created: u64,
    /// Seconds since 1970.
    pub(super) expires: u64,
}

/// One leaf: its path of (namespace, name), its attributes without namespace, its text.
struct Leaf {
    path: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    text: Zeroizing<String>,
}

/// Reads the message; the error says what is wrong with it.
pub(super) fn read(body: &[u8]) -> Result<Message, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not UTF-8".to_owned())?;
    let leaves = Leaves(flatten(text)?);
    const HEADER: (&str, &str) = (SOAP, "Header");
    const ENVELOPE: (&str, &str) = (SOAP, "Envelope");
    let header = |name: &[(&str, &str)]| leaves.text(&[&[ENVELOPE, HEADER], name].concat());
    const ASK: [(&str, &str); 3] = [ENVELOPE, (SOAP, "Body"), (TRUST, "RequestSecurityToken")];
    let ask = |name: &[(&str, &str)]| leaves.one(&[&ASK, name].concat());

    let token_type = ask(&[(TRUST, "TokenType")])?.map(|leaf| leaf.text.trim());
    if token_type != Some(X509V3) {
        return Err(format!("TokenType is {token_type:?}"));
    }
    let request_id = ask(&[(ENROLLMENT, "RequestID")])?.map(|leaf| leaf.text.trim());
    let request_type = ask(&[(TRUST, "RequestType")])?.map(|leaf| leaf.text.trim());
    let ask = match request_type {
        Some(ISSUE) => {
            let token =
                ask(&[(SECURITY, "BinarySecurityToken")])?.ok_or("no BinarySecurityToken")?;
            Ask::Issue { request: read_token(token)?, template: leaves.template(&ASK)? }
        }
        Some(QUERY) => Ask::QueryTokenStatus(
            request_id
                .and_then(|id| id.parse().ok())
                .ok_or("QueryTokenStatus without a RequestID")?,
        ),
        other => return Err(format!("RequestType is {other:?}")),
    };
    Ok(Message {
        action: header(&[(ADDRESSING, "Action")])?.unwrap_or_default(),
        id: header(&[(ADDRESSING, "MessageID")])?.ok_or("no MessageID")?,
        to: header(&[(ADDRESSING, "To")])?,
        token: leaves.username_token(&[ENVELOPE, HEADER, (SECURITY, "Security")])?,
        ask,
    })
}

fn read_token(token: &Leaf) -> Result<Vec<u8>, String> {
    let value_type = token.attribute("ValueType").unwrap_or_default();
    if !VALUE_TYPES.contains(&value_type) {
        return Err(format!("ValueType is {value_type:?}"));
    }
    let encoding = token.attribute("EncodingType").unwrap_or_default();
    if encoding != BASE64 {
        return Err(format!("EncodingType is {encoding:?}"));
    }
    let compact: String = token.text.split_whitespace().collect();
    STANDARD.decode(compact).map_err(|error| format!("BinarySecurityToken: {error}"))
}

struct Leaves(Vec<Leaf>);

impl Leaves {
    fn all<'a>(&'a self, path: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Leaf> {
        self.0.iter().filter(move |leaf| {
            leaf.path.len() == path.len()
                && leaf.path.iter().zip(path).all(|((namespace, name), (wanted, named))| {
                    namespace == wanted && name == named
                })
        })
    }

    fn one(&self, path: &[(&str, &str)]) -> Result<Option<&Leaf>, String> {
        let mut found = self.0.iter().filter(|leaf| {
            leaf.path.len() == path.len()
                && leaf.path.iter().zip(path).all(|((namespace, name), (wanted, named))| {
                    namespace == wanted && name == named
                })
        });
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            _ => Err(format!("{:?} stands twice", path.last())),
        }
    }

    fn text(&self, path: &[(&str, &str)]) -> Result<Option<String>, String> {
        Ok(self.one(path)?.map(|leaf| leaf.text.trim().to_owned()))
    }

    /// The value of the context item `CertificateTemplate`.
    fn template(&self, ask: &[(&str, &str)]) -> Result<Option<String>, String> {
        let item = (AUTHORIZATION, "ContextItem");
        let path = [ask, &[(AUTHORIZATION, "AdditionalContext"), item]].concat();
        let value = [&path[..], &[(AUTHORIZATION, "Value")]].concat();
        let names: Vec<Option<&str>> = self.all(&path).map(|leaf| leaf.attribute("Name")).collect();
        let values: Vec<&Leaf> = self.all(&value).collect();
        if names.len() != values.len() {
            return Err("a ContextItem without exactly one Value".into());
        }
        Ok(names
            .into_iter()
            .zip(values)
            .find(|(name, _)| *name == Some("CertificateTemplate"))
            .map(|(_, value)| value.text.trim().to_owned()))
    }

    fn username_token(&self, security: &[(&str, &str)]) -> Result<Option<UsernameToken>, String> {
        let inside = |names: &[(&str, &str)]| self.one(&[security, names].concat());
        const TOKEN: (&str, &str) = (SECURITY, "UsernameToken");
        const TIMESTAMP: (&str, &str) = (UTILITY, "Timestamp");
        let Some(username) = inside(&[TOKEN, (SECURITY, "Username")])? else {
            return Ok(None);
        };
        let password = inside(&[TOKEN, (SECURITY, "Password")])?.ok_or("no Password")?;
        if password.attribute("Type") != Some(PASSWORD_TEXT) {
            return Err("a Password that is not text".into());
        }
        let created = inside(&[TIMESTAMP, (UTILITY, "Created")])?.ok_or("no Created")?;
        let expires = inside(&[TIMESTAMP, (UTILITY, "Expires")])?.ok_or("no Expires")?;
        let seconds = |leaf: &Leaf| {
            leaf.text
                .trim()
                .parse::<DateTime>()
                .map(|time| time.unix_duration().as_secs())
                .map_err(|_| format!("{:?} is not a time", leaf.text.as_str()))
        };
        Ok(Some(UsernameToken {
            username: username.text.to_string(),
            password: password.text.clone(),
            created: seconds(created)?,
            expires: seconds(expires)?,
        }))
    }
}

impl Leaf {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Every element with its path, in the order of their ends.
fn flatten(text: &str) -> Result<Vec<Leaf>, String> {
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Leaf> = Vec::new();
    let mut leaves = Vec::new();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err("too deep".into());
                }
                let (namespace, local) = reader.resolver().resolve_element(start.name());
                let namespace = match namespace {
                    ResolveResult::Bound(namespace) => namespace.into_inner().to_owned(),
                    _ => String::new(),
                };
                let mut path = open.last().map(|leaf| leaf.path.clone()).unwrap_or_default();
                path.push((namespace, local.into_inner().to_owned()));
                let mut attributes = Vec::new();
                for attribute in start.attributes() {
                    let attribute = attribute.map_err(|error| error.to_string())?;
                    let value = attribute
                        .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                        .map_err(|error| error.to_string())?;
                    attributes.push((attribute.key.0.to_owned(), value.into_owned()));
                }
                open.push(Leaf { path, attributes, text: Zeroizing::default() });
            }
            Event::End(_) => leaves.extend(open.pop()),
            Event::Text(content) => {
                if let Some(leaf) = open.last_mut() {
                    leaf.text.push_str(&content.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                let leaf = open.last_mut().ok_or("text outside")?;
                match (character, resolve_xml_entity(&reference)) {
                    (Some(character), _) => leaf.text.push(character),
                    (None, Some(entity)) => leaf.text.push_str(entity),
                    (None, None) => return Err("an unknown entity".into()),
                }
            }
            Event::Eof if open.is_empty() => return Ok(leaves),
            Event::Decl(_) | Event::Comment(_) => {}
            other => return Err(format!("unexpected in a message: {other:?}")),
        }
    }
}
