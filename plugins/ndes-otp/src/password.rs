//! The form of a password, and where it is remembered.

use countersign_sdk::{Host, SecretError};

/// The key under which passwords are remembered, by the name that the configuration gives it.
pub const KEY: &str = "password-key";

/// The fewest and the most digits that a password has.
const DIGITS: std::ops::RangeInclusive<usize> = 16..=64;

/// A fresh one: upper-case hexadecimal digits, two a byte.
pub(crate) fn make(bytes: u8, host: &Host) -> String {
    let random: [u8; 32] = host.random();
    let mut digits = hex::encode_upper(random);
    digits.truncate((usize::from(bytes) * 2).clamp(*DIGITS.start(), *DIGITS.end()));
    digits
}

/// What a device sent, if it can be a password at all. People type lower case and put blanks and
/// dashes in.
pub(crate) fn read(sent: &str) -> Option<String> {
    if sent.len() > 2 * DIGITS.end() {
        return None;
    }
    let digits: String = sent
        .chars()
        .filter(|character| !matches!(character, ' ' | '-'))
        .map(|character| character.to_ascii_uppercase())
        .collect();
    let is_password =
        DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_password.then_some(digits)
}

/// Where a password is remembered. The profile is inside: at another profile's URL it is unknown.
pub(crate) fn entry(profile: &str, password: &str, host: &Host) -> Result<String, SecretError> {
    let message = format!("countersign-ndes-otp-1\n{profile}\n{password}");
    let tag = host.secrets().mac(KEY, message.as_bytes())?;
    Ok(format!("password/{}", hex::encode(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_as_people_type_it_and_nothing_else_is_one() {
        for typed in ["0123456789ABCDEF", "0123-4567-89ab-cdef", " 01234567 89abcdef "] {
            assert_eq!(read(typed).as_deref(), Some("0123456789ABCDEF"), "{typed}");
        }
        let long = "A".repeat(64);
        assert_eq!(read(&long), Some(long.clone()));
        for no in ["", "0123456789ABCDE", "0123456789ABCDEG", &format!("{long}A"), &"-".repeat(200)]
        {
            assert_eq!(read(no), None, "{no}");
        }
    }
}
