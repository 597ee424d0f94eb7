//! What a stranger sees: the time from a message to its answer, of a whole installation, over a
//! loopback socket, with the time bucket.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use countersign_scep::ContentCipher;
use countersign_tests::{Connection, Installation, PROFILE};

use crate::classes::{Class, Stranger};
use crate::schedule::Shuffle;
use crate::verdict::Samples;

/// How many messages stand for each class.
const MESSAGES: usize = 16;

/// How the installation is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// Of each class.
    pub samples: usize,
    /// Connections that ask at the same time.
    pub connections: usize,
}

/// An installation with budgets that nobody spends, and a stranger.
pub struct Answers {
    installation: Installation,
    stranger: Stranger,
}

/// One message of the schedule.
struct Question {
    class: Class,
    message: Vec<u8>,
}

impl Answers {
    /// Starts the three processes and a CA.
    ///
    /// # Panics
    /// They do not start.
    pub async fn start(period: u32) -> Self {
        let sections = format!(
            "[serve.limits]\nzone-a-milliseconds = {period}\n\n[serve.budgets]\n\
             unwraps-per-key = 10000000\nfailures-per-key = 10000000\n"
        );
        let installation = Installation::builder().sections(&sections).start().await;
        let ra = installation.ra(PROFILE).await;
        let stranger = Stranger::new(ra.recipient().expect("the CEP certificate"));
        Self { installation, stranger }
    }

    /// Times every class under one cipher.
    ///
    /// # Panics
    /// An answer differs from another in status or length.
    pub async fn measure(
        &self,
        asking: Asking,
        cipher: ContentCipher,
        shuffle: &mut Shuffle,
    ) -> Samples {
        let messages: Vec<Vec<Vec<u8>>> = Class::ALL
            .iter()
            .map(|class| {
                let failing = || self.stranger.failing(*class, cipher);
                std::iter::repeat_with(failing).take(MESSAGES).collect()
            })
            .collect();
        let mut questions = Vec::with_capacity(asking.samples * Class::ALL.len());
        for _ in 0..asking.samples {
            for class in shuffle.round(Class::ALL.len()) {
                let message = messages[class][shuffle.below(MESSAGES)].clone();
                questions.push(Question { class: Class::ALL[class], message });
            }
        }
        questions.reverse();
        let questions = Arc::new(Mutex::new(questions));

        let tasks: Vec<_> = (0..asking.connections)
            .map(|_| {
                let address = self.installation.address().to_owned();
                tokio::spawn(ask(address, Arc::clone(&questions)))
            })
            .collect();
        let mut samples = Samples::with_capacity(asking.samples);
        let mut shapes = std::collections::BTreeSet::new();
        for task in tasks {
            for (class, nanoseconds, shape) in task.await.expect("a connection that lasts") {
                samples.add(class, nanoseconds);
                shapes.insert(shape);
            }
        }
        assert_eq!(shapes.len(), 1, "answers differ in status or length: {shapes:?}");
        samples
    }
}

type Timed = (Class, u64, (u16, usize));

async fn ask(address: String, questions: Arc<Mutex<Vec<Question>>>) -> Vec<Timed> {
    let path = format!("/scep/{PROFILE}?operation=PKIOperation");
    let mut connection = Connection::open(&address).await;
    let mut timed = Vec::new();
    loop {
        let next = questions.lock().expect("nobody panicked").pop();
        let Some(Question { class, message }) = next else { return timed };
        let begin = Instant::now();
        let reply = connection.request("POST", &path, message).await;
        let spent = begin.elapsed();
        let nanoseconds = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        timed.push((class, nanoseconds, (reply.status.as_u16(), reply.body.len())));
    }
}
