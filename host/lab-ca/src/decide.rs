//! The policy: what becomes of a submission, and under which code it is refused.

use std::borrow::Cow;
use std::time::SystemTime;

use countersign_profile::KeyAlgorithm;
use der::asn1::OctetString;
use x509_cert::ext::Extension;

use crate::certificate::{self, Issued, Issuer, KeyUse, Subject};
use crate::countersigned::{self, Submitted};
use crate::directory::{Locked, Options};
use crate::error::LabCaError;
use crate::key::{Algorithm, CaKey};
use crate::request::Request;
use crate::state::{CertificateRecord, Entry, Origin, RequestRecord, RequestState};
use crate::template::{Misbehaviour, Template};
use crate::{LabCa, unix};

/// Why the CA refuses: AD CS's code, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HRESULT.
    pub hresult: u32,
    /// What the CA says; English only, sometimes empty as AD CS's is.
    pub text: Cow<'static, str>,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Issued { id: u32, certificate: Vec<u8> },
    Pending { id: u32 },
    Refused { id: Option<u32>, refusal: Refusal },
}

impl Refusal {
    pub(crate) const BAD_SUBJECT: Self =
        Self::new(0x8009_4001, "The request subject name is invalid or too long.");
    pub(crate) const NO_SUCH_REQUEST: Self =
        Self::new(0x8009_4004, "The requested property value is empty.");
    pub(crate) const RESTRICTED_OFFICER: Self = Self::new(0x8009_4009, "");
    pub(crate) const TEMPLATE_DENIED: Self = Self::new(
        0x8009_4012,
        "The permissions on the certificate template do not allow the current user to enroll for this type of certificate.",
    );
    pub(crate) const ADMIN_DENIED: Self = Self::new(
        0x8009_4014,
        "The request was denied by a certificate manager or CA administrator.",
    );
    pub(crate) const WEAK: Self =
        Self::new(0x8009_4016, "The request contains a weak signature or key.");
    pub(crate) const UNSUPPORTED_TEMPLATE: Self =
        Self::new(0x8009_4800, "The requested certificate template is not supported by this CA.");
    pub(crate) const NO_TEMPLATE: Self =
        Self::new(0x8009_4801, "The request contains no certificate template information.");
    pub(crate) const TEMPLATE_CONFLICT: Self =
        Self::new(0x8009_4802, "The request contains conflicting template information.");
    pub(crate) const SIGNATURE_POLICY_REQUIRED: Self =
        Self::new(0x8009_4809, "The request is missing required signature policy information.");
    pub(crate) const SIGNATURE_COUNT: Self =
        Self::new(0x8009_480A, "The request is missing one or more required signatures.");
    pub(crate) const SIGNATURE_REJECTED: Self = Self::new(
        0x8009_480B,
        "One or more signatures did not include the required application or issuance policies.",
    );
    pub(crate) const KEY_LENGTH: Self = Self::new(
        0x8009_4811,
        "The public key does not meet the minimum size required by the specified certificate template.",
    );
    pub(crate) const TOO_MANY_SIGNATURES: Self =
        Self::new(0x8009_4815, "The request includes more signatures than are permitted.");
    pub(crate) const BAD_SIGNATURE: Self = Self::new(0x8009_0006, "Invalid Signature.");
    pub(crate) const BAD_KEY: Self = Self::new(0x8009_0003, "Bad Key.");
    pub(crate) const HASH_VALUE: Self = Self::new(0x8009_1007, "The hash value is not correct.");
    pub(crate) const SIGNER_NOT_FOUND: Self =
        Self::new(0x8009_100E, "Cannot find the original signer.");
    pub(crate) const REVOKED: Self = Self::new(0x8009_2010, "The certificate is revoked.");
    pub(crate) const UNDECODABLE: Self = Self::new(0x8009_310B, "ASN1 bad tag value met.");
    pub(crate) const EXPIRED: Self =
        Self::new(0x800B_0101, "A required certificate is not within its validity period.");
    pub(crate) const UNTRUSTED_ROOT: Self = Self::new(
        0x800B_0109,
        "A certificate chain processed, but terminated in a root certificate which is not trusted by the trust provider.",
    );
    pub(crate) const ACCESS_DENIED: Self = Self::new(0x8007_0005, "Access is denied.");

    const fn new(hresult: u32, text: &'static str) -> Self {
        Self { hresult, text: Cow::Borrowed(text) }
    }

