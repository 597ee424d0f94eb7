//! The pool in front of a token that is slow, hangs, breaks or is gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

mod certificate;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use certificate::{Template, role_certificate};
use countersign_keys::{
    Capacity, CepKey, ContentKey, Deadline, DevelopmentToken, Finding, GeneratedKey, KeyName,
    KeyPool, KeySpec, KeyTransport, Mode, PoolLimits, PublicKey, RepKey, RoleKind,
    SignatureAlgorithm, Token, TokenDescription, TokenError, generate_key,
};

static KEY: LazyLock<GeneratedKey> = LazyLock::new(|| generate_key(KeySpec::Rsa2048).unwrap());

const STALLED_AFTER: Duration = Duration::from_millis(400);

/// A token whose every operation waits for a word from the test.
#[derive(Debug)]
struct Scripted {
    inside: DevelopmentToken,
    capacity: Capacity,
    words: Mutex<Receiver<Word>>,
    done: Mutex<Vec<String>>,
}

#[derive(Debug)]
enum Word {
    Go,
    Panic,
    Fail(TokenError),
}

impl Scripted {
    fn wait(&self, what: &str) -> Result<(), TokenError> {
        let word = self.words.lock().unwrap().recv().unwrap();
        self.done.lock().unwrap().push(what.to_owned());
        match word {
            Word::Go => Ok(()),
            Word::Fail(error) => Err(error),
            Word::Panic => panic!("as the test wishes"),
        }
    }
}

