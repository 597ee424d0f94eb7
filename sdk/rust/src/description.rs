use crate::Attributes;

/// What a plug-in says about itself. Shown by `countersign plugin inspect`, stored at installation,
/// and compared when a new version comes. The schema of the settings is added from
/// [`Verifier::Settings`](crate::Verifier::Settings).
///
/// ```
/// use countersign_sdk::{Description, Power};
///
/// let description = Description::new("one-time-password", env!("CARGO_PKG_VERSION"), "Example AG")
///     .summary("Devices that come with a one-time challenge which this host issued")
///     .wants(Power::Challenges, "To redeem the challenge that a device sends");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) vendor: String,
    pub(crate) summary: String,
    pub(crate) wants: Vec<(Power, String)>,
    pub(crate) events: Vec<String>,
    pub(crate) vouches_from_user_attributes: bool,
    pub(crate) notified_before_answer: bool,
    pub(crate) links: Vec<(String, String)>,
    pub(crate) attributes: Attributes,
}

impl Description {
    /// `name` is lower-case kebab, at most 64 bytes; `version` the semantic version of the plug-in
    /// (usually `env!("CARGO_PKG_VERSION")`), not of the contract.
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        vendor: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            vendor: vendor.into(),
            summary: String::new(),
            wants: Vec::new(),
            events: Vec::new(),
            vouches_from_user_attributes: false,
            notified_before_answer: false,
            links: Vec::new(),
            attributes: Attributes::new(),
        }
    }

    /// One sentence: which devices, verified against what.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// Asks for a power, with one sentence for the admin who decides about the grant.
    pub fn wants(mut self, power: Power, why: impl Into<String>) -> Self {
        self.wants.push((power, why.into()));
        self
    }

    /// Names a kind of event that [`Events::on_event`](crate::Events::on_event) understands.
    pub fn event(mut self, kind: impl Into<String>) -> Self {
        self.events.push(kind.into());
        self
    }

    /// To be said by a plug-in that ever vouches for a name from something that a user can change in
    /// the device management, such as the device's display name. Such names are an attack, so the
    /// admin is warned.
    pub fn vouches_from_user_attributes(mut self) -> Self {
        self.vouches_from_user_attributes = true;
        self
    }

    /// To be said by a plug-in whose device management must know of a certificate before the device
    /// has it: the device is given it only after [`Outcomes::notify`](crate::Outcomes::notify) has
    /// returned `Ok`, and told to come again until then.
    pub fn notified_before_answer(mut self) -> Self {
        self.notified_before_answer = true;
        self
    }

    /// Where to read on: a word (`documentation`, `source`, `support`) and its URL.
    pub fn link(mut self, word: impl Into<String>, url: impl Into<String>) -> Self {
        self.links.push((word.into(), url.into()));
        self
    }

    /// Adds an open-ended fact for the host.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(name, value);
        self
    }
}

/// Something that a plug-in needs from the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Power {
    /// [`Host::challenges`](crate::Host::challenges).
    Challenges,
    /// [`Host::kv`](crate::Host::kv).
    Kv,
    /// A host to speak to with [`Host::http`](crate::Host::http): `api.example.com`,
    /// `*.example.com`, `host:8443`. A part in braces is a JSON pointer into the settings, for
    /// tenants' own hosts: `{/tenant-host}`.
    Host(String),
    /// A credential or key, by the name that the code uses for it with `http` or `secrets`.
    Secret(String),
    /// To answer [`Approval::exactly_as_requested`](crate::Approval::exactly_as_requested).
    ExactlyAsRequested,
    /// To have certificates revoked, from [`Events`](crate::Events).
    Revocation,
    /// One that this version of the contract does not name.
    Other(String),
}
