//! The last sweep: everything that CA and ledger hold after a run, each certificate against its
//! approval. It reads files and the CA's journal, so it works while the processes run, after they
//! stopped and after they crashed; it believes none of them.
//!
//! What must hold:
//! a signature has one approval and one ledger entry; a request that reached the CA was signed for,
//! and reached it no more often than its profile allows; a certificate says what was approved, or is
//! known as withheld and ordered revoked; a challenge led to the signature of one request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_config::Config;
use countersign_lab_ca::{CertificateRecord, Origin, RequestRecord, RequestState};
use countersign_ledger::{
    Event, Filter, Outcome, OutcomeKind, RequestKind, Signed, VerifyingKey, Witness,
};
use countersign_profile::{
    Certificate, Csr, Expected, LegacyDigests, Name, Vouched, approve_names, check_issued,
};
use countersign_store::{Owner, open_offline};

use crate::installation::{Installation, WITHOUT_COUNTERSIGNATURE};
use crate::process::PATIENCE;

/// What a sweep found, all of it in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Signatures in the ledger.
    pub signatures: usize,
    /// Certificates that the CA issued for devices, each checked.
    pub certificates: usize,
    /// Of those, how many came from a second submission of identical octets.
    pub surplus: usize,
    /// Of those, how many differ from their approval and were withheld.
    pub withheld: usize,
    /// Signatures whose outcome the ledger does not know (yet).
    pub unsettled: usize,
    /// Messages that `serve` has not delivered (yet).
    pub outbox: usize,
}

/// The ledger, by what it is about.
#[derive(Default)]
struct Book {
    signed: BTreeMap<([u8; 32], u32), Signed>,
    outcomes: BTreeMap<([u8; 32], u32), Outcome>,
    /// SHA-256 of the certificates that were ordered revoked.
    ordered: BTreeSet<[u8; 32]>,
}

