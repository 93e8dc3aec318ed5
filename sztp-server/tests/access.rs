//! Who may use the admin API, and what is written down of it.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Answer, Request, Rig, small_device};
use serde_json::{Value, json};
use sztp_server::config::{CertificateRole, OidcConfig, OidcRoles};
use sztp_server::model::Role;

fn token(rig: &Rig, name: &str, role: &str) -> String {
    let spec = json!({"name": name, "role": role});
    let answer = rig.admin().data(spec.to_string()).send("/api/v1/tokens");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made = answer.json();
    assert_eq!(made["role"], role);
    assert_eq!(made["created_by"], "admin");
    made["secret"].as_str().expect("a secret").to_owned()
}

fn with<'a>(rig: &'a Rig, secret: &str) -> Request<'a> {
    rig.operator_with(&format!("Authorization: Bearer {secret}"))
}

fn code(answer: &Answer) -> String {
    answer.json()["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn audit(rig: &Rig, query: &str) -> Vec<Value> {
    let answer = rig.admin().send(&format!("/api/v1/audit?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().expect("items").clone()
}

#[test]
fn each_role_does_what_it_may() {
    let rig = Rig::start();
    let viewer = token(&rig, "watcher", "viewer");
    let operator = token(&rig, "worker", "operator");
    let device = small_device("A").to_string();

    let refused = with(&rig, &viewer)
        .data(device.as_str())
        .send("/api/v1/devices");
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (403, "request.forbidden")
    );
    assert_eq!(
        rig.admin().send("/api/v1/devices/A").status,
        404,
        "nothing was done"
    );
    assert_eq!(
        with(&rig, &operator)
            .data(device)
            .send("/api/v1/devices")
            .status,
        201
    );
    assert_eq!(with(&rig, &viewer).send("/api/v1/devices/A").status, 200);
    let deleted = with(&rig, &viewer)
        .method("DELETE")
        .send("/api/v1/devices/A");
    assert_eq!(deleted.status, 403);
    for secret in [&viewer, &operator] {
        assert_eq!(with(&rig, secret).send("/api/v1/tokens").status, 403);
        assert_eq!(with(&rig, secret).send("/api/v1/audit").status, 403);
        let spec = json!({"name": "mine", "role": "admin"}).to_string();
        assert_eq!(
            with(&rig, secret).data(spec).send("/api/v1/tokens").status,
            403
        );
    }
    let who = with(&rig, &operator).send("/api/v1/whoami").json();
    assert_eq!(
        who,
        json!({"name": "worker", "role": "operator", "by": "token"})
    );
    // Nor does a HEAD or a path in another spelling get further.
    let head = rig
        .operator_with("Accept: */*")
        .argument("--head")
        .send("/api/v1/devices");
    assert_eq!(head.status, 401);
    for path in [
        "/api/v1/",
        "/api/v1//devices",
        "/api/v1/devices/",
        "/api/v1/%64evices",
        "/api/v1/x/../devices",
    ] {
        let answer = rig.operator_with("Accept: */*").send(path);
        assert!(
            matches!(answer.status, 401 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("serial_number"), "{path}");
    }
}

#[test]
fn tokens_are_shown_once_expire_and_are_revoked() {
    let rig = Rig::start();
    let spec = json!({"name": "short", "role": "viewer", "expires_in_secs": 2});
    let answer = rig.admin().data(spec.to_string()).send("/api/v1/tokens");
    let secret = answer.json()["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    assert!(secret.starts_with("sztp_"));
    assert_eq!(with(&rig, &secret).send("/api/v1/devices").status, 200);
    let again = rig.admin().data(spec.to_string()).send("/api/v1/tokens");
    assert_eq!((again.status, code(&again).as_str()), (409, "token.exists"));

    let listed = rig.admin().send("/api/v1/tokens").text();
    assert!(
        listed.contains("short") && !listed.contains(&secret),
        "{listed}"
    );
    for file in ["data/sztp.db", "data/sztp.db-wal"] {
        let stored = fs::read(rig.path(file)).unwrap_or_default();
        let found = stored
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "the secret is in {file}");
    }
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let expired = with(&rig, &secret).send("/api/v1/devices");
    assert_eq!(
        (expired.status, code(&expired).as_str()),
        (401, "request.unauthorized")
    );

    let other = token(&rig, "other", "admin");
    assert_eq!(
        with(&rig, &other)
            .method("DELETE")
            .send("/api/v1/tokens/short")
            .status,
        204
    );
    assert_eq!(
        rig.admin()
            .method("DELETE")
            .send("/api/v1/tokens/other")
            .status,
        204
    );
    assert_eq!(with(&rig, &other).send("/api/v1/devices").status, 401);
    let missing = rig.admin().method("DELETE").send("/api/v1/tokens/other");
    assert_eq!(
        (missing.status, code(&missing).as_str()),
        (404, "token.missing")
    );
    let last = rig.admin().method("DELETE").send("/api/v1/tokens/admin");
    assert_eq!(
        (last.status, code(&last).as_str()),
        (409, "token.last-admin")
    );

    for (spec, expected) in [
        (json!({"name": "a b", "role": "viewer"}), "token.name"),
        (json!({"name": "", "role": "viewer"}), "token.name"),
        (json!({"name": "a", "role": "root"}), "request.malformed"),
        (
            json!({"name": "a", "role": "viewer", "expires_in_secs": 0}),
            "token.lifetime",
        ),
        (
            json!({"name": "a", "role": "viewer", "colour": 1}),
            "request.malformed",
        ),
    ] {
        let answer = rig.admin().data(spec.to_string()).send("/api/v1/tokens");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (400, expected),
            "{spec}"
        );
    }
}

#[test]
fn who_guesses_is_not_listened_to() {
    let rig = Rig::start_with(|config| config.access.failed_attempts_per_minute = 3);
    let wrong = || with(&rig, "sztp_guess").send("/api/v1/devices");
    // Without a token there is no guess.
    for _ in 0..5 {
        assert_eq!(
            rig.operator_with("Accept: */*")
                .send("/api/v1/devices")
                .status,
            401
        );
    }
    assert_eq!(rig.admin().send("/api/v1/devices").status, 200);
    for _ in 0..3 {
        assert_eq!(wrong().status, 401);
    }
    let refused = wrong();
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (429, "request.too-many-attempts")
    );
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    // Else it would learn which guess was right.
    assert_eq!(rig.admin().send("/api/v1/devices").status, 429);
    assert_eq!(
        rig.operator_with("Accept: */*").send("/healthz").status,
        200
    );
}

#[test]
fn the_audit_log_says_who_changed_what() {
    let rig = Rig::start();
    let worker = token(&rig, "worker", "operator");
    let request = with(&rig, &worker).header("X-Request-Id: change-4711");
    let answer = request
        .data(small_device("A").to_string())
        .send("/api/v1/devices");
    assert_eq!(answer.header("x-request-id"), "change-4711");
    with(&rig, &worker)
        .method("POST")
        .send("/api/v1/devices/A/reset");
    // What fails changes nothing, and what only looks neither.
    let again = with(&rig, &worker)
        .data(small_device("A").to_string())
        .send("/api/v1/devices");
    assert_eq!(again.status, 409);
    with(&rig, &worker).send("/api/v1/devices/A");
    assert_eq!(
        with(&rig, &worker)
            .method("DELETE")
            .send("/api/v1/tokens/admin")
            .status,
        403
    );

    let lines = audit(&rig, "actor=worker");
    let told: Vec<String> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or_default();
            format!("{} {} {}", text("action"), text("object"), text("outcome"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "DELETE /api/v1/tokens/{name} /api/v1/tokens/admin refused",
            "POST /api/v1/devices/{serial}/reset /api/v1/devices/A/reset done",
            "POST /api/v1/devices /api/v1/devices done",
        ]
    );
    let added = &lines[2];
    assert_eq!(added["request_id"], "change-4711");
    assert_eq!(added["role"], "operator");
    assert_eq!(added["by"], "token");
    assert_eq!(added["address"], "127.0.0.1");
    let made = audit(&rig, "actor=admin");
    assert_eq!(made[0]["detail"], "token \"worker\" with the role operator");
    assert!(
        !made[0].to_string().contains(&worker),
        "no secret is written down"
    );

    assert_eq!(audit(&rig, "outcome=refused").len(), 1);
    assert_eq!(audit(&rig, "object=/api/v1/devices/A").len(), 1);
    assert_eq!(audit(&rig, "until=2020-01-01T00:00:00Z").len(), 0);
    assert_eq!(audit(&rig, "since=2020-01-01T00:00:00Z").len(), 4);
    let first = rig.admin().send("/api/v1/audit?limit=3").json();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(3));
    let next = first["next"].as_str().expect("more");
    assert_eq!(audit(&rig, &format!("limit=3&after={next}")).len(), 1);
    assert_eq!(
        rig.admin().send("/api/v1/audit?since=yesterday").status,
        400
    );
}

