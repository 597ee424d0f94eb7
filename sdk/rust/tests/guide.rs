//! What the integrators' guide shows is what the tests compile and run.

#![allow(clippy::expect_used, reason = "tests may state what they know")]

use countersign_sdk::{
    Approval, Context, Description, Host, Name, NoSettings, Power, Request, Verdict, Verifier, mock,
};

const GUIDE: &str = include_str!("../../README.md");

#[test]
fn the_first_verifier_of_the_guide_is_the_example() {
    let example = include_str!("../examples/inventory.rs");
    let (_, code) = example.split_once("\n\n").expect("a first comment");
    assert!(GUIDE.contains(&format!("```rust\n{code}```")), "copy the example into sdk/README.md");
}

#[test]
fn the_golden_case_of_the_guide_runs() -> Result<(), mock::CaseFailures> {
    struct Challenged;

    impl Verifier for Challenged {
        type Settings = NoSettings;

        fn describe() -> Description {
            Description::new("challenged", "1.0.0", "tests").wants(Power::Challenges, "to redeem")
        }

        fn verify(_: &NoSettings, _: &Context, request: &Request, host: &Host) -> Verdict {
            let challenge = request.challenge.as_ref().expect("a challenge");
            let binding = host.challenges().redeem(challenge)?;
            let name: Name = binding.names.into_iter().next().expect("a name");
            Ok(Approval::of_names([name]).device_id(binding.device_id.expect("a device id")))
        }
    }

    let (_, after) = GUIDE.split_once("```json\n").expect("a case");
    let (case, _) = after.split_once("```").expect("its end");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("case.json"), case).expect("a file");
    mock::run_cases::<Challenged>(folder.path())
}
