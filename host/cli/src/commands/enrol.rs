//! `countersign enrol URL`: the SCEP client, with files and a terminal around it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use countersign_profile::{Attribute, Name};
use countersign_scep::client::{DeviceKey, KeySize};
use countersign_scep::{Certificate, TransactionId};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use crate::admin;
use crate::failure::{Exit, Failure};
use crate::file::{self, Existing};
use crate::output::{self, Format};
use crate::scep_client::{self, Asking, Current, EnrolOptions, Enrolled, KeySource, Polling};
use crate::terminal;

/// Enrol at any SCEP server (RFC 8894): key, request, polls while it is pending, certificate.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign enrol http://127.0.0.1:8085/scep/wifi --subject CN=device-17 \\\n      --challenge-file challenge.txt --key device.key --cert device.pem\n  countersign enrol https://ra.example.com/scep/wifi --roots root.pem --subject CN=device-17 \\\n      --renew --current-cert device.pem --current-key device.key --key new.key --cert new.pem\n  countersign enrol http://127.0.0.1:8085/scep/wifi --use-key device.key --subject CN=device-17 --poll\n  countersign enrol http://127.0.0.1:8085/scep/wifi --use-key device.key --get-cert 5a17\n  countersign enrol http://127.0.0.1:8085/scep/wifi --get-crl ca.crl\n\nExit code 4 if the server refuses, 5 if it does not answer, 1 while it is still pending after all\npolls. The challenge is never taken from the command line or the environment, which others on this\nhost can see."
)]
pub(crate) struct Arguments {
    /// The server: http or https, up to the profile.
    #[arg(value_name = "URL")]
    url: Url,
    /// The subject: CN=device-17, or several attributes with commas: O=Example,CN=device-17.
    #[arg(long, value_name = "NAME", value_parser = subject)]
    subject: Option<Names>,
    /// A subject alternative name: DNS:…, email:…, URI:…, IP:…, UPN:…; repeat it for more.
    #[arg(long = "san", value_name = "NAME", value_parser = san)]
    sans: Vec<Name>,
    /// Read the challenge from this file (its first line); `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt_challenge")]
    challenge_file: Option<PathBuf>,
    /// Ask for the challenge on the terminal.
    #[arg(long)]
    prompt_challenge: bool,
    /// Bits of the new RSA key.
    #[arg(long, value_enum, default_value = "2048")]
    key_size: Size,
    /// Use this key (PKCS#8) and make none: to ask again for a pending request.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_size", "key"])]
    use_key: Option<PathBuf>,
    /// Where the new key goes: PKCS#8 PEM, mode 0600. Written before the request is sent.
    #[arg(long, value_name = "FILE", default_value = "device.key")]
    key: PathBuf,
    /// Where the certificate goes: PEM.
    #[arg(long, value_name = "FILE", default_value = "device.pem")]
    cert: PathBuf,
    /// Where the other certificates of the answer go: PEM.
    #[arg(long, value_name = "FILE")]
    chain: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
    /// SHA-256 of the CA's certificate, as its admin says it; without it nothing vouches for the
    /// server.
    #[arg(long, value_name = "sha256:HEX", value_parser = fingerprint)]
    ca_fingerprint: Option<Fingerprint>,
    /// Roots (PEM) that an https server's certificate must lead to.
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// Renew: sign the request with the current certificate (RenewalReq).
    #[arg(long, requires_all = ["current_cert", "current_key"])]
    renew: bool,
    /// The certificate that is to be renewed; its subject is asked for again if no --subject is given.
    #[arg(long, value_name = "FILE", requires = "renew")]
    current_cert: Option<PathBuf>,
    /// Its key (PKCS#8).
    #[arg(long, value_name = "FILE", requires = "renew")]
    current_key: Option<PathBuf>,
    /// With --renew: send a PKCSReq that the current certificate signs, as Apple's clients do.
    #[arg(long, requires = "renew")]
    by_pkcsreq: bool,
    /// Do not ask anew: poll (CertPoll) what became of an earlier request. It needs the key that
    /// signed it, and its names.
    #[arg(long, conflicts_with_all = ["by_pkcsreq", "get_cert", "get_crl", "challenge_file", "prompt_challenge"])]
    poll: bool,
    /// Fetch a certificate of --use-key that was issued before (GetCert), by its serial number.
    #[arg(long, value_name = "HEX", value_parser = serial, requires = "use_key", conflicts_with_all = ["renew", "get_crl", "challenge_file", "prompt_challenge"])]
    get_cert: Option<Serial>,
    /// Fetch the CA's revocation list (GetCRL) into this file, PEM, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["renew", "challenge_file", "prompt_challenge"])]
    get_crl: Option<PathBuf>,
    /// The transaction ID; by default the hash of the public key.
    #[arg(long, value_name = "TEXT", value_parser = transaction_id)]
    transaction_id: Option<TransactionId>,
    /// Send by GET even if the server takes POST.
    #[arg(long)]
    get: bool,
    /// Read answers under SHA-1, DES and Triple DES, as old servers write them.
    #[arg(long)]
    old_algorithms: bool,
    /// Seconds between two polls of a pending request.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    poll_seconds: u64,
    /// Polls before giving up; 0 ends at the first PENDING.
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    max_polls: u32,
    /// Seconds that one HTTP exchange may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// How to print what came of it; the steps go to standard error.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Size {
    #[value(name = "2048")]
    Rsa2048,
    #[value(name = "3072")]
    Rsa3072,
    #[value(name = "4096")]
    Rsa4096,
}

