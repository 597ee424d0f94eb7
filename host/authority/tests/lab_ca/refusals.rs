//! AD CS's codes, each met for its reason.

use std::time::{Duration, SystemTime};

use countersign_authority::{
    AuthorityError, Certainty, Hresult, ProbeResult, probe_uncountersigned,
};
use countersign_lab_ca::{Misbehaviour, Role, Template};

use crate::laboratory::{Laboratory, TEMPLATE, submit};

/// Submits, and expects this code; nothing may have been issued.
async fn refused(lab: &Laboratory, cms: &[u8], template: &str, code: u32) -> AuthorityError {
    let issued = lab.issued();
    let answer = submit(&lab.authority(), cms, template).await;
    let error = answer.expect_err("refused");
    let AuthorityError::Refused { hresult, name, remedy, request_id, .. } = &error else {
        panic!("not a refusal: {error:?}")
    };
    assert_eq!(*hresult, Hresult(code), "{error}");
    assert_ne!(*name, "unknown", "{error}");
    assert!(!remedy.is_empty());
    assert!(request_id.is_some(), "AD CS numbers failed requests too");
    assert_eq!(error.certainty(), Certainty::Refused);
    assert_eq!(lab.issued(), issued);
    error
}

#[tokio::test]
async fn a_plain_request_lacks_the_signature_policy() {
    let lab = Laboratory::open().await;
    let csr = lab.csr("device-17");
    let error = refused(&lab, &csr, TEMPLATE, 0x8009_4809).await;
    assert!(error.to_string().contains("CERTSRV_E_SIGNATURE_POLICY_REQUIRED"));
}

#[tokio::test]
async fn a_signer_without_certificate_request_agent_lacks_the_signature_policy() {
    let lab = Laboratory::open().await;
    let csr = lab.csr("device-17");
    for role in [Role::Rep, Role::TlsClient, Role::TlsServer] {
        let signer = lab.identity("signer", role);
        let cms = lab.sign(&csr, &[&signer], &[]);
        refused(&lab, &cms, TEMPLATE, 0x8009_4809).await;
    }
}

#[tokio::test]
async fn a_template_that_wants_two_signatures_counts_one_as_too_few() {
    let lab = Laboratory::open().await;
    lab.set(Template { authorised_signatures: 2, ..Template::named("Two") });
    refused(&lab, &lab.countersigned("device-17"), "Two", 0x8009_480A).await;
}

#[tokio::test]
async fn two_signers_are_too_many() {
    let lab = Laboratory::open().await;
    let one = lab.identity("agent", Role::Ea);
    let other = lab.identity("agent-2", Role::Ea);
    let cms = lab.sign(&lab.csr("device-17"), &[&one, &other], &[]);
    refused(&lab, &cms, TEMPLATE, 0x8009_4815).await;
}

#[tokio::test]
async fn a_changed_request_does_not_match_its_digest() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    let csr = lab.csr("device-17");
    let mut cms = lab.sign(&csr, &[&agent], &[]);
    let name = b"device-17.example";
    let at = cms.windows(name.len()).position(|window| window == name).unwrap();
    cms[at + 7] = b'9';
    refused(&lab, &cms, TEMPLATE, 0x8009_1007).await;
}

#[tokio::test]
async fn a_changed_signature_is_bad() {
    let lab = Laboratory::open().await;
    let mut cms = lab.countersigned("device-17");
    let last = cms.len() - 1;
    cms[last] ^= 1;
    refused(&lab, &cms, TEMPLATE, 0x8009_0006).await;
}

#[tokio::test]
async fn a_signature_without_signed_attributes_is_bad() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    let cms = lab.sign(&lab.csr("device-17"), &[&agent], &["-noattr"]);
    refused(&lab, &cms, TEMPLATE, 0x8009_0006).await;
}

#[tokio::test]
async fn a_message_without_the_agents_certificate_has_no_signer() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    let cms = lab.sign(&lab.csr("device-17"), &[&agent], &["-nocerts"]);
    refused(&lab, &cms, TEMPLATE, 0x8009_100E).await;
}

#[tokio::test]
async fn an_agent_named_by_key_identifier_is_found() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    let cms = lab.sign(&lab.csr("device-17"), &[&agent], &["-keyid"]);
    submit(&lab.authority(), &cms, TEMPLATE).await.unwrap();
}

#[tokio::test]
async fn an_agent_of_another_ca_is_untrusted_even_under_our_cas_name() {
    let lab = Laboratory::open().await;
    let other = Laboratory::open().await;
    let agent = other.identity("agent", Role::Ea);
    let cms = other.sign(&lab.csr("device-17"), &[&agent], &[]);
    refused(&lab, &cms, TEMPLATE, 0x800B_0109).await;
}

#[tokio::test]
async fn an_agent_outside_its_validity_or_revoked_is_refused() {
    let lab = Laboratory::open().await;
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    let csr = lab.csr("device-17");
    let agent_csr = lab.csr("agent");
    for (not_before, not_after) in [(now - 2 * day, now - day), (now + day, now + 2 * day)] {
        let agent = lab
            .ca
            .issue_role_certificate_valid(&agent_csr, Role::Ea, not_before, not_after)
            .unwrap();
        let agent = lab.keep("agent", agent);
        let cms = lab.sign(&csr, &[&agent], &[]);
        refused(&lab, &cms, TEMPLATE, 0x800B_0101).await;
    }

    let agent = lab.identity("agent", Role::Ea);
    let cms = lab.sign(&csr, &[&agent], &[]);
    submit(&lab.authority(), &cms, TEMPLATE).await.unwrap();
    let serial = lab.ca.certificates().unwrap();
    let serial =
        serial.iter().find(|record| record.certificate == hex::encode(&agent.der)).unwrap();
    lab.ca.revoke(&serial.serial, 1).unwrap();
    refused(&lab, &cms, TEMPLATE, 0x8009_2010).await;
}

