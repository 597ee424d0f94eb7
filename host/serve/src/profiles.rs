//! Authorities and profiles: from the config to what the way of a request needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_authority::{Authentication, Authority, Wstep, WstepConfig, is_this_host};
use countersign_config::{
    Authentication as AuthenticationSettings, AuthorityKind, AuthoritySettings, Config, Finding,
    Mode, ProfileSettings, Severity,
};
use countersign_enrol::Profile;
use countersign_profile::{Boundary, Certificate, NameConstraints};
use countersign_scep::{LegacyAlgorithms, NextCa};
use zeroize::Zeroizing;

use crate::start::StartError;
use crate::state::now;

/// Requests of one profile that may wait for a verifier.
const WAITING_QUOTA: u32 = 1000;

/// One authority, ready to be asked.
#[derive(Clone)]
pub(crate) struct KnownAuthority {
    pub(crate) connector: Arc<dyn Authority>,
    pub(crate) issuing: Certificate,
    pub(crate) chain: Vec<Certificate>,
    pub(crate) next_ca: Option<Arc<[u8]>>,
}

/// Reads the files of each authority; connects to none.
pub(crate) fn authorities(config: &Config) -> Result<BTreeMap<String, KnownAuthority>, StartError> {
    config
        .authority
        .iter()
        .map(|(name, settings)| Ok((name.clone(), authority(name, settings)?)))
        .collect()
}

fn authority(name: &str, settings: &AuthoritySettings) -> Result<KnownAuthority, StartError> {
    let about = || format!("authority `{name}`");
    let read = |path: &Path| std::fs::read(path).map_err(StartError::of(path.display()));
    let authentication = match &settings.authentication {
        AuthenticationSettings::ClientCertificate(client) => Authentication::ClientCertificate {
            chain_pem: read(&client.certificate)?,
            key_pem: client.key.read().map_err(StartError::of(about()))?,
        },
        AuthenticationSettings::UsernameToken(user) => {
            let password = user.password.read().map_err(StartError::of(about()))?;
            let text = std::str::from_utf8(&password)
                .map_err(StartError::of(format!("the password of {}", about())))?;
            Authentication::UsernameToken {
                username: user.username.clone(),
                password: Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()),
            }
        }
    };
    let AuthorityKind::Wstep = settings.kind;
    let chain_pem = read(&settings.chain)?;
    let connector = Wstep::new(WstepConfig {
        url: settings.url.to_string(),
        roots_pem: read(&settings.roots)?,
        authentication,
        timeout: Duration::from_secs(settings.timeout_seconds.into()),
        chain_pem,
        crl_url: settings.crl_url.clone(),
    })
    .map_err(StartError::of(about()))?;
    let issuing = certificates(&settings.issuing_certificate)?
        .into_iter()
        .next()
        .ok_or_else(|| StartError::new(about(), "the issuing certificate's file is empty"))?;
    let chain = connector
        .chain()
        .iter()
        .map(|der| Certificate::parse(der).map_err(StartError::of(settings.chain.display())))
        .collect::<Result<_, _>>()?;
    let next_ca = settings.next_ca.as_deref().map(|path| next_ca(path, &issuing)).transpose()?;
    Ok(KnownAuthority { connector: Arc::new(connector), issuing, chain, next_ca })
}

/// What the CA says about its next certificates: signed by the certificate that issues now, and none
/// of it over already. Devices would take anything else for an attack, or take it.
fn next_ca(path: &Path, issuing: &Certificate) -> Result<Arc<[u8]>, StartError> {
    let wrong = StartError::of::<String>(path.display());
    let octets = std::fs::read(path).map_err(StartError::of(path.display()))?;
    let current = countersign_scep::Certificate::parse(issuing.der())
        .map_err(StartError::of(path.display()))?;
    let next = NextCa::read(&octets, &current).map_err(|error| {
        wrong(format!("{error}; have the CA's admin sign the next certificates again"))
    })?;
    for certificate in next.certificates() {
        let certificate =
            Certificate::parse(certificate.der()).map_err(StartError::of(path.display()))?;
        if certificate.not_after() <= now() {
            return Err(wrong(format!(
                "certificate {} among the next ones has ended; remove `next-ca` or give new ones",
                certificate.serial_hex()
            )));
        }
        if certificate.sha256() == issuing.sha256() {
            return Err(wrong("it names the current certificate as the next".to_owned()));
        }
    }
    Ok(octets.into())
}

