//! New key pairs on the token, with the attributes that their role demands, and their CSRs.

use aws_lc_rs::rand;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass};

use super::failure::Failure;
use super::operation::template;
use super::sign::encoded_block;
use super::token::Pkcs11Token;
use crate::algorithm::SignatureAlgorithm;
use crate::csr::{CsrError, UnsignedCsr};
use crate::error::TokenError;
use crate::generate::KeySpec;
use crate::public_key::{KeyKind, PublicKey};
use crate::role::RoleKind;
use crate::token::{Deadline, KeyName, Token as _};

/// 65537.
const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];
/// secp256r1 and secp384r1 as CKA_EC_PARAMS: the OID, DER.
const SECP256R1: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP384R1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// Length of a CKA_ID that we choose.
const ID_LENGTH: usize = 16;

impl Pkcs11Token {
    /// Whether there is a key of this name.
    ///
    /// # Errors
    /// The token does not answer.
    pub fn has(&self, key: &KeyName, deadline: Deadline) -> Result<bool, TokenError> {
        let uri = self.uri(key)?;
        self.with_session(false, deadline, |session, _| {
            Ok(!session.find_objects(&template(ObjectClass::PRIVATE_KEY, uri))?.is_empty())
        })
    }

    /// Makes a key pair on the token: private, sensitive, never extractable, not modifiable, and
    /// able to do its role's work only.
    ///
    /// A CEP key decrypts and does not sign, and its CSR is signed all the same: see
    /// [`Self::csr`]. Where the token does no raw RSA that is impossible, so there a CEP key can
    /// sign, too, and `keys status` and every start say so.
    ///
    /// # Errors
    /// There is an object of this name; the role needs RSA; the token refuses the template.
    pub fn generate(
        &self,
        key: &KeyName,
        role: RoleKind,
        spec: KeySpec,
        deadline: Deadline,
    ) -> Result<PublicKey, TokenError> {
        let uri = self.uri(key)?.clone();
        if role == RoleKind::Cep && matches!(spec, KeySpec::EcP256 | KeySpec::EcP384) {
            return Err(TokenError::Refused("a CEP key is RSA: it decrypts".into()));
        }
        let id = match uri.id() {
            Some(id) => id.to_vec(),
            None => {
                let mut id = vec![0; ID_LENGTH];
                rand::fill(&mut id)
                    .map_err(|_| TokenError::Refused("the system gives no random bytes".into()))?;
                id
            }
        };
        self.with_session(true, deadline, |session, mechanisms| {
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                let found = session.find_objects(&template(class, &uri))?.len();
                if found > 0 {
                    return Err(TokenError::Refused(format!(
                        "the token has {found} objects of the name `{key}` already; nothing was \
                         changed"
                    ))
                    .into());
                }
            }
            let signs = role != RoleKind::Cep || !mechanisms.raw_rsa;
            let (public, private) = templates(role, spec, signs, uri.object(), &id);
            let mechanism = match spec {
                KeySpec::EcP256 | KeySpec::EcP384 => Mechanism::EccKeyPairGen,
                KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
                    Mechanism::RsaPkcsKeyPairGen
                }
            };
            match session.generate_key_pair(&mechanism, &public, &private) {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::Final(TokenError::Refused(format!(
                    "no key pair was made: {error}"
                )))),
            }
        })?;
        self.public_key(key)
    }

    /// The CSR (DER) of a key, signed by it.
    ///
    /// A CEP key has no CKA_SIGN, and gets none for this. Raw RSA decryption and signing are one
    /// operation, m^d, so the token is asked to "decrypt" the encoded block of
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §5.2.1: RSASP1 is RSADP), and the key stays one that
    /// decrypts. This is the only place that does so.
    ///
    /// # Errors
    /// As [`UnsignedCsr::new`]; or the token does neither sign nor do raw RSA with this key.
    pub fn csr(
        &self,
        key: &KeyName,
        role: RoleKind,
        subject: &str,
        deadline: Deadline,
    ) -> Result<Vec<u8>, CsrError> {
        let public_key = self.public_key(key)?;
        let csr = UnsignedCsr::new(role, subject, &public_key)?;
        let signature = match (role, public_key.kind()) {
            (RoleKind::Cep, KeyKind::Rsa { bits })
                if self.try_unwrapping(key, deadline).is_ok()
                    && self.unwraps_raw(key) == Some(true) =>
            {
                self.sign_by_decrypting(key, &public_key, bits, &csr, deadline)?
            }
            _ => self.sign(key, csr.algorithm(), csr.to_be_signed(), deadline)?,
        };
        csr.finish(&signature)
    }

    fn sign_by_decrypting(
        &self,
        key: &KeyName,
        public_key: &PublicKey,
        bits: usize,
        csr: &UnsignedCsr,
        deadline: Deadline,
    ) -> Result<Vec<u8>, TokenError> {
        let algorithm: SignatureAlgorithm = csr.algorithm();
        let block = encoded_block(bits, algorithm.digest(), csr.to_be_signed());
        let signature = self.power(key, &block, bits.div_ceil(8), deadline)?;
        public_key
            .verify(algorithm, csr.to_be_signed(), &signature)
            .map_err(|_| TokenError::Faulty)?;
        Ok(signature.to_vec())
    }
}

fn templates(
    role: RoleKind,
    spec: KeySpec,
    signs: bool,
    label: Option<&str>,
    id: &[u8],
) -> (Vec<Attribute>, Vec<Attribute>) {
    let decrypts = role == RoleKind::Cep;
    let mut public = vec![
        Attribute::Token(true),
        Attribute::Modifiable(false),
        Attribute::Id(id.to_vec()),
        Attribute::Verify(signs),
        Attribute::Encrypt(decrypts),
        Attribute::VerifyRecover(false),
        Attribute::Wrap(false),
    ];
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Id(id.to_vec()),
        Attribute::Sign(signs),
        Attribute::SignRecover(false),
        Attribute::Decrypt(decrypts),
        // SoftHSM2 lets a key do this where nobody says otherwise.
        Attribute::SignRecover(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ];
    if let Some(label) = label {
        public.push(Attribute::Label(label.as_bytes().to_vec()));
        private.push(Attribute::Label(label.as_bytes().to_vec()));
    }
    let rsa = |bits: u64| {
        [Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(PUBLIC_EXPONENT.to_vec())]
    };
    match spec {
        KeySpec::Rsa2048 => public.extend(rsa(2048)),
        KeySpec::Rsa3072 => public.extend(rsa(3072)),
        KeySpec::Rsa4096 => public.extend(rsa(4096)),
        KeySpec::EcP256 => public.push(Attribute::EcParams(SECP256R1.to_vec())),
        KeySpec::EcP384 => public.push(Attribute::EcParams(SECP384R1.to_vec())),
    }
    let kind = match spec {
        KeySpec::EcP256 | KeySpec::EcP384 => KeyType::EC,
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => KeyType::RSA,
    };
    private.push(Attribute::KeyType(kind));
    public.push(Attribute::KeyType(kind));
    (public, private)
}
