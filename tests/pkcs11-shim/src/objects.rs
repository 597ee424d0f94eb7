//! Objects that are hidden, found twice, or tell wrong attributes.
#![allow(non_snake_case, reason = "the names of PKCS#11")]

use std::collections::VecDeque;
use std::ffi::c_void;

use cryptoki_sys::*;

use crate::running::{Call, begin, with_search};
use crate::script::{Change, Class, Objects};

/// More mechanisms than any module lists.
pub(crate) const MECHANISMS_SHOWN: usize = 1024;

/// Marks the second handle of an object that is found twice. With it one can read attributes and
/// begin operations; the functions that change objects do not know it.
const SECOND_HANDLE: CK_OBJECT_HANDLE = 1 << 40;

/// Found, and not yet told.
pub(crate) type Search = VecDeque<CK_OBJECT_HANDLE>;

/// The handle by which the real module knows the object.
pub(crate) fn real_handle(handle: CK_OBJECT_HANDLE) -> CK_OBJECT_HANDLE {
    handle & !SECOND_HANDLE
}

pub(crate) unsafe extern "C" fn C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let call = match begin("C_FindObjectsInit") {
        Ok(call) => call,
        Err(code) => return code,
    };
    with_search(session, Search::clear);
    match call.real.C_FindObjectsInit {
        // SAFETY: the caller keeps the contract of the function of the same name.
        Some(function) => unsafe { function(session, template, count) },
        None => CKR_FUNCTION_NOT_SUPPORTED,
    }
}

pub(crate) unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    room: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    let call = match begin("C_FindObjects") {
        Ok(call) => call,
        Err(code) => return code,
    };
    let Some(find) = call.real.C_FindObjects else { return CKR_FUNCTION_NOT_SUPPORTED };
    if objects.is_null() || count.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let mut told = 0;
    while told < room {
        let mut next = with_search(session, VecDeque::pop_front);
        while next.is_none() {
            let (mut found, mut is_found) = (0, 0);
            // SAFETY: room for one handle.
            let code = unsafe { find(session, &raw mut found, 1, &raw mut is_found) };
            if code != CKR_OK {
                return code;
            }
            if is_found == 0 {
                break;
            }
            next = as_scripted(&call, session, found);
        }
        let Some(handle) = next else { break };
        // SAFETY: the caller has room for `room` handles, and `told` is less.
        unsafe { objects.add(usize::try_from(told).unwrap_or(0)).write(handle) };
        told += 1;
    }
    // SAFETY: not null, and writable as the caller promises.
    unsafe { count.write(told) };
    CKR_OK
}

/// The handle, unless the object is hidden; its second one waits for its turn.
fn as_scripted(
    call: &Call,
    session: CK_SESSION_HANDLE,
    found: CK_OBJECT_HANDLE,
) -> Option<CK_OBJECT_HANDLE> {
    let is_among = |many: &[Objects]| many.iter().any(|one| is_one(call, session, found, one));
    if is_among(&call.script.hidden) {
        return None;
    }
    if is_among(&call.script.duplicated) {
        with_search(session, |search| search.push_back(found | SECOND_HANDLE));
    }
    Some(found)
}

pub(crate) unsafe extern "C" fn C_FindObjectsFinal(session: CK_SESSION_HANDLE) -> CK_RV {
    let call = match begin("C_FindObjectsFinal") {
        Ok(call) => call,
        Err(code) => return code,
    };
    with_search(session, Search::clear);
    match call.real.C_FindObjectsFinal {
        // SAFETY: takes the session's handle only.
        Some(function) => unsafe { function(session) },
        None => CKR_FUNCTION_NOT_SUPPORTED,
    }
}

pub(crate) unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let call = match begin("C_GetAttributeValue") {
        Ok(call) => call,
        Err(code) => return code,
    };
    let object = real_handle(object);
    let Some(function) = call.real.C_GetAttributeValue else { return CKR_FUNCTION_NOT_SUPPORTED };
    // SAFETY: the caller keeps the contract of the function of the same name.
    let mut code = unsafe { function(session, object, template, count) };
    let has_values = matches!(
        code,
        CKR_OK | CKR_ATTRIBUTE_SENSITIVE | CKR_ATTRIBUTE_TYPE_INVALID | CKR_BUFFER_TOO_SMALL
    );
    if template.is_null() || !has_values {
        return code;
    }
    // SAFETY: the caller's template has `count` entries.
    let template =
        unsafe { std::slice::from_raw_parts_mut(template, usize::try_from(count).unwrap_or(0)) };
    for rule in &call.script.attributes {
        let asked = template.iter_mut().filter(|entry| entry.type_ == rule.attribute);
        for entry in asked {
            if is_one(&call, session, object, &rule.objects) && change(entry, rule.change) {
                code = CKR_ATTRIBUTE_TYPE_INVALID;
            }
        }
    }
    code
}

/// Changes an answer that stands in the caller's memory. Returns whether the attribute is to be
/// missing.
fn change(entry: &mut CK_ATTRIBUTE, change: Change) -> bool {
    let written = usize::try_from(entry.ulValueLen).unwrap_or(0);
    let is_there = entry.ulValueLen != CK_UNAVAILABLE_INFORMATION && !entry.pValue.is_null();
    let last = entry.pValue.cast::<u8>();
    match change {
        Change::Omit => {
            entry.ulValueLen = CK_UNAVAILABLE_INFORMATION;
            return true;
        }
        // SAFETY: the module has written one octet, a CK_BBOOL.
        Change::Set(value) if is_there && written == 1 => unsafe { last.write(value.into()) },
        Change::Flip if is_there && written > 0 => {
            // SAFETY: the module has written this many octets.
            unsafe {
                let last = last.add(written - 1);
                last.write(last.read() ^ 1);
            }
        }
        // Only the length was asked for, or the module has no such attribute.
        Change::Set(_) | Change::Flip => {}
    }
    false
}

/// Whether the object is of this class and label, as the real module says.
fn is_one(
    call: &Call,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    wanted: &Objects,
) -> bool {
    let mut class: CK_OBJECT_CLASS = 0;
    let mut label = [0u8; 256];
    let class_length = read(call, session, object, CKA_CLASS, (&raw mut class).cast(), 8);
    let length = read(call, session, object, CKA_LABEL, label.as_mut_ptr().cast(), label.len());
    let is_class = match wanted.class {
        Class::Public => class == CKO_PUBLIC_KEY,
        Class::Private => class == CKO_PRIVATE_KEY,
    };
    class_length == Some(8)
        && is_class
        && length.and_then(|length| label.get(..length)) == Some(wanted.label.as_bytes())
}

/// Asks the real module for one attribute; returns how many octets it wrote.
fn read(
    call: &Call,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    type_: CK_ATTRIBUTE_TYPE,
    to: *mut c_void,
    room: usize,
) -> Option<usize> {
    let mut entry = CK_ATTRIBUTE { type_, pValue: to, ulValueLen: room as CK_ULONG };
    let function = call.real.C_GetAttributeValue?;
    // SAFETY: one entry, with `room` octets at `to`.
    let code = unsafe { function(session, object, &raw mut entry, 1) };
    (code == CKR_OK).then(|| usize::try_from(entry.ulValueLen).ok())?
}
