//! What must not be shared between processes and between roles.

use super::Rules;
use crate::token::KeyRef;
use crate::user::User;
use crate::value::BadValue;

impl Rules<'_> {
    /// What must not be shared between processes and roles.
    pub(super) fn separate(&mut self) {
        let config = self.config;
        let states = [
            ("serve.state", config.serve.state.as_path()),
            ("verify.state", config.verify.state.as_path()),
            ("sign.state", config.sign.state.as_path()),
        ];
        for (one, two) in equal_pairs(&states) {
            self.add(
                two,
                BadValue::new(
                    "shared-state-directory",
                    format!("{one} and {two} are the same directory"),
                    "give each process a directory that only its user can open",
                ),
            );
        }
        let keys = [
            ("serve.keys.cep.key", config.serve.keys.cep.key.to_string()),
            ("serve.keys.rep.key", config.serve.keys.rep.key.to_string()),
            ("sign.keys.ea.key", config.sign.keys.ea.key.to_string()),
        ];
        for (one, two) in equal_pairs(&keys) {
            self.add(
                two,
                BadValue::new(
                    "one-key-in-two-roles",
                    format!("{one} and {two} are the same key"),
                    "make a key pair of its own for each role with `countersign keys init`",
                )
                .of_row(42),
            );
        }
        let order_key = config.sign.order.as_ref().map(|order| order.key.to_string());
        let secrets = [
            ("approval.key", config.approval.key.to_string()),
            ("verify.challenge-key", config.verify.challenge_key.to_string()),
            ("verify.column-key", config.verify.column_key.to_string()),
            ("serve.column-key", config.serve.column_key.to_string()),
            ("sign.column-key", config.sign.column_key.to_string()),
            ("sign.checkpoint.key", config.sign.checkpoint.key.to_string()),
            ("sign.order.key", order_key.unwrap_or_default()),
        ];
        // In each unit systemd gives a name a meaning of its own, so only files are compared.
        let files: Vec<(&str, String)> =
            secrets.into_iter().filter(|(_, reference)| reference.starts_with("file:")).collect();
        for (one, two) in equal_pairs(&files) {
            self.add(
                two,
                BadValue::new(
                    "one-secret-for-two-uses",
                    format!("{one} and {two} are the same file"),
                    "give each use 32 random bytes of its own",
                ),
            );
        }
    }

    /// Row 58: one user per process, none of them root (row 50).
    pub(super) fn users(&mut self) {
        let config = self.config;
        let users = [
            ("serve", &config.serve.user),
            ("verify", &config.verify.user),
            ("sign", &config.sign.user),
        ];
        let mut named = Vec::new();
        for (process, user) in users {
            let at = format!("{process}.user");
            match user {
                None => self.add(
                    at,
                    BadValue::new(
                        "missing-user",
                        format!("[{process}] names no user; outside lab mode each process has one"),
                        format!("add `user = \"countersign-{process}\"`"),
                    )
                    .of_row(58),
                ),
                Some(user) if is_root(user) => self.add(
                    at,
                    BadValue::new(
                        "runs-as-root",
                        format!("[{process}] would run as root"),
                        format!("set `user = \"countersign-{process}\"`, a user without rights"),
                    )
                    .of_row(50),
                ),
                Some(user) => {
                    // A name that is not known here may be known where the process runs.
                    let identity =
                        user.uid().map_or_else(|_| user.to_string(), |uid| uid.to_string());
                    named.push((at, identity));
                }
            }
        }
        for (one, two) in equal_pairs(&named) {
            self.add(
                two.clone(),
                BadValue::new(
                    "shared-user",
                    format!("{one} and {two} are the same user: either process could read the other's keys"),
                    "give each process a user of its own",
                )
                .of_row(58),
            );
        }
    }

    /// Row 5: outside the lab keys are on tokens.
    pub(super) fn keys_on_hardware(&mut self) {
        for (at, key) in self.role_keys() {
            if let KeyRef::File(_) = key {
                self.add(
                    at.clone(),
                    BadValue::new(
                        "software-key-in-production",
                        format!("{at} is a file: a development key, refused in production"),
                        "keep the key on an HSM; for a trial set mode = \"lab\"",
                    )
                    .of_row(5),
                );
            }
        }
    }
}

pub(super) fn is_root(user: &User) -> bool {
    match user {
        User::Number(uid) => *uid == 0,
        User::Name(name) => name == "root" || matches!(user.uid(), Ok(0)),
    }
}

/// Each later entry that equals an earlier one, with the earlier one's name.
fn equal_pairs<N: Clone, V: PartialEq>(entries: &[(N, V)]) -> Vec<(N, N)> {
    let mut pairs = Vec::new();
    for (index, (name, value)) in entries.iter().enumerate() {
        if let Some((earlier, _)) = entries.iter().take(index).find(|(_, other)| other == value) {
            pairs.push((earlier.clone(), name.clone()));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_entries_are_named_with_the_first_of_them() {
        let entries = [("a", 1), ("b", 2), ("c", 1), ("d", 1)];
        assert_eq!(equal_pairs(&entries), [("a", "c"), ("a", "d")]);
    }
}
