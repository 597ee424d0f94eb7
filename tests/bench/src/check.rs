//! Every answer is opened and checked, after the clock has stopped.

use countersign_profile::{Certificate, LegacyDigests};
use countersign_scep::client::{Expected, Reply};

use crate::fleet::in_parallel;
use crate::load::Answered;
use crate::peer::Peer;

/// Per answer: good, or why not.
pub(crate) fn all(answers: &[Answered], peer: &Peer) -> Vec<Result<(), String>> {
    in_parallel(answers.iter().collect(), |answer| one(answer, peer))
}

/// SUCCESS, for this request, readable by this device, with a certificate of its name and key that
/// the CA signed.
fn one(answer: &Answered, peer: &Peer) -> Result<(), String> {
    let (request, body) = (&answer.request, answer.body.clone()?);
    let expected = Expected {
        transaction_id: &request.transaction_id,
        sender_nonce: &request.nonce,
        responders: peer.certificates.all(),
        legacy: peer.legacy,
    };
    let sealed = match Reply::read(&body, &expected).map_err(|error| error.to_string())? {
        Reply::Success(sealed) => sealed,
        Reply::Pending => return Err("PENDING".to_owned()),
        Reply::Failure { fail_info, text } => {
            return Err(format!("FAILURE {fail_info:?} {}", text.unwrap_or_default()));
        }
    };
    let key = &request.key;
    let addressed = sealed.addressed_to(&key.signer).map_err(|error| error.to_string())?;
    let content_key = key.key.unwrap(&addressed).map_err(|error| error.to_string())?;
    let bundle = sealed.open(&content_key).map_err(|error| error.to_string())?;
    let own = bundle.certificates.iter().find(|found| found.spki_der() == key.key.spki_der());
    let own = own.ok_or("no certificate for the device's key")?;
    let certificate = Certificate::parse(own.der()).map_err(|error| error.to_string())?;
    let subject = certificate.subject().map_err(|error| error.to_string())?;
    if subject.common_name() != Some(request.common_name.as_str()) {
        return Err("the certificate of another device".to_owned());
    }
    certificate
        .verify_signed_by(&peer.ca, LegacyDigests::Refused)
        .map_err(|error| format!("not signed by the CA: {error}"))
}
