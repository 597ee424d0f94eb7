//! What the module is to do: a text with one order a line, so that a failed test can be read.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_MECHANISM_TYPE, CK_RV};

use crate::functions;

/// The orders for one module. Calls are counted anew whenever the text changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub(crate) module: PathBuf,
    pub(crate) token: TokenPresence,
    pub(crate) rules: Vec<Rule>,
    pub(crate) attributes: Vec<AttributeRule>,
    pub(crate) token_flags: CK_FLAGS,
    pub(crate) hidden_mechanisms: Vec<CK_MECHANISM_TYPE>,
    pub(crate) hidden: Vec<Objects>,
    pub(crate) duplicated: Vec<Objects>,
}

/// Whether the token is in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPresence {
    /// It is.
    Present,
    /// It is not: its sessions are gone, and stay so when it comes back.
    Removed,
    /// The same, and after it came back the module sees it only once it is finalised and
    /// initialised again, as SoftHSM2 and lost `p11-kit` servers do.
    RemovedUntilInitialize,
}

/// Which calls of a function an order is for, counted from 1 since the script changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All of them.
    Always,
    /// This one only.
    OnCall(u32),
    /// The first so many.
    FirstCalls(u32),
}

/// What happens to an attribute that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `CK_TRUE` or `CK_FALSE` instead of what it is.
    Set(bool),
    /// The lowest bit of its last octet is turned.
    Flip,
    /// The object has no such attribute.
    Omit,
}

/// Class of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `CKO_PUBLIC_KEY`.
    Public,
    /// `CKO_PRIVATE_KEY`.
    Private,
}

/// Objects by class and `CKA_LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// Their class.
    pub class: Class,
    /// Their label.
    pub label: String,
}

impl Objects {
    /// The private keys of this label.
    #[must_use]
    pub fn private(label: &str) -> Self {
        Self { class: Class::Private, label: label.to_owned() }
    }

    /// The public keys of this label.
    #[must_use]
    pub fn public(label: &str) -> Self {
        Self { class: Class::Public, label: label.to_owned() }
    }
}

/// What happens to calls of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) function: &'static str,
    pub(crate) effect: Effect,
    pub(crate) when: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The real module is not asked.
    Return(CK_RV),
    /// Before anything else.
    Delay(Duration),
    /// One bit of what it signed is turned.
    WrongSignature,
}

/// What happens to an attribute of some objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributeRule {
    pub(crate) attribute: CK_ATTRIBUTE_TYPE,
    pub(crate) change: Change,
    pub(crate) objects: Objects,
}

impl Script {
    /// Forwards everything to the module at this path and changes nothing.
    #[must_use]
    pub fn forwarding_to(module: impl Into<PathBuf>) -> Self {
        Self {
            module: module.into(),
            token: TokenPresence::Present,
            rules: Vec::new(),
            attributes: Vec::new(),
            token_flags: 0,
            hidden_mechanisms: Vec::new(),
            hidden: Vec::new(),
            duplicated: Vec::new(),
        }
    }

    /// The function (`C_Sign`) returns this code, and the real module is not asked.
    ///
    /// # Panics
    /// PKCS#11 2.40 has no function of this name.
    #[must_use]
    pub fn fails(self, function: &str, code: CK_RV, when: When) -> Self {
        self.rule(function, Effect::Return(code), when)
    }

    /// The function takes so much longer.
    ///
    /// # Panics
    /// PKCS#11 2.40 has no function of this name.
    #[must_use]
    pub fn delays(self, function: &str, by: Duration, when: When) -> Self {
        self.rule(function, Effect::Delay(by), when)
    }

    /// Signatures come out with one bit turned. Calls of `C_Sign` that only ask for the length
    /// are not counted.
    #[must_use]
    pub fn signs_wrongly(self, when: When) -> Self {
        self.rule("C_Sign", Effect::WrongSignature, when)
    }

    /// These objects tell a wrong attribute.
    #[must_use]
    pub fn attribute(
        mut self,
        objects: Objects,
        attribute: CK_ATTRIBUTE_TYPE,
        change: Change,
    ) -> Self {
        self.attributes.push(AttributeRule { attribute, change, objects });
        self
    }

    /// `C_GetTokenInfo` tells these flags beside the real ones.
    #[must_use]
    pub fn token_flags(mut self, flags: CK_FLAGS) -> Self {
        self.token_flags |= flags;
        self
    }

    /// The mechanism is neither listed nor taken.
    #[must_use]
    pub fn without_mechanism(mut self, mechanism: CK_MECHANISM_TYPE) -> Self {
        self.hidden_mechanisms.push(mechanism);
        self
    }

    /// These objects are not found.
    #[must_use]
    pub fn hides(mut self, objects: Objects) -> Self {
        self.hidden.push(objects);
        self
    }

    /// Each of these objects is found twice, under two handles.
    #[must_use]
    pub fn duplicates(mut self, objects: Objects) -> Self {
        self.duplicated.push(objects);
        self
    }

    /// Whether the token is there.
    #[must_use]
    pub fn token(mut self, presence: TokenPresence) -> Self {
        self.token = presence;
        self
    }

