//! A key in its role: the only way to use a private key.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aws_lc_rs::rand;
use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};

use crate::algorithm::{KeyTransport, SignatureAlgorithm};
use crate::certificate::RoleCertificate;
use crate::error::TokenError;
use crate::pool::{KeyPool, Work};
use crate::public_key::PublicKey;
use crate::role::{Cep, Ea, Rep, Role, RoleKind, Signs};
use crate::token::{ContentKey, Deadline, KeyName};

/// Bytes that a key proves itself with: as long as a content key can be.
const PROOF_LENGTH: usize = 32;
const PROOF_MESSAGE: &[u8] = b"countersign: proof at start\0";

/// The Enrollment-Agent key: countersigns.
pub type EaKey = KeyHandle<Ea>;
/// The CEP key: opens envelopes.
pub type CepKey = KeyHandle<Cep>;
/// The REP key: signs CertRep.
pub type RepKey = KeyHandle<Rep>;

/// A private key on a token, with its certificate, in the role `R`. Cheap to clone.
///
/// A role's key does that role's work only:
///
/// ```compile_fail,E0308
/// use countersign_keys::{EaKey, RepKey};
/// fn sign_reply(_key: &RepKey) {}
/// fn misuse(ea: &EaKey) { sign_reply(ea) }
/// ```
/// ```compile_fail,E0599
/// use countersign_keys::{CepKey, Deadline};
/// async fn misuse(cep: &CepKey, deadline: Deadline) { cep.sign(vec![], deadline).await; }
/// ```
/// ```compile_fail,E0599
/// use countersign_keys::{Deadline, EaKey, KeyTransport};
/// async fn misuse(ea: &EaKey, deadline: Deadline) {
///     ea.unwrap_content_key(KeyTransport::Pkcs1v15, vec![], 16, deadline).await;
/// }
/// ```
pub struct KeyHandle<R: Role> {
    pool: KeyPool,
    name: KeyName,
    certificate: Arc<RoleCertificate>,
    algorithm: SignatureAlgorithm,
    role: PhantomData<fn() -> R>,
}

impl<R: Role> KeyHandle<R> {
    /// Takes the key `name` of the pool's token into the role `R`.
    ///
    /// Blocks on the token; call it at start. Whether the certificate suits the role is for
    /// [`check_role_certificate`](crate::check_role_certificate) to say.
    ///
    /// # Errors
    /// The token has no such key, or its public half is not the certificate's.
    pub fn open(
        pool: &KeyPool,
        name: KeyName,
        certificate: RoleCertificate,
    ) -> Result<Self, OpenError> {
        let public_key = pool.token().public_key(&name)?;
        if public_key.spki_sha256() != certificate.public_key().spki_sha256() {
            return Err(OpenError::WrongCertificate {
                role: R::KIND,
                name,
                subject: certificate.subject().to_owned(),
            });
        }
        Ok(Self {
            pool: pool.clone(),
            name,
            algorithm: SignatureAlgorithm::preferred_for(public_key.kind()),
            certificate: Arc::new(certificate),
            role: PhantomData,
        })
    }

    /// Does with the key, once, what its role does with it, and compares the outcome with the
    /// certificate: a key that is there may still be one that the token does not let us use.
    ///
    /// Blocks on the token; call it at start.
    ///
    /// # Errors
    /// The token does not do it, or what it gives does not go with the certificate.
    pub fn prove(&self, deadline: Deadline) -> Result<(), OpenError> {
        let token = self.pool.token();
        let does_not =
            |what| OpenError::DoesNotWork { role: R::KIND, name: self.name.clone(), what };
        let mut random = [0u8; PROOF_LENGTH];
        rand::fill(&mut random).map_err(|_| does_not("get random bytes"))?;
        match R::KIND {
            RoleKind::Ea | RoleKind::Rep => {
                // Begins with what no structure that anyone accepts a signature over begins with.
                let message = [PROOF_MESSAGE, &random].concat();
                let signature = token.sign(&self.name, self.algorithm, &message, deadline)?;
                self.public_key()
                    .verify(self.algorithm, &message, &signature)
                    .map_err(|_| does_not("sign what its certificate verifies"))
            }
            RoleKind::Cep => {
                let ciphertext = encrypt(self.public_key().spki_der(), &random)
                    .ok_or_else(|| does_not("encrypt by its certificate"))?;
                let transport = KeyTransport::Pkcs1v15;
                let found =
                    token.rsa_unwrap(&self.name, transport, &ciphertext, PROOF_LENGTH, deadline)?;
                match found.as_bytes() == random {
                    true => Ok(()),
                    false => Err(does_not("open what its certificate encrypts")),
                }
            }
        }
    }

