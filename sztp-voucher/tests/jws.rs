//! Vouchers in JWS: made and verified, refused for what is wrong with them, and exchanged with
//! OpenSSL and with Python's jwcrypto.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sztp_cms::{
    Certificate, CertificateBuilder, DigestAlgorithm, KeyType, SignatureAlgorithm, Signer as _,
    SigningKey, TrustAnchors, UnixTime, WallClock,
};
use sztp_voucher::jws::{self, JwsError, JwsVoucher};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{
    Assertion, Check, Outcome, Profile, SignedVoucher, Voucher, VoucherContext, VoucherError,
    VoucherReport,
};

/// 2026-03-02T08:15:00Z.
const CREATED: UnixTime = UnixTime::from_secs(1_772_439_300);

/// A MASA under a root.
struct Masa {
    root: Certificate,
    certificate: Certificate,
    key: SigningKey,
}

impl Masa {
    fn new(key: SigningKey) -> Self {
        let root_key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let root = CertificateBuilder::new("CN=vendor")
            .ca(None)
            .self_signed(&root_key)
            .expect("issues");
        let certificate = CertificateBuilder::new("CN=MASA")
            .issued_by(key.spki_der(), &root, &root_key)
            .expect("issues");
        Self {
            root,
            certificate,
            key,
        }
    }

    fn of(key_type: KeyType) -> Self {
        Self::new(SigningKey::generate(key_type).expect("a key"))
    }

    fn voucher(&self) -> Voucher {
        let pinned = self.root.as_der();
        Voucher::new("AX7-00042", Assertion::Logged, pinned, CREATED)
    }

    fn issue(&self) -> String {
        jws::issue(&self.voucher(), &self.key, &self.certificate, &[]).expect("issues")
    }

    fn verify(&self, text: &str) -> Result<Voucher, VoucherError> {
        self.verify_as(text, Profile::Rfc8366)
    }

    fn verify_as(&self, text: &str, profile: Profile) -> Result<Voucher, VoucherError> {
        let anchors = TrustAnchors::new([self.root.clone()]);
        JwsVoucher::parse(text.as_bytes(), profile)?
            .verify(&VoucherContext {
                serial_number: Some("AX7-00042"),
                ..VoucherContext::new(&anchors, WallClock::Trusted(CREATED))
            })
            .map(|verified| verified.voucher().clone())
    }

    /// A message with any header and payload, signed as it should be.
    fn sign(&self, header: &Value, payload: &[u8]) -> Value {
        let protected = URL_SAFE_NO_PAD.encode(header.to_string());
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let input = format!("{protected}.{payload}");
        let signature = self.key.sign(input.as_bytes()).expect("signs");
        let signature = raw_p256(&signature);
        json!({
            "payload": payload,
            "signatures": [{
                "protected": protected,
                "signature": URL_SAFE_NO_PAD.encode(signature),
            }],
        })
    }

    fn header(&self) -> Value {
        json!({
            "alg": "ES256",
            "typ": "voucher-jws+json",
            "x5c": [STANDARD.encode(self.certificate.as_der())],
        })
    }

    fn content(&self) -> Vec<u8> {
        self.voucher().encode(Encoding::Json)
    }

    /// The code with which a signed message with a changed header is refused.
    fn refused(&self, name: &str, value: Value) -> &'static str {
        let mut header = self.header();
        header[name] = value;
        let message = self.sign(&header, &self.content());
        let outcome = self.verify(&message.to_string());
        outcome.expect_err("refused").code()
    }
}

/// r‖s of an ASN.1 signature, written down apart from the library.
fn raw_p256(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let (integer, after) = rest[2..].split_at(length);
        let integer = integer.strip_prefix(&[0]).unwrap_or(integer);
        raw.extend(std::iter::repeat_n(0, 32 - integer.len()));
        raw.extend_from_slice(integer);
        rest = after;
    }
    raw
}

fn parts(text: &str) -> (Value, Value) {
    let message: Value = serde_json::from_str(text).expect("JSON");
    let protected = message["signatures"][0]["protected"]
        .as_str()
        .expect("text");
    let header = URL_SAFE_NO_PAD.decode(protected).expect("base64url");
    (
        message.clone(),
        serde_json::from_slice(&header).expect("JSON"),
    )
}