impl Token for Scripted {
    fn description(&self) -> TokenDescription {
        self.inside.description()
    }
    fn capacity(&self) -> Capacity {
        self.capacity
    }
    fn public_key(&self, key: &KeyName) -> Result<PublicKey, TokenError> {
        self.inside.public_key(key)
    }
    fn sign(
        &self,
        key: &KeyName,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, TokenError> {
        self.wait(&format!("sign {}", String::from_utf8_lossy(message)))?;
        self.inside.sign(key, algorithm, message, deadline)
    }
    fn rsa_unwrap(
        &self,
        key: &KeyName,
        transport: KeyTransport,
        ciphertext: &[u8],
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<ContentKey, TokenError> {
        // The keys share one receiver, so an unwrap holds no lock while a signature waits.
        if !ciphertext.is_empty() {
            self.wait("unwrap")?;
        } else {
            std::thread::sleep(Duration::from_millis(300));
            self.done.lock().unwrap().push("unwrap".into());
        }
        self.inside.rsa_unwrap(key, transport, ciphertext, wanted_length, deadline)
    }
    fn health(&self, _: Deadline) -> Result<(), TokenError> {
        Ok(())
    }
    fn examine(
        &self,
        key: &KeyName,
        role: RoleKind,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, TokenError> {
        self.inside.examine(key, role, deadline)
    }
    fn holds(&self, key: &PublicKey, deadline: Deadline) -> Result<bool, TokenError> {
        self.inside.holds(key, deadline)
    }
}

struct Bench {
    token: Arc<Scripted>,
    pool: KeyPool,
    rep: RepKey,
    cep: CepKey,
    tell: Sender<Word>,
}

fn bench(sessions: usize, reserved_for_signing: usize, waiting: usize) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    KEY.write_pem(&path).unwrap();
    let name = KeyName::new("key");
    let inside = DevelopmentToken::open(Mode::Lab, [(name.clone(), path.as_path())]).unwrap();
    let (tell, words) = channel();
    let token = Arc::new(Scripted {
        inside,
        capacity: Capacity { sessions, reserved_for_signing },
        words: Mutex::new(words),
        done: Mutex::default(),
    });
    let limits = PoolLimits {
        waiting_signatures: waiting,
        waiting_unwraps: waiting,
        stalled_after: STALLED_AFTER,
    };
    let pool = KeyPool::start(Arc::clone(&token) as Arc<dyn Token>, limits).unwrap();
    let certificate = || role_certificate(&KEY, &Template::default());
    Bench {
        rep: RepKey::open(&pool, name.clone(), certificate()).unwrap(),
        cep: CepKey::open(&pool, name, certificate()).unwrap(),
        token,
        pool,
        tell,
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Waits until the pool looks like this.
async fn until(pool: &KeyPool, looks: impl Fn(countersign_keys::PoolStatus) -> bool) {
    let start = Instant::now();
    while !looks(pool.status()) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", pool.status());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn sign(
    bench: &Bench,
    message: &'static str,
) -> tokio::task::JoinHandle<Result<Vec<u8>, TokenError>> {
    let rep = bench.rep.clone();
    tokio::spawn(async move { rep.sign(message.into(), soon()).await })
}

fn unwrap(
    bench: &Bench,
    ciphertext: Vec<u8>,
) -> tokio::task::JoinHandle<Result<ContentKey, TokenError>> {
    let cep = bench.cep.clone();
    tokio::spawn(async move {
        cep.unwrap_content_key(KeyTransport::Pkcs1v15, ciphertext, 16, soon()).await
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_busy_at_once() {
    let bench = bench(1, 0, 2);
    let first = sign(&bench, "1");
    until(&bench.pool, |status| status.running == 1).await;
    let waiting = [sign(&bench, "2"), sign(&bench, "3")];
    until(&bench.pool, |status| status.waiting_signatures == 2).await;
    let start = Instant::now();
    assert_eq!(bench.rep.sign(b"4".to_vec(), soon()).await, Err(TokenError::Busy));
    assert!(start.elapsed() < Duration::from_secs(5));
    for _ in 0..3 {
        bench.tell.send(Word::Go).unwrap();
    }
    first.await.unwrap().unwrap();
    for one in waiting {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_token_is_answered_for_at_the_deadline() {
    let bench = bench(1, 0, 8);
    let deadline = Deadline::after(Duration::from_millis(50));
    assert_eq!(bench.rep.sign(b"1".to_vec(), deadline).await, Err(TokenError::Deadline));
    // What waited behind it and is too late is not done any more.
    let late = Deadline::after(Duration::from_millis(50));
    assert_eq!(bench.rep.sign(b"2".to_vec(), late).await, Err(TokenError::Deadline));
    bench.tell.send(Word::Go).unwrap();
    bench.tell.send(Word::Go).unwrap();
    bench.rep.sign(b"3".to_vec(), soon()).await.unwrap();
    assert_eq!(*bench.token.done.lock().unwrap(), ["sign 1", "sign 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_go_before_unwraps_that_wait_longer() {
    let bench = bench(1, 0, 8);
    let first = sign(&bench, "first");
    until(&bench.pool, |status| status.running == 1).await;
    let opened = unwrap(&bench, vec![1; 256]);
    until(&bench.pool, |status| status.waiting_unwraps == 1).await;
    let second = sign(&bench, "second");
    until(&bench.pool, |status| status.waiting_signatures == 1).await;
    for _ in 0..3 {
        bench.tell.send(Word::Go).unwrap();
    }
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    opened.await.unwrap().unwrap();
    assert_eq!(*bench.token.done.lock().unwrap(), ["sign first", "sign second", "unwrap"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unwraps_never_take_the_capacity_reserved_for_signing() {
    let bench = bench(2, 1, 8);
    let opened: Vec<_> = (0..3).map(|_| unwrap(&bench, Vec::new())).collect();
    until(&bench.pool, |status| status.running == 1 && status.waiting_unwraps == 2).await;
    bench.tell.send(Word::Go).unwrap();
    bench.rep.sign(b"at once".to_vec(), soon()).await.unwrap();
    assert_eq!(bench.token.done.lock().unwrap()[0], "sign at once");
    for one in opened {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_panics_is_one_callers_loss() {
    let bench = bench(1, 0, 8);
    bench.tell.send(Word::Panic).unwrap();
    let lost = bench.rep.sign(b"1".to_vec(), soon()).await;
    assert!(matches!(lost, Err(TokenError::Lost(_))), "{lost:?}");
    until(&bench.pool, |status| status.running == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokens_own_errors_reach_the_caller() {
    let bench = bench(1, 0, 8);
    for error in [TokenError::Lost("unplugged".into()), TokenError::LogInRefused] {
        bench.tell.send(Word::Fail(error.clone())).unwrap();
        assert_eq!(bench.rep.sign(b"1".to_vec(), soon()).await, Err(error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_waits_for_is_not_done() {
    let bench = bench(1, 0, 8);
    let first = sign(&bench, "1");
    until(&bench.pool, |status| status.running == 1).await;
    let given_up = sign(&bench, "2");
    until(&bench.pool, |status| status.waiting_signatures == 1).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    bench.tell.send(Word::Go).unwrap();
    bench.tell.send(Word::Go).unwrap();
    first.await.unwrap().unwrap();
    bench.rep.sign(b"3".to_vec(), soon()).await.unwrap();
    assert_eq!(*bench.token.done.lock().unwrap(), ["sign 1", "sign 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_last_handle_is_dropped_the_threads_end_before_the_token() {
    let Bench { token, pool, rep, cep, tell } = bench(4, 0, 8);
    drop((pool, rep));
    assert!(Arc::strong_count(&token) > 1);
    drop(cep);
    assert_eq!(Arc::strong_count(&token), 1);
    drop(tell);
}

/// Fails when `push` does not look whether the token hangs: each request would wait for its whole
/// deadline.
#[tokio::test]
async fn a_token_that_hangs_fails_at_once_until_it_answers_again() {
    let bench = bench(1, 0, 8);
    let rep = bench.rep.clone();
    let hanging = tokio::spawn(async move { rep.sign(b"1".to_vec(), soon()).await });
    tokio::time::sleep(STALLED_AFTER + Duration::from_millis(200)).await;
    let asked = Instant::now();
    let failed = bench.rep.sign(b"2".to_vec(), soon()).await;
    assert!(matches!(failed, Err(TokenError::Lost(_))), "{failed:?}");
    assert!(asked.elapsed() < Duration::from_millis(200));
    bench.tell.send(Word::Go).unwrap();
    hanging.await.unwrap().unwrap();
    // The answer leaves a moment before its thread is free.
    until(&bench.pool, |status| status.running == 0).await;
    bench.tell.send(Word::Go).unwrap();
    bench.rep.sign(b"3".to_vec(), soon()).await.unwrap();
}

/// Fails when the pool's end joins its threads without a limit.
#[tokio::test]
async fn the_end_does_not_wait_for_a_token_that_hangs_for_ever() {
    let bench = bench(1, 0, 8);
    let soon = Deadline::after(Duration::from_millis(100));
    assert_eq!(bench.rep.sign(b"1".to_vec(), soon).await, Err(TokenError::Deadline));
    let ended = Instant::now();
    drop((bench.pool, bench.rep, bench.cep));
    assert!(ended.elapsed() < Duration::from_secs(8));
}
