//! Leads a message along the way, from whatever point its enrolment has reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_fail_points::{Point, reached};
use countersign_ipc::{
    Bytes, Client, DenialRecord, EnrolmentId, OutcomeKind, OutcomeRecord, RevocationOrder,
    SignReply, SignRequest, VerifyReply, VerifyRequest,
};
use countersign_scep::{Bounds, Message, MessageType, Request};
use countersign_store::Store;
use tokio::sync::mpsc;

use crate::access;
use crate::admit::{Admitted, NotAdmitted, admit, admit_renewal};
use crate::answer::Responder;
use crate::arrival::{Answer, Arrival, Conclusion};
use crate::check::check;
use crate::countersign::{Countersigned, NotCountersigned, countersign};
use crate::issue::{Submitted, poll, submit};
use crate::metrics::Metrics;
use crate::notify::{may_be_given, tell_first};
use crate::one_at_a_time::{OneAtATime, Turn};
use crate::open::{Content, Opened, Opener, open, sha256};
use crate::profile::Profile;
use crate::receive::receive;
use crate::record::{Ending, OutboxMessage, Record, RecordError, Records, Standing};
use crate::state::State;
use crate::verify::{NotApproved, verify};
use crate::zone_a::{Place, ZoneA};

/// Denials that wait for their way to the ledger; more are counted and dropped.
const DENIALS: usize = 1024;

/// Seconds until a device comes again while the disk is full: somebody must make room.
const NO_ROOM: u32 = 60;

/// Attempts in a row that `sign` closed and this process does not know: one for each death between
/// two durable writes that nobody came back for.
const MOST_SETTLED: usize = 8;

/// How long `sign` may take to note a revocation.
const ORDER: Duration = Duration::from_secs(10);

/// Why an issued certificate answers no request any more.
#[derive(Debug, Clone, Copy)]
enum Over {
    Expired,
    Revoked,
}

/// What came of one attempt to begin.
enum Begun {
    Concluded(Conclusion),
    /// The attempt has ended in the ledger already.
    Settled(Box<Admitted>),
}

/// The other two processes.
#[derive(Debug, Clone)]
pub struct Peers {
    /// The process that runs the verifiers.
    pub verify: Client<VerifyRequest, VerifyReply>,
    /// The process that holds the EA key.
    pub sign: Client<SignRequest, SignReply>,
}

/// Everything the way needs. Clones are the same.
#[derive(Debug, Clone)]
pub struct Enrolments {
    inner: Arc<Inner>,
}

/// What [`Enrolments`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The CEP keys.
    pub opener: Opener,
    /// What bounds and evens out the failures of opening.
    pub zone_a: ZoneA,
    /// The REP key.
    pub responder: Responder,
    /// The other two processes.
    pub peers: Peers,
    /// The durable memory.
    pub records: Records,
    /// What is counted.
    pub metrics: Metrics,
    /// Bounds of a message.
    pub bounds: Bounds,
    /// Notified when something was put into the outbox.
    pub wake_outbox: Arc<tokio::sync::Notify>,
    /// Seconds since 1970 UTC.
    pub now: fn() -> u64,
    /// Why there is too little room on the disk to write down what will come, if so.
    pub too_little_room: fn(&Store) -> Option<String>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    turns: OneAtATime,
    denials: mpsc::Sender<DenialRecord>,
}

