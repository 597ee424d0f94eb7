//! Where keys are, as a config names it, and the tokens opened for them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::certificate::RoleCertificate;
use crate::development::DevelopmentToken;
use crate::error::{LoadError, TokenError};
use crate::finding::{Finding, Mode};
use crate::handle::{KeyHandle, OpenError};
use crate::pkcs11::{KeyUri, PinSource, Pkcs11Settings, Pkcs11Token, TokenOpenError, check_files};
use crate::pool::{KeyPool, PoolLimits};
use crate::public_key::PublicKey;
use crate::role::Role;
use crate::token::{Deadline, KeyName, Token, TokenDescription};

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPlace {
    /// A PKCS#8 file of a development token.
    File(PathBuf),
    /// A key on a PKCS#11 token.
    Pkcs11(KeyUri),
}

impl KeyPlace {
    /// The key's name on its token.
    pub fn key_name(&self) -> KeyName {
        match self {
            Self::File(path) => KeyName::new(path.display().to_string()),
            Self::Pkcs11(uri) => uri.key_name(),
        }
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Pkcs11(uri) => uri.fmt(f),
        }
    }
}

/// A PKCS#11 token that keys may be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace {
    /// Module, label, serial number and sessions.
    pub settings: Pkcs11Settings,
    /// The file that configures the module: its mode is checked.
    pub module_config: Option<PathBuf>,
    /// Where its PIN comes from.
    pub pin: PinSource,
}

impl TokenPlace {
    /// Whether a key's URI names this token.
    pub fn has(&self, uri: &KeyUri) -> bool {
        uri.token() == self.settings.label
            && match (uri.serial(), &self.settings.serial) {
                (Some(one), Some(other)) => one == other,
                (Some(_), None) => false,
                (None, _) => true,
            }
    }
}

/// Why a process has no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// A key file.
    #[error(transparent)]
    File(#[from] LoadError),
    /// A token.
    #[error(transparent)]
    Token(#[from] TokenOpenError),
    /// The threads.
    #[error("the token's threads: {0}")]
    Pool(#[from] TokenError),
    /// No section of the config is for this key.
    #[error("no token is set up for the key `{0}`; add a section for the token it names")]
    NoToken(KeyPlace),
}

/// The tokens of one process, each opened once, with a pool of threads for each.
#[derive(Debug)]
pub struct Tokens {
    pools: Vec<KeyPool>,
    of_key: BTreeMap<KeyPlace, usize>,
    findings: Vec<Finding>,
}

impl Tokens {
    /// Opens the tokens that hold `keys`, and no others: key files together make one development
    /// token, in the lab only; each PKCS#11 token gets one log-in attempt. Blocks.
    ///
    /// # Errors
    /// A token is not usable, or a key's URI names none of `places`.
    pub fn open<'a>(
        mode: Mode,
        places: &[TokenPlace],
        keys: impl IntoIterator<Item = &'a KeyPlace>,
        deadline: Deadline,
    ) -> Result<Self, TokensError> {
        let mut files = Vec::new();
        let mut on_tokens: Vec<(&TokenPlace, Vec<&KeyUri>)> = Vec::new();
        for key in keys {
            match key {
                KeyPlace::File(path) => {
                    if !files.contains(&path) {
                        files.push(path);
                    }
                }
                KeyPlace::Pkcs11(uri) => {
                    let place = places
                        .iter()
                        .find(|place| place.has(uri))
                        .ok_or_else(|| TokensError::NoToken(key.clone()))?;
                    match on_tokens.iter_mut().find(|(known, _)| *known == place) {
                        Some((_, uris)) => uris.push(uri),
                        None => on_tokens.push((place, vec![uri])),
                    }
                }
            }
        }
        let mut tokens = Self { pools: Vec::new(), of_key: BTreeMap::new(), findings: Vec::new() };
        if !files.is_empty() {
            let token = DevelopmentToken::open(
                mode,
                files
                    .iter()
                    .map(|path| (KeyPlace::File((*path).clone()).key_name(), path.as_path())),
            )?;
            let keys = files.into_iter().map(|path| KeyPlace::File(path.clone()));
            tokens.add(Arc::new(token), keys)?;
        }
        for (place, uris) in on_tokens {
            tokens.findings.extend(check_files(place));
            let label = place.settings.label.clone();
            let pin =
                place.pin.read(&label).map_err(|source| TokenOpenError::Pin { label, source })?;
            let token = Pkcs11Token::open(&place.settings, pin, uris.iter().copied(), deadline)?;
            let keys = uris.into_iter().map(|uri| KeyPlace::Pkcs11(uri.clone()));
            tokens.add(Arc::new(token), keys)?;
        }
        Ok(tokens)
    }

    /// Takes a key into a role, with its certificate: it is there once, it goes with the
    /// certificate, and it does its role's work. Blocks; call it at start.
    ///
    /// # Errors
    /// As [`KeyHandle::open`] and [`KeyHandle::prove`].
    pub fn take<R: Role>(
        &self,
        key: &KeyPlace,
        certificate: RoleCertificate,
        deadline: Deadline,
    ) -> Result<KeyHandle<R>, OpenError> {
        let name = key.key_name();
        let pool = self
            .pool(key)
            .ok_or_else(|| TokenError::NoSuchKey { name: name.as_str().to_owned(), found: 0 })?;
        let handle = KeyHandle::open(pool, name, certificate)?;
        handle.prove(deadline)?;
        Ok(handle)
    }

    /// What a key's token says of it against its role (row 20).
    ///
    /// # Errors
    /// The token does not answer.
    pub fn examine<R: Role>(
        &self,
        key: &KeyHandle<R>,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, TokenError> {
        key.pool().token().examine(key.name(), R::KIND, deadline)
    }

    /// The token, of those that are open, that holds this key by whatever name.
    ///
    /// # Errors
    /// A token does not answer.
    pub fn holding(
        &self,
        key: &PublicKey,
        deadline: Deadline,
    ) -> Result<Option<TokenDescription>, TokenError> {
        for pool in &self.pools {
            if pool.token().holds(key, deadline)? {
                return Ok(Some(pool.token().description()));
            }
        }
        Ok(None)
    }

    /// The pool of a key's token.
    pub fn pool(&self, key: &KeyPlace) -> Option<&KeyPool> {
        self.of_key.get(key).and_then(|index| self.pools.get(*index))
    }

    /// What was found about the files that the tokens hang on (row 57).
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// All pools.
    pub fn pools(&self) -> &[KeyPool] {
        &self.pools
    }

    fn add(
        &mut self,
        token: Arc<dyn Token>,
        keys: impl Iterator<Item = KeyPlace>,
    ) -> Result<(), TokenError> {
        let index = self.pools.len();
        self.pools.push(KeyPool::start(token, PoolLimits::default())?);
        self.of_key.extend(keys.map(|key| (key, index)));
        Ok(())
    }
}
