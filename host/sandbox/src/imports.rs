//! The allow-list of imports. Everything a component asks for is named here, or it is refused
//! before anything is linked.

use serde::{Deserialize, Serialize};

use crate::{contract, grants::Grants};

/// An import of a component and what this host makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// As the component writes it: `countersign:verifier/kv@1.0.0-rc.2`.
    pub name: String,
    /// What the host makes of it.
    pub standing: Standing,
    /// Why it is there, or why it is refused and what to do.
    pub why: String,
}

/// What the host makes of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Types only, or harmless: no grant needed.
    Free,
    /// Needs a grant in the configuration.
    Grant,
    /// Part of the contract, but not of this host.
    NotOffered,
    /// Never.
    Forbidden,
}

/// Why a component is refused because of its imports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    /// A power that was not granted.
    #[error(
        "the plug-in `{plugin}` imports `{import}`, which is not granted; to grant it, add to the \
         configuration:\n\n    [plugin.{plugin}.grants]\n    {line}\n"
    )]
    NotGranted {
        /// The plug-in's name in the configuration.
        plugin: String,
        /// The import.
        import: String,
        /// The line of TOML.
        line: &'static str,
    },
    /// Something that this host does not have.
    #[error("the plug-in `{plugin}` imports `{import}`: {why}")]
    Refused {
        /// The plug-in's name in the configuration.
        plugin: String,
        /// The import.
        import: String,
        /// Why not, and what to do.
        why: String,
    },
}

/// Judges one import.
pub fn judge(name: &str) -> Import {
    let (standing, why) =
        contract_import(name).or_else(|| wasi_import(name)).unwrap_or_else(|| {
            (
                Standing::Forbidden,
                "plug-ins import `countersign:verifier` and what languages need to start, nothing \
                 else; build it without this import"
                    .to_owned(),
            )
        });
    Import { name: name.to_owned(), standing, why }
}

/// Refuses the first import that is forbidden, not offered, or not granted.
pub(crate) fn admit(plugin: &str, imports: &[Import], grants: Grants) -> Result<(), ImportRefusal> {
    imports.iter().try_for_each(|import| match import.standing {
        Standing::Free => Ok(()),
        Standing::NotOffered | Standing::Forbidden => Err(ImportRefusal::Refused {
            plugin: plugin.to_owned(),
            import: import.name.clone(),
            why: import.why.clone(),
        }),
        Standing::Grant => match grant_line(&import.name, grants) {
            None => Ok(()),
            Some(line) => Err(ImportRefusal::NotGranted {
                plugin: plugin.to_owned(),
                import: import.name.clone(),
                line,
            }),
        },
    })
}

/// The line that grants an import, unless it is granted. An unknown name is never granted.
fn grant_line(name: &str, grants: Grants) -> Option<&'static str> {
    let granted = match interface(name) {
        Some("log") => grants.log,
        Some("kv") => grants.kv,
        Some("challenges") => grants.challenges,
        Some("http") => grants.http,
        Some("secrets") => grants.secrets,
        _ => false,
    };
    if granted {
        return None;
    }
    Some(match interface(name) {
        Some("log") => "log = true",
        Some("kv") => "kv = true",
        Some("challenges") => "challenges = true",
        Some("http") => "hosts = [\"HOST\"]",
        Some("secrets") => "secrets = [\"NAME\"]",
        _ => "# (this import cannot be granted)",
    })
}

fn interface(name: &str) -> Option<&str> {
    let (package, rest) = name.split_once('/')?;
    (package == contract::PACKAGE).then(|| rest.split('@').next().unwrap_or(rest))
}

fn contract_import(name: &str) -> Option<(Standing, String)> {
    let interface = interface(name)?;
    let version = name.split_once('@').map_or("none", |(_, version)| version);
    if version != contract::VERSION {
        return Some((
            Standing::Forbidden,
            format!(
                "it was built for version {version} of the contract, this host speaks {}; build it \
                 with an SDK for that version, or run a host that speaks {version}",
                contract::VERSION
            ),
        ));
    }
    let (standing, why) = match interface {
        "types" => (Standing::Free, "types of the contract; gives no power"),
        "log" => (Standing::Grant, "writes bounded, escaped lines into the host's log"),
        "kv" => (Standing::Grant, "keeps values of its own between calls"),
        "challenges" => (Standing::Grant, "issues and redeems one-time challenges of the host"),
        "http" => (Standing::Grant, "sends requests over HTTPS to the hosts that are granted"),
        "secrets" => (Standing::Grant, "uses keys by reference, without seeing them"),
        _ => (Standing::Forbidden, "no such interface in this version of the contract"),
    };
    Some((standing, why.to_owned()))
}

