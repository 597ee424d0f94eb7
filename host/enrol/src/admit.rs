//! Station `admit`: the profile's own limits. Never asks a plug-in what it can refuse itself.

use std::sync::Arc;

use countersign_ipc::{Bytes, DenialRecord, EnrolmentId};
use countersign_profile::{Csr, Refusal};
use zeroize::Zeroizing;

use crate::open::Opened;
use crate::record::{Beginning, Record};

/// A request that fits its profile, with its identity. Only this station makes one.
#[derive(Debug)]
pub struct Admitted {
    csr: Arc<Csr>,
    beginning: Beginning,
}

/// Judges an opened PKCS#10.
///
/// # Errors
/// Every refusal, as one record for the ledger.
pub(crate) fn admit(opened: &Opened, csr: &Arc<Csr>) -> Result<Admitted, Box<DenialRecord>> {
    let arrival = opened.received().arrival();
    let profile = &arrival.profile;
    let names: Vec<String> = csr.names().iter().map(ToString::to_string).collect();
    profile.limits.admit(csr, &profile.boundary).map_err(|refusals| {
        Box::new(DenialRecord {
            station: "admit".to_owned(),
            profile: profile.name.clone(),
            code: refusals.first().map_or("refused", |refusal| refusal.code).to_owned(),
            detail: details(&refusals),
            csr_sha256: Some(Bytes(csr.sha256().to_vec())),
            names: names.clone(),
            source: arrival.source.to_string(),
        })
    })?;
    let transaction_id = opened.request().transaction_id().as_bytes().to_vec();
    let id = EnrolmentId::of(&profile.name, &transaction_id, &csr.info_sha256(), None);
    Ok(Admitted {
        beginning: Beginning {
            id,
            attempt: 1,
            profile: profile.name.clone(),
            transaction_id,
            signer: opened.signer_sha256(),
            names,
            source: arrival.source.to_string(),
            csr: Zeroizing::new(csr.der().to_vec()),
            path_suffix: arrival.path_suffix.clone(),
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

fn details(refusals: &[Refusal]) -> String {
    let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    all.join("; ")
}
