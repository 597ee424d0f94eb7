//! What is written and read, against recorded messages in the documents' form
//! (`tests/messages/`).

use std::time::{Duration, SystemTime};

use crate::disposition::{Disposition, RequestId};
use crate::error::{AuthorityError, Certainty};
use crate::hresult::Hresult;

use super::read::{self, Reply};
use super::write::{self, Envelope, Question, User};
use super::xml::{self, Element};

const MESSAGE_ID: &str = "urn:uuid:b5d1a601-5091-4a7d-b34b-5204c18b5919";
const REQUEST: &[u8] = b"The bytes that sign made, carried unchanged. The server looks into them.";

fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/messages/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// As the same information set: no white space between elements, none around or inside tokens.
fn canonical(bytes: &[u8]) -> Element {
    fn normalise(element: &mut Element) {
        let is_base64 = element.name == "BinarySecurityToken";
        element.text = if !element.children.is_empty() {
            assert_eq!(element.text.trim(), "", "text beside elements");
            String::new()
        } else if is_base64 {
            element.text.split_whitespace().collect()
        } else {
            element.text.trim().to_owned()
        };
        element.attributes.sort();
        element.children.iter_mut().for_each(normalise);
    }
    let mut element = xml::read(bytes).unwrap();
    normalise(&mut element);
    element
}

fn at() -> SystemTime {
    // 2026-11-22T18:05:00Z
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_370_700)
}

fn written(kind: &str, user: Option<User<'_>>, question: &Question<'_>) -> Element {
    let to = format!("https://ces.corp.example/Issuing-CA_CES_{kind}/service.svc/CES");
    let envelope = Envelope { message_id: MESSAGE_ID, to: &to, user, now: at() };
    canonical(&write::write(&envelope, question).unwrap())
}

fn issue() -> Question<'static> {
    Question::Issue { request: REQUEST, template: "Device & <Template>" }
}

#[test]
fn an_issue_request_equals_the_recorded_one() {
    let written = written("Certificate", None, &issue());
    assert_eq!(written, canonical(&recorded("issue-request")));
}

#[test]
fn an_issue_request_with_a_user_name_equals_the_recorded_one() {
    let user = User { name: r"CORP\ra<1>", password: "p&ss</wsse:Password>" };
    let written = written("UsernamePassword", Some(user), &issue());
    assert_eq!(written, canonical(&recorded("issue-request-username")));
}

#[test]
fn a_query_equals_the_recorded_one() {
    let written = written("Certificate", None, &Question::QueryTokenStatus(RequestId(65)));
    assert_eq!(written, canonical(&recorded("query-request")));
}

#[test]
fn an_element_more_or_less_would_be_seen() {
    let one = canonical(&recorded("query-request"));
    let other = canonical(&recorded("issue-request"));
    assert_ne!(one, other);
}

fn disposition(name: &str) -> Disposition {
    match read::read(&recorded(name), MESSAGE_ID) {
        Ok(Reply::Disposition(disposition)) => disposition,
        other => panic!("{other:?}"),
    }
}

