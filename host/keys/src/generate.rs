//! New key pairs, for `keys init` on a development token and for the lab.

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::error::TokenError;
use crate::public_key::PublicKey;
use crate::secret_file::{self, SecretFileError};

/// What kind of key pair to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// NIST P-256.
    EcP256,
    /// NIST P-384.
    EcP384,
}

/// A key pair that is in no token yet. Zeroed when dropped.
pub struct GeneratedKey {
    pkcs8_der: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
}

impl GeneratedKey {
    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The private key as PKCS#8 DER.
    pub fn pkcs8_der(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8_der
    }

    /// The private key as PKCS#8 PEM (`PRIVATE KEY`).
    ///
    /// # Errors
    /// The encoder fails, which it does for no key this crate makes.
    pub fn pkcs8_pem(&self) -> Result<Zeroizing<String>, TokenError> {
        der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &self.pkcs8_der)
            .map(Zeroizing::new)
            .map_err(|_| TokenError::Refused("the key cannot be written as PEM".into()))
    }

    /// Writes the private key as PEM into a new file of mode 0600.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write_pem(&self, path: &Path) -> Result<(), SecretFileError> {
        let pem = self.pkcs8_pem().map_err(|error| SecretFileError::Io {
            path: path.to_owned(),
            source: std::io::Error::other(error),
        })?;
        secret_file::create(path, pem.as_bytes())
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedKey").field("public_key", &self.public_key.kind()).finish()
    }
}

/// Makes a new key pair.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate_key(spec: KeySpec) -> Result<GeneratedKey, TokenError> {
    let failed = |_| TokenError::Refused("no key pair could be generated".into());
    let (pkcs8_der, spki_der) = match spec {
        KeySpec::Rsa2048 => rsa(KeySize::Rsa2048).map_err(failed)?,
        KeySpec::Rsa3072 => rsa(KeySize::Rsa3072).map_err(failed)?,
        KeySpec::Rsa4096 => rsa(KeySize::Rsa4096).map_err(failed)?,
        KeySpec::EcP256 => {
            ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)).map_err(failed)?
        }
        KeySpec::EcP384 => {
            ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING)).map_err(failed)?
        }
    };
    let public_key = PublicKey::from_spki_der(&spki_der)
        .map_err(|error| TokenError::Refused(error.to_string()))?;
    Ok(GeneratedKey { pkcs8_der, public_key })
}

type Pair = (Zeroizing<Vec<u8>>, Vec<u8>);

fn rsa(size: KeySize) -> Result<Pair, aws_lc_rs::error::Unspecified> {
    let pair = RsaKeyPair::generate(size)?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
    Ok((Zeroizing::new(private.as_ref().to_vec()), public.as_ref().to_vec()))
}

fn ec(
    pair: Result<EcdsaKeyPair, aws_lc_rs::error::Unspecified>,
) -> Result<Pair, aws_lc_rs::error::Unspecified> {
    let pair = pair?;
    let private = pair.to_pkcs8v1()?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
    Ok((Zeroizing::new(private.as_ref().to_vec()), public.as_ref().to_vec()))
}
