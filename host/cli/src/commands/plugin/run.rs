//! `countersign plugin run|record|replay`.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use countersign_kit::{Asking, ByHand, Fragment, csr_request, say};
use countersign_profile::Csr;
use countersign_sandbox::rehearsal::Random;
use serde_json::{Map, Value};

use super::failed;
use crate::admin;
use crate::failure::{Exit, Failure};
use crate::file::{self, Existing};
use crate::output::{self, escaped};

/// What is asked, and with which powers.
#[derive(Debug, Args)]
struct Asked {
    /// The component, a .wasm file.
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// A PKCS#10 request, DER or PEM; `openssl req -new` makes one.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "message",
        conflicts_with = "message"
    )]
    csr: Option<PathBuf>,
    /// A recorded SCEP message instead, as `scep open` takes it; opened with --key and --cert.
    #[arg(long, value_name = "FILE", requires = "key")]
    message: Option<PathBuf>,
    /// The recipient's private key (PKCS#8), for --message.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Its certificate.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The plug-in's settings, TOML or JSON; or its [plugin.NAME], which grants hosts, credentials and
    /// secrets as well. Without that it has the log, and challenges and kv in memory.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The profile that is asked at.
    #[arg(long, value_name = "PROFILE", default_value = "devices")]
    profile: String,
    /// A file with the challenge, if it is not the request's own; one line. `-` is standard input.
    #[arg(long, value_name = "FILE")]
    challenge_file: Option<PathBuf>,
    /// The challenge itself: for challenges of tests, as others on this machine can read it.
    #[arg(long, value_name = "TEXT", conflicts_with = "challenge_file")]
    challenge: Option<String>,
    /// Have the host keep that challenge, for this name; may be given more than once.
    #[arg(long, value_name = "NAME")]
    kept_for: Vec<String>,
    /// A first certificate, or another one.
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Kind {
    /// A first certificate.
    #[default]
    Initial,
    /// A renewal, without a certificate that the host validated.
    Renewal,
}

/// Ask a component about one request by hand, and show its verdict, its log and what it sent.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign plugin run inventory.wasm --csr device.csr --settings plugin.toml\n  countersign plugin run inventory.wasm --csr device.csr --challenge OPEN --kept-for CN=device-17\n\nExit code 0 if it approved, 4 if it did not, 1 if it gave no answer."
)]
pub(super) struct Run {
    #[command(flatten)]
    asked: Asked,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: output::Format,
}

/// Ask as `run` does, and keep what the upstream answered as a golden case: challenges, tokens,
/// passwords and cookies are masked. Read it before you check it in.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign plugin record inventory.wasm --csr device.csr --settings plugin.toml --out cases/seen.json"
)]
pub(super) struct Record {
    #[command(flatten)]
    asked: Asked,
    /// The case to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the case shows, as a sentence.
    #[arg(long, value_name = "TEXT", default_value = "Recorded: say here what it shows")]
    summary: String,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

/// Play a golden case on a component, offline, and show what was sent and answered.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign plugin replay inventory.wasm cases/approved.json\n\nExit code 1 if the answer is not the one that the case expects."
)]
pub(super) struct Replay {
    /// The component, a .wasm file.
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// The case.
    #[arg(value_name = "CASE")]
    case: PathBuf,
}

pub(super) fn run(arguments: &Run) -> Result<(), Failure> {
    let (_, _, run) = ask(&arguments.asked, Random::System)?;
    match arguments.format {
        output::Format::Json => output::json(&facts(&run)?),
        output::Format::Text => show(&run),
    }
    match &run.answer {
        Ok(outcome)
            if matches!(outcome.answer, countersign_sandbox::model::Verdict::Approve(_)) =>
        {
            Ok(())
        }
        Ok(_) => Err(Failure::silent(Exit::Refused)),
        Err(_) => Err(Failure::silent(Exit::Failed)),
    }
}

pub(super) fn record(arguments: &Record) -> Result<(), Failure> {
    let existing = Existing::from_force(arguments.force);
    existing.check(&arguments.out)?;
    let (settings, asking, run) = ask(&arguments.asked, Random::counting())?;
    let case = countersign_kit::record(&arguments.summary, &settings, &asking, &run)
        .map_err(|error| failed(&error))?;
    let text = serde_json::to_string_pretty(&case).map_err(|error| failed(&error))?;
    file::write(&arguments.out, format!("{text}\n").as_bytes(), 0o644, existing)?;
    show(&run);
    output::line(&format!(
        "\n{}: written; read it before you check it in",
        arguments.out.display()
    ));
    Ok(())
}