    /// Its certificate.
    pub fn certificate(&self) -> &RoleCertificate {
        &self.certificate
    }

    /// Its public half.
    pub fn public_key(&self) -> &PublicKey {
        self.certificate.public_key()
    }

    /// Its name on the token.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The pool of its token.
    pub fn pool(&self) -> &KeyPool {
        &self.pool
    }
}

impl<R: Signs> KeyHandle<R> {
    /// The algorithm [`Self::sign`] uses: SHA-256 with RSA and P-256, SHA-384 with P-384.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Signs `message` with [`Self::signature_algorithm`].
    ///
    /// # Errors
    /// As [`TokenError`] says.
    pub async fn sign(&self, message: Vec<u8>, deadline: Deadline) -> Result<Vec<u8>, TokenError> {
        self.sign_with(self.algorithm, message, deadline).await
    }

    /// Signs `message` with another algorithm that goes with this key.
    ///
    /// # Errors
    /// As [`TokenError`] says; `Refused` where the algorithm does not go with the key.
    pub async fn sign_with(
        &self,
        algorithm: SignatureAlgorithm,
        message: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Vec<u8>, TokenError> {
        let name = self.name.clone();
        self.pool
            .run(Work::Sign, deadline, move |token| {
                token.sign(&name, algorithm, &message, deadline)
            })
            .await
    }
}

impl KeyHandle<Cep> {
    /// Unwraps a content key of `wanted_length` bytes (1 to 32), the length that the declared
    /// content cipher takes. Whatever is wrong with the ciphertext, a key comes back.
    ///
    /// # Errors
    /// Only about the token: lost, busy, deadline.
    pub async fn unwrap_content_key(
        &self,
        transport: KeyTransport,
        ciphertext: Vec<u8>,
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<ContentKey, TokenError> {
        let name = self.name.clone();
        self.pool
            .run(Work::Unwrap, deadline, move |token| {
                token.rsa_unwrap(&name, transport, &ciphertext, wanted_length, deadline)
            })
            .await
    }
}

impl<R: Role> Clone for KeyHandle<R> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            name: self.name.clone(),
            certificate: Arc::clone(&self.certificate),
            algorithm: self.algorithm,
            role: PhantomData,
        }
    }
}

impl<R: Role> fmt::Debug for KeyHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHandle")
            .field("role", &R::KIND)
            .field("name", &self.name)
            .field("subject", &self.certificate.subject())
            .finish()
    }
}

fn encrypt(spki_der: &[u8], content_key: &[u8]) -> Option<Vec<u8>> {
    let key = PublicEncryptingKey::from_der(spki_der).ok()?;
    let key = Pkcs1PublicEncryptingKey::new(key).ok()?;
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let length = key.encrypt(content_key, &mut ciphertext).ok()?.len();
    ciphertext.truncate(length);
    Some(ciphertext)
}

/// Why a key cannot take its role.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The token does not give its public half.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Certificate and key are not a pair.
    #[error(
        "the {role} certificate ({subject}) is not for the key `{name}`: its public key differs; \
         set the certificate that was issued for this key"
    )]
    WrongCertificate {
        /// The role.
        role: RoleKind,
        /// The key.
        name: KeyName,
        /// The certificate's subject.
        subject: String,
    },
    /// The key does not do its role's work.
    #[error(
        "the {role} key `{name}` does not {what}: the token forbids it (a policy, a FIPS mode), or \
         the certificate is for another key"
    )]
    DoesNotWork {
        /// The role.
        role: RoleKind,
        /// The key.
        name: KeyName,
        /// What it does not do.
        what: &'static str,
    },
}
