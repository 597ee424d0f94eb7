//! Everything around `serve`: what `verify`, `sign` and the CA have done and still know, whatever
//! becomes of `serve`. Each keeps its contract, with the faults of the moment, and notes what must
//! not be asked of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_authority::{
    Answer, Authority, AuthorityError, Disposition, Hresult, RequestId, Submission,
};
use countersign_ipc::{
    Approval, ApprovalKey, Bytes, EnrolmentId, Kind, OutcomeKind, OutcomeRecord, SignReply,
    SignRequest, Unsettled, VerifierRecord, VerifyEnrolment, VerifyReply, VerifyRequest,
};
use countersign_lab_ca::{LabCa, Role};
use countersign_profile::{Certificate, Csr, RevocationList};
use countersign_scep::{Bounds, Message};
use countersign_store::Store;
use countersign_tests::Answer as DeviceAnswer;
use zeroize::Zeroizing;

use crate::life::{Laboratory, MOST_SUBMISSIONS, PROFILE};
use crate::{Delivered, People};

/// Whether the disk is full; one for all, as the clock is.
static DISK_FULL: AtomicBool = AtomicBool::new(false);

/// For `Parts::too_little_room`.
pub(crate) fn too_little_room(_: &Store) -> Option<String> {
    DISK_FULL.load(Ordering::SeqCst).then(|| "a fault".to_owned())
}

/// Seconds that the clock is off; one clock for all, because `Parts::now` is a plain function.
static OFFSET: AtomicI64 = AtomicI64::new(0);

pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now.saturating_add_signed(OFFSET.load(Ordering::SeqCst))
}

/// What goes wrong while one message is worked on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) verify: Peer,
    pub(crate) sign: Peer,
    /// Of both, for outcomes.
    pub(crate) outcomes: Peer,
    pub(crate) ca: CaFault,
    /// `serve`'s own database refuses what it is told.
    pub(crate) store_fails: bool,
    /// Its file system is full, and says so.
    pub(crate) disk_full: bool,
    /// The token with its CEP key is out.
    pub(crate) cep_lost: bool,
    /// That with its REP key is.
    pub(crate) rep_lost: bool,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        verify: Peer::Well,
        sign: Peer::Well,
        outcomes: Peer::Well,
        ca: CaFault::Well,
        store_fails: false,
        disk_full: false,
        cep_lost: false,
        rep_lost: false,
    };
}

/// A process that answers frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Well,
    Refuses,
    /// `verify` only.
    Pending,
    /// A token is lost, a plug-in overdue, a fuse blown: nothing happened.
    Unavailable,
    /// It is durable, and nobody learns it.
    LosesItsAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaFault {
    Well,
    Refuses,
    Pending,
    /// It issued, and nobody learns it: a second submission makes a surplus certificate.
    LosesItsAnswer,
    NotReached,
    /// It issues for another key.
    IssuesAnother,
    /// It issued and never answers; the process ends over it.
    Hangs,
}

#[derive(Debug)]
struct Signature {
    cms: Vec<u8>,
    outcome: Option<OutcomeKind>,
}

/// What the CA made of one submission that it processed.
#[derive(Debug)]
struct Request {
    cms: Vec<u8>,
    certificate: Option<Vec<u8>>,
    denied: bool,
    /// Whether `serve` was told of it.
    told: bool,
    wrong: bool,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    /// Challenge → the request that it is bound to.
    bound: BTreeMap<String, [u8; 32]>,
    spent: Vec<[u8; 32]>,
    approved: BTreeMap<(EnrolmentId, u32), [u8; 32]>,
    signed: BTreeMap<(EnrolmentId, u32), Signature>,
    requests: Vec<Request>,
    /// What must not have been asked.
    wrong: Vec<String>,
}

impl State {
    /// Whether the CA issued that, as it was approved.
    fn delivered(&self, certificate_sha256: Option<[u8; 32]>) -> bool {
        self.requests.iter().filter(|request| !request.wrong).any(|request| {
            let certificate = request.certificate.as_ref().map(|der| Certificate::parse(der));
            certificate.is_some_and(|certificate| {
                certificate.is_ok_and(|found| Some(found.sha256()) == certificate_sha256)
            })
        })
    }
}