/// OpenSSL is a program of other people, and so are the certificates that it makes.
fn openssl(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .current_dir(directory)
        .args(arguments)
        .output()
        .expect("these tests need the program openssl");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

struct OperatorCa(PathBuf);

impl OperatorCa {
    fn new(directory: &Path) -> Self {
        openssl(
            directory,
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                "ca.key",
                "-out",
                "ca.crt",
                "-subj",
                "/CN=Operators",
                "-days",
                "2",
            ],
        );
        Self(directory.to_owned())
    }

    fn issue(&self, name: &str, subject: &str, days: &str) -> (PathBuf, PathBuf) {
        let file = |suffix: &str| format!("{name}.{suffix}");
        openssl(
            &self.0,
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &file("key"),
                "-out",
                &file("csr"),
                "-subj",
                subject,
            ],
        );
        openssl(
            &self.0,
            &[
                "x509",
                "-req",
                "-in",
                &file("csr"),
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-out",
                &file("crt"),
                "-days",
                days,
            ],
        );
        (self.0.join(file("crt")), self.0.join(file("key")))
    }
}

#[test]
fn client_certificates_give_roles() {
    let directory = tempfile::tempdir().expect("a directory");
    let ca = OperatorCa::new(directory.path());
    let anchor = directory.path().join("ca.crt");
    let rig = Rig::start_with(|config| {
        config.access.client_anchors = vec![anchor];
        let role = |common_name: Option<&str>, organization: Option<&str>, role| CertificateRole {
            subject: None,
            common_name: common_name.map(str::to_owned),
            organization: organization.map(str::to_owned),
            role,
        };
        config.access.certificates = vec![
            role(Some("alice"), Some("NOC"), Role::Admin),
            role(None, Some("NOC"), Role::Viewer),
        ];
    });
    let ask = |(certificate, key): &(PathBuf, PathBuf), path: &str| {
        rig.operator_with("Accept: */*")
            .with_certificate(certificate, key)
            .send(path)
    };
    let alice = ca.issue("alice", "/O=NOC/CN=alice", "1");
    assert_eq!(ask(&alice, "/api/v1/tokens").status, 200);
    let who = ask(&alice, "/api/v1/whoami").json();
    assert_eq!(who["by"], "certificate");
    assert!(
        who["name"]
            .as_str()
            .is_some_and(|name| name.contains("CN=alice")),
        "{who}"
    );
    let bob = ca.issue("bob", "/O=NOC/CN=bob", "1");
    assert_eq!(ask(&bob, "/api/v1/devices").status, 200);
    assert_eq!(ask(&bob, "/api/v1/tokens").status, 403);
    let stranger = ca.issue("stranger", "/O=Other/CN=alice", "1");
    let refused = ask(&stranger, "/api/v1/devices");
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (401, "request.certificate")
    );
    let elsewhere = tempfile::tempdir().expect("a directory");
    let forged = OperatorCa::new(elsewhere.path()).issue("alice", "/O=NOC/CN=alice", "1");
    assert_eq!(ask(&forged, "/api/v1/devices").status, 401);
    // A device's certificate opens nothing here, whatever it says.
    let device = rig.idevid("alice");
    assert_eq!(ask(&device, "/api/v1/devices").status, 401);
    assert_eq!(
        rig.admin().send("/api/v1/devices").status,
        200,
        "tokens go on working"
    );
}

