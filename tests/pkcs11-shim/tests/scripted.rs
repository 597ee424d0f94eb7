//! Each order of a script, as an application that speaks to SoftHSM2 through the module meets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use countersign_pkcs11_shim::ck::{
    CKA_LABEL, CKA_MODULUS, CKA_SENSITIVE, CKF_USER_PIN_COUNT_LOW, CKM_RSA_X_509, CKR_DEVICE_ERROR,
    CKR_FUNCTION_FAILED,
};
use countersign_pkcs11_shim::{Change, Objects, Script, Shim, TokenPresence, When};
use countersign_softhsm::{in_a_process, init_token, module};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

const PIN: &str = "correct horse";

struct Application {
    shim: Shim,
    forwarding: Script,
    module: Pkcs11,
}

impl Application {
    fn start(folder: &Path) -> Self {
        init_token("a token", "officer's PIN", PIN);
        let forwarding = Script::forwarding_to(module());
        let shim = Shim::install(folder, "shim", &forwarding);
        let module = Pkcs11::new(shim.path()).unwrap();
        let application = Self { shim, forwarding, module };
        application.initialize();
        application
    }

    fn initialize(&self) {
        self.module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    }

    /// From the next call on.
    fn now(&self, change: impl FnOnce(Script) -> Script) {
        self.shim.follow(&change(self.forwarding.clone()));
    }

    fn slot(&self) -> Slot {
        self.module.get_slots_with_initialized_token().unwrap()[0]
    }

    fn session(&self) -> Session {
        let session = self.module.open_rw_session(self.slot()).unwrap();
        session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
        session
    }

    fn end(self, session: Session) {
        drop(session);
        self.module.finalize().unwrap();
    }
}

fn generate(session: &Session, label: &str) -> (ObjectHandle, ObjectHandle) {
    let label = Attribute::Label(label.as_bytes().to_vec());
    let public = [label.clone(), Attribute::Token(true), Attribute::ModulusBits(2048.into())];
    let private = [label, Attribute::Token(true), Attribute::Sensitive(true)];
    session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private).unwrap()
}

fn keys(session: &Session, class: ObjectClass) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Class(class)]).unwrap()
}

fn code<T: std::fmt::Debug>(result: cryptoki::error::Result<T>) -> RvError {
    match result {
        Err(Error::Pkcs11(code, _)) => code,
        other => panic!("expected a return code, found {other:?}"),
    }
}

fn sign(session: &Session, key: ObjectHandle) -> cryptoki::error::Result<Vec<u8>> {
    session.sign(&Mechanism::Sha256RsaPkcs, key, b"message")
}

#[test]
fn functions_fail_when_they_are_told_to_and_calls_are_counted() {
    in_a_process("functions_fail_when_they_are_told_to_and_calls_are_counted", |folder| {
        let application = Application::start(folder);
        let session = application.session();
        assert_eq!(application.shim.count("C_Login"), 1);
        let random = || session.generate_random_vec(8);

        application
            .now(|script| script.fails("C_GenerateRandom", CKR_DEVICE_ERROR, When::OnCall(2)));
        assert_eq!(random().unwrap().len(), 8);
        assert_eq!(code(random()), RvError::DeviceError);
        assert_eq!(random().unwrap().len(), 8);

        application
            .now(|script| script.fails("C_GenerateRandom", CKR_DEVICE_ERROR, When::FirstCalls(2)));
        assert_eq!(code(random()), RvError::DeviceError);
        assert_eq!(code(random()), RvError::DeviceError);
        random().unwrap();

        application
            .now(|script| script.fails("C_GenerateRandom", CKR_FUNCTION_FAILED, When::Always));
        for _ in 0..5 {
            assert_eq!(code(random()), RvError::FunctionFailed);
        }
        application.now(|script| script);
        random().unwrap();
        assert_eq!(application.shim.count("C_GenerateRandom"), 12);
        // Names and nothing else.
        let calls = application.shim.calls().join("\n");
        assert!(calls.contains("C_Login") && !calls.contains("horse"), "{calls}");
        application.end(session);
    });
}

