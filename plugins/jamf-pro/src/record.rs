//! A device's record in Jamf Pro's inventory. Computers and mobile devices keep the same facts in
//! different places.

use serde_json::Value;

use crate::template::Field;

/// Which inventory a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Computer,
    MobileDevice,
}

impl Kind {
    /// How its devices are called towards the host: `computer:52`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Computer => "computer",
            Self::MobileDevice => "mobile-device",
        }
    }

    /// The device id of a record. An id is given to one record only; a device that is enrolled anew
    /// after its record was deleted is another one.
    pub(crate) fn device_id(self, id: &str) -> String {
        format!("{}:{id}", self.word())
    }

    /// The record of a device id.
    pub(crate) fn of_device_id(device: &str) -> Option<(Self, &str)> {
        let (word, id) = device.split_once(':')?;
        let kind =
            [Self::Computer, Self::MobileDevice].into_iter().find(|kind| kind.word() == word)?;
        is_id(id).then_some((kind, id))
    }

    /// Where a field stands.
    fn pointer(self, field: Field) -> &'static str {
        match (self, field) {
            (_, Field::SerialNumber) => "/hardware/serialNumber",
            (_, Field::ManagementId) => "/general/managementId",
            (_, Field::AssetTag) => "/general/assetTag",
            (_, Field::Username) => "/userAndLocation/username",
            (Self::Computer, Field::RecordId) => "/id",
            (Self::Computer, Field::Udid) => "/udid",
            (Self::Computer, Field::DeviceName) => "/general/name",
            (Self::Computer, Field::Email) => "/userAndLocation/email",
            (Self::MobileDevice, Field::RecordId) => "/mobileDeviceId",
            (Self::MobileDevice, Field::Udid) => "/general/udid",
            (Self::MobileDevice, Field::DeviceName) => "/general/displayName",
            (Self::MobileDevice, Field::Email) => "/userAndLocation/emailAddress",
        }
    }
}

/// A record with an id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    kind: Kind,
    id: String,
    value: Value,
}

impl Record {
    /// Reads one; none without an id.
    pub(crate) fn read(kind: Kind, value: Value) -> Option<Self> {
        let id = match value.pointer(kind.pointer(Field::RecordId))? {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return None,
        };
        is_id(&id).then_some(Self { kind, id, value })
    }

    /// The device in words that never change.
    pub(crate) fn device_id(&self) -> String {
        self.kind.device_id(&self.id)
    }

    /// A field's value, where it has one.
    pub(crate) fn field(&self, field: Field) -> Option<&str> {
        if field == Field::RecordId {
            return Some(&self.id);
        }
        self.value.pointer(self.kind.pointer(field))?.as_str().filter(|value| !value.is_empty())
    }

    /// Whether Jamf Pro manages it; none where it does not say.
    pub(crate) fn managed(&self) -> Option<bool> {
        let pointer = match self.kind {
            Kind::Computer => "/general/remoteManagement/managed",
            Kind::MobileDevice => "/general/managed",
        };
        self.value.pointer(pointer)?.as_bool()
    }
}

/// Ids are numbers, written as text.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
