//! Station `admit`: the profile's own limits, and whether the current certificate carries a renewal.
//! Never asks a plug-in what it can refuse itself.

use std::sync::Arc;

use countersign_ipc::{Bytes, DenialRecord, EnrolmentId};
use countersign_profile::{Certificate, Csr, Refusal, Renewal as RenewalRules};
use zeroize::Zeroizing;

use crate::arrival::Conclusion;
use crate::open::Opened;
use crate::record::{Beginning, Record, RecordError, Records};
use crate::renewal::Renewal;

/// A request that fits its profile, with its identity. Only this station makes one.
#[derive(Debug)]
pub struct Admitted {
    csr: Arc<Csr>,
    beginning: Beginning,
}

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// Every refusal, as one record for the ledger.
    Refused(Box<DenialRecord>),
    /// It cannot be told now.
    Unknown(Conclusion),
}

/// Judges an opened PKCS#10.
///
/// # Errors
/// Every refusal, as one record for the ledger.
pub(crate) fn admit(opened: &Opened, csr: &Arc<Csr>) -> Result<Admitted, NotAdmitted> {
    admit_with(opened, csr, None)
}

/// Judges an opened renewal, before `verify` does it again: what is refused here costs no plug-in.
///
/// # Errors
/// Every refusal, as one record for the ledger; or that the CA's revocation list is not there, which
/// is never taken for "not revoked".
pub(crate) async fn admit_renewal(
    opened: &Opened,
    csr: &Arc<Csr>,
    current: &Certificate,
    content_key: &[u8],
    records: &Records,
    now: u64,
) -> Result<Admitted, NotAdmitted> {
    let arrival = opened.received().arrival();
    let profile = &arrival.profile;
    let unknown = |error: RecordError| NotAdmitted::Unknown(Conclusion::busy(30, error));
    let Some(delivered) = records.delivered(&profile.name, current).await.map_err(unknown)? else {
        // Of another profile, or issued by another way: its names were never verified here.
        return Err(refused(
            opened,
            csr,
            &[Refusal {
                code: "renewal-not-delivered-here",
                detail: format!(
                    "certificate {} was not delivered for this profile",
                    current.serial_hex()
                ),
            }],
        ));
    };
    let revoked = profile
        .authority
        .crl()
        .await
        .map_err(|error| NotAdmitted::Unknown(Conclusion::busy(60, error)))?;
    let rules = RenewalRules {
        current,
        issuer: &profile.issuing_certificate,
        revoked: &revoked,
        csr,
        limits: &profile.limits,
        now,
    };
    rules.judge().map_err(|refusal| refused(opened, csr, &[refusal]))?;
    if records.is_untold(delivered.id).await.map_err(unknown)? {
        return Err(NotAdmitted::Unknown(Conclusion::busy(
            10,
            "verify does not know yet that the current certificate was delivered",
        )));
    }
    admit_with(opened, csr, Some(Renewal::new(current, content_key, &arrival.message)))
}

fn admit_with(
    opened: &Opened,
    csr: &Arc<Csr>,
    renewal: Option<Renewal>,
) -> Result<Admitted, NotAdmitted> {
    let arrival = opened.received().arrival();
    let profile = &arrival.profile;
    profile
        .limits
        .admit(csr, &profile.boundary)
        .map_err(|refusals| refused(opened, csr, &refusals))?;
    let transaction_id = opened.request().transaction_id().as_bytes().to_vec();
    let current = renewal.as_ref().map(Renewal::certificate_sha256);
    let id = EnrolmentId::of(&profile.name, &transaction_id, &csr.info_sha256(), current.as_ref());
    Ok(Admitted {
        beginning: Beginning {
            id,
            attempt: 1,
            profile: profile.name.clone(),
            transaction_id,
            signer: opened.signer_sha256(),
            names: names(csr),
            source: arrival.source.to_string(),
            csr: Zeroizing::new(csr.der().to_vec()),
            path_suffix: arrival.path_suffix.clone(),
            renewal,
        },
        csr: Arc::clone(csr),
    })
}

impl Admitted {
    /// Which enrolment this is.
    #[must_use]
    pub fn id(&self) -> EnrolmentId {
        self.beginning.id
    }

    /// The request, with the bytes received.
    #[must_use]
    pub fn csr(&self) -> &Csr {
        &self.csr
    }

    /// What it leans on, if it is a renewal.
    #[must_use]
    pub fn renewal(&self) -> Option<&Renewal> {
        self.beginning.renewal.as_ref()
    }

    pub(crate) fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// The request that this station let wait: read again, as it was stored.
    pub(crate) fn recorded(record: &Record) -> Result<Self, &'static str> {
        let csr = Csr::parse(&record.csr).map_err(|_| "stored-request-not-readable")?;
        Ok(Self {
            csr: Arc::new(csr),
            beginning: Beginning {
                id: record.id,
                attempt: record.attempt,
                profile: record.profile.clone(),
                transaction_id: record.transaction_id.clone(),
                signer: record.signer,
                names: record.names.clone(),
                source: record.source.clone(),
                csr: record.csr.clone(),
                path_suffix: record.path_suffix.clone(),
                renewal: record.renewal.clone(),
            },
        })
    }

    /// The same request as a later attempt: the one before ended without a certificate, or with
    /// one that is over.
    pub(crate) fn attempt(mut self, attempt: u32) -> Self {
        self.beginning.attempt = attempt;
        self
    }
}

fn refused(opened: &Opened, csr: &Csr, refusals: &[Refusal]) -> NotAdmitted {
    let arrival = opened.received().arrival();
    NotAdmitted::Refused(Box::new(DenialRecord {
        station: "admit".to_owned(),
        profile: arrival.profile.name.clone(),
        code: refusals.first().map_or("refused", |refusal| refusal.code).to_owned(),
        detail: details(refusals),
        csr_sha256: Some(Bytes(csr.sha256().to_vec())),
        names: names(csr),
        source: arrival.source.to_string(),
    }))
}

fn names(csr: &Csr) -> Vec<String> {
    csr.names().iter().map(ToString::to_string).collect()
}

fn details(refusals: &[Refusal]) -> String {
    let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    all.join("; ")
}
