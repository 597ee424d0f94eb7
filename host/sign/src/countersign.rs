//! Third step: the signature itself.

use std::time::Duration;

use countersign_keys::{Deadline, EaKey, RoleKind, Severity, TokenError, check_role_certificate};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::cms::{ReadBackError, Unsigned};
use crate::digest::sha256;
use crate::recheck::Admissible;

/// How long the token may take, queue included.
const DEADLINE: Duration = Duration::from_secs(10);

/// A countersigned request that is not durable yet, so that it cannot leave. Only this file can
/// make one; only from an [`Admissible`].
///
/// ```compile_fail,E0451
/// fn skip(admissible: countersign_sign::Admissible) -> countersign_sign::Signed {
///     countersign_sign::Signed {
///         admissible, cms: Default::default(), cms_sha256: [0; 32], ea_certificate_sha256: [0; 32],
///     }
/// }
/// ```
pub struct Signed {
    admissible: Admissible,
    cms: Zeroizing<Vec<u8>>,
    cms_sha256: [u8; 32],
    ea_certificate_sha256: [u8; 32],
}

impl Signed {
    /// What was signed, and on whose word.
    #[must_use]
    pub fn admissible(&self) -> &Admissible {
        &self.admissible
    }

    /// SHA-256 of the message.
    #[must_use]
    pub fn cms_sha256(&self) -> [u8; 32] {
        self.cms_sha256
    }

    /// SHA-256 of the certificate whose key signed.
    #[must_use]
    pub fn ea_certificate_sha256(&self) -> [u8; 32] {
        self.ea_certificate_sha256
    }

    /// The message, for the step that stores it.
    pub(crate) fn into_cms(self) -> Zeroizing<Vec<u8>> {
        self.cms
    }

    pub(crate) fn cms(&self) -> &[u8] {
        &self.cms
    }
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed")
            .field("cms_sha256", &hex::encode(self.cms_sha256))
            .finish_non_exhaustive()
    }
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSigned {
    /// The certificate does not do (any more).
    #[error("{0}")]
    Certificate(String),
    /// The token did not sign.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// What was signed is not what should have been; it was thrown away.
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
}

/// Holds the Enrollment-Agent key.
#[derive(Debug)]
pub(crate) struct Countersigner {
    key: EaKey,
    chain: Vec<Vec<u8>>,
    clock: Clock,
}

impl Countersigner {
    /// With the chain to be sent beside the EA certificate; may be empty.
    ///
    /// # Errors
    /// The certificates cannot be carried in a message that reads back as it was written.
    pub(crate) fn new(
        key: EaKey,
        chain: Vec<Vec<u8>>,
        clock: Clock,
    ) -> Result<Self, ReadBackError> {
        let trial = Unsigned::over(b"trial", key.certificate(), &chain, key.signature_algorithm());
        trial.read_back_form(&trial.finish(b"no signature"))?;
        Ok(Self { key, chain, clock })
    }

    /// The key, for its certificate and the health of its token.
    pub(crate) fn key(&self) -> &EaKey {
        &self.key
    }

    /// SHA-256 of the EA certificate.
    pub(crate) fn certificate_sha256(&self) -> [u8; 32] {
        sha256(self.key.certificate().der())
    }

    /// What keeps the certificate from being used now, if anything.
    pub(crate) fn certificate_trouble(&self) -> Option<String> {
        check_role_certificate(RoleKind::Ea, self.key.certificate(), self.clock.system_time())
            .into_iter()
            .find(|finding| finding.severity == Severity::Critical)
            .map(|finding| format!("{}; {}", finding.message, finding.remedy))
    }

    /// Whether the token answers.
    pub(crate) async fn token_health(&self) -> Result<(), TokenError> {
        self.key.pool().health(Deadline::after(Duration::from_secs(2))).await
    }

    /// Signs, and verifies what was signed.
    ///
    /// # Errors
    /// [`NotSigned`]; no signature exists then, or it was thrown away.
    pub(crate) async fn sign(&self, admissible: Admissible) -> Result<Signed, NotSigned> {
        if let Some(trouble) = self.certificate_trouble() {
            return Err(NotSigned::Certificate(trouble));
        }
        let cms = {
            let unsigned = Unsigned::over(
                admissible.csr().der(),
                self.key.certificate(),
                &self.chain,
                self.key.signature_algorithm(),
            );
            let signature =
                self.key.sign(unsigned.to_be_signed().to_vec(), Deadline::after(DEADLINE)).await?;
            let cms = unsigned.finish(&signature);
            unsigned.read_back(&cms)?;
            cms
        };
        Ok(Signed {
            cms_sha256: sha256(&cms),
            cms,
            ea_certificate_sha256: self.certificate_sha256(),
            admissible,
        })
    }
}
