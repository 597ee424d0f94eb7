use schemars::JsonSchema;
use serde::Deserialize;

/// A field of a device's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The hardware's serial number.
    SerialNumber,
    /// The device's UDID.
    Udid,
    /// The UUID by which the device management knows the device.
    Uuid,
    /// The number of the record.
    RecordId,
    /// What the device is called: a user can change it.
    DeviceName,
    /// The asset tag, which a user can change in some device managements.
    AssetTag,
    /// The user that the device is assigned to.
    Username,
    /// That user's mail address.
    Email,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SerialNumber,
        Self::Udid,
        Self::Uuid,
        Self::RecordId,
        Self::DeviceName,
        Self::AssetTag,
        Self::Username,
        Self::Email,
    ];

    /// How it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SerialNumber => "serial-number",
            Self::Udid => "udid",
            Self::Uuid => "uuid",
            Self::RecordId => "record-id",
            Self::DeviceName => "device-name",
            Self::AssetTag => "asset-tag",
            Self::Username => "username",
            Self::Email => "email",
        }
    }

    /// Whether somebody with the device in his hands, or who enrols one, may have chosen it.
    #[must_use]
    pub fn is_user_changeable(self) -> bool {
        match self {
            Self::SerialNumber | Self::Udid | Self::Uuid | Self::RecordId => false,
            Self::DeviceName | Self::AssetTag | Self::Username | Self::Email => true,
        }
    }
}