/// Each kind of key with the algorithm that JWS has for it.
fn keys() -> Vec<(SigningKey, &'static str)> {
    let key = |key_type| SigningKey::generate(key_type).expect("a key");
    let rsa = key(KeyType::Rsa2048);
    let with = |algorithm| rsa.with_algorithm(algorithm).expect("fits");
    vec![
        (key(KeyType::EcP256), "ES256"),
        (key(KeyType::EcP384), "ES384"),
        (key(KeyType::EcP521), "ES512"),
        (key(KeyType::Ed25519), "EdDSA"),
        (rsa.clone(), "RS256"),
        (
            with(SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha384)),
            "RS384",
        ),
        (
            with(SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha512)),
            "RS512",
        ),
        (
            with(SignatureAlgorithm::RsaPss(DigestAlgorithm::Sha256)),
            "PS256",
        ),
    ]
}

#[test]
fn what_was_issued_is_what_is_verified() {
    for (key, algorithm) in keys() {
        let masa = Masa::new(key);
        let text = masa.issue();
        let (message, header) = parts(&text);
        assert_eq!(header["alg"], algorithm);
        assert_eq!(header["typ"], "voucher-jws+json");
        let certificate = STANDARD.encode(masa.certificate.as_der());
        assert_eq!(header["x5c"], json!([certificate]));
        assert_eq!(message.as_object().map(serde_json::Map::len), Some(2));
        assert_eq!(masa.verify(&text), Ok(masa.voucher()), "{algorithm}");
        let read = JwsVoucher::parse(text.as_bytes(), Profile::Rfc8366).expect("parses");
        assert_eq!(read.notes(), [""; 0]);
        assert_eq!(read.certificates(), std::slice::from_ref(&masa.certificate));
    }
}

#[test]
fn what_jws_has_no_algorithm_for_is_not_signed() {
    let key = SigningKey::generate(KeyType::EcP256).expect("a key");
    // ES384 is for another curve.
    let key = key.with_algorithm(SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384));
    let masa = Masa::new(key.expect("fits"));
    let issue = |voucher: &Voucher, certificate| jws::issue(voucher, &masa.key, certificate, &[]);
    assert_eq!(
        issue(&masa.voucher(), &masa.certificate),
        Err(VoucherError::Jws(JwsError::SignerAlgorithm))
    );
    assert_eq!(
        issue(&masa.voucher(), &masa.root),
        Err(VoucherError::Jws(JwsError::KeyMismatch))
    );
    // The rules for issuers are those of CMS vouchers.
    let nobody = Voucher {
        serial_number: String::new(),
        ..masa.voucher()
    };
    assert_eq!(
        issue(&nobody, &masa.certificate),
        Err(VoucherError::EmptySerialNumber)
    );
}

#[test]
fn headers_that_are_refused() {
    let masa = Masa::of(KeyType::EcP256);
    let good = masa.sign(&masa.header(), &masa.content()).to_string();
    assert_eq!(masa.verify(&good), Ok(masa.voucher()));
    for algorithm in ["none", "HS256", "Ed448", "es256", ""] {
        assert_eq!(masa.refused("alg", json!(algorithm)), "jws.algorithm");
    }
    // An algorithm of another key or curve: the signature is not even tried.
    for algorithm in ["ES384", "ES512", "RS256", "PS512", "EdDSA"] {
        let code = masa.refused("alg", json!(algorithm));
        assert_eq!(code, "jws.algorithm-key-mismatch", "{algorithm}");
    }
    assert_eq!(masa.refused("alg", json!(7)), "jws.malformed");
    assert_eq!(masa.refused("alg", Value::Null), "jws.malformed");
    assert_eq!(masa.refused("typ", json!("JWT")), "jws.wrong-type");
    assert_eq!(
        masa.refused("crit", json!(["b64"])),
        "jws.critical-parameter"
    );
    assert_eq!(masa.refused("crit", json!([])), "jws.critical-parameter");
    assert_eq!(masa.refused("x5c", json!("text")), "jws.malformed");
    assert_eq!(masa.refused("x5c", json!(["-_-_"])), "jws.malformed");
    assert_eq!(masa.refused("x5c", json!(["AAAA"])), "jws.certificate");
    assert_eq!(
        masa.refused("x5c", json!([])),
        "jws.signer-certificate-missing"
    );
    assert_eq!(
        masa.refused("x5c", json!(vec!["AAAA"; 33])),
        "jws.too-large"
    );
    // The type may be missing, and may be written out; parameters that nobody knows are ignored.
    for (name, value) in [
        ("typ", Value::Null),
        ("typ", json!("application/voucher-jws+json")),
        ("kid", json!("masa")),
    ] {
        let mut header = masa.header();
        header[name] = value;
        let message = masa.sign(&header, &masa.content()).to_string();
        assert_eq!(masa.verify(&message), Ok(masa.voucher()), "{name}");
    }
    // Another type passes under leniency, and is noted.
    let mut header = masa.header();
    header["typ"] = json!("JOSE");
    let message = masa.sign(&header, &masa.content()).to_string();
    assert!(masa.verify_as(&message, Profile::Rfc8366bis).is_ok());
    let read = JwsVoucher::parse(message.as_bytes(), Profile::Rfc8366bis).expect("parses");
    assert_eq!(read.notes().len(), 1, "{:?}", read.notes());
}