impl Enrolments {
    /// The way, with what it needs. Spawns the task that carries denials to the ledger; call it
    /// inside a runtime.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (denials, reported) = mpsc::channel(DENIALS);
        tokio::spawn(crate::notify::report_denials(parts.peers.sign.clone(), reported));
        Self { inner: Arc::new(Inner { parts, turns: OneAtATime::default(), denials }) }
    }

    /// Answers one pkiMessage. The work goes on to its end even if the caller goes away: a device
    /// that hangs up must not leave half a state. `place` is held until then, so that a bound on
    /// places bounds the work and not only those who wait for it.
    pub async fn answer(&self, arrival: Arrival, place: impl Send + 'static) -> Answer {
        let inner = Arc::clone(&self.inner);
        let work = async move {
            let mut place = Place::new(place);
            inner.answer(arrival, &mut place).await
        };
        match tokio::spawn(work).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "a request's task ended abnormally");
                Answer::Busy { retry_after: 30 }
            }
        }
    }

    /// The opener, whose certificate GetCACert hands out.
    #[must_use]
    pub fn opener(&self) -> &Opener {
        &self.inner.parts.opener
    }

    /// The responder, whose certificate GetCACert hands out.
    #[must_use]
    pub fn responder(&self) -> &Responder {
        &self.inner.parts.responder
    }

    /// What bounds and evens out the failures of opening.
    #[must_use]
    pub fn zone_a(&self) -> &ZoneA {
        &self.inner.parts.zone_a
    }

    /// The other two processes.
    pub(crate) fn peers(&self) -> &Peers {
        &self.inner.parts.peers
    }

    /// The turn of an enrolment: nobody else works on it until it is dropped.
    pub(crate) async fn turn(&self, id: EnrolmentId) -> Turn<'_> {
        self.inner.turns.turn(id).await
    }

    /// The durable memory.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.inner.parts.records
    }
}

impl Inner {
    async fn answer(&self, arrival: Arrival, place: &mut Place) -> Answer {
        let profile = Arc::clone(&arrival.profile);
        let source = arrival.source;
        let received = match receive(arrival, &self.parts.bounds) {
            Ok(received) => received,
            Err(error) => {
                tracing::info!(station = "receive", profile = profile.name, %source, %error,
                    "not a message");
                self.parts.metrics.concluded(&profile.name, "not-a-message");
                return Answer::NotAMessage;
            }
        };
        tracing::debug!(station = "receive", profile = profile.name, %source, "received");
        let message = received.message().without_content();
        if let Some(conclusion) = self.cannot_be_recorded(&message) {
            return self.reply(&conclusion, &message, None, &profile).await;
        }
        let begin = Instant::now();
        let opened = open(received, &self.parts.opener, &self.parts.zone_a, place).await;
        match opened {
            Ok(mut opened) => {
                self.parts.metrics.spent("open", begin.elapsed());
                tracing::debug!(
                    station = "open",
                    kind = %opened.request().kind(),
                    transaction = %shown(opened.request().transaction_id().as_bytes()),
                    "opened"
                );
                let conclusion = self.conclude(&mut opened, &profile, place).await;
                self.reply(&conclusion, &message, Some(opened.request()), &profile).await
            }
            Err(conclusion) => self.reply(&conclusion, &message, None, &profile).await,
        }
    }

    /// On a full disk no envelope is opened, no verifier asked and nothing signed for what could not
    /// be written down afterwards. What is only looked up is answered.
    fn cannot_be_recorded(&self, message: &Message) -> Option<Conclusion> {
        match message.message_type() {
            Ok(MessageType::PkcsReq | MessageType::RenewalReq | MessageType::CertPoll) => {
                let why = (self.parts.too_little_room)(self.parts.records.store())?;
                Some(Conclusion::busy(NO_ROOM, why))
            }
            // What is none of these is refused before a key is used.
            Ok(MessageType::GetCert | MessageType::GetCrl | MessageType::CertRep) | Err(_) => None,
        }
    }

