use countersign_sandbox::{CallError, ImportRefusal, LoadError, model::Power};

use super::{Bench, Checks};
use crate::answer;
use crate::play::{Manner, PlayError, is_approval};
use crate::upstream::Plan;

/// Each power that it wants, not granted.
pub(super) async fn check(bench: &mut Bench<'_>) -> Checks {
    let mut checks = Checks::new(
        "grants",
        "without a power that it wants, it is refused when installed or does not approve",
    );
    let wants = bench.workshop.description().map(|seen| seen.wants.clone()).unwrap_or_default();
    for want in wants {
        let name = format!("without {}", want.power);
        let result = match &want.power {
            // Given or not when the order is made, by the host.
            Power::Revocation | Power::Other(_) => continue,
            power => without(bench, power).await,
        };
        match result {
            Ok(Some(said)) => checks.pass(name, said),
            Ok(None) => checks.warn(name, "no case needs it: add one that does"),
            Err(wrong) => checks.fail(name, wrong),
        }
    }
    checks.or_note("it wants no power")
}

/// What happens without it; none where no case can tell.
async fn without(bench: &mut Bench<'_>, power: &Power) -> Result<Option<String>, String> {
    let mut said = None;
    for (name, case) in bench.approving() {
        let manner = Manner { without: Some(power), ..Manner::planned(Plan::InAnyOrder) };
        match bench.workshop.play(&case, &manner).await {
            Err(PlayError::Load(LoadError::Import(ImportRefusal::NotGranted { line, .. }))) => {
                return Ok(Some(format!("refused when installed; `{line}` would grant it")));
            }
            Err(PlayError::Load(LoadError::Http(_)) | PlayError::Case(_)) => {}
            Err(error) => return Err(format!("{name}: {error}")),
            Ok(played) => {
                bench.uses(played.used);
                match &played.answer {
                    // The host does not let it vouch for what was not granted.
                    Err(failure) if matches!(failure.error, CallError::Ungranted) => {}
                    Err(_) => return Err(format!("{name}: {}", answer::say(&played.answer))),
                    Ok(_) if is_approval(&played.answer) && played.used.refused == 0 => continue,
                    Ok(_) if is_approval(&played.answer) => {
                        return Err(format!(
                            "{name}: the host refused it, and it went on to {}",
                            answer::say(&played.answer)
                        ));
                    }
                    Ok(_) => {}
                }
                said = Some("does not approve".to_owned());
            }
        }
    }
    Ok(said)
}