/// An OIDC provider of nothing but OpenSSL.
struct Provider {
    directory: tempfile::TempDir,
}

impl Provider {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        openssl(
            at,
            &[
                "genpkey",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                "rsa_keygen_bits:2048",
                "-out",
                "rsa.key",
            ],
        );
        openssl(
            at,
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
                "ec.key",
            ],
        );
        let provider = Self { directory };
        provider.publish(&[("rsa", "first"), ("ec", "second")]);
        provider
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn publish(&self, keys: &[(&str, &str)]) {
        let keys: Vec<Value> = keys
            .iter()
            .map(|(kind, id)| {
                if *kind == "rsa" {
                    let modulus = openssl(
                        self.directory.path(),
                        &["rsa", "-in", "rsa.key", "-noout", "-modulus"],
                    );
                    let modulus = String::from_utf8(modulus).expect("text");
                    let hex = modulus.trim().trim_start_matches("Modulus=").to_owned();
                    json!({"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "e": "AQAB",
                        "n": base64url(&unhex(&hex))})
                } else {
                    let spki = openssl(
                        self.directory.path(),
                        &["pkey", "-in", "ec.key", "-pubout", "-outform", "DER"],
                    );
                    let point = &spki[spki.len() - 64..];
                    json!({"kty": "EC", "crv": "P-256", "kid": id,
                        "x": base64url(&point[..32]), "y": base64url(&point[32..])})
                }
            })
            .chain([json!({"kty": "oct", "k": "c2VjcmV0"})])
            .collect();
        fs::write(self.path("jwks.json"), json!({"keys": keys}).to_string()).expect("written");
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            base64url(header.to_string().as_bytes()),
            base64url(claims.to_string().as_bytes())
        );
        fs::write(self.path("signed"), &signed).expect("written");
        let key = if header["alg"] == "RS256" {
            "rsa.key"
        } else {
            "ec.key"
        };
        let signature = openssl(
            self.directory.path(),
            &["dgst", "-sha256", "-sign", key, "signed"],
        );
        let signature = if header["alg"] == "RS256" {
            signature
        } else {
            raw_ecdsa(&signature)
        };
        format!("{signed}.{}", base64url(&signature))
    }

    fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer: "https://idp.example".to_owned(),
            audience: "sztp".to_owned(),
            jwks: self.path("jwks.json").display().to_string(),
            jwks_anchors: Vec::new(),
            jwks_max_age_secs: 300,
            name_claim: "email".to_owned(),
            role_claim: "roles".to_owned(),
            roles: OidcRoles {
                operator: vec!["netops".to_owned()],
                ..OidcRoles::default()
            },
        }
    }
}

