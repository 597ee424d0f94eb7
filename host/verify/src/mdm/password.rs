//! Hashed passwords. A user that does not exist costs the same time as one that does, and hashing
//! never takes more of the machine than it was given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use countersign_config::PasswordHash;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::start::StartError;

/// How long a log-in waits for its turn to be hashed.
const TURN: Duration = Duration::from_secs(5);

/// The longest password that is hashed.
pub(super) const LONGEST: usize = 1024;

/// Users with their hashes.
pub(super) struct Passwords {
    users: BTreeMap<String, User>,
    /// Checked for users that do not exist: no password fits it.
    nobody: String,
    turns: Arc<Semaphore>,
}

struct User {
    credential: String,
    hash: String,
}

/// Too many log-ins wait already.
#[derive(Debug)]
pub(super) struct Busy;

impl Passwords {
    pub(super) fn new(at_once: u32) -> Self {
        Self {
            users: BTreeMap::new(),
            nobody: String::new(),
            turns: Arc::new(Semaphore::new(at_once as usize)),
        }
    }

    /// Adds a user. The first one's costs are those of users that do not exist.
    pub(super) fn add(
        &mut self,
        credential: &str,
        user: &str,
        hash: &PasswordHash,
    ) -> Result<(), StartError> {
        let about = format!("[verify.mdm.credential.{credential}]");
        let hash = match hash {
            PasswordHash::Phc(text) => text.clone(),
            PasswordHash::Secret(reference) => {
                let octets = reference.read().map_err(StartError::of(&about))?;
                String::from_utf8_lossy(&octets).trim().to_owned()
            }
        };
        PasswordHash::check_phc(&hash).map_err(StartError::of(&about))?;
        argon2::password_hash::phc::PasswordHash::new(&hash).map_err(StartError::of(&about))?;
        if self.nobody.is_empty() {
            self.nobody = like(&hash).map_err(StartError::of(&about))?;
        }
        let user = user.to_owned();
        self.users.insert(user, User { credential: credential.to_owned(), hash });
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The credential of this user, if the password is right.
    pub(super) async fn check(
        &self,
        user: &str,
        password: Zeroizing<Vec<u8>>,
    ) -> Result<Option<&str>, Busy> {
        if self.is_empty() || password.len() > LONGEST {
            return Ok(None);
        }
        let found = self.users.get(user);
        // The dummy makes an unknown user cost what a wrong password costs.
        let hash = found.map_or(&self.nobody, |user| &user.hash).clone();
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned());
        let Ok(Ok(turn)) = turn.await else { return Err(Busy) };
        let hashing = tokio::task::spawn_blocking(move || {
            // Held until the hash is done, also if nobody waits for it any more.
            let _turn = turn;
            Argon2::default().verify_password(&password, hash.as_str()).is_ok()
        });
        let is_right = hashing.await.unwrap_or(false);
        Ok(found.filter(|_| is_right).map(|user| user.credential.as_str()))
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("users", &self.users.len()).finish()
    }
}

/// A hash of the same costs over nothing that anybody knows: random salt, random hash.
fn like(hash: &str) -> Result<String, &'static str> {
    let costs = hash.split('$').nth(3).ok_or("the hash names no costs")?;
    let mut octets = [0_u8; 48];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| "the system gives no random bytes")?;
    let (salt, output) = octets.split_at(16);
    Ok(format!(
        "$argon2id$v=19${costs}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output)
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use argon2::{Params, password_hash::PasswordHasher as _};

    use super::*;

    /// A hash with the least costs that the config takes.
    fn hashed(password: &str) -> String {
        let params = Params::new(7168, 1, 1, None).unwrap();
        let argon2 = Argon2::from(params);
        argon2.hash_password_with_salt(password.as_bytes(), &[7; 16]).unwrap().to_string()
    }

    fn passwords() -> Passwords {
        let mut passwords = Passwords::new(1);
        passwords.add("jamf", "scep", &hashed("right").parse().unwrap()).unwrap();
        passwords
    }

    async fn check(passwords: &Passwords, user: &str, password: &str) -> Option<String> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        passwords.check(user, password).await.unwrap().map(str::to_owned)
    }

    #[tokio::test]
    async fn only_the_right_password_of_an_existing_user_is_a_credential() {
        let passwords = passwords();
        assert_eq!(check(&passwords, "scep", "right").await.as_deref(), Some("jamf"));
        for (user, password) in
            [("scep", "wrong"), ("scep", ""), ("Scep", "right"), ("", "right"), ("nobody", "right")]
        {
            assert_eq!(check(&passwords, user, password).await, None, "{user} {password}");
        }
    }

    #[tokio::test]
    async fn nobody_has_a_password_that_fits_the_dummy() {
        assert_eq!(check(&Passwords::new(1), "nobody", "").await, None);
        let passwords = passwords();
        assert_ne!(passwords.nobody, hashed("right"));
        assert_eq!(check(&passwords, "nobody", "right").await, None);
    }

    /// Fails without the dummy (`found.map_or(&self.nobody, …)`): then nobody's user is refused in
    /// microseconds.
    #[tokio::test]
    async fn an_unknown_user_costs_what_a_wrong_password_costs() {
        let passwords = passwords();
        let mut times = [Duration::MAX; 2];
        for _ in 0..30 {
            for (least, user) in times.iter_mut().zip(["scep", "nobody"]) {
                let started = Instant::now();
                check(&passwords, user, "wrong").await;
                *least = started.elapsed().min(*least);
            }
        }
        let [known, unknown] = times;
        assert!(unknown > known / 3 && unknown < known * 3, "{known:?} against {unknown:?}");
    }
}