#[test]
fn a_call_is_delayed_and_others_pass_it() {
    in_a_process("a_call_is_delayed_and_others_pass_it", |folder| {
        let application = Application::start(folder);
        let session = application.session();
        let delay = Duration::from_millis(800);
        application.now(|script| script.delays("C_GenerateRandom", delay, When::Always));
        let started = Instant::now();
        std::thread::scope(|scope| {
            let other = application.module.open_ro_session(application.slot()).unwrap();
            let slow = scope.spawn(move || other.generate_random_vec(8).unwrap());
            std::thread::sleep(Duration::from_millis(50));
            session.get_session_info().unwrap();
            assert!(started.elapsed() < delay);
            slow.join().unwrap();
            assert!(started.elapsed() >= delay);
        });
        application.end(session);
    });
}

#[test]
fn signatures_come_out_wrong() {
    in_a_process("signatures_come_out_wrong", |folder| {
        let application = Application::start(folder);
        let session = application.session();
        let (_, key) = generate(&session, "a key");
        let good = sign(&session, key).unwrap();
        application.now(|script| script.signs_wrongly(When::OnCall(2)));
        assert_eq!(sign(&session, key).unwrap(), good);
        let wrong = sign(&session, key).unwrap();
        assert_eq!((wrong.len(), wrong[255] ^ 1), (256, good[255]));
        assert_eq!(sign(&session, key).unwrap(), good);
        // With the mechanism: CKM_SHA256_RSA_PKCS.
        assert!(application.shim.calls().contains(&"C_SignInit 0x40".to_owned()));
        application.end(session);
    });
}

#[test]
fn attributes_are_other_than_they_are() {
    in_a_process("attributes_are_other_than_they_are", |folder| {
        let application = Application::start(folder);
        let session = application.session();
        let (public, private) = generate(&session, "a key");
        let (_, other) = generate(&session, "another");
        let is_sensitive = |key| {
            let attributes = session.get_attributes(key, &[AttributeType::Sensitive]).unwrap();
            attributes == [Attribute::Sensitive(true)]
        };
        let modulus = || session.get_attributes(public, &[AttributeType::Modulus]).unwrap();
        let real_modulus = modulus();
        assert!(is_sensitive(private));

        let one = || Objects::private("a key");
        application.now(|script| script.attribute(one(), CKA_SENSITIVE, Change::Set(false)));
        assert!(!is_sensitive(private) && is_sensitive(other));
        application.now(|script| script.attribute(one(), CKA_SENSITIVE, Change::Omit));
        assert!(!is_sensitive(private) && is_sensitive(other));
        let info = session.get_attribute_info(private, &[AttributeType::Sensitive]).unwrap();
        assert!(matches!(info[..], [AttributeInfo::TypeInvalid]), "{info:?}");
        application
            .now(|script| script.attribute(Objects::public("a key"), CKA_MODULUS, Change::Flip));
        assert_ne!(modulus(), real_modulus);
        application.now(|script| script);
        assert_eq!(modulus(), real_modulus);
        application.end(session);
    });
}

#[test]
fn the_token_warns_and_lacks_a_mechanism() {
    in_a_process("the_token_warns_and_lacks_a_mechanism", |folder| {
        let application = Application::start(folder);
        let session = application.session();
        let (_, key) = generate(&session, "a key");
        let slot = application.slot();
        let warns = || application.module.get_token_info(slot).unwrap().user_pin_count_low();
        let lists = || {
            application.module.get_mechanism_list(slot).unwrap().contains(&MechanismType::RSA_X_509)
        };
        let raw = || session.decrypt(&Mechanism::RsaX509, key, &[7; 256]);
        assert!(!warns() && lists());
        raw().unwrap();
        application.now(|script| {
            script.token_flags(CKF_USER_PIN_COUNT_LOW).without_mechanism(CKM_RSA_X_509)
        });
        assert!(warns() && !lists());
        let info = application.module.get_mechanism_info(slot, MechanismType::RSA_X_509);
        assert_eq!(code(info), RvError::MechanismInvalid);
        assert_eq!(code(raw()), RvError::MechanismInvalid);
        application.end(session);
    });
}