/// See the module.
pub(crate) struct World {
    state: Mutex<State>,
    key: ApprovalKey,
    ca: Arc<LabCa>,
    other: Vec<u8>,
    chain: Vec<Vec<u8>>,
    list: Arc<RevocationList>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state.fmt(f)
    }
}

impl World {
    pub(crate) fn new(laboratory: &Laboratory) -> Arc<Self> {
        let state = State {
            faults: Faults::NONE,
            bound: BTreeMap::new(),
            spent: Vec::new(),
            approved: BTreeMap::new(),
            signed: BTreeMap::new(),
            requests: Vec::new(),
            wrong: Vec::new(),
        };
        let issuer = Certificate::parse(laboratory.ca.certificate_der()).unwrap();
        let list = RevocationList::read(laboratory.ca.crl().unwrap(), &issuer).unwrap();
        let world = Arc::new(Self {
            list: Arc::new(list),
            state: Mutex::new(state),
            key: ApprovalKey::new(&Zeroizing::new(vec![7; 32])).unwrap(),
            ca: Arc::clone(&laboratory.ca),
            other: laboratory.other_csr.clone(),
            chain: vec![laboratory.ca.certificate_der().to_vec()],
        });
        laboratory.peers_speak_for(&world);
        world
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn meet(&self, faults: Faults) {
        DISK_FULL.store(faults.disk_full, Ordering::SeqCst);
        self.state().faults = faults;
    }

    // Tokens

    /// Whether the token with this key is out.
    pub(crate) fn is_lost(&self, key: &str) -> bool {
        let faults = self.state().faults;
        match key {
            "cep" => faults.cep_lost,
            _ => faults.rep_lost,
        }
    }

    /// An envelope is opened.
    pub(crate) fn opens(&self) {
        let mut state = self.state();
        if state.faults.disk_full {
            state.wrong.push("an envelope was opened with a full disk".to_owned());
        }
    }

    pub(crate) fn set_clock(&self, seconds: i64) {
        OFFSET.store(seconds, Ordering::SeqCst);
    }

    /// The certificate manager decides about all that waits.
    pub(crate) fn decide(&self, approves: bool) {
        for request in &mut self.state().requests {
            if request.certificate.is_none() && !request.denied {
                if approves {
                    request.certificate = Some(self.issue(&request.cms));
                } else {
                    request.denied = true;
                }
            }
        }
    }

    fn issue(&self, cms: &[u8]) -> Vec<u8> {
        self.ca.issue_role_certificate(csr_in(cms), Role::TlsClient).unwrap()
    }

    // verify

    pub(crate) fn verify(&self, request: VerifyRequest) -> VerifyReply {
        match request {
            VerifyRequest::Verify(question) => self.judge(&question),
            VerifyRequest::Outcome(outcome) => self.verify_learns(&outcome),
            VerifyRequest::Outcomes(outcomes) => VerifyReply::Each(
                outcomes.iter().map(|outcome| self.verify_learns(outcome)).collect(),
            ),
            VerifyRequest::Health => VerifyReply::Healthy { ready: true, detail: Vec::new() },
            _ => VerifyReply::Done,
        }
    }

    fn judge(&self, question: &VerifyEnrolment) -> VerifyReply {
        let mut state = self.state();
        let csr = Csr::parse(&question.csr.0).unwrap();
        // A renewal has none: its current certificate is its proof.
        let challenge = csr.challenge().map(|challenge| challenge.text().to_owned());
        let current = question.renewal.as_ref().map(|evidence| {
            let message = Message::parse(&evidence.message.0, &Bounds::default()).unwrap();
            Certificate::parse(message.signer().der()).unwrap().sha256()
        });
        let info = csr.info_sha256();
        if question.kind == Kind::Renewal && !state.delivered(current) {
            state.wrong.push("a renewal leans on what nobody was given".to_owned());
        }
        let denied = |code: &str| VerifyReply::Denied { code: code.to_owned() };
        let unavailable =
            || VerifyReply::Unavailable { retry_after: 1, detail: "a fault".to_owned() };
        let bound = challenge.as_ref().and_then(|challenge| state.bound.get(challenge));
        if bound.is_some_and(|bound| *bound != info) {
            return denied("challenge-used");
        }
        if challenge.is_none() && current.is_none() {
            return denied("challenge-missing");
        }
        if state.spent.contains(&info) {
            return denied("challenge-spent");
        }
        let fault = state.faults.verify;
        match fault {
            Peer::Refuses => return denied("a-fault"),
            Peer::Unavailable => return unavailable(),
            Peer::Well | Peer::Pending | Peer::LosesItsAnswer => {
                if let Some(challenge) = challenge {
                    state.bound.insert(challenge, info);
                }
            }
        }
        if fault == Peer::Pending {
            return VerifyReply::Pending { retry_after: 1 };
        }
        let transaction = &question.transaction_id.0;
        let id = EnrolmentId::of(&question.profile, transaction, &info, current.as_ref());
        state.approved.insert((id, question.attempt), csr.sha256());
        if fault == Peer::LosesItsAnswer {
            return unavailable();
        }
        let approval = Approval {
            enrolment: id,
            attempt: question.attempt,
            kind: question.kind,
            profile: question.profile.clone(),
            current_certificate_sha256: current,
            csr_sha256: csr.sha256(),
            info_sha256: info,
            names: csr.names().iter().map(ToString::to_string).collect(),
            device_id: None,
            latest_end: None,
            verifiers: vec![VerifierRecord {
                plugin: "fake".to_owned(),
                digest: [1; 32],
                evidence: Vec::new(),
            }],
            config_digest: [0; 32],
            approved_at: now(),
            expires_at: now() + 300,
        };
        VerifyReply::Approved { sealed: self.key.seal(&approval) }
    }

    fn verify_learns(&self, outcome: &OutcomeRecord) -> VerifyReply {
        let mut state = self.state();
        match state.faults.outcomes {
            Peer::Well | Peer::LosesItsAnswer => {}
            _ => {
                return VerifyReply::Unavailable { retry_after: 1, detail: "a fault".to_owned() };
            }
        }
        spend(&mut state, outcome);
        match state.faults.outcomes {
            Peer::Well => VerifyReply::Done,
            _ => VerifyReply::Unavailable { retry_after: 1, detail: "a fault".to_owned() },
        }
    }

    // sign

    pub(crate) fn sign(&self, request: SignRequest) -> SignReply {
        match request {
            SignRequest::Countersign { sealed, csr } => {
                self.countersign(&sealed.read_unproven().unwrap(), &csr)
            }
            SignRequest::Outcome(outcome) => self.sign_learns(&outcome),
            SignRequest::Outcomes(outcomes) => {
                SignReply::Each(outcomes.iter().map(|outcome| self.sign_learns(outcome)).collect())
            }
            SignRequest::Unsettled => SignReply::Unsettled(
                self.state()
                    .signed
                    .iter()
                    .filter(|(_, signature)| signature.outcome.is_none())
                    .map(|((enrolment, attempt), _)| Unsettled {
                        enrolment: *enrolment,
                        attempt: *attempt,
                        profile: PROFILE.to_owned(),
                        // Long ago: what no row stands for is closed at the next start, and its device
                        // must still get through (`NotCountersigned::Settled`).
                        signed_at: 0,
                    })
                    .collect(),
            ),
            SignRequest::Health => SignReply::Healthy { ready: true, detail: Vec::new() },
            _ => SignReply::Done,
        }
    }

    fn countersign(&self, approval: &Approval, csr: &Bytes) -> SignReply {
        let mut state = self.state();
        let key = (approval.enrolment, approval.attempt);
        let unavailable =
            || SignReply::Unavailable { retry_after: 1, detail: "a fault".to_owned() };
        let refused = |code: &str| SignReply::Refused { code: code.to_owned() };
        let parsed = Csr::parse(&csr.0).unwrap();
        if state.approved.get(&key) != Some(&parsed.sha256()) {
            state.wrong.push(format!("I1: {key:?} was to be signed and is not approved"));
            return refused("not-approved");
        }
        let fault = state.faults.sign;
        match state.signed.get(&key) {
            Some(Signature { outcome: None, .. }) => {}
            Some(_) => return refused("settled"),
            None => {
                let before = approval.attempt.checked_sub(1).filter(|before| *before > 0);
                let before = before.and_then(|before| state.signed.get(&(key.0, before)));
                if before.is_some_and(|before| before.outcome.is_none()) {
                    return unavailable();
                }
                match fault {
                    Peer::Refuses => return refused("a-fault"),
                    Peer::Unavailable | Peer::Pending => return unavailable(),
                    Peer::Well | Peer::LosesItsAnswer => {}
                }
                // No two signatures are the same octets, so a second one would show.
                let number = state.signed.len() as u8;
                let cms = [&[number], csr.0.as_slice()].concat();
                state.signed.insert(key, Signature { cms, outcome: None });
            }
        }
        match fault {
            Peer::Well => SignReply::Countersigned { cms: Bytes(state.signed[&key].cms.clone()) },
            _ => unavailable(),
        }
    }

    fn sign_learns(&self, outcome: &OutcomeRecord) -> SignReply {
        let mut state = self.state();
        let unavailable =
            || SignReply::Unavailable { retry_after: 1, detail: "a fault".to_owned() };
        let fault = state.faults.outcomes;
        if !matches!(fault, Peer::Well | Peer::LosesItsAnswer) {
            return unavailable();
        }
        let key = (outcome.enrolment, outcome.attempt);
        if outcome.profile != PROFILE {
            state.wrong.push(format!("{key:?} ended for profile `{}`", outcome.profile));
            return SignReply::Refused { code: "profile-differs".to_owned() };
        }
        let known = match state.signed.get_mut(&key) {
            None => Some(format!("an outcome of what was never signed: {key:?}")),
            Some(signature) => match signature.outcome {
                Some(before) if before != outcome.outcome => {
                    Some(format!("{key:?} ended as {before:?}, then as {:?}", outcome.outcome))
                }
                _ => {
                    signature.outcome = Some(outcome.outcome);
                    None
                }
            },
        };
        state.wrong.extend(known);
        if fault == Peer::Well { SignReply::Done } else { unavailable() }
    }

    // What must hold.

    /// Whether an honest device may end like this, once all is well.
    pub(crate) fn may_end(&self, csr: &[u8], answer: Option<DeviceAnswer>) -> Result<(), String> {
        let state = self.state();
        let csr = Csr::parse(csr).unwrap();
        let mine: Vec<&Request> =
            state.requests.iter().filter(|request| csr_in(&request.cms) == csr.der()).collect();
        let allowed = match &answer {
            Some(DeviceAnswer::Issued(_)) => true,
            // The CA's answer was lost as often as the profile lets us ask: an admin resolves it.
            Some(DeviceAnswer::Pending) => {
                mine.iter().filter(|request| !request.told).count() >= MOST_SUBMISSIONS as usize
            }
            Some(DeviceAnswer::Failure { .. }) => {
                let challenge = csr.challenge().map(|challenge| challenge.text());
                let bound = challenge.and_then(|challenge| state.bound.get(challenge));
                let stolen = bound.is_some_and(|bound| *bound != csr.info_sha256());
                stolen || mine.iter().any(|request| request.wrong || request.denied)
            }
            Some(DeviceAnswer::Http(_)) | None => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(format!("{} ended with {answer:?}: {state:?}", csr.subject()))
        }
    }

    /// The invariants, over everything that happened.
    pub(crate) fn check(&self, delivered: &Delivered, people: &People) -> Result<(), String> {
        let state = self.state();
        if let Some(wrong) = state.wrong.first() {
            return Err(wrong.clone());
        }
        let all: Vec<&[u8]> = state.signed.values().map(|s| s.cms.as_slice()).collect();
        for request in &state.requests {
            if !all.contains(&request.cms.as_slice()) {
                return Err("the CA got what was never signed".to_owned());
            }
            let times = state.requests.iter().filter(|other| other.cms == request.cms).count();
            if times > MOST_SUBMISSIONS as usize {
                return Err(format!("the CA processed the same octets {times} times"));
            }
        }
        for (key, signature) in &state.signed {
            let lost = |request: &&Request| request.cms == signature.cms && !request.told;
            let lost = state.requests.iter().filter(lost).count();
            if signature.outcome.is_none() && lost < MOST_SUBMISSIONS as usize {
                return Err(format!("no outcome of {key:?} reached the ledger: {state:?}"));
            }
        }
        for (who, certificates) in delivered {
            if certificates.len() != 1 {
                return Err(format!("{who} was given {} certificates", certificates.len()));
            }
            let asked = people.csr(*who);
            let issued = state.requests.iter().any(|request| {
                !request.wrong
                    && request.certificate.as_ref() == certificates.first()
                    && csr_in(&request.cms) == asked
            });
            let key = Certificate::parse(&certificates[0]).unwrap().public_key().unwrap();
            let wanted = Csr::parse(asked).unwrap();
            if !issued || key.spki_der() != wanted.public_key().spki_der() {
                return Err(format!("{who} was given what was not issued for it"));
            }
        }
        for index in 0..people.devices.len() {
            let both = [index, people.devices.len() + index];
            if both.iter().all(|who| delivered.contains_key(who)) {
                return Err(format!("challenge {index} was spent twice"));
            }
        }
        Ok(())
    }
}

fn spend(state: &mut State, outcome: &OutcomeRecord) {
    if matches!(outcome.outcome, OutcomeKind::Issued | OutcomeKind::Withheld)
        && let Some(csr) = state.signed.get(&(outcome.enrolment, outcome.attempt))
    {
        let info = Csr::parse(csr_in(&csr.cms)).unwrap().info_sha256();
        state.spent.push(info);
    }
}

/// The PKCS#10 inside what this world calls a CMS.
fn csr_in(cms: &[u8]) -> &[u8] {
    &cms[1..]
}

fn refusal() -> AuthorityError {
    AuthorityError::Refused {
        hresult: Hresult(0x8009_4012),
        name: "CERTSRV_E_TEMPLATE_DENIED",
        explanation: "a fault".to_owned(),
        remedy: "none",
        request_id: None,
    }
}

impl Authority for World {
    fn submit<'a>(&'a self, submission: Submission<'a>) -> Answer<'a, Disposition> {
        Box::pin(async move {
            let (fault, answer) = self.process(submission.cms);
            if fault == CaFault::Hangs {
                std::future::pending::<()>().await;
            }
            answer
        })
    }