/// Content octets of a serial number.
#[derive(Debug, Clone)]
struct Serial(Vec<u8>);

/// Several names in one argument; a type of its own, or clap would take `Vec` as repetition.
#[derive(Debug, Clone)]
struct Names(Vec<Name>);

#[derive(Debug, Clone, Copy)]
struct Fingerprint([u8; 32]);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let existing = Existing::from_force(arguments.force);
    if let Some(path) = &arguments.get_crl {
        return fetch_list(arguments, path, existing);
    }
    let makes_key = arguments.use_key.is_none();
    if makes_key {
        existing.check(&arguments.key)?;
    }
    existing.check(&arguments.cert)?;
    if let Some(chain) = &arguments.chain {
        existing.check(chain)?;
    }
    let options = options(arguments)?;
    if makes_key && let KeySource::Existing(key) = &options.key {
        // Before the request: a certificate without its key would be of no use.
        let pem = file::pem("PRIVATE KEY", key.to_pkcs8());
        file::write(&arguments.key, pem.as_bytes(), 0o600, existing)?;
    }
    let enrolled = admin::runtime()?.block_on(scep_client::enrol(options, &mut |step| {
        output::error_line(&format!("  {step}"));
    }))?;
    keep(arguments, &enrolled, existing)
}

/// Only the list is kept: the key that the question was signed with is of no further use.
fn fetch_list(arguments: &Arguments, path: &Path, existing: Existing) -> Result<(), Failure> {
    existing.check(path)?;
    let options = options(arguments)?;
    let list = admin::runtime()?.block_on(scep_client::revocation_list(options, &mut |step| {
        output::error_line(&format!("  {step}"));
    }))?;
    file::write(path, file::pem("X509 CRL", &list).as_bytes(), 0o644, existing)?;
    match arguments.format {
        Format::Text => output::line(&format!(
            "{}: revocation list in {}",
            output::green("fetched"),
            path.display()
        )),
        Format::Json => output::json(&json!({ "crl": path, "octets": list.len() })),
    }
    Ok(())
}

fn asking(arguments: &Arguments) -> Asking {
    match &arguments.get_cert {
        Some(Serial(serial)) => Asking::Certificate(serial.clone()),
        None if arguments.poll => Asking::Poll,
        None if arguments.by_pkcsreq => Asking::RenewalByPkcsReq,
        None => Asking::Request,
    }
}