fn fault(name: &str) -> AuthorityError {
    match read::read(&recorded(name), MESSAGE_ID) {
        Ok(Reply::Fault(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recorded_certificate_is_read() {
    let Disposition::Issued { certificate_der, request_id } = disposition("issue-response") else {
        panic!("not issued")
    };
    assert_eq!(request_id, Some(RequestId(61)));
    let certificate = countersign_profile::Certificate::parse(&certificate_der).unwrap();
    assert_eq!(certificate.serial_hex(), "3d");
}

#[test]
fn a_recorded_pending_answer_is_read_whatever_its_language() {
    assert_eq!(
        disposition("pending-response"),
        Disposition::Pending {
            request_id: RequestId(65),
            message: "Zur Verarbeitung angenommen".into()
        }
    );
}

#[test]
fn recorded_refusals_have_their_code_and_the_requests_number() {
    for (name, code, id, said) in [
        ("fault-agent-rights", 0x8009_4009, 77, "enrollment-agent"),
        ("fault-template-version", 0x8009_4807, 78, "older version"),
        ("fault-denied", 0x8009_4014, 65, "Refusé"),
    ] {
        let AuthorityError::Refused { hresult, explanation, request_id, .. } = fault(name) else {
            panic!("{name}: not refused")
        };
        assert_eq!(hresult, Hresult(code), "{name}");
        assert_eq!(request_id, Some(RequestId(id)), "{name}");
        assert!(explanation.contains(said), "{name}: {explanation}");
    }
}

#[test]
fn an_empty_reason_leaves_no_trace_in_the_explanation() {
    let AuthorityError::Refused { explanation, .. } = fault("fault-agent-rights") else {
        panic!("not refused")
    };
    assert!(!explanation.contains("The CA said"), "{explanation}");
}

#[test]
fn a_ca_that_was_not_reached_and_a_call_that_broke_off_are_two_things() {
    assert_eq!(fault("fault-ca-unreachable").certainty(), Certainty::NotProcessed);
    assert_eq!(fault("fault-call-failed").certainty(), Certainty::PerhapsIssued);
    // The service broke while it worked: perhaps after the CA had issued.
    assert_eq!(fault("fault-internal").certainty(), Certainty::PerhapsIssued);
}

#[test]
fn faults_of_the_set_up_say_what_to_do() {
    for (name, hint) in [
        ("fault-destination-unreachable", "exact URL"),
        ("fault-failed-authentication", "password"),
        ("fault-invalid-security", "clock"),
    ] {
        let error = fault(name);
        assert!(matches!(error, AuthorityError::Misconfigured { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(hint), "{name}: {error}");
    }
}

#[test]
fn an_answer_to_another_message_is_no_answer() {
    for name in ["issue-response", "pending-response", "fault-agent-rights"] {
        let answer = read::read(&recorded(name), "urn:uuid:00000000-0000-4000-8000-000000000000");
        assert!(answer.is_err(), "{name}: {answer:?}");
    }
}

#[test]
fn an_answer_with_two_responses_or_a_wrong_token_is_refused() {
    let whole = String::from_utf8(recorded("issue-response")).unwrap();
    let start = whole.find("<RequestSecurityTokenResponse>").unwrap();
    let end = whole.find("</RequestSecurityTokenResponseCollection>").unwrap();
    let twice = format!("{}{}{}", &whole[..end], &whole[start..end], &whole[end..]);
    let wrong_type = whole.replace("#X509v3\"", "#PKCS7\"");
    let not_a_number = whole
        .replace(">61<", ">61\nSAN:upn=x<")
        .replace("<RequestedSecurityToken>", "<Other>")
        .replace("</RequestedSecurityToken>", "</Other>");
    // The certificate's own token begins after its namespace; the full response's is left alone.
    let requested = whole.find("<RequestedSecurityToken>").unwrap();
    let (before, after) = whole.split_at(requested);
    let not_a_certificate = format!("{before}{}", after.replacen(">MIIB", ">AAAA", 1));
    assert_ne!(not_a_certificate, whole);
    for (what, message) in [
        ("twice", twice),
        ("wrong type", wrong_type),
        ("not a number", not_a_number),
        ("not a certificate", not_a_certificate),
    ] {
        let answer = read::read(message.as_bytes(), MESSAGE_ID);
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
}

#[test]
fn a_template_cannot_carry_attributes_of_the_submission() {
    for template in ["", "A\nSAN:upn=admin", "A\rB", "A:B", &"A".repeat(129)] {
        let submission = crate::Submission { cms: b"x", template };
        let error = super::check_submission(&submission).unwrap_err();
        assert_eq!(error.certainty(), Certainty::NotProcessed, "{template:?}");
    }
    let submission = crate::Submission { cms: b"x", template: "Countersign Device-2" };
    assert_eq!(super::check_submission(&submission), Ok(()));
}

#[test]
fn message_ids_are_uuids_of_version_4_and_differ() {
    let one = super::new_message_id().unwrap();
    let other = super::new_message_id().unwrap();
    assert_ne!(one, other);
    assert_eq!(one.len(), MESSAGE_ID.len());
    assert_eq!(&one[23..24], "4", "{one}");
    assert!("89ab".contains(&one[28..29]), "{one}");
}

#[test]
fn no_damage_to_a_recorded_answer_is_read_as_a_disposition_without_its_parts() {
    // Every cut, and every byte replaced by what XML cares about: an answer or an error, no panic.
    for name in ["issue-response", "pending-response", "fault-agent-rights"] {
        let whole = recorded(name);
        let text = String::from_utf8(whole.clone()).unwrap();
        let last = text.rfind("</s:Envelope>").unwrap();
        for end in 0..last {
            let cut = read::read(&whole[..end], MESSAGE_ID);
            assert!(cut.is_err(), "{name} cut at {end}: {cut:?}");
        }
        for at in 0..whole.len() {
            for replacement in *b"<>&\"/: \0\xff" {
                let mut damaged = whole.clone();
                damaged[at] = replacement;
                let _ = read::read(&damaged, MESSAGE_ID);
            }
        }
    }
}
