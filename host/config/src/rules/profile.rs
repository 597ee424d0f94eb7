//! Profiles: somebody verifies, every name is there, the limits are sane.

use countersign_profile::LimitsProblem;

use super::{Rules, known_names};
use crate::profile::ProfileSettings;
use crate::value::BadValue;

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

    fn limits_problem(&mut self, at: &str, problem: &LimitsProblem) {
        let what = BadValue::new("limits", problem.message.clone(), problem.remedy);
        let purpose = problem.path.starts_with("ekus");
        let what =
            if purpose { BadValue { id: "forbidden-purpose", ..what }.of_row(46) } else { what };
        self.add(format!("{at}.limits.{}", problem.path), what);
    }
}
