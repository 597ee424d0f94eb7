//! Looks through an expression before it is ever evaluated: how large it is, and of what it speaks.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo};

use crate::expression::ExpressionError;
use crate::scope::Known;

/// How deep its brackets may nest.
pub(crate) const DEEPEST: u16 = 24;
/// How deep operations may nest, those of a chain such as `a + b + c` counted one by one.
const MOST_DEPTH: usize = 64;
/// Parts of one expression, those among them that macros make.
const MOST_PARTS: usize = 1000;
/// Lists within lists that `all`, `exists`, `map` and `filter` may walk.
const MOST_WALKS: usize = 2;
/// What may be called, beside operators. There are no regular expressions and no dates.
const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "lowerAscii",
    "upperAscii",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "type",
];

/// Where every part was written.
#[derive(Debug)]
pub(crate) struct Places(SourceInfo);

impl Places {
    pub(crate) fn new(info: SourceInfo) -> Self {
        Self(info)
    }

    /// Line and column, counted from one.
    pub(crate) fn of(&self, part: &IdedExpr) -> Option<(usize, usize)> {
        let (start, _) = self.0.offset_for(part.id)?;
        let before = self.0.source.get(..usize::try_from(start).ok()?)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((line, column))
    }
}

/// Looks through everything that an expression consists of.
pub(crate) struct Review<'r> {
    known: Known,
    places: &'r Places,
    parts: usize,
    /// Variables that a macro binds: `x` of `list.all(x, …)`.
    bound: Vec<String>,
}

impl<'r> Review<'r> {
    /// Looks through a whole expression that knows these variables.
    pub(crate) fn of(
        root: &IdedExpr,
        known: Known,
        places: &'r Places,
    ) -> Result<(), ExpressionError> {
        Self { known, places, parts: 0, bound: Vec::new() }.part(root, 0, 0)
    }

    fn part(&mut self, part: &IdedExpr, walks: usize, depth: usize) -> Result<(), ExpressionError> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            let text = format!("expected an expression of at most {MOST_PARTS} parts");
            return Err(ExpressionError::of_value(text));
        }
        if depth > MOST_DEPTH {
            let text = format!("expected at most {MOST_DEPTH} operations within each other");
            return Err(ExpressionError::at(self.places.of(part), text));
        }
        let depth = depth + 1;
        match &part.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(part, name),
            Expr::Select(select) => self.part(&select.operand, walks, depth),
            Expr::Call(call) => {
                self.function(part, &call.func_name)?;
                call.target.iter().try_for_each(|target| self.part(target, walks, depth))?;
                call.args.iter().try_for_each(|argument| self.part(argument, walks, depth))
            }
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.part(element, walks, depth))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.part(&entry.key, walks, depth)?;
                    self.part(&entry.value, walks, depth)
                }
                EntryExpr::StructField(field) => self.part(&field.value, walks, depth),
            }),
            Expr::Struct(_) => {
                let place = self.places.of(part);
                Err(ExpressionError::at(place, "there are no messages here: expected a map"))
            }
            Expr::Comprehension(walk) => {
                if walks == MOST_WALKS {
                    let text = format!("expected at most {MOST_WALKS} walks within each other");
                    return Err(ExpressionError::at(self.places.of(part), text));
                }
                self.part(&walk.iter_range, walks, depth)?;
                self.part(&walk.accu_init, walks + 1, depth)?;
                let outside = self.bound.len();
                self.bound.push(walk.iter_var.clone());
                self.bound.extend(walk.iter_var2.clone());
                self.bound.push(walk.accu_var.clone());
                for inner in [&walk.loop_cond, &walk.loop_step, &walk.result] {
                    self.part(inner, walks + 1, depth)?;
                }
                self.bound.truncate(outside);
                Ok(())
            }
        }
    }

    fn variable(&self, part: &IdedExpr, name: &str) -> Result<(), ExpressionError> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        match self.known.refusal(name) {
            None => Ok(()),
            Some(text) => Err(ExpressionError::at(self.places.of(part), text)),
        }
    }

    fn function(&self, part: &IdedExpr, name: &str) -> Result<(), ExpressionError> {
        // Operators are functions whose names nobody can write.
        let is_operator = name.contains(['_', '@'])
            && !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_operator || FUNCTIONS.contains(&name) {
            return Ok(());
        }
        let known = FUNCTIONS.join(", ");
        let text = format!(
            "there is no function `{name}`: expected has, all, exists, exists_one, map, filter, \
             {known}"
        );
        Err(ExpressionError::at(self.places.of(part), text))
    }
}

/// Nesting is bounded before the parser sees it, so that it never recurses into what is too deep.
pub(crate) fn check_brackets(text: &str) -> Result<(), ExpressionError> {
    let (mut depth, mut line, mut column) = (0_u16, 1, 0);
    for character in text.chars() {
        column += 1;
        match character {
            '(' | '[' | '{' => depth = depth.saturating_add(1),
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '\n' => (line, column) = (line + 1, 0),
            _ => {}
        }
        if depth > DEEPEST {
            let text = format!("expected at most {DEEPEST} brackets within each other");
            return Err(ExpressionError::at(Some((line, column)), text));
        }
    }
    Ok(())
}