#[test]
fn messages_that_are_refused() {
    let masa = Masa::of(KeyType::EcP256);
    let good = masa.sign(&masa.header(), &masa.content());
    let signature = &good["signatures"][0];
    let refused = |message: Value| {
        let outcome = masa.verify(&message.to_string());
        outcome.expect_err("refused").code()
    };
    let changed = |change: fn(&mut Value)| {
        let mut message = good.clone();
        change(&mut message);
        refused(message)
    };
    // Another serialization (RFC 7515 §7.1, §7.2.2).
    let flattened = json!({
        "payload": good["payload"],
        "protected": signature["protected"],
        "signature": signature["signature"],
    });
    assert_eq!(refused(flattened), "jws.malformed");
    assert_eq!(refused(json!("a.b.c")), "jws.malformed");
    assert_eq!(
        changed(|message| message["signatures"] = json!([])),
        "jws.no-signer"
    );
    let many = json!({ "payload": good["payload"], "signatures": vec![signature; 9] });
    assert_eq!(refused(many), "jws.too-large");
    for member in ["payload", "signature", "protected"] {
        for text in ["*", "AA==", "A"] {
            let mut message = good.clone();
            let place = match member {
                "payload" => &mut message[member],
                _ => &mut message["signatures"][0][member],
            };
            *place = json!(text);
            assert_eq!(refused(message), "jws.malformed", "{member} {text}");
        }
    }
    // Signatures of another length, of zeros, with too large numbers.
    for octets in [
        vec![],
        vec![1; 63],
        vec![1; 65],
        vec![0; 64],
        vec![0xFF; 64],
    ] {
        let mut message = good.clone();
        message["signatures"][0]["signature"] = json!(URL_SAFE_NO_PAD.encode(octets));
        assert_eq!(refused(message), "jws.bad-signature");
    }
    // The same member twice would be one voucher to us and another to someone else.
    let text = good.to_string();
    let twice = text.replacen("\"payload\"", "\"payload\":\"\",\"payload\"", 1);
    assert_ne!(text, twice);
    assert_eq!(
        masa.verify(&twice).expect_err("refused").code(),
        "jws.malformed"
    );
    let large = format!("{}{}", text, " ".repeat(2 * 1024 * 1024));
    assert_eq!(
        masa.verify(&large).expect_err("refused").code(),
        "jws.too-large"
    );
    // What is signed is no voucher, or one for another device.
    let sign = |payload: &[u8]| masa.sign(&masa.header(), payload);
    assert_eq!(refused(sign(b"{}")), "yang.missing-node");
    let request = String::from_utf8(masa.content()).expect("text");
    let request = request.replace("ietf-voucher:", "ietf-voucher-request:");
    assert_eq!(refused(sign(request.as_bytes())), "voucher.is-a-request");
    let other = Voucher {
        serial_number: "other".to_owned(),
        ..masa.voucher()
    };
    assert_eq!(
        refused(sign(&other.encode(Encoding::Json))),
        "voucher.serial-mismatch"
    );
    // An unprotected header changes nothing, not even leniently.
    let mut message = good.clone();
    message["signatures"][0]["header"] = json!({ "alg": "none", "crit": ["x"] });
    assert_eq!(masa.verify(&message.to_string()), Ok(masa.voucher()));
    // A CMS voucher is none in JWS, and the other way round.
    let cms = SignedVoucher::read(text.as_bytes(), Profile::Rfc8366bis);
    assert_eq!(cms.expect_err("refused").code(), "cms.malformed");
}