pub(super) fn replay(arguments: &Replay) -> Result<(), Failure> {
    let (played, compared) = admin::runtime()?.block_on(async {
        let workshop = super::open(&arguments.component).await?;
        let (_, played, compared) = countersign_kit::replay(&workshop, &arguments.case)
            .await
            .map_err(|error| Failure::new(format!("{}: {error}", arguments.case.display())))?;
        Ok::<_, Failure>((played, compared))
    })?;
    for sent in &played.sent {
        output::line(&format!("  sent     {} {}", escaped(&sent.method), escaped(&sent.url)));
    }
    output::line(&format!("  verdict  {}", escaped(&say(&played.answer))));
    match compared {
        Ok(()) => {
            output::line(&output::green("as the case says"));
            Ok(())
        }
        Err(wrong) => Err(Failure::new(escaped(&wrong))),
    }
}

fn ask(arguments: &Asked, random: Random) -> Result<(Map<String, Value>, Asking, ByHand), Failure> {
    let csr = read_csr(arguments)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut asking =
        Asking { request: csr_request(&csr, &arguments.profile), now, kept: Vec::new() };
    let challenge = match (&arguments.challenge, &arguments.challenge_file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(path)) => {
            let text = String::from_utf8(file::read(path)?)
                .map_err(|_| Failure::new(format!("{} is no text", path.display())))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => None,
    };
    if let Some(challenge) = &challenge {
        asking.challenge(challenge);
    }
    if arguments.kind == Kind::Renewal {
        asking.as_renewal();
    }
    if !arguments.kept_for.is_empty() {
        let text = asking.request.challenge.as_ref().ok_or_else(|| {
            Failure::of(Exit::Usage, "--kept-for needs a challenge: the request carries none")
        })?;
        asking.kept.push((text.expose().to_owned(), arguments.kept_for.clone()));
    }
    let fragment = match &arguments.settings {
        Some(path) => Fragment::read(path).map_err(|error| failed(&error))?,
        None => Fragment { name: None, settings: Map::new(), plugin: None },
    };
    let run = admin::runtime()?.block_on(async {
        let workshop = super::open(&arguments.component).await?;
        countersign_kit::run(&workshop, &fragment, &asking, random)
            .await
            .map_err(|error| failed(&error))
    })?;
    Ok((fragment.settings, asking, run))
}

fn read_csr(arguments: &Asked) -> Result<Csr, Failure> {
    let (path, der) = match (&arguments.csr, &arguments.message) {
        (Some(path), _) => (path, der_of(path)?),
        (None, Some(path)) => {
            let (Some(key), Some(cert)) = (&arguments.key, &arguments.cert) else {
                return Err(Failure::of(Exit::Usage, "--message needs --key and --cert"));
            };
            (path, crate::commands::scep::csr_of(path, key, cert)?)
        }
        (None, None) => return Err(Failure::of(Exit::Usage, "name a --csr or a --message")),
    };
    Csr::parse(&der).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn der_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = file::read(path)?;
    if bytes.first() == Some(&0x30) {
        return Ok(bytes);
    }
    match der::pem::decode_vec(&bytes) {
        Ok((_, der)) => Ok(der),
        Err(error) => Err(Failure::new(format!(
            "{}: expected a PKCS#10 request, DER or PEM: {error}",
            path.display()
        ))),
    }
}

fn facts(run: &ByHand) -> Result<Value, Failure> {
    let (verdict, log) = match &run.answer {
        Ok(outcome) => {
            let verdict = serde_json::to_value(&outcome.answer).map_err(|error| failed(&error))?;
            (verdict, &outcome.log)
        }
        Err(failure) => (serde_json::json!({ "none": say(&run.answer) }), &failure.log),
    };
    let sent: Vec<Value> = run
        .exchanges
        .iter()
        .map(|(request, answer)| {
            serde_json::json!({
                "method": request.method,
                "url": request.url,
                "status": answer.as_ref().ok().map(|response| response.status),
                "error": answer.as_ref().err().map(ToString::to_string),
            })
        })
        .collect();
    Ok(serde_json::json!({ "verdict": verdict, "log": log, "sent": sent }))
}

fn show(run: &ByHand) {
    let (log, used) = match &run.answer {
        Ok(outcome) => (&outcome.log, outcome.used),
        Err(failure) => (&failure.log, failure.used),
    };
    for (request, answer) in &run.exchanges {
        let came = match answer {
            Ok(response) => format!("{}, {} bytes", response.status, response.body.len()),
            Err(refusal) => refusal.to_string(),
        };
        output::line(&format!(
            "  sent     {} {} → {}",
            escaped(&request.method),
            escaped(&request.url),
            escaped(&came)
        ));
    }
    for line in log {
        output::line(&format!("  log      {}", escaped(&line.message)));
    }
    output::line(&format!("  verdict  {}", output::bold(&escaped(&say(&run.answer)))));
    output::line(&format!(
        "  used     {} ms, {} KiB of memory, fuel {}",
        used.time.as_millis(),
        used.memory_bytes / 1024,
        used.fuel.unwrap_or_default()
    ));
}
