//! `countersign-lab-ca`: the lab CA on the command line.

#[path = "main/agent.rs"]
mod agent;

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use countersign_lab_ca::{Algorithm, LabCa, LabCaError, Options, Origin, RequestState, Role, User};

/// A small certificate authority in AD CS's manners, for demo and tests. Never for production.
#[derive(Parser)]
#[command(version, after_help = EXAMPLE)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "Example:
  countersign-lab-ca init --directory lab --user 'LAB\\ces=secret'
  countersign-lab-ca sign-csr --directory lab --role ea --csr ea.csr --out ea.pem
  countersign-lab-ca serve --directory lab --listen 127.0.0.1:8443
Templates are in lab/settings.json; a serving CA reads them anew for every request.";

#[derive(Subcommand)]
enum Command {
    /// Make a CA in a new directory.
    Init {
        /// Where.
        #[arg(long)]
        directory: PathBuf,
        /// The CA's key.
        #[arg(long, value_enum, default_value = "rsa-2048")]
        algorithm: KeyKind,
        /// The CA's common name.
        #[arg(long)]
        name: Option<String>,
        /// An account of the UsernamePassword service, NAME=PASSWORD; again for more.
        #[arg(long = "user", value_name = "NAME=PASSWORD", value_parser = user)]
        users: Vec<User>,
    },
    /// Serve the enrolment web services over TLS, and the revocation list over HTTP. On loopback.
    Serve {
        /// The CA's directory.
        #[arg(long)]
        directory: PathBuf,
        /// Loopback address and port; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Write the port taken to this file when ready.
        #[arg(long)]
        port_file: Option<PathBuf>,
    },
    /// Issue a certificate of ours from a PKCS#10 (PEM or DER).
    SignCsr {
        /// The CA's directory.
        #[arg(long)]
        directory: PathBuf,
        /// What the certificate is for.
        #[arg(long, value_enum)]
        role: Role,
        /// The request.
        #[arg(long)]
        csr: PathBuf,
        /// Where to write the certificate (PEM); else to standard output.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Approve a pending request.
    Approve {
        /// The CA's directory.
        #[arg(long)]
        directory: PathBuf,
        /// Its number.
        request_id: u32,
    },
    /// Deny a pending request.
    Deny {
        /// The CA's directory.
        #[arg(long)]
        directory: PathBuf,
        /// Its number.
        request_id: u32,
    },
    /// List requests and certificates.
    List {
        /// The CA's directory.
        #[arg(long)]
        directory: PathBuf,
        /// `json` prints one object with `requests` and `certificates`.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Revoke a certificate.
    Revoke {
        /// The CA's directory.
        #[arg(long)]
        directory: PathBuf,
        /// Serial number, hexadecimal.
        serial: String,
        /// CRLReason: 0 unspecified, 1 key compromise, 4 superseded, 5 cessation of operation.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=10))]
        reason: u8,
    },
    /// Pull signed revocation orders, carry them out, say what became of them.
    RevokeAgent(Box<agent::Arguments>),
    /// Print the revocation list (PEM).
    Crl {
        /// The CA's directory.
        #[arg(long)]
        directory: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyKind {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "p-256")]
    P256,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(io::stderr)
        .init();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), LabCaError> {
    match command {
        Command::Init { directory, algorithm, name, users } => {
            init(&directory, algorithm, name, users)
        }
        Command::Serve { directory, listen, port_file } => {
            serve(&directory, listen, port_file.as_deref())
        }
        Command::SignCsr { directory, role, csr, out } => {
            sign_csr(&directory, role, &csr, out.as_deref())
        }
        Command::Approve { directory, request_id } => {
            let certificate = LabCa::open(&directory)?.approve(request_id)?;
            print(&pem("CERTIFICATE", &certificate)?)
        }
        Command::Deny { directory, request_id } => LabCa::open(&directory)?.deny(request_id),
        Command::List { directory, format } => list(&LabCa::open(&directory)?, format),
        Command::Revoke { directory, serial, reason } => {
            LabCa::open(&directory)?.revoke(&serial, reason)
        }
        Command::RevokeAgent(arguments) => agent::run(*arguments),
        Command::Crl { directory } => print(&pem("X509 CRL", &LabCa::open(&directory)?.crl()?)?),
    }
}

fn init(
    directory: &Path,
    algorithm: KeyKind,
    name: Option<String>,
    users: Vec<User>,
) -> Result<(), LabCaError> {
    let mut options = Options {
        algorithm: match algorithm {
            KeyKind::Rsa2048 => Algorithm::Rsa2048,
            KeyKind::Rsa3072 => Algorithm::Rsa3072,
            KeyKind::P256 => Algorithm::P256,
        },
        users,
        ..Options::default()
    };
    if let Some(name) = name {
        options.name = name;
    }
    LabCa::create(directory, options)?;
    print(&format!("{}\n", directory.join("ca.pem").display()))
}

fn serve(directory: &Path, listen: SocketAddr, port_file: Option<&Path>) -> Result<(), LabCaError> {
    let server = |error: io::Error| LabCaError::Server(error.to_string());
    let ca = LabCa::open(directory)?;
    let runtime = tokio::runtime::Runtime::new().map_err(server)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.map_err(server)?;
        let serving = ca.serve(listener).await?;
        print(&format!(
            "client certificate  {}\nuser and password   {}\nrevocation list     {}\n",
            serving.certificate_url(),
            serving.username_password_url(),
            serving.crl_url()
        ))?;
        if let Some(path) = port_file {
            write_whole(path, &serving.address().port().to_string())?;
        }
        until_told_to_stop().await.map_err(server)?;
        serving.shutdown().await;
        Ok(())
    })
}