fn claims() -> Value {
    let now = harness::now().secs();
    json!({"iss": "https://idp.example", "aud": "sztp", "exp": now + 300, "iat": now,
        "sub": "1234", "email": "carol@example.com", "roles": ["netops"]})
}

/// From DER to r‖s.
fn raw_ecdsa(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let integer = &rest[2..2 + length];
        let digits = &integer[integer.len().saturating_sub(32)..];
        raw.extend(std::iter::repeat_n(0, 32 - digits.len()));
        raw.extend_from_slice(digits);
        rest = &rest[2 + length..];
    }
    raw
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn base64url(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets)
}

#[test]
fn tokens_of_an_oidc_provider() {
    let provider = Provider::new();
    let config = provider.config();
    let rig = Rig::start_with(|server| {
        server.access.oidc = Some(config);
        server.access.failed_attempts_per_minute = 1000;
    });
    let rs256 = json!({"alg": "RS256", "kid": "first", "typ": "JWT"});
    let es256 = json!({"alg": "ES256", "kid": "second"});
    for header in [&rs256, &es256, &json!({"alg": "ES256"})] {
        let jwt = provider.sign(header, &claims());
        let who = with(&rig, &jwt).send("/api/v1/whoami");
        assert_eq!(who.status, 200, "{header}: {}", who.text());
        assert_eq!(
            who.json(),
            json!({"name": "carol@example.com", "role": "operator", "by": "oidc"})
        );
        assert_eq!(with(&rig, &jwt).send("/api/v1/tokens").status, 403);
        let id = header["kid"].as_str().unwrap_or("none").to_owned();
        let added = with(&rig, &jwt)
            .data(small_device(&id).to_string())
            .send("/api/v1/devices");
        assert_eq!(added.status, 201, "{}", added.text());
    }
    assert_eq!(audit(&rig, "actor=carol@example.com&outcome=done").len(), 3);

    let refused = |jwt: &str| {
        let answer = with(&rig, jwt).send("/api/v1/devices");
        assert_eq!(answer.status, 401, "{}", answer.text());
        code(&answer)
    };
    let changed = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        refused(&provider.sign(&rs256, &claims))
    };
    assert_eq!(changed("iss", json!("https://evil.example")), "oidc.issuer");
    assert_eq!(changed("aud", json!("elsewhere")), "oidc.audience");
    assert_eq!(changed("exp", json!(1_000_000_000)), "oidc.expired");
    assert_eq!(changed("roles", json!([])), "oidc.no-role");
    let good = provider.sign(&rs256, &claims());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (header, _) = signed.split_once('.').expect("two parts");
    let mut admin = claims();
    admin["roles"] = json!(["admin"]);
    let forged = format!(
        "{header}.{}.{signature}",
        base64url(admin.to_string().as_bytes())
    );
    assert_eq!(refused(&forged), "oidc.signature");
    let unsigned = |alg: &str| {
        format!(
            "{}.{}.",
            base64url(json!({"alg": alg}).to_string().as_bytes()),
            base64url(claims().to_string().as_bytes())
        )
    };
    assert_eq!(refused(&unsigned("none")), "oidc.algorithm");
    assert_eq!(refused(&unsigned("HS256")), "oidc.algorithm");
    // The name of an RSA key does not help a signature with another.
    let crossed = provider.sign(&json!({"alg": "ES256", "kid": "first"}), &claims());
    assert_eq!(refused(&crossed), "oidc.key-unknown");
    assert_eq!(refused("a.b.c"), "oidc.malformed");
    assert_eq!(refused("a.b"), "oidc.malformed");

    // A key that was not there is looked for again, after a pause.
    std::thread::sleep(std::time::Duration::from_millis(5100));
    provider.publish(&[("ec", "third")]);
    let turned = provider.sign(&json!({"alg": "ES256", "kid": "third"}), &claims());
    assert_eq!(with(&rig, &turned).send("/api/v1/whoami").status, 200);
    assert_eq!(refused(&good), "oidc.key-unknown", "the old key is gone");
}