fn options(arguments: &Arguments) -> Result<EnrolOptions, Failure> {
    let renewal = current(arguments)?;
    let names = names(arguments, renewal.as_ref())?;
    let key = match &arguments.use_key {
        Some(path) => read_key(path)?,
        None => DeviceKey::generate(match arguments.key_size {
            Size::Rsa2048 => KeySize::Rsa2048,
            Size::Rsa3072 => KeySize::Rsa3072,
            Size::Rsa4096 => KeySize::Rsa4096,
        })
        .map_err(|error| Failure::new(error.to_string()))?,
    };
    Ok(EnrolOptions {
        challenge: challenge(arguments)?,
        key: KeySource::Existing(key),
        renewal,
        asking: asking(arguments),
        ca_fingerprint: arguments.ca_fingerprint.map(|fingerprint| fingerprint.0),
        transaction_id: arguments.transaction_id.clone(),
        use_get: arguments.get,
        old_algorithms: arguments.old_algorithms,
        polling: Polling {
            interval: Duration::from_secs(arguments.poll_seconds),
            most: arguments.max_polls,
        },
        roots_pem: arguments.roots.as_deref().map(file::read).transpose()?,
        timeout: Duration::from_secs(arguments.timeout),
        ..EnrolOptions::new(arguments.url.clone(), names)
    })
}

/// What is asked for: the names given, else those of the certificate that is renewed.
fn names(arguments: &Arguments, renewal: Option<&Current>) -> Result<Vec<Name>, Failure> {
    let mut names = arguments.subject.as_ref().map(|names| names.0.clone()).unwrap_or_default();
    names.extend(arguments.sans.iter().cloned());
    if names.is_empty()
        && let Some(current) = renewal
    {
        let unreadable = |error| {
            Failure::new(format!("the current certificate: {error}; give --subject and --san"))
        };
        let certificate = countersign_profile::Certificate::parse(current.certificate.der())
            .map_err(unreadable)?;
        let subject = certificate.subject().map_err(unreadable)?;
        names.extend(subject.attributes().cloned().map(Name::Attribute));
        names.extend(certificate.sans().map_err(unreadable)?.into_iter().map(Name::San));
    }
    if names.is_empty() && (arguments.get_cert.is_some() || arguments.get_crl.is_some()) {
        // Nothing is asked for by name; the self-signed certificate needs one.
        names.push(attribute("CN=SCEP client").map_err(Failure::new)?);
    }
    if names.is_empty() {
        return Err(Failure::of(
            Exit::Usage,
            "nothing to ask for; give --subject CN=device-17, or --san DNS:device-17.example.com",
        ));
    }
    Ok(names)
}

fn current(arguments: &Arguments) -> Result<Option<Current>, Failure> {
    let (Some(certificate), Some(key)) = (&arguments.current_cert, &arguments.current_key) else {
        return Ok(None);
    };
    let ders = file::read_certificates(certificate)?;
    let der = ders.first().map(Vec::as_slice).unwrap_or_default();
    let parsed = Certificate::parse(der)
        .map_err(|error| Failure::new(format!("{}: {error}", certificate.display())))?;
    Ok(Some(Current { certificate: parsed, key: read_key(key)? }))
}

fn read_key(path: &Path) -> Result<DeviceKey, Failure> {
    DeviceKey::from_pkcs8(&file::read_pkcs8(path)?)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn keep(arguments: &Arguments, enrolled: &Enrolled, existing: Existing) -> Result<(), Failure> {
    let certificate = file::pem("CERTIFICATE", &enrolled.certificate_der);
    file::write(&arguments.cert, certificate.as_bytes(), 0o644, existing)?;
    if let Some(path) = &arguments.chain {
        let chain: String = enrolled
            .chain_der
            .iter()
            .map(|der| file::pem("CERTIFICATE", der).to_string())
            .collect();
        file::write(path, chain.as_bytes(), 0o644, existing)?;
    }
    let key = arguments.use_key.as_ref().unwrap_or(&arguments.key);
    match arguments.format {
        Format::Text => output::line(&format!(
            "{}: certificate in {}, key in {}",
            output::green("enrolled"),
            arguments.cert.display(),
            key.display()
        )),
        Format::Json => output::json(&json!({
            "certificate": arguments.cert,
            "key": key,
            "chain": arguments.chain,
            "transaction": enrolled.transaction_id.to_string(),
            "certificates-in-answer": enrolled.chain_der.len() + 1,
            "certificates-of-ca": enrolled.ca_der.len(),
        })),
    }
    Ok(())
}

fn challenge(arguments: &Arguments) -> Result<Option<Zeroizing<String>>, Failure> {
    let text = match &arguments.challenge_file {
        Some(path) => {
            let bytes = Zeroizing::new(file::read(path)?);
            let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let text = std::str::from_utf8(first)
                .map_err(|_| Failure::new(format!("{} is not UTF-8", path.display())))?;
            Zeroizing::new(text.trim_end_matches('\r').to_owned())
        }
        None if arguments.prompt_challenge => {
            terminal::prompt("challenge", "use --challenge-file -")?
        }
        None => return Ok(None),
    };
    if text.is_empty() {
        return Err(Failure::new("the challenge is empty; leave it out to send none"));
    }
    Ok(Some(text))
}

/// Attributes with commas between them; `\,` is a comma inside a value.
fn subject(text: &str) -> Result<Names, String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, parts.last_mut()) {
            ('\\', Some(part)) => part.push(characters.next().ok_or("it ends in a backslash")?),
            (',', _) => parts.push(String::new()),
            (other, Some(part)) => part.push(other),
            (_, None) => {}
        }
    }
    let names = parts.iter().map(|part| attribute(part.trim())).collect::<Result<_, _>>()?;
    Ok(Names(names))
}

