//! The leaves of a voucher in JSON and XML: to the letter, and as makers in the field write them.

use serde_json::{Value, json};
use sztp_cms::UnixTime;
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, Profile, Voucher, VoucherError};

const PIN: &str = "MAoGCCqGSM49BAMC";

/// A voucher document with these leaves changed; `null` takes one out.
fn document(changes: Value) -> Vec<u8> {
    let mut leaves = json!({
        "created-on": "2026-03-02T08:15:00Z",
        "assertion": "verified",
        "serial-number": "AX7-00042",
        "pinned-domain-cert": PIN,
    });
    let Value::Object(changes) = changes else {
        panic!("an object")
    };
    for (name, value) in changes {
        if value.is_null() {
            leaves.as_object_mut().expect("an object").remove(&name);
        } else {
            leaves[name] = value;
        }
    }
    json!({ "ietf-voucher:voucher": leaves })
        .to_string()
        .into_bytes()
}

fn strict(changes: Value) -> Result<Voucher, VoucherError> {
    decode(changes, Profile::Rfc8366).map(|(voucher, notes)| {
        assert_eq!(notes, [""; 0], "to the letter there is nothing to note");
        voucher
    })
}

fn lenient(changes: Value) -> Result<(Voucher, Vec<String>), VoucherError> {
    decode(changes, Profile::Rfc8366bis)
}

fn decode(changes: Value, profile: Profile) -> Result<(Voucher, Vec<String>), VoucherError> {
    Voucher::decode(&document(changes), Encoding::Json, profile)
}

#[test]
fn all_leaves_survive_both_encodings() {
    let voucher = Voucher {
        expires_on: Some(UnixTime::from_secs(1_800_000_000)),
        idevid_issuer: Some(vec![1; 24]),
        domain_cert_revocation_checks: Some(true),
        last_renewal_date: Some(UnixTime::from_secs(1_900_000_000)),
        ..Voucher::new(
            "AX7 \"<&>\" 42",
            Assertion::Proximity,
            [9; 300],
            UnixTime::from_secs(0),
        )
    };
    let with_nonce = Voucher {
        nonce: Some(vec![0xFB; 32]),
        ..Voucher::new("x", Assertion::Logged, [9; 3], UnixTime::from_secs(1))
    };
    for voucher in [voucher, with_nonce] {
        for encoding in [Encoding::Json, Encoding::Xml] {
            let document = voucher.encode(encoding);
            for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
                let again = Voucher::decode(&document, encoding, profile);
                assert_eq!(again, Ok((voucher.clone(), Vec::new())), "{encoding}");
            }
        }
    }
}

#[test]
fn an_xml_voucher() {
    let xml = format!(
        "<voucher xmlns=\"urn:ietf:params:xml:ns:yang:ietf-voucher\">\
         <created-on>2026-03-02T08:15:00Z</created-on><assertion> logged </assertion>\
         <serial-number>AX7-00042</serial-number>\
         <pinned-domain-cert>\n  {PIN}\n</pinned-domain-cert>\
         <domain-cert-revocation-checks>true</domain-cert-revocation-checks></voucher>"
    );
    let (voucher, _) =
        Voucher::decode(xml.as_bytes(), Encoding::Xml, Profile::Rfc8366).expect("decodes");
    assert_eq!(voucher.assertion, Assertion::Logged);
    assert_eq!(voucher.domain_cert_revocation_checks, Some(true));
    let refused = |from: &str, to: &str| {
        let changed = xml.replacen(from, to, 1);
        assert_ne!(changed, xml);
        Voucher::decode(changed.as_bytes(), Encoding::Xml, Profile::Rfc8366bis)
            .expect_err("refused")
            .code()
    };
    assert_eq!(
        refused("ns:yang:ietf-voucher", "ns:yang:other"),
        "yang.wrong-namespace"
    );
    assert_eq!(
        refused("<voucher", "<!DOCTYPE x><voucher"),
        "yang.forbidden-xml"
    );
    assert_eq!(refused("logged", "&lol;"), "yang.forbidden-xml");
    assert_eq!(refused("logged", "agent-proximity"), "yang.invalid-value");
    assert_eq!(refused(">true<", ">1<"), "yang.wrong-type");
}

