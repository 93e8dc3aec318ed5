//! `sztp agent` with its IDevID key in a PKCS#11 token: SoftHSM 2, and a TPM (swtpm) through tpm2-pkcs11.
#![cfg(all(unix, feature = "pkcs11"))]

#[allow(dead_code)]
mod issuer;
#[allow(dead_code)]
mod site;
#[allow(dead_code)]
mod workbench;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use issuer::{Issuer, request};
use site::{DEVICE, SERIAL, Site, configuration};
use sztp_cms::{Certificate, CertificateBuilder, SigningKey, UnixTime};
use sztp_core::artifacts::encrypt_artifact;
use workbench::{Ran, Workbench};

const PIN: &str = "orchid 4711";

/// A token, and what its module wants to be told.
struct Token {
    module: &'static str,
    environment: Vec<(&'static str, String)>,
    emulator: Option<Child>,
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(emulator) = &mut self.emulator {
            let _ = emulator.kill();
            let _ = emulator.wait();
        }
    }
}

impl Token {
    /// An empty SoftHSM 2 token.
    fn soft(bench: &Workbench) -> Option<Self> {
        let module = "/usr/lib/softhsm/libsofthsm2.so";
        if !there(module) {
            return None;
        }
        std::fs::create_dir(bench.path("tokens")).expect("a directory");
        let tokens = bench.path("tokens");
        bench.write(
            "softhsm2.conf",
            format!("directories.tokendir = {}\n", tokens.display()),
        );
        let config = bench.path("softhsm2.conf").display().to_string();
        let token = Self {
            module,
            environment: vec![("SOFTHSM2_CONF", config)],
            emulator: None,
        };
        let arguments = [
            "--init-token",
            "--free",
            "--label",
            "device",
            "--so-pin",
            "1234",
        ];
        token.tool(
            bench,
            "softhsm2-util",
            &[&arguments[..], &["--pin", PIN]].concat(),
        );
        Some(token)
    }

    /// An emulated TPM with an empty token.
    fn tpm(bench: &Workbench) -> Option<Self> {
        let module = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so";
        for program in [module, "/usr/bin/swtpm", "/usr/bin/tpm2_flushcontext"] {
            if !there(program) {
                return None;
            }
        }
        for directory in ["tpm", "store"] {
            std::fs::create_dir(bench.path(directory)).expect("a directory");
        }
        // The control port is the next one: free if this one is, as a rule.
        for _ in 0..20 {
            let port = free_port();
            let control = format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1);
            let emulator = Command::new("swtpm")
                .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
                .args([
                    "--tpmstate",
                    &format!("dir={}", bench.path("tpm").display()),
                ])
                .args([
                    "--server",
                    &format!("type=tcp,port={port},bindaddr=127.0.0.1"),
                ])
                .args(["--ctrl", &control])
                .stderr(Stdio::null())
                .spawn()
                .expect("swtpm starts");
            let tcti = format!("swtpm:host=127.0.0.1,port={port}");
            let mut token = Self {
                module,
                environment: vec![
                    (
                        "TPM2_PKCS11_STORE",
                        bench.path("store").display().to_string(),
                    ),
                    ("TPM2_PKCS11_TCTI", tcti.clone()),
                    ("TPM2TOOLS_TCTI", tcti),
                    ("TPM2_PKCS11_LOG_LEVEL", "0".to_owned()),
                    ("TSS2_LOG", "all+NONE".to_owned()),
                ],
                emulator: Some(emulator),
            };
            if token.answers() {
                let slot = ["--init-token", "--slot-index", "0", "--label", "device"];
                token.pkcs11(bench, &[&slot[..], &["--so-pin", "1234"]].concat());
                let pin = ["--token-label", "device", "--init-pin", "--so-pin", "1234"];
                token.pkcs11(bench, &[&pin[..], &["--pin", PIN]].concat());
                return Some(token);
            }
        }
        panic!("swtpm does not start");
    }

    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            let child = self.emulator.as_mut().expect("a TPM");
            if child.try_wait().expect("a child").is_some() {
                return false;
            }
            if self.run(Path::new("/"), "tpm2_flushcontext", &["-t"]).0 {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn run(&self, directory: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    fn tool(&self, bench: &Workbench, program: &str, arguments: &[&str]) {
        let (done, said) = self.run(&bench.path(""), program, arguments);
        assert!(done, "{program} {arguments:?}: {said}");
    }

    fn pkcs11(&self, bench: &Workbench, arguments: &[&str]) {
        let arguments = [&["--module", self.module], arguments].concat();
        self.tool(bench, "pkcs11-tool", &arguments);
        self.flush();
    }

    /// What a resource manager does where there is one: a TPM has room for a few objects only.
    fn flush(&self) {
        if self.emulator.is_some() {
            let (done, said) = self.run(Path::new("/"), "tpm2_flushcontext", &["-t"]);
            assert!(done, "{said}");
        }
    }

    /// A key made in the token.
    fn generate(&self, bench: &Workbench, kind: &str, usage: &[&str]) {
        let arguments = [
            "--token-label",
            "device",
            "--login",
            "--pin",
            PIN,
            "--keypairgen",
            "--key-type",
            kind,
            "--label",
            "idevid",
            "--id",
            "01",
        ];
        self.pkcs11(bench, &[&arguments[..], usage].concat());
        self.pkcs11(
            bench,
            &[
                "--token-label",
                "device",
                "--read-object",
                "--type",
                "pubkey",
                "--id",
                "01",
                "-o",
                "idevid.spki",
            ],
        );
        // As the device's manufacturer would.
        let spki = bench.read("idevid.spki");
        let authority = bench.read("data/lab/vendor/idevid-ca.crt");
        let chain = Certificate::list_from_pem_or_der(&authority).expect("a certificate");
        let key = SigningKey::from_pem_or_der(&bench.read("data/lab/vendor/idevid-ca.key"));
        let certificate = CertificateBuilder::new(format!("CN=Device,serialNumber={SERIAL}"))
            .validity(UnixTime::from_secs(0), None)
            .issued_by(&spki, &chain[0], &key.expect("a key"))
            .expect("a certificate");
        bench.write("idevid.crt", certificate.to_pem() + &chain[0].to_pem());
    }

    /// A key made elsewhere.
    fn import(&self, bench: &Workbench) {
        let key = format!("data/lab/devices/{SERIAL}/idevid.key");
        self.tool(
            bench,
            "softhsm2-util",
            &[
                "--import", &key, "--token", "device", "--label", "idevid", "--id", "01", "--pin",
                PIN,
            ],
        );
        let certificate = bench.read(&format!("data/lab/devices/{SERIAL}/idevid.crt"));
        bench.write("idevid.crt", certificate);
    }

    /// The device of the site, with its key in this token.
    fn device(&self, bench: &Workbench) -> String {
        bench.write("pin", format!("{PIN}\n"));
        let key = format!(
            "pkcs11:token=device;object=idevid?module-path={}&pin-source={}",
            self.module,
            bench.path("pin").display()
        );
        let names = format!("data/lab/devices/{SERIAL}/idevid");
        DEVICE
            .replace(&format!("{names}.crt"), "idevid.crt")
            .replace(&format!("{names}.key"), &key)
    }

    fn agent(&self, bench: &Workbench, arguments: &str) -> Ran {
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(k, v)| (*k, v.as_str()))
            .collect();
        let ran = bench.run_with(arguments, &environment);
        assert!(
            !ran.err.contains("orchid") && !ran.out.contains("orchid"),
            "{ran:?}"
        );
        self.flush();
        ran
    }
}

