//! The two requests of MS-WSTEP, written out.

use std::io;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::DateTime;
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use zeroize::Zeroizing;

use crate::disposition::RequestId;

use super::vocabulary as words;

/// How long a UsernameToken may be under way. WCF's own default.
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

/// What asks, apart from who asks.
pub(super) enum Question<'a> {
    /// MS-WSTEP §3.1.4.2.1.1.
    Issue { request: &'a [u8], template: &'a str },
    /// MS-WSTEP §3.1.4.2.1.2.
    QueryTokenStatus(RequestId),
}

/// The header's facts.
pub(super) struct Envelope<'a> {
    /// `urn:uuid:…`
    pub(super) message_id: &'a str,
    /// The exact address of the service; WCF refuses a message addressed otherwise.
    pub(super) to: &'a str,
    pub(super) user: Option<User<'a>>,
    pub(super) now: SystemTime,
}

/// A WS-Security UsernameToken.
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

/// Writes the message. The bytes may hold a password and are wiped when dropped.
pub(super) fn write(
    envelope: &Envelope<'_>,
    question: &Question<'_>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for everything at once: a growing vector would leave copies of the password behind.
    let request_len = match question {
        Question::Issue { request, template } => request.len() / 3 * 4 + template.len() * 6,
        Question::QueryTokenStatus(_) => 0,
    };
    let user_len =
        envelope.user.as_ref().map_or(0, |user| (user.name.len() + user.password.len()) * 6);
    let room = 8192 + request_len + user_len + envelope.to.len() * 6;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let mut message = Message(Writer::new(&mut bytes));

    message.open("s:Envelope", &[("xmlns:a", words::ADDRESSING), ("xmlns:s", words::SOAP)])?;
    message.header(envelope)?;
    message.open("s:Body", &[("xmlns:xsi", words::XML_SCHEMA_INSTANCE)])?;
    message.open("RequestSecurityToken", &[("xmlns", words::TRUST)])?;
    message.leaf("TokenType", &[], words::TOKEN_X509V3)?;
    match question {
        Question::Issue { request, template } => {
            message.leaf("RequestType", &[], words::REQUEST_ISSUE)?;
            message.leaf(
                "BinarySecurityToken",
                &[
                    ("EncodingType", words::ENCODING_BASE64),
                    ("ValueType", words::TOKEN_PKCS7),
                    ("xmlns", words::SECURITY),
                ],
                &STANDARD.encode(request),
            )?;
            message.open("AdditionalContext", &[("xmlns", words::AUTHORIZATION)])?;
            message.open("ContextItem", &[("Name", "CertificateTemplate")])?;
            message.leaf("Value", &[], template)?;
            message.close("ContextItem")?;
            message.close("AdditionalContext")?;
            message.empty("RequestID", &[("xsi:nil", "true"), ("xmlns", words::ENROLLMENT)])?;
        }
        Question::QueryTokenStatus(request_id) => {
            message.leaf("RequestType", &[], words::REQUEST_QUERY)?;
            message.leaf("RequestID", &[("xmlns", words::ENROLLMENT)], &request_id.to_string())?;
        }
    }
    message.close("RequestSecurityToken")?;
    message.close("s:Body")?;
    message.close("s:Envelope")?;
    Ok(bytes)
}

/// `2026-11-22T18:05:00Z`, as wsu:Timestamp wants it.
pub(super) fn timestamp(time: SystemTime) -> io::Result<String> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    DateTime::from_unix_duration(Duration::from_secs(since.as_secs()))
        .map(|time| time.to_string())
        .map_err(io::Error::other)
}

struct Message<'a>(Writer<&'a mut Vec<u8>>);

impl Message<'_> {
    fn header(&mut self, envelope: &Envelope<'_>) -> io::Result<()> {
        self.open("s:Header", &[])?;
        self.leaf("a:Action", &[("s:mustUnderstand", "1")], words::ACTION_REQUEST)?;
        self.leaf("a:MessageID", &[], envelope.message_id)?;
        self.open("a:ReplyTo", &[])?;
        self.leaf("a:Address", &[], words::ANONYMOUS)?;
        self.close("a:ReplyTo")?;
        self.leaf("a:To", &[("s:mustUnderstand", "1")], envelope.to)?;
        if let Some(user) = &envelope.user {
            self.security(user, envelope.now)?;
        }
        self.close("s:Header")
    }

    fn security(&mut self, user: &User<'_>, now: SystemTime) -> io::Result<()> {
        self.open(
            "wsse:Security",
            &[
                ("s:mustUnderstand", "1"),
                ("xmlns:wsse", words::SECURITY),
                ("xmlns:wsu", words::UTILITY),
            ],
        )?;
        self.open("wsu:Timestamp", &[])?;
        self.leaf("wsu:Created", &[], &timestamp(now)?)?;
        self.leaf("wsu:Expires", &[], &timestamp(now + TOKEN_LIFETIME)?)?;
        self.close("wsu:Timestamp")?;
        self.open("wsse:UsernameToken", &[])?;
        self.leaf("wsse:Username", &[], user.name)?;
        self.leaf("wsse:Password", &[("Type", words::PASSWORD_TEXT)], user.password)?;
        self.close("wsse:UsernameToken")?;
        self.close("wsse:Security")
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.0.write_event(Event::Start(start))
    }

    fn close(&mut self, name: &str) -> io::Result<()> {
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.0.write_event(Event::Empty(start))
    }

    fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> io::Result<()> {
        self.open(name, attributes)?;
        self.0.write_event(Event::Text(BytesText::new(text)))?;
        self.close(name)
    }
}