    /// The same code with the reason beside AD CS's own words: a lab helps where AD CS is terse.
    pub(crate) fn saying(mut self, why: impl std::fmt::Display) -> Self {
        self.text = Cow::Owned(format!("{} ({why})", self.text));
        self
    }
}

impl LabCa {
    /// Decides on one submission. What is wrong with the request is in the decision; an error is the
    /// CA's own.
    pub(crate) fn decide(
        &self,
        submitted: &[u8],
        template: Option<&str>,
        requester: &str,
        misbehaving: &[Misbehaviour],
    ) -> Result<Decision, LabCaError> {
        let settings = self.0.directory.settings()?;
        let mut locked = self.0.directory.lock()?;
        let id = locked.state().next_request();
        let judged = self.judge(submitted, template, requester, misbehaving, &settings, &locked);
        let state = match &judged {
            Ok(_) => RequestState::Pending,
            Err(refusal) => RequestState::Denied(refusal.hresult),
        };
        let received = locked.note(Entry::Received(RequestRecord {
            id,
            template: template.unwrap_or_default().to_owned(),
            requester: requester.to_owned(),
            received: unix(SystemTime::now()),
            request: judged.as_ref().map(|judged| hex::encode(&judged.request)).unwrap_or_default(),
            state,
        }))?;
        let Judged { request, template } = match judged {
            Ok(judged) => judged,
            Err(refusal) => {
                drop(locked);
                self.0.directory.make_durable(received)?;
                let id = Some(id);
                return Ok(Decision::Refused { id, refusal });
            }
        };
        if template.pending {
            drop(locked);
            self.0.directory.make_durable(received)?;
            return Ok(Decision::Pending { id });
        }
        let certificate = self.issue(id, &request, &template, requester, misbehaving, locked)?;
        Ok(Decision::Issued { id, certificate })
    }

    /// MS-WSTEP QueryTokenStatus.
    pub(crate) fn query(&self, id: u32, requester: &str) -> Result<Decision, LabCaError> {
        let locked = self.0.directory.lock()?;
        let refused = |refusal| Decision::Refused { id: Some(id), refusal };
        let Some(request) = locked.state().requests.get(&id) else {
            return Ok(refused(Refusal::NO_SUCH_REQUEST));
        };
        if request.requester != requester {
            return Ok(refused(Refusal::ACCESS_DENIED));
        }
        Ok(match &request.state {
            RequestState::Pending => Decision::Pending { id },
            RequestState::Issued(serial) => {
                let certificate = locked
                    .state()
                    .certificates
                    .get(serial)
                    .and_then(|record| hex::decode(&record.certificate).ok())
                    .ok_or_else(|| LabCaError::NotFound(format!("certificate {serial}")))?;
                Decision::Issued { id, certificate }
            }
            RequestState::Denied(hresult) => {
                refused(Refusal { hresult: *hresult, text: Refusal::ADMIN_DENIED.text })
            }
        })
    }

    /// Everything that can be refused.
    fn judge(
        &self,
        submitted: &[u8],
        template: Option<&str>,
        requester: &str,
        misbehaving: &[Misbehaviour],
        settings: &Options,
        locked: &Locked<'_>,
    ) -> Result<Judged, Refusal> {
        if let Some(hresult) = misbehaving.iter().find_map(|what| match what {
            Misbehaviour::Refuse { hresult } => Some(*hresult),
            _ => None,
        }) {
            return Err(Refusal::new(hresult, ""));
        }
        let name = template.ok_or(Refusal::NO_TEMPLATE)?;
        let template = settings
            .templates
            .iter()
            .find(|template| template.name.eq_ignore_ascii_case(name))
            .ok_or(Refusal::UNSUPPORTED_TEMPLATE)?;
        if !template.enrollers.is_empty() && !template.enrollers.iter().any(|may| may == requester)
        {
            return Err(Refusal::TEMPLATE_DENIED);
        }
        let accepts_all = misbehaving.contains(&Misbehaviour::AcceptUncountersigned);
        let request = match countersigned::look(submitted)? {
            Submitted::Bare if template.authorised_signatures == 0 || accepts_all => {
                submitted.to_vec()
            }
            Submitted::Bare => {
                // What cannot be read is no request at all; AD CS decodes before it applies policy.
                Request::read(submitted)?;
                return Err(Refusal::SIGNATURE_POLICY_REQUIRED);
            }
            Submitted::Countersigned(signed) => {
                countersigned::verify(&signed, template, &self.0.issuer, locked.state())?
            }
        };
        check_limits(&Request::read(&request)?, template)?;
        Ok(Judged { request, template: template.clone() })
    }

