//! A bounded reader of XML into the shape that the same webhook has in JSON: an element with elements in
//! it is an object, one that stands several times a list, the rest text. No document type, no entities but
//! XML's own five, no attributes of interest.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use serde_json::{Map, Value};

const MAX_DEPTH: usize = 16;
const MAX_ELEMENTS: usize = 4096;

/// An element that is not closed yet.
#[derive(Default)]
struct Open {
    name: String,
    members: Map<String, Value>,
    text: String,
}

impl Open {
    fn close(self) -> Value {
        if self.members.is_empty() { Value::String(self.text) } else { Value::Object(self.members) }
    }

    fn add(&mut self, name: String, value: Value) {
        match self.members.get_mut(&name) {
            None => {
                self.members.insert(name, value);
            }
            Some(Value::Array(items)) => items.push(value),
            Some(one) => {
                let first = one.take();
                *one = Value::Array(vec![first, value]);
            }
        }
    }
}

/// Reads a document; the value is what its root holds.
pub(crate) fn read(octets: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "its XML is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_comments = true;
    config.expand_empty_elements = true;
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut elements = 0_usize;
    loop {
        let event = reader.read_event().map_err(|_| {
            format!("its XML is not well-formed at octet {}", reader.error_position())
        })?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                    return Err(format!(
                        "its XML has more than {MAX_ELEMENTS} elements, or more than {MAX_DEPTH} \
                         inside each other"
                    ));
                }
                if root.is_some() {
                    return Err("its XML has two roots".to_owned());
                }
                let name = start.local_name().into_inner().to_owned();
                open.push(Open { name, ..Open::default() });
            }
            Event::End(_) => {
                let Some(closed) = open.pop() else {
                    return Err("its XML closes what is not open".to_owned());
                };
                let name = closed.name.clone();
                let value = closed.close();
                match open.last_mut() {
                    Some(outer) => outer.add(name, value),
                    None => root = Some(value),
                }
            }
            Event::Text(part) => add_text(&mut open, &part)?,
            Event::CData(part) => add_text(&mut open, &part)?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|_| entity())?;
                match character {
                    Some(character) => add_text(&mut open, character.encode_utf8(&mut [0; 4]))?,
                    None => {
                        add_text(&mut open, resolve_xml_entity(&reference).ok_or_else(entity)?)?;
                    }
                }
            }
            Event::Decl(_) | Event::Comment(_) | Event::Empty(_) => {}
            Event::DocType(_) => return Err("its XML has a document type: refused".to_owned()),
            Event::PI(_) => return Err("its XML has an instruction: refused".to_owned()),
            Event::Eof => break,
        }
    }
    match root {
        Some(value) if open.is_empty() => Ok(value),
        _ => Err("its XML ends early".to_owned()),
    }
}

fn add_text(open: &mut [Open], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => {
            element.text.push_str(text);
            Ok(())
        }
        None if text.trim().is_empty() => Ok(()),
        None => Err("its XML has text outside of its root".to_owned()),
    }
}

fn entity() -> String {
    "its XML has an entity that is not one of XML's own: refused".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_become_what_they_are_in_json() {
        let value = read(
            b"<?xml version=\"1.0\"?><JSSEvent><event><a>1</a><b>x &amp; &#121;</b><c/>\
              <ids><int>1</int><int>2</int></ids><d><![CDATA[<z>]]></d></event></JSSEvent>",
        );
        let expected = json!({ "event": {
            "a": "1", "b": "x & y", "c": "", "ids": { "int": ["1", "2"] }, "d": "<z>",
        }});
        assert_eq!(value.unwrap(), expected);
    }

    #[test]
    fn what_is_dangerous_or_broken_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(MAX_DEPTH + 1), "</a>".repeat(MAX_DEPTH + 1));
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS + 1));
        for bad in [
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
            "<a>&x;</a>",
            "<a><?php ?></a>",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>text",
            "text",
            "",
            deep.as_str(),
            many.as_str(),
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{}", bad.chars().take(40).collect::<String>());
        }
        assert!(read(b"<a>\xff</a>").is_err());
    }
}
