//! The public half of a key, put together from the attributes of its objects.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use der::asn1::{BitStringRef, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};

use super::failure::Failure;
use crate::error::TokenError;
use crate::public_key::PublicKey;

/// AlgorithmIdentifier rsaEncryption with NULL (RFC 3279 §2.3.1).
const RSA_ENCRYPTION: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// The OID id-ecPublicKey (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// The public half of the private key `key`.
pub(super) fn read(session: &Session, key: ObjectHandle) -> Result<PublicKey, Failure> {
    let spki = match attribute(session, key, AttributeType::KeyType)? {
        Some(Attribute::KeyType(KeyType::RSA)) => rsa(session, key)?,
        Some(Attribute::KeyType(KeyType::EC)) => ec(session, key)?,
        _ => return Err(refused("it is neither an RSA nor an EC key")),
    };
    PublicKey::from_spki_der(&spki).map_err(|error| refused(&error.to_string()))
}

/// One attribute, where the object has it and the module tells it. One by one: modules fail the
/// whole query for one that they do not know.
pub(super) fn attribute(
    session: &Session,
    object: ObjectHandle,
    kind: AttributeType,
) -> Result<Option<Attribute>, cryptoki::error::Error> {
    Ok(session.get_attributes(object, &[kind])?.pop())
}

fn rsa(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Failure> {
    let Some(Attribute::Modulus(modulus)) = attribute(session, key, AttributeType::Modulus)? else {
        return Err(refused("it does not tell its modulus (CKA_MODULUS)"));
    };
    let exponent = match attribute(session, key, AttributeType::PublicExponent)? {
        Some(Attribute::PublicExponent(exponent)) if !exponent.is_empty() => exponent,
        // PKCS#11 v2.40 §2.1.3: on the private key the public exponent is optional.
        _ => match of_public_object(session, key, AttributeType::PublicExponent)? {
            Some(Attribute::PublicExponent(exponent)) => exponent,
            _ => return Err(refused("its public exponent (CKA_PUBLIC_EXPONENT) is not told")),
        },
    };
    encode_rsa(&modulus, &exponent).map_err(|error| refused(&error.to_string()))
}

fn encode_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, der::Error> {
    let modulus = UintRef::new(without_leading_zeros(modulus))?;
    let exponent = UintRef::new(without_leading_zeros(exponent))?;
    let key = RsaPublicKey { modulus, exponent }.to_der()?;
    sequence(RSA_ENCRYPTION, &BitStringRef::from_bytes(&key)?.to_der()?)
}

fn ec(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Failure> {
    let parameters = match attribute(session, key, AttributeType::EcParams)? {
        Some(Attribute::EcParams(parameters)) if !parameters.is_empty() => parameters,
        _ => match of_public_object(session, key, AttributeType::EcParams)? {
            Some(Attribute::EcParams(parameters)) => parameters,
            _ => return Err(refused("its curve (CKA_EC_PARAMS) is not told")),
        },
    };
    let Some(Attribute::EcPoint(point)) = of_public_object(session, key, AttributeType::EcPoint)?
    else {
        return Err(refused(
            "there is no public-key object with its CKA_ID, and an EC key does not tell its \
             public half itself",
        ));
    };
    encode_ec(&parameters, &point).map_err(|error| refused(&error.to_string()))
}

fn encode_ec(parameters: &[u8], point: &[u8]) -> Result<Vec<u8>, der::Error> {
    // An OCTET STRING around the point (PKCS#11 v2.40 §2.3.3), which some modules leave out.
    let point = match <&OctetStringRef>::from_der(point) {
        Ok(inside) => inside.as_bytes(),
        Err(_) => point,
    };
    let algorithm = sequence(EC_PUBLIC_KEY, parameters)?;
    sequence(&algorithm, &BitStringRef::from_bytes(point)?.to_der()?)
}

/// An attribute of the one public-key object that has the private key's CKA_ID.
fn of_public_object(
    session: &Session,
    key: ObjectHandle,
    kind: AttributeType,
) -> Result<Option<Attribute>, Failure> {
    let Some(Attribute::Id(id)) = attribute(session, key, AttributeType::Id)? else {
        return Ok(None);
    };
    if id.is_empty() {
        return Ok(None);
    }
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
    match session.find_objects(&template)?.as_slice() {
        [only] => Ok(attribute(session, *only, kind)?),
        [] => Ok(None),
        several => Err(refused(&format!(
            "{} public-key objects have its CKA_ID; expected one",
            several.len()
        ))),
    }
}

fn sequence(first: &[u8], second: &[u8]) -> Result<Vec<u8>, der::Error> {
    let inside = [first, second].concat();
    der::asn1::AnyRef::new(der::Tag::Sequence, &inside)?.to_der()
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn refused(what: &str) -> Failure {
    Failure::Final(TokenError::Refused(format!("the key cannot be used: {what}")))
}