    async fn reply(
        &self,
        conclusion: &Conclusion,
        message: &Message,
        request: Option<&Request>,
        profile: &Profile,
    ) -> Answer {
        let (code, reason) = match conclusion {
            Conclusion::Failure { code, .. } => (code.as_str(), ""),
            Conclusion::Busy { reason, .. } => ("busy", reason.as_str()),
            Conclusion::Success { .. } | Conclusion::List { .. } | Conclusion::Pending => ("", ""),
        };
        tracing::info!(
            station = "answer",
            profile = profile.name,
            transaction = %shown(message.transaction_id().as_bytes()),
            conclusion = conclusion.name(),
            code,
            reason,
            "answering"
        );
        self.parts.metrics.concluded(&profile.name, conclusion.name());
        let begin = Instant::now();
        let answer = self.parts.responder.answer(conclusion, message, request, profile).await;
        self.parts.metrics.spent("answer", begin.elapsed());
        reached(Point::AnswerReady);
        answer
    }

    async fn conclude(
        &self,
        opened: &mut Opened,
        profile: &Profile,
        place: &mut Place,
    ) -> Conclusion {
        let content = opened.take_content();
        let opened = &*opened;
        let begin = Instant::now();
        let records = &self.parts.records;
        let result = match content {
            Content::Initial(csr) => self.admitted(admit(opened, &csr), begin, profile).await,
            Content::Renewal { csr, current, content_key } => {
                let now = (self.parts.now)();
                let admitted =
                    admit_renewal(opened, &csr, &current, &content_key, records, now).await;
                self.admitted(admitted, begin, profile).await
            }
            Content::Poll => self.poll(opened, profile).await,
            Content::GetCert { asked, stay } => {
                let verify = &self.parts.peers.verify;
                access::certificate(opened, &asked, stay, place, records, verify).await
            }
            Content::GetCrl => Ok(access::revocation_list(profile).await),
        };
        result.unwrap_or_else(|error| {
            tracing::error!(%error, "the record of an enrolment could not be kept");
            Conclusion::busy(30, error)
        })
    }

    async fn admitted(
        &self,
        admitted: Result<Admitted, NotAdmitted>,
        begin: Instant,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        self.parts.metrics.spent("admit", begin.elapsed());
        match admitted {
            Ok(admitted) => {
                tracing::debug!(station = "admit", enrolment = %admitted.id(),
                    renewal = admitted.renewal().is_some(), "admitted");
                self.enrol(admitted, profile).await
            }
            Err(NotAdmitted::Refused(denial)) => {
                let code = denial.code.clone();
                self.report(*denial);
                Ok(Conclusion::refused(code))
            }
            Err(NotAdmitted::Unknown(conclusion)) => Ok(conclusion),
        }
    }

    /// A CertPoll finds the newest enrolment of its transaction and signer, and goes on with it.
    async fn poll(&self, opened: &Opened, profile: &Profile) -> Result<Conclusion, RecordError> {
        let transaction = opened.request().transaction_id().as_bytes();
        let signer = opened.signer_sha256();
        let find = || self.parts.records.newest_of_transaction(&profile.name, transaction, signer);
        let Some(found) = find().await? else {
            return Ok(Conclusion::refused("poll-of-unknown-transaction"));
        };
        let _turn = self.turns.turn(found.id).await;
        // What was found may have moved on while another request had its turn.
        let Some(record) = self.parts.records.latest(found.id).await? else {
            return Ok(Conclusion::refused("poll-of-unknown-transaction"));
        };
        match record.state {
            State::Waiting => match Admitted::recorded(&record) {
                Ok(admitted) => self.begin(admitted, profile).await,
                Err(code) => Ok(Conclusion::refused(code)),
            },
            State::Refused | State::Abandoned => Ok(Conclusion::refused("poll-of-ended-attempt")),
            // A poll carries no request that could be verified again.
            State::Issued if self.is_over(&record, profile).await.is_some() => {
                Ok(Conclusion::refused("certificate-is-over"))
            }
            State::Ready | State::Intended | State::Pending | State::Issued | State::Withheld => {
                self.resume(record, profile).await
            }
        }
    }

    /// Why the stored certificate does not answer the request any more, if so.
    async fn is_over(&self, record: &Record, profile: &Profile) -> Option<Over> {
        if record.not_after.is_none_or(|end| end <= (self.parts.now)()) {
            return Some(Over::Expired);
        }
        let certificate = record.certificate.as_ref()?;
        access::is_revoked(profile, certificate).await.then_some(Over::Revoked)
    }

