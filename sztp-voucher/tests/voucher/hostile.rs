//! Documents made to be expensive or ambiguous: each has its limit, or is read in one way only.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sztp_cms::CmsError;
use sztp_voucher::request::{SignedVoucherRequest, VoucherRequest, VoucherRequestError};
use sztp_voucher::yang::{Encoding, YangError};
use sztp_voucher::{Profile, SignedVoucher, Voucher, VoucherError};

use crate::lab::Lab;

const PROFILES: [Profile; 2] = [Profile::Rfc8366, Profile::Rfc8366bis];

/// Without optimisation, on a busy machine; what is quadratic would take minutes.
fn in_time<T>(run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let outcome = run();
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    outcome
}

/// The leaves of a good voucher, and `more`.
fn document(more: &str) -> String {
    let good = String::from_utf8(Lab::new().voucher().encode(Encoding::Json)).expect("text");
    let leaves = good.strip_suffix("}}").expect("two objects");
    format!("{leaves}{more}}}}}")
}

fn decode(text: &str, profile: Profile) -> Result<Voucher, VoucherError> {
    in_time(|| Voucher::decode(text.as_bytes(), Encoding::Json, profile))
        .map(|(voucher, _)| voucher)
}

/// The code with which both profiles refuse it.
fn refused(more: &str) -> &'static str {
    let text = document(more);
    let codes = PROFILES.map(|profile| decode(&text, profile).expect_err("refused").code());
    assert_eq!(codes[0], codes[1]);
    codes[0]
}

/// So many members, all different, whose names begin like this.
fn members(name: &str, count: usize) -> String {
    (0..count).fold(String::new(), |mut text, one| {
        write!(text, ",\"{name}{one}\":1").expect("a string takes it");
        text
    })
}