#[test]
fn signers() {
    let masa = Masa::of(KeyType::EcP256);
    let stranger = Masa::of(KeyType::EcP256);
    assert_eq!(
        masa.verify(&stranger.issue()).expect_err("refused").code(),
        "voucher.untrusted-signer"
    );
    // Another's certificate in x5c.
    let mut header = masa.header();
    header["x5c"] = json!([STANDARD.encode(masa.certificate.as_der())]);
    let forged = stranger.sign(&header, &masa.content()).to_string();
    assert_eq!(
        masa.verify(&forged),
        Err(VoucherError::Jws(JwsError::BadSignature))
    );
    // Several signatures: one that holds is enough, in whatever place.
    let good = masa.sign(&masa.header(), &masa.content());
    let bad: Value = serde_json::from_str(&forged).expect("JSON");
    for order in [
        [&good["signatures"][0], &bad["signatures"][0]],
        [&bad["signatures"][0], &good["signatures"][0]],
    ] {
        let message = json!({ "payload": good["payload"], "signatures": order });
        assert_eq!(masa.verify(&message.to_string()), Ok(masa.voucher()));
    }
    // No certificates inside: the caller knows the signer.
    let mut header = masa.header();
    header.as_object_mut().expect("an object").remove("x5c");
    let bare = masa.sign(&header, &masa.content()).to_string();
    let anchors = TrustAnchors::new([masa.root.clone()]);
    let pool = [stranger.certificate.clone(), masa.certificate.clone()];
    let context = VoucherContext {
        intermediates: &pool,
        ..VoucherContext::new(&anchors, WallClock::Trusted(CREATED))
    };
    let read = JwsVoucher::parse(bare.as_bytes(), Profile::Rfc8366).expect("parses");
    let verified = read.verify(&context).expect("verifies");
    assert_eq!(verified.signer(), &masa.certificate);
    assert!(verified.notes().iter().any(|note| note.contains("x5c")));
}

/// One bit of the octets of header, payload and signature, for each algorithm; what is outside them
/// is JSON.
#[test]
fn nothing_signed_may_change() {
    for (number, (key, algorithm)) in keys().into_iter().enumerate() {
        // Each octet with the first one; with the others some, as that takes its time.
        let step = if number == 0 { 1 } else { 9 };
        let masa = Masa::new(key);
        let good: Value = serde_json::from_str(&masa.issue()).expect("JSON");
        assert!(masa.verify(&good.to_string()).is_ok());
        let mut judged = 0;
        for place in [
            "/payload",
            "/signatures/0/protected",
            "/signatures/0/signature",
        ] {
            let text = good.pointer(place).and_then(Value::as_str);
            let octets = URL_SAFE_NO_PAD
                .decode(text.expect("text"))
                .expect("base64url");
            for at in (0..octets.len()).step_by(step) {
                let mut changed = octets.clone();
                changed[at] ^= 1 << (at % 8);
                let mut message = good.clone();
                let changed = json!(URL_SAFE_NO_PAD.encode(changed));
                *message.pointer_mut(place).expect("is there") = changed;
                for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
                    let outcome = masa.verify_as(&message.to_string(), profile);
                    assert!(outcome.is_err(), "{algorithm} {place} {at}");
                }
                judged += 1;
            }
        }
        assert!(judged > 500 / step, "{judged}");
    }
}

#[test]
fn the_report() {
    let masa = Masa::of(KeyType::EcP256);
    let anchors = TrustAnchors::new([masa.root.clone()]);
    let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    let report = |text: &str| VoucherReport::of_jws(text.as_bytes(), Profile::Rfc8366, &context);
    let good = report(&masa.issue());
    assert!(good.verdict().is_ok());
    assert_eq!(good.outcome(Check::Signer), &Outcome::Passed);
    let broken = report("{}");
    assert!(matches!(
        broken.outcome(Check::Structure),
        Outcome::Failed(VoucherError::Jws(JwsError::Malformed { .. }))
    ));
    assert_eq!(broken.outcome(Check::Content), &Outcome::NotReached);
    let no_voucher = report(&masa.sign(&masa.header(), b"{}").to_string());
    assert_eq!(no_voucher.outcome(Check::Structure), &Outcome::Passed);
    assert!(matches!(
        no_voucher.outcome(Check::Content),
        Outcome::Failed(VoucherError::Yang(_))
    ));
    let stranger = report(&Masa::of(KeyType::EcP256).issue());
    assert_eq!(stranger.outcome(Check::Signature), &Outcome::Passed);
    assert!(matches!(
        stranger.outcome(Check::Signer),
        Outcome::Failed(VoucherError::UntrustedSigner(_))
    ));
}

