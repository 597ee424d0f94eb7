//! Revocation orders: the revocation fuse, the ledger entry and the signature of the order key,
//! in one transaction. Never the EA key, and never an order for a certificate that none of our own
//! signatures led to: a stolen `verify` can revoke what this installation issued, at the fuse's
//! rate, and nothing else.

mod document;
mod key;
mod people;

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_config::{AdminSettings, Config, RevocationFuseSettings};
use countersign_ipc::{EndedOrder, OrderToSign, SignReply};
use countersign_ledger as ledger;

pub(crate) use self::document::{Admitted, document};
pub(crate) use self::key::OrderKey;
pub use self::key::OrderKeyError;
use self::people::Proposals;
use crate::book::{OrderTaken, Taken};
use crate::process::Process;
use crate::refusal::Refused;

/// Seconds after which an order that the ledger cannot be asked about yet is asked for again.
const SOON: u32 = 5;

/// What orders need beside the book.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Without a revoker there is none, and nothing is signed.
    key: Option<Arc<OrderKey>>,
    limits: RevocationFuseSettings,
    /// The authority of each profile.
    authorities: BTreeMap<String, String>,
    people: AdminSettings,
    proposals: Proposals,
}

impl Orders {
    pub(crate) fn new(config: &Config, key: Option<OrderKey>) -> Self {
        Self {
            key: key.map(Arc::new),
            limits: config.sign.revocation_fuse.clone(),
            authorities: config
                .profile
                .iter()
                .map(|(name, profile)| (name.clone(), profile.authority.clone()))
                .collect(),
            people: config.admin.clone(),
            proposals: Proposals::default(),
        }
    }
}

impl Process {
    /// Signs an order, or says why not. The same order again gets the same octets.
    pub(crate) async fn sign_order(&self, order: OrderToSign) -> SignReply {
        let Some(key) = self.orders.key.clone() else {
            let refused = Refused::new("no-order-key", "[sign.order] names no key");
            return self.refuse_order(refused);
        };
        if let Some(detail) = self.readiness.why_not_sign() {
            return SignReply::Unavailable { retry_after: 60, detail };
        }
        let order = match Admitted::new(order, &self.orders.authorities) {
            Ok(order) => order,
            Err(refused) => return self.refuse_order(refused),
        };
        let taken = self.book.sign_order(order, key, self.orders.limits.clone()).await;
        match taken {
            Ok(OrderTaken::Signed { order, is_new }) => {
                if is_new {
                    self.metrics.order_signed();
                }
                SignReply::OrderSigned(order)
            }
            Ok(OrderTaken::Held { detail, is_first }) => {
                self.metrics.order_held();
                if is_first {
                    tracing::error!(detail, "ALARM: the revocation fuse has blown");
                }
                SignReply::OrderHeld { detail }
            }
            Ok(OrderTaken::NotYet(detail)) => SignReply::Unavailable { retry_after: SOON, detail },
            Ok(OrderTaken::Refused(refused)) => self.refuse_order(refused),
            Err(error) => {
                self.notice(&error);
                self.metrics.unavailable();
                SignReply::Unavailable { retry_after: SOON, detail: error.to_string() }
            }
        }
    }

    /// Puts the end of an order into the ledger. A second time it changes nothing.
    pub(crate) async fn order_ended(&self, ended: EndedOrder) -> SignReply {
        match self.book.order_ended(ended).await {
            Ok(Ok(Taken::Now | Taken::Before)) => SignReply::Done,
            Ok(Err(refused)) => self.refuse_order(refused),
            Err(error) => {
                self.notice(&error);
                SignReply::Unavailable { retry_after: SOON, detail: error.to_string() }
            }
        }
    }

    /// Puts into the ledger that people took back what was held.
    pub(crate) async fn orders_withdrawn(&self, people: &str, detail: &str) -> SignReply {
        let act = ledger::Admin {
            who: people.into(),
            act: "orders-withdrawn".into(),
            detail: detail.into(),
        };
        match self.record(vec![ledger::Event::Admin(act)]).await {
            Ok(()) => SignReply::Done,
            Err(error) => {
                self.notice(&error);
                SignReply::Unavailable { retry_after: SOON, detail: error.to_string() }
            }
        }
    }

    /// The public half of the order key, PEM.
    pub(crate) fn order_key_pem(&self) -> Result<String, String> {
        self.orders.key.as_ref().map(|key| key.public_pem()).ok_or_else(|| {
            "there is no order key; name one in [sign.order] and make it with `countersign keys \
             init`"
                .to_owned()
        })
    }

    fn refuse_order(&self, refused: Refused) -> SignReply {
        tracing::error!(code = refused.code, detail = refused.detail, "an order was not taken");
        self.metrics.refused(refused.code);
        SignReply::Refused { code: refused.code.to_owned() }
    }
}
