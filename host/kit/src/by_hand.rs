//! One request by hand, over the network that a fragment of configuration grants.

use std::sync::Arc;

use countersign_cases::HostState;
use countersign_sandbox::{
    HttpRefusal, HttpRequest, HttpResponse, LoadError,
    model::{Request, RequestKind, Secret},
    rehearsal::{Random, Stage, Watcher, Wire},
};

use crate::answer::Answered;
use crate::grants::{Fragment, FragmentError};
use crate::memory::Memory;
use crate::play::context;
use crate::workshop::Workshop;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asking {
    /// As `verify` would ask it.
    pub request: Request,
    /// The host's time, seconds since 1970.
    pub now: u64,
    /// Challenges that the host keeps, for every profile, each with the names it is bound to.
    pub kept: Vec<(String, Vec<String>)>,
}

impl Asking {
    /// Another challenge than the request's own.
    pub fn challenge(&mut self, challenge: &str) {
        self.request.challenge = Some(Secret::new(challenge));
    }

    /// As a renewal. Without a certificate, which only the host can validate.
    pub fn as_renewal(&mut self) {
        self.request.kind = RequestKind::Renewal;
    }
}

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
pub enum ByHandError {
    /// The plug-in was not admitted.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The fragment does not say what it must.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// What is asked makes no sense.
    #[error("{0}")]
    Asked(String),
}

/// What came of it.
#[derive(Debug)]
pub struct ByHand {
    /// The answer.
    pub answer: Answered,
    /// What went over the network.
    pub exchanges: Vec<Seen>,
}

/// One request and what came back.
pub type Seen = (HttpRequest, Result<HttpResponse, HttpRefusal>);

/// Sees what goes over the network.
#[derive(Default)]
struct Notes(std::sync::Mutex<Vec<Seen>>);

impl Watcher for Notes {
    fn saw(&self, request: &HttpRequest, answer: Result<&HttpResponse, &HttpRefusal>) {
        let answer = answer.cloned().map_err(Clone::clone);
        let mut notes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        notes.push((request.clone(), answer));
    }
}

/// Asks once, over the network where the fragment grants hosts. Challenges and `kv` are in memory and
/// forgotten; without a fragment of `[plugin.NAME]` nothing but those and the log is granted.
///
/// # Errors
///
/// The plug-in is not admitted with these grants and settings.
pub async fn run(
    workshop: &Workshop,
    fragment: &Fragment,
    asking: &Asking,
    random: Random,
) -> Result<ByHand, ByHandError> {
    let mut granted = match fragment.granted()? {
        Some(granted) => granted,
        None => workshop.without_the_world(&fragment.settings),
    };
    // A person waits, and metered code is slower.
    granted.budgets.time = granted.budgets.time.max(std::time::Duration::from_secs(20));
    let notes = Arc::new(Notes::default());
    let watcher: Arc<Notes> = Arc::clone(&notes);
    let stage = Stage { wire: Wire::Watched(watcher), random };
    let rehearsal = workshop.sandbox.rehearse(&workshop.component, &granted, &stage).await?;
    let mut state = HostState { now: Some(asking.now), ..HostState::default() };
    for (text, names) in &asking.kept {
        state.challenges.push(countersign_cases::KeptChallenge {
            text: text.clone(),
            names: names.clone(),
            device_id: None,
            profile: None,
            expires: None,
            state: Default::default(),
            attributes: Default::default(),
        });
    }
    let memory = Memory::of_case(&state).map_err(ByHandError::Asked)?;
    let backend = memory.seen_by(asking.request.csr_sha256);
    let answer = rehearsal.verify(context(asking.now, None), asking.request.clone(), backend).await;
    let mut exchanges = notes.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(ByHand { answer, exchanges: std::mem::take(&mut exchanges) })
}
