//! Renewals, validated here and nowhere else: that `serve` calls a request a renewal proves nothing.
//!
//! What is checked, of the message as the device sent it: the outer signature by the current
//! certificate, the envelope, that it holds the very PKCS#10 that `serve` asks about; that the
//! profile's CA issued the certificate, that it is current, not on the CA's revocation list, not
//! ordered revoked, that it was delivered for this profile, and that the request asks for its names.
//! Only then a plug-in sees a current certificate, with the flag `host-validated`.
//!
//! # The revocation list
//!
//! This process faces device managements and no CA, so `serve` fetches the list and hands it over.
//! The CA signed it: here its signature, its completeness and its currency are checked again, and a
//! newer list is never given up for an older one. What a stolen `serve` can do is to keep the newest
//! list back until the one that is here ends (nextUpdate); what this host itself ordered revoked does
//! not wait for any list. No current list means no decision, never "not revoked".

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_config::{Config, ProfileSettings};
use countersign_ipc::{Kind, RenewalEvidence, RevocationListPart, VerifyEnrolment};
use countersign_profile::{Certificate, Csr, Renewal, RevocationList};
use countersign_scep::{Bounds, LegacyAlgorithms, Message, RequestData, RequestType};
use countersign_store::rusqlite::{OptionalExtension as _, params};
use countersign_store::{Store, StoreError};

/// A renewal that this process validated. Only [`Renewals::validate`] makes one.
#[derive(Debug)]
pub(crate) struct Validated {
    current: Certificate,
    device_id: Option<String>,
}

impl Validated {
    /// The current certificate.
    pub(crate) fn current(&self) -> &Certificate {
        &self.current
    }

    /// What the MDM called the device when the current certificate was approved.
    pub(crate) fn device_id(&self) -> Option<&str> {
        self.device_id.as_deref()
    }
}

/// Why a renewal is not one, or not now.
#[derive(Debug)]
pub(crate) enum NotValid {
    /// It is none.
    Refused { code: &'static str, detail: String },
    /// `serve` has to send the list first.
    ListNeeded,
    /// It cannot be told now.
    Unavailable(StoreError),
}

/// What renewals are judged by: each authority of a profile that renews, and its list.
#[derive(Debug)]
pub(crate) struct Renewals {
    authorities: BTreeMap<String, Known>,
    bounds: Bounds,
}

#[derive(Debug)]
struct Known {
    issuer: Certificate,
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    newest: Option<Arc<RevocationList>>,
    coming: Option<Coming>,
}

/// A list of which the first parts are here.
#[derive(Debug)]
struct Coming {
    sha256: Vec<u8>,
    length: usize,
    octets: Vec<u8>,
}

impl Renewals {
    /// Reads the issuing certificate of each authority whose profiles renew.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub(crate) fn from_config(config: &Config) -> Result<Self, (String, String)> {
        let mut authorities = BTreeMap::new();
        for profile in config.profile.values().filter(|one| !one.verifiers.renewal.is_empty()) {
            let Some(settings) = config.authority.get(&profile.authority) else { continue };
            let path = &settings.issuing_certificate;
            let wrong = |error: String| (path.display().to_string(), error);
            let octets = fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let read = countersign_keys::RoleCertificate::parse(&octets)
                .map_err(|error| wrong(error.to_string()))?;
            let issuer =
                Certificate::parse(read.der()).map_err(|error| wrong(error.to_string()))?;
            let known = Known { issuer, lists: Mutex::default() };
            authorities.insert(profile.authority.clone(), known);
        }
        let size = config.serve.limits.max_body_bytes as usize;
        Ok(Self { authorities, bounds: Bounds::with_size(size) })
    }

    /// Takes a part of a list. The last part makes it the newest, if it is one.
    ///
    /// # Errors
    /// Why the part was not taken; the list that is here stays.
    pub(crate) fn take(&self, part: RevocationListPart, now: u64) -> Result<(), String> {
        let known = self
            .authorities
            .get(&part.authority)
            .ok_or_else(|| format!("no profile renews at authority `{}`", part.authority))?;
        let length = usize::try_from(part.length)
            .ok()
            .filter(|length| *length <= RevocationList::MAX_OCTETS)
            .ok_or("the list is too large")?;
        let offset = usize::try_from(part.offset).map_err(|_| "the part lies outside the list")?;
        let mut lists = known.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if offset == 0 {
            let is_here = lists
                .newest
                .as_ref()
                .is_some_and(|list| list.sha256()[..] == part.list_sha256.0[..]);
            if is_here {
                return Ok(());
            }
            lists.coming =
                Some(Coming { sha256: part.list_sha256.0.clone(), length, octets: Vec::new() });
        } else if lists.coming.is_none()
            && lists.newest.as_ref().is_some_and(|list| list.sha256()[..] == part.list_sha256.0[..])
        {
            // Two requests bring the same list; the other one has brought it.
            return Ok(());
        }
        let coming = lists
            .coming
            .as_mut()
            .filter(|coming| coming.sha256 == part.list_sha256.0 && coming.length == length)
            .ok_or("parts of another list are coming")?;
        if offset > coming.octets.len() || part.octets.0.len() > length.saturating_sub(offset) {
            return Err("the part does not follow those that came".to_owned());
        }
        coming.octets.truncate(offset);
        coming.octets.extend_from_slice(&part.octets.0);
        if coming.octets.len() < length {
            return Ok(());
        }
        let octets = std::mem::take(&mut coming.octets);
        lists.coming = None;
        let list =
            RevocationList::read(octets, &known.issuer).map_err(|error| error.to_string())?;
        if !list.is_current(now) {
            return Err("the list is not current".to_owned());
        }
        match &lists.newest {
            Some(newest) if newest.this_update() > list.this_update() => {
                return Err("an older list than the one that is here".to_owned());
            }
            _ => {}
        }
        tracing::info!(authority = part.authority, ?list, "revocation list");
        lists.newest = Some(Arc::new(list));
        Ok(())
    }