    /// `sign` lets an attempt after an issued one through where the certificate has expired or was
    /// ordered revoked, and sees no list. That somebody else had it revoked stands in the ledger as an
    /// order of that reason, once; there is nothing left to carry out, so `verify` gets none.
    async fn tell_of_revocation(
        &self,
        record: &Record,
        profile: &Profile,
    ) -> Result<(), Conclusion> {
        tracing::warn!(enrolment = %record.id, attempt = record.attempt,
            "the certificate was revoked and is not handed out again");
        let certificate = record.certificate.as_deref().unwrap_or_default();
        let order = order(profile, record.id, record.attempt, certificate, "on-revocation-list");
        match self.parts.peers.sign.call(&SignRequest::Order(order), ORDER).await {
            Ok(SignReply::Done) => Ok(()),
            Ok(other) => {
                Err(Conclusion::busy(60, format!("sign does not take the revocation: {other:?}")))
            }
            Err(error) => Err(Conclusion::busy(10, error)),
        }
    }

    /// A PKCSReq: new, or the repetition of one that is known.
    async fn enrol(
        &self,
        admitted: Admitted,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        let _turn = self.turns.turn(admitted.id()).await;
        let _will_write = self.parts.records.store().announce();
        let Some(record) = self.parts.records.latest(admitted.id()).await? else {
            return self.begin(admitted, profile).await;
        };
        match record.state {
            State::Waiting => self.begin(admitted.attempt(record.attempt), profile).await,
            State::Issued => match self.is_over(&record, profile).await {
                None => self.resume(record, profile).await,
                Some(Over::Expired) => self.begin_next(admitted, &record, profile).await,
                Some(Over::Revoked) => match self.tell_of_revocation(&record, profile).await {
                    Ok(()) => self.begin_next(admitted, &record, profile).await,
                    Err(conclusion) => Ok(conclusion),
                },
            },
            State::Refused | State::Abandoned => self.begin_next(admitted, &record, profile).await,
            State::Ready | State::Intended | State::Pending | State::Withheld => {
                self.resume(record, profile).await
            }
        }
    }

    async fn begin_next(
        &self,
        admitted: Admitted,
        record: &Record,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        self.begin(admitted.attempt(record.attempt.saturating_add(1)), profile).await
    }

    /// From the verifiers to the authority.
    async fn begin(
        &self,
        mut admitted: Admitted,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        for _ in 0..MOST_SETTLED {
            let attempt = admitted.beginning().attempt;
            match self.try_to_begin(admitted, profile).await? {
                Begun::Concluded(conclusion) => return Ok(conclusion),
                Begun::Settled(again) => {
                    tracing::warn!(enrolment = %again.id(), attempt,
                        "this attempt was closed without a row here; the next one begins");
                    admitted = again.attempt(attempt.saturating_add(1));
                }
            }
        }
        Ok(Conclusion::refused("sign-settled"))
    }

