use std::collections::BTreeSet;

use countersign_sdk::{Name, Problem};

use crate::{Field, Record, Template};

/// The names of a device; those whose fields its record lacks are left out. A field that a user can
/// change counts only where the settings say so.
#[must_use]
pub fn names(templates: &[String], allowed: &BTreeSet<Field>, record: &Record) -> Vec<Name> {
    let counts = |field: &Field| !field.is_user_changeable() || allowed.contains(field);
    let mut names = Vec::new();
    for template in templates.iter().filter_map(|text| text.parse::<Template>().ok()) {
        let filled =
            template.fill(|field| Some(field).filter(counts).and_then(|f| record.field(f)));
        names.extend(filled.filter(|name| !names.contains(name)));
    }
    names
}

/// What is wrong with the settings `names` and `user-changeable-fields`, where records have these
/// fields.
#[must_use]
pub fn name_problems(
    templates: &[String],
    allowed: &BTreeSet<Field>,
    has: &[Field],
) -> Vec<Problem> {
    let (mut problems, mut used) = (Vec::new(), BTreeSet::new());
    if templates.is_empty() {
        problems.push(Problem::new(
            "/names",
            "expected at least one name, such as `CN={serial-number}`: nothing would be vouched for",
        ));
    }
    for (index, text) in templates.iter().enumerate() {
        let at = format!("/names/{index}");
        let template = match text.parse::<Template>() {
            Ok(template) => template,
            Err(why) => {
                problems.push(Problem::new(at, why));
                continue;
            }
        };
        for field in template.fields() {
            let word = field.word();
            if !has.contains(&field) {
                let text = format!("records here have no field `{word}`");
                problems.push(Problem::new(&at, text));
            }
            if field.is_user_changeable() {
                used.insert(field);
                if !allowed.contains(&field) {
                    let text = format!(
                        "`{{{word}}}` can be changed by the device's user, who then chooses whose \
                         certificate he is given: use `serial-number`, or add \"{word}\" to \
                         `user-changeable-fields`"
                    );
                    problems.push(Problem::new(&at, text));
                }
            }
        }
    }
    for field in allowed.difference(&used) {
        let text = format!(
            "no name uses `{{{}}}` as a field that a user can change: remove it",
            field.word()
        );
        problems.push(Problem::new("/user-changeable-fields", text));
    }
    problems
}