impl Installation {
    /// Waits until `serve` has told the others everything: which certificates were delivered.
    ///
    /// # Panics
    /// It does not come to it.
    pub async fn wait_until_told(&self) {
        let started = std::time::Instant::now();
        let database = self.file("serve/serve.db");
        while outbox(&database) != Ok(0) {
            let left = outbox(&database);
            assert!(started.elapsed() < PATIENCE, "untold: {left:?}\n{}", self.logs());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Sweeps.
    ///
    /// # Panics
    /// Anything is not as it must be; with the logs.
    #[must_use]
    #[track_caller]
    pub fn sweep(&self) -> Sweep {
        match self.try_sweep() {
            Ok(sweep) => sweep,
            Err(wrong) => panic!("the sweep found: {wrong}\n{}", self.logs()),
        }
    }

    /// Sweeps.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn try_sweep(&self) -> Result<Sweep, String> {
        self.verify_ledger()?;
        let book = Book::read(&self.file("sign/sign.db"))?;
        let mut sweep = Sweep {
            signatures: book.signed.len(),
            unsettled: book.signed.keys().filter(|key| !book.outcomes.contains_key(*key)).count(),
            outbox: outbox(&self.file("serve/serve.db"))?,
            ..Sweep::default()
        };
        let requests: BTreeMap<u32, RequestRecord> = self
            .ca_requests()
            .into_iter()
            .filter(|request| !is_probe(request))
            // What the CA refused without reading it, it did not keep.
            .filter(|request| {
                !(request.request.is_empty() && matches!(request.state, RequestState::Denied(_)))
            })
            .map(|request| (request.id, request))
            .collect();
        self.check_submissions(&book, &requests)?;
        let certificates = self.ca().certificates().map_err(|error| error.to_string())?;
        let mut seen = BTreeMap::<u32, usize>::new();
        for certificate in &certificates {
            let Origin::Request(id) = certificate.origin else { continue };
            let request = requests.get(&id).ok_or(format!("no request {id} at the CA"))?;
            *seen.entry(id).or_default() += 1;
            sweep.certificates += 1;
            sweep.withheld += usize::from(self.check_certificate(&book, request, certificate)?);
        }
        if seen.values().any(|count| *count > 1) {
            return Err("the CA issued twice for one request".to_owned());
        }
        sweep.surplus = sweep.certificates.saturating_sub(
            certificates
                .iter()
                .filter_map(|certificate| match certificate.origin {
                    Origin::Request(id) => requests.get(&id).map(|request| &request.request),
                    Origin::Role(_) => None,
                })
                .collect::<BTreeSet<_>>()
                .len(),
        );
        check_delivered(&book, &certificates)?;
        Ok(sweep)
    }

    /// The hash chain, and every checkpoint that was written.
    fn verify_ledger(&self) -> Result<(), String> {
        let key =
            countersign_ledger::CheckpointKey::from_file(&self.file("secrets/checkpoint.key"))
                .map_err(|error| error.to_string())?;
        let keys = VerifyingKey::from_pem(&key.verifying_key().to_pem());
        let witness = Witness {
            keys: vec![keys.map_err(|error| error.to_string())?],
            files: vec![self.file("checkpoints/ledger.checkpoints")],
        };
        match countersign_ledger::verify_database(&self.file("sign/sign.db"), Some(&witness)) {
            Ok(_) => Ok(()),
            Err(faults) => Err(format!("the ledger is not sound: {faults:?}")),
        }
    }

    /// Each request at the CA was signed for, and came no more often than its profile allows.
    fn check_submissions(
        &self,
        book: &Book,
        requests: &BTreeMap<u32, RequestRecord>,
    ) -> Result<(), String> {
        let config = Config::load(self.config()).map_err(|problems| format!("{problems:?}"))?;
        let mut submissions = BTreeMap::<[u8; 32], usize>::new();
        let mut challenges = BTreeMap::<String, [u8; 32]>::new();
        for request in requests.values() {
            let csr = csr_of(request)?;
            *submissions.entry(csr.sha256()).or_default() += 1;
            // A renewal may repeat the challenge that its device enrolled with.
            let enrols = book.signed.values().any(|signed| {
                signed.csr_sha256.0 == csr.sha256() && signed.request == RequestKind::Initial
            });
            if let Some(challenge) = csr.challenge().filter(|_| enrols) {
                let first =
                    challenges.entry(challenge.text().to_owned()).or_insert(csr.info_sha256());
                if *first != csr.info_sha256() {
                    return Err("one challenge led to two requests at the CA".to_owned());
                }
            }
        }
        for (csr, count) in submissions {
            let signed: Vec<&Signed> =
                book.signed.values().filter(|signed| signed.csr_sha256.0 == csr).collect();
            let allowed: usize = signed
                .iter()
                .map(|signed| {
                    let profile = config.config.profile.get(signed.profile.as_str());
                    1 + profile.map_or(0, |profile| usize::from(profile.resubmit_unknown))
                })
                .sum();
            if count > allowed {
                return Err(format!(
                    "the CA got the request {} {count} times, {allowed} are accounted for by {} \
                     ledger entries",
                    hex::encode(csr),
                    signed.len()
                ));
            }
        }
        Ok(())
    }

    /// Whether it was withheld; an error if it differs from its approval and was not.
    fn check_certificate(
        &self,
        book: &Book,
        request: &RequestRecord,
        certificate: &CertificateRecord,
    ) -> Result<bool, String> {
        let der = hex::decode(&certificate.certificate).map_err(|error| error.to_string())?;
        let sha256 = sha256(&der);
        let csr = csr_of(request)?;
        let mut why = vec!["no ledger entry".to_owned()];
        for signed in book.signed.values().filter(|signed| signed.csr_sha256.0 == csr.sha256()) {
            match self.compare(&der, &csr, signed) {
                Ok(()) => return Ok(false),
                Err(mismatch) => why.push(mismatch),
            }
        }
        let withheld = book.outcomes.values().any(|outcome| {
            outcome.outcome == OutcomeKind::Withheld
                && outcome.certificate_sha256.map(|digest| digest.0) == Some(sha256)
        });
        match withheld && book.ordered.contains(&sha256) {
            true => Ok(true),
            false => Err(format!(
                "certificate {} of request {} is not what was approved, and not withheld and \
                 ordered revoked: {}",
                certificate.serial,
                request.id,
                why.join("; ")
            )),
        }
    }

    /// Names, key, purposes, validity, issuer, extensions.
    fn compare(&self, der: &[u8], csr: &Csr, signed: &Signed) -> Result<(), String> {
        let loaded = Config::load(self.config()).map_err(|problems| format!("{problems:?}"))?;
        let profile = loaded
            .config
            .profile
            .get(signed.profile.as_str())
            .ok_or_else(|| format!("no profile {}", signed.profile.as_str()))?;
        // Some profiles take SHA-1 from old clients; `host/profile` tests which.
        csr.verify_self_signature(LegacyDigests::Sha1).map_err(|error| error.to_string())?;
        if csr.public_key().spki_sha256() != signed.spki_sha256.0 {
            return Err("the ledger names another key".to_owned());
        }
        let names: Vec<Name> = signed
            .names
            .iter()
            .map(|name| name.as_str().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| "a name in the ledger is none".to_owned())?;
        let approved = approve_names(csr, &[Vouched::Names(names)], &profile.limits)
            .map_err(|refusal| refusal.to_string())?;
        let issuer =
            Certificate::parse(self.ca().certificate_der()).map_err(|error| error.to_string())?;
        let expected = Expected {
            csr,
            approved: &approved,
            limits: &profile.limits,
            issuer: &issuer,
            latest_end: signed.latest_end,
            submitted: signed.approved_at,
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        };
        check_issued(der, &expected).map(|_| ()).map_err(|mismatches| format!("{mismatches:?}"))
    }
}

/// What the ledger calls issued came from the CA, and is one certificate an attempt.
fn check_delivered(book: &Book, certificates: &[CertificateRecord]) -> Result<(), String> {
    let issued: BTreeSet<[u8; 32]> = certificates
        .iter()
        .filter_map(|certificate| hex::decode(&certificate.certificate).ok())
        .map(|der| sha256(&der))
        .collect();
    for (key, outcome) in &book.outcomes {
        if !book.signed.contains_key(key) {
            return Err(format!("an outcome without a signature: {outcome:?}"));
        }
        if outcome.outcome == OutcomeKind::Issued
            && !outcome.certificate_sha256.is_some_and(|digest| issued.contains(&digest.0))
        {
            return Err(format!("the CA did not issue what the ledger says: {outcome:?}"));
        }
    }
    Ok(())
}

impl Book {
    fn read(database: &Path) -> Result<Self, String> {
        let connection = open_offline(database, Owner::Sign).map_err(|error| error.to_string())?;
        let mut book = Self::default();
        let mut from = 0;
        loop {
            let filter = Filter { from, ..Filter::default() };
            let entries = countersign_ledger::entries(&connection, &filter)
                .map_err(|error| error.to_string())?;
            let Some(last) = entries.last() else { return Ok(book) };
            from = last.index + 1;
            for entry in &entries {
                book.take(entry.event().map_err(|error| error.to_string())?)?;
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Signed(signed) => {
                let (enrolment, attempt) = (signed.enrolment.0, signed.attempt);
                if attempt > 1 && !self.outcomes.contains_key(&(enrolment, attempt - 1)) {
                    return Err(format!(
                        "attempt {attempt} was signed before the one before ended"
                    ));
                }
                if self.signed.insert((enrolment, attempt), signed).is_some() {
                    return Err("two signatures of one attempt".to_owned());
                }
            }
            Event::Outcome(outcome) => {
                let key = (outcome.enrolment.0, outcome.attempt);
                if self.outcomes.insert(key, outcome).is_some() {
                    return Err("two outcomes of one attempt".to_owned());
                }
            }
            Event::Order(order) => {
                self.ordered.insert(order.certificate_sha256.0);
            }
            _ => {}
        }
        Ok(())
    }
}

fn outbox(database: &Path) -> Result<usize, String> {
    let connection = open_offline(database, Owner::Serve).map_err(|error| error.to_string())?;
    connection
        .query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, u32>(0))
        .map(|count| count as usize)
        .map_err(|error| error.to_string())
}

fn is_probe(request: &RequestRecord) -> bool {
    match request.state {
        RequestState::Denied(code) => WITHOUT_COUNTERSIGNATURE.contains(&code),
        RequestState::Pending | RequestState::Issued(_) => false,
    }
}

fn csr_of(request: &RequestRecord) -> Result<Csr, String> {
    let der = hex::decode(&request.request).map_err(|error| error.to_string())?;
    Csr::parse(&der).map_err(|error| format!("request {} at the CA: {error}", request.id))
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    let made = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    digest.copy_from_slice(made.as_ref());
    digest
}
