//! Row 49: one principal, one role. Whoever holds one credential of ours must not thereby be somebody
//! else as well.

use super::Rules;
use crate::authority::Authentication;
use crate::mdm::CredentialProof;
use crate::value::BadValue;

impl Rules<'_> {
    /// No account and no key stands for two roles.
    pub(super) fn principals(&mut self) {
        self.keys_of_links();
        self.accounts();
    }

    /// The TLS keys of our links: towards the CAs, devices, device managements and plug-ins' hosts.
    fn keys_of_links(&mut self) {
        let config = self.config;
        // With each key, what it is for: two CAs may know us by the same certificate.
        let mut keys = Vec::new();
        for (name, authority) in &config.authority {
            if let Authentication::ClientCertificate(client) = &authority.authentication {
                let at = format!("authority.{name}.authentication.client-certificate.key");
                keys.push((at, client.key.to_string(), "authority".to_owned()));
            }
        }
        if let Some(tls) = &config.serve.tls {
            keys.push(("serve.tls.key".to_owned(), tls.key.to_string(), "serve".to_owned()));
        }
        if let Some(mdm) = &config.verify.mdm {
            keys.push(("verify.mdm.key".to_owned(), mdm.key.to_string(), "verify".to_owned()));
        }
        if let Some(revoker) = &config.verify.revoker {
            let key = revoker.key.to_string();
            keys.push(("verify.revoker.key".to_owned(), key, "revoker".to_owned()));
        }
        for (name, plugin) in &config.plugin {
            if let Some(client) =
                plugin.http.as_ref().and_then(|http| http.client_certificate.as_ref())
            {
                let at = format!("plugin.{name}.http.client-certificate.key");
                keys.push((at, client.key.to_string(), format!("plugin.{name}")));
            }
        }
        for (index, (at, key, role)) in keys.iter().enumerate() {
            // In each unit systemd gives a name a meaning of its own, so only files are compared.
            let earlier = keys.iter().take(index).find(|(_, other, other_role)| {
                key.starts_with("file:") && other == key && other_role != role
            });
            if let Some((earlier, ..)) = earlier {
                self.add(
                    at.clone(),
                    BadValue::new(
                        "one-principal-in-two-roles",
                        format!("{earlier} and {at} are the same key"),
                        "give each link a key and a certificate of its own",
                    )
                    .of_row(49),
                );
            }
        }
    }

    /// The account that enrols at the CA is nobody's log-in here.
    fn accounts(&mut self) {
        let config = self.config;
        for (name, authority) in &config.authority {
            let Authentication::UsernameToken(account) = &authority.authentication else {
                continue;
            };
            for (credential, settings) in
                config.verify.mdm.iter().flat_map(|mdm| mdm.credential.iter())
            {
                if let CredentialProof::Basic(basic) = &settings.authentication
                    && account_name(&basic.user) == account_name(&account.username)
                {
                    self.add(
                        format!("verify.mdm.credential.{credential}.authentication.basic.user"),
                        BadValue::new(
                            "one-principal-in-two-roles",
                            format!(
                                "the account of authority `{name}` is also a device management's"
                            ),
                            "give the device management an account of its own, which may enrol \
                             nowhere",
                        )
                        .of_row(49),
                    );
                }
            }
        }
    }
}

/// An account without its domain: `EXAMPLE\name`, `name@example.com` and `name` are compared as one.
pub(super) fn account_name(user: &str) -> String {
    let user = user.rsplit_once('\\').map_or(user, |(_, name)| name);
    user.split_once('@').map_or(user, |(name, _)| name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_same_with_and_without_its_domain() {
        for user in ["EXAMPLE\\Device-Admin", "device-admin@example.com", "device-admin"] {
            assert_eq!(account_name(user), "device-admin");
        }
    }
}