fn wasi_import(name: &str) -> Option<(Standing, String)> {
    let rest = name.strip_prefix("wasi:")?;
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    let forbidden = |why: &str| Some((Standing::Forbidden, why.to_owned()));
    if !version.starts_with("0.2.") {
        return forbidden("of WASI, only 0.2 is there; build it for `wasm32-wasip2`");
    }
    let why = match interface {
        "io/error" | "io/poll" | "io/streams" => "streams for the empty stdio",
        "clocks/wall-clock" | "clocks/monotonic-clock" => "clocks",
        "random/random" | "random/insecure" | "random/insecure-seed" => "random numbers",
        "cli/stdin" | "cli/stdout" | "cli/stderr" => {
            "stdio that a language's start-up needs: input is empty, output goes nowhere"
        }
        "cli/environment" => "environment and arguments that a language's start-up needs: empty",
        "cli/exit" => "ends the call as a trap",
        "cli/terminal-input"
        | "cli/terminal-output"
        | "cli/terminal-stdin"
        | "cli/terminal-stdout"
        | "cli/terminal-stderr" => "asks for a terminal: there is none",
        _ => {
            let why = match interface.split('/').next() {
                Some("filesystem") => {
                    "plug-ins have no files; keep state with `kv`, and build without libraries \
                     that open files"
                }
                Some("sockets") => {
                    "plug-ins have no sockets; speak with the `http` of the contract"
                }
                Some("http") => "plug-ins do not have wasi:http; use the `http` of the contract",
                _ => "not among the parts of WASI that languages need to start",
            };
            return forbidden(why);
        }
    };
    Some((Standing::Free, why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KV: &str = "countersign:verifier/kv@1.0.0-rc.2";
    const CHALLENGES: &str = "countersign:verifier/challenges@1.0.0-rc.2";

    #[test]
    fn a_missing_grant_is_named_with_the_line_that_grants_it() {
        let imports = [judge(CHALLENGES)];
        let error = admit("otp", &imports, Grants::default()).unwrap_err().to_string();
        assert!(error.contains(CHALLENGES), "{error}");
        assert!(error.contains("[plugin.otp.grants]\n    challenges = true"), "{error}");
        let granted = Grants { challenges: true, ..Grants::default() };
        assert_eq!(admit("otp", &imports, granted), Ok(()));
        assert!(admit("otp", &[judge(KV)], granted).is_err(), "one grant is not another");
    }

    #[test]
    fn http_and_secrets_are_granted_by_saying_which() {
        for (import, grants, line) in [
            (
                "countersign:verifier/http@1.0.0-rc.2",
                Grants { http: true, ..Grants::default() },
                "hosts = [\"HOST\"]",
            ),
            (
                "countersign:verifier/secrets@1.0.0-rc.2",
                Grants { secrets: true, ..Grants::default() },
                "secrets = [\"NAME\"]",
            ),
        ] {
            let error = admit("hook", &[judge(import)], Grants::default()).unwrap_err().to_string();
            assert!(error.contains(import) && error.contains(line), "{error}");
            assert_eq!(admit("hook", &[judge(import)], grants), Ok(()));
        }
    }

    #[test]
    fn what_is_not_on_the_list_is_forbidden_even_with_every_grant() {
        for name in [
            "wasi:filesystem/types@0.2.6",
            "wasi:filesystem/preopens@0.2.0",
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/run@0.2.6",
            "wasi:keyvalue/store@0.2.0-draft",
            "countersign:verifier/kv",
            "countersign:verifier/kv@1.0.0-rc.1",
            "countersign:verifier/verifier@1.0.0-rc.2",
            "countersign:verifier/sockets@1.0.0-rc.2",
            "evil:verifier/kv@1.0.0-rc.2",
            "run",
            "",
        ] {
            let error = admit("p", &[judge(name)], Grants::ALL).unwrap_err();
            let ImportRefusal::Refused { import, why, .. } = error else {
                panic!("{name}: {error}")
            };
            assert_eq!(import, name);
            assert!(!why.is_empty());
        }
    }

    #[test]
    fn another_version_of_the_contract_names_both() {
        let why = judge("countersign:verifier/kv@1.0.0-rc.9").why;
        assert!(why.contains("1.0.0-rc.9") && why.contains(contract::VERSION), "{why}");
    }
}
