//! What a key must say of itself before it takes a role (row 20), and what else lies beside it.
//!
//! The attributes are claims of the module: a module in software can claim anything, and
//! tpm2-pkcs11 lets some be changed in its database. So the token's label, serial number and
//! module are logged beside the proof, and nothing here replaces knowing which HSM was bought.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use der::Encode;
use der::asn1::OctetStringRef;

use super::failure::Failure;
use super::operation::Afterwards;
use super::public_key::attribute;
use super::token::Pkcs11Token;
use crate::error::TokenError;
use crate::finding::{Finding, Severity};
use crate::public_key::PublicKey;
use crate::role::RoleKind;
use crate::token::{Deadline, KeyName};

/// One attribute, what it must be, and what it means if it is not.
struct Demand {
    kind: AttributeType,
    name: &'static str,
    id: &'static str,
    wanted: bool,
    means: &'static str,
}

const fn demand(
    kind: AttributeType,
    name: &'static str,
    id: &'static str,
    wanted: bool,
    means: &'static str,
) -> Demand {
    Demand { kind, name, id, wanted, means }
}

/// Must be told, and must be so, for every role.
const KEPT: [Demand; 8] = [
    demand(
        AttributeType::Token,
        "CKA_TOKEN",
        "key-attribute-token",
        true,
        "it is an object of a session, not of the token",
    ),
    demand(
        AttributeType::Private,
        "CKA_PRIVATE",
        "key-attribute-private",
        true,
        "it can be used without the PIN",
    ),
    demand(
        AttributeType::Sensitive,
        "CKA_SENSITIVE",
        "key-attribute-sensitive",
        true,
        "its value can be read",
    ),
    demand(
        AttributeType::AlwaysSensitive,
        "CKA_ALWAYS_SENSITIVE",
        "key-attribute-always-sensitive",
        true,
        "its value could be read once",
    ),
    demand(
        AttributeType::NeverExtractable,
        "CKA_NEVER_EXTRACTABLE",
        "key-attribute-never-extractable",
        true,
        "it could leave the token once",
    ),
    demand(
        AttributeType::Local,
        "CKA_LOCAL",
        "key-attribute-local",
        true,
        "it was made elsewhere and imported: a copy may exist",
    ),
    demand(
        AttributeType::Extractable,
        "CKA_EXTRACTABLE",
        "key-attribute-extractable",
        false,
        "it can leave the token",
    ),
    demand(
        AttributeType::Modifiable,
        "CKA_MODIFIABLE",
        "key-attribute-modifiable",
        false,
        "its attributes can be changed",
    ),
];

const SIGN: Demand = demand(
    AttributeType::Sign,
    "CKA_SIGN",
    "key-attribute-sign",
    true,
    "its role signs, and it cannot",
);
const NO_SIGN: Demand = demand(
    AttributeType::Sign,
    "CKA_SIGN",
    "key-attribute-sign",
    false,
    "its role opens envelopes, and it signs, too",
);
const DECRYPT: Demand = demand(
    AttributeType::Decrypt,
    "CKA_DECRYPT",
    "key-attribute-decrypt",
    true,
    "its role opens envelopes, and it cannot",
);
const NO_DECRYPT: Demand = demand(
    AttributeType::Decrypt,
    "CKA_DECRYPT",
    "key-attribute-decrypt",
    false,
    "its role signs, and it decrypts, too: a decryption oracle is a signing oracle",
);

/// Must not be so; a module that does not know the attribute cannot do it either.
const NEVER: [Demand; 4] = [
    demand(
        AttributeType::Unwrap,
        "CKA_UNWRAP",
        "key-attribute-unwrap",
        false,
        "it brings keys onto the token, whose values the caller chooses",
    ),
    demand(
        AttributeType::Derive,
        "CKA_DERIVE",
        "key-attribute-derive",
        false,
        "other keys are derived from it",
    ),
    demand(
        AttributeType::SignRecover,
        "CKA_SIGN_RECOVER",
        "key-attribute-sign-recover",
        false,
        "it signs what no digest bounds",
    ),
    demand(
        AttributeType::AlwaysAuthenticate,
        "CKA_ALWAYS_AUTHENTICATE",
        "key-attribute-always-authenticate",
        false,
        "it wants the PIN before each use, which a server cannot give",
    ),
];