    fn rule(mut self, function: &str, effect: Effect, when: When) -> Self {
        #[expect(clippy::panic, reason = "a test that misspells a function is to fail")]
        let function = functions::named(function)
            .unwrap_or_else(|| panic!("PKCS#11 2.40 has no function `{function}`"));
        self.rules.push(Rule { function, effect, when });
        self
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "module {}", self.module.display())?;
        match self.token {
            TokenPresence::Present => {}
            TokenPresence::Removed => f.write_str("token removed\n")?,
            TokenPresence::RemovedUntilInitialize => {
                f.write_str("token removed-until-initialize\n")?;
            }
        }
        for Rule { function, effect, when } in &self.rules {
            match effect {
                Effect::Return(code) => write!(f, "return {function} {code}")?,
                Effect::Delay(by) => write!(f, "delay {function} {}", by.as_millis())?,
                Effect::WrongSignature => write!(f, "wrong-signature {function} 0")?,
            }
            match when {
                When::Always => f.write_str(" always\n")?,
                When::OnCall(call) => writeln!(f, " on {call}")?,
                When::FirstCalls(calls) => writeln!(f, " first {calls}")?,
            }
        }
        for AttributeRule { attribute, change, objects } in &self.attributes {
            let change = match change {
                Change::Set(true) => "true",
                Change::Set(false) => "false",
                Change::Flip => "flip",
                Change::Omit => "omit",
            };
            writeln!(f, "attribute {attribute} {change} {objects}")?;
        }
        if self.token_flags != 0 {
            writeln!(f, "token-flags {}", self.token_flags)?;
        }
        for mechanism in &self.hidden_mechanisms {
            writeln!(f, "without-mechanism {mechanism}")?;
        }
        for objects in &self.hidden {
            writeln!(f, "hide {objects}")?;
        }
        for objects in &self.duplicated {
            writeln!(f, "duplicate {objects}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.class {
            Class::Public => "public",
            Class::Private => "private",
        })?;
        f.write_char(' ')?;
        f.write_str(&self.label)
    }
}

/// A script that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct ScriptError(String);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::forwarding_to("");
        for line in text.lines() {
            read_line(&mut script, line)
                .ok_or_else(|| ScriptError(format!("not an order: `{line}`")))?;
        }
        if script.module.as_os_str().is_empty() {
            return Err(ScriptError("no line `module PATH`".to_owned()));
        }
        Ok(script)
    }
}

fn read_line(script: &mut Script, line: &str) -> Option<()> {
    let (order, rest) = line.split_once(' ')?;
    match order {
        "module" => script.module = PathBuf::from(rest),
        "token" => {
            script.token = match rest {
                "removed" => TokenPresence::Removed,
                "removed-until-initialize" => TokenPresence::RemovedUntilInitialize,
                _ => return None,
            }
        }
        "return" | "delay" | "wrong-signature" => script.rules.push(read_rule(order, rest)?),
        "attribute" => {
            let (attribute, rest) = rest.split_once(' ')?;
            let (change, objects) = rest.split_once(' ')?;
            let change = match change {
                "true" => Change::Set(true),
                "false" => Change::Set(false),
                "flip" => Change::Flip,
                "omit" => Change::Omit,
                _ => return None,
            };
            let attribute = attribute.parse().ok()?;
            let objects = read_objects(objects)?;
            script.attributes.push(AttributeRule { attribute, change, objects });
        }
        "token-flags" => script.token_flags = rest.parse().ok()?,
        "without-mechanism" => script.hidden_mechanisms.push(rest.parse().ok()?),
        "hide" => script.hidden.push(read_objects(rest)?),
        "duplicate" => script.duplicated.push(read_objects(rest)?),
        _ => return None,
    }
    Some(())
}

fn read_rule(order: &str, rest: &str) -> Option<Rule> {
    let mut words = rest.split(' ');
    let function = functions::named(words.next()?)?;
    let number = words.next()?;
    let effect = match order {
        "return" => Effect::Return(number.parse().ok()?),
        "delay" => Effect::Delay(Duration::from_millis(number.parse().ok()?)),
        _ => Effect::WrongSignature,
    };
    let when = match (words.next()?, words.next()) {
        ("always", None) => When::Always,
        ("on", Some(call)) => When::OnCall(call.parse().ok()?),
        ("first", Some(calls)) => When::FirstCalls(calls.parse().ok()?),
        _ => return None,
    };
    words.next().is_none().then_some(Rule { function, effect, when })
}

fn read_objects(text: &str) -> Option<Objects> {
    let (class, label) = text.split_once(' ')?;
    match class {
        "public" => Some(Objects::public(label)),
        "private" => Some(Objects::private(label)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::{CKA_SENSITIVE, CKM_RSA_X_509, CKR_DEVICE_REMOVED};

    use super::*;

    #[test]
    fn a_script_is_read_as_it_was_written() {
        let script = Script::forwarding_to("/usr/lib/module.so")
            .token(TokenPresence::RemovedUntilInitialize)
            .fails("C_Sign", CKR_DEVICE_REMOVED, When::OnCall(3))
            .fails("C_Login", 0xA0, When::FirstCalls(2))
            .delays("C_Decrypt", Duration::from_millis(1500), When::Always)
            .signs_wrongly(When::Always)
            .attribute(Objects::private("a key"), CKA_SENSITIVE, Change::Set(false))
            .attribute(Objects::public("a key"), 0x120, Change::Flip)
            .token_flags(0x10000)
            .without_mechanism(CKM_RSA_X_509)
            .hides(Objects::private("ea"))
            .duplicates(Objects::public("cep 2"));
        assert_eq!(script.to_string().parse(), Ok(script));
    }

    #[test]
    fn a_line_that_is_no_order_is_an_error() {
        for line in
            ["retrun C_Sign 1 always", "return C_Sing 1 always", "return C_Sign 1", "hide x"]
        {
            let error = format!("module m\n{line}\n").parse::<Script>().unwrap_err();
            assert!(error.to_string().contains(line));
        }
        assert!("".parse::<Script>().is_err());
    }
}
