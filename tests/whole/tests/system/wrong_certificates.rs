//! Row 11: a countersignature means "I verified this", so what the CA makes of it is compared with
//! what was verified, and anything else is kept from the device.

use countersign_ipc::AdminRequest;
use countersign_lab_ca::{Algorithm, Misbehaviour, RequestState, SERVER_AUTH, Template};
use countersign_tests::{Answer, Installation, Profile, Program};

/// An OCTET STRING that nobody asked for.
const ODD_EXTENSION: &str = "1.3.6.1.4.1.99999.1";

fn misbehaviours() -> Vec<(&'static str, Misbehaviour)> {
    let extension = |critical| Misbehaviour::ExtraExtension {
        oid: ODD_EXTENSION.into(),
        value: "0400".into(),
        critical,
    };
    vec![
        ("other-san", Misbehaviour::OtherSan { dns: "domain-controller.example".into() }),
        ("other-subject", Misbehaviour::OtherSubject { common_name: "Administrator".into() }),
        ("extra-eku", Misbehaviour::ExtraEku { oid: SERVER_AUTH.into() }),
        ("any-eku", Misbehaviour::ExtraEku { oid: "2.5.29.37.0".into() }),
        ("validity", Misbehaviour::OtherValidity { days: 3650 }),
        ("other-key", Misbehaviour::OtherKey),
        ("other-issuer", Misbehaviour::OtherIssuer),
        ("ca-true", Misbehaviour::CertificateAuthority),
        ("extension", extension(false)),
        ("critical-extension", extension(true)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn row_11_what_was_not_approved_is_withheld_ordered_revoked_and_in_the_ledger() {
    for algorithm in [Algorithm::Rsa2048, Algorithm::P256] {
        let all = misbehaviours();
        let mut builder = Installation::builder().algorithm(algorithm);
        for (name, what) in &all {
            builder = builder
                .template(Template::named(name).that(what.clone()))
                .profile(Profile::named(name).template(name));
        }
        let installation = builder.start().await;
        for (index, (profile, _)) in all.iter().enumerate() {
            let names = ["CN=device-17", "DNS:device-17.example"];
            let device = installation.new_device(profile, &names).await;
            // However the device asks, nothing is delivered.
            for _ in 0..2 {
                must_be_withheld(profile, installation.enrol(profile, &device).await);
                must_be_withheld(profile, installation.poll(profile, &device).await);
            }
            let outcomes = installation.wait_for_ledger("outcome", index + 1).await;
            let outcome = &outcomes[index]["body"];
            assert_eq!(outcome["outcome"], "withheld", "{profile}: {outcome}");
            assert_eq!(outcome["code"], "check-failed", "{profile}");
        }
        assert_eq!(installation.signatures().await, all.len());

        // One order each: for an admin to see and, one day, for a revoker to carry out.
        let ordered = installation.wait_for_ledger("order", all.len()).await;
        assert_eq!(ordered.len(), all.len());
        let listed = installation.facts(Program::Verify, AdminRequest::Orders).await;
        let listed = listed.as_array().unwrap();
        assert_eq!(listed.len(), all.len(), "{listed:?}");
        for request in installation.ca_requests() {
            let RequestState::Issued(serial) = request.state else { continue };
            let of_order = |order: &serde_json::Value| order.to_string().contains(&serial);
            assert!(ordered.iter().any(of_order), "{serial}: {ordered:?}");
            assert!(listed.iter().any(of_order), "{serial}: {listed:?}");
        }
    }
}

fn must_be_withheld(what: &str, answer: Answer) {
    match answer {
        Answer::Failure { text: Some(text), .. } => assert!(text.contains("withheld"), "{text}"),
        other => panic!("{what}: expected FAILURE with a text, found {other:?}"),
    }
}
