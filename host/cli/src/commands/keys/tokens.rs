//! The tokens that a config names, opened for people.

use std::time::Duration;

use countersign_config::Config;
use countersign_keys::pkcs11::{KeyUri, PinSource, Pkcs11Token, check_files};
use countersign_keys::{Deadline, Finding, TokenPlace};

/// How long a token may take for one thing: an RSA-4096 key takes some of them a minute.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) fn deadline() -> Deadline {
    Deadline::after(PATIENCE)
}

/// Opens each token once, with one log-in attempt, when it is first needed.
pub(super) struct Tokens {
    places: Vec<TokenPlace>,
    keys: Vec<KeyUri>,
    /// A token that did not open is not tried again: one wrong PIN is enough.
    opened: Vec<(TokenPlace, Result<Pkcs11Token, String>)>,
}

impl Tokens {
    pub(super) fn new<'a>(
        config: &Config,
        ask_pin: bool,
        keys: impl Iterator<Item = &'a KeyUri>,
    ) -> Self {
        let mut places = config.token_places();
        if ask_pin {
            places.iter_mut().for_each(|place| place.pin = PinSource::Prompt);
        }
        Self { places, keys: keys.cloned().collect(), opened: Vec::new() }
    }

    /// The token of a key.
    pub(super) fn of(&mut self, key: &KeyUri) -> Result<&Pkcs11Token, String> {
        let place = self
            .places
            .iter()
            .find(|place| place.has(key))
            .cloned()
            .ok_or_else(|| format!("no [token.NAME] section is for {key}"))?;
        if !self.opened.iter().any(|(known, _)| *known == place) {
            let token = self.open(&place);
            self.opened.push((place.clone(), token));
        }
        match self.opened.iter().find(|(known, _)| *known == place) {
            Some((_, Ok(token))) => Ok(token),
            Some((_, Err(problem))) => Err(problem.clone()),
            None => Err("the token was not opened".to_owned()),
        }
    }

    /// What is wrong with the files that the tokens hang on.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.places.iter().flat_map(check_files).collect()
    }

    fn open(&self, place: &TokenPlace) -> Result<Pkcs11Token, String> {
        let label = &place.settings.label;
        let pin = place
            .pin
            .read(label)
            .map_err(|error| format!("the PIN of the token `{label}`: {error}"))?;
        let keys = self.keys.iter().filter(|key| place.has(key));
        Pkcs11Token::open(&place.settings, pin, keys, deadline()).map_err(|error| error.to_string())
    }
}