#[test]
fn objects_are_hidden_and_found_twice() {
    in_a_process("objects_are_hidden_and_found_twice", |folder| {
        let application = Application::start(folder);
        let session = application.session();
        for number in 0..12 {
            // More than applications ask for at once.
            let label = Attribute::Label(format!("data {number}").into_bytes());
            let data = [Attribute::Class(ObjectClass::DATA), Attribute::Token(false), label];
            session.create_object(&data).unwrap();
        }
        generate(&session, "a key");
        generate(&session, "another");
        let all = session.find_objects(&[]).unwrap();
        assert_eq!(all.len(), 16);

        application.now(|script| script.hides(Objects::private("a key")));
        assert_eq!(keys(&session, ObjectClass::PRIVATE_KEY).len(), 1);
        assert_eq!(keys(&session, ObjectClass::PUBLIC_KEY).len(), 2);
        assert_eq!(session.find_objects(&[]).unwrap().len(), 15);

        application.now(|script| script.duplicates(Objects::private("a key")));
        assert_eq!(session.find_objects(&[]).unwrap().len(), 17);
        let twice = session
            .find_objects(&[
                Attribute::Class(ObjectClass::PRIVATE_KEY),
                Attribute::Label(b"a key".to_vec()),
            ])
            .unwrap();
        assert_eq!(twice.len(), 2);
        assert_ne!(twice[0], twice[1]);
        let label = |key| session.get_attributes(key, &[AttributeType::Label]).unwrap();
        assert_eq!(label(twice[0]), label(twice[1]));
        assert_eq!(sign(&session, twice[0]).unwrap(), sign(&session, twice[1]).unwrap());
        assert_eq!(CKA_LABEL, 3);
        application.end(session);
    });
}

#[test]
fn a_token_that_was_taken_out_comes_back_without_its_sessions() {
    in_a_process("a_token_that_was_taken_out_comes_back_without_its_sessions", |folder| {
        let application = Application::start(folder);
        let session = application.session();
        let (_, key) = generate(&session, "a key");
        let slot = application.slot();
        application.now(|script| script.token(TokenPresence::Removed));
        assert_eq!(code(sign(&session, key)), RvError::DeviceRemoved);
        assert_eq!(code(application.module.open_rw_session(slot)), RvError::TokenNotPresent);
        assert!(application.module.get_slots_with_token().unwrap().is_empty());
        assert!(!application.module.get_all_slots().unwrap().is_empty());
        assert!(!application.module.get_slot_info(slot).unwrap().token_present());

        application.now(|script| script);
        assert_eq!(code(sign(&session, key)), RvError::SessionHandleInvalid);
        drop(session);
        let session = application.session();
        let again = keys(&session, ObjectClass::PRIVATE_KEY);
        sign(&session, again[0]).unwrap();
        application.end(session);
    });
}

#[test]
fn a_token_may_need_a_new_start_of_the_module() {
    in_a_process("a_token_may_need_a_new_start_of_the_module", |folder| {
        let mut application = Application::start(folder);
        let session = application.session();
        generate(&session, "a key");
        application.now(|script| script.token(TokenPresence::RemovedUntilInitialize));
        assert!(application.module.get_slots_with_token().unwrap().is_empty());
        application.now(|script| script);
        assert!(application.module.get_slots_with_token().unwrap().is_empty());
        assert_eq!(code(session.get_session_info()), RvError::DeviceRemoved);
        drop(session);
        application.module.finalize().unwrap();
        application.module = Pkcs11::new(application.shim.path()).unwrap();
        application.initialize();
        let session = application.session();
        assert_eq!(keys(&session, ObjectClass::PRIVATE_KEY).len(), 1);
        application.end(session);
    });
}

#[test]
fn each_copy_follows_its_own_script() {
    in_a_process("each_copy_follows_its_own_script", |folder| {
        let application = Application::start(folder);
        let second = Shim::install(
            folder,
            "second",
            &application.forwarding.clone().fails("C_GetInfo", CKR_DEVICE_ERROR, When::Always),
        );
        let other = Pkcs11::new(second.path()).unwrap();
        assert_eq!(code(other.get_library_info()), RvError::DeviceError);
        application.module.get_library_info().unwrap();
        assert_eq!((second.count("C_GetInfo"), application.shim.count("C_GetInfo")), (1, 1));
        application.module.finalize().unwrap();
    });
}

#[test]
fn a_script_that_is_not_there_is_no_script_that_says_nothing() {
    in_a_process("a_script_that_is_not_there_is_no_script_that_says_nothing", |folder| {
        let application = Application::start(folder);
        std::fs::remove_file(folder.join("shim.so.script")).unwrap();
        assert_eq!(code(application.module.get_library_info()), RvError::FunctionFailed);
        application.now(|script| script);
        application.module.finalize().unwrap();
    });
}
