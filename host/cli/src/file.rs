//! Files that people name on the command line: read bounded, PEM or DER, never overwritten unawares.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// No certificate, key or message that is read here is longer.
const LONGEST: u64 = 4 * 1024 * 1024;

/// A file's bytes; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failure::new(format!("{shown}: {error}"));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = File::open(path).map_err(failed)?;
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::new(format!("{shown} is longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}

/// All certificates of a file, PEM or one in DER; at least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let bytes = read(path)?;
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes]);
    }
    let found: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::new(format!("{} is not a certificate: {error}", path.display())))?
        .into_iter()
        .map(|certificate| certificate.to_vec())
        .collect();
    if found.is_empty() {
        return Err(Failure::new(format!(
            "{} holds no certificate; expected PEM or DER",
            path.display()
        )));
    }
    Ok(found)
}

/// The private key of a file: PKCS#8, PEM or DER, unencrypted. What is in the file is never shown.
pub(crate) fn read_pkcs8(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = Zeroizing::new(read(path)?);
    if bytes.first() == Some(&0x30) {
        return Ok(bytes);
    }
    let key = PrivatePkcs8KeyDer::from_pem_slice(&bytes).map_err(|_| {
        Failure::new(format!(
            "{} is not an unencrypted PKCS#8 private key; expected `BEGIN PRIVATE KEY` or DER \
             (`openssl pkcs8 -topk8 -nocrypt` converts)",
            path.display()
        ))
    })?;
    Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec()))
}

/// Whether a file may be replaced that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and writing fails.
    Refuse,
    /// It goes.
    Replace,
}

impl Existing {
    /// What `--force` means.
    pub(crate) fn from_force(force: bool) -> Self {
        if force { Self::Replace } else { Self::Refuse }
    }

    /// Fails if the file is there and must stay: to be asked before long work.
    pub(crate) fn check(self, path: &Path) -> Result<(), Failure> {
        match self {
            Self::Refuse if path.symlink_metadata().is_ok() => Err(Failure::new(format!(
                "{} exists and is not overwritten; give another path, or --force",
                path.display()
            ))),
            Self::Refuse | Self::Replace => Ok(()),
        }
    }
}

/// Writes a whole file with this mode, beside and then renamed, durable when this returns.
pub(crate) fn write(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    existing: Existing,
) -> Result<(), Failure> {
    existing.check(path)?;
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = Path::new(&beside);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match existing {
            // Fails where somebody made the file meanwhile.
            Existing::Refuse => std::fs::hard_link(beside, path),
            Existing::Replace => std::fs::rename(beside, path),
        }
    })();
    if existing == Existing::Refuse || written.is_err() {
        // Where it never came to be, there is nothing to remove.
        let _ = std::fs::remove_file(beside);
    }
    written.map_err(failed)
}

/// PEM of one block.
pub(crate) fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 66 / 64 + 128));
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_is_there_stays_unless_it_may_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write(&path, b"one", 0o600, Existing::Refuse).unwrap();
        assert!(write(&path, b"two", 0o600, Existing::Refuse).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write(&path, b"three", 0o600, Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().unwrap().count(), 1, "nothing is left beside");
    }

    #[test]
    fn pem_reads_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        for length in [0, 1, 47, 48, 49, 500] {
            let bytes = vec![0x17; length];
            std::fs::write(&path, pem("PRIVATE KEY", &bytes).as_bytes()).unwrap();
            if length > 0 {
                assert_eq!(read_pkcs8(&path).unwrap().as_slice(), bytes);
            }
        }
        let text = pem("CERTIFICATE", &[0; 100]);
        assert!(text.lines().all(|line| line.len() <= 64), "{}", text.as_str());
    }
}
