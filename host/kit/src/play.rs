//! One case on the real component.

use std::sync::Arc;
use std::time::Duration;

use countersign_cases::{Asked, Case, Expected};
use countersign_sandbox::{
    CallContext, CallFailure, HttpRequest, LoadError, Used,
    model::{Power, Problem, Request, Verdict},
    rehearsal::{Random, Rehearsal, Stage, Wire},
};

use crate::answer::{self, Answered};
use crate::memory::Memory;
use crate::question;
use crate::upstream::{Plan, Upstream};
use crate::workshop::Workshop;

/// How a case is played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    pub(crate) plan: Plan,
    /// A power that is not granted.
    pub(crate) without: Option<&'a Power>,
    /// What the host has left for the last call.
    pub(crate) time_left: Option<Duration>,
}

impl Manner<'_> {
    pub(crate) const AS_RECORDED: Self =
        Self { plan: Plan::AsRecorded, without: None, time_left: None };

    pub(crate) fn planned(plan: Plan) -> Self {
        Self { plan, ..Self::AS_RECORDED }
    }
}

/// What came of a case.
#[derive(Debug)]
pub struct Played {
    /// The last answer.
    pub answer: Answered,
    /// What was sent over HTTP, in order.
    pub sent: Vec<HttpRequest>,
    /// Whether what was recorded was sent, and nothing else.
    pub script: Result<(), String>,
    /// Whether something was sent that is not recorded, where the order does not matter.
    pub strayed: bool,
    /// The most that any of its calls used.
    pub used: Used,
}

/// Why a case was not played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The plug-in was not admitted.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The case makes no sense.
    #[error("{0}")]
    Case(String),
}

/// A component on its stage, with what a case has.
pub(crate) struct Set {
    pub(crate) rehearsal: Rehearsal,
    pub(crate) memory: Arc<Memory>,
    pub(crate) upstream: Arc<Upstream>,
}

impl Workshop {
    /// Sets the stage for a case. Settings that are refused are a `LoadError`.
    pub(crate) async fn set(&self, case: &Case, manner: &Manner<'_>) -> Result<Set, PlayError> {
        let memory = Memory::of_case(&case.host).map_err(PlayError::Case)?;
        self.set_on(memory, case, manner).await
    }

    /// As [`Workshop::set`], on what a host has after other calls.
    async fn set_on(
        &self,
        memory: Arc<Memory>,
        case: &Case,
        manner: &Manner<'_>,
    ) -> Result<Set, PlayError> {
        let upstream = Arc::new(Upstream::new(&case.host.http, manner.plan));
        let wire: Arc<Upstream> = Arc::clone(&upstream);
        let stage = Stage { wire: Wire::Scripted(wire), random: Random::counting() };
        let granted = self.grants(&case.settings, &case.host.secrets, manner.without);
        let rehearsal = self.sandbox.rehearse(&self.component, &granted, &stage).await?;
        Ok(Set { rehearsal, memory, upstream })
    }

    /// Plays a case that has a request.
    pub(crate) async fn play(&self, case: &Case, manner: &Manner<'_>) -> Result<Played, PlayError> {
        let set = self.set(case, manner).await?;
        set.play(case, manner).await.map_err(PlayError::Case)
    }

    /// Plays a case, and then its request once more, with the same answers from outside.
    pub(crate) async fn play_twice(&self, case: &Case) -> Result<(Played, Played), PlayError> {
        let manner = Manner::planned(Plan::InAnyOrder);
        let set = self.set(case, &manner).await?;
        let first = set.play(case, &manner).await.map_err(PlayError::Case)?;
        let mut again = case.clone();
        again.earlier.clear();
        let set = self.set_on(Arc::clone(&set.memory), &again, &manner).await?;
        let second = set.play(&again, &manner).await.map_err(PlayError::Case)?;
        Ok((first, second))
    }

