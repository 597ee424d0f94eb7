//! What a device may have again: its own certificate, and the CA's revocation list (RFC 8894 §2.6,
//! §2.7, §3.3.4).
//!
//! A certificate goes to whom it belongs: the key that signed the question is the key that was
//! certified, and it was delivered for this profile. RFC 8894 §2.6 means no general directory, and
//! names of devices are nobody else's business. Nothing that is wrong with a GetCert is told apart
//! from an envelope that did not open: the answer would say what lies in somebody else's message.
//! The list is public; whoever signs a message gets it.

use std::sync::Arc;
use std::time::Duration;

use countersign_ipc::{Client, VerifyReply, VerifyRequest};
use countersign_profile::Certificate;
use countersign_scep::IssuerAndSerial;

use crate::arrival::Conclusion;
use crate::notify::may_be_given;
use crate::open::Opened;
use crate::profile::Profile;
use crate::record::{Record, RecordError, Records};
use crate::zone_a::{Place, Stay};

/// Longer lists stay where the CA publishes them: a small question must not have an answer of many
/// megabytes, encrypted and signed.
const LONGEST_LIST: usize = 1 << 20;

/// How long a device that asks again waits for the list. A fetch that takes longer goes on, for those
/// who come later.
const LIST: Duration = Duration::from_secs(5);

/// Whether the CA's list names a certificate that is about to be handed out again.
///
/// Only a list that was read says so: where none is configured, or none is to be had, the device
/// gets what it was given before. That gives it nothing new (it holds the key, and whoever relies on
/// the certificate looks at the list), while another attempt would be another signature, and a
/// refusal would make devices come again until the CA publishes. Renewals are another matter: there
/// no list is no answer (`admit`).
pub(crate) async fn is_revoked(profile: &Profile, certificate: &[u8]) -> bool {
    let authority = Arc::clone(&profile.authority);
    let list = tokio::spawn(async move { authority.crl().await });
    let Ok(Ok(Ok(list))) = tokio::time::timeout(LIST, list).await else {
        return false;
    };
    Certificate::parse(certificate)
        .is_ok_and(|certificate| list.covers(&certificate) && list.revokes(&certificate))
}

/// GetCert.
pub(crate) async fn certificate(
    opened: &Opened,
    asked: &IssuerAndSerial,
    stay: Stay,
    place: &mut Place,
    records: &Records,
    verify: &Client<VerifyRequest, VerifyReply>,
) -> Result<Conclusion, RecordError> {
    // A certificate that somebody must hear of first is not there before.
    let found = match find(opened, asked, records).await? {
        Some(record) if may_be_given(verify, &record).await => record.certificate,
        _ => None,
    };
    match found {
        Some(certificate) => {
            stay.succeed();
            Ok(Conclusion::Success { certificate })
        }
        None => Ok(stay.fail(place).await),
    }
}

async fn find(
    opened: &Opened,
    asked: &IssuerAndSerial,
    records: &Records,
) -> Result<Option<Record>, RecordError> {
    let profile = &opened.received().arrival().profile;
    if asked.issuer != profile.issuing_certificate.subject_der() {
        return Ok(None);
    }
    let found = records.delivered_by_serial(&profile.name, asked.serial_octets()).await?;
    let signer = opened.request().signer();
    Ok(found.into_iter().find(|record| {
        let certificate = record.certificate.as_deref().map(Certificate::parse);
        certificate.is_some_and(|parsed| {
            parsed.is_ok_and(|certificate| {
                certificate.spki_der() == signer.spki_der()
                    && certificate.issuer_der() == asked.issuer
            })
        })
    }))
}

/// GetCRL.
pub(crate) async fn revocation_list(profile: &Profile) -> Conclusion {
    match profile.authority.crl().await {
        Ok(list) if list.der().len() <= LONGEST_LIST => {
            Conclusion::List { list: Arc::clone(&list) }
        }
        Ok(_) => Conclusion::refused("revocation-list-too-long"),
        Err(error) => Conclusion::busy(60, error),
    }
}