fn there(file: &str) -> bool {
    if PathBuf::from(file).exists() {
        return true;
    }
    // Not `eprintln!`, which the test harness swallows.
    let _ = writeln!(std::io::stderr(), "NOT TESTED: there is no {file}");
    false
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port().min(65_000)
}

/// A device that authenticates itself in TLS 1.3 and 1.2 with a key that it does not have in memory.
fn bootstraps(site: &Site, token: &Token) {
    let device = token.device(&site.bench);
    let run = format!(
        "agent run --server {} --server-ca data/lab/server/tls-ca.crt {device}",
        site.url()
    );
    token.agent(&site.bench, &run).ok();
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname edge-42\n"
    );
    assert_eq!(site.device_state(), "Provisioned");
}

/// What comes of artifacts in files whose conveyed information only this device can read.
fn given_encrypted(site: &Site, token: &Token) -> Ran {
    let bench = &site.bench;
    bench.write("edge.conf", "hostname edge-42\n");
    for command in [
        "conveyed-info onboarding --configuration edge.conf --configuration-handling merge --out \
         onboarding.json",
        "conveyed-info sign onboarding.json --owner-cert data/lab/owner/owner.crt --owner-key \
         data/lab/owner/owner.key --out signed.cms",
        "owner-certificate bundle data/lab/owner/owner.crt --out owner-certificate.cms",
    ] {
        bench.run(command).ok();
    }
    let idevid = Certificate::list_from_pem_or_der(&bench.read("idevid.crt")).expect("readable");
    let encrypted = encrypt_artifact(&bench.read("signed.cms"), &idevid[0]);
    bench.write("encrypted.cms", encrypted.expect("encrypted"));
    let device = token.device(bench);
    token.agent(
        bench,
        &format!(
            "agent bootstrap {device} --out out --conveyed-information encrypted.cms \
             --owner-certificate owner-certificate.cms --voucher voucher.vcj"
        ),
    )
}

