//! Station `receive`: bytes that can be answered. Holds no key, verifies nothing.

use countersign_scep::{Bounds, Message, ParseError};

use crate::arrival::Arrival;

/// A message with a transaction and a signer to answer to; nothing in it is verified.
#[derive(Debug)]
pub struct Received {
    arrival: Arrival,
    message: Message,
}

/// Reads the message far enough to know whom to answer. What fails here gets HTTP 400.
pub(crate) fn receive(arrival: Arrival, bounds: &Bounds) -> Result<Received, ParseError> {
    let message = Message::parse(&arrival.message, bounds)?;
    Ok(Received { arrival, message })
}

impl Received {
    /// How it came.
    #[must_use]
    pub fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// What came.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }
}