    /// Validates what `serve` calls a renewal, from the message as it came.
    pub(crate) async fn validate(
        &self,
        asked: &VerifyEnrolment,
        profile: &ProfileSettings,
        csr: &Csr,
        store: &Store,
        now: u64,
    ) -> Result<Validated, NotValid> {
        let (Kind::Renewal, Some(evidence)) = (asked.kind, &asked.renewal) else {
            return Err(refused("renewal-evidence", "a renewal without the message it came in"));
        };
        let known = self
            .authorities
            .get(&profile.authority)
            .filter(|_| !profile.verifiers.renewal.is_empty())
            .ok_or_else(|| refused("renewal-not-served", "the profile has no renewal verifier"))?;
        let current = self.signer_of(asked, evidence, profile, csr)?;
        let list = known.newest(evidence.list_made, now).ok_or(NotValid::ListNeeded)?;
        let rules = Renewal {
            current: &current,
            issuer: &known.issuer,
            revoked: &list,
            csr,
            limits: &profile.limits,
            now,
        };
        rules.judge().map_err(|refusal| refused(refusal.code, refusal.detail))?;
        let device_id = delivered(store, current.sha256(), &asked.profile).await?;
        Ok(Validated { current, device_id })
    }

    /// The certificate that signed the message, which holds the very request that is asked about.
    fn signer_of(
        &self,
        asked: &VerifyEnrolment,
        evidence: &RenewalEvidence,
        profile: &ProfileSettings,
        csr: &Csr,
    ) -> Result<Certificate, NotValid> {
        let wrong = |error: &dyn std::fmt::Display| {
            refused("renewal-message", format!("the message is no good renewal: {error}"))
        };
        let message = Message::parse(&evidence.message.0, &self.bounds).map_err(|e| wrong(&e))?;
        // SHA-1 has a switch of its own here: nothing but this signature speaks for the device
        // (RFC 8894 §7.9).
        let legacy = LegacyAlgorithms {
            sha1_signatures: profile.accept.sha1_renewals,
            triple_des: profile.accept.triple_des,
            single_des: profile.accept.single_des,
            triple_des_replies: false,
        };
        let request = message.verify(&legacy).map_err(|error| wrong(&error))?;
        match request.kind() {
            RequestType::RenewalReq | RequestType::PkcsReq => {}
            other => return Err(wrong(&format!("{other:?} renews nothing"))),
        }
        if request.transaction_id().as_bytes() != asked.transaction_id.0 {
            return Err(wrong(&"it belongs to another transaction"));
        }
        let data = request.open(&evidence.content_key.0).map_err(|error| wrong(&error))?;
        let RequestData::Pkcs10(inside) = data else {
            return Err(wrong(&"it holds no PKCS#10"));
        };
        if inside.der() != csr.der() {
            return Err(wrong(&"it holds another PKCS#10"));
        }
        Certificate::parse(request.signer().der()).map_err(|error| wrong(&error))
    }
}

impl Known {
    /// The list, if it is current and no older than the one that `serve` has.
    fn newest(&self, made: u64, now: u64) -> Option<Arc<RevocationList>> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists
            .newest
            .as_ref()
            .filter(|list| list.is_current(now) && list.this_update() >= made)
            .map(Arc::clone)
    }
}

/// Makes sure that this host delivered the certificate for this profile and did not order it revoked;
/// says which device it was delivered for.
async fn delivered(
    store: &Store,
    certificate_sha256: [u8; 32],
    profile: &str,
) -> Result<Option<String>, NotValid> {
    let found = store
        .read(move |connection| {
            let ordered: Option<String> = connection
                .prepare_cached(
                    "SELECT reason FROM revocation_order
                     WHERE certificate_sha256 = ?1 AND state <> 'withdrawn'",
                )?
                .query_row(params![certificate_sha256], |row| row.get(0))
                .optional()?;
            let approval: Option<(String, Option<String>)> = connection
                .prepare_cached(
                    "SELECT profile, device_id FROM approval
                     WHERE certificate_sha256 = ?1 AND outcome = 'issued'",
                )?
                .query_row(params![certificate_sha256], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok((ordered, approval))
        })
        .await
        .map_err(NotValid::Unavailable)?;
    match found {
        (Some(reason), _) => Err(refused(
            "renewal-ordered-revoked",
            format!("the current certificate was ordered revoked: {reason}"),
        )),
        (None, Some((of, device_id))) if of == profile => Ok(device_id),
        (None, Some((of, _))) => Err(refused(
            "renewal-not-delivered-here",
            format!("the current certificate was delivered for profile `{of}`"),
        )),
        (None, None) => Err(refused(
            "renewal-not-delivered-here",
            "the current certificate was not delivered by this host",
        )),
    }
}

fn refused(code: &'static str, detail: impl Into<String>) -> NotValid {
    NotValid::Refused { code, detail: detail.into() }
}
