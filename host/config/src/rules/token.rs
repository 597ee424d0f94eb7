//! Tokens: each key on one that is set up, and EA's on one of its own.

use countersign_keys::pkcs11::PinSource;

use super::{Rules, known_names};
use crate::token::{KeyRef, TokenSettings};
use crate::value::BadValue;

impl<'c> Rules<'c> {
    /// The key of every role, with its place in the file.
    pub(super) fn role_keys(&self) -> Vec<(String, &'c KeyRef)> {
        let config = self.config;
        let keys = &config.serve.keys;
        let mut all = vec![
            ("serve.keys.cep.key".to_owned(), &keys.cep.key),
            ("serve.keys.rep.key".to_owned(), &keys.rep.key),
        ];
        all.extend(
            keys.previous_cep
                .iter()
                .enumerate()
                .map(|(index, pair)| (format!("serve.keys.previous-cep[{index}].key"), &pair.key)),
        );
        all.push((EA.to_owned(), &config.sign.keys.ea.key));
        all
    }

    pub(super) fn tokens(&mut self) {
        let config = self.config;
        let sections: Vec<(&String, &TokenSettings)> = config.token.iter().collect();
        for (index, (name, token)) in sections.iter().enumerate() {
            let twin = sections.iter().take(index).find(|(_, other)| may_be_one(token, other));
            if let Some((other, _)) = twin {
                self.add(
                    format!("token.{name}.label"),
                    BadValue::new(
                        "one-token-twice",
                        format!("[token.{other}] and [token.{name}] may be the same token"),
                        "give each token a label of its own, or name both serial numbers",
                    ),
                );
            }
        }
        let mut ea = None;
        let mut others = Vec::new();
        for (at, key) in self.role_keys() {
            let KeyRef::Pkcs11(uri) = key else { continue };
            let Some((name, token)) =
                sections.iter().find(|(_, token)| token.place().has(uri)).copied()
            else {
                self.add(
                    at,
                    BadValue::new(
                        "unknown-token",
                        format!(
                            "no [token.NAME] section has the label `{}`{}",
                            uri.token(),
                            uri.serial().map_or(String::new(), |_| {
                                " and the serial number of this key".to_owned()
                            }),
                        ),
                        format!(
                            "add a section with `module`, `label` and `pin`; there are: {}",
                            known_names(&config.token)
                        ),
                    ),
                );
                continue;
            };
            if at == EA {
                ea = Some((name, token));
            } else {
                others.push((at, name, token));
            }
        }
        if let Some((name, token)) = ea {
            self.alone(name, token, &others);
        }
    }

    /// A log-in is to a whole token: whoever may use one key on it may use all. So the token of
    /// `serve` is not EA's, and its PIN does not open EA's.
    fn alone(
        &mut self,
        ea_name: &str,
        ea: &TokenSettings,
        others: &[(String, &String, &TokenSettings)],
    ) {
        if let Some((at, ..)) = others.iter().find(|(_, name, _)| *name == ea_name) {
            self.add(
                EA,
                BadValue::new(
                    "ea-shares-a-token",
                    format!("{EA} and {at} are on one token: `serve` could use the EA key"),
                    "put the EA key on a token (slot, partition) of its own, with its own PIN",
                )
                .of_row(57),
            );
            return;
        }
        let same = |(_, _, token): &&(String, &String, &TokenSettings)| {
            token.pin == ea.pin && *token.pin.source() != PinSource::Prompt
        };
        if let Some((_, name, _)) = others.iter().find(same) {
            self.add(
                format!("token.{ea_name}.pin"),
                BadValue::new(
                    "ea-shares-a-pin",
                    format!(
                        "the PIN of [token.{ea_name}], which holds the EA key, comes from where \
                         the PIN of [token.{name}] comes from"
                    ),
                    "give the EA token a PIN of its own, in a place that only `sign` can read",
                )
                .of_row(57),
            );
        }
    }
}

const EA: &str = "sign.keys.ea.key";

/// Whether two sections may find the same token.
fn may_be_one(one: &TokenSettings, other: &TokenSettings) -> bool {
    one.label == other.label
        && match (&one.serial, &other.serial) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        }
}