async fn until_told_to_stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

fn sign_csr(
    directory: &Path,
    role: Role,
    csr: &Path,
    out: Option<&Path>,
) -> Result<(), LabCaError> {
    let bytes = fs::read(csr).map_err(file(csr))?;
    let der = match der::pem::decode_vec(&bytes) {
        Ok(("CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST", der)) => der,
        Ok((label, _)) => {
            return Err(LabCaError::Request(format!("it is PEM of a {label}")));
        }
        Err(_) => bytes,
    };
    let certificate = LabCa::open(directory)?.issue_role_certificate(&der, role)?;
    let text = pem("CERTIFICATE", &certificate)?;
    match out {
        Some(path) => write_whole(path, &text),
        None => print(&text),
    }
}

fn list(ca: &LabCa, format: Format) -> Result<(), LabCaError> {
    let (requests, certificates) = (ca.requests()?, ca.certificates()?);
    let mut text = String::new();
    match format {
        Format::Json => {
            let all = serde_json::json!({ "requests": requests, "certificates": certificates });
            text = format!("{all:#}\n");
        }
        Format::Text => {
            for request in &requests {
                let state = match &request.state {
                    RequestState::Pending => "pending".to_owned(),
                    RequestState::Issued(serial) => format!("issued {serial}"),
                    RequestState::Denied(code) => format!("refused {code:#010x}"),
                };
                text += &format!(
                    "request {:>5}  {:<24} {:<16} {state}\n",
                    request.id, request.template, request.requester
                );
            }
            for certificate in &certificates {
                let origin = match certificate.origin {
                    Origin::Request(id) => format!("request {id}"),
                    Origin::Role(role) => format!("{role:?}"),
                };
                let state = match certificate.revocation {
                    Some(revocation) => format!("revoked (reason {})", revocation.reason),
                    None => "good".to_owned(),
                };
                text += &format!("certificate {}  {origin:<16} {state}\n", certificate.serial);
            }
        }
    }
    print(&text)
}

/// Through a file beside it: whoever waits for the file never reads half of it.
fn write_whole(path: &Path, text: &str) -> Result<(), LabCaError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> LabCaError + '_ {
    move |source| LabCaError::File { path: path.to_owned(), source }
}

fn pem(label: &'static str, der: &[u8]) -> Result<String, LabCaError> {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der)
        .map_err(|error| LabCaError::Asn1(der::Error::from(error)))
}

fn print(text: &str) -> Result<(), LabCaError> {
    io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
        .map_err(file(Path::new("standard output")))
}

fn user(text: &str) -> Result<User, String> {
    let (name, password) = text
        .split_once('=')
        .filter(|(name, password)| !name.is_empty() && !password.is_empty())
        .ok_or("expected NAME=PASSWORD")?;
    Ok(User { name: name.to_owned(), password: Zeroizing::new(password.to_owned()) })
}
