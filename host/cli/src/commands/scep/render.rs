//! A message's facts, for people.

use super::opened::{Opened, Request10, Subject};
use crate::output::{self, escaped, green, red};
use crate::time;

pub(super) fn show(opened: &Opened) {
    let (kind, transaction) = opened.heading();
    line(&output::bold(&escaped(kind)), "");
    line("transaction", &escaped(transaction));
    let (sender, recipient) = opened.nonces();
    line("senderNonce", sender.unwrap_or("none"));
    if let Some(recipient) = recipient {
        line("recipientNonce", recipient);
    }
    if let Some((status, fail_info, text)) = opened.answer() {
        let fail_info = fail_info.map(|info| format!(" {info}")).unwrap_or_default();
        let text = text.map(|text| format!(": {}", escaped(text))).unwrap_or_default();
        line("pkiStatus", &format!("{status}{fail_info}{text}"));
    }
    let (signature, signer) = opened.signed();
    let algorithm = signature.algorithm.as_deref().unwrap_or("unknown algorithm");
    line(
        "signature",
        &format!("{}, {algorithm}", verdict(signature.good, signature.problem.as_deref())),
    );
    if let Some(why) = &signature.refused_without_legacy_switches {
        line("", &format!("refused by a profile without legacy switches: {}", escaped(why)));
    }
    certificate("signer", signer);
    if let Some(envelope) = opened.envelope() {
        let state = match envelope.opened {
            None => "not opened (no --key)".to_owned(),
            Some(good) => verdict(good, envelope.problem.as_deref()),
        };
        line("envelope", &format!("{state}, {}", envelope.cipher));
        for (index, transport) in envelope.recipients.iter().enumerate() {
            line(&format!("recipient {}", index + 1), &escaped(transport));
        }
    }
    if let Some(about) = opened.about() {
        line("about", &escaped(about));
    }
    if let Some(csr) = opened.csr() {
        show_csr(csr);
    }
    let (certificates, crls) = opened.bundle();
    for (index, found) in certificates.iter().enumerate() {
        certificate(&format!("certificate {}", index + 1), found);
    }
    if crls > 0 {
        line("CRLs", &crls.to_string());
    }
}

fn show_csr(csr: &Request10) {
    line("CSR", &format!("{}, {}", escaped(&csr.subject), csr.key));
    let lists = [("SAN", &csr.sans), ("asks for EKU", &csr.requested_ekus)];
    for (label, values) in lists {
        for value in values {
            line(label, &escaped(value));
        }
    }
    line("extensions", &or_none(&csr.extensions));
    line("attributes", &or_none(&csr.attributes));
    line("challenge", &csr.challenge.as_deref().map_or_else(|| "none".to_owned(), escaped));
    line("self-signature", &verdict(csr.self_signature, csr.self_signature_problem.as_deref()));
    line(
        "signed by",
        if csr.signed_by_its_key { "the key of the CSR" } else { "another key: a renewal" },
    );
    line("SHA-256", &csr.sha256);
    line("of its info", &csr.info_sha256);
}

fn certificate(label: &str, found: &Subject) {
    let issued = if found.self_issued {
        "self-issued".to_owned()
    } else {
        format!("issued by {}", escaped(&found.issuer))
    };
    line(label, &format!("{}, {}, {issued}", escaped(&found.subject), escaped(&found.key)));
    let until = found.not_after.map(|end| format!(", until {}", time::rfc3339(end)));
    line("", &format!("serial {}{}", found.serial, until.unwrap_or_default()));
}

fn verdict(good: bool, problem: Option<&str>) -> String {
    match (good, problem) {
        (true, _) => green("good"),
        (false, None) => red("NOT GOOD"),
        (false, Some(problem)) => format!("{}: {}", red("NOT GOOD"), escaped(problem)),
    }
}

fn or_none(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { escaped(&values.join(" ")) }
}

fn line(label: &str, text: &str) {
    output::line(format!("{label:<15} {text}").trim_end());
}