impl Pkcs11Token {
    pub(super) fn examine_key(
        &self,
        name: &KeyName,
        role: RoleKind,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, TokenError> {
        let public_key = self.known(name, deadline)?.public_key;
        // How it unwraps decides whether it had to be able to sign its CSR.
        let raw = match role {
            RoleKind::Cep => self.tried_raw(name, deadline),
            RoleKind::Ea | RoleKind::Rep => None,
        };
        let mut findings = self.with_key(name, Afterwards::Keep, deadline, |work| {
            let mut findings = attributes(work.session, work.key, role, raw)?;
            let objects = copies(work.session, &public_key)?;
            if objects > 1 {
                findings.push(critical(
                    "key-twice-on-token",
                    format!(
                        "the {role} key `{name}` is on its token {objects} times: a second object \
                         need not be kept as the first is"
                    ),
                    "find out who made the second one, then make new keys with \
                     `countersign keys init`: treat this one as stolen",
                ));
            }
            Ok(findings)
        })?;
        if raw == Some(false) {
            findings.push(Finding {
                row: Some(20),
                severity: Severity::High,
                id: "token-without-raw-rsa",
                message: format!(
                    "the token does not do raw RSA (CKM_RSA_X_509) with `{name}`, so it checks \
                     the padding of envelopes itself, in its own time: the answer is the same \
                     for good and bad paddings, but its time is the module's"
                ),
                remedy: "allow CKM_RSA_X_509 for this key, or run the statistical comparison \
                         against this token before strangers can reach it"
                    .into(),
            });
        }
        if findings.iter().all(|finding| finding.severity < Severity::Critical)
            && let Some(known) = self.known.lock().get_mut(name)
        {
            // From now on it is examined again wherever it is found anew.
            known.role = Some(role);
        }
        Ok(findings)
    }

    /// `None` where the key does not unwrap at all: its attributes say why.
    fn tried_raw(&self, name: &KeyName, deadline: Deadline) -> Option<bool> {
        let _ = self.try_unwrapping(name, deadline);
        self.unwraps_raw(name)
    }
}

/// What a key's attributes say against its role.
pub(super) fn attributes(
    session: &Session,
    key: ObjectHandle,
    role: RoleKind,
    raw: Option<bool>,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let uses = match role {
        RoleKind::Ea | RoleKind::Rep => [SIGN, NO_DECRYPT],
        RoleKind::Cep => [DECRYPT, NO_SIGN],
    };
    for demand in KEPT.iter().chain(&uses) {
        let found = flag(attribute(session, key, demand.kind)?);
        if found == Some(demand.wanted) {
            continue;
        }
        let mut finding = against(role, demand, found);
        if demand.id == NO_SIGN.id && role == RoleKind::Cep && raw == Some(false) {
            // Without raw RSA it could not have signed its CSR otherwise.
            finding.severity = Severity::High;
        }
        findings.push(finding);
    }
    for demand in &NEVER {
        let found = flag(attribute(session, key, demand.kind)?);
        if found.is_some_and(|found| found != demand.wanted) {
            findings.push(against(role, demand, found));
        }
    }
    Ok(findings)
}

/// Whether an object of this public key, private or public, is on the token.
pub(super) fn holds(session: &Session, key: &PublicKey) -> Result<bool, Failure> {
    let templates = match key.rsa_modulus() {
        Some(modulus) => vec![vec![Attribute::Modulus(modulus.to_vec())]],
        None => ec_points(key).into_iter().map(|point| vec![Attribute::EcPoint(point)]).collect(),
    };
    for template in templates {
        if !session.find_objects(&template)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many private-key objects have this public key. EC keys do not tell it of themselves, so
/// their public-key objects are counted.
fn copies(session: &Session, key: &PublicKey) -> Result<usize, Failure> {
    if let Some(modulus) = key.rsa_modulus() {
        let template =
            [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Modulus(modulus.to_vec())];
        return Ok(session.find_objects(&template)?.len());
    }
    let mut found = 0;
    for point in ec_points(key) {
        found += session.find_objects(&[Attribute::EcPoint(point)])?.len();
    }
    Ok(found)
}

/// The point as CKA_EC_POINT: inside an OCTET STRING, and bare as some modules have it.
fn ec_points(key: &PublicKey) -> Vec<Vec<u8>> {
    let length = match key.kind() {
        crate::public_key::KeyKind::EcP256 => 65,
        crate::public_key::KeyKind::EcP384 => 97,
        crate::public_key::KeyKind::Rsa { .. } => return Vec::new(),
    };
    let spki = key.spki_der();
    let bare = spki.get(spki.len().saturating_sub(length)..).unwrap_or_default();
    let inside = OctetStringRef::new(bare).and_then(|octets| octets.to_der());
    inside.into_iter().chain([bare.to_vec()]).collect()
}

fn flag(attribute: Option<Attribute>) -> Option<bool> {
    match attribute? {
        Attribute::Token(flag)
        | Attribute::Private(flag)
        | Attribute::Sensitive(flag)
        | Attribute::AlwaysSensitive(flag)
        | Attribute::NeverExtractable(flag)
        | Attribute::Local(flag)
        | Attribute::Extractable(flag)
        | Attribute::Modifiable(flag)
        | Attribute::Sign(flag)
        | Attribute::Decrypt(flag)
        | Attribute::Unwrap(flag)
        | Attribute::Derive(flag)
        | Attribute::SignRecover(flag)
        | Attribute::AlwaysAuthenticate(flag) => Some(flag),
        _ => None,
    }
}

fn against(role: RoleKind, demand: &Demand, found: Option<bool>) -> Finding {
    let found = found.map_or("not told".into(), |found| found.to_string());
    critical(
        demand.id,
        format!(
            "the {role} key has {} {found}, expected {}: {}",
            demand.name, demand.wanted, demand.means
        ),
        "make a new key on the token with `countersign keys init` and have a certificate issued \
         for it; never import one",
    )
}

fn critical(id: &'static str, message: String, remedy: &str) -> Finding {
    Finding { row: Some(20), severity: Severity::Critical, id, message, remedy: remedy.to_owned() }
}
