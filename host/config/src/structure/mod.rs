//! Spelling and shape: the whole file against the schema, every problem with its place.
//!
//! Deserialising stops at the first error and an admin would mend a file one run at a time. So
//! the parsed file is walked against the schema that comes from the same Rust types first.

mod key;
mod shape;
mod spelling;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::key::{forbidden_option, missing_key, unknown_key};
use self::shape::{branches, choices, definition, only_key, type_of, type_words, types, widest};
use self::spelling::closest;
use self::text::{formatted_text, lower_first, profile_text};
use crate::problem::Draft;
use crate::value::BadValue;

/// Where each key stands, by dotted path.
#[derive(Default)]
pub(crate) struct Places(BTreeMap<String, Range<usize>>);

impl Places {
    /// The place of `path`, or of the nearest table around it that stands in the file.
    pub(crate) fn of(&self, path: &str) -> Range<usize> {
        let mut path = path;
        loop {
            if let Some(span) = self.0.get(path) {
                return span.clone();
            }
            match path.rfind(['.', '[']) {
                Some(position) => path = path.get(..position).unwrap_or_default(),
                None => return 0..0,
            }
        }
    }
}

/// Walks the file. Gives every problem of spelling and shape, and where everything stands.
pub(crate) fn walk(table: &Spanned<DeTable<'_>>, schema: &Value) -> (Vec<Draft>, Places) {
    let mut walk = Walk { schema, drafts: Vec::new(), places: Places::default() };
    walk.forbidden(table.get_ref(), "");
    walk.table(table.get_ref(), schema, "", 0..0);
    (walk.drafts, walk.places)
}

struct Walk<'s> {
    schema: &'s Value,
    drafts: Vec<Draft>,
    places: Places,
}

impl<'s> Walk<'s> {
    /// NDES's two switches, in any table and in any spelling (row 61). They are not options
    /// here, and a file that has them was written in the belief that they are.
    fn forbidden(&mut self, table: &DeTable<'_>, path: &str) {
        for (key, value) in table {
            let at = join(path, key.get_ref());
            if let Some(what) = forbidden_option(key.get_ref()) {
                self.drafts.push(Draft { what, path: at.clone(), span: key.span() });
            }
            self.forbidden_in(value.get_ref(), &at);
        }
    }

