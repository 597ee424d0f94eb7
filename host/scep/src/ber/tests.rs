//! The normaliser against BER made by hand, and against BER made out of any DER.

use proptest::prelude::*;

use super::*;

fn normal(hex: &str) -> Result<String, BerError> {
    let bytes = hex::decode(hex.replace(' ', "")).unwrap();
    normalise(&bytes, &Bounds::REQUEST).map(hex::encode)
}

#[test]
fn der_is_borrowed_untouched() {
    let der = hex::decode("3009020101a004040202ab").unwrap();
    assert!(
        matches!(normalise(&der, &Bounds::REQUEST).unwrap(), Cow::Borrowed(same) if same == der)
    );
}

#[test]
fn indefinite_and_long_lengths_become_definite_and_minimal() {
    assert_eq!(normal("3080 020101 0000").unwrap(), "3003020101");
    assert_eq!(normal("3080 3080 0000 0000").unwrap(), "30023000");
    assert_eq!(normal("3081 03 0283 000001 01").unwrap_err(), BerError::Truncated);
    assert_eq!(normal("3081 06 0283 000001 01").unwrap(), "3003020101");
    assert_eq!(normal("3084 00000003 020101").unwrap(), "3003020101");
}

#[test]
fn strings_in_parts_are_joined_at_any_nesting() {
    assert_eq!(normal("2480 0402abcd 0401ef 0000").unwrap(), "0403abcdef");
    assert_eq!(normal("2406 0402abcd 0400").unwrap(), "0402abcd");
    assert_eq!(normal("2480 2480 0401ab 0000 2403 0401cd 0000").unwrap(), "0402abcd");
    assert_eq!(normal("2c80 040161 0c0162 0000").unwrap(), "0c026162");
    assert_eq!(normal("2380 030200ab 030204c0 0000").unwrap(), "030304abc0");
}

#[test]
fn parts_of_another_kind_are_refused() {
    assert_eq!(normal("2480 020101 0000").unwrap_err(), BerError::BadString);
    // Unused bits before the last part.
    assert_eq!(normal("2380 030204a0 030200ab 0000").unwrap_err(), BerError::BadString);
    assert_eq!(normal("2380 0300 0000").unwrap_err(), BerError::BadString);
}

#[test]
fn constructed_encrypted_content_becomes_primitive() {
    // EncryptedContentInfo { OID, SEQUENCE, [0] { parts } }, indefinite and as micromdm writes it.
    assert_eq!(
        normal("3080 06012a 3000 a080 0401ab 0401cd 0000 0000").unwrap(),
        "300906012a30008002abcd"
    );
    assert_eq!(normal("300a 06012a 3000 a003 0401ab").unwrap(), "300806012a30008001ab");
    // EncapsulatedContentInfo { OID, [0] { OCTET STRING } } stays as it is.
    assert_eq!(normal("3008 06012a a003 0401ab").unwrap(), "300806012aa0030401ab");
    // Four elements are no EncryptedContentInfo.
    let four = "300d06012a3000a0030401ab020101";
    assert_eq!(normal(four).unwrap(), four);
}

#[test]
fn sets_keep_their_order() {
    assert_eq!(normal("3180 020102 020101 0000").unwrap(), "3106020102020101");
}

#[test]
fn only_nul_cr_and_lf_may_follow() {
    assert_eq!(normal("0500 00 0d 0a 0a").unwrap(), "0500");
    assert_eq!(normal("0500 20").unwrap_err(), BerError::TrailingData(1));
}

#[test]
fn bounds_hold() {
    let deep = |levels: usize| [vec![[0x30, 0x80]; levels].concat(), vec![0; levels * 2]].concat();
    assert!(normalise(&deep(16), &Bounds::REQUEST).is_ok());
    assert_eq!(normalise(&deep(17), &Bounds::REQUEST), Err(BerError::TooDeep { limit: 16 }));
    let bomb = [0x30, 0x80].repeat(30_000);
    assert_eq!(normalise(&bomb, &Bounds::REQUEST), Err(BerError::TooDeep { limit: 16 }));
    let many = tlv::sequence(&[&[5, 0].repeat(8191)]);
    assert!(normalise(&many, &Bounds::REQUEST).is_ok());
    let many = tlv::sequence(&[&[5, 0].repeat(8192)]);
    assert_eq!(normalise(&many, &Bounds::REQUEST), Err(BerError::TooManyElements { limit: 8192 }));
    let large = tlv::element(tlv::OCTET_STRING, &[&vec![0; 65_536]]);
    assert!(matches!(normalise(&large, &Bounds::REQUEST), Err(BerError::TooLarge { .. })));
    assert!(normalise(&large, &Bounds::with_size(100_000)).is_ok());
    assert_eq!(Bounds::with_size(usize::MAX).size(), Bounds::LARGEST_REQUEST);
}