    async fn try_to_begin(
        &self,
        admitted: Admitted,
        profile: &Profile,
    ) -> Result<Begun, RecordError> {
        let begin = Instant::now();
        let verdict = verify(admitted, profile, &self.parts.peers.verify).await;
        self.parts.metrics.spent("verify", begin.elapsed());
        let approved = match verdict {
            Ok(approved) => approved,
            Err(refused) => {
                let (admitted, not_approved) = *refused;
                let conclusion = self.not_approved(&admitted, not_approved, profile).await?;
                return Ok(Begun::Concluded(conclusion));
            }
        };
        let (id, attempt) = (approved.admitted().id(), approved.admitted().beginning().attempt);
        tracing::debug!(
            station = "verify",
            enrolment = %id,
            attempt,
            verifiers = ?approved.approval().verifiers.iter().map(|v| &v.plugin).collect::<Vec<_>>(),
            names = ?approved.approval().names,
            "approved"
        );

        let begin = Instant::now();
        let signed = countersign(approved, &self.parts.peers.sign).await;
        self.parts.metrics.spent("countersign", begin.elapsed());
        let (countersigned, beginning) = match signed {
            Ok(signed) => signed,
            Err(NotCountersigned::Settled(admitted)) => return Ok(Begun::Settled(admitted)),
            Err(NotCountersigned::Concluded(conclusion)) => {
                return Ok(Begun::Concluded(conclusion));
            }
        };
        tracing::debug!(station = "countersign", enrolment = %id, attempt,
            octets = countersigned.cms().len(), "countersigned");

        let (sealed, cms) = (countersigned.sealed(), countersigned.cms());
        self.parts.records.intend(beginning, sealed, cms, (self.parts.now)()).await?;
        Ok(Begun::Concluded(self.submit(countersigned, profile).await?))
    }

    async fn not_approved(
        &self,
        admitted: &Admitted,
        not_approved: NotApproved,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        let id = admitted.id();
        match not_approved {
            NotApproved::Denied { code } => {
                tracing::info!(station = "verify", enrolment = %id, code, "denied");
                Ok(Conclusion::refused(code))
            }
            NotApproved::Pending { retry_after } => {
                tracing::info!(station = "verify", enrolment = %id, retry_after, "pending");
                let beginning = admitted.beginning().clone();
                match self
                    .parts
                    .records
                    .keep_waiting(beginning, profile.waiting_quota, (self.parts.now)())
                    .await
                {
                    Ok(()) => Ok(Conclusion::Pending),
                    Err(RecordError::Quota { profile, held }) => {
                        Ok(Conclusion::busy(60, format!("{held} requests of {profile} wait")))
                    }
                    Err(error) => Err(error),
                }
            }
            NotApproved::Unavailable(conclusion) => {
                if let Conclusion::Busy { reason, .. } = &conclusion {
                    tracing::warn!(station = "verify", enrolment = %id, reason, "unavailable");
                }
                Ok(conclusion)
            }
        }
    }

    /// From wherever a countersigned enrolment stands.
    async fn resume(&self, record: Record, profile: &Profile) -> Result<Conclusion, RecordError> {
        let now = (self.parts.now)();
        match (record.state, record.certificate.as_ref()) {
            (State::Issued, Some(certificate)) => {
                if record.not_after.is_some_and(|end| end > now) {
                    let is_told = may_be_given(&self.parts.peers.verify, &record).await;
                    Ok(given(is_told, certificate.clone()))
                } else {
                    Ok(Conclusion::refused("certificate-is-over"))
                }
            }
            (State::Issued, None) => Err(RecordError::Unreadable("certificate")),
            (State::Withheld, _) => Ok(withheld()),
            (State::Ready, _) => {
                // Never processed, so never a surplus: as often as it takes.
                self.resubmit(record, u32::MAX, profile).await
            }
            (State::Intended, _) if record.submissions < profile.most_submissions => {
                tracing::warn!(enrolment = %record.id,
                    "the outcome is unknown; the identical bytes go out once more");
                self.resubmit(record, profile.most_submissions, profile).await
            }
            // The outcome is unknown and the profile does not let us ask again.
            (State::Intended, _) => Ok(Conclusion::Pending),
            (State::Pending, _) => {
                let countersigned = recorded(&record)?;
                let request_id =
                    record.request_id.ok_or(RecordError::Unreadable("request ID of the CA"))?;
                let begin = Instant::now();
                let submitted = poll(countersigned, request_id, profile).await;
                self.parts.metrics.spent("issue", begin.elapsed());
                self.submitted(Standing::from(&record), submitted, profile).await
            }
            (State::Waiting | State::Refused | State::Abandoned, _) => {
                Ok(Conclusion::refused("nothing-to-resume"))
            }
        }
    }

