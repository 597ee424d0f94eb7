//! Functions whose answers change: what the token is, what it can, what it signs.
#![allow(non_snake_case, reason = "the names of PKCS#11")]

use cryptoki_sys::*;

use crate::objects::{MECHANISMS_SHOWN, real_handle};
use crate::running::{Call, begin, begin_with, signs_wrongly};

macro_rules! ask {
    ($call:ident.$name:ident($($argument:expr),*)) => {
        match $call.real.$name {
            // SAFETY: the caller keeps the contract of the function of the same name.
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

macro_rules! begin {
    ($($argument:expr),*) => {
        match begin_with($($argument),*) {
            Ok(call) => call,
            Err(code) => return code,
        }
    };
}

pub(crate) unsafe extern "C" fn C_GetSlotList(
    token_present: CK_BBOOL,
    slots: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    let call = begin!("C_GetSlotList", "");
    if call.is_removed && token_present == CK_TRUE && !count.is_null() {
        // SAFETY: not null, and writable as the caller promises.
        unsafe { count.write(0) };
        return CKR_OK;
    }
    ask!(call.C_GetSlotList(token_present, slots, count))
}

pub(crate) unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    let call = begin!("C_GetSlotInfo", "");
    let code = ask!(call.C_GetSlotInfo(slot, info));
    // SAFETY: where the module answers CKR_OK it has written the caller's structure.
    if let (CKR_OK, true, Some(info)) = (code, call.is_removed, unsafe { info.as_mut() }) {
        info.flags &= !CKF_TOKEN_PRESENT;
    }
    code
}

pub(crate) unsafe extern "C" fn C_GetTokenInfo(
    slot: CK_SLOT_ID,
    info: *mut CK_TOKEN_INFO,
) -> CK_RV {
    let call = begin!("C_GetTokenInfo", "");
    let code = ask!(call.C_GetTokenInfo(slot, info));
    // SAFETY: where the module answers CKR_OK it has written the caller's structure.
    if let (CKR_OK, Some(info)) = (code, unsafe { info.as_mut() }) {
        info.flags |= call.script.token_flags;
    }
    code
}

pub(crate) unsafe extern "C" fn C_GetMechanismList(
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    let call = begin!("C_GetMechanismList", "");
    // The list without the hidden ones, made here: the caller's room is for that one.
    let mut all = [0; MECHANISMS_SHOWN];
    let mut there = all.len() as CK_ULONG;
    let code = ask!(call.C_GetMechanismList(slot, all.as_mut_ptr(), &raw mut there));
    if code != CKR_OK || count.is_null() {
        return if code == CKR_OK { CKR_ARGUMENTS_BAD } else { code };
    }
    let hidden = &call.script.hidden_mechanisms;
    let there = usize::try_from(there).unwrap_or(0);
    let shown: Vec<_> =
        all.into_iter().take(there).filter(|mechanism| !hidden.contains(mechanism)).collect();
    // SAFETY: not null, and readable and writable as the caller promises.
    let room = unsafe { count.replace(shown.len() as CK_ULONG) };
    if list.is_null() {
        return CKR_OK;
    }
    if room < shown.len() as CK_ULONG {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: the caller has room for `room` of them, which are no fewer than these.
    unsafe { list.copy_from_nonoverlapping(shown.as_ptr(), shown.len()) };
    CKR_OK
}

pub(crate) unsafe extern "C" fn C_GetMechanismInfo(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    let call = begin!("C_GetMechanismInfo", "");
    if call.script.hidden_mechanisms.contains(&mechanism) {
        return CKR_MECHANISM_INVALID;
    }
    ask!(call.C_GetMechanismInfo(slot, mechanism, info))
}

macro_rules! operation {
    ($($name:ident)*) => { $(
        pub(crate) unsafe extern "C" fn $name(
            session: CK_SESSION_HANDLE,
            mechanism: *mut CK_MECHANISM,
            key: CK_OBJECT_HANDLE,
        ) -> CK_RV {
            // SAFETY: null, or the caller's structure.
            let wanted = unsafe { mechanism.as_ref() }.map(|mechanism| mechanism.mechanism);
            let detail = wanted.map(|wanted| format!(" {wanted:#x}")).unwrap_or_default();
            let call = begin!(stringify!($name), &detail);
            if wanted.is_some_and(|wanted| call.script.hidden_mechanisms.contains(&wanted)) {
                return CKR_MECHANISM_INVALID;
            }
            ask!(call.$name(session, mechanism, real_handle(key)))
        }
    )* };
}

operation! { C_SignInit C_DecryptInit C_EncryptInit C_VerifyInit }

pub(crate) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_length: *mut CK_ULONG,
) -> CK_RV {
    let call: Call = match begin("C_Sign") {
        Ok(call) => call,
        Err(code) => return code,
    };
    let code = ask!(call.C_Sign(session, data, length, signature, signature_length));
    if code == CKR_OK && !signature.is_null() && !signature_length.is_null() && signs_wrongly() {
        // SAFETY: the module has written this many octets of the signature.
        unsafe {
            let written = usize::try_from(signature_length.read()).unwrap_or(0);
            if let Some(last) = written.checked_sub(1) {
                let last = signature.add(last);
                last.write(last.read() ^ 1);
            }
        }
    }
    code
}
