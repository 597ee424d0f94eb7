//! One subtree of name constraints, and which names lie in it.

use std::net::IpAddr;

use super::{ConstraintsError, Tested};
use crate::{
    der::{Tlv, only, tag},
    oid::{Oid, known},
    san::is_host_name,
    subject::{Attribute, Subject},
};

/// A subtree. Texts are in lower case; empty text means all names of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subtree {
    Dns(String),
    Email(String),
    Uri(String),
    Ip {
        address: Vec<u8>,
        mask: Vec<u8>,
    },
    Upn(String),
    Directory(Subject),
    /// An otherName of a type whose constraints nobody defined.
    Other(Oid),
    /// A form that no certificate of ours carries (x400Address, ediPartyName, registeredID).
    Unused,
}

/// How directory names are compared with a subtree.
#[derive(Clone, Debug)]
pub(super) enum DirectoryMatch {
    /// As RFC 5280 has it: the subtree's RDNs come first.
    InOrder,
    /// The CA may still reverse the order, or add these attributes.
    BeforeIssuance(Vec<Attribute>),
}

impl Subtree {
    pub(super) fn from_general_name(base: Tlv<'_>) -> Result<Self, ConstraintsError> {
        Ok(match base.tag {
            0xa0 => other_name(base)?,
            0x81 => Self::Email(lower("rfc822Name", base.value)?),
            0x82 => Self::Dns(domain("dNSName", base.value)?),
            0x86 => Self::Uri(domain("URI", base.value)?),
            0xa4 => Self::Directory(Subject::from_der(base.value)?),
            0x87 => match base.value.len() {
                length @ (8 | 32) => {
                    let (address, mask) = base.value.split_at(length / 2);
                    Self::Ip { address: address.to_vec(), mask: mask.to_vec() }
                }
                _ => return Err(ConstraintsError::Base("iPAddress")),
            },
            0xa3 | 0xa5 | 0x88 => Self::Unused,
            _ => return Err(ConstraintsError::Base("unknown")),
        })
    }

    /// Whether the constraint speaks about names of this form at all.
    pub(super) fn is_of_form(&self, name: Tested<'_>) -> bool {
        match (self, name) {
            (Self::Dns(_), Tested::Dns(_))
            | (Self::Email(_), Tested::Email(_))
            | (Self::Uri(_), Tested::Uri(_))
            | (Self::Ip { .. }, Tested::Ip(_))
            | (Self::Upn(_), Tested::Upn(_))
            | (Self::Directory(_), Tested::Directory(_)) => true,
            (Self::Other(constrained), Tested::Other(type_id)) => constrained == type_id,
            _ => false,
        }
    }

    /// Whether the name lies in the subtree for certain (the reading for permitted subtrees).
    pub(super) fn contains(&self, name: Tested<'_>, order: &DirectoryMatch) -> bool {
        match (self, name) {
            // A wildcard is many names, so it is in no subtree for certain.
            (Self::Dns(tree), Tested::Dns(name)) => {
                !name.starts_with("*.") && is_in_domain(name, tree)
            }
            (Self::Email(tree), Tested::Email(mailbox)) => match mailbox.split_once('@') {
                Some((local, domain)) => match tree.split_once('@') {
                    Some((tree_local, tree_domain)) => {
                        local == tree_local && domain.eq_ignore_ascii_case(tree_domain)
                    }
                    None => is_in_host_tree(&domain.to_ascii_lowercase(), tree),
                },
                None => false,
            },
            (Self::Uri(tree), Tested::Uri(uri)) => {
                uri_host(uri).is_some_and(|host| is_in_host_tree(host, tree))
            }
            (Self::Ip { address, mask }, Tested::Ip(ip)) => is_in_network(ip, address, mask),
            (Self::Upn(tree), Tested::Upn(name)) => match (name.split_once('@'), tree) {
                (Some((_, realm)), tree) if !tree.contains('@') => is_in_host_tree(realm, tree),
                (Some((_, realm)), tree) => match tree.strip_prefix('@') {
                    Some(whole_realm) => realm == whole_realm,
                    None => name == tree,
                },
                (None, _) => false,
            },
            (Self::Directory(tree), Tested::Directory(subject)) => is_below(subject, tree, order),
            _ => false,
        }
    }

    /// Whether the name may lie in the subtree (the reading for excluded subtrees): wider than
    /// [`contains`](Self::contains) wherever readers differ.
    pub(super) fn touches(&self, name: Tested<'_>, order: &DirectoryMatch) -> bool {
        match (self, name) {
            (Self::Dns(tree), Tested::Dns(name)) => {
                let bare = tree.strip_prefix('.').unwrap_or(tree);
                match name.strip_prefix("*.") {
                    Some(base) => is_in_domain(base, bare) || is_in_domain(bare, base),
                    None => is_in_domain(name, bare),
                }
            }
            (Self::Email(tree), Tested::Email(mailbox)) => match mailbox.split_once('@') {
                Some((_, domain)) => {
                    mailbox.eq_ignore_ascii_case(tree)
                        || is_in_host_tree(&domain.to_ascii_lowercase(), tree)
                }
                None => true,
            },
            // RFC 5280: a URI without a host name is refused wherever URIs are constrained.
            (Self::Uri(tree), Tested::Uri(uri)) => {
                uri_host(uri).is_none_or(|host| is_in_host_tree(host, tree))
            }
            (Self::Upn(tree), Tested::Upn(name)) => {
                let name = name.to_lowercase();
                let bare = tree.trim_start_matches(['@', '.']);
                name == *tree
                    || name.split_once('@').is_none_or(|(_, realm)| is_in_domain(realm, bare))
            }
            (Self::Directory(tree), Tested::Directory(subject)) => {
                let extra: &[Attribute] = match order {
                    DirectoryMatch::InOrder => &[],
                    DirectoryMatch::BeforeIssuance(fixed) => fixed,
                };
                holds_all(subject, extra, tree)
            }
            (Self::Other(_), Tested::Other(_)) => true,
            _ => self.contains(name, order),
        }
    }
}

