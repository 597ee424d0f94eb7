//! `countersign scep open`: what a recorded SCEP message holds.

mod opened;
mod render;
mod source;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_scep::Certificate;
use countersign_scep::client::DeviceKey;

use crate::failure::{Exit, Failure};
use crate::file;
use crate::output::{self, Format};

/// Recorded SCEP messages.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Open(Open),
}

/// Show what a recorded message holds, and whether its signatures and its envelope are good.
/// Works offline; the algorithms of old clients are read, and named.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign scep open request.der --key cep.key --cert cep.pem\n  countersign scep open reply.der --key device.key --cert device.pem --format json\n\nOf a request the key is the CEP key; of a CertRep it is the key of the certificate that signed the\nrequest. Exit code 1 if a signature is not good, or if a key was given and the envelope does not open."
)]
struct Open {
    /// The message: DER, base64, or the URL or query of a GET; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The recipient's private key (PKCS#8), to open the envelope with.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Its certificate: a message names its recipients by their certificates.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Print the challenge itself, and not only that there is one.
    #[arg(long)]
    show_challenge: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What opens an envelope.
struct Recipient {
    key: DeviceKey,
    certificate: Certificate,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Command::Open(open) = arguments.command;
    let message = source::message(&file::read(&open.file)?)
        .map_err(|problem| Failure::new(format!("{}: {problem}", open.file.display())))?;
    let recipient = recipient(&open)?;
    let opened = opened::look(&message, recipient.as_ref(), open.show_challenge)
        .map_err(|error| Failure::new(format!("{}: {error}", open.file.display())))?;
    match open.format {
        Format::Json => output::json(&serde_json::to_value(&opened).map_err(|error| {
            Failure::new(format!("the message cannot be written as JSON: {error}"))
        })?),
        Format::Text => render::show(&opened),
    }
    if opened.is_good() { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// The PKCS#10 inside a recorded request.
pub(crate) fn csr_of(message: &Path, key: &Path, cert: &Path) -> Result<Vec<u8>, Failure> {
    let open = Open {
        file: message.to_owned(),
        key: Some(key.to_owned()),
        cert: Some(cert.to_owned()),
        show_challenge: false,
        format: Format::Text,
    };
    let octets = source::message(&file::read(message)?)
        .map_err(|problem| Failure::new(format!("{}: {problem}", message.display())))?;
    let Some(recipient) = recipient(&open)? else {
        return Err(Failure::new("no key was given"));
    };
    opened::csr(&octets, &recipient)
        .map_err(|problem| Failure::new(format!("{}: {problem}", message.display())))
}

fn recipient(open: &Open) -> Result<Option<Recipient>, Failure> {
    let (Some(key), Some(certificate)) = (&open.key, &open.cert) else {
        return Ok(None);
    };
    let der = file::read_certificates(certificate)?;
    let parsed = Certificate::parse(der.first().map(Vec::as_slice).unwrap_or_default())
        .map_err(|error| Failure::new(format!("{}: {error}", certificate.display())))?;
    let device_key = DeviceKey::from_pkcs8(&file::read_pkcs8(key)?)
        .map_err(|error| Failure::new(format!("{}: {error}", key.display())))?;
    if device_key.spki_der() != parsed.spki_der() {
        return Err(Failure::new(format!(
            "{} is not for {}: give the key and the certificate of one pair",
            certificate.display(),
            key.display()
        )));
    }
    Ok(Some(Recipient { key: device_key, certificate: parsed }))
}