    /// Plays a case and holds what comes against what it expects. What was used, where it was asked.
    pub(crate) async fn try_case(&self, case: &Case) -> Result<Option<Played>, String> {
        if let Expected::Settings { problems: expected } = &case.expect {
            let found = self.problems(&case.settings).await?;
            let pointers: Vec<&String> = found.iter().map(|problem| &problem.pointer).collect();
            if pointers.iter().copied().eq(expected) {
                return Ok(None);
            }
            return Err(format!(
                "expected settings refused at {expected:?}, found {}",
                if found.is_empty() { "them accepted".to_owned() } else { list(&found) }
            ));
        }
        let played =
            self.play(case, &Manner::AS_RECORDED).await.map_err(|error| error.to_string())?;
        answer::compare(&case.expect, &played.answer)
            .and_then(|()| played.script.clone())
            .map_err(|wrong| match played.used.refused {
                0 => wrong,
                refused => format!(
                    "{wrong}\nthe host refused {refused} of its calls for want of a grant: it is \
                     granted the hosts and secrets that `describe` wants, and no others"
                ),
            })?;
        Ok(Some(played))
    }

    /// What `validate-settings` says, whatever the schema does.
    pub(crate) async fn problems(
        &self,
        settings: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<Problem>, String> {
        let text = serde_json::Value::Object(settings.clone()).to_string();
        self.sandbox
            .validate_settings(&self.component, &text)
            .await
            .map_err(|error| error.to_string())
    }
}

impl Set {
    async fn play(&self, case: &Case, manner: &Manner<'_>) -> Result<Played, String> {
        let mut used = Used::default();
        for asked in &case.earlier {
            used = most(used, used_by(&self.ask(asked, None).await?));
        }
        let asked = case
            .request
            .as_ref()
            .ok_or("no request: only `settings` can be expected without one")?;
        let answer = self.ask(asked, manner.time_left).await?;
        used = most(used, used_by(&answer));
        let (sent, script) = (self.upstream.sent(), self.upstream.check());
        Ok(Played { answer, sent, script, strayed: self.upstream.strayed(), used })
    }

    async fn ask(&self, asked: &Asked, time_left: Option<Duration>) -> Result<Answered, String> {
        let request = question::of_case(asked)?;
        let answer = self.verify(request.clone(), time_left).await;
        if let Ok(outcome) = &answer
            && !asked.denied_elsewhere
        {
            self.memory.settle(&outcome.answer, &outcome.staged, request.csr_sha256);
        }
        if asked.issued {
            self.memory.issued(request.csr_sha256);
        }
        Ok(answer)
    }

    async fn verify(&self, request: Request, time_left: Option<Duration>) -> Answered {
        let backend = self.memory.seen_by(request.csr_sha256);
        self.rehearsal.verify(self.context(time_left), request, backend).await
    }

    pub(crate) fn context(&self, time_left: Option<Duration>) -> CallContext {
        context(self.memory.now(), time_left)
    }
}

/// A call in earnest, as far as the plug-in can tell.
pub(crate) fn context(now: u64, time_left: Option<Duration>) -> CallContext {
    CallContext { trace_id: "kit".to_owned(), trial: false, now, time_left, attributes: Vec::new() }
}

pub(crate) fn used_by<T>(
    answer: &Result<countersign_sandbox::CallOutcome<T>, CallFailure>,
) -> Used {
    match answer {
        Ok(outcome) => outcome.used,
        Err(failure) => failure.used,
    }
}

/// The larger of each.
pub(crate) fn most(one: Used, other: Used) -> Used {
    Used {
        time: one.time.max(other.time),
        memory_bytes: one.memory_bytes.max(other.memory_bytes),
        host_calls: one.host_calls.max(other.host_calls),
        log_dropped: one.log_dropped.max(other.log_dropped),
        refused: one.refused.max(other.refused),
        fuel: one.fuel.max(other.fuel),
    }
}

pub(crate) fn is_approval(answer: &Answered) -> bool {
    matches!(answer, Ok(outcome) if matches!(outcome.answer, Verdict::Approve(_)))
}

fn list(problems: &[Problem]) -> String {
    let pointers: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("them refused: {}", pointers.join("; "))
}
