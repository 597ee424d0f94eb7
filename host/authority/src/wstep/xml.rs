//! A bounded reader of XML: no document type, no entities but the five, no processing
//! instructions, limits on size, depth and number of elements; namespaces resolved.

use quick_xml::NsReader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{QName, ResolveResult};

/// Most bytes of a message. The longest chains in a reply are a few tens of kilobytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 2048;
const MAX_ATTRIBUTES: usize = 32;

/// One element with everything in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Namespace (empty for none), local name, value. Namespace declarations are left out.
    pub(crate) attributes: Vec<(String, String, String)>,
    /// The text directly inside, as it stands.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
    /// The text read as a qualified name in its own scope, where it is one (SOAP fault codes are).
    pub(crate) qualified: Option<(String, String)>,
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XmlError {
    #[error("{0} bytes, at most {MAX_BYTES} are read")]
    TooLong(usize),
    #[error("not UTF-8")]
    NotUtf8,
    #[error("elements nested deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("more than {MAX_ELEMENTS} elements or {MAX_ATTRIBUTES} attributes of one element")]
    TooMany,
    #[error("a document type declaration: refused")]
    DocumentType,
    #[error("a processing instruction: refused")]
    Instruction,
    #[error("an entity that is not one of XML's own: refused")]
    Entity,
    #[error("a prefix without a namespace")]
    UnknownPrefix,
    #[error("not well-formed: {0}")]
    Malformed(String),
}

impl Element {
    /// The only child of that name.
    pub(crate) fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        let mut found = self.children.iter().filter(|child| child.is(namespace, name));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// The first child of that name.
    pub(crate) fn first(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(namespace, name))
    }

    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    pub(crate) fn attribute(&self, namespace: &str, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(ns, local, _)| ns == namespace && local == name)
            .map(|(.., value)| value.as_str())
    }
}

/// Reads one document.
pub(crate) fn read(bytes: &[u8]) -> Result<Element, XmlError> {
    if bytes.len() > MAX_BYTES {
        return Err(XmlError::TooLong(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);

    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.check_comments = true;
    config.expand_empty_elements = true;

    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut elements = 0_usize;
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS {
                    return Err(XmlError::TooMany);
                }
                if open.len() >= MAX_DEPTH {
                    return Err(XmlError::TooDeep);
                }
                if open.is_empty() && root.is_some() {
                    return Err(XmlError::Malformed("a second root element".into()));
                }
                open.push(started(&reader, &start)?);
            }
            Event::End(_) => {
                let mut element = open
                    .pop()
                    .ok_or_else(|| XmlError::Malformed("an end without a start".into()))?;
                element.qualified = qualified(&reader, &element.text);
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => root = Some(element),
                }
            }
            Event::Text(content) => append(&mut open, &content.xml10_content())?,
            Event::CData(content) => append(&mut open, &content.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(malformed)?;
                match (character, resolve_xml_entity(&reference)) {
                    (Some(character), _) => append(&mut open, character.encode_utf8(&mut [0; 4]))?,
                    (None, Some(entity)) => append(&mut open, entity)?,
                    (None, None) => return Err(XmlError::Entity),
                }
            }
            Event::DocType(_) => return Err(XmlError::DocumentType),
            Event::PI(_) => return Err(XmlError::Instruction),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Empty(_) => {
                return Err(XmlError::Malformed("an unexpanded element".into()));
            }
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err(XmlError::Malformed("it ends inside an element".into()));
    }
    root.ok_or_else(|| XmlError::Malformed("no element at all".into()))
}

fn started(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, XmlError> {
    let (resolved, local) = reader.resolver().resolve_element(start.name());
    let mut element = Element {
        namespace: namespace(resolved)?,
        name: local.into_inner().to_owned(),
        ..Element::default()
    };
    // The default checks refuse an attribute that stands twice.
    for attribute in start.attributes() {
        let attribute = attribute.map_err(malformed)?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        if element.attributes.len() >= MAX_ATTRIBUTES {
            return Err(XmlError::TooMany);
        }
        let (resolved, local) = reader.resolver().resolve_attribute(attribute.key);
        let value =
            attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(malformed)?;
        element.attributes.push((
            namespace(resolved)?,
            local.into_inner().to_owned(),
            value.into_owned(),
        ));
    }
    Ok(element)
}

fn namespace(resolved: ResolveResult<'_>) -> Result<String, XmlError> {
    match resolved {
        ResolveResult::Bound(namespace) => Ok(namespace.into_inner().to_owned()),
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(_) => Err(XmlError::UnknownPrefix),
    }
}

fn qualified(reader: &NsReader<&[u8]>, text: &str) -> Option<(String, String)> {
    let (prefix, local) = text.trim().split_once(':')?;
    if prefix.is_empty() || local.is_empty() || local.contains([':', '/', ' ']) {
        return None;
    }
    let (resolved, local) = reader.resolver().resolve_element(QName(text.trim()));
    match resolved {
        ResolveResult::Bound(namespace) => {
            Some((namespace.into_inner().to_owned(), local.into_inner().to_owned()))
        }
        _ => None,
    }
}

fn append(open: &mut [Element], text: &str) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(XmlError::Malformed("text outside the root element".into())),
    }
    Ok(())
}

fn malformed(error: impl std::fmt::Display) -> XmlError {
    XmlError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_resolved_whatever_the_prefixes_are() {
        let one = read(br#"<a:x xmlns:a="urn:1"><a:y k="v">t</a:y></a:x>"#).unwrap();
        let other = read(br#"<x xmlns="urn:1"><b:y xmlns:b="urn:1" k="v">t</b:y></x>"#).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.child("urn:1", "y").unwrap().attribute("", "k"), Some("v"));
    }

    #[test]
    fn a_document_type_is_refused_before_any_entity_can_grow() {
        let bomb = br#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>"#;
        assert_eq!(read(bomb), Err(XmlError::DocumentType));
    }

    #[test]
    fn an_unknown_entity_is_refused_and_the_five_are_read() {
        assert_eq!(read(b"<x>&evil;</x>"), Err(XmlError::Entity));
        let read = read(b"<x>&lt;&amp;&#65;&quot;<![CDATA[<&]]></x>").unwrap();
        assert_eq!(read.text, "<&A\"<&");
    }

    #[test]
    fn deep_long_and_numerous_documents_are_refused() {
        let deep = format!("{}{}", "<a>".repeat(33), "</a>".repeat(33));
        assert_eq!(read(deep.as_bytes()), Err(XmlError::TooDeep));
        let numerous = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        assert_eq!(read(numerous.as_bytes()), Err(XmlError::TooMany));
        let long = vec![b' '; MAX_BYTES + 1];
        assert_eq!(read(&long), Err(XmlError::TooLong(MAX_BYTES + 1)));
    }

    #[test]
    fn what_is_not_well_formed_is_an_error() {
        for bytes in [
            b"<a><b></a></b>".as_slice(),
            b"<a/><a/>",
            b"<a>",
            b"",
            b"x<a/>",
            b"<p:a/>",
            b"<a k='1' k='2'/>",
            b"<?pi x?><a/>",
            b"\xff\xfe<a/>",
        ] {
            assert!(read(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_qualified_name_in_text_is_resolved_in_its_scope() {
        let read = read(br#"<v xmlns:a="urn:1">a:Failed</v>"#).unwrap();
        assert_eq!(read.qualified, Some(("urn:1".into(), "Failed".into())));
    }
}
