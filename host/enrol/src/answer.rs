//! Station `answer`: the CertRep, signed by REP. Gives no reason before approval.

use std::time::Duration;

use countersign_keys::{Deadline, RepKey, SignatureAlgorithm};
use countersign_profile::DigestAlgorithm;
use countersign_scep::{CertRep, Certificate, Message, Nonce, Request};

use crate::arrival::{Answer, Conclusion};
use crate::profile::Profile;

/// How long signing one answer may take.
const SIGN: Duration = Duration::from_secs(5);

/// The REP key and its certificate.
#[derive(Debug)]
pub struct Responder {
    key: RepKey,
    certificate: Certificate,
}

impl Responder {
    /// A responder with this key.
    #[must_use]
    pub fn new(key: RepKey, certificate: Certificate) -> Self {
        Self { key, certificate }
    }

    /// Its certificate: part of what GetCACert hands out.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Puts a conclusion into a CertRep for `message`. `request` is there once the message's
    /// signature was good; only then can there be a success.
    pub(crate) async fn answer(
        &self,
        conclusion: &Conclusion,
        message: &Message,
        request: Option<&Request>,
        profile: &Profile,
    ) -> Answer {
        let reply = match (conclusion, request) {
            (Conclusion::Success { certificate }, Some(request)) => {
                success(certificate, request, profile)
            }
            (Conclusion::List { list }, Some(request)) => {
                CertRep::crl(request, list.der()).map_err(|error| error.to_string())
            }
            (Conclusion::Success { .. } | Conclusion::List { .. }, None) => {
                Err("a success without a request".to_owned())
            }
            (Conclusion::Pending, _) => Ok(CertRep::pending(message)),
            (Conclusion::Failure { fail_info, text, .. }, _) => {
                Ok(CertRep::failure(message, *fail_info, *text))
            }
            (Conclusion::Busy { retry_after, .. }, _) => {
                return Answer::Busy { retry_after: *retry_after };
            }
        };
        let signed = match reply {
            Ok(reply) => self.sign(reply).await,
            Err(error) => Err(error),
        };
        match signed {
            Ok(octets) => Answer::CertRep(octets),
            Err(error) => {
                tracing::error!(error, "an answer could not be made");
                Answer::Busy { retry_after: 30 }
            }
        }
    }

    async fn sign(&self, reply: CertRep<'_>) -> Result<Vec<u8>, String> {
        let nonce = Nonce::random().map_err(|error| error.to_string())?;
        let to_be_signed = reply.to_be_signed(&self.certificate, &nonce);
        let algorithm = match to_be_signed.digest() {
            DigestAlgorithm::Sha384 => SignatureAlgorithm::RsaPkcs1Sha384,
            DigestAlgorithm::Sha512 => SignatureAlgorithm::RsaPkcs1Sha512,
            // A reply is never signed over SHA-1, whatever the request was.
            DigestAlgorithm::Sha1 | DigestAlgorithm::Sha256 => SignatureAlgorithm::RsaPkcs1Sha256,
        };
        let signature = self
            .key
            .sign_with(algorithm, to_be_signed.message().to_vec(), Deadline::after(SIGN))
            .await
            .map_err(|error| format!("the token of REP: {error}"))?;
        Ok(to_be_signed.finish(&signature))
    }
}

fn success<'m>(
    certificate: &[u8],
    request: &'m Request,
    profile: &Profile,
) -> Result<CertRep<'m>, String> {
    let leaf = Certificate::parse(certificate).map_err(|error| error.to_string())?;
    let mut certificates = vec![leaf];
    certificates.extend(profile.reply_chain.iter().cloned());
    CertRep::success(request, &certificates).map_err(|error| error.to_string())
}
