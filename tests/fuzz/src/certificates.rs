//! ASN.1 without a signature around it: certificates, lists of them, revocation lists, requests.

use std::sync::LazyLock;

use countersign_profile::{
    Boundary, Certificate, Csr, LegacyDigests, Limits, Name, RevocationList, Vouched, approve_names,
};
use countersign_scep::client::CaCertificates;
use countersign_scep::{Bounds, Bundle};

use crate::forge;

static ISSUER: LazyLock<Certificate> =
    LazyLock::new(|| Certificate::parse(&forge::golden("ca.der")).expect("a golden certificate"));

pub(crate) fn run(bytes: &[u8]) -> bool {
    let bundle = Bundle::parse(bytes, &Bounds::REPLY).is_ok();
    let _ = CaCertificates::parse(bytes).map(|found| {
        let _ = (found.ca().is_some(), found.recipient().is_some());
    });
    let _ = RevocationList::read(bytes.to_vec(), &ISSUER);
    let one = countersign_scep::Certificate::parse(bytes).is_ok();
    let judged = Certificate::parse(bytes).map(|certificate| {
        assert_eq!(certificate.der(), bytes, "a certificate keeps the bytes it was read from");
        let _ = (certificate.public_key().is_ok(), certificate.subject(), certificate.issuer());
        let _ = (certificate.sans(), certificate.ekus(), certificate.key_usage());
        let _ = (certificate.is_ca(), certificate.subject_key_identifier().is_some());
        let _ = certificate.verify_signed_by(&ISSUER, LegacyDigests::Refused);
    });
    bundle || one || judged.is_ok()
}

pub(crate) fn request(bytes: &[u8]) -> bool {
    let Ok(csr) = Csr::parse(bytes) else { return false };
    assert_eq!(csr.der(), bytes, "a request keeps the bytes it was read from");
    let _ = csr.verify_self_signature(LegacyDigests::Sha1);
    let limits = Limits::default();
    let _ = limits.admit(&csr, &Boundary::default());
    for name in csr.names() {
        let text = name.to_string();
        assert!(!text.chars().any(char::is_control), "a name as text is one line: {text:?}");
        // What is shown to people and kept in the ledger must mean the same name again.
        let again: Result<Name, _> = text.parse();
        assert!(again.is_ok_and(|again| again == name), "{text:?} is another name when read again");
    }
    let vouched = [Vouched::Names(csr.names())];
    let _ = approve_names(&csr, &vouched, &limits);
    true
}
