use countersign_sandbox::Standing;

use super::{Bench, Checks};
use crate::grants::interface_of;
use countersign_sandbox::model::Power;

/// What it can do is what it imports.
pub(super) fn check(bench: &Bench<'_>) -> Checks {
    let mut checks = Checks::new(
        "imports",
        "imports nothing but the contract and what languages need to start, and says why",
    );
    let seen = &bench.workshop.inspection;
    match &seen.contract_version {
        Some(version) if version == seen.host_contract_version => {
            checks.pass("contract", version.clone());
        }
        // Said in full below, with both versions and what to do.
        _ => {}
    }
    for import in &seen.imports {
        match import.standing {
            Standing::Forbidden | Standing::NotOffered => {
                checks.fail(&import.name, import.why.clone());
            }
            Standing::Free => checks.pass(&import.name, "needs no grant"),
            Standing::Grant => {
                let interface = interface_of(&import.name).unwrap_or_default();
                match unsaid(bench, interface) {
                    None => checks.pass(&import.name, "needs a grant, and it says why"),
                    Some(power) => checks.fail(
                        &import.name,
                        format!(
                            "it is imported, and `describe` does not say why: an admin would grant \
                             it blindly; add `.wants({power}, \"…\")`, or do not call it"
                        ),
                    ),
                }
            }
        }
    }
    for obstacle in &seen.obstacles {
        let told = seen.imports.iter().any(|import| obstacle.contains(&import.name));
        if !told {
            checks.fail("loads", obstacle.clone());
        }
    }
    checks
}

/// What an import needs `describe` to want, unless it does.
fn unsaid(bench: &Bench<'_>, interface: &str) -> Option<&'static str> {
    let description = bench.workshop.description()?;
    let wants = |fits: fn(&Power) -> bool| description.wants.iter().any(|want| fits(&want.power));
    let (said, power) = match interface {
        "kv" => (wants(|power| *power == Power::Kv), "Power::Kv"),
        "challenges" => (wants(|power| *power == Power::Challenges), "Power::Challenges"),
        "http" => (wants(|power| matches!(power, Power::Host(_))), "Power::Host(…)"),
        "secrets" => (wants(|power| matches!(power, Power::Secret(_))), "Power::Secret(…)"),
        _ => return None,
    };
    (!said).then_some(power)
}
