//! MS-WSTEP as AD CS's enrolment web service speaks it: read, decided, answered.

mod read;
mod write;

use crate::LabCa;
use crate::cmc::{self, Status};
use crate::decide::{Decision, Refusal};
use crate::directory::Options;
use crate::error::LabCaError;
use crate::template::Misbehaviour;

use self::read::{Ask, Message};

/// Which of the two services a message came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// By client certificate; its common name.
    Certificate(String),
    /// By UsernameToken, which the message carries.
    UsernamePassword,
}

/// What the service does with one message.
#[derive(Debug)]
pub(crate) struct Reaction {
    /// HTTP status: 200, or 500 around a fault.
    pub(crate) status: u16,
    pub(crate) envelope: String,
    pub(crate) misbehaving: Vec<Misbehaviour>,
}

impl Reaction {
    fn fault(envelope: String) -> Self {
        Self { status: 500, envelope, misbehaving: Vec::new() }
    }
}

/// Works on one message that came to `address`.
pub(crate) fn answer(
    ca: &LabCa,
    caller: Caller,
    address: &str,
    body: &[u8],
) -> Result<Reaction, LabCaError> {
    let message = match read::read(body) {
        Ok(message) => message,
        Err(problem) => {
            return Ok(Reaction::fault(write::fault("", write::Fault::Unreadable(&problem))));
        }
    };
    let id = message.id.as_str();
    if message.action != read::ACTION {
        let fault = write::Fault::ActionNotSupported(&message.action);
        return Ok(Reaction::fault(write::fault(id, fault)));
    }
    if message.to.as_deref() != Some(address) {
        let fault = write::Fault::DestinationUnreachable(message.to.as_deref().unwrap_or(""));
        return Ok(Reaction::fault(write::fault(id, fault)));
    }
    let settings = ca.0.directory.settings()?;
    let requester = match caller {
        Caller::Certificate(name) => name,
        Caller::UsernamePassword => match authenticate(&message, &settings) {
            Ok(name) => name,
            Err(fault) => return Ok(Reaction::fault(write::fault(id, fault))),
        },
    };
    match &message.ask {
        Ask::Issue { request, template } => {
            let template = template.as_deref();
            issue(ca, &settings, id, address, request, template, &requester)
        }
        Ask::QueryTokenStatus(request_id) => {
            let decision = ca.query(*request_id, &requester)?;
            told(ca, id, address, decision, Vec::new())
        }
    }
}

fn issue(
    ca: &LabCa,
    settings: &Options,
    id: &str,
    address: &str,
    request: &[u8],
    template: Option<&str>,
    requester: &str,
) -> Result<Reaction, LabCaError> {
    let misbehaving = settings
        .templates
        .iter()
        .find(|known| template.is_some_and(|name| known.name.eq_ignore_ascii_case(name)))
        .map(|template| ca.misbehaving(template))
        .unwrap_or_default();
    if misbehaving.iter().any(|what| matches!(what, Misbehaviour::AnswerInstead { .. })) {
        return Ok(Reaction { status: 200, envelope: String::new(), misbehaving });
    }
    let decision = ca.decide(request, template, requester, &misbehaving)?;
    told(ca, id, address, decision, misbehaving)
}

fn told(
    ca: &LabCa,
    id: &str,
    address: &str,
    decision: Decision,
    misbehaving: Vec<Misbehaviour>,
) -> Result<Reaction, LabCaError> {
    let issuer = &ca.0.issuer;
    let (status, envelope) = match decision {
        Decision::Issued { id: request, certificate } => {
            let full = cmc::write(issuer, Status::Success, "Issued", Some(&certificate))?;
            (200, write::issued(id, request, &full, &certificate))
        }
        Decision::Pending { id: request } => {
            let text = "Taken Under Submission";
            let full = cmc::write(issuer, Status::Pending, text, None)?;
            (200, write::pending(id, request, text, &full, address))
        }
        Decision::Refused { id: request, refusal } => {
            let full = cmc::write(issuer, Status::Failed, &refusal.text, None)?;
            (500, write::refused(id, request, &refusal, &full))
        }
    };
    tracing::info!(status, "answered");
    Ok(Reaction { status, envelope, misbehaving })
}

/// WS-Security UsernameToken over TLS, with WCF's five minutes of tolerance for clocks.
fn authenticate<'a>(message: &Message, settings: &Options) -> Result<String, write::Fault<'a>> {
    const SKEW: u64 = 300;
    let token = message.token.as_ref().ok_or(write::Fault::InvalidSecurity)?;
    let now = crate::unix(std::time::SystemTime::now());
    if token.created > now + SKEW || token.expires + SKEW < now {
        return Err(write::Fault::InvalidSecurity);
    }
    settings
        .users
        .iter()
        .find(|user| user.name == token.username)
        .filter(|user| {
            // In constant time, as one would.
            aws_lc_rs::constant_time::verify_slices_are_equal(
                user.password.as_bytes(),
                token.password.as_bytes(),
            )
            .is_ok()
        })
        .map(|user| user.name.clone())
        .ok_or(write::Fault::FailedAuthentication)
}

impl Refusal {
    /// As `xs:int`.
    fn signed(&self) -> i32 {
        self.hresult.cast_signed()
    }
}