#[test]
fn nesting() {
    for depth in [40, 1000, 1_000_000] {
        let arrays = format!(",\"x\":{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(refused(&arrays), "yang.too-deep");
        // Cut off in the middle: the stack does not have to bear it before that is known.
        let open = format!(",\"x\":{}", "[".repeat(depth));
        assert_eq!(refused(&open), "yang.too-deep");
        let objects = format!(",\"x\":{}1{}", "{\"y\":".repeat(depth), "}".repeat(depth));
        assert_eq!(refused(&objects), "yang.too-deep");
        let namespace = "urn:ietf:params:xml:ns:yang:ietf-voucher";
        let elements = format!(
            "<voucher xmlns='{namespace}'>{}{}</voucher>",
            "<x>".repeat(depth),
            "</x>".repeat(depth)
        );
        for profile in PROFILES {
            let outcome = in_time(|| Voucher::decode(elements.as_bytes(), Encoding::Xml, profile));
            assert_eq!(outcome.expect_err("refused").code(), "yang.too-deep");
        }
    }
    // As deep as is read: kept by the one profile, refused by the other.
    let shallow = document(&format!(",\"x\":{}{}", "[".repeat(25), "]".repeat(25)));
    assert!(matches!(
        decode(&shallow, Profile::Rfc8366),
        Err(VoucherError::Yang(YangError::Unknown { .. }))
    ));
    assert_eq!(
        decode(&shallow, Profile::Rfc8366bis).map(|voucher| voucher.extra.len()),
        Ok(1)
    );
}

#[test]
fn numbers() {
    let digits = "9".repeat(500_000);
    for number in [
        "1e999",
        "-1e999",
        "1e999999999999",
        &digits,
        "01",
        "+1",
        "1.",
        ".5",
        "0x10",
        "NaN",
    ] {
        assert_eq!(
            refused(&format!(",\"x\":{number}")),
            "yang.malformed",
            "{}",
            &number[..number.len().min(20)]
        );
    }
    // Fractions may be as long as they like.
    let fraction = document(&format!(",\"x\":0.{digits}"));
    assert!(decode(&fraction, Profile::Rfc8366bis).is_ok());
    // No leaf of a voucher is a number, whichever.
    for leaf in [
        "nonce",
        "expires-on",
        "idevid-issuer",
        "domain-cert-revocation-checks",
    ] {
        for number in ["0", "1", "-1", "1.5", "1e3", "18446744073709551615"] {
            assert_eq!(
                refused(&format!(",\"{leaf}\":{number}")),
                "yang.wrong-type",
                "{leaf}"
            );
        }
    }
}

/// Whoever reads the first and whoever reads the last of two would read two vouchers.
#[test]
fn duplicates() {
    for more in [
        ",\"serial-number\":\"other\"",
        ",\"serial\\u002dnumber\":\"other\"",
        ",\"\\u0073erial-number\":\"other\"",
        ",\"x\":1,\"x\":1",
        ",\"x\":{\"y\":{\"z\":1,\"z\":2}}",
        ",\"x\":[1,{\"\":1,\"\":1}]",
        ",\"x\":1,\"\\u0078\":1",
    ] {
        assert_eq!(refused(more), "yang.duplicate", "{more}");
    }
    let good = document("");
    let leaves = good
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let leaves = leaves.expect("an object");
    let twice = format!("{{{leaves},{leaves}}}");
    for profile in PROFILES {
        assert_eq!(
            decode(&twice, profile).expect_err("refused").code(),
            "yang.duplicate"
        );
    }
    // The last of very many, and all of very many.
    let mut many = members("m", 90_000);
    many.push_str(",\"m0\":1");
    assert_eq!(refused(&many), "yang.duplicate");
    assert_eq!(refused(&",\"m\":1".repeat(90_000)), "yang.duplicate");
    // Names that differ in their last octet only.
    let prefix = "a".repeat(10_000);
    let long = members(&prefix, 900);
    assert!(decode(&document(&long), Profile::Rfc8366bis).is_ok());
}

#[test]
fn sizes() {
    let nodes = format!(",\"x\":[{}1]", "1,".repeat(100_000));
    assert_eq!(refused(&nodes), "yang.too-many-nodes");
    assert_eq!(refused(&members("m", 100_001)), "yang.too-many-nodes");
    let large = format!(",\"x\":\"{}\"", "a".repeat(16 * 1024 * 1024));
    assert_eq!(refused(&large), "yang.too-large");
    // In a signed message far less is read.
    let lab = Lab::new();
    let message = lab.sign(document(&format!(",\"x\":\"{}\"", "a".repeat(1024 * 1024))).as_bytes());
    let too_large = CmsError::TooLarge {
        what: "octets",
        limit: 1024 * 1024,
    };
    for profile in PROFILES {
        let voucher = SignedVoucher::read(&message, profile).map(|_| ());
        assert_eq!(voucher, Err(VoucherError::Cms(too_large.clone())));
        let request = SignedVoucherRequest::read(&message, profile).map(|_| ());
        let expected = VoucherError::Cms(too_large.clone());
        assert_eq!(request, Err(VoucherRequestError::Voucher(expected)));
        // As text, before it is decoded; white space does not help.
        let text = vec![b' '; 3 * 1024 * 1024];
        let voucher = SignedVoucher::read(&text, profile).map(|_| ());
        assert_eq!(voucher, Err(VoucherError::Cms(too_large.clone())));
    }
}

/// Each name in XML is looked for among the namespaces in force: there are never very many.
#[test]
fn namespaces() {
    const OWN: &str = "urn:ietf:params:xml:ns:yang:ietf-voucher";
    let elements = "<z/>".repeat(40_000);
    for (count, codes) in [
        (100, ["yang.unknown-node", "yang.missing-node"]),
        (1000, ["yang.malformed"; 2]),
        (100_000, ["yang.malformed"; 2]),
    ] {
        let declarations = (0..count).fold(String::new(), |mut text, one| {
            write!(text, " xmlns:p{one}='u'").expect("a string takes it");
            text
        });
        let text = format!("<voucher xmlns='{OWN}'{declarations}>{elements}</voucher>");
        for (profile, code) in PROFILES.into_iter().zip(codes) {
            let outcome = in_time(|| Voucher::decode(text.as_bytes(), Encoding::Xml, profile));
            let error = outcome.expect_err("refused");
            assert_eq!(error.code(), code, "{count} {error}");
        }
    }
}

/// An error is for a log: it does not repeat a name of a hundred thousand letters.
#[test]
fn errors_are_short() {
    let name = "n".repeat(100_000);
    for text in [
        format!("<{name}></{name}x>"),
        format!("<{name}>"),
        format!("<a {name}='' {name}=''/>"),
        format!("<{name}:a/>"),
        format!("<a>&{name};</a>"),
        format!("<a xmlns='{name}'/>"),
        format!("<{name}/>"),
        format!("{{\"{name}\":1}}"),
        format!("{{\"{name}\":1,\"{name}\":1}}"),
        format!("{{\"ietf-voucher:voucher\":{{\"{name}\":1}}}}"),
        format!("{{\"ietf-voucher:voucher\":{{\"nonce\":\"{name}!\"}}}}"),
        format!("{{\"ietf-voucher:voucher\":{{\"assertion\":\"{name}\"}}}}"),
        format!("{{\"ietf-voucher:voucher\":{{\"created-on\":\"{name}\"}}}}"),
        format!("{{\"ietf-voucher:voucher\":{{\"x\":{name}}}}}"),
    ] {
        for encoding in [Encoding::Json, Encoding::Xml] {
            for profile in PROFILES {
                let outcome = in_time(|| Voucher::decode(text.as_bytes(), encoding, profile));
                let error = outcome.expect_err("refused");
                let said = error.to_string();
                assert!(said.len() < 500, "{} {}", said.len(), &text[..40]);
                assert!(format!("{error:?}").len() < 1000, "{}", &text[..40]);
            }
        }
    }
}

/// The text forms of two megabytes: armour that does not end, base64 of nothing but white space.
#[test]
fn text_forms() {
    let fill = |start: &str, piece: &str, end: &str| {
        let count = (2 * 1024 * 1024 - start.len() - end.len()) / piece.len();
        format!("{start}{}{end}", piece.repeat(count))
    };
    for text in [
        fill("-----BEGIN CMS-----\n", "-----BEGIN CMS-----\n", ""),
        fill("-----BEGIN ", "x", ""),
        fill("-----BEGIN ", "x", "-----\n"),
        fill("-----BEGIN CMS-----\n", " \n", "-----END CMS-----\n"),
        fill("-----BEGIN CMS-----\n", "=", "-----END CMS-----\n"),
        fill("M", " ", ""),
        fill("M", "=", ""),
        fill("M", "-_", ""),
        fill("0\u{3}\r\n", "\r\n", ""),
        fill("", "\u{FEFF}", ""),
    ] {
        for profile in PROFILES {
            let outcome = in_time(|| SignedVoucher::read(text.as_bytes(), profile));
            assert!(outcome.is_err(), "{:?}", &text[..30]);
        }
    }
}

/// What a request holds is read as what it is, not as another request without end.
#[test]
fn requests_in_requests() {
    let mut request = VoucherRequest::new("AX7-00042");
    for _ in 0..12 {
        let prior = request.encode(Encoding::Json);
        request = VoucherRequest {
            prior_signed_voucher_request: Some(prior),
            ..VoucherRequest::new("AX7-00042")
        };
    }
    let text = request.encode(Encoding::Json);
    let again = in_time(|| VoucherRequest::decode(&text, Encoding::Json, Profile::Rfc8366));
    assert_eq!(again.map(|(again, _)| again), Ok(request));
}
