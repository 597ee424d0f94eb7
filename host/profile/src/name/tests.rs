use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    text.parse::<Name>().unwrap().to_string()
}

#[test]
fn names_have_one_text_each() {
    for (text, expected) in [
        ("CN=device-17", "CN=device-17"),
        ("2.5.4.3=device-17", "CN=device-17"),
        ("2.5.4.5=7", "serialNumber=7"),
        ("1.2.3.4=x=y:z", "1.2.3.4=x=y:z"),
        ("CN=DNS:a", "CN=DNS:a"),
        ("DNS:Host.Example", "DNS:host.example"),
        ("DNS:*.Example", "DNS:*.example"),
        ("email:A@Mail.Example", "email:A@mail.example"),
        ("URI:HTTPS://Host.Example/Path", "URI:https://host.example/Path"),
        ("URI:Urn:A:B=c", "URI:urn:A:B=c"),
        ("IP:192.0.2.1", "IP:192.0.2.1"),
        ("IP:2001:0db8:0::1", "IP:2001:db8::1"),
        ("UPN:Jürg@Corp.Example", "UPN:Jürg@corp.example"),
        (r"dirName:O=a\,b,CN=c+2.5.4.5=d\\", r"dirName:O=a\,b,CN=c+serialNumber=d\\"),
        ("dirName:", "dirName:"),
        ("otherName:1.2.3:0C0161", "otherName:1.2.3:0c0161"),
    ] {
        assert_eq!(canonical(text), expected);
        assert_eq!(canonical(expected), expected);
    }
}

#[test]
fn texts_that_are_no_names_are_refused() {
    for text in [
        "",
        "device-17",
        "cn=a",
        "CN",
        "CN=",
        "CN= a",
        "CN=a\n",
        "=a",
        "1.2.=a",
        "3.1=a",
        "01.2=a",
        "1.40=a",
        "1=a",
        "DNS",
        "DNS:",
        "dns:a.example",
        "DNS:a b",
        "DNS:1.2.3.4",
        "DNS:a.example.",
        "IP:1.2.3",
        "IP:::ffff:10.0.0.1",
        "IP:01.2.3.4",
        "email:a",
        "UPN:a",
        "UPN:@a.example",
        "URI:a",
        "URI::a",
        "URI:1:a",
        "dirName:CN",
        "dirName:CN=a,",
        r"dirName:CN=a\x",
        "dirName:CN=a+CN=a",
        "otherName:1.2.3",
        "otherName:1.2.3:0c01",
        "otherName:1.2.3:zz",
        "otherName:1.3.6.1.4.1.311.20.2.3:0c0561406d2e78",
        "sid:S-1-5",
    ] {
        assert!(text.parse::<Name>().is_err(), "{text:?} was read");
    }
}

#[test]
fn directory_names_as_text_are_bounded_like_those_in_der() {
    let text = |count| format!("dirName:{}", vec!["CN=a"; count].join(","));
    assert!(text(64).parse::<Name>().is_ok());
    assert!(text(65).parse::<Name>().is_err());
}

#[test]
fn errors_show_nothing_invisible() {
    let error = "\u{202e}\u{1b}[2Jname".parse::<Name>().unwrap_err().to_string();
    assert!(error.starts_with(r"`\u{202e}\u{1b}[2Jname` is no name"), "{error:?}");
    let error = "\u{1b}=a".parse::<Name>().unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn string_types_of_asn1_do_not_matter() {
    use crate::forge;
    let read = |value| crate::Subject::from_der(&forge::name(&[&[("2.5.4.3", value)]])).unwrap();
    let bmp: Vec<u8> = "Jürg".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let texts = [
        forge::utf8("Jürg"),
        crate::der::encode(crate::der::tag::BMP_STRING, &[&bmp]),
        crate::der::encode(crate::der::tag::TELETEX_STRING, &[b"J\xfcrg"]),
    ];
    for text in texts {
        assert_eq!(read(text), "CN=Jürg".parse().unwrap());
    }
    assert_eq!(read(forge::printable("a")), read(forge::utf8("a")));
    assert_ne!(read(forge::utf8("a")), read(forge::utf8("A")));
}

#[test]
fn multi_valued_rdns_are_equal_in_any_order() {
    let parse = |text: &str| text.parse::<crate::Subject>().unwrap();
    assert_eq!(parse("CN=a+serialNumber=7"), parse("serialNumber=7+CN=a"));
    assert_ne!(parse("CN=a+serialNumber=7"), parse("CN=a,serialNumber=7"));
    assert_ne!(parse("CN=a,serialNumber=7"), parse("serialNumber=7,CN=a"));
}

#[test]
fn names_travel_in_json_as_text() {
    let name: Name = serde_json::from_str(r#""DNS:A.example""#).unwrap();
    assert_eq!(serde_json::to_string(&name).unwrap(), r#""DNS:a.example""#);
    assert!(serde_json::from_str::<Name>(r#""a.example""#).is_err());
}

fn value() -> impl Strategy<Value = String> {
    "[!-~äßЖ中]([ -~äßЖ中]{0,20}[!-~äßЖ中])?"
}

fn attribute() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        "CN|O|OU|serialNumber|DC|emailAddress",
        "[0-2]\\.[1-3][0-9]\\.[1-9][0-9]{0,37}"
    ];
    (kind, value()).prop_map(|(kind, value)| format!("{kind}={value}"))
}

fn name() -> impl Strategy<Value = String> {
    let host = "[A-Za-z][A-Za-z0-9]{0,10}(\\.[A-Za-z][a-z0-9]{0,10}){0,3}";
    prop_oneof![
        attribute(),
        host.prop_map(|host| format!("DNS:{host}")),
        ("[!-?A-Za-z]{1,10}", host).prop_map(|(local, host)| format!("email:{local}@{host}")),
        ("[a-zA-Z]{1,5}", "[!-\\[\\]-~]{1,20}")
            .prop_map(|(scheme, rest)| format!("URI:{scheme}:{rest}")),
        any::<[u8; 4]>().prop_map(|ip| format!("IP:{}", std::net::Ipv4Addr::from(ip))),
        any::<[u8; 16]>().prop_map(|ip| format!("IP:{}", std::net::Ipv6Addr::from(ip))),
        ("[A-Za-zäßЖ.]{1,10}", host).prop_map(|(user, host)| format!("UPN:{user}@{host}")),
        prop::collection::vec(value(), 0..4).prop_map(|values| {
            let rdns: Vec<_> = values
                .iter()
                .map(|value| {
                    let escaped: String = value
                        .chars()
                        .flat_map(|c| ",+\\".contains(c).then_some('\\').into_iter().chain([c]))
                        .collect();
                    format!("OU={escaped}+CN={escaped}")
                })
                .collect();
            format!("dirName:{}", rdns.join(","))
        }),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|octets| {
            format!("otherName:1.2.840.1:04{:02x}{}", octets.len(), hex::encode(octets))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_and_name_go_round(text in name()) {
        // A few of the generated URIs have a user before their host, which no name has.
        let Ok(name) = text.parse::<Name>() else {
            prop_assume!(false);
            unreachable!()
        };
        let shown = name.to_string();
        let again: Name = shown.parse().unwrap();
        prop_assert_eq!(&again, &name);
        prop_assert_eq!(again.to_string(), shown);
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,60}") {
        if let Ok(name) = text.parse::<Name>() {
            let shown = name.to_string();
            prop_assert!(!shown.contains(char::is_control));
            prop_assert_eq!(shown.parse::<Name>().unwrap(), name);
        }
    }
}