#[tokio::test]
async fn enrollment_agent_restrictions_name_who_may_sign() {
    let lab = Laboratory::open().await;
    lab.set(Template { agents: vec!["another agent".into()], ..Template::named(TEMPLATE) });
    refused(&lab, &lab.countersigned("device-17"), TEMPLATE, 0x8009_4009).await;
}

#[tokio::test]
async fn a_template_must_exist_and_be_ours_to_enrol() {
    let lab = Laboratory::open().await;
    let cms = lab.countersigned("device-17");
    refused(&lab, &cms, "NoSuchTemplate", 0x8009_4800).await;
    lab.set(Template { enrollers: vec!["somebody else".into()], ..Template::named(TEMPLATE) });
    refused(&lab, &cms, TEMPLATE, 0x8009_4012).await;
}

#[tokio::test]
async fn a_template_inside_the_request_must_not_contradict() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    for (named, is_same) in [("Other", false), (TEMPLATE, true)] {
        let extension = format!("1.3.6.1.4.1.311.20.2=ASN1:BMPSTRING:{named}");
        let csr = lab.csr_with("device-17", &key, &["-addext", &extension]);
        let cms = lab.sign(&csr, &[&agent], &[]);
        if is_same {
            submit(&lab.authority(), &cms, TEMPLATE).await.unwrap();
        } else {
            refused(&lab, &cms, TEMPLATE, 0x8009_4802).await;
        }
    }
}

#[tokio::test]
async fn a_key_below_the_templates_minimum_is_refused() {
    let lab = Laboratory::open().await;
    lab.set(Template {
        minimum_rsa_bits: 3072,
        elliptic_curves: false,
        ..Template::named(TEMPLATE)
    });
    let agent = lab.identity("agent", Role::Ea);
    let rsa = lab.csr_with("device-17", &["-newkey", "rsa:2048"], &[]);
    for csr in [rsa, lab.csr("device-18")] {
        let cms = lab.sign(&csr, &[&agent], &[]);
        refused(&lab, &cms, TEMPLATE, 0x8009_4811).await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_not_decoded() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    refused(&lab, b"not a request", TEMPLATE, 0x8009_310B).await;
    let cms = lab.sign(b"not a request", &[&agent], &[]);
    refused(&lab, &cms, TEMPLATE, 0x8009_310B).await;
    // Another content type than data.
    let csr = lab.csr("device-17");
    let cms = lab.sign(&csr, &[&agent], &["-econtent_type", "1.3.6.1.5.5.7.12.2"]);
    refused(&lab, &cms, TEMPLATE, 0x8009_310B).await;
}

#[tokio::test]
async fn a_request_whose_own_signature_is_bad_is_refused() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    let mut csr = lab.csr("device-17");
    let last = csr.len() - 1;
    csr[last] ^= 1;
    let cms = lab.sign(&csr, &[&agent], &[]);
    refused(&lab, &cms, TEMPLATE, 0x8009_0006).await;
}

#[tokio::test]
async fn row_48_a_template_that_protects_itself_refuses_the_probe() {
    let lab = Laboratory::open().await;
    let result = probe_uncountersigned(&lab.authority(), TEMPLATE).await;
    assert_eq!(
        result,
        ProbeResult::RefusedAsItMust { hresult: Hresult::SIGNATURE_POLICY_REQUIRED }
    );
    assert_eq!(lab.issued(), 0);
}

#[tokio::test]
async fn row_48_a_template_that_takes_anything_is_found_out() {
    let lab = Laboratory::open().await;
    let open = Template { authorised_signatures: 0, ..Template::named("Open") };
    lab.set(open.clone().pending());
    for template in [
        open.clone().pending(),
        open,
        Template::named("Open").that(Misbehaviour::AcceptUncountersigned),
    ] {
        lab.set(template);
        let result = probe_uncountersigned(&lab.authority(), "Open").await;
        assert!(matches!(result, ProbeResult::Accepted { .. }), "{result:?}");
    }
}

#[tokio::test]
async fn row_48_a_probe_that_learns_nothing_does_not_say_all_is_well() {
    let lab = Laboratory::open().await;
    for template in [
        Template::named("Broken").that(Misbehaviour::LoseAnswer),
        // Refused for another reason than the missing signature.
        Template::named("Broken").that(Misbehaviour::Refuse { hresult: 0x8009_4012 }),
    ] {
        lab.set(template);
        let result = probe_uncountersigned(&lab.authority(), "Broken").await;
        assert!(matches!(result, ProbeResult::Inconclusive { .. }), "{result:?}");
    }
    let result = probe_uncountersigned(&lab.authority(), "NoSuchTemplate").await;
    assert!(matches!(result, ProbeResult::Inconclusive { .. }), "{result:?}");
}