fn attribute(text: &str) -> Result<Name, String> {
    match text.parse::<Name>() {
        Ok(name @ Name::Attribute(Attribute { .. })) => Ok(name),
        Ok(Name::San(_)) => Err(format!("`{text}` is no subject attribute; give it by --san")),
        Err(error) => Err(format!("`{text}`: {error}")),
    }
}

fn san(text: &str) -> Result<Name, String> {
    match text.parse::<Name>() {
        Ok(name @ Name::San(_)) => Ok(name),
        Ok(Name::Attribute(_)) => Err("this is a subject attribute; give it by --subject".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let digits: String = text
        .strip_prefix("sha256:")
        .ok_or("expected sha256: and 64 hexadecimal digits")?
        .chars()
        .filter(|character| *character != ':')
        .collect();
    let mut octets = [0; 32];
    hex::decode_to_slice(&digits, &mut octets)
        .map_err(|_| "expected sha256: and 64 hexadecimal digits".to_owned())?;
    Ok(Fingerprint(octets))
}

/// As DER writes a positive integer: `5a17`, with or without zeros and colons.
fn serial(text: &str) -> Result<Serial, String> {
    let digits: String = text.chars().filter(|character| *character != ':').collect();
    let digits = digits.trim_start_matches('0');
    let even =
        if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
    let mut octets =
        hex::decode(&even).map_err(|_| "expected hexadecimal digits, such as 5a17".to_owned())?;
    if octets.is_empty() || octets.len() > 64 {
        return Err("expected 1 to 128 hexadecimal digits".to_owned());
    }
    if octets.first().is_some_and(|first| *first >= 0x80) {
        octets.insert(0, 0);
    }
    Ok(Serial(octets))
}

fn transaction_id(text: &str) -> Result<TransactionId, String> {
    TransactionId::new(text).ok_or_else(|| {
        "expected 1 to 255 characters of PrintableString (letters, digits, ' ()+,-./:=?)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_split_at_commas_that_are_not_escaped() {
        let names = subject("O=Example\\, Inc,CN=device-17").unwrap().0;
        assert_eq!(names, ["O=Example, Inc".parse().unwrap(), "CN=device-17".parse().unwrap()]);
        assert!(subject("DNS:a.example").is_err());
        assert!(subject("").is_err());
        assert!(san("CN=a").is_err());
        assert!(san("DNS:a.example").is_ok());
    }

    #[test]
    fn a_fingerprint_is_taken_with_and_without_colons() {
        let plain = format!("sha256:{}", "0a".repeat(32));
        let colons = format!("sha256:{}", vec!["0A"; 32].join(":"));
        assert_eq!(fingerprint(&plain).unwrap().0, fingerprint(&colons).unwrap().0);
        for wrong in ["", "sha256:", "sha256:0a", &"0a".repeat(32), "sha1:0a"] {
            assert!(fingerprint(wrong).is_err(), "{wrong}");
        }
    }
}
