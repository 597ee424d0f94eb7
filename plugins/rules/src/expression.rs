//! One expression: read with the place of what is wrong, bounded, evaluated.

use std::fmt;
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::parser::Parser;
use cel::{ExecutionError, ParseErrors, Value};
use countersign_sdk::Name;

use crate::review::{DEEPEST, Places, Review, check_brackets};
use crate::scope::{Known, Values};

/// Of one expression, in bytes.
const LONGEST: usize = 2048;
/// Of a device's id.
const LONGEST_ID: usize = 256;
/// Of a message of the parser.
const WORDS: usize = 300;

/// An expression that was read.
#[derive(Debug)]
pub struct Expression {
    root: IdedExpr,
    places: Places,
}

/// What an expression comes to.
#[derive(Debug)]
pub(crate) struct Outcome(Value);

/// What an expression has to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Truth,
    Text,
    Names,
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// Line and column, counted from one.
    place: Option<(usize, usize)>,
    text: String,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(formatter, "line {line}, column {column}: ")?;
        }
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for ExpressionError {}

impl ExpressionError {
    /// About what an expression came to.
    pub(crate) fn of_value(text: impl Into<String>) -> Self {
        Self { place: None, text: text.into() }
    }

    pub(crate) fn at(place: Option<(usize, usize)>, text: impl Into<String>) -> Self {
        Self { place, text: text.into() }
    }

    fn of_parser(errors: ParseErrors) -> Self {
        let Some(first) = errors.errors.into_iter().next() else {
            return Self::of_value("is no expression");
        };
        let number = |number: isize| usize::try_from(number).ok().filter(|number| *number > 0);
        let place = number(first.pos.0).zip(number(first.pos.1));
        let text = first.msg.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self { place, text: text.take(WORDS).collect() }
    }
}

impl Expression {
    /// Reads an expression that knows these variables.
    ///
    /// # Errors
    /// It is no expression, is over a bound, or speaks of what is not known: the first thing that is
    /// wrong, with its line and column.
    pub fn parse(text: &str, known: Known) -> Result<Self, ExpressionError> {
        if text.len() > LONGEST {
            let found = text.len();
            let text = format!("expected at most {LONGEST} bytes, found {found}");
            return Err(ExpressionError::of_value(text));
        }
        if text.trim().is_empty() {
            return Err(ExpressionError::of_value("expected an expression, found nothing"));
        }
        check_brackets(text)?;
        let (root, info) = Parser::new()
            .max_recursion_depth(DEEPEST)
            .error_recovery_limit(4)
            .parse_with_source_info(text)
            .map_err(ExpressionError::of_parser)?;
        let places = Places::new(info);
        Review::of(&root, known, &places)?;
        Ok(Self { root, places })
    }

    /// Whether it can come to what is needed, as far as that shows without evaluating it.
    pub(crate) fn check_shape(&self, shape: Shape) -> Result<(), ExpressionError> {
        let expected = match shape {
            Shape::Truth => "a condition, true or false",
            Shape::Text => "a text",
            Shape::Names => "a list of names such as ['CN=device-17']",
        };
        let fits = match (&self.root.expr, shape) {
            (Expr::Literal(LiteralValue::Boolean(_)), shape) => shape == Shape::Truth,
            (Expr::Literal(LiteralValue::String(_)), shape) => shape == Shape::Text,
            (Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_), _) => false,
            (Expr::List(_), shape) => shape == Shape::Names,
            _ => true,
        };
        if !fits {
            let place = self.places.of(&self.root);
            return Err(ExpressionError::at(place, format!("expected {expected}")));
        }
        if let (Expr::List(list), Shape::Names) = (&self.root.expr, shape) {
            for element in &list.elements {
                if let Expr::Literal(LiteralValue::String(text)) = &element.expr
                    && let Err(error) = text.inner().parse::<Name>()
                {
                    return Err(ExpressionError::at(self.places.of(element), error.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Evaluates it. What a value is never shows in an error.
    pub(crate) fn evaluate(&self, values: &Values) -> Result<Outcome, ExpressionError> {
        let mut context = cel::Context::with_env(values.environment());
        // Only a name that is taken is refused, and these two are not.
        let added = context
            .add_function("lowerAscii", |text: cel::extractors::This<Arc<String>>| {
                text.0.to_ascii_lowercase()
            })
            .and(context.add_function("upperAscii", |text: cel::extractors::This<Arc<String>>| {
                text.0.to_ascii_uppercase()
            }));
        if added.is_err() {
            return Err(ExpressionError::of_value("its functions are not there"));
        }
        for (name, value) in values.iter() {
            context.add_variable_from_value(name, value.clone());
        }
        context
            .resolve(&self.root)
            .map(Outcome)
            .map_err(|error| ExpressionError::at(None, in_words(&error)))
    }
}

impl Outcome {
    pub(crate) fn truth(self) -> Result<bool, ExpressionError> {
        match self.0 {
            Value::Bool(truth) => Ok(truth),
            other => Err(unexpected("true or false", &other)),
        }
    }

    /// A device's id, as the contract takes one.
    pub(crate) fn id_or_null(self) -> Result<Option<String>, ExpressionError> {
        match self.0 {
            Value::String(text)
                if (1..=LONGEST_ID).contains(&text.len()) && !text.contains(char::is_control) =>
            {
                Ok(Some(text.to_string()))
            }
            Value::String(_) => {
                let text = format!("expected a text of 1 to {LONGEST_ID} bytes on one line");
                Err(ExpressionError::of_value(text))
            }
            Value::Null => Ok(None),
            other => Err(unexpected("a text", &other)),
        }
    }

    pub(crate) fn texts(self, most: usize) -> Result<Vec<String>, ExpressionError> {
        let Value::List(list) = self.0 else {
            return Err(unexpected("a list of texts", &self.0));
        };
        if list.len() > most {
            let found = list.len();
            let text = format!("expected a list of at most {most}, found {found}");
            return Err(ExpressionError::of_value(text));
        }
        list.iter()
            .map(|value| match value {
                Value::String(text) => Ok(text.to_string()),
                other => Err(unexpected("a list of texts", other)),
            })
            .collect()
    }
}

fn unexpected(expected: &str, found: &Value) -> ExpressionError {
    ExpressionError::of_value(format!("expected {expected}, found {}", found.type_of()))
}

/// Errors of the interpreter without the values that they quote: those are of devices and people.
fn in_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("there is no `{name}`"),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` is not known"),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::UnexpectedType { got, want } => format!("expected {want}, found {got}"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "a division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number that is too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the index".to_owned(),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let (left, right) = (left.type_of(), right.type_of());
            format!("`{operator}` does not go with {left} and {right}")
        }
        ExecutionError::UnsupportedIndex(index, container) => {
            format!("{} has no index of {}", container.type_of(), index.type_of())
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        _ => "its parts do not fit together".to_owned(),
    }
}
