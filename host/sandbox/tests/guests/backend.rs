//! A backend in memory, and what a call needs beside it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign_sandbox::{
    Answer, Artefacts, Backend, Budgets, CallContext, Compiler, Component, Grants, IssueRefusal,
    Plugin, PluginSettings, PoolSize, RedeemRefusal, Sandbox, Unavailable,
    model::{
        ChallengeBinding, IssuedChallenge, KeyAlgorithm, Name, PublicKey, Request, RequestKind,
        Secret, SubjectAttribute,
    },
};

/// Values by plug-in and key; one good challenge.
#[derive(Default)]
pub struct Memory {
    pub values: Mutex<HashMap<(String, String), Vec<u8>>>,
    pub asked: Mutex<Vec<String>>,
    /// Never answers.
    pub stuck: bool,
}

impl Backend for Memory {
    fn kv_get<'a>(
        &'a self,
        plugin: &'a str,
        key: &'a str,
    ) -> Answer<'a, Result<Option<Vec<u8>>, Unavailable>> {
        Box::pin(async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.asked.lock().unwrap().push(format!("{plugin}/{key}"));
            let key = (plugin.to_owned(), key.to_owned());
            Ok(self.values.lock().unwrap().get(&key).cloned())
        })
    }

    fn challenge_lookup<'a>(
        &'a self,
        plugin: &'a str,
        profile: &'a str,
        text: &'a str,
    ) -> Answer<'a, Result<ChallengeBinding, RedeemRefusal>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(format!("{plugin}/{profile}/{text}"));
            if text == "GOOD" { Ok(binding()) } else { Err(RedeemRefusal::Unknown) }
        })
    }

    fn challenge_issue<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: ChallengeBinding,
        ttl: Duration,
    ) -> Answer<'a, Result<IssuedChallenge, IssueRefusal>> {
        Box::pin(async move {
            Ok(IssuedChallenge { text: Secret::new("FRESH"), expires: ttl.as_secs() })
        })
    }
}

pub fn binding() -> ChallengeBinding {
    ChallengeBinding {
        names: vec![Name::Dns("host.example".into())],
        device_id: None,
        attributes: Vec::new(),
    }
}

pub fn context() -> CallContext {
    CallContext {
        trace_id: "trace-1".into(),
        trial: false,
        now: 1_800_000_000,
        time_left: None,
        attributes: Vec::new(),
    }
}

pub fn request() -> Request {
    Request {
        kind: RequestKind::Initial,
        profile: "laptops".into(),
        path_suffix: String::new(),
        transaction_id: "42".into(),
        attempt: 1,
        csr: vec![0x30, 0],
        csr_sha256: [7; 32],
        subject: vec![vec![SubjectAttribute { attribute_type: "CN".into(), value: "host".into() }]],
        subject_alternative_names: vec![Name::Dns("host.example".into())],
        key: PublicKey { algorithm: KeyAlgorithm::EcP256, bits: 256, spki_sha256: [8; 32] },
        extended_key_usages: vec!["1.3.6.1.5.5.7.3.2".into()],
        challenge: Some(Secret::new("GOOD")),
        current_certificate: None,
        attestation: None,
        source_address: None,
        attributes: Vec::new(),
    }
}

/// A sandbox of its own for each test, with more room than any budget below, so that what stops a
/// guest is its budget and not the pool.
pub struct Bench {
    pub sandbox: Sandbox,
    pub artefacts: Artefacts,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_calls(8)
    }

    pub fn with_calls(concurrent_calls: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let artefacts = Artefacts::open(&folder.path().join("artefacts")).unwrap();
        let pool = PoolSize {
            concurrent_calls,
            core_instances_per_call: 8,
            memories_per_call: 8,
            tables_per_call: 32,
            ..PoolSize::default()
        };
        Self { sandbox: Sandbox::new(pool).unwrap(), artefacts, _folder: folder }
    }

    pub fn component(&self, bytes: &[u8]) -> Component {
        self.sandbox.component(bytes, &self.artefacts, &Compiler::InThisProcess).unwrap()
    }

    /// Loads a guest with every grant and these budgets.
    pub async fn plugin(&self, guest: &super::guests::Guest, budgets: Budgets) -> Plugin {
        let settings = PluginSettings { grants: all(), budgets, ..PluginSettings::new("p") };
        let component = self.component(&guest.build());
        self.sandbox.load(&component, &settings).await.unwrap()
    }
}

pub fn all() -> Grants {
    Grants { log: true, kv: true, challenges: true, ..Grants::default() }
}

pub fn memory() -> Arc<Memory> {
    Arc::new(Memory::default())
}