#[test]
fn the_keys_of_a_provider_over_https() {
    let provider = Provider::new();
    let at = provider.directory.path();
    openssl(
        at,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "tls.key",
            "-out",
            "tls.crt",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-days",
            "2",
        ],
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port")
        .port();
    let mut web = Command::new("openssl")
        .current_dir(at)
        .args([
            "s_server",
            "-quiet",
            "-WWW",
            "-accept",
            &port.to_string(),
            "-cert",
            "tls.crt",
            "-key",
            "tls.key",
        ])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("these tests need the program openssl");
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let config = |anchor: &str| OidcConfig {
        jwks: format!("https://localhost:{port}/jwks.json"),
        jwks_anchors: vec![provider.path(anchor)],
        ..provider.config()
    };
    let jwt = provider.sign(&json!({"alg": "RS256", "kid": "first"}), &claims());
    let rig = Rig::start_with(|server| server.access.oidc = Some(config("tls.crt")));
    let answer = with(&rig, &jwt).send("/api/v1/whoami");
    assert_eq!(answer.status, 200, "{}", answer.text());
    OperatorCa::new(at);
    let rig = Rig::start_with(|server| server.access.oidc = Some(config("ca.crt")));
    let answer = with(&rig, &jwt).send("/api/v1/whoami");
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (503, "oidc.keys-unavailable")
    );
    web.kill().expect("it ends");
    web.wait().expect("it has ended");
}