    /// Makes the certificate for a judged request and notes it, durably.
    pub(crate) fn issue(
        &self,
        id: u32,
        request: &[u8],
        template: &Template,
        requester: &str,
        misbehaving: &[Misbehaviour],
        mut locked: Locked<'_>,
    ) -> Result<Vec<u8>, LabCaError> {
        let settings = self.0.directory.settings()?;
        let request = Request::read(request)
            .map_err(|refusal| LabCaError::Request(refusal.text.into_owned()))?;
        let publication = settings.publication.as_deref();
        let issued =
            certify(&self.0.issuer, &request, template, requester, misbehaving, publication)?;
        let noted = locked.note(Entry::Issued(CertificateRecord {
            serial: issued.serial,
            certificate: hex::encode(&issued.der),
            origin: Origin::Request(id),
            revocation: None,
        }))?;
        drop(locked);
        self.0.directory.make_durable(noted)?;
        Ok(issued.der)
    }
}

struct Judged {
    request: Vec<u8>,
    template: Template,
}

fn check_limits(request: &Request, template: &Template) -> Result<(), Refusal> {
    if let Some(named) = &request.template
        && !named.eq_ignore_ascii_case(&template.name)
    {
        return Err(Refusal::TEMPLATE_CONFLICT);
    }
    match request.key.algorithm() {
        KeyAlgorithm::Rsa { bits } if bits >= template.minimum_rsa_bits => {}
        KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 | KeyAlgorithm::EcP521
            if template.elliptic_curves => {}
        other => return Err(Refusal::KEY_LENGTH.saying(other)),
    }
    if template.subject_in_request
        && request.has_empty_subject()
        && request.subject_alt_name.is_none()
    {
        return Err(Refusal::BAD_SUBJECT);
    }
    Ok(())
}

/// The certificate that the template makes of the request, then bent as told.
fn certify(
    issuer: &Issuer,
    request: &Request,
    template: &Template,
    requester: &str,
    misbehaving: &[Misbehaviour],
    publication: Option<&str>,
) -> Result<Issued, LabCaError> {
    let (not_before, not_after) = certificate::validity(template.validity_days);
    let (name, subject_alt_name) = if template.subject_in_request {
        (request.subject.clone(), request.subject_alt_name.clone())
    } else {
        (certificate::name(requester)?, None)
    };
    let mut spki = request.spki.clone();
    let mut subject = Subject {
        name,
        spki: &[],
        key_use: match request.key.algorithm() {
            KeyAlgorithm::Rsa { .. } => KeyUse::SignAndEncipher,
            _ => KeyUse::Sign,
        },
        extended_key_usages: template.extended_key_usages.clone(),
        subject_alt_name,
        not_before,
        not_after,
        template: Some(template.oid.clone()),
        more_extensions: Vec::new(),
        publication,
    };
    let mut other_issuer = None;
    for what in misbehaving {
        match what {
            Misbehaviour::OtherSan { dns } => {
                subject.subject_alt_name = Some(certificate::dns_name(dns)?);
            }
            Misbehaviour::OtherSubject { common_name } => {
                subject.name = certificate::name(common_name)?;
            }
            Misbehaviour::ExtraEku { oid } => subject.extended_key_usages.push(oid.clone()),
            Misbehaviour::EndsIn { seconds } => {
                subject.not_after =
                    std::time::SystemTime::now() + std::time::Duration::from_secs(*seconds);
            }
            Misbehaviour::OtherValidity { days } => {
                subject.not_after = certificate::validity(*days).1;
            }
            Misbehaviour::OtherKey => spki = CaKey::generate(Algorithm::P256)?.spki()?,
            Misbehaviour::CertificateAuthority => subject.key_use = KeyUse::CertificateAuthority,
            Misbehaviour::ExtraExtension { oid, value, critical } => {
                let value = hex::decode(value)
                    .map_err(|error| LabCaError::Request(format!("{oid}: {error}")))?;
                subject.more_extensions.push(Extension {
                    extn_id: certificate::oid(oid)?,
                    critical: *critical,
                    extn_value: OctetString::new(value)?,
                });
            }
            Misbehaviour::OtherIssuer => {
                let key = CaKey::generate(Algorithm::P256)?;
                let valid_for = std::time::Duration::from_secs(3650 * 24 * 60 * 60);
                other_issuer = Some(Issuer::self_signed("Somebody else's CA", key, valid_for)?);
            }
            _ => {}
        }
    }
    subject.spki = &spki;
    other_issuer.as_ref().unwrap_or(issuer).issue(subject)
}
