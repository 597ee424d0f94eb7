//! Who is at the other end of a socket, by the kernel's word and by the first frame.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::net::UnixStream;

/// In which part a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The process that faces devices and the CA.
    Serve,
    /// The process that runs verifiers.
    Verify,
    /// The process that holds the Enrollment-Agent key.
    Sign,
    /// A person at the command line.
    Admin,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Serve => "serve",
            Self::Verify => "verify",
            Self::Sign => "sign",
            Self::Admin => "admin",
        })
    }
}

/// A peer that was let in: its role, and its user by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The role it claimed and may have.
    pub role: Role,
    /// Its user id (`SO_PEERCRED`).
    pub uid: u32,
}

/// Which users may speak in which role on one socket.
///
/// Outside lab mode a peer that runs as our own user is refused in every role but none: two
/// processes of one user can read each other's memory, which is what the split is against.
#[derive(Debug, Clone)]
pub struct PeerRules {
    users: BTreeMap<Role, Vec<u32>>,
    lab: bool,
    own: u32,
}

/// Why a peer was refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PeerRefused {
    /// The role has no business on this socket.
    #[error("role {0} has no business on this socket")]
    Role(Role),
    /// The user is not the one that the config names for the role.
    #[error(
        "role {role} must run as user id {expected:?}, the peer runs as {found}; \
         set `user` of that process in the config, or start it as that user"
    )]
    User {
        /// The role that was claimed.
        role: Role,
        /// The user ids that may have it.
        expected: Vec<u32>,
        /// The user id that came.
        found: u32,
    },
    /// Peer and this process run as the same user outside lab mode.
    #[error(
        "the peer in role {role} runs as this process's own user id {uid}; \
         outside lab mode each process needs a user of its own"
    )]
    OwnUser {
        /// The role that was claimed.
        role: Role,
        /// The shared user id.
        uid: u32,
    },
    /// The kernel did not say who the peer is.
    #[error("the peer's credentials could not be read: {0}")]
    Unreadable(String),
}

impl PeerRules {
    /// Rules that let nobody in yet. `lab` lets the processes share one user.
    #[must_use]
    pub fn new(lab: bool) -> Self {
        Self { users: BTreeMap::new(), lab, own: own_uid() }
    }

    /// Lets user `uid` speak in `role`.
    #[must_use]
    pub fn allow(mut self, role: Role, uid: u32) -> Self {
        self.users.entry(role).or_default().push(uid);
        self
    }

    /// In lab mode, lets this process's own user speak in `role`; elsewhere changes nothing.
    #[must_use]
    pub fn allow_own_in_lab(self, role: Role) -> Self {
        if self.lab {
            let own = self.own;
            self.allow(role, own)
        } else {
            self
        }
    }

    /// The user at the other end of `stream`, if it may speak in `role`.
    ///
    /// # Errors
    /// [`PeerRefused`], to be logged here and told to the peer.
    pub fn admit(&self, stream: &UnixStream, role: Role) -> Result<Peer, PeerRefused> {
        let credentials =
            stream.peer_cred().map_err(|error| PeerRefused::Unreadable(error.to_string()))?;
        self.admit_uid(credentials.uid(), role)
    }

    fn admit_uid(&self, uid: u32, role: Role) -> Result<Peer, PeerRefused> {
        let allowed = self.users.get(&role).ok_or(PeerRefused::Role(role))?;
        if !self.lab && role != Role::Admin && uid == self.own {
            return Err(PeerRefused::OwnUser { role, uid });
        }
        if !allowed.contains(&uid) {
            return Err(PeerRefused::User { role, expected: allowed.clone(), found: uid });
        }
        Ok(Peer { role, uid })
    }
}

/// The effective user id of this process.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_without_business_here_is_refused() {
        let rules = PeerRules::new(true).allow_own_in_lab(Role::Serve);
        assert_eq!(rules.admit_uid(own_uid(), Role::Verify), Err(PeerRefused::Role(Role::Verify)));
    }

    #[test]
    fn outside_lab_a_peer_of_our_own_user_is_refused_even_when_listed() {
        let rules = PeerRules::new(false).allow(Role::Serve, own_uid());
        assert!(matches!(
            rules.admit_uid(own_uid(), Role::Serve),
            Err(PeerRefused::OwnUser { .. })
        ));
    }

    #[test]
    fn a_user_that_the_config_does_not_name_is_refused() {
        let rules = PeerRules::new(false).allow(Role::Serve, 4001);
        assert!(matches!(rules.admit_uid(4002, Role::Serve), Err(PeerRefused::User { .. })));
        assert!(rules.admit_uid(4001, Role::Serve).is_ok());
    }
}
