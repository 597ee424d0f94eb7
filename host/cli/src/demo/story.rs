//! How the demo is told: each station as it happens, then what the ledger holds.

use std::path::Path;

use serde_json::Value;
use tokio::sync::mpsc;

use super::lab::{Lab, PROFILE};
use crate::output::{bold, error_line, escaped, green, line, red};
use crate::processes::LogLine;

/// Tells.
#[derive(Debug)]
pub(crate) struct Story {
    all_logs: bool,
}

impl Story {
    pub(crate) fn new(all_logs: bool) -> Self {
        Self { all_logs }
    }

    pub(crate) fn chapter(&self, title: &str) {
        line(&format!("\n{}", bold(title)));
    }

    pub(crate) fn fact(&self, what: &str, text: &str) {
        line(&format!("  {what:<12} {text}"));
    }

    pub(crate) fn good(&self, text: &str) {
        line(&format!("  {}", green(text)));
    }

    /// A line of a process's log: a station in its own words, everything else only if asked for.
    pub(crate) fn log_line(&self, log: &LogLine) {
        if self.all_logs {
            error_line(&format!("    {:<7}{}", log.process, escaped(&log.text)));
        }
        let station = log.field("station");
        if station.is_empty() {
            self.other(log);
            return;
        }
        // The reason of a denial is the admin's to see, and an admin is who runs a demo.
        let text = match (station, log.field("message")) {
            ("receive", "received") => "a SCEP message came".to_owned(),
            ("open", "opened") => {
                format!("{}, signature good, envelope opened with CEP", log.field("kind"))
            }
            ("admit", "admitted") => "fits the profile's limits".to_owned(),
            ("verify", "approved") => format!("approved by {}", listed(log.field("verifiers"))),
            ("verify", "denied") if log.process == "verify" => {
                red(&format!("denied: {} ({})", log.field("code"), log.field("detail")))
            }
            ("verify", "denied") => return,
            ("countersign", _) => "signed with EA; ledger entry and bytes are durable".to_owned(),
            ("issue", "issued") => "the CA issued a certificate".to_owned(),
            ("check", "the certificate says what was approved") => {
                format!("it says what was approved, serial {}", log.field("serial"))
            }
            ("answer", _) => match log.field("conclusion") {
                "success" => green("CertRep SUCCESS"),
                "failure" => red("CertRep FAILURE, without a reason"),
                other => format!("CertRep {other}"),
            },
            (_, message) => message.to_owned(),
        };
        self.fact(station, &escaped_but_colours(&text));
    }

    fn other(&self, log: &LogLine) {
        let message = log.field("message");
        match (log.process, message) {
            ("serve", "serving")
            | ("verify", "verifying" | "installed")
            | ("serve", "the CA refuses a request without a countersignature") => {
                self.fact(log.process, message);
            }
            _ if log.field("level") == "ERROR" => {
                line(&format!("  {:<12} {}", log.process, red(&escaped(message))));
            }
            // Not JSON: what a process says when it cannot even begin to log.
            _ if log.fields.is_null() && !self.all_logs && log.process != "lab-ca" => {
                error_line(&format!("  {:<12} {}", log.process, escaped(&log.text)));
            }
            _ => {}
        }
    }

    /// Ledger entries, one line each and what matters in them.
    pub(crate) fn ledger(&self, entries: &[Value]) {
        for entry in entries {
            let text = |name: &str| entry.get(name).map(plain).unwrap_or_default();
            let body = entry.get("body");
            let of_body =
                |name: &str| body.and_then(|body| body.get(name)).map(plain).unwrap_or_default();
            let details: Vec<String> =
                ["names", "code", "detail", "outcome", "serial", "verifiers"]
                    .into_iter()
                    .filter_map(|name| {
                        let value = of_body(name);
                        (!value.is_empty()).then(|| format!("{name} {value}"))
                    })
                    .collect();
            self.fact(
                "ledger",
                &escaped(&format!("#{} {}: {}", text("index"), text("kind"), details.join(", "))),
            );
        }
    }

    /// Commands for a verifier of the reader's own.
    pub(crate) fn how_to_try(&self, lab: &Lab, name: &str, url: &str, program: &Path) {
        let (program, config) = (program.display(), lab.config());
        self.chapter(&format!("Your verifier {name} decides at {url}"));
        line(&format!(
            "\n  # where it issues challenges, one for a device\n  \
             {program} challenge issue --config {} --profile {name} --name CN=device-30\n\n  \
             # a device enrols\n  \
             {program} enrol {url} --subject CN=device-30 --challenge-file CHALLENGE \
             --key device-30.key --cert device-30.pem",
            config.display()
        ));
    }

    /// Ready-to-paste commands.
    pub(crate) fn how_to_go_on(&self, lab: &Lab, url: &str, challenge: &str, program: &Path) {
        let (program, config, ca) = (program.display(), lab.config(), lab.ca_certificate());
        let (config, ca) = (config.display(), ca.display());
        self.chapter("It stays up. To enrol more devices, each with a fresh challenge of its own:");
        line(&format!(
            "\n  # our own client\n  \
             {program} enrol {url} --subject CN=device-19 --san DNS:device-19.example.com \
             --challenge-file {} --key device-19.key --cert device-19.pem",
            lab.file("device-19.challenge").display()
        ));
        line(&format!(
            "\n  # or strongSwan's (Debian: strongswan-pki libstrongswan-extra-plugins)\n  \
             pki --gen --type rsa --size 2048 --outform pem > dev.key\n  \
             pki --scep --url {url} --in dev.key --dn CN=device-20 --san device-20.example.com \
             --password {challenge} --cacert-enc {} --cacert-sig {} --cacert {ca} \
             --outform pem > dev.pem",
            lab.file("keys/cep.pem").display(),
            lab.file("keys/rep.pem").display(),
        ));
        line(&format!(
            "\n  # another challenge, and what was recorded\n  \
             {program} challenge issue --config {config} --profile {PROFILE} --name CN=device-21\n  \
             {program} request list --config {config}\n  \
             {program} ledger show --config {config}\n\n  Ctrl-C ends it."
        ));
    }

    /// Goes on telling until Ctrl-C or SIGTERM.
    pub(crate) async fn relay_until_interrupted(
        &self,
        lines: &mut mpsc::UnboundedReceiver<LogLine>,
    ) {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
        loop {
            let terminated = async {
                match terminate.as_mut() {
                    Some(terminate) => terminate.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return,
                _ = terminated => return,
                Some(log) = lines.recv() => self.log_line(&log),
            }
        }
    }

    pub(crate) fn end(&self, lab: &Lab, stays: bool) {
        self.chapter("Done");
        if stays {
            self.fact("kept", &lab.directory().display().to_string());
        } else {
            self.fact("removed", "everything; keep it with --directory FOLDER, go on with --keep");
        }
    }
}

/// The text with control characters escaped, but for the colours that we put in.
fn escaped_but_colours(text: &str) -> String {
    text.split('\u{1b}').map(escaped).collect::<Vec<_>>().join("\u{1b}")
}

/// A list as the log writes it, `["a", "b"]`, as people write it.
fn listed(list: &str) -> String {
    list.trim_matches(['[', ']']).replace('"', "")
}

/// A JSON value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(list) => list
            .iter()
            .map(|item| match item.get("plugin") {
                Some(plugin) => plain(plugin),
                None => plain(item),
            })
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}