#[test]
fn an_ecdsa_key_in_softhsm() {
    let site = Site::start(configuration());
    let Some(token) = Token::soft(&site.bench) else {
        return;
    };
    let usage = ["--usage-sign", "--usage-derive"];
    token.generate(&site.bench, "EC:prime256v1", &usage);
    let ran = given_encrypted(&site, &token);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(site.text("out/configuration"), "hostname edge-42\n");
    bootstraps(&site, &token);
}

#[test]
fn an_rsa_key_in_softhsm() {
    let site = Site::start(configuration());
    let Some(token) = Token::soft(&site.bench) else {
        return;
    };
    token.generate(&site.bench, "rsa:2048", &[]);
    bootstraps(&site, &token);
}

#[test]
fn a_token_that_cannot_be_used_is_told_from_one_that_is_not_there() {
    let bench = Workbench::new();
    bench.run("pki init data/lab").ok();
    bench
        .run(&format!("pki idevid data/lab --serial-number {SERIAL}"))
        .ok();
    let Some(token) = Token::soft(&bench) else {
        return;
    };
    token.import(&bench);
    let device = token.device(&bench);
    let run = |device: String| {
        token.agent(
            &bench,
            &format!("agent run --server https://localhost:1 {device}"),
        )
    };
    // All is well but for the server.
    run(device.clone()).refused("device.unreachable");
    bench.write("pin", "tulip\n");
    run(device.clone()).refused("pkcs11.pin-incorrect");
    bench.write("pin", "");
    run(device.clone()).refused("pkcs11.pin-source");
    run(device.replace("object=idevid", "object=nobody")).refused("pkcs11.pin-source");
    bench.write("pin", PIN);
    run(device.replace("object=idevid", "object=nobody")).refused("pkcs11.no-key");
    run(device.replace("token=device", "token=nobody")).refused("pkcs11.no-token");
    run(device.replace("libsofthsm2", "nothing")).refused("pkcs11.module");
    run(device.replace("token=device", "device")).refused("pkcs11.uri");
    let module = format!("module-path={}&", token.module);
    let elsewhere = device.replace(&module, "");
    run(elsewhere.clone()).refused("pkcs11.no-module");
    run(format!("{elsewhere} --pkcs11-module {}", token.module)).refused("device.unreachable");
    // The PIN is a passphrase where the URI has none.
    let source = format!("&pin-source={}", bench.path("pin").display());
    let without = device.replace(&source, "");
    run(without.clone()).refused("pkcs11.pin-required");
    run(format!("{without} --passphrase-file pin")).refused("device.unreachable");
    run(device.replace("idevid.crt", "data/lab/owner/owner.crt")).refused("cms.key-mismatch");
}

#[test]
fn the_owner_certifies_a_key_in_softhsm() {
    let issuer = Issuer::start(request(None));
    let Some(token) = Token::soft(&issuer.bench) else {
        return;
    };
    token.import(&issuer.bench);
    certified(&issuer, &token);
}

/// The request is signed in the token.
fn certified(issuer: &Issuer, token: &Token) {
    if !issuer::has_openssl() {
        return;
    }
    let device = token.device(&issuer.bench);
    let run = issuer
        .arguments("--csr-support existing-key")
        .replace(DEVICE, &device);
    token.agent(&issuer.bench, &run).ok();
    issuer.bench.write("request.der", &issuer.requests()[0]);
    issuer.openssl("req -inform DER -in request.der -verify -noout");
    assert_eq!(
        issuer.openssl("x509 -in idevid.crt -noout -pubkey"),
        issuer.openssl("x509 -in state/ldevid.crt -noout -pubkey")
    );
    assert!(!issuer.bench.path("state/ldevid.key").exists());
}

#[test]
fn an_ecdsa_key_in_a_tpm() {
    let site = Site::start(configuration());
    let Some(token) = Token::tpm(&site.bench) else {
        return;
    };
    token.generate(&site.bench, "EC:prime256v1", &[]);
    bootstraps(&site, &token);
    // This layer has no ECDH, and the device says so.
    let ran = given_encrypted(&site, &token);
    assert!(ran.err.contains("error[artifacts.encrypted]"), "{ran:?}");
    assert!(
        ran.err
            .contains("the token does not let the IDevID key decrypt"),
        "{ran:?}"
    );
}

#[test]
fn an_rsa_key_in_a_tpm() {
    let site = Site::start(configuration());
    let Some(token) = Token::tpm(&site.bench) else {
        return;
    };
    token.generate(&site.bench, "rsa:2048", &[]);
    let ran = given_encrypted(&site, &token);
    assert_eq!(ran.code, 0, "{ran:?}");
    bootstraps(&site, &token);
}

#[test]
fn the_owner_certifies_a_key_in_a_tpm() {
    let issuer = Issuer::start(request(None));
    let Some(token) = Token::tpm(&issuer.bench) else {
        return;
    };
    token.generate(&issuer.bench, "EC:prime256v1", &[]);
    certified(&issuer, &token);
}
