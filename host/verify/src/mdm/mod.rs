//! Where device managements fetch challenges and post events, over TLS and after showing who they are.
//!
//! The host decides who may ask for which profile and how often, before any plug-in runs; the plug-in
//! decides whether there is a challenge. No answer without TLS exists, NTLM and Negotiate are never
//! spoken (row 60), and a credential can do nothing but fetch challenges for its profiles and post
//! events of its plug-ins (row 51).
//!
//! | Module | Is |
//! |---|---|
//! | `listener` | connections: TLS, client certificates, bounds |
//! | `credentials` | who asks: Basic, bearer, client certificate |
//! | `password` | hashed passwords; the same time for users that do not exist |
//! | `throttle` | failed log-ins of a source make it wait |
//! | `quota` | challenges of a credential in an hour, kept over a restart |
//! | `answer` | from a request to an answer: authenticate, permit, count, ask the plug-in |
//! | `event` | what a device management says of devices: stored before it is told so |
//! | `question` | what bodies and queries may say |
//! | `page` | what NDES would show |
//! | `reply` | answers, none of which may be stored |

mod answer;
mod credentials;
mod event;
mod listener;
mod page;
mod password;
mod question;
pub(crate) mod quota;
mod reply;
mod throttle;

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_config::{Config, PageEncoding};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::Semaphore;

use self::credentials::Credentials;
pub(crate) use self::listener::{Listener, certificate_names, certificates};
use self::throttle::Throttle;
use crate::decision::Verifiers;
use crate::start::StartError;

/// Everything that an answer needs.
pub(crate) struct Mdm {
    verifiers: Arc<Verifiers>,
    credentials: Credentials,
    throttle: Throttle,
    /// By path, lower-case and without a slash at its end: NDES's host does not tell case apart.
    pages: BTreeMap<String, Page>,
    longest_ttl: u64,
    in_flight: Arc<Semaphore>,
}

/// A page like NDES's.
struct Page {
    profile: String,
    encoding: PageEncoding,
    require_names: bool,
    /// Of the certificate that the profile's authority issues with.
    thumbprint: String,
}

impl Mdm {
    /// Reads what `[verify.mdm]` names; `None` without that section.
    pub(crate) fn open(
        config: &Config,
        verifiers: &Arc<Verifiers>,
    ) -> Result<Option<Arc<Self>>, StartError> {
        let Some(settings) = &config.verify.mdm else { return Ok(None) };
        let profiles = settings
            .credential
            .values()
            .flat_map(|credential| &credential.profiles)
            .chain(settings.page.values().map(|page| &page.profile));
        for profile in profiles {
            // Who fetches a challenge that nobody can make should hear so now.
            verifiers.issuer(profile).map_err(StartError::of(format!("[profile.{profile}]")))?;
        }
        let mut pages = BTreeMap::new();
        for (path, page) in &settings.page {
            let opened = Page {
                profile: page.profile.clone(),
                encoding: page.encoding,
                require_names: page.require_names,
                thumbprint: thumbprint(config, &page.profile)?,
            };
            pages.insert(page_key(path), opened);
        }
        Ok(Some(Arc::new(Self {
            verifiers: Arc::clone(verifiers),
            credentials: Credentials::open(settings)?,
            throttle: Throttle::new(settings.limits.failed_log_ins),
            pages,
            longest_ttl: settings.longest_ttl_seconds.into(),
            in_flight: Arc::new(Semaphore::new(settings.limits.max_in_flight as usize)),
        })))
    }
}

/// `/certsrv/mscep_admin`, `/CertSrv/mscep_admin/` and `/certsrv/mscep_admin/mscep.dll` are one page.
fn page_key(path: &str) -> String {
    let path = path.to_ascii_lowercase();
    let path = path.strip_suffix("/mscep.dll").unwrap_or(&path);
    path.trim_end_matches('/').to_owned()
}

/// SHA-256, upper-case in groups of eight, as NDES groups its own. Nobody's parser reads it; a person
/// who does should not be given MD5.
fn thumbprint(config: &Config, profile: &str) -> Result<String, StartError> {
    let authority = config
        .profile
        .get(profile)
        .and_then(|settings| config.authority.get(&settings.authority))
        .ok_or_else(|| StartError::Unusable {
            what: format!("[profile.{profile}]"),
            why: "its authority is not in the config".into(),
        })?;
    let path = &authority.issuing_certificate;
    let der = CertificateDer::from_pem_file(path).map_err(StartError::of(path.display()))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    let groups: Vec<String> = digest.as_ref().chunks(4).map(hex::encode_upper).collect();
    Ok(groups.join(" "))
}
