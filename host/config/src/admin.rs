//! `[admin]`: people, where a process must know one from another.

use schemars::JsonSchema;
use serde::Deserialize;

use countersign_keys::Mode;

use crate::user::User;

/// `[admin]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Users of the people who administer this installation. They may use the admin sockets under
    /// their own names; what needs two people needs two of them. `root` is nobody: it may be
    /// anyone.
    pub persons: Vec<User>,
}

/// Who somebody at an admin socket is, where it matters that two are not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person(String);

impl Person {
    /// As it stands in the ledger: `uid 1001 (anna)`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longest name that somebody may go by in the lab.
const LONGEST: usize = 64;

impl AdminSettings {
    /// Uids of the persons that this machine knows.
    pub fn uids(&self) -> Vec<u32> {
        self.persons.iter().filter_map(|user| user.uid().ok()).collect()
    }

    /// The person behind `uid`, by the kernel's word. In the lab, where all may be one user, by the
    /// name they give (`--person`).
    ///
    /// # Errors
    /// What is wrong and what to do, for whoever asked.
    pub fn person(&self, mode: Mode, uid: u32, named: Option<&str>) -> Result<Person, String> {
        match (mode, named) {
            (Mode::Lab, Some(name)) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@ ".contains(c);
                if name.is_empty() || name.len() > LONGEST || !name.chars().all(plain) {
                    return Err(format!(
                        "expected a name of 1 to {LONGEST} ASCII letters, digits, `-`, `_`, `.`, `@` \
                         and spaces as --person"
                    ));
                }
                Ok(Person(format!("uid {uid} as {name} (lab)")))
            }
            (Mode::Lab, None) => Ok(Person(format!("uid {uid}"))),
            (Mode::Production, Some(_)) => Err("--person is for the lab, where all are one user; \
                 here the kernel says who you are: run the command as yourself"
                .to_owned()),
            (Mode::Production, None) => self
                .persons
                .iter()
                .find(|user| user.uid().is_ok_and(|found| found == uid))
                .map(|user| Person(format!("uid {uid} ({user})")))
                .ok_or_else(|| {
                    format!(
                        "uid {uid} is nobody in `[admin] persons`, so it cannot be told from others; \
                         run the command as yourself, not through sudo, and have your user listed \
                         there"
                    )
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_the_lab_the_kernel_says_who_is_who() {
        let admin = AdminSettings { persons: vec![User::Number(1001), User::Number(1002)] };
        let anna = admin.person(Mode::Production, 1001, None).unwrap();
        let berta = admin.person(Mode::Production, 1002, None).unwrap();
        assert_ne!(anna, berta);
        assert!(admin.person(Mode::Production, 0, None).unwrap_err().contains("not through sudo"));
        assert!(admin.person(Mode::Production, 1001, Some("berta")).is_err());
    }

    #[test]
    fn in_the_lab_one_user_may_be_several_people_and_it_shows() {
        let admin = AdminSettings::default();
        let anna = admin.person(Mode::Lab, 7, Some("anna")).unwrap();
        assert_eq!(anna.as_str(), "uid 7 as anna (lab)");
        assert_ne!(anna, admin.person(Mode::Lab, 7, None).unwrap());
        for name in ["", "a\nb", "anna (root)", &"a".repeat(65)] {
            assert!(admin.person(Mode::Lab, 7, Some(name)).is_err(), "{name:?}");
        }
    }
}
