//! Limits that no profile may have, reported so that `config` can say where they stand.

use const_oid::ObjectIdentifier;

use super::Limits;
use crate::{extension::KeyUsageBit, name::Name, oid::known};

/// One thing wrong with the limits of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsProblem {
    /// Where, from the limits down: `ekus[1]`, `keys.rsa-min-bits`.
    pub path: String,
    /// What is wrong, and why it cannot be.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Purposes that make a device certificate a key to everything: each lets its holder act as others
/// or as infrastructure.
const FORBIDDEN_EKUS: [(ObjectIdentifier, &str); 13] = [
    (known::CERTIFICATE_REQUEST_AGENT, "lets a device countersign requests for anyone"),
    (known::ANY_EXTENDED_KEY_USAGE, "is every purpose at once"),
    (known::MS_ANY_APPLICATION_POLICY, "is every purpose at once"),
    (known::SMARTCARD_LOGON, "lets a device log on to a domain as a user"),
    (known::PKINIT_CLIENT_AUTH, "lets a device log on to a domain as a user"),
    (known::PKINIT_KDC, "lets a device pose as a domain controller"),
    (known::OCSP_SIGNING, "lets a device answer for the revocation of others"),
    (known::CMC_CA, "makes a device a certification authority towards CMC"),
    (known::CMC_RA, "makes a device a registration authority towards CMC"),
    (known::MS_CA_EXCHANGE, "is for certification authorities"),
    (known::MS_KEY_RECOVERY_AGENT, "lets a device recover the keys of others"),
    (known::MS_EFS_RECOVERY, "lets a device decrypt the files of others"),
    (known::MS_TRUST_LIST_SIGNING, "lets a device decide whom others trust"),
];

/// Extensions and attributes that no list may allow.
const NEVER_REQUESTED: [(ObjectIdentifier, &str); 12] = [
    (known::MS_NTDS_SID, "lets a device choose the account it logs on as"),
    (known::MS_APPLICATION_POLICIES, "is judged by `ekus`"),
    (known::MS_TEMPLATE, "is judged by `template`"),
    (known::MS_TEMPLATE_NAME, "is judged by `template`"),
    (known::MS_NAME_VALUE_PAIR, "can name requester, validity, template and names"),
    (known::NAME_CONSTRAINTS, "is for certification authorities"),
    (known::POLICY_CONSTRAINTS, "is for certification authorities"),
    (known::POLICY_MAPPINGS, "is for certification authorities"),
    (known::INHIBIT_ANY_POLICY, "is for certification authorities"),
    (known::EXTENSION_REQUEST, "is read always"),
    (known::EXTENSION_REQUEST_VERISIGN, "is read always"),
    (known::EXTENSION_REQUEST_MICROSOFT, "is read always"),
];

impl Limits {
    /// Everything wrong with these limits; empty when a profile may have them.
    #[must_use]
    pub fn problems(&self) -> Vec<LimitsProblem> {
        let mut problems = Vec::new();
        self.purpose_problems(&mut problems);
        self.key_problems(&mut problems);
        self.name_problems(&mut problems);
        self.list_problems(&mut problems);
        problems
    }

    fn purpose_problems(&self, problems: &mut Vec<LimitsProblem>) {
        if self.ekus.is_empty() {
            problems.push(LimitsProblem {
                path: "ekus".into(),
                message: "no purpose is allowed, and a certificate without one serves all".into(),
                remedy: "list what the devices need, usually clientAuth alone",
            });
        }
        for (index, purpose) in self.ekus.iter().enumerate() {
            if let Some((_, why)) = FORBIDDEN_EKUS.iter().find(|(oid, _)| purpose == oid) {
                problems.push(LimitsProblem {
                    path: format!("ekus[{index}]"),
                    message: format!("{purpose} {why}; no profile may allow it"),
                    remedy: "remove it; devices usually need clientAuth alone",
                });
            }
        }
        if self.key_usage.is_empty() {
            problems.push(LimitsProblem {
                path: "key-usage".into(),
                message: "no key usage is allowed".into(),
                remedy: "list what the devices need, usually digitalSignature and keyEncipherment",
            });
        }
        for (index, bit) in self.key_usage.iter().enumerate() {
            if matches!(bit, KeyUsageBit::KeyCertSign | KeyUsageBit::CrlSign) {
                problems.push(LimitsProblem {
                    path: format!("key-usage[{index}]"),
                    message: format!("{bit} is for certification authorities"),
                    remedy: "remove it",
                });
            }
        }
    }