/// LEDGER: 8366-5.3-01, 8366-5.3-05, 8366-5.3-06, 8366-5.3-09
#[test]
fn mandatory_leaves() {
    for name in [
        "created-on",
        "assertion",
        "serial-number",
        "pinned-domain-cert",
    ] {
        for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
            let refused = decode(json!({ name: null }), profile).expect_err("refused");
            assert_eq!(refused.code(), "yang.missing-node", "{name}");
        }
    }
}

/// LEDGER: 8366-5.3-01
#[test]
fn dates() {
    let created = |text: &str| strict(json!({ "created-on": text })).map(|it| it.created_on);
    let second = UnixTime::from_secs(1_772_439_300);
    for text in [
        "2026-03-02T08:15:00Z",
        "2026-03-02T08:15:00+00:00",
        "2026-03-02T08:15:00.999Z",
        "2026-03-02T08:15:00.123456789Z",
        "2026-03-02T03:15:00.5-05:00",
        "2026-03-02T13:45:00+05:30",
    ] {
        assert_eq!(created(text), Ok(second), "{text}");
    }
    // Security depends on dates: nothing is guessed, not even leniently.
    for text in [
        "2026-03-02T08:15:00",
        "2026-03-02T08:15Z",
        "2026-03-02 08:15:00Z",
        "2026-03-02",
        "2026-02-30T08:15:00Z",
        "2026-13-01T08:15:00Z",
        "02.03.2026",
        "1772439300",
        "",
    ] {
        for name in ["created-on", "expires-on", "last-renewal-date"] {
            let refused = lenient(json!({ name: text })).expect_err(text);
            assert!(
                ["yang.invalid-value", "yang.wrong-type"].contains(&refused.code()),
                "{name} {text}: {refused}"
            );
        }
    }
    assert!(lenient(json!({ "created-on": 1_772_439_300 })).is_err());
}

/// LEDGER: 8366-5.3-05
#[test]
fn assertions_are_not_guessed() {
    for text in [
        "",
        "Verified",
        "VERIFIED",
        "agent-proximity",
        "verified ",
        "0",
    ] {
        for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
            let refused = decode(json!({ "assertion": text }), profile).expect_err(text);
            assert_eq!(refused.code(), "yang.invalid-value", "{text:?}");
        }
    }
    assert!(lenient(json!({ "assertion": 0 })).is_err());
}

/// LEDGER: 8366-5.3-11, 8366-5.3-15
#[test]
fn booleans_as_strings() {
    let name = "domain-cert-revocation-checks";
    for truth in [true, false] {
        let voucher = strict(json!({ name: truth })).expect("decodes");
        assert_eq!(voucher.domain_cert_revocation_checks, Some(truth));
        let text = truth.to_string();
        assert_eq!(
            strict(json!({ name: text })).expect_err("refused").code(),
            "yang.wrong-type"
        );
        let (voucher, notes) = lenient(json!({ name: text })).expect("decodes");
        assert_eq!(voucher.domain_cert_revocation_checks, Some(truth));
        assert!(notes.iter().any(|note| note.starts_with(name)), "{notes:?}");
    }
    for other in [
        json!("True"),
        json!("yes"),
        json!(""),
        json!(1),
        json!([true]),
    ] {
        assert!(lenient(json!({ name: other })).is_err(), "{other}");
    }
}

