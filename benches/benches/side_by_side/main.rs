//! Vouchers side by side with others: decoded, verified and signed by this project, by the `cms`
//! crate and by OpenSSL, and with nothing but the bare signatures.
//!
//! Prints tables in Markdown; docs/BENCHMARKS.md says how to read them. A word on the command line
//! picks the races whose title has it.

mod others;
mod race;

use std::hint::black_box;

use others::{OpenSsl, decode_with_cms_crate, decode_with_openssl};
use race::Race;
use sztp_benches::{BareSignature, KEY_TYPES, Scene};
use sztp_cms::{Certificate, Limits, PublicKey, SignedData, SignedDataRef, VerifyOptions, oids};
use sztp_core::artifacts::SourceTrust;
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, SignedVoucher};

fn main() {
    // Cargo passes options of its own.
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    println!("sztp on {BACKEND}, {}", openssl::version::version());
    for (name, key_type) in KEY_TYPES {
        let mut races = RACES
            .map(|(title, race)| (format!("{title} {name}"), race))
            .to_vec();
        races.retain(|(title, _)| wanted.as_ref().is_none_or(|word| title.contains(word)));
        if races.is_empty() {
            continue;
        }
        let scene = Scene::new(key_type);
        let openssl = OpenSsl::new(&scene);
        for (title, race) in races {
            race(Race::new(title), &scene, &openssl).run();
        }
    }
}

/// Fills a race with its contestants.
type Fill = for<'a> fn(Race<'a>, &'a Scene, &'a OpenSsl) -> Race<'a>;

const RACES: [(&str, Fill); 6] = [
    ("decode", decode),
    ("verify", verify),
    ("steps", steps),
    ("sign", sign),
    ("artifacts", validate),
    ("conveyed information", convey),
];

/// From octets to the parts of a SignedData.
fn decode<'a>(mut race: Race<'a>, scene: &'a Scene, _: &'a OpenSsl) -> Race<'a> {
    let message = scene.voucher.as_slice();
    race.add("`cms` crate", move || {
        decode_with_cms_crate(black_box(message))
    });
    race.add("sztp, in place", move || {
        SignedDataRef::parse(black_box(message), &Limits::default())
            .map(|signed| signed.content_type())
    });
    race.add("sztp, certificates and all", move || {
        SignedData::parse(black_box(message), &Limits::default()).expect("parses")
    });
    race.add("OpenSSL d2i", move || {
        decode_with_openssl(black_box(message))
    });
    race
}

/// From octets to a voucher that holds: two signatures.
fn verify<'a>(mut race: Race<'a>, scene: &'a Scene, openssl: &'a OpenSsl) -> Race<'a> {
    let signatures = scene.voucher_signatures();
    race.add("bare signatures", {
        let signatures = signatures.clone();
        move || signatures.iter().for_each(BareSignature::verify)
    });
    race.add("bare signatures, keys from their octets", move || {
        let signatures = black_box(&signatures);
        signatures
            .iter()
            .for_each(BareSignature::verify_from_octets);
    });
    let context = scene.context();
    race.add("sztp, decoding and all", move || {
        SignedVoucher::parse(black_box(&scene.voucher), Profile::Rfc8366)
            .and_then(|signed| signed.verify(&context))
            .expect("verifies")
    });
    if openssl.verify(&scene.voucher).is_some() {
        race.add("OpenSSL d2i and CMS_verify", move || {
            openssl.verify(black_box(&scene.voucher))
        });
    }
    race
}

/// What a voucher's verification is made of, each step for itself.
fn steps<'a>(mut race: Race<'a>, scene: &'a Scene, _: &'a OpenSsl) -> Race<'a> {
    let signatures = scene.voucher_signatures();
    race.add("bare signatures", move || {
        signatures.iter().for_each(BareSignature::verify);
    });
    let (_, masa) = scene.masa();
    race.add("the signer's key from its octets", move || {
        PublicKey::from_spki_der(black_box(masa.spki_der())).expect("a key")
    });
    race.add("one certificate", move || {
        Certificate::from_der(black_box(masa.as_der())).expect("a certificate")
    });
    let message = scene.voucher.as_slice();
    race.add("SignedData", move || {
        SignedData::parse(black_box(message), &Limits::default()).expect("parses")
    });
    race.add("SignedData and voucher", move || {
        SignedVoucher::parse(black_box(message), Profile::Rfc8366).expect("parses")
    });
    let context = scene.context();
    let cms = SignedData::parse(message, &Limits::default()).expect("parses");
    let options = VerifyOptions::new(&scene.anchors, context.clock, &[oids::ANIMA_JSON_VOUCHER]);
    race.add("signature and path, keys known", move || {
        cms.verify(black_box(&options)).expect("verifies")
    });
    let signed = SignedVoucher::parse(message, Profile::Rfc8366).expect("parses");
    race.add("signature, path and rules, keys known", move || {
        signed.verify(black_box(&context)).expect("verifies")
    });
    race
}

/// From a voucher's leaves to a signed message.
fn sign<'a>(mut race: Race<'a>, scene: &'a Scene, openssl: &'a OpenSsl) -> Race<'a> {
    race.add("bare signature", move || black_box(scene).sign_bare());
    let content = scene.terms.encode(Encoding::Json);
    race.add("bare signature of the content", {
        let content = content.clone();
        move || scene.sign_bare_content(black_box(&content))
    });
    race.add("sztp, from the leaves on", move || {
        black_box(scene).issue_voucher()
    });
    if openssl.sign(&content).is_some() {
        race.add("OpenSSL CMS_sign and i2d", move || {
            openssl.sign(black_box(&content))
        });
    }
    race
}

/// From the three artifacts to conveyed information that may be acted on: four signatures.
fn validate<'a>(mut race: Race<'a>, scene: &'a Scene, _: &'a OpenSsl) -> Race<'a> {
    let signatures = scene.artifact_signatures();
    race.add("bare signatures", {
        let signatures = signatures.clone();
        move || signatures.iter().for_each(BareSignature::verify)
    });
    race.add("bare signatures, keys from their octets", move || {
        let signatures = black_box(&signatures);
        signatures
            .iter()
            .for_each(BareSignature::verify_from_octets);
    });
    let context = scene.context();
    race.add("sztp", move || {
        let source = SourceTrust::Unauthenticated;
        black_box(&scene.data)
            .authenticate(source, &context, Encoding::Json)
            .expect("validates")
    });
    race
}

/// From onboarding information to the signed artifact.
fn convey<'a>(mut race: Race<'a>, scene: &'a Scene, _: &'a OpenSsl) -> Race<'a> {
    race.add("bare signature", move || black_box(scene).sign_bare());
    let content = scene.info.encode(Encoding::Json);
    race.add("bare signature of the content", move || {
        scene.sign_bare_content(black_box(&content))
    });
    race.add("sztp", move || black_box(scene).sign_conveyed_information());
    race
}

const BACKEND: &str = if cfg!(feature = "aws-lc-rs") {
    "AWS-LC"
} else {
    "pure Rust"
};
