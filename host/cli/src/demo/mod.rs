//! `countersign demo`: the main job from nothing, in a throw-away installation on loopback.

pub(crate) mod lab;
mod story;
mod verifier;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use countersign_config::Config;
use countersign_ipc::{AdminReply, AdminRequest, Client, Role};
use serde_json::Value;
use tokio::sync::mpsc;

use self::lab::{Algorithm, Choices, Lab, PROFILE};
use self::story::Story;
use self::verifier::Verifier;
use crate::failure::Failure;
use crate::processes::{LogLine, Process, Three, beside};

/// How long the three processes may take to become ready; the plug-in is compiled in this time.
const START: Duration = Duration::from_secs(120);

const ASK: Duration = Duration::from_secs(10);

/// Make a throw-away CA and installation on loopback, enrol a device through the plug-in
/// one-time-password, show every station, and show a second device refused.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign demo --keep --listen 127.0.0.1:8085")]
pub(crate) struct Arguments {
    /// The component of the plug-in one-time-password; by default beside this program.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// A verifier of your own beside it: a file with its [plugin.NAME] as in the configuration, such as
    /// the `plugin.toml` that `plugin new` writes. Paths in it are relative to it, and its digest is
    /// filled in. It gets a profile of its name. May be given more than once.
    #[arg(long, value_name = "FILE")]
    verifier: Vec<PathBuf>,
    /// Stay up afterwards, and print commands to enrol with.
    #[arg(long)]
    keep: bool,
    /// Where devices connect.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: String,
    /// Keys of EA and CA.
    #[arg(long, value_enum, default_value = "rsa-2048")]
    algorithm: Algorithm,
    /// Where to make the installation; it stays there. By default a folder that is removed.
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
    /// Show the processes' whole logs.
    #[arg(long)]
    logs: bool,
}

/// Tells the whole story.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(error.to_string()))?
        .block_on(demo(arguments))
}

/// A folder that goes away with the demo.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // Throw-away keys of a lab; what cannot be removed stays in the temporary folder.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

async fn demo(arguments: Arguments) -> Result<(), Failure> {
    let story = Story::new(arguments.logs);
    let component = component(arguments.plugin.as_deref())?;
    let (directory, _temporary) = match &arguments.directory {
        Some(directory) => (directory.clone(), Temporary(None)),
        None => {
            let path = temporary()?;
            (path.clone(), Temporary(Some(path)))
        }
    };
    let lab = Lab::new(&directory)?;
    let choices = Choices {
        algorithm: arguments.algorithm,
        listen: arguments.listen.clone(),
        digest: digest(&component)?,
        component,
        verifiers: verifier::read_all(&arguments.verifier)?,
    };

    story.chapter("A throw-away installation");
    lab.make_ca(&choices)?;
    story.fact("CA", &format!("Countersign-Lab-CA ({})", lab.ca_certificate().display()));
    lab.make_keys(&choices)?;
    story.fact("keys", "EA (sign), CEP and REP (serve), each with a certificate of its role");
    story.fact("plug-in", &format!("one-time-password, {}", choices.digest));
    for verifier in &choices.verifiers {
        story.fact("plug-in", &format!("{}, {}", verifier.name, verifier.digest));
    }

    let (log, mut lines) = mpsc::unbounded_channel();
    let ca = start_ca(&lab, &log)?;
    let result = with_ca(&arguments, &story, &lab, &choices, &log, &mut lines).await;
    ca.stop().await;
    if result.is_ok() {
        story.end(&lab, arguments.directory.is_some());
    }
    result
}

async fn with_ca(
    arguments: &Arguments,
    story: &Story,
    lab: &Lab,
    choices: &Choices,
    log: &mpsc::UnboundedSender<LogLine>,
    lines: &mut mpsc::UnboundedReceiver<LogLine>,
) -> Result<(), Failure> {
    let port = ca_port(lab).await?;
    story.fact("lab CA", &format!("https://127.0.0.1:{port}, MS-WSTEP as AD CS speaks it"));
    lab.write_config(choices, port)?;
    let mut three = Three::start(&lab.config(), log)?;
    let told = tokio::select! {
        told = tell(arguments, story, lab, &choices.verifiers, lines) => told,
        ended = three.one_ended() => {
            while let Ok(line) = lines.try_recv() {
                story.log_line(&line);
            }
            Err(Failure::new(format!("{ended}; `--logs` shows why")))
        }
    };
    three.stop().await;
    told
}

