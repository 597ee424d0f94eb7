//! The functions of PKCS#11 2.40, and the list by which applications find ours.

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CK_VERSION, CKR_ARGUMENTS_BAD, CKR_OK};

use crate::{answers, forward, objects};

macro_rules! functions {
    ($($module:ident::$name:ident,)*) => {
        const NAMES: &[&str] = &[$(stringify!($name),)*];

        /// The 2.40 list with our functions. Only readers get its address.
        static LIST: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            C_GetFunctionList: Some(C_GetFunctionList),
            $($name: Some($module::$name),)*
        };
    };
}

functions! {
    forward::C_Initialize,
    forward::C_Finalize,
    forward::C_GetInfo,
    answers::C_GetSlotList,
    answers::C_GetSlotInfo,
    answers::C_GetTokenInfo,
    answers::C_GetMechanismList,
    answers::C_GetMechanismInfo,
    forward::C_InitToken,
    forward::C_InitPIN,
    forward::C_SetPIN,
    forward::C_OpenSession,
    forward::C_CloseSession,
    forward::C_CloseAllSessions,
    forward::C_GetSessionInfo,
    forward::C_GetOperationState,
    forward::C_SetOperationState,
    forward::C_Login,
    forward::C_Logout,
    forward::C_CreateObject,
    forward::C_CopyObject,
    forward::C_DestroyObject,
    forward::C_GetObjectSize,
    objects::C_GetAttributeValue,
    forward::C_SetAttributeValue,
    objects::C_FindObjectsInit,
    objects::C_FindObjects,
    objects::C_FindObjectsFinal,
    answers::C_EncryptInit,
    forward::C_Encrypt,
    forward::C_EncryptUpdate,
    forward::C_EncryptFinal,
    answers::C_DecryptInit,
    forward::C_Decrypt,
    forward::C_DecryptUpdate,
    forward::C_DecryptFinal,
    forward::C_DigestInit,
    forward::C_Digest,
    forward::C_DigestUpdate,
    forward::C_DigestKey,
    forward::C_DigestFinal,
    answers::C_SignInit,
    answers::C_Sign,
    forward::C_SignUpdate,
    forward::C_SignFinal,
    forward::C_SignRecoverInit,
    forward::C_SignRecover,
    answers::C_VerifyInit,
    forward::C_Verify,
    forward::C_VerifyUpdate,
    forward::C_VerifyFinal,
    forward::C_VerifyRecoverInit,
    forward::C_VerifyRecover,
    forward::C_DigestEncryptUpdate,
    forward::C_DecryptDigestUpdate,
    forward::C_SignEncryptUpdate,
    forward::C_DecryptVerifyUpdate,
    forward::C_GenerateKey,
    forward::C_GenerateKeyPair,
    forward::C_WrapKey,
    forward::C_UnwrapKey,
    forward::C_DeriveKey,
    forward::C_SeedRandom,
    forward::C_GenerateRandom,
    forward::C_GetFunctionStatus,
    forward::C_CancelFunction,
    forward::C_WaitForSlotEvent,
}

/// The function's name as it is kept here, if there is such a function.
pub(crate) fn named(name: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|known| *known == name)
}

/// What applications look up after they loaded the module (PKCS#11 2.40 §5.4).
///
/// # Safety
/// `list` is null or points to where a pointer may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not null, and writable as the caller promises. Applications never write to the list.
    unsafe { list.write((&raw const LIST).cast_mut()) };
    CKR_OK
}
