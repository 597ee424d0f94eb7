//! What an admin let a plug-in do.

/// Powers granted by name in `[plugin.NAME.grants]`. Nothing is granted by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    /// The import `log`.
    pub log: bool,
    /// The import `kv`.
    pub kv: bool,
    /// The import `challenges`.
    pub challenges: bool,
    /// The import `http`. Given by [`PluginSettings::http`](crate::PluginSettings), whatever
    /// stands here.
    pub http: bool,
    /// The import `secrets`. Given by [`PluginSettings::secrets`](crate::PluginSettings), whatever
    /// stands here.
    pub secrets: bool,
    /// To vouch for a request as it stands. An answer that does so without it is no answer.
    pub exactly_as_requested: bool,
}

impl Grants {
    /// Everything this host has: to look at a component (`inspect`), whose imports then refuse to
    /// work.
    pub(crate) const ALL: Self = Self {
        log: true,
        kv: true,
        challenges: true,
        http: true,
        secrets: true,
        exactly_as_requested: true,
    };
}
