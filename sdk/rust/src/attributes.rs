use std::fmt;

/// Open-ended facts, each a name and a value, in the order they were given.
///
/// Names are lower-case kebab (`mdm-record`); the same name may come more than once. Ignore names
/// that you do not know: this is how the contract grows without breaking plug-ins.
///
/// ```
/// use countersign_sdk::Attributes;
///
/// let evidence = Attributes::from([("mdm-record", "4711"), ("state", "supervised")]);
/// assert_eq!(evidence.get("state"), Some("supervised"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// No facts.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a fact.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn from_wire(list: Vec<(String, String)>) -> Self {
        Self(list)
    }

    pub(crate) fn into_wire(self) -> Vec<(String, String)> {
        self.0
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(facts: I) -> Self {
        Self(facts.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]> for Attributes {
    fn from(facts: [(N, V); COUNT]) -> Self {
        facts.into_iter().collect()
    }
}