    async fn resubmit(
        &self,
        record: Record,
        at_most: u32,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        let countersigned = recorded(&record)?;
        self.parts.records.intend_again(&record, at_most, (self.parts.now)()).await?;
        self.submit(countersigned, profile).await
    }

    /// The intent is durable; the authority gets the bytes.
    async fn submit(
        &self,
        countersigned: Countersigned,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        let (id, attempt) = (countersigned.id(), countersigned.attempt());
        let begin = Instant::now();
        reached(Point::SubmissionNext);
        let submitted = submit(countersigned, profile).await;
        reached(Point::SubmissionAnswered);
        self.parts.metrics.spent("issue", begin.elapsed());
        // As the intent left it: nothing moves it on while this request has its turn.
        let standing = Standing { id, attempt, state: State::Intended };
        self.submitted(standing, submitted, profile).await
    }

    async fn submitted(
        &self,
        standing: Standing,
        submitted: Submitted,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        let (id, now) = (standing.id, (self.parts.now)());
        match submitted {
            Submitted::Issued(issued) => {
                tracing::debug!(station = "issue", enrolment = %id, authority = profile.authority_name,
                    "issued");
                self.checked(standing, issued, profile).await
            }
            Submitted::Pending(request_id) => {
                tracing::info!(station = "issue", enrolment = %id, %request_id, "pending at the CA");
                if standing.state != State::Pending {
                    self.parts.records.under_submission(standing, request_id, now).await?;
                }
                Ok(Conclusion::Pending)
            }
            Submitted::Refused { code, detail } => {
                tracing::warn!(station = "issue", enrolment = %id, code, detail, "refused by the CA");
                let outcome = OutcomeRecord {
                    enrolment: id,
                    attempt: standing.attempt,
                    profile: profile.name.clone(),
                    outcome: OutcomeKind::Refused,
                    certificate: None,
                    code: Some(code.clone()),
                };
                self.end(
                    standing,
                    State::Refused,
                    None,
                    None,
                    Some(code.clone()),
                    vec![
                        OutboxMessage::Sign(SignRequest::Outcome(outcome.clone())),
                        OutboxMessage::Verify(VerifyRequest::Outcome(outcome)),
                    ],
                )
                .await?;
                Ok(Conclusion::refused_after_approval(
                    code,
                    "the certification authority refused the request",
                ))
            }
            Submitted::NotProcessed { detail } => {
                tracing::warn!(station = "issue", enrolment = %id, detail, "the CA is not available");
                if standing.state != State::Pending {
                    self.parts.records.not_processed(standing, now).await?;
                }
                Ok(Conclusion::Pending)
            }
            Submitted::Unknown { detail } => {
                tracing::error!(station = "issue", enrolment = %id, detail, "outcome unknown");
                Ok(Conclusion::Pending)
            }
        }
    }

