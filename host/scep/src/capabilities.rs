//! GetCACaps: what a server says it can do (RFC 8894 §3.5).
//!
//! Unauthenticated, so a client must not let it lower what it would do anyway, and a server must
//! enforce its minimums without it (§7.5).

use std::fmt;

use countersign_profile::DigestAlgorithm;

use crate::algorithm::{ContentCipher, LegacyAlgorithms};

/// What a server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// AES-128-CBC around content.
    pub aes: bool,
    /// PKIOperation by POST.
    pub post: bool,
    /// All that RFC 8894 makes mandatory: AES, POST, SHA-256.
    pub scep_standard: bool,
    /// SHA-256.
    pub sha256: bool,
    /// SHA-384; strongSwan uses its own defaults only where it sees this.
    pub sha384: bool,
    /// SHA-512.
    pub sha512: bool,
    /// RenewalReq, and PKCSReq signed with an issued certificate.
    pub renewal: bool,
    /// GetNextCACert.
    pub get_next_ca_cert: bool,
    /// Triple DES. Old clients read it as permission, so only behind a legacy switch.
    pub triple_des: bool,
    /// SHA-1. As with Triple DES.
    pub sha1: bool,
}

impl Capabilities {
    /// What every profile offers.
    pub const MODERN: Capabilities = Capabilities {
        aes: true,
        post: true,
        scep_standard: true,
        sha256: true,
        sha384: true,
        sha512: true,
        renewal: false,
        get_next_ca_cert: false,
        triple_des: false,
        sha1: false,
    };

    /// With renewal.
    pub fn with_renewal(self) -> Capabilities {
        Capabilities { renewal: true, ..self }
    }

    /// With GetNextCACert.
    pub fn with_next_ca_cert(self) -> Capabilities {
        Capabilities { get_next_ca_cert: true, ..self }
    }

    /// With the lines that the legacy switches stand for.
    pub fn with_legacy(self, legacy: &LegacyAlgorithms) -> Capabilities {
        Capabilities { triple_des: legacy.triple_des, sha1: legacy.sha1_signatures, ..self }
    }

    /// Reads the body of an answer: one keyword a line, any case, unknown ones passed over.
    pub fn parse(body: &str) -> Capabilities {
        let mut found = Capabilities::default();
        for line in body.lines().map(str::trim) {
            for (keyword, field) in found.fields_mut() {
                if line.eq_ignore_ascii_case(keyword) {
                    *field = true;
                }
            }
        }
        found
    }

    /// The strongest cipher that the server and a client of our time share.
    pub fn cipher(&self) -> ContentCipher {
        if self.aes || self.scep_standard {
            ContentCipher::Aes128
        } else {
            ContentCipher::TripleDes
        }
    }

    /// The digest to sign with: SHA-256 unless the server names only others of SHA-2. SHA-1 is not
    /// made for a server that names nothing else; those of our time verify SHA-256 unasked.
    pub fn digest(&self) -> DigestAlgorithm {
        if self.sha256 || self.scep_standard {
            DigestAlgorithm::Sha256
        } else if self.sha512 {
            DigestAlgorithm::Sha512
        } else if self.sha384 {
            DigestAlgorithm::Sha384
        } else {
            DigestAlgorithm::Sha256
        }
    }

    fn fields_mut(&mut self) -> [(&'static str, &mut bool); 10] {
        [
            ("AES", &mut self.aes),
            ("POSTPKIOperation", &mut self.post),
            ("SCEPStandard", &mut self.scep_standard),
            ("SHA-256", &mut self.sha256),
            ("SHA-384", &mut self.sha384),
            ("SHA-512", &mut self.sha512),
            ("Renewal", &mut self.renewal),
            ("GetNextCACert", &mut self.get_next_ca_cert),
            ("DES3", &mut self.triple_des),
            ("SHA-1", &mut self.sha1),
        ]
    }
}

/// The body of an answer: one keyword a line, LF after each.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut offered_here = *self;
        for (keyword, offered) in offered_here.fields_mut() {
            if *offered {
                writeln!(f, "{keyword}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modern_server_offers_no_old_algorithm_and_no_renewal() {
        let text = Capabilities::MODERN.to_string();
        assert_eq!(text, "AES\nPOSTPKIOperation\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n");
    }

    #[test]
    fn legacy_switches_show_as_lines() {
        let legacy = LegacyAlgorithms { triple_des: true, ..LegacyAlgorithms::default() };
        let text = Capabilities::MODERN.with_renewal().with_legacy(&legacy).to_string();
        assert!(text.contains("\nDES3\n") && text.contains("\nRenewal\n"), "{text}");
        assert!(!text.contains("SHA-1\n"), "{text}");
    }

    #[test]
    fn what_is_written_reads_back_in_any_case_and_line_ending() {
        let all = Capabilities::MODERN.with_renewal().with_next_ca_cert();
        let text = all.to_string().to_uppercase().replace('\n', "\r\n") + "example.org.Private\r\n";
        assert_eq!(Capabilities::parse(&text), all);
    }

    #[test]
    fn a_server_without_keywords_gets_triple_des_and_sha_256() {
        let none = Capabilities::parse("SHA-1");
        assert_eq!(none.cipher(), ContentCipher::TripleDes);
        assert_eq!(none.digest(), DigestAlgorithm::Sha256);
        assert_eq!(Capabilities::parse("SHA-512").digest(), DigestAlgorithm::Sha512);
        let standard = Capabilities::parse("SCEPStandard");
        assert_eq!(standard.cipher(), ContentCipher::Aes128);
        assert_eq!(standard.digest(), DigestAlgorithm::Sha256);
    }
}
