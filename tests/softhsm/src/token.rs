//! Tokens, in a process whose environment names them.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

/// Makes a token of this label in the first free slot, with a PIN for its user.
///
/// # Panics
/// SoftHSM2 is not installed, or refuses.
pub fn init_token(label: &str, so_pin: &str, pin: &str) {
    let module = initialised();
    // SoftHSM2 always has one more slot, for the next token.
    let slots = module.get_all_slots().expect("slots");
    let is_free = |slot: &&cryptoki::slot::Slot| {
        module.get_token_info(**slot).is_ok_and(|token| !token.token_initialized())
    };
    let slot = *slots.iter().find(is_free).expect("a free slot");
    let so_pin = AuthPin::new(so_pin.into());
    module.init_token(slot, &so_pin, label).expect("the token is made");
    let session = module.open_rw_session(slot).expect("a session");
    session.login(UserType::So, Some(&so_pin)).expect("the officer logs in");
    session.init_pin(&AuthPin::new(pin.into())).expect("the PIN is set");
    // In this order: SoftHSM2 does not take it well when sessions close while the process ends.
    drop(session);
    module.finalize().expect("SoftHSM2 is finalised");
}

/// Puts the public half of an RSA key of exponent 65537 onto the token of this label.
///
/// # Panics
/// There is no such token, or SoftHSM2 refuses.
pub fn import_public_rsa(label: &str, pin: &str, modulus: &[u8]) {
    let module = initialised();
    let slots = module.get_slots_with_initialized_token().expect("slots");
    let is_it = |slot: &&cryptoki::slot::Slot| {
        module.get_token_info(**slot).is_ok_and(|token| token.label().trim_end() == label)
    };
    let slot = *slots.iter().find(is_it).expect("a token of this label");
    let session = module.open_rw_session(slot).expect("a session");
    session.login(UserType::User, Some(&AuthPin::new(pin.into()))).expect("the user logs in");
    session
        .create_object(&[
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Token(true),
            Attribute::Label(b"imported".to_vec()),
            Attribute::Modulus(modulus.to_vec()),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ])
        .expect("the object is made");
    drop(session);
    module.finalize().expect("SoftHSM2 is finalised");
}

fn initialised() -> Pkcs11 {
    let module = Pkcs11::new(crate::module()).expect("SoftHSM2 is loaded");
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .expect("SoftHSM2 is initialised");
    module
}