    fn poll(&self, request_id: RequestId) -> Answer<'_, Disposition> {
        Box::pin(async move {
            let mut state = self.state();
            if state.faults.ca == CaFault::NotReached {
                return Err(AuthorityError::Unavailable { detail: "a fault".to_owned() });
            }
            let request = &mut state.requests[request_id.0 as usize];
            if request.denied {
                return Err(refusal());
            }
            Ok(match request.certificate.clone() {
                Some(certificate_der) => {
                    Disposition::Issued { certificate_der, request_id: Some(request_id) }
                }
                None => Disposition::Pending { request_id, message: String::new() },
            })
        })
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn crl(&self) -> Answer<'_, Arc<RevocationList>> {
        Box::pin(async {
            if self.state().faults.ca == CaFault::NotReached {
                return Err(AuthorityError::Unavailable { detail: "a fault".to_owned() });
            }
            Ok(Arc::clone(&self.list))
        })
    }

    fn health(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl World {
    fn process(&self, cms: &[u8]) -> (CaFault, Result<Disposition, AuthorityError>) {
        let mut state = self.state();
        let fault = state.faults.ca;
        if fault == CaFault::NotReached {
            let detail = "a fault".to_owned();
            return (fault, Err(AuthorityError::Unavailable { detail }));
        }
        let certificate = match fault {
            CaFault::Well | CaFault::LosesItsAnswer | CaFault::Hangs => Some(self.issue(cms)),
            CaFault::IssuesAnother => {
                Some(self.ca.issue_role_certificate(&self.other, Role::TlsClient).unwrap())
            }
            CaFault::Refuses | CaFault::Pending | CaFault::NotReached => None,
        };
        let request_id = RequestId(state.requests.len() as u32);
        let store_fails = state.faults.store_fails;
        state.requests.push(Request {
            cms: cms.to_vec(),
            certificate: certificate.clone(),
            denied: fault == CaFault::Refuses,
            // An answer that `serve` cannot write down is as lost as one that never came.
            told: !store_fails && !matches!(fault, CaFault::LosesItsAnswer | CaFault::Hangs),
            wrong: fault == CaFault::IssuesAnother,
        });
        let answer = match (fault, certificate) {
            (CaFault::Refuses, _) => Err(refusal()),
            (CaFault::LosesItsAnswer | CaFault::Hangs, _) => {
                Err(AuthorityError::Unknown { detail: "a fault".to_owned() })
            }
            (_, Some(certificate_der)) => {
                Ok(Disposition::Issued { certificate_der, request_id: Some(request_id) })
            }
            (_, None) => Ok(Disposition::Pending { request_id, message: String::new() }),
        };
        (fault, answer)
    }
}
