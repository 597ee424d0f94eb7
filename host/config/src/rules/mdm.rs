//! Device managements: each credential may do something that is there, and is one's own; a page
//! shows challenges that are good for something.

use super::{Rules, known_names};
use crate::mdm::{CredentialProof, MdmSettings, PageSettings};
use crate::value::BadValue;

/// Paths that are not for pages.
const TAKEN: [&str; 2] = ["/challenge/", "/event/"];

impl Rules<'_> {
    pub(super) fn mdm(&mut self) {
        let config = self.config;
        let Some(mdm) = &config.verify.mdm else { return };
        if mdm.credential.is_empty() {
            self.add(
                "verify.mdm",
                BadValue::new(
                    "listener-without-credential",
                    "[verify.mdm] has no credential: nobody could fetch a challenge",
                    "add a section [verify.mdm.credential.NAME], or remove [verify.mdm]",
                ),
            );
        }
        self.credentials(mdm);
        for (path, page) in &mdm.page {
            self.page(path, page);
        }
    }

    fn credentials(&mut self, mdm: &MdmSettings) {
        let mut proofs: Vec<(&str, String)> = Vec::new();
        for (name, credential) in &mdm.credential {
            let at = format!("verify.mdm.credential.{name}");
            if credential.profiles.is_empty() && credential.events.is_empty() {
                self.add(
                    format!("{at}.profiles"),
                    BadValue::new(
                        "credential-without-profile",
                        format!(
                            "the credential `{name}` may fetch challenges for no profile and post \
                             events of no plug-in"
                        ),
                        "name the profiles it is for, or in `events` the plug-ins whose events it \
                         posts, or remove the section",
                    )
                    .of_row(51),
                );
            }
            if !credential.profiles.is_empty() && credential.quota_per_hour.is_none() {
                self.add(
                    format!("{at}.profiles"),
                    BadValue::new(
                        "credential-without-quota",
                        format!("nothing limits the challenges that `{name}` may fetch"),
                        "set `quota-per-hour` to what its busiest hour needs",
                    )
                    .of_row(51),
                );
            }
            for (index, plugin) in credential.events.iter().enumerate() {
                self.event_plugin(format!("{at}.events[{index}]"), plugin);
            }
            for (index, profile) in credential.profiles.iter().enumerate() {
                self.known_profile(format!("{at}.profiles[{index}]"), profile);
            }
            let proof = match &credential.authentication {
                CredentialProof::Basic(basic) => {
                    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b':';
                    if basic.user.is_empty()
                        || basic.user.len() > 128
                        || !basic.user.bytes().all(plain)
                    {
                        self.add(
                            format!("{at}.authentication.basic.user"),
                            BadValue::new(
                                "bad-user-name",
                                "this is no user name for HTTP Basic",
                                "use 1 to 128 printable ASCII characters without `:` and spaces",
                            ),
                        );
                    }
                    format!("the user `{}`", basic.user)
                }
                CredentialProof::Bearer(bearer) => {
                    format!("the token {}", hex::encode(bearer.token.as_bytes()))
                }
                CredentialProof::ClientCertificate(pinned) => {
                    if mdm.client_ca.is_none() {
                        self.add(
                            format!("{at}.authentication"),
                            BadValue::new(
                                "client-certificate-without-authority",
                                "client certificates are accepted from no authority",
                                "set `client-ca` in [verify.mdm]",
                            ),
                        );
                    }
                    format!("the certificate of {}", pinned.name)
                }
            };
            if let Some((other, _)) = proofs.iter().find(|(_, earlier)| *earlier == proof) {
                self.add(
                    format!("{at}.authentication"),
                    BadValue::new(
                        "one-proof-for-two-credentials",
                        format!("`{name}` and `{other}` are told apart by nothing"),
                        "give each device management a user, token or certificate of its own",
                    )
                    .of_row(51),
                );
            }
            proofs.push((name, proof));
        }
    }

    /// Events lead to revocations and to nothing else: a plug-in that may not revoke has no use for
    /// them.
    fn event_plugin(&mut self, at: String, plugin: &str) {
        match self.config.plugin.get(plugin) {
            None => {
                let known = known_names(&self.config.plugin);
                self.add(
                    at,
                    BadValue::new(
                        "unknown-plugin",
                        format!("there is no plug-in `{plugin}`"),
                        format!("add [plugin.{plugin}], or name one of those there: {known}"),
                    ),
                );
            }
            Some(settings) if !settings.grants.revocation => self.add(
                at,
                BadValue::new(
                    "events-without-revocation",
                    format!(
                        "events of the plug-in `{plugin}` would come to nothing: it may not have \
                         certificates revoked"
                    ),
                    format!(
                        "set `revocation = true` in [plugin.{plugin}.grants], or take the plug-in \
                         out of `events`"
                    ),
                )
                .of_row(38),
            ),
            Some(_) => {}
        }
    }

    fn page(&mut self, path: &str, page: &PageSettings) {
        let config = self.config;
        let at = format!("verify.mdm.page.{path}");
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte);
        if !path.starts_with('/')
            || path.len() < 2
            || path.len() > 256
            || !path.bytes().all(plain)
            || path.split('/').any(|segment| segment == "." || segment == "..")
            || TAKEN.iter().any(|taken| format!("{path}/").starts_with(taken))
        {
            self.add(
                at.clone(),
                BadValue::new(
                    "bad-page-path",
                    format!("`{path}` is no path for a page"),
                    "write a plain URL path from the slash on, such as \"/certsrv/mscep_admin/\"; \
                     /challenge/ and /event/ are taken",
                ),
            );
        }
        self.known_profile(format!("{at}.profile"), &page.profile);
        let alone = config
            .profile
            .get(&page.profile)
            .is_some_and(|profile| profile.verifiers.initial.len() < 2);
        if alone && !page.require_names && !page.verifier_knows_names {
            self.add(
                format!("{at}.profile"),
                BadValue::new(
                    "page-vouches-for-no-names",
                    format!(
                        "challenges of this page are issued without names, so they vouch for none, \
                         and no other verifier of the profile `{}` does",
                        page.profile
                    ),
                    "add a verifier that knows the devices' names, set `require-names = true` and have \
                     them sent as Params, or, where the verifier looks each device up itself, \
                     `verifier-knows-names = true`",
                )
                .of_row(2),
            );
        }
    }

    fn known_profile(&mut self, at: String, profile: &str) {
        if !self.config.profile.contains_key(profile) {
            let known = known_names(&self.config.profile);
            self.add(
                at,
                BadValue::new(
                    "unknown-profile",
                    format!("there is no profile `{profile}`"),
                    format!("add [profile.{profile}], or name one of those there: {known}"),
                ),
            );
        }
    }
}
