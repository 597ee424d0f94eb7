//! The proof that a renewal is: the current certificate, which the host validated. Also that of the
//! plug-in `managed-renewal`, which compiles this very file.

use std::time::{Duration, SystemTime};

use countersign_sdk::{
    Approval, Certificate, Context, DenialCode, Name, NotApproved, Problem, Request, RequestKind,
    deny,
};

/// On which terms a certificate may be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Only in its last so many days.
    pub(crate) last_days: Option<u32>,
    /// Only with another key.
    pub(crate) new_key: bool,
}

impl Terms {
    /// What is wrong with them.
    pub(crate) fn problems(self) -> Vec<Problem> {
        match self.last_days {
            Some(0 | 3651..) => vec![Problem::new(
                "/last-days",
                "expected 1 to 3650 days; leave it out to renew at any time",
            )],
            _ => Vec::new(),
        }
    }

    /// The certificate that a renewal proves.
    pub(crate) fn proven<'r>(
        self,
        context: &Context,
        request: &'r Request,
    ) -> Result<&'r Certificate, NotApproved> {
        if request.kind != RequestKind::Renewal {
            return Err(deny(
                DenialCode::NotSupported,
                "not a renewal: name this plug-in in `verifiers.renewal` only",
            ));
        }
        let Some(current) = &request.current_certificate else {
            return Err(deny(DenialCode::NotSupported, "a renewal without a current certificate"));
        };
        if !current.host_validated {
            return Err(deny(
                DenialCode::NotSupported,
                "the host did not validate the current certificate, so it proves nothing",
            ));
        }
        let current = &current.certificate;
        self.in_time(current, context.now)?;
        if self.new_key && current.key.spki_sha256 == request.key.spki_sha256 {
            return Err(deny(
                DenialCode::Other("same-key".to_owned()),
                "the request is for the key of the current certificate, and the setting `new-key` \
                 demands another",
            ));
        }
        Ok(current)
    }

    fn in_time(self, current: &Certificate, now: SystemTime) -> Result<(), NotApproved> {
        let Some(days) = self.last_days else {
            return Ok(());
        };
        let last = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        let begins = current.not_after.checked_sub(last).unwrap_or(SystemTime::UNIX_EPOCH);
        if now < begins {
            return Err(deny(
                DenialCode::Other("too-early".to_owned()),
                format!("the current certificate may be renewed in its last {days} days"),
            ));
        }
        Ok(())
    }
}

/// Vouches for every name that the proven certificate says, and no others.
pub(crate) fn renewed(current: &Certificate) -> Approval {
    Approval::of_names(names(current))
        .evidence("current-serial-number", current.serial_number.as_str())
        .evidence("current-issuer", current.issuer.as_str())
}

fn names(current: &Certificate) -> Vec<Name> {
    current
        .subject
        .iter()
        .flatten()
        .cloned()
        .map(Name::SubjectAttribute)
        .chain(current.subject_alternative_names.iter().cloned())
        .collect()
}