/// base64url, and base64 without padding, as the examples of RFC 8995 have it.
#[test]
fn base64_of_the_field() {
    let octets = [0xFB, 0xEF, 0xBE, 0xFB, 0xEF, 0xBE, 1, 2];
    assert!(strict(json!({ "nonce": "++++++++AQI=" })).is_ok());
    for text in [
        "--------AQI=",
        "--------AQI",
        "++++++++AQI",
        "----\n----AQI",
    ] {
        assert_eq!(
            strict(json!({ "nonce": text }))
                .expect_err("refused")
                .code(),
            "yang.invalid-value",
            "{text:?}"
        );
        let (voucher, notes) = lenient(json!({ "nonce": text })).expect(text);
        assert_eq!(
            voucher.nonce.as_deref(),
            Some(&[0xFB, 0xEF, 0xBE, 0xFB, 0xEF, 0xBE, 1, 2][..])
        );
        assert_eq!(voucher.nonce.map(|nonce| nonce.len()), Some(octets.len()));
        assert!(
            notes.iter().any(|note| note.starts_with("nonce")),
            "{notes:?}"
        );
    }
    // Line breaks within base64 mean the same thing.
    assert!(strict(json!({ "nonce": "++++\r\n++++AQI=" })).is_ok());
    // Two alphabets at once, other characters, impossible lengths: nothing to be guessed.
    for text in ["+-+-+-+-AQI", "*&^", "AQIDBAUGB", "AQI=AQI=AQI="] {
        for name in ["nonce", "idevid-issuer", "pinned-domain-cert"] {
            assert!(lenient(json!({ name: text })).is_err(), "{name} {text}");
        }
    }
    // An empty nonce is none that could be fresh.
    assert_eq!(
        lenient(json!({ "nonce": "" })).map(|_| ()),
        Err(VoucherError::NonceLength { length: 0 })
    );
    let (voucher, notes) = lenient(json!({
        "pinned-domain-cert": PIN.trim_end_matches('='),
        "idevid-issuer": "_-8",
    }))
    .expect("decodes");
    assert_eq!(voucher.idevid_issuer.as_deref(), Some(&[0xFF, 0xEF][..]));
    assert_eq!(notes.len(), 1, "{notes:?}");
}

/// Leaves of later revisions are kept and said, never acted on.
#[test]
fn unknown_leaves() {
    let changes = json!({ "domain-cert-trusted": true, "extensions": {"a": [1]} });
    assert_eq!(
        strict(changes.clone()).expect_err("refused").code(),
        "yang.unknown-node"
    );
    let (voucher, notes) = lenient(changes).expect("decodes");
    assert_eq!(voucher.extra.len(), 2);
    assert_eq!(notes.len(), 2, "{notes:?}");
    // A known leaf is not unknown because of its neighbours.
    let wrong = json!({ "x": 1, "serial-number": 42 });
    assert_eq!(
        lenient(wrong).expect_err("refused").code(),
        "yang.wrong-type"
    );
}

/// A member that occurs twice would be one voucher to us and another to someone else.
#[test]
fn nothing_occurs_twice_however_lenient() {
    let document = String::from_utf8(document(json!({ "nonce": "--------AQI" }))).expect("text");
    let twice = document.replacen(
        "\"serial-number\"",
        "\"serial-number\":\"OTHER\",\"serial-number\"",
        1,
    );
    assert_ne!(document, twice);
    let refused = Voucher::decode(twice.as_bytes(), Encoding::Json, Profile::Rfc8366bis);
    assert_eq!(refused.expect_err("refused").code(), "yang.duplicate");
}

#[test]
fn serial_numbers_are_strings() {
    for wrong in [
        json!(42),
        json!(["AX7-00042"]),
        json!({"a": 1}),
        json!(true),
    ] {
        assert!(lenient(json!({ "serial-number": wrong })).is_err());
    }
    assert_eq!(
        strict(json!({ "serial-number": "" })).map(|_| ()),
        Err(VoucherError::EmptySerialNumber)
    );
    assert!(lenient(json!({ "serial-number": "a\u{0}b" })).is_err());
}