/// Row 35: outside lab mode the CA must not be on this host.
pub(crate) async fn authorities_on_this_host(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.mode == Mode::Lab {
        return findings;
    }
    for (name, settings) in &config.authority {
        match is_this_host(settings.url.url().as_str()).await {
            Ok(false) => {}
            Ok(true) => findings.push(Finding {
                row: Some(35),
                severity: Severity::Critical,
                id: "authority-on-this-host",
                message: format!("the authority `{name}` ({}) is on this host", settings.url),
                remedy: "run Countersign on a host of its own, away from the CA".into(),
            }),
            Err(error) => tracing::warn!(authority = name, %error,
                "whether the authority is on this host is not known yet"),
        }
    }
    findings
}

/// Every profile by name.
pub(crate) fn profiles(
    config: &Config,
    authorities: &BTreeMap<String, KnownAuthority>,
    own_keys: &[[u8; 32]],
) -> Result<BTreeMap<String, Arc<Profile>>, StartError> {
    config
        .profile
        .iter()
        .map(|(name, settings)| {
            let authority = authorities.get(&settings.authority).ok_or_else(|| {
                StartError::new(
                    format!("profile `{name}`"),
                    format!("there is no authority `{}`", settings.authority),
                )
            })?;
            Ok((name.clone(), Arc::new(profile(name, settings, authority, own_keys)?)))
        })
        .collect()
}

fn profile(
    name: &str,
    settings: &ProfileSettings,
    authority: &KnownAuthority,
    own_keys: &[[u8; 32]],
) -> Result<Profile, StartError> {
    let about = || format!("profile `{name}`");
    let mut own_keys = own_keys.to_vec();
    for certificate in authority.chain.iter().chain([&authority.issuing]) {
        let key = certificate.public_key().map_err(StartError::of(about()))?;
        own_keys.push(key.spki_sha256());
    }
    let name_constraints = NameConstraints::from_certificates(&authority.chain)
        .map_err(StartError::of(format!("the name constraints of the CA of {}", about())))?;
    Ok(Profile {
        name: name.to_owned(),
        limits: settings.limits.clone(),
        boundary: Boundary { own_keys, name_constraints },
        authority_name: settings.authority.clone(),
        authority: Arc::clone(&authority.connector),
        template: settings.template.clone(),
        issuing_certificate: authority.issuing.clone(),
        ca_certificates: in_scep(&authority.chain, |_| true)?,
        next_ca: authority.next_ca.clone(),
        reply_chain: reply_chain(settings, &authority.chain)?,
        renews: !settings.verifiers.renewal.is_empty(),
        legacy: LegacyAlgorithms {
            sha1_signatures: settings.accept.sha1_signatures,
            triple_des: settings.accept.triple_des,
            single_des: settings.accept.single_des,
            triple_des_replies: settings.accept.triple_des_replies,
        },
        sha1_renewals: settings.accept.sha1_renewals,
        patience: u64::from(settings.pending_days) * 86_400,
        most_submissions: 1 + u32::from(settings.resubmit_unknown),
        waiting_quota: WAITING_QUOTA,
    })
}

/// What goes into SUCCESS behind the issued certificate. The root inside has broken some clients
/// and helped others, so it is the profile's choice.
fn reply_chain(
    settings: &ProfileSettings,
    chain: &[Certificate],
) -> Result<Vec<countersign_scep::Certificate>, StartError> {
    in_scep(chain, |certificate| {
        let is_root = certificate.subject_der() == certificate.issuer_der();
        if is_root { settings.root_in_reply } else { settings.chain_in_reply }
    })
}

fn in_scep(
    chain: &[Certificate],
    wanted: impl Fn(&Certificate) -> bool,
) -> Result<Vec<countersign_scep::Certificate>, StartError> {
    chain
        .iter()
        .filter(|certificate| wanted(certificate))
        .map(|certificate| {
            countersign_scep::Certificate::parse(certificate.der())
                .map_err(StartError::of("the chain of an authority"))
        })
        .collect()
}

/// The certificates of a PEM or DER file.
fn certificates(path: &Path) -> Result<Vec<Certificate>, StartError> {
    let octets = std::fs::read(path).map_err(StartError::of(path.display()))?;
    if octets.first() == Some(&0x30) {
        let certificate = Certificate::parse(&octets).map_err(StartError::of(path.display()))?;
        return Ok(vec![certificate]);
    }
    rustls_pki_types::pem::PemObject::pem_slice_iter(&octets)
        .map(|der: Result<rustls_pki_types::CertificateDer<'_>, _>| {
            let der = der.map_err(StartError::of(path.display()))?;
            Certificate::parse(&der).map_err(StartError::of(path.display()))
        })
        .collect()
}
