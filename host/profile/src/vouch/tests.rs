use super::*;
use crate::forge::{self, Key, Request, recorded};

fn names(texts: &[&str]) -> Vouched {
    Vouched::Names(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn request() -> Csr {
    let extensions = vec![forge::san(&[forge::dns("Device-17.example")])];
    Csr::parse(&Request { extensions, ..Request::default() }.sign(&Key::new())).unwrap()
}

fn code(csr: &Csr, vouched: &[Vouched]) -> Result<Vec<String>, &'static str> {
    approve_names(csr, vouched, &Limits::default())
        .map(|approved| approved.names().iter().map(ToString::to_string).collect())
        .map_err(|refusal| refusal.code)
}

const NOT_VOUCHED: Result<Vec<String>, &str> = Err("name-not-vouched-for");

#[test]
fn every_name_of_the_request_is_approved_when_vouched_for() {
    let approved = code(&request(), &[names(&["DNS:DEVICE-17.example", "CN=device-17"])]);
    assert_eq!(approved.unwrap(), ["CN=device-17", "DNS:device-17.example"]);
}

#[test]
fn a_request_for_more_than_was_vouched_for_is_refused_as_a_whole() {
    let csr = request();
    assert_eq!(code(&csr, &[names(&["CN=device-17"])]), NOT_VOUCHED);
    assert_eq!(code(&csr, &[names(&["CN=device-18", "DNS:device-17.example"])]), NOT_VOUCHED);
    assert_eq!(code(&csr, &[names(&["CN=DEVICE-17", "DNS:device-17.example"])]), NOT_VOUCHED);
    assert_eq!(code(&csr, &[names(&["DNS:device-17.example"])]), NOT_VOUCHED);
}

#[test]
fn verifiers_add_to_each_other_and_one_without_names_adds_none() {
    let csr = request();
    let split = [names(&["CN=device-17"]), names(&[]), names(&["DNS:device-17.example"])];
    assert!(code(&csr, &split).is_ok());
    assert_eq!(code(&csr, &[names(&[])]), NOT_VOUCHED);
    assert_eq!(code(&csr, &[]), NOT_VOUCHED);
}

#[test]
fn exactly_as_requested_covers_every_name() {
    assert!(code(&request(), &[names(&[]), Vouched::ExactlyAsRequested]).is_ok());
    let full = Csr::parse(recorded!("openssl-full.csr")).unwrap();
    assert_eq!(code(&full, &[Vouched::ExactlyAsRequested]).unwrap().len(), 14);
}

#[test]
fn fixed_parts_of_the_profile_need_no_verifier() {
    let csr = Csr::parse(recorded!("strongswan.csr")).unwrap();
    let vouched = [names(&["CN=device-17", "DNS:device-17.example"])];
    assert_eq!(code(&csr, &vouched), NOT_VOUCHED);
    let mut limits = Limits::default();
    limits.subject.fixed = vec!["O=Example".parse().unwrap(), "C=CH".parse().unwrap()];
    assert_eq!(approve_names(&csr, &vouched, &limits).unwrap().names().len(), 4);
}

#[test]
fn a_request_without_names_is_refused_even_when_vouched_for() {
    let empty = Request { subject: forge::name(&[]), ..Request::default() };
    let csr = Csr::parse(&empty.sign(&Key::new())).unwrap();
    assert_eq!(code(&csr, &[Vouched::ExactlyAsRequested]), Err("no-names"));
}
