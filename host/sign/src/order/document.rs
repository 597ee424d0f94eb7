//! What an order says, to the octet. Whoever carries it out reads it with one strict pattern, in
//! any language; nothing in it needs quoting, and there is one way to write it.
//!
//! ```text
//! countersign-revocation-order-1
//! number: 17
//! authority: ad
//! serial: 6100000002f3
//! certificate-sha256: 9f86d081…
//! reason: cessation-of-operation
//! ordered: 1764547200
//! ```
//!
//! ASCII, each line with a line feed. The signature is ECDSA with SHA-256 on P-256 over all of it, as
//! 64 octets r‖s (the form that .NET, WebCrypto and JOSE verify).

use std::collections::BTreeMap;

use countersign_ipc::OrderToSign;

use crate::refusal::Refused;

/// The reasons that AD CS and the lab CA put into their lists.
const REASONS: [&str; 5] = [
    "unspecified",
    "key-compromise",
    "affiliation-changed",
    "superseded",
    "cessation-of-operation",
];

/// Who may place orders.
const SOURCES: [&str; 4] = ["check", "event", "tombstone", "admin"];

/// Most digits of a serial number: 40 octets, twice what RFC 5280 allows.
const SERIAL_DIGITS: usize = 80;

/// An order whose every word may stand in a document.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) order: OrderToSign,
    pub(crate) certificate_sha256: [u8; 32],
}

impl Admitted {
    /// Checks words and form; what the book knows is checked there.
    pub(crate) fn new(
        order: OrderToSign,
        authorities: &BTreeMap<String, String>,
    ) -> Result<Self, Refused> {
        match authorities.get(&order.profile) {
            Some(authority) if *authority == order.authority => {}
            Some(_) => {
                return Err(Refused::new(
                    "authority-differs",
                    "the profile's certificates are issued by another authority",
                ));
            }
            None => return Err(Refused::new("unknown-profile", "the config has no such profile")),
        }
        let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if order.serial.is_empty()
            || order.serial.len() > SERIAL_DIGITS
            || !order.serial.bytes().all(digits)
        {
            return Err(Refused::new(
                "serial-malformed",
                "expected 1 to 80 lower-case hexadecimal digits",
            ));
        }
        if !REASONS.contains(&order.reason.as_str()) {
            return Err(Refused::new("reason-unknown", "expected a reason of RFC 5280"));
        }
        if !SOURCES.contains(&order.source.as_str()) {
            return Err(Refused::new("source-unknown", "expected who placed the order"));
        }
        let certificate_sha256 = order.certificate_sha256.as_ref().try_into().map_err(|_| {
            Refused::new("certificate-malformed", "expected a SHA-256 of 32 octets")
        })?;
        Ok(Self { order, certificate_sha256 })
    }
}

/// The octets that are signed.
pub(crate) fn document(number: u64, admitted: &Admitted, ordered: u64) -> String {
    let Admitted { order, certificate_sha256 } = admitted;
    format!(
        "countersign-revocation-order-1\n\
         number: {number}\n\
         authority: {}\n\
         serial: {}\n\
         certificate-sha256: {}\n\
         reason: {}\n\
         ordered: {ordered}\n",
        order.authority,
        order.serial,
        hex::encode(certificate_sha256),
        order.reason,
    )
}

#[cfg(test)]
mod tests {
    use countersign_ipc::{Bytes, EnrolmentId};

    use super::*;

    fn order() -> OrderToSign {
        OrderToSign {
            authority: "ad".into(),
            serial: "6100000002f3".into(),
            certificate_sha256: Bytes(vec![0xab; 32]),
            profile: "wifi".into(),
            enrolment: EnrolmentId([1; 32]),
            attempt: 1,
            reason: "cessation-of-operation".into(),
            source: "event".into(),
            detail: "intune: 1".into(),
        }
    }

    fn admit(order: OrderToSign) -> Result<Admitted, Refused> {
        Admitted::new(order, &BTreeMap::from([("wifi".to_owned(), "ad".to_owned())]))
    }

    #[test]
    fn an_order_is_written_in_one_way() {
        let written = document(17, &admit(order()).unwrap(), 1_764_547_200);
        let expected = format!(
            "countersign-revocation-order-1\nnumber: 17\nauthority: ad\nserial: 6100000002f3\n\
             certificate-sha256: {}\nreason: cessation-of-operation\nordered: 1764547200\n",
            "ab".repeat(32)
        );
        assert_eq!(written, expected);
    }

    #[test]
    fn no_word_can_bring_a_line_of_its_own() {
        let mut wrong: Vec<(&str, OrderToSign)> = Vec::new();
        for serial in ["", "6G", "61 00", "61\nnumber: 18", "6A", &"1".repeat(81)] {
            wrong.push(("serial-malformed", OrderToSign { serial: serial.into(), ..order() }));
        }
        for reason in ["", "hold", "unspecified\nserial: 00"] {
            wrong.push(("reason-unknown", OrderToSign { reason: reason.into(), ..order() }));
        }
        let of = |change: fn(&mut OrderToSign)| {
            let mut order = order();
            change(&mut order);
            order
        };
        wrong.push(("authority-differs", of(|order| order.authority = "other".into())));
        wrong.push(("unknown-profile", of(|order| order.profile = "other".into())));
        wrong.push(("source-unknown", of(|order| order.source = "me".into())));
        wrong
            .push(("certificate-malformed", of(|order| order.certificate_sha256 = vec![1].into())));
        for (code, order) in wrong {
            assert_eq!(admit(order.clone()).unwrap_err().code, code, "{order:?}");
        }
    }
}
