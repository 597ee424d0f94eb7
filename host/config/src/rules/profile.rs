//! Profiles: somebody verifies, every name is there, the limits are sane.

use countersign_keys::{Finding, Severity};
use countersign_profile::LimitsProblem;

use super::{Rules, known_names};
use crate::config::Config;
use crate::profile::ProfileSettings;
use crate::value::BadValue;

/// One finding for each legacy switch that is on.
pub(super) fn legacy_findings(config: &Config) -> Vec<Finding> {
    let finding = |name: &str, switch: &str, id, severity, what: &str| Finding {
        row: None,
        severity,
        id,
        message: format!("profile.{name}.accept.{switch}: {what}"),
        remedy: "replace the clients that need it, then remove the switch; give them a profile of \
                 their own until then"
            .to_owned(),
    };
    let mut findings = Vec::new();
    for (name, profile) in &config.profile {
        let accept = profile.accept;
        let switches = [
            (
                accept.single_des,
                "single-des",
                "accepts-single-des",
                Severity::High,
                "a request in single DES hides its challenge from nobody who can spend a day",
            ),
            (
                accept.triple_des,
                "triple-des",
                "accepts-triple-des",
                Severity::Medium,
                "requests in Triple DES are taken",
            ),
            (
                accept.sha1_signatures,
                "sha1-signatures",
                "accepts-sha1",
                Severity::Medium,
                "requests signed over SHA-1 are taken",
            ),
            (
                accept.sha1_renewals,
                "sha1-renewals",
                "accepts-sha1-renewals",
                Severity::High,
                "renewals signed over SHA-1 are taken, and nothing but that signature speaks for \
                 the device (RFC 8894 §7.9)",
            ),
            (
                accept.triple_des_replies,
                "triple-des-replies",
                "answers-in-triple-des",
                Severity::Medium,
                "certificates are sent in Triple DES",
            ),
        ];
        for (_, switch, id, severity, what) in switches.into_iter().filter(|(on, ..)| *on) {
            findings.push(finding(name, switch, id, severity, what));
        }
    }
    findings
}

impl Rules<'_> {
    pub(super) fn profiles(&mut self) {
        let config = self.config;
        if config.profile.is_empty() {
            self.add(
                "profile",
                BadValue::new(
                    "no-profile",
                    "there is no profile: no device could enrol",
                    "add a section [profile.NAME]",
                ),
            );
        }
        for (name, profile) in &config.profile {
            let at = format!("profile.{name}");
            self.profile_references(&at, name, profile);
            self.profile_accepts(&at, profile);
            self.profile_renewals(&at, profile);
            for problem in profile.limits.problems() {
                self.limits_problem(&at, &problem);
            }
        }
    }

    fn profile_references(&mut self, at: &str, name: &str, profile: &ProfileSettings) {
        let config = self.config;
        if !config.authority.contains_key(&profile.authority) {
            let known = known_names(&config.authority);
            self.add(
                format!("{at}.authority"),
                BadValue::new(
                    "unknown-authority",
                    format!("there is no authority `{}`", profile.authority),
                    format!(
                        "add [authority.{}], or name one of those there: {known}",
                        profile.authority
                    ),
                ),
            );
        }
        if profile.template.trim().is_empty() || profile.template.chars().any(char::is_control) {
            self.add(
                format!("{at}.template"),
                BadValue::new(
                    "bad-template",
                    "the template's name is empty or holds control characters",
                    "write the template's name (not its display name) as the CA knows it",
                ),
            );
        }
        if profile.verifiers.initial.is_empty() {
            self.add(
                format!("{at}.verifiers.initial"),
                BadValue::new(
                    "profile-without-verifier",
                    format!(
                        "the profile `{name}` has no verifier: SCEP cannot tell who is asking, \
                         so nobody would"
                    ),
                    format!("set `verifiers.initial = [\"PLUGIN\"]` in [{at}]"),
                )
                .of_row(1),
            );
        }
        let lists =
            [("initial", &profile.verifiers.initial), ("renewal", &profile.verifiers.renewal)];
        for (kind, verifiers) in lists {
            for (index, verifier) in verifiers.iter().enumerate() {
                let here = format!("{at}.verifiers.{kind}[{index}]");
                if !config.plugin.contains_key(verifier) {
                    let known = known_names(&config.plugin);
                    self.add(
                        here,
                        BadValue::new(
                            "unknown-verifier",
                            format!("there is no plug-in `{verifier}`"),
                            format!("add [plugin.{verifier}], or name one of those there: {known}"),
                        ),
                    );
                } else if verifiers.iter().take(index).any(|earlier| earlier == verifier) {
                    self.add(
                        here,
                        BadValue::new(
                            "verifier-twice",
                            format!("`{verifier}` stands twice in this list"),
                            "name each verifier once: all of them must approve",
                        ),
                    );
                }
            }
        }
    }

    /// A switch that does nothing is a misunderstanding.
    fn profile_accepts(&mut self, at: &str, profile: &ProfileSettings) {
        let accept = profile.accept;
        if accept.sha1_renewals && !accept.sha1_signatures {
            self.add(
                format!("{at}.accept.sha1-renewals"),
                BadValue::new(
                    "switch-without-effect",
                    "no message signed over SHA-1 is taken, so no renewal is either",
                    "remove it, or set `sha1-signatures = true` for the clients that need both",
                ),
            );
        }
        if accept.triple_des_replies && !(accept.triple_des || accept.single_des) {
            self.add(
                format!("{at}.accept.triple-des-replies"),
                BadValue::new(
                    "switch-without-effect",
                    "only requests in DES or Triple DES are answered in Triple DES, and this \
                     profile takes neither",
                    "remove it, or set `triple-des = true` for the clients that need both",
                ),
            );
        }
    }

    /// Renewals need the CA's list of revoked certificates.
    fn profile_renewals(&mut self, at: &str, profile: &ProfileSettings) {
        let Some(authority) = self.config.authority.get(&profile.authority) else { return };
        if !profile.verifiers.renewal.is_empty() && authority.crl_url.is_none() {
            self.add(
                format!("{at}.verifiers.renewal"),
                BadValue::new(
                    "renewal-without-crl",
                    format!(
                        "the authority `{}` has no `crl-url`, so nobody could tell whether the \
                         certificate that is renewed was revoked",
                        profile.authority
                    ),
                    format!(
                        "set authority.{}.crl-url to the CA's HTTP distribution point, or leave \
                         `renewal` empty",
                        profile.authority
                    ),
                ),
            );
        }
    }

    fn limits_problem(&mut self, at: &str, problem: &LimitsProblem) {
        let what = BadValue::new("limits", problem.message.clone(), problem.remedy);
        let purpose = problem.path.starts_with("ekus");
        let what =
            if purpose { BadValue { id: "forbidden-purpose", ..what }.of_row(46) } else { what };
        self.add(format!("{at}.limits.{}", problem.path), what);
    }
}
