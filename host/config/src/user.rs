//! The user a process runs as.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// A user: its number, or its name in `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum User {
    /// Its uid.
    Number(u32),
    /// Its name.
    Name(String),
}

/// Why a user has no uid.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No line in `/etc/passwd`.
    #[error(
        "no user `{0}` in /etc/passwd; create it (`useradd --system --no-create-home --shell \
         /usr/sbin/nologin {0}`), or write its uid as a number if it comes from a directory"
    )]
    Unknown(String),
    /// The file cannot be read.
    #[error("/etc/passwd: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl User {
    /// Its uid.
    ///
    /// # Errors
    /// The name is not in `/etc/passwd`. Users of a directory service are written by number:
    /// their names would be looked up over the network.
    pub fn uid(&self) -> Result<u32, UserError> {
        match self {
            Self::Number(uid) => Ok(*uid),
            Self::Name(name) => uid_in(&std::fs::read_to_string("/etc/passwd")?, name)
                .ok_or_else(|| UserError::Unknown(name.clone())),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(uid) => uid.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl JsonSchema for User {
    fn schema_name() -> Cow<'static, str> {
        "User".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": 4_294_967_294u32,
            "description": "A user's name in /etc/passwd, or its uid.",
        })
    }
}

fn uid_in(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (found, _password, uid) = (fields.next()?, fields.next()?, fields.next()?);
        (found == name).then(|| uid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\nra-sign:x:991:991::/:/usr/sbin/nologin\n";
        assert_eq!(uid_in(passwd, "ra-sign"), Some(991));
        assert_eq!(uid_in(passwd, "ra"), None);
        assert_eq!(User::Number(7).uid().unwrap(), 7);
        assert_eq!(User::Name("root".into()).uid().unwrap(), 0);
        let unknown = User::Name("no-such-user-here".into()).uid().unwrap_err();
        assert!(unknown.to_string().contains("useradd"), "{unknown}");
    }
}