fn other_name(base: Tlv<'_>) -> Result<Subtree, ConstraintsError> {
    let mut reader = base.reader();
    let type_id = Oid::from_tlv(reader.any()?)?;
    let value = reader.expect(tag::context_constructed(0))?;
    reader.finish()?;
    if type_id != known::MS_UPN {
        return Ok(Subtree::Other(type_id));
    }
    const ERROR: ConstraintsError = ConstraintsError::Base("user principal name");
    let text = only(value.value)?.expect(tag::UTF8_STRING)?.value;
    let text = std::str::from_utf8(text).map_err(|_| ERROR)?.to_lowercase();
    let realm = text.rsplit('@').next().unwrap_or_default().trim_start_matches('.');
    if !realm.is_empty() && !is_host_name(realm) {
        return Err(ERROR);
    }
    Ok(Subtree::Upn(text))
}

fn lower(form: &'static str, octets: &[u8]) -> Result<String, ConstraintsError> {
    match std::str::from_utf8(octets) {
        Ok(text) if text.is_ascii() => match text.split_once('@') {
            // The part before the @ keeps its case.
            Some((local, host)) if is_host_name(host) && !local.is_empty() => {
                Ok(format!("{local}@{}", host.to_ascii_lowercase()))
            }
            None => domain(form, octets),
            Some(_) => Err(ConstraintsError::Base(form)),
        },
        _ => Err(ConstraintsError::Base(form)),
    }
}

/// A host name, one with a leading dot, or nothing.
fn domain(form: &'static str, octets: &[u8]) -> Result<String, ConstraintsError> {
    let text = std::str::from_utf8(octets).map_err(|_| ConstraintsError::Base(form))?;
    let bare = text.strip_prefix('.').unwrap_or(text);
    if text.is_empty() || is_host_name(bare) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(ConstraintsError::Base(form))
    }
}

/// dNSName: the name itself or anything below; with a leading dot only what is below.
fn is_in_domain(name: &str, tree: &str) -> bool {
    if tree.is_empty() {
        return true;
    }
    match name.strip_suffix(tree) {
        Some("") => true,
        Some(rest) => tree.starts_with('.') || rest.ends_with('.'),
        None => false,
    }
}

/// rfc822Name and URI: exactly the host, or, with a leading dot, what is below.
fn is_in_host_tree(host: &str, tree: &str) -> bool {
    if tree.is_empty() {
        true
    } else if tree.starts_with('.') {
        // No host name starts with a dot, so there is a label before it.
        host.ends_with(tree)
    } else {
        host == tree
    }
}

/// The host of a URI with an authority; `None` where there is none or it is an address.
fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    is_host_name(host).then_some(host)
}

fn is_in_network(ip: IpAddr, address: &[u8], mask: &[u8]) -> bool {
    let octets: &[u8] = match &ip {
        IpAddr::V4(four) => &four.octets(),
        IpAddr::V6(six) => &six.octets(),
    };
    octets.len() == address.len()
        && octets
            .iter()
            .zip(address)
            .zip(mask)
            .all(|((octet, network), mask)| octet & mask == network & mask)
}

fn is_below(subject: &Subject, tree: &Subject, order: &DirectoryMatch) -> bool {
    let subject_rdns: Vec<_> = subject.rdns().iter().map(|rdn| folded(rdn.attributes())).collect();
    let tree_rdns: Vec<_> = tree.rdns().iter().map(|rdn| folded(rdn.attributes())).collect();
    if subject_rdns.starts_with(&tree_rdns) {
        return true;
    }
    match order {
        DirectoryMatch::InOrder => false,
        DirectoryMatch::BeforeIssuance(fixed) => {
            let reversed: Vec<_> = subject_rdns.into_iter().rev().collect();
            reversed.starts_with(&tree_rdns)
                || (!fixed.is_empty() && holds_all(subject, fixed, tree))
        }
    }
}

/// Every attribute of `tree` is in the subject or in `extra`, wherever.
fn holds_all(subject: &Subject, extra: &[Attribute], tree: &Subject) -> bool {
    let present = folded(subject.attributes().chain(extra));
    folded(tree.attributes()).iter().all(|attribute| present.contains(attribute))
}

/// RFC 5280 §7.1: values are compared without regard to case and to the amount of white space.
fn folded<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> Vec<(&'a Oid, String)> {
    let mut folded: Vec<_> = attributes
        .into_iter()
        .map(|attribute| {
            let words: Vec<String> =
                attribute.value().split_whitespace().map(str::to_lowercase).collect();
            (attribute.attribute_type(), words.join(" "))
        })
        .collect();
    folded.sort();
    folded
}
