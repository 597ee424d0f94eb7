//! Station `countersign`: asks the process that holds the EA key. What comes back is durable
//! there: asking again yields the same octets.

use std::time::Duration;

use countersign_ipc::{
    Bytes, Client, EnrolmentId, OutcomeKind, OutcomeRecord, SealedApproval, SignReply, SignRequest,
};
use zeroize::Zeroizing;

use crate::admit::Admitted;
use crate::arrival::Conclusion;
use crate::record::{Beginning, Record};
use crate::verify::Approved;

/// `sign` waits for its token and its disk within this.
const SIGN: Duration = Duration::from_secs(20);

/// The exact countersigned octets and what they approve. Made by this station of what `sign`
/// returned, or of the record that this station's answer became.
#[derive(Debug)]
pub struct Countersigned {
    id: EnrolmentId,
    attempt: u32,
    csr: Zeroizing<Vec<u8>>,
    sealed: SealedApproval,
    cms: Zeroizing<Vec<u8>>,
}

/// The code of `sign` for an attempt whose outcome is in the ledger already.
const SETTLED: &str = "settled";

/// Why there is no countersignature.
pub(crate) enum NotCountersigned {
    /// This attempt has ended before, and this process does not know of it: it died after `sign` had
    /// signed, and what nobody asked for again was closed. The next attempt is a new one.
    Settled(Box<Admitted>),
    /// What the device is told.
    Concluded(Conclusion),
}

impl From<Conclusion> for NotCountersigned {
    fn from(conclusion: Conclusion) -> Self {
        Self::Concluded(conclusion)
    }
}

/// Has an approved request countersigned.
///
/// # Errors
/// [`NotCountersigned`].
pub(crate) async fn countersign(
    approved: Approved,
    client: &Client<SignRequest, SignReply>,
) -> Result<(Countersigned, Beginning), NotCountersigned> {
    let beginning = approved.admitted().beginning().clone();
    let order = SignRequest::Countersign {
        sealed: approved.sealed().clone(),
        csr: Bytes(beginning.csr.to_vec()),
    };
    match client.call(&order, SIGN).await {
        Ok(SignReply::Countersigned { cms }) => Ok((
            Countersigned {
                id: beginning.id,
                attempt: beginning.attempt,
                csr: beginning.csr.clone(),
                sealed: approved.sealed().clone(),
                cms: Zeroizing::new(cms.0),
            },
            beginning,
        )),
        Ok(SignReply::Refused { code }) if code == SETTLED => {
            Err(NotCountersigned::Settled(Box::new(approved.into_admitted())))
        }
        Ok(SignReply::Refused { code }) => {
            tracing::error!(enrolment = %beginning.id, code, "sign refused an approved request");
            Err(Conclusion::refused(format!("sign-{code}")).into())
        }
        Ok(SignReply::Unavailable { retry_after, detail }) => {
            Err(Conclusion::busy(retry_after, format!("sign: {detail}")).into())
        }
        Ok(
            SignReply::Done
            | SignReply::Each(_)
            | SignReply::Unsettled(_)
            | SignReply::OrderSigned(_)
            | SignReply::OrderHeld { .. }
            | SignReply::Healthy { .. },
        ) => Err(Conclusion::busy(60, "sign gave an answer to another question").into()),
        Err(error) => Err(Conclusion::busy(10, error).into()),
    }
}

impl Countersigned {
    /// The octets that this station gave to the record; `None` for a record without them.
    pub(crate) fn recorded(record: &Record) -> Option<Self> {
        Some(Self {
            id: record.id,
            attempt: record.attempt,
            csr: record.csr.clone(),
            sealed: record.sealed.clone()?,
            cms: record.cms.clone()?,
        })
    }

    /// Which enrolment.
    #[must_use]
    pub fn id(&self) -> EnrolmentId {
        self.id
    }

    /// Which attempt of it.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The PKCS#10 inside.
    #[must_use]
    pub fn csr(&self) -> &[u8] {
        &self.csr
    }

    /// The approval that it was signed for.
    #[must_use]
    pub fn sealed(&self) -> &SealedApproval {
        &self.sealed
    }

    /// CMS SignedData, to be submitted unchanged.
    #[must_use]
    pub fn cms(&self) -> &[u8] {
        &self.cms
    }

    pub(crate) fn outcome(
        &self,
        profile: &str,
        outcome: OutcomeKind,
        certificate: Option<&[u8]>,
        code: Option<String>,
    ) -> OutcomeRecord {
        OutcomeRecord {
            enrolment: self.id,
            attempt: self.attempt,
            profile: profile.to_owned(),
            outcome,
            certificate: certificate.map(Bytes::from),
            code,
        }
    }
}