    async fn checked(
        &self,
        standing: Standing,
        issued: crate::issue::Issued,
        profile: &Profile,
    ) -> Result<Conclusion, RecordError> {
        let begin = Instant::now();
        let checked = check(issued, profile, (self.parts.now)());
        self.parts.metrics.spent("check", begin.elapsed());
        match checked {
            Ok(checked) => {
                let certificate = checked.issued().certificate().to_vec();
                let not_after = checked.certificate().not_after();
                tracing::debug!(station = "check", enrolment = %standing.id,
                    serial = checked.certificate().serial_hex(), "the certificate says what was approved");
                let tells_first = checked.issued().countersigned().sealed().must_tell_first();
                let outcome = checked.issued().countersigned().outcome(
                    &profile.name,
                    OutcomeKind::Issued,
                    Some(&certificate),
                    None,
                );
                self.end(
                    standing,
                    State::Issued,
                    Some(certificate.clone()),
                    Some(not_after),
                    None,
                    vec![
                        OutboxMessage::Sign(SignRequest::Outcome(outcome.clone())),
                        OutboxMessage::Verify(VerifyRequest::Outcome(outcome.clone())),
                    ],
                )
                .await?;
                let is_told = !tells_first || tell_first(&self.parts.peers.verify, outcome).await;
                Ok(given(is_told, certificate))
            }
            Err(failed) => {
                let (issued, mismatches) = *failed;
                tracing::error!(station = "check", enrolment = %standing.id, ?mismatches,
                    "ALARM: the authority issued what was not approved; withheld, to be revoked");
                self.parts.metrics.withheld();
                let certificate = issued.certificate().to_vec();
                let outcome = issued.countersigned().outcome(
                    &profile.name,
                    OutcomeKind::Withheld,
                    Some(&certificate),
                    Some("check-failed".to_owned()),
                );
                let (id, attempt) = (standing.id, standing.attempt);
                let order = order(profile, id, attempt, &certificate, "check-failed");
                self.end(
                    standing,
                    State::Withheld,
                    Some(certificate),
                    None,
                    Some("check-failed".to_owned()),
                    vec![
                        OutboxMessage::Sign(SignRequest::Outcome(outcome.clone())),
                        OutboxMessage::Verify(VerifyRequest::Outcome(outcome)),
                        OutboxMessage::Verify(VerifyRequest::Order(order.clone())),
                        OutboxMessage::Sign(SignRequest::Order(order)),
                    ],
                )
                .await?;
                Ok(withheld())
            }
        }
    }

    async fn end(
        &self,
        standing: Standing,
        state: State,
        certificate: Option<Vec<u8>>,
        not_after: Option<u64>,
        code: Option<String>,
        messages: Vec<OutboxMessage>,
    ) -> Result<(), RecordError> {
        let serial = match (state, &certificate) {
            (State::Issued, Some(der)) => countersign_profile::Certificate::parse(der)
                .ok()
                .map(|certificate| certificate.serial().to_vec()),
            _ => None,
        };
        let ending = Ending { state, certificate, serial, not_after, code, messages };
        self.parts.records.end(standing.id, standing.attempt, ending, (self.parts.now)()).await?;
        self.parts.wake_outbox.notify_one();
        Ok(())
    }

    fn report(&self, denial: DenialRecord) {
        tracing::info!(
            station = "admit",
            profile = denial.profile,
            code = denial.code,
            detail = denial.detail,
            source = denial.source,
            "refused"
        );
        if self.denials.try_send(denial).is_err() {
            tracing::warn!("a denial did not fit into the queue to the ledger");
        }
    }
}

fn order(
    profile: &Profile,
    enrolment: EnrolmentId,
    attempt: u32,
    certificate: &[u8],
    reason: &str,
) -> RevocationOrder {
    RevocationOrder {
        enrolment,
        attempt,
        profile: profile.name.clone(),
        authority: profile.authority_name.clone(),
        certificate_sha256: Bytes(sha256(certificate).to_vec()),
        serial: countersign_profile::Certificate::parse(certificate)
            .map(|certificate| certificate.serial_hex())
            .unwrap_or_default(),
        reason: reason.to_owned(),
    }
}

/// The certificate is durable here and is the device's, as soon as those have heard of it that must
/// hear of it first.
fn given(is_told: bool, certificate: Vec<u8>) -> Conclusion {
    if is_told { Conclusion::Success { certificate } } else { Conclusion::Pending }
}

fn recorded(record: &Record) -> Result<Countersigned, RecordError> {
    Countersigned::recorded(record).ok_or(RecordError::Unreadable("countersigned bytes"))
}

fn withheld() -> Conclusion {
    Conclusion::refused_after_approval(
        "check-failed",
        "the certificate that was issued is not the one approved; it is withheld",
    )
}

/// A transaction ID as it may stand in a log: strangers choose it.
fn shown(transaction_id: &[u8]) -> String {
    transaction_id.escape_ascii().to_string().chars().take(80).collect()
}