/// RSA signatures are the same octets in JWS and for OpenSSL.
#[test]
fn openssl_verifies_what_we_sign() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, octets: &[u8]| {
        std::fs::write(folder.path().join(name), octets).expect("writes");
    };
    for (key, algorithm) in keys() {
        let options: &[&str] = match algorithm {
            "RS256" => &["-sha256"],
            "RS384" => &["-sha384"],
            "RS512" => &["-sha512"],
            "PS256" => &[
                "-sha256",
                "-sigopt",
                "rsa_padding_mode:pss",
                "-sigopt",
                "rsa_pss_saltlen:32",
            ],
            _ => continue,
        };
        let masa = Masa::new(key);
        let (message, _) = parts(&masa.issue());
        let member = |value: &Value| value.as_str().expect("text").to_owned();
        let signature = &message["signatures"][0];
        let input = format!(
            "{}.{}",
            member(&signature["protected"]),
            member(&message["payload"])
        );
        let octets = URL_SAFE_NO_PAD.decode(member(&signature["signature"]));
        write("input", input.as_bytes());
        write("signature", &octets.expect("base64url"));
        write("masa.crt", masa.certificate.to_pem().as_bytes());
        let run = |arguments: &[&str]| {
            let output = Command::new("openssl")
                .args(arguments)
                .current_dir(folder.path())
                .output()
                .expect("openssl is installed");
            assert!(
                output.status.success(),
                "{algorithm}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        run(&[
            "x509", "-in", "masa.crt", "-noout", "-pubkey", "-out", "masa.pub",
        ]);
        let mut arguments = vec!["dgst", "-verify", "masa.pub", "-signature", "signature"];
        arguments.extend(options);
        arguments.push("input");
        run(&arguments);
    }
}

/// Verifies ours and makes its own, alone and beside another's signature.
const JWCRYPTO: &str = r#"
import json, sys
from jwcrypto import jwk, jws
job = json.load(sys.stdin)
jws.default_allowed_algs.extend(a for a in [job["alg"]] if a not in jws.default_allowed_algs)
ours = jws.JWS()
ours.deserialize(job["ours"])
ours.verify(jwk.JWK.from_pem(job["certificate"].encode()))
assert ours.payload.decode() == job["payload"]
assert json.loads(ours.objects["signatures"][0]["protected"])["typ"] == "voucher-jws+json"
header = json.dumps({"x5c": [job["x5c"]], "typ": "voucher-jws+json", "alg": job["alg"]})
key = jwk.JWK.from_pem(job["key"].encode())
theirs = jws.JWS(job["payload"])
theirs.add_signature(key, None, header, None)
one = json.loads(theirs.serialize())
general = {"payload": one["payload"],
           "signatures": [{"protected": one["protected"], "signature": one["signature"]}]}
theirs = jws.JWS(job["payload"])
other = jwk.JWK.generate(kty="EC", crv="P-256")
theirs.add_signature(other, None, json.dumps({"alg": "ES256"}), json.dumps({"kid": "other"}))
theirs.add_signature(key, None, header, None)
print(json.dumps([json.dumps(general), theirs.serialize()]))
"#;

#[test]
fn jwcrypto_verifies_ours_and_we_verify_its() {
    let Some(python) = Python::with_jwcrypto() else {
        return;
    };
    for (key, algorithm) in keys() {
        let masa = Masa::new(key);
        let job = json!({
            "alg": algorithm,
            "ours": masa.issue(),
            "payload": String::from_utf8(masa.content()).expect("text"),
            "certificate": masa.certificate.to_pem(),
            "x5c": STANDARD.encode(masa.certificate.as_der()),
            "key": masa.key.to_pkcs8_pem().expect("writes").as_str(),
        });
        let output = python.run(JWCRYPTO, &job.to_string());
        let theirs: Vec<String> = serde_json::from_slice(&output).expect("two messages");
        assert_eq!(theirs.len(), 2);
        for text in theirs {
            assert_eq!(
                masa.verify(&text),
                Ok(masa.voucher()),
                "{algorithm}: {text}"
            );
        }
    }
}

/// A Python that has jwcrypto, if need be from a folder of this workspace's own.
struct Python {
    packages: String,
}

impl Python {
    fn with_jwcrypto() -> Option<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jwcrypto");
        let python = Self {
            packages: folder.display().to_string(),
        };
        if python.has_jwcrypto() {
            return Some(python);
        }
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder)
            .arg("jwcrypto==1.5.6")
            .output();
        if python.has_jwcrypto() {
            return Some(python);
        }
        // Past the test harness, which keeps what a passing test prints.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no JWS exchanged with jwcrypto, which pip cannot install: {installed:?}"
        );
        None
    }

    fn has_jwcrypto(&self) -> bool {
        self.command("import jwcrypto.jws")
            .output()
            .is_ok_and(|output| output.status.success())
    }

    fn run(&self, script: &str, input: &str) -> Vec<u8> {
        let mut child = self
            .command(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("writes");
        drop(stdin);
        let output = child.wait_with_output().expect("ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("python3");
        command
            .args(["-c", script])
            .env("PYTHONPATH", &self.packages);
        command
    }
}
