//! One certificate for each enrolment of a device. A challenge that is not bound to a device says
//! nothing about who sends it; so what it can be used for is kept small: once a device has its
//! certificate, nobody else is given one for it, until the device is enrolled anew in its management or
//! the time that the settings say has passed.

use std::fmt::Write as _;
use std::time::Duration;

use countersign_sdk::{
    DenialCode, Ending, Host, NotApproved, Outcome, Request, RequestKind, Retry, deny,
};

/// Takes the device's turn for this request; it counts only with the approval. `enrolled` is what
/// changes when the device is enrolled anew. A renewal that the host validated needs none: it proves
/// the certificate that the turn led to.
///
/// # Errors
/// `already-enrolled`, where another request has it.
pub fn take(
    host: &Host,
    device: &str,
    enrolled: &str,
    request: &Request,
    period: Duration,
) -> Result<(), NotApproved> {
    let proven = request.current_certificate.as_ref().is_some_and(|found| found.host_validated);
    if request.kind == RequestKind::Renewal && proven {
        return Ok(());
    }
    let (key, hash) = (key(device), hash(request));
    let kept = host.kv().get(&key)?;
    if let Some(kept) = &kept {
        let kept = String::from_utf8_lossy(kept);
        let (by, since) = kept.split_once(' ').unwrap_or_default();
        if since == enrolled {
            return if by == hash { Ok(()) } else { Err(taken(device)) };
        }
    }
    let value = format!("{hash} {enrolled}");
    if host.kv().compare_and_set(&key, kept.as_deref(), value.as_bytes(), Some(period))? {
        Ok(())
    } else {
        Err(taken(device))
    }
}

/// Gives the turn back where no certificate came of it. The approval's memo is the device.
///
/// # Errors
/// The store does not answer.
pub fn settle(outcome: &Outcome, host: &Host) -> Result<(), Retry> {
    let (Ending::Failed(_) | Ending::Withheld(_)) = &outcome.ending else { return Ok(()) };
    let Ok(device) = std::str::from_utf8(&outcome.memo) else { return Ok(()) };
    let key = key(device);
    let hash = hash(&outcome.request);
    let kept = host.kv().get(&key)?;
    if kept.is_some_and(|kept| kept.starts_with(hash.as_bytes())) {
        host.kv().delete(&key)?;
    }
    Ok(())
}

fn taken(device: &str) -> NotApproved {
    deny(
        DenialCode::Other("already-enrolled".to_owned()),
        format!(
            "{device} has got its certificate already since it was enrolled in its management: \
             somebody else may be asking in its name. Where it is the device itself, have it enrolled \
             anew, or wait for the days of the setting `again-after-days`"
        ),
    )
}

fn key(device: &str) -> String {
    format!("enrolled/{device}")
}

fn hash(request: &Request) -> String {
    request.csr_sha256.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