    fn key_problems(&self, problems: &mut Vec<LimitsProblem>) {
        let mut problem = |path: &str, message: String, remedy| {
            problems.push(LimitsProblem { path: format!("keys.{path}"), message, remedy });
        };
        let keys = &self.keys;
        if keys.kinds.is_empty() {
            problem("kinds", "no kind of key is allowed".into(), "list at least one");
        }
        if keys.rsa_min_bits < 2048 {
            let message = format!("{} is below 2048, the least that is safe", keys.rsa_min_bits);
            problem("rsa-min-bits", message, "set 2048 or more; 3072 is advised");
        }
        if keys.rsa_max_bits > 8192 {
            let message = format!("{} is above 8192, the most that is verified", keys.rsa_max_bits);
            problem("rsa-max-bits", message, "set 8192 or less");
        }
        if keys.rsa_min_bits > keys.rsa_max_bits {
            let message = format!("{} is above rsa-max-bits", keys.rsa_min_bits);
            problem("rsa-min-bits", message, "set it to rsa-max-bits or less");
        }
        if keys.rsa_min_exponent < 5 {
            let message = format!("{} lets the exponent 3 pass", keys.rsa_min_exponent);
            problem("rsa-min-exponent", message, "leave it out: 65537 is what devices use");
        }
    }

    fn name_problems(&self, problems: &mut Vec<LimitsProblem>) {
        let mut problem = |path: String, message: String, remedy| {
            problems.push(LimitsProblem { path, message, remedy });
        };
        let subject = &self.subject;
        for (index, required) in subject.required.iter().enumerate() {
            if !subject.allowed.contains(required) {
                problem(
                    format!("subject.required[{index}]"),
                    format!("{required} is required but not in subject.allowed"),
                    "add it there, or remove it here",
                );
            }
        }
        for (index, fixed) in subject.fixed.iter().enumerate() {
            if let Name::San(_) = fixed {
                problem(
                    format!("subject.fixed[{index}]"),
                    format!("{fixed} is no attribute of a subject"),
                    "only attributes such as O=Example can be fixed",
                );
            }
        }
        for (index, required) in self.sans.required.iter().enumerate() {
            if !self.sans.allowed.contains(required) {
                problem(
                    format!("sans.required[{index}]"),
                    format!("{required} is required but not in sans.allowed"),
                    "add it there, or remove it here",
                );
            }
        }
        if self.sans.sid_uri && !self.sans.allowed.contains(&crate::san::SanKind::Uri) {
            problem(
                "sans.sid-uri".into(),
                "SIDs travel in a URI, and uri is not in sans.allowed".into(),
                "add uri there, or remove sid-uri",
            );
        }
    }

    fn list_problems(&self, problems: &mut Vec<LimitsProblem>) {
        for (list, oids) in [("extensions", &self.extensions), ("attributes", &self.attributes)] {
            for (index, oid) in oids.iter().enumerate() {
                if let Some((_, why)) = NEVER_REQUESTED.iter().find(|(never, _)| oid == never) {
                    problems.push(LimitsProblem {
                        path: format!("{list}[{index}]"),
                        message: format!("{oid} {why}; it cannot be allowed here"),
                        remedy: "remove it",
                    });
                }
            }
        }
        for (index, oid) in self.issued_extensions.iter().enumerate() {
            if *oid == known::NAME_CONSTRAINTS || *oid == known::POLICY_MAPPINGS {
                problems.push(LimitsProblem {
                    path: format!("issued-extensions[{index}]"),
                    message: format!("{oid} is for certification authorities"),
                    remedy: "remove it",
                });
            }
        }
    }
}
