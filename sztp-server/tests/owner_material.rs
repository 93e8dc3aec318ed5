//! Where the owner's key may be: in a file, encrypted or not, or in a token; judged by
//! `sztp-server check` in a process of its own, as the passphrase may be in the environment.

mod harness;

use std::path::Path;
use std::process::{Command, Output};

use harness::now;
use sztp_cms::KeyType;
use sztp_server::lab::{LabOptions, LabPki};

/// A lab on disk, and a configuration that names parts of it.
struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    fn new(key: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let options = LabOptions {
            key_type: KeyType::EcP256,
            ..LabOptions::new(now())
        };
        let lab = LabPki::generate(&options).expect("a lab");
        let site = Self { directory };
        site.write("owner.crt", &lab.owner.certificate.to_pem());
        site.write("pin.crt", &lab.pinned_domain_ca.certificate.to_pem());
        site.write("owner.key", &lab.owner.key.to_pkcs8_pem().expect("PEM"));
        site.write("other.key", &lab.masa.key.to_pkcs8_pem().expect("PEM"));
        site.configure(key);
        site
    }

    fn at(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at().join(name), text).expect("written");
    }

    fn configure(&self, key: &str) {
        let text = format!(
            "data_dir = \"data\"\n[owner]\ncertificate = \"owner.crt\"\nchain = [\"pin.crt\"]\n{key}\n"
        );
        self.write("server.toml", &text);
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.at())
            .env("SOFTHSM2_CONF", self.at().join("softhsm2.conf"))
            .env("SZTP_OWNER_KEY_PASSPHRASE", "orchid 4711")
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    fn ok(&self, program: &str, arguments: &[&str]) {
        let output = self.run(program, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    }

    /// What the server finds: nothing, or an error.
    fn check(&self) -> Result<(), String> {
        let program = env!("CARGO_BIN_EXE_sztp-server");
        let output = self.run(program, &["--config", "server.toml", "check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("orchid"), "{said}");
        if output.status.success() {
            return Ok(());
        }
        Err(said)
    }

    fn encrypt(&self) {
        let arguments = "pkcs8 -topk8 -v2 aes-256-cbc -iter 2048 -in owner.key -out encrypted.key \
                         -passout env:SZTP_OWNER_KEY_PASSPHRASE";
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.ok("openssl", &arguments);
    }
}

#[test]
fn keys_in_files() {
    let site = Site::new("key = \"owner.key\"");
    assert_eq!(site.check(), Ok(()));
    site.configure("key = \"other.key\"");
    let refused = site.check().expect_err("another key");
    assert!(refused.contains("server.key-mismatch"), "{refused}");

    // From the environment, and from a file with the end of a line.
    site.encrypt();
    site.configure("key = \"encrypted.key\"");
    assert_eq!(site.check(), Ok(()));
    site.write("pass", "orchid 4711\n");
    site.configure("key = \"encrypted.key\"\nkey_passphrase_file = \"pass\"");
    assert_eq!(site.check(), Ok(()));
    site.write("pass", "tulip");
    let refused = site.check().expect_err("a wrong passphrase");
    assert!(refused.contains("key.passphrase"), "{refused}");
    // DER does as well.
    site.ok(
        "openssl",
        &[
            "pkey",
            "-in",
            "owner.key",
            "-outform",
            "DER",
            "-out",
            "owner.der",
        ],
    );
    site.configure("key = \"owner.der\"");
    assert_eq!(site.check(), Ok(()));
}

#[cfg(not(feature = "pkcs11"))]
#[test]
fn a_token_where_none_can_be_used() {
    let site = Site::new("key = \"pkcs11:token=owner;object=owner\"");
    let refused = site.check().expect_err("no PKCS#11");
    assert!(refused.contains("server.token"), "{refused}");
    assert!(refused.contains("built without PKCS#11"), "{refused}");
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_key_in_a_token() {
    let module = "/usr/lib/softhsm/libsofthsm2.so";
    if !Path::new(module).exists() {
        eprintln!("NOT TESTED: there is no {module}");
        return;
    }
    let site = Site::new("key = \"pkcs11:token=owner;object=owner\"");
    std::fs::create_dir(site.at().join("tokens")).expect("a directory");
    let tokens = site.at().join("tokens");
    site.write(
        "softhsm2.conf",
        &format!("directories.tokendir = {}\n", tokens.display()),
    );
    let tool = |arguments: &[&str]| site.ok("softhsm2-util", arguments);
    tool(&[
        "--init-token",
        "--free",
        "--label",
        "owner",
        "--so-pin",
        "1234",
        "--pin",
        "orchid 4711",
    ]);
    tool(&[
        "--import",
        "owner.key",
        "--token",
        "owner",
        "--label",
        "owner",
        "--id",
        "01",
        "--pin",
        "orchid 4711",
    ]);
    let refused = site.check().expect_err("no module");
    assert!(refused.contains("owner.pkcs11_module"), "{refused}");
    site.configure(&format!(
        "key = \"pkcs11:token=owner;object=owner\"\npkcs11_module = \"{module}\""
    ));
    assert_eq!(site.check(), Ok(()));
    site.configure(&format!(
        "key = \"pkcs11:token=owner;object=owner?module-path={module}\""
    ));
    assert_eq!(site.check(), Ok(()));
    site.configure(&format!(
        "key = \"pkcs11:token=owner;object=nobody\"\npkcs11_module = \"{module}\""
    ));
    let refused = site.check().expect_err("no such key");
    assert!(refused.contains("server.token"), "{refused}");
}