#[test]
fn what_cannot_be_is_refused() {
    for (hex, error) in [
        ("", BerError::Truncated),
        ("30", BerError::Truncated),
        ("3002 05", BerError::Truncated),
        ("3080 0500", BerError::Truncated),
        ("0480 00", BerError::BadLength),
        ("3085 0000000000", BerError::BadLength),
        ("30ff", BerError::BadLength),
        ("1000", BerError::BadTag(0x10)),
        ("2200", BerError::BadTag(0x22)),
        ("0000", BerError::BadTag(0)),
        ("3002 0000", BerError::BadTag(0)),
        ("1f8101 00", BerError::BadTag(0x1f)),
        ("bf2100", BerError::BadTag(0xbf)),
        ("0484 ffffffff 00", BerError::Truncated),
    ] {
        assert_eq!(normal(hex).unwrap_err(), error, "{hex}");
    }
}

/// Any DER tree as the normaliser leaves it: no `[0]` that its one hint would touch.
fn der_tree() -> impl Strategy<Value = Vec<u8>> {
    let leaf = (
        prop_oneof![Just(0x02u8), Just(0x04), Just(0x0c), Just(0x13), Just(0x80)],
        any::<Vec<u8>>(),
    )
        .prop_map(|(tag, content)| tlv::element(tag, &[&content]));
    leaf.prop_recursive(5, 64, 6, |inner| {
        (prop_oneof![Just(0x30u8), Just(0x31), Just(0xa1)], prop::collection::vec(inner, 0..6))
            .prop_map(|(tag, children)| {
                tlv::element(tag, &children.iter().map(Vec::as_slice).collect::<Vec<_>>())
            })
    })
}

/// The same value in the loosest BER: indefinite lengths everywhere, strings in parts of a byte
/// or two, lengths in four bytes.
fn loosened(der: &[u8], out: &mut Vec<u8>) {
    let element = tlv::Reader::new(der).next().unwrap();
    if element.tag & CONSTRUCTED != 0 {
        out.extend([element.tag, 0x80]);
        let mut reader = element.reader();
        while !reader.is_empty() {
            loosened(reader.next().unwrap().whole, out);
        }
        out.extend([0, 0]);
    } else if matches!(element.tag, 0x04 | 0x0c | 0x13) {
        out.extend([element.tag | CONSTRUCTED, 0x80]);
        for part in element.content.chunks(2) {
            out.extend([tlv::OCTET_STRING, 0x81, u8::try_from(part.len()).unwrap()]);
            out.extend(part);
        }
        out.extend([0, 0]);
    } else {
        out.extend([element.tag, 0x84]);
        out.extend(u32::try_from(element.content.len()).unwrap().to_be_bytes());
        out.extend(element.content);
    }
}

proptest! {
    #[test]
    fn any_der_passes_byte_for_byte(der in der_tree()) {
        let normal = normalise(&der, &Bounds::REQUEST).unwrap();
        prop_assert!(matches!(normal, Cow::Borrowed(same) if same == der));
    }

    #[test]
    fn any_loose_encoding_comes_back_to_the_same_der(der in der_tree()) {
        let mut loose = Vec::new();
        loosened(&der, &mut loose);
        prop_assert_eq!(normalise(&loose, &Bounds::with_size(1 << 20)).unwrap().into_owned(), der);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        if let Ok(normal) = normalise(&bytes, &Bounds::REQUEST) {
            // What it makes, it takes.
            prop_assert_eq!(normalise(&normal, &Bounds::REQUEST).unwrap(), normal.as_ref());
        }
    }
}