/// The story proper, with everything running.
async fn tell(
    arguments: &Arguments,
    story: &Story,
    lab: &Lab,
    verifiers: &[Verifier],
    lines: &mut mpsc::UnboundedReceiver<LogLine>,
) -> Result<(), Failure> {
    let loaded = Config::load(&lab.config()).map_err(Failure::config)?;
    let sockets = &loaded.config.sockets;
    let admin =
        |path: PathBuf| Client::<AdminRequest, AdminReply>::new(&path, Role::Admin, loaded.digest);
    let (serve, verify, sign) =
        (admin(sockets.serve_admin()), admin(sockets.verify_admin()), admin(sockets.sign_admin()));

    story.chapter("Three processes");
    let address = until_ready(story, lines, &serve).await?;
    let url = format!("http://{address}/scep/{PROFILE}");
    story.fact("ready", &url);

    story.chapter("A device enrols");
    let first = Device::new(lab, "device-17", "device-17.example.com");
    let challenge = issue(&verify, &first).await?;
    first.keep_challenge(&challenge)?;
    story.fact(
        "challenge",
        "issued for CN=device-17 and DNS:device-17.example.com, and no other name",
    );
    let enrolled = while_telling(story, lines, first.enrol(&url, "device-17")).await?;
    if !enrolled {
        return Err(Failure::new("the device was refused; `--logs` shows why"));
    }
    first.verify_chain(lab)?;
    story.good("the certificate verifies with the CA's certificate");
    let entries = ledger(&sign, |kind| matches!(kind, "signed" | "outcome")).await?;
    story.ledger(&entries);

    story.chapter("A second device asks for a name that is not its own");
    let second = Device::new(lab, "device-18", "device-18.example.com");
    let challenge = issue(&verify, &second).await?;
    second.keep_challenge(&challenge)?;
    story.fact("challenge", "issued for CN=device-18; the device asks for CN=domain-controller");
    let enrolled = while_telling(story, lines, second.enrol(&url, "domain-controller")).await?;
    if enrolled {
        return Err(Failure::new(
            "the second device must be refused and was not: please report this",
        ));
    }
    story.good("refused; the device was not told why, the ledger was");
    let entries = ledger(&sign, |kind| kind == "denied").await?;
    story.ledger(&entries);

    if arguments.keep {
        // One challenge serves one request, so each of the two clients gets its own.
        let ours = Device::new(lab, "device-19", "device-19.example.com");
        ours.keep_challenge(&issue(&verify, &ours).await?)?;
        let strongswan = Device::new(lab, "device-20", "device-20.example.com");
        let challenge = issue(&verify, &strongswan).await?;
        let program = beside("countersign")?;
        for verifier in verifiers {
            let url = format!("http://{address}/scep/{}", verifier.name);
            story.how_to_try(lab, &verifier.name, &url, &program);
        }
        story.how_to_go_on(lab, &url, &challenge, &program);
        story.relay_until_interrupted(lines).await;
    }
    Ok(())
}

/// A device is another process: our own client, as a stranger would run it.
struct Device {
    name: &'static str,
    dns: &'static str,
    challenge: PathBuf,
    key: PathBuf,
    certificate: PathBuf,
}

impl Device {
    fn new(lab: &Lab, name: &'static str, dns: &'static str) -> Self {
        let file = |ending: &str| lab.file(&format!("{name}.{ending}"));
        Self { name, dns, challenge: file("challenge"), key: file("key"), certificate: file("pem") }
    }

    fn keep_challenge(&self, challenge: &str) -> Result<(), Failure> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.challenge)?;
        Ok(file.write_all(challenge.as_bytes())?)
    }

    /// Runs `countersign enrol`; false if the server refused.
    async fn enrol(&self, url: &str, common_name: &str) -> Result<bool, Failure> {
        let output = tokio::process::Command::new(beside("countersign")?)
            .args(["enrol", url, "--subject", &format!("CN={common_name}")])
            .args(["--san", &format!("DNS:{}", self.dns)])
            .arg("--challenge-file")
            .arg(&self.challenge)
            .arg("--key")
            .arg(&self.key)
            .arg("--cert")
            .arg(&self.certificate)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Ok(true),
            Some(4) => Ok(false),
            _ => Err(Failure::new(format!("countersign enrol failed: {}", said.trim()))),
        }
    }

    fn verify_chain(&self, lab: &Lab) -> Result<(), Failure> {
        use countersign_profile::{Certificate, LegacyDigests};
        let read = |path: &Path| -> Result<Certificate, Failure> {
            let pem = std::fs::read(path)?;
            let (_, der) = der::pem::decode_vec(first_block(&pem))
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            Certificate::parse(&der)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
        };
        read(&self.certificate)?
            .verify_signed_by(&read(&lab.ca_certificate())?, LegacyDigests::Refused)
            .map_err(|error| Failure::new(format!("the certificate of {}: {error}", self.name)))
    }
}

/// The first PEM block of a file that may hold a chain.
fn first_block(pem: &[u8]) -> &[u8] {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let end = pem.windows(END.len()).position(|window| window == END);
    pem.get(..end.map_or(pem.len(), |at| at + END.len())).unwrap_or(pem)
}

/// Does something while telling what the processes say; then tells what is still under way.
async fn while_telling<T>(
    story: &Story,
    lines: &mut mpsc::UnboundedReceiver<LogLine>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            Some(line) = lines.recv() => story.log_line(&line),
        }
    };
    // What was logged before the answer is still in the pipes.
    while let Ok(Some(line)) = tokio::time::timeout(Duration::from_millis(300), lines.recv()).await
    {
        story.log_line(&line);
    }
    done
}

