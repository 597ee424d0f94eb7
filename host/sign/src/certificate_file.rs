//! Certificates in files: one DER, or PEM with a chain after the first.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// No file of certificates is larger.
const LONGEST: u64 = 256 * 1024;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why certificates could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read certificates from {path}: {problem}; {remedy}", path = .path.display())]
pub struct CertificateFileError {
    /// The file.
    pub path: PathBuf,
    /// What was expected and found.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

/// The DER of every certificate in the file at `path`, at least one, in order.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, CertificateFileError> {
    let wrong =
        |problem: String, remedy| CertificateFileError { path: path.to_owned(), problem, remedy };
    let unreadable = |error: std::io::Error| {
        wrong(error.to_string(), "certificates are public: let this process's user read the file")
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(format!("more than {LONGEST} octets"), "give the right file"));
    }
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes]);
    }
    let expected = "expected DER, or PEM blocks `CERTIFICATE`";
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| wrong("neither DER nor text".to_owned(), expected))?;
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (body, after) = after
            .split_once(END)
            .ok_or_else(|| wrong("a PEM block without an end".to_owned(), expected))?;
        let block = format!("{BEGIN}\n{}\n{END}\n", body.trim());
        let (_, der) = der::pem::decode_vec(block.as_bytes())
            .map_err(|error| wrong(error.to_string(), expected))?;
        found.push(der);
        rest = after;
    }
    if found.is_empty() {
        return Err(wrong("no certificate in it".to_owned(), expected));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<Vec<u8>>, CertificateFileError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.pem");
        std::fs::write(&path, content).unwrap();
        read_certificates(&path)
    }

    #[test]
    fn a_chain_comes_in_order_with_text_around_it() {
        let block = |body: &str| format!("subject=x\n{BEGIN}\n{body}\n{END}\n");
        let file = format!("{}{}", block("MAA="), block("MAEA"));
        assert_eq!(read(file.as_bytes()).unwrap(), [vec![0x30, 0], vec![0x30, 1, 0]]);
        assert_eq!(read(file.replace('\n', "\r\n").as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn der_is_one_certificate_and_other_content_none() {
        assert_eq!(read(&[0x30, 0]).unwrap(), [vec![0x30, 0]]);
        for content in [&b""[..], b"text", &[0xff, 0xfe], BEGIN.as_bytes()] {
            assert!(read(content).is_err());
        }
        assert!(read(&vec![b' '; 300_000]).is_err());
    }
}
