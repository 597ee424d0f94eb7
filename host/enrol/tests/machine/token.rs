//! A token that goes and comes back: `serve`'s keys, as they are while one message is worked on.

use std::sync::Arc;

use countersign_keys::{
    Capacity, ContentKey, Deadline, DevelopmentToken, Finding, KeyName, KeyTransport, PublicKey,
    RoleKind, SignatureAlgorithm, Token, TokenDescription, TokenError,
};

use crate::world::World;

/// Keys in files, out of reach whenever the world says so.
#[derive(Debug)]
pub(crate) struct Losable {
    pub(crate) token: DevelopmentToken,
    pub(crate) world: Arc<World>,
}

impl Losable {
    fn reach(&self, name: &KeyName) -> Result<(), TokenError> {
        if self.world.is_lost(name.as_str()) {
            return Err(TokenError::Lost("a fault".to_owned()));
        }
        Ok(())
    }
}

impl Token for Losable {
    fn description(&self) -> TokenDescription {
        self.token.description()
    }

    fn capacity(&self) -> Capacity {
        self.token.capacity()
    }

    fn public_key(&self, key: &KeyName) -> Result<PublicKey, TokenError> {
        self.token.public_key(key)
    }

    fn sign(
        &self,
        key: &KeyName,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, TokenError> {
        self.reach(key)?;
        self.token.sign(key, algorithm, message, deadline)
    }

    fn rsa_unwrap(
        &self,
        key: &KeyName,
        transport: KeyTransport,
        ciphertext: &[u8],
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<ContentKey, TokenError> {
        self.world.opens();
        self.reach(key)?;
        self.token.rsa_unwrap(key, transport, ciphertext, wanted_length, deadline)
    }

    fn health(&self, deadline: Deadline) -> Result<(), TokenError> {
        self.token.health(deadline)
    }

    fn examine(
        &self,
        key: &KeyName,
        role: RoleKind,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, TokenError> {
        self.token.examine(key, role, deadline)
    }

    fn holds(&self, key: &PublicKey, deadline: Deadline) -> Result<bool, TokenError> {
        self.token.holds(key, deadline)
    }
}