/// Waits for the listener's address and for readiness with every CA proven.
async fn until_ready(
    story: &Story,
    lines: &mut mpsc::UnboundedReceiver<LogLine>,
    serve: &Client<AdminRequest, AdminReply>,
) -> Result<String, Failure> {
    let waiting = async {
        let mut address = None;
        loop {
            while let Ok(Some(line)) =
                tokio::time::timeout(Duration::from_millis(100), lines.recv()).await
            {
                story.log_line(&line);
                if line.process == "serve" && !line.field("listen").is_empty() {
                    address = Some(line.field("listen").to_owned());
                }
            }
            let status = serve.call(&AdminRequest::Status, ASK).await;
            if let (Some(address), Ok(AdminReply::Facts(facts))) = (&address, status) {
                let is = |name: &str| facts.pointer(name).and_then(Value::as_bool);
                if is("/readiness/ready") == Some(true) && is("/readiness/degraded") == Some(false)
                {
                    return address.clone();
                }
            }
        }
    };
    tokio::time::timeout(START, waiting).await.map_err(|_| {
        Failure::new(format!("not ready within {} s; `--logs` shows why", START.as_secs()))
    })
}

async fn issue(
    verify: &Client<AdminRequest, AdminReply>,
    device: &Device,
) -> Result<zeroize::Zeroizing<String>, Failure> {
    let question = AdminRequest::IssueChallenge {
        profile: PROFILE.to_owned(),
        names: vec![format!("CN={}", device.name), format!("DNS:{}", device.dns)],
        device_id: Some(device.name.to_owned()),
        ttl: 3600,
    };
    match verify.call(&question, ASK).await? {
        AdminReply::Challenge { text, .. } => Ok(text),
        AdminReply::Refused { message } => Err(Failure::new(message)),
        AdminReply::Facts(_) | AdminReply::Text(_) => {
            Err(Failure::new("verify gave an answer to another question"))
        }
    }
}

/// Entries of some kinds, oldest first. An outcome comes through the outbox, so there may be a
/// moment to wait.
async fn ledger(
    sign: &Client<AdminRequest, AdminReply>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Value>, Failure> {
    let question = AdminRequest::Ledger { from: 0, limit: 1000, enrolment: None };
    let mut found = Vec::new();
    for _ in 0..50 {
        let AdminReply::Facts(mut facts) = sign.call(&question, ASK).await? else {
            return Err(Failure::new("sign did not show its ledger"));
        };
        let Some(Value::Array(entries)) = facts.get_mut("entries").map(Value::take) else {
            return Err(Failure::new("sign showed a ledger without entries"));
        };
        let kinds = |entry: &Value| entry.get("kind").and_then(Value::as_str).is_some_and(&wanted);
        found = entries.into_iter().filter(kinds).collect();
        let has_outcome = found.iter().any(|entry| {
            matches!(entry.get("kind").and_then(Value::as_str), Some("outcome" | "denied"))
        });
        if has_outcome {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(found)
}

fn start_ca(lab: &Lab, log: &mpsc::UnboundedSender<LogLine>) -> Result<Process, Failure> {
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("{} is not UTF-8", path.display())))
    };
    let (directory, port_file) = (text(&lab.ca())?, text(&lab.port_file())?);
    Process::start(
        "lab-ca",
        &["serve", "--directory", &directory, "--listen", "127.0.0.1:0", "--port-file", &port_file],
        log,
    )
}

async fn ca_port(lab: &Lab) -> Result<u16, Failure> {
    for _ in 0..200 {
        if let Some(port) =
            std::fs::read_to_string(lab.port_file()).ok().and_then(|text| text.trim().parse().ok())
        {
            return Ok(port);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new("the lab CA did not begin to listen within 10 s"))
}

fn component(given: Option<&Path>) -> Result<PathBuf, Failure> {
    const FILE: &str = "countersign_plugin_one_time_password.wasm";
    let program = beside("countersign")?;
    // Installed, it lies beside the program; built, where cargo puts components.
    let installed = program.with_file_name("plugins").join(FILE);
    let path = match (given, program.parent().and_then(Path::parent)) {
        (Some(path), _) => path.to_owned(),
        (None, Some(target)) if !installed.is_file() => {
            target.join("wasm32-wasip2/plugin").join(FILE)
        }
        (None, _) => installed,
    };
    std::path::absolute(&path).ok().filter(|path| path.is_file()).ok_or_else(|| {
        Failure::new(format!(
            "{} is not there; `cargo demo` builds it, or name it with --plugin",
            path.display()
        ))
    })
}

pub(super) fn digest(component: &Path) -> Result<String, Failure> {
    let octets = std::fs::read(component)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &octets);
    Ok(format!("sha256:{}", hex::encode(digest.as_ref())))
}

/// A folder that nobody could have made before us.
fn temporary() -> Result<PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut random = [0_u8; 8];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Failure::new("the system gives no random bytes"))?;
    let path = std::env::temp_dir().join(format!("countersign-demo-{}", hex::encode(random)));
    std::fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}
