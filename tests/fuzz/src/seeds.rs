//! Golden messages, by what they are.

use countersign_scep::{Bounds, Query};

use crate::forge;

pub(crate) fn messages() -> Vec<Vec<u8>> {
    let mut messages = golden(|name| {
        // Only a test that knows their fault reads these two.
        name.ends_with(".der") && (name.starts_with("micromdm-") || name.starts_with("strongswan-"))
    });
    messages.extend(queries().iter().map(|query| {
        let query = std::str::from_utf8(query).expect("a query is text");
        let query = Query::parse(query, &Bounds::REQUEST).expect("a golden query");
        query.pki_message().expect("a golden query holds a message")
    }));
    messages
}

pub(crate) fn queries() -> Vec<Vec<u8>> {
    golden(|name| name.ends_with(".get"))
}

pub(crate) fn envelopes() -> Vec<Vec<u8>> {
    golden(|name| name.ends_with(".env"))
}

pub(crate) fn requests() -> Vec<Vec<u8>> {
    golden(|name| name.ends_with("csr.der"))
}

pub(crate) fn certificates() -> Vec<Vec<u8>> {
    let mut found = golden(|name| name.ends_with(".p7"));
    found.extend(
        ["ca", "cep", "rep", "device", "signer-ec"]
            .map(|name| forge::golden(&format!("{name}.der"))),
    );
    found
}

/// Answers of a CA, in the form of Microsoft's documents.
pub(crate) fn answers() -> Vec<Vec<u8>> {
    let folder = forge::golden_directory();
    let root = folder.ancestors().nth(3).expect("the repository");
    read(&root.join("host/authority/tests/messages"), |name| name.ends_with("-response.xml"))
}

fn golden(wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    read(&forge::golden_directory(), wanted)
}

fn read(folder: &std::path::Path, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is in the repository")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("a plain name"))
        .filter(|name| wanted(name))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{} holds nothing to begin with", folder.display());
    names.iter().map(|name| std::fs::read(folder.join(name)).expect("readable")).collect()
}