    fn forbidden_in(&mut self, value: &DeValue<'_>, path: &str) {
        match value {
            DeValue::Table(table) => self.forbidden(table, path),
            DeValue::Array(array) => {
                for (index, value) in array.iter().enumerate() {
                    self.forbidden_in(value.get_ref(), &format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn table(&mut self, table: &DeTable<'_>, schema: &'s Value, path: &str, header: Range<usize>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let property = |name: &str| properties.and_then(|properties| properties.get(name));
        let others = schema.get("additionalProperties");
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let at = join(path, name);
            let is_table = matches!(value.get_ref(), DeValue::Table(_));
            let place = if is_table { key.span() } else { value.span() };
            self.places.0.insert(at.clone(), place);
            match (property(name), others) {
                (Some(schema), _) => self.value(value, schema, &at, key.span()),
                (None, Some(Value::Bool(false))) => {
                    if forbidden_option(name).is_none() {
                        let what = unknown_key(name, path, properties);
                        self.drafts.push(Draft { what, path: at, span: key.span() });
                    }
                }
                (None, Some(schema @ Value::Object(_))) => {
                    self.value(value, schema, &at, key.span());
                }
                (None, _) => self.free(value, &at),
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !table.contains_key(name) {
                let hint = property(name).map(|schema| self.description(schema));
                self.drafts.push(Draft {
                    what: missing_key(name, path, hint.unwrap_or_default()),
                    path: join(path, name),
                    span: header.clone(),
                });
            }
        }
    }

    fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        schema: &'s Value,
        path: &str,
        key: Range<usize>,
    ) {
        if let DeValue::String(text) = value.get_ref()
            && let Some(verdict) = definition(schema).and_then(|name| profile_text(name, text))
        {
            if let Err(message) = verdict {
                let what = BadValue::new(
                    "bad-value",
                    format!("`{path}`: {message}"),
                    format!("write {}", lower_first(&self.description(schema))),
                );
                self.drafts.push(Draft { what, path: path.to_owned(), span: value.span() });
            }
            return;
        }
        let schema = self.resolve(schema);
        if let Some(branches) = branches(schema) {
            return self.one_of(value, &branches, path, key);
        }
        let expected = types(schema);
        let found = type_of(value.get_ref());
        if !expected.is_empty() && !expected.contains(&found) {
            // A whole number is a number too.
            if !(found == "integer" && expected.contains(&"number")) {
                return self.wrong_type(&expected, value, path);
            }
        }
        match value.get_ref() {
            DeValue::String(text) => self.text(text, value.span(), schema, path),
            DeValue::Integer(_) => self.integer(value, schema, path),
            DeValue::Array(array) => {
                for (index, item) in array.iter().enumerate() {
                    let at = format!("{path}[{index}]");
                    self.places.0.insert(at.clone(), item.span());
                    match schema.get("items") {
                        Some(schema) => self.value(item, schema, &at, item.span()),
                        None => self.free(item, &at),
                    }
                }
            }
            DeValue::Table(table) => self.table(table, schema, path, key),
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    /// A value that may have one of several shapes.
    fn one_of(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        branches: &[&'s Value],
        path: &str,
        key: Range<usize>,
    ) {
        if let [only] = branches {
            return self.value(value, only, path, key);
        }
        let resolved: Vec<&'s Value> = branches.iter().map(|branch| self.resolve(branch)).collect();
        let choices: Vec<&str> = resolved.iter().flat_map(|branch| choices(branch)).collect();
        let tags: Vec<&str> = resolved.iter().filter_map(|branch| only_key(branch)).collect();
        match value.get_ref() {
            DeValue::String(text) if !choices.is_empty() => {
                if !choices.contains(&text.as_ref()) {
                    self.bad_choice(text, &choices, value.span(), path);
                }
            }
            DeValue::Table(table) if !tags.is_empty() => {
                self.tagged(table, &resolved, &tags, path, key);
            }
            found => {
                let mut expected: Vec<&str> =
                    resolved.iter().flat_map(|branch| types(branch)).collect();
                expected.dedup();
                if !expected.is_empty() && !expected.contains(&type_of(found)) {
                    self.wrong_type(&expected, value, path);
                }
            }
        }
    }

    /// A table whose one key says which of several shapes it has.
    fn tagged(
        &mut self,
        table: &DeTable<'_>,
        branches: &[&'s Value],
        tags: &[&str],
        path: &str,
        key: Range<usize>,
    ) {
        let present: Vec<&str> =
            tags.iter().copied().filter(|tag| table.contains_key(*tag)).collect();
        if let [tag] = present.as_slice() {
            let chosen = branches.iter().find(|branch| only_key(branch) == Some(*tag));
            if let Some(branch) = chosen {
                self.table(table, branch, path, key);
            }
            return;
        }
        let found = match present.len() {
            0 => "none of them".to_owned(),
            _ => format!("`{}`", present.join("` and `")),
        };
        let what = BadValue::new(
            "not-exactly-one",
            format!("`{path}` must hold exactly one of `{}`; found {found}", tags.join("`, `")),
            "keep one of them and remove the others",
        );
        self.drafts.push(Draft { what, path: path.to_owned(), span: key });
    }

    fn text(&mut self, text: &str, span: Range<usize>, schema: &'s Value, path: &str) {
        let choices = choices(schema);
        if !choices.is_empty() {
            if !choices.contains(&text) {
                self.bad_choice(text, &choices, span, path);
            }
            return;
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        if let Err(what) = formatted_text(format, text) {
            self.drafts.push(Draft { what, path: path.to_owned(), span });
        }
    }

    fn integer(&mut self, value: &Spanned<DeValue<'_>>, schema: &'s Value, path: &str) {
        let DeValue::Integer(number) = value.get_ref() else {
            return;
        };
        let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64).map(i128::from);
        let least = bound("minimum").unwrap_or(i128::from(i64::MIN));
        let most = bound("maximum").or_else(|| widest(schema)).unwrap_or(i128::from(i64::MAX));
        if parsed.is_none_or(|number| number < least || number > most) {
            let what = BadValue::new(
                "out-of-range",
                format!("`{path}` is {number}; expected {least} to {most}"),
                format!("write a number from {least} to {most}"),
            );
            self.drafts.push(Draft { what, path: path.to_owned(), span: value.span() });
        }
    }

    /// A value that its own schema describes elsewhere: a plug-in's settings.
    fn free(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        match value.get_ref() {
            DeValue::Datetime(_) => {
                let what = BadValue::new(
                    "date-in-settings",
                    format!("`{path}` is a date; settings reach a plug-in as JSON, which has none"),
                    "write it as text, in quotes",
                );
                self.drafts.push(Draft { what, path: path.to_owned(), span: value.span() });
            }
            DeValue::Float(number)
                if !number.as_str().bytes().any(|byte| byte.is_ascii_digit()) =>
            {
                let what = BadValue::new(
                    "not-a-json-number",
                    format!("`{path}` is {number}; settings reach a plug-in as JSON"),
                    "write a finite number",
                );
                self.drafts.push(Draft { what, path: path.to_owned(), span: value.span() });
            }
            DeValue::Integer(number)
                if i64::from_str_radix(number.as_str(), number.radix()).is_err() =>
            {
                let what = BadValue::new(
                    "out-of-range",
                    format!("`{path}` is {number}, too large for a setting"),
                    "write a number of at most 64 bits, or text in quotes",
                );
                self.drafts.push(Draft { what, path: path.to_owned(), span: value.span() });
            }
            DeValue::Array(array) => {
                for (index, item) in array.iter().enumerate() {
                    self.free(item, &format!("{path}[{index}]"));
                }
            }
            DeValue::Table(table) => {
                for (key, item) in table {
                    self.free(item, &join(path, key.get_ref()));
                }
            }
            _ => {}
        }
    }

    fn wrong_type(&mut self, expected: &[&str], value: &Spanned<DeValue<'_>>, path: &str) {
        let words: Vec<&str> = expected.iter().map(|name| type_words(name)).collect();
        let what = BadValue::new(
            "wrong-type",
            format!(
                "`{path}` is {}; expected {}",
                type_words(type_of(value.get_ref())),
                words.join(" or ")
            ),
            format!("write {}", words.join(" or ")),
        );
        self.drafts.push(Draft { what, path: path.to_owned(), span: value.span() });
    }

    fn bad_choice(&mut self, text: &str, choices: &[&str], span: Range<usize>, path: &str) {
        let close = closest(text, choices.iter().copied());
        let remedy = match close {
            Some(close) => format!("did you mean `{close}`? Possible: `{}`", choices.join("`, `")),
            None => format!("write one of `{}`", choices.join("`, `")),
        };
        let what = BadValue::new("bad-value", format!("`{path}` cannot be `{text}`"), remedy);
        self.drafts.push(Draft { what, path: path.to_owned(), span });
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let name = definition(schema);
        match name {
            Some(name) => self.schema.get("$defs").and_then(|all| all.get(name)).unwrap_or(schema),
            None => schema,
        }
    }

    fn description(&self, schema: &'s Value) -> String {
        [schema, self.resolve(schema)]
            .iter()
            .find_map(|schema| schema.get("description").and_then(Value::as_str))
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .unwrap_or_default()
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
