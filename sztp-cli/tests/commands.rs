//! Every command with good and with bad input: exit codes, error codes, what is written.

mod workbench;

use serde_json::Value;
use std::io::Write as _;
use sztp_cms::{Certificate, Limits, parse_certs_only};
use sztp_core::artifacts::unsigned_artifact;
use sztp_core::conveyed_info::{ConveyedInfo, OnboardingInformation};
use sztp_voucher::yang::Encoding;

use workbench::Workbench;

const VERIFY: &str = "voucher verify voucher.vcj --trust-anchor lab/vendor/root.crt";
const LATER: &str = "--at 2026-12-02";

#[test]
fn a_lab_pki_is_made_once() {
    let bench = Workbench::new();
    bench
        .run("pki init new --server-name boot.example --server-name 192.0.2.7")
        .ok();
    for name in [
        "vendor/root",
        "vendor/masa",
        "vendor/idevid-ca",
        "owner/owner",
        "server/tls",
    ] {
        Certificate::from_pem_or_der(&bench.read(&format!("new/{name}.crt"))).expect(name);
        assert_eq!(mode(&bench, &format!("new/{name}.key")), 0o600, "{name}");
    }
    let before = bench.read("new/vendor/root.key");
    bench.run("pki init new").refused("lab.exists");
    assert_eq!(bench.read("new/vendor/root.key"), before);
    bench
        .run("pki init other --server-name not_a_host!")
        .refused("lab.server-name");
    assert!(!bench.path("other").exists());
    bench.run("pki init").rejected();
}

#[test]
fn idevids_of_every_kind() {
    let bench = Workbench::new();
    for kind in ["ec-p256", "ec-p384", "rsa-2048"] {
        let ran = bench.run(&format!(
            "pki idevid lab --serial-number SN-{kind} --key-type {kind} -o json"
        ));
        let certificate = ran.ok().json()["certificate"]
            .as_str()
            .expect("a path")
            .to_owned();
        let certificate = Certificate::from_pem_or_der(&bench.read(&certificate)).expect(kind);
        let serial_number = certificate.serial_number_attribute();
        assert_eq!(serial_number, Some(format!("SN-{kind}")));
        assert_eq!(certificate.not_after().to_string(), "9999-12-31T23:59:59Z");
    }
    bench
        .run("pki idevid lab --serial-number SN-ec-p256")
        .refused("lab.exists");
    bench
        .run("pki idevid lab --serial-number ")
        .refused("lab.serial-number");
    bench
        .run("pki idevid nowhere --serial-number X")
        .refused("lab.file");
    bench
        .run("pki idevid lab --serial-number X --key-type dsa")
        .rejected();
    bench.run("pki idevid lab --serial-number ../../x").ok();
    assert!(bench.path("lab/devices/%2E.%2F..%2Fx/idevid.key").exists());
}

#[test]
fn vouchers_that_cannot_be_issued() {
    let bench = Workbench::new();
    bench
        .issue(
            "--nonce AQIDBAUGBwg= --expires-on 2027-01-01T00:00:00Z",
            "x",
        )
        .rejected();
    bench.issue("--expires-on tomorrow", "x").rejected();
    bench.issue("--nonce !!", "x").rejected();
    bench.issue("--assertion guessed", "x").rejected();
    bench
        .issue("--nonce AQID", "x")
        .refused("voucher.nonce-length");
    bench
        .issue("--expires-on 2099-01-01", "x")
        .refused("voucher.outlives-pinned-domain-cert");
    bench
        .issue("--chain nowhere.crt", "x")
        .refused("file.unreadable");
    bench
        .issue("--chain lab/owner/owner.key", "x")
        .refused("certificate.missing");
    bench.issue("", "nowhere/x").refused("file.unwritable");
    let with_key = |key: &str| {
        bench.run(&format!(
            "voucher issue --serial-number A --pinned-domain-cert lab/owner/pinned-domain-ca.crt \
             --signer-cert lab/vendor/masa.crt --signer-key {key} --out x"
        ))
    };
    with_key("lab/owner/owner.key").refused("cms.key-mismatch");
    with_key("lab/owner/owner.crt").refused("key.malformed");
    assert!(!bench.path("x").exists(), "nothing is written on failure");
}

#[test]
fn what_was_issued_is_verified() {
    let bench = Workbench::new();
    for more in [
        "",
        "--econtent-type id-data",
        "--assertion logged --nonce -_8BAgMEBQYHCA",
        "--expires-on 2027-01-01 --chain lab/vendor/root.crt",
        "--idevid-issuer lab/vendor/idevid-ca.crt",
        "--idevid-issuer lab/devices/AX7-00042/idevid.crt",
    ] {
        bench.issue(more, "voucher.vcj").ok();
        let ran = bench.run(&format!(
            "{VERIFY} {LATER} --idevid-cert lab/devices/AX7-00042/idevid.crt -o json"
        ));
        assert_eq!(ran.ok().json()["valid"], true, "{more}");
    }
    bench.issue("--nonce -_8BAgMEBQYHCA", "voucher.vcj").ok();
    bench
        .run(&format!("{VERIFY} {LATER} --nonce +/8BAgMEBQYHCA=="))
        .ok();
    bench
        .run(&format!("{VERIFY} {LATER} --nonce AAAAAAAAAAA="))
        .refused("voucher.nonce-mismatch");
}

#[test]
fn vouchers_that_do_not_hold() {
    let bench = Workbench::new();
    bench
        .issue(
            "--expires-on 2027-01-01 --idevid-issuer lab/server/tls-ca.crt",
            "voucher.vcj",
        )
        .ok();
    for (more, code) in [
        ("--at 2026-11-30", "voucher.not-yet-valid"),
        ("--at 2027-01-02", "voucher.expired"),
        (
            "--at 2026-12-02 --serial-number OTHER",
            "voucher.serial-mismatch",
        ),
        (
            "--at 2026-12-02 --nonce AQIDBAUGBwg=",
            "voucher.nonce-missing",
        ),
        (
            "--at 2026-12-02 --idevid-cert lab/devices/AX7-00042/idevid.crt",
            "voucher.idevid-issuer-mismatch",
        ),
    ] {
        let ran = bench.run(&format!("{VERIFY} {more} -o json")).refused(code);
        assert_eq!(ran.json()["valid"], false);
        assert_eq!(
            ran.json()["vouchers"][0]["error"]["code"],
            code,
            "the same on stdout"
        );
    }
    let other = "voucher verify voucher.vcj --trust-anchor lab/owner/pinned-domain-ca.crt";
    bench
        .run(&format!("{other} {LATER}"))
        .refused("voucher.untrusted-signer");

    let mut octets = bench.read("voucher.vcj");
    *octets.last_mut().expect("octets") ^= 1;
    bench.write("voucher.vcj", octets);
    bench
        .run(&format!("{VERIFY} {LATER}"))
        .refused("cms.bad-signature");
}

#[test]
fn a_known_deviation_passes_only_when_asked_for_and_is_said() {
    let bench = Workbench::new();
    bench.issue("", "voucher.vcj").ok();
    // ecdsa-with-SHA256 becomes id-ecPublicKey in the SignerInfo, where it is used last.
    let (wanted, instead) = (
        [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2].as_slice(),
        [0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1].as_slice(),
    );
    let octets = bench.read("voucher.vcj");
    let mut left = octets
        .windows(wanted.len())
        .filter(|window| *window == wanted)
        .count();
    let changed = rebuilt(&octets, &mut |value| {
        left -= usize::from(value == wanted);
        (value == wanted && left == 0).then(|| instead.to_vec())
    });
    assert_eq!(changed.len(), octets.len() - 1);
    bench.write("voucher.vcj", changed);
    bench
        .run(&format!("{VERIFY} {LATER}"))
        .refused("cms.unsupported-algorithm");
    let ran = bench.run(&format!("{VERIFY} {LATER} --lenient")).ok();
    assert!(
        ran.out.contains("noted") && ran.out.contains("id-ecPublicKey"),
        "{ran:?}"
    );
}

#[test]
fn files_are_told_apart_by_content() {
    use base64::Engine as _;
    let bench = Workbench::new();
    bench.issue("", "voucher.vcj").ok();
    let der = bench.read("voucher.vcj");
    let text = base64::engine::general_purpose::STANDARD.encode(&der);
    let lines: Vec<String> = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let lines = lines.join("\r\n");
    for (form, content) in [
        ("base64", text.clone().into_bytes()),
        ("base64 with line breaks", lines.clone().into_bytes()),
        (
            "PEM",
            format!("-----BEGIN CMS-----\n{lines}\n-----END CMS-----\n").into_bytes(),
        ),
        (
            "PKCS7",
            format!("-----BEGIN PKCS7-----\n{lines}\n-----END PKCS7-----\n").into_bytes(),
        ),
    ] {
        bench.write("voucher.vcj", content);
        let ran = bench.run(&format!("{VERIFY} {LATER}"));
        assert_eq!(ran.code, 0, "{form}: {ran:?}");
    }
    let ruined = String::from_utf8_lossy(&der).into_owned();
    bench.write("voucher.vcj", &ruined);
    bench
        .run(&format!("{VERIFY} {LATER}"))
        .refused("cms.text-mode-damage");
    bench
        .run("voucher inspect voucher.vcj")
        .refused("cms.text-mode-damage");

    bench.issue("", "voucher.vcj").ok();
    let root = Certificate::from_pem_or_der(&bench.read("lab/vendor/root.crt")).expect("a root");
    bench.write("root.der", root.as_der());
    let with_anchor = |anchor: &str| {
        bench.run(&format!(
            "voucher verify voucher.vcj --trust-anchor {anchor} {LATER}"
        ))
    };
    with_anchor("root.der").ok();
    with_anchor("lab/server/tls-ca.crt lab/vendor/root.crt").ok();
    bench.write(
        "root.der",
        String::from_utf8_lossy(root.as_der()).as_bytes(),
    );
    with_anchor("root.der").refused("file.text-mode-damage");
    with_anchor("voucher.vcj").refused("certificate.malformed");
    with_anchor("nowhere").refused("file.unreadable");
    bench.write("empty", "");
    with_anchor("empty").refused("file.empty");
}

#[test]
fn several_vouchers_at_once() {
    let bench = Workbench::new();
    bench.issue("", "one.vcj").ok();
    bench.write("two.vcj", "no voucher at all");
    let ran = bench.run(&format!(
        "voucher verify one.vcj two.vcj three.vcj --trust-anchor lab/vendor/root.crt {LATER} -o json"
    ));
    let ran = ran.refused("cms.malformed").refused("file.unreadable");
    let verdicts: Vec<Value> = ran.json()["vouchers"].as_array().expect("a list").clone();
    let valid: Vec<&Value> = verdicts.iter().map(|one| &one["valid"]).collect();
    assert_eq!(valid, [true, false, false]);
}

#[test]
fn a_revoked_masa() {
    let bench = Workbench::new();
    bench.issue("", "voucher.vcj").ok();
    let masa = bench.read("lab/vendor/masa.crt");
    let masa = Certificate::from_pem_or_der(&masa).expect("a certificate");
    let serial = masa.serial_hex().replace(':', "");
    bench.write(
        "openssl.cnf",
        "[ca]\ndefault_ca = own\n[own]\ndatabase = index\ncrlnumber = number\n\
         certificate = lab/vendor/root.crt\nprivate_key = lab/vendor/root.key\n\
         default_md = sha256\n",
    );
    bench.write("number", "01\n");
    bench.write("index", "");
    let publish = |name: &str, on: &str| {
        let arguments = format!(
            "ca -gencrl -config openssl.cnf -crl_lastupdate {on}000000Z -crl_nextupdate \
             20271124000000Z -out {name}"
        );
        bench
            .run_other("openssl", &arguments)
            .map(workbench::Ran::ok)
    };
    if publish("good.crl", "20261124").is_none() {
        return;
    }
    bench.write(
        "index",
        format!("R\t491231235959Z\t261124000000Z\t{serial}\tunknown\t/CN=MASA\n"),
    );
    publish("bad.crl", "20261125").expect("openssl");
    let verify = |more: &str| bench.run(&format!("{VERIFY} {LATER}{more}"));
    verify("").ok();
    verify(" --crl good.crl").ok();
    verify(" --crl bad.crl").refused("voucher.untrusted-signer");
    verify(" --crl good.crl bad.crl").refused("voucher.untrusted-signer");
    // The list must speak of the signer, and be one.
    let late = format!("{VERIFY} --at 2028-01-01 --crl good.crl");
    bench.run(&late).refused("voucher.untrusted-signer");
    verify(" --crl lab/vendor/root.crt").refused("crl.missing");
}

#[test]
fn what_is_not_supported_is_refused_and_not_ignored() {
    let bench = Workbench::new();
    bench.make_artifacts();
    bench
        .run(
            "conveyed-info sign onboarding.json --owner-cert lab/owner/owner.crt --owner-key \
             lab/owner/owner.key --encrypt-to lab/devices/AX7-00042/idevid.crt --out sealed.cms",
        )
        .misused("usage.encryption-unsupported");
    assert!(!bench.path("sealed.cms").exists());
    bench
        .run("voucher verify --trust-anchor lab/vendor/root.crt voucher.vcj")
        .misused("usage.no-voucher");
    bench.run("voucher verify voucher.vcj").rejected();
    bench.run("no-such-command").rejected();
    bench.run("voucher inspect voucher.vcj -o csv").rejected();
}

#[test]
fn keys_in_every_form() {
    let bench = Workbench::new();
    let issue = |key: &str, environment: &[(&str, &str)]| {
        bench.run_with(
            &format!(
                "voucher issue --serial-number A --pinned-domain-cert \
                 lab/owner/pinned-domain-ca.crt --signer-cert rsa.crt --signer-key {key} --out x"
            ),
            environment,
        )
    };
    let made = "req -x509 -newkey rsa:2048 -nodes -keyout pkcs8.key -out rsa.crt -subj /CN=MASA";
    let Some(ran) = bench.run_other("openssl", made) else {
        return;
    };
    ran.ok();
    for arguments in [
        "rsa -in pkcs8.key -traditional -out pkcs1.key",
        "rsa -in pkcs8.key -outform der -traditional -out pkcs1.der",
        "pkcs8 -in pkcs8.key -topk8 -outform der -nocrypt -out pkcs8.der",
        "pkcs8 -in pkcs8.key -topk8 -v2 aes256 -passout pass:open -out sealed.key",
        "pkcs8 -in pkcs8.key -topk8 -v2 aes256 -passout pass:open -outform der -out sealed.der",
    ] {
        bench.run_other("openssl", arguments).expect("openssl").ok();
    }
    for key in ["pkcs8.key", "pkcs8.der", "pkcs1.key", "pkcs1.der"] {
        let ran = issue(key, &[]);
        assert_eq!(ran.code, 0, "{key}: {ran:?}");
    }
    bench.write("passphrase", "open\n");
    for key in ["sealed.key", "sealed.der"] {
        issue(key, &[]).refused("key.encrypted");
        issue(key, &[("SZTP_PASSPHRASE", "shut")]).refused("key.passphrase");
        issue(key, &[("SZTP_PASSPHRASE", "open")]).ok();
        issue(&format!("{key} --passphrase-file passphrase"), &[]).ok();
        issue(&format!("{key} --passphrase-file nowhere"), &[]).refused("file.unreadable");
    }

    let sec1 = "ec -in lab/vendor/masa.key -outform der -out sec1.der";
    bench.run_other("openssl", sec1).expect("openssl").ok();
    let sec1 = "voucher issue --serial-number A --pinned-domain-cert \
        lab/owner/pinned-domain-ca.crt --signer-cert lab/vendor/masa.crt --signer-key sec1.der \
        --out x";
    bench.run(sec1).ok();
}

#[test]
fn onboarding_information_from_options_and_from_yaml() {
    let bench = Workbench::new();
    bench.write("axos.bin", "an image");
    bench.write("edge.conf", "hostname edge-42\n");
    bench.write("pre.sh", "#!/bin/sh\nexit 0\n");
    bench
        .run(
            "conveyed-info onboarding --os-name AxOS --os-version 9.4.1 --download-uri \
             https://img.example/axos.bin --image axos.bin --configuration edge.conf \
             --configuration-handling merge --pre-configuration-script pre.sh --out options.xml",
        )
        .ok();
    bench.write(
        "onboarding.yaml",
        "boot-image:\n  os-name: AxOS\n  os-version: 9.4.1\n  \
         download-uri: [https://img.example/axos.bin]\n  image-file: axos.bin\n\
         configuration-handling: merge\nconfiguration-file: edge.conf\n\
         pre-configuration-script: |\n  #!/bin/sh\n  exit 0\n",
    );
    bench
        .run("conveyed-info onboarding --from onboarding.yaml --out yaml.json")
        .ok();
    let read = |name: &str, encoding| {
        ConveyedInfo::decode(&bench.read(name), encoding).expect("conveyed information")
    };
    let from_options = read("options.xml", Encoding::Xml);
    assert_eq!(from_options, read("yaml.json", Encoding::Json));
    let ConveyedInfo::Onboarding(info) = from_options else {
        panic!("{from_options:?}")
    };
    let image = info.boot_image.expect("a boot image");
    assert!(image.image_verification[0].is_sha256());

    // An option comes before the file.
    let ran = bench
        .run(
            "conveyed-info onboarding --from onboarding.yaml --os-version 9.5 --out x.json -o json",
        )
        .ok();
    let content = &ran.json()["content"]["ietf-sztp-conveyed-info:onboarding-information"];
    assert_eq!(content["boot-image"]["os-version"], "9.5");
    assert_eq!(content["boot-image"]["os-name"], "AxOS");
}

#[test]
fn conveyed_information_that_cannot_be() {
    let bench = Workbench::new();
    bench.write("edge.conf", "hostname edge-42\n");
    let onboarding =
        |more: &str| bench.run(&format!("conveyed-info onboarding {more} --out x.json"));
    onboarding("--configuration edge.conf")
        .refused("conveyed-information.configuration-without-handling");
    onboarding("--configuration-handling merge")
        .refused("conveyed-information.handling-without-configuration");
    onboarding("--image edge.conf").refused("conveyed-information.verification-without-uri");
    onboarding("--image-sha256 abcd").rejected();
    onboarding("--configuration nowhere --configuration-handling merge").refused("file.unreadable");
    bench.write("unknown.yaml", "configurations: x\n");
    onboarding("--from unknown.yaml").refused("document.yaml");
    bench.write(
        "both.yaml",
        "configuration: x\nconfiguration-file: edge.conf\n",
    );
    onboarding("--from both.yaml").refused("document.ambiguous");
    bench.write("hash.yaml", "boot-image: {sha256: '12'}\n");
    onboarding("--from hash.yaml").refused("document.value");
    let redirect = |more: &str| bench.run(&format!("conveyed-info redirect {more} --out x.json"));
    redirect("--server a..b:1").refused("conveyed-information.address");
    redirect("--server a.example --server a.example").refused("yang.duplicate-key");
    redirect("--server a.example:x").rejected();
    redirect("--server a.example --trust-anchor edge.conf").refused("certificate.malformed");
    bench.run("conveyed-info redirect --out x.json").rejected();
    assert!(!bench.path("x.json").exists());
    // LEDGER: 8572-2.2-02
    let ran = onboarding("--from /dev/null");
    assert_eq!(ran.refused("file.empty").out, "");
    let ran = bench.run("conveyed-info onboarding --out x.json").ok();
    assert!(ran.err.contains("asks for nothing"), "{ran:?}");
}

#[test]
fn a_redirect_carries_its_trust_anchors() {
    let bench = Workbench::new();
    bench.write(
        "redirect.yaml",
        "bootstrap-server:\n- address: boot.example\n  port: 8443\n  \
         trust-anchor-files: [lab/server/tls-ca.crt]\n- address: 192.0.2.7\n",
    );
    bench
        .run("conveyed-info redirect --from redirect.yaml --out redirect.json")
        .ok();
    let info =
        ConveyedInfo::decode(&bench.read("redirect.json"), Encoding::Json).expect("redirect");
    let ConveyedInfo::Redirect(redirect) = info else {
        panic!("{info:?}")
    };
    let [first, second] = redirect.bootstrap_servers.as_slice() else {
        panic!("{redirect:?}")
    };
    let anchor = first.trust_anchor.as_deref().expect("an anchor");
    let anchor = parse_certs_only(anchor, &Limits::default()).expect("certs-only CMS");
    let expected = Certificate::from_pem_or_der(&bench.read("lab/server/tls-ca.crt")).expect("CA");
    assert_eq!(anchor.certificates(), [expected]);
    assert_eq!((second.port, &second.trust_anchor), (None, &None));
}

#[test]
fn conveyed_information_is_shown_in_every_shape() {
    let bench = Workbench::new();
    bench.make_artifacts();
    let info = ConveyedInfo::Onboarding(OnboardingInformation::default());
    bench.write("unsigned.cms", unsigned_artifact(&info, Encoding::Xml));
    bench.write("document.xml", info.encode(Encoding::Xml));
    for (file, kind, encoding) in [
        ("onboarding.json", "document, not in CMS", "JSON"),
        ("document.xml", "document, not in CMS", "XML"),
        ("unsigned.cms", "unsigned CMS", "XML"),
        (
            "conveyed-information.cms",
            "signed CMS (the signature is not verified here)",
            "JSON",
        ),
    ] {
        let shown = bench
            .run(&format!("conveyed-info inspect {file} -o json"))
            .ok()
            .json();
        assert_eq!(shown["kind"], kind, "{file}");
        assert_eq!(shown["encoding"], encoding, "{file}");
    }
    bench.write("garbage", [0x30, 0x80, 0x01]);
    bench
        .run("conveyed-info inspect garbage")
        .refused("cms.malformed");
    bench
        .run("conveyed-info inspect owner-certificate.cms")
        .refused("cms.no-content");
    bench.write("other.json", "{\"a\":1}");
    bench
        .run("conveyed-info inspect other.json")
        .refused("yang.unknown-node");
    bench.write("dtd.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>");
    bench
        .run("conveyed-info inspect dtd.xml")
        .refused("yang.forbidden-xml");
}

// The project's example documents, where they are at hand.
#[test]
fn the_example_documents_are_shown_and_the_bad_ones_refused() {
    let shared = std::env::var_os("SZTP_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        std::path::PathBuf::from,
    );
    let folder = shared.join("conformance/examples");
    if !folder.exists() {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: no example documents in {}",
            folder.display()
        );
        return;
    }
    let bench = Workbench::new();
    for (name, code) in [
        ("onboarding.json", None),
        ("onboarding.xml", None),
        ("redirect.json", None),
        ("redirect.xml", None),
        ("ci-unsigned-onboarding.cms", None),
        ("ci-unsigned-onboarding-xml.cms", None),
        ("ci-signed-redirect.cms", None),
        ("ci-enveloped-signed.cms", None),
        ("neg-ci-authenveloped-gcm.cms", Some("cms.not-signed-data")),
        (
            "neg-both-kinds.json",
            Some("conveyed-information.both-kinds"),
        ),
        ("neg-empty-servers.json", Some("yang.too-few-entries")),
        (
            "neg-verify-without-uri.json",
            Some("conveyed-information.verification-without-uri"),
        ),
    ] {
        bench.write(name, std::fs::read(folder.join(name)).expect(name));
        let ran = bench.run(&format!("conveyed-info inspect {name}"));
        match code {
            None => ran.ok(),
            Some(code) => ran.refused(code),
        };
    }
}

#[test]
fn only_conveyed_information_is_signed() {
    let bench = Workbench::new();
    bench.make_artifacts();
    let sign = |file: &str, more: &str| {
        bench.run(&format!(
            "conveyed-info sign {file} --owner-cert lab/owner/owner.crt --owner-key \
             lab/owner/owner.key --out out.cms{more}"
        ))
    };
    sign("voucher.vcj", "").refused("conveyed-information.not-a-document");
    bench.write("other.json", "{\"a\":1}");
    sign("other.json", "").refused("yang.unknown-node");
    sign("onboarding.json", " --chain nowhere").refused("file.unreadable");
    assert!(!bench.path("out.cms").exists());
    bench
        .run(
            "conveyed-info sign onboarding.json --owner-cert lab/owner/owner.crt --owner-key \
             lab/vendor/masa.key --out out.cms",
        )
        .refused("cms.key-mismatch");
    sign(
        "onboarding.json",
        " --chain lab/owner/pinned-domain-ca.crt --econtent-type id-data",
    )
    .ok();
    let shown = bench
        .run("conveyed-info inspect out.cms -o json")
        .ok()
        .json();
    assert_eq!(shown["certificates"].as_array().map(Vec::len), Some(2));
    assert!(
        shown["content-type"]
            .as_str()
            .is_some_and(|name| name.starts_with("id-data "))
    );

    let openssl = "cms -verify -inform der -in out.cms -CAfile lab/owner/pinned-domain-ca.crt \
        -purpose any -out content.json";
    if let Some(ran) = bench.run_other("openssl", openssl) {
        ran.ok();
        assert_eq!(
            bench.read("content.json"),
            bench.read("onboarding.json"),
            "octet for octet"
        );
    }
}

#[test]
fn certificates_are_bundled_once_each() {
    let bench = Workbench::new();
    bench
        .run("owner-certificate bundle lab/owner/owner.crt lab/owner/owner.crt lab/owner/pinned-domain-ca.crt --out oc.cms")
        .ok();
    let bundle = parse_certs_only(&bench.read("oc.cms"), &Limits::default()).expect("CMS");
    assert_eq!(bundle.certificates().len(), 2);
    bench
        .run("owner-certificate bundle lab/owner/owner.key --out x")
        .refused("certificate.missing");
    bench.run("owner-certificate bundle --out x").rejected();
    // What was bundled can be given as a file of certificates.
    bench
        .run("owner-certificate bundle oc.cms --out again.cms")
        .ok();
    assert_eq!(bench.read("again.cms"), bench.read("oc.cms"));
}

#[test]
fn artifacts_are_judged_as_a_device_does() {
    let bench = Workbench::new();
    bench.make_artifacts();
    let verify = |conveyed: &str, owner: &str, more: &str| {
        bench.run(&format!(
            "artifacts verify --voucher voucher.vcj --owner-certificate {owner} \
             --conveyed-information {conveyed} --trust-anchor lab/vendor/root.crt {LATER} {more}"
        ))
    };
    let (good, owner, me) = (
        "conveyed-information.cms",
        "owner-certificate.cms",
        "--serial-number AX7-00042",
    );
    let ran = verify(good, owner, &format!("{me} -o json")).ok();
    assert_eq!(ran.json()["valid"], true);
    verify(good, owner, "").rejected();
    verify(good, owner, "--serial-number OTHER").refused("voucher.serial-mismatch");
    verify(good, owner, &format!("{me} --at 2026-11-30")).rejected();

    // Another owner, with a certificate of its own.
    bench.run("pki init thief").ok();
    bench
        .run(
            "conveyed-info sign onboarding.json --owner-cert thief/owner/owner.crt --owner-key \
             thief/owner/owner.key --out thief.cms",
        )
        .ok();
    bench
        .run("owner-certificate bundle thief/owner/owner.crt --out thief-owner.cms")
        .ok();
    verify("thief.cms", "thief-owner.cms", me)
        .refused("owner-certificate.not-under-pinned-domain-cert");
    verify("thief.cms", owner, me).refused("owner-certificate.not-the-signer");

    let mut octets = bench.read(good);
    *octets.last_mut().expect("octets") ^= 1;
    bench.write("changed.cms", octets);
    verify("changed.cms", owner, me).refused("conveyed-information.bad-signature");

    let info = ConveyedInfo::Onboarding(OnboardingInformation::default());
    bench.write("unsigned.cms", unsigned_artifact(&info, Encoding::Json));
    verify("unsigned.cms", owner, me).refused("artifacts.untrusted-onboarding");
    bench
        .run("conveyed-info redirect --server a.example --out redirect.json")
        .ok();
    let redirect = ConveyedInfo::decode(&bench.read("redirect.json"), Encoding::Json).expect("one");
    bench.write("redirect.cms", unsigned_artifact(&redirect, Encoding::Json));
    verify("redirect.cms", owner, me).refused("artifacts.not-signed");
    verify(owner, owner, me).refused("owner-certificate.not-the-signer");
}

#[test]
fn json_and_yaml_say_the_same() {
    let bench = Workbench::new();
    bench.make_artifacts();
    for command in [
        "voucher inspect voucher.vcj",
        "conveyed-info inspect conveyed-information.cms",
        "voucher verify voucher.vcj --trust-anchor lab/vendor/root.crt --at 2026-12-02",
        "owner-certificate bundle lab/owner/owner.crt --out x",
    ] {
        let json = bench.run(&format!("{command} -o json")).ok().json();
        let yaml = bench.run(&format!("{command} --output yaml")).ok().out;
        let yaml: Value = serde_norway::from_str(&yaml).expect("YAML");
        assert_eq!(json, yaml, "{command}");
    }
}

#[test]
fn colour_is_for_terminals() {
    let bench = Workbench::new();
    bench.issue("", "voucher.vcj").ok();
    let verify = format!("{VERIFY} {LATER} --serial-number OTHER");
    let escape = |environment| {
        let ran = bench.run_with(&verify, environment);
        [ran.out.contains('\u{1b}'), ran.err.contains('\u{1b}')]
    };
    assert_eq!(escape(&[]), [false, false], "a pipe is no terminal");
    assert_eq!(escape(&[("CLICOLOR_FORCE", "1")]), [true, true]);
    assert_eq!(escape(&[("NO_COLOR", "1")]), [false, false]);
}

#[test]
fn every_command_has_help_with_an_example() {
    let bench = Workbench::new();
    for command in [
        "pki init",
        "pki idevid",
        "voucher issue",
        "voucher inspect",
        "voucher verify",
        "conveyed-info onboarding",
        "conveyed-info redirect",
        "conveyed-info sign",
        "conveyed-info inspect",
        "owner-certificate bundle",
        "artifacts verify",
        "agent run",
        "completions",
        "man",
    ] {
        let help = bench.run(&format!("{command} --help")).ok().out;
        let example = format!("Example:\n  sztp {command}");
        assert!(help.contains(&example), "{command}: {help}");
    }
    bench.run("--version").ok();
}

#[test]
fn completions_and_manual_pages() {
    let bench = Workbench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bench.run(&format!("completions {shell}")).ok().out;
        assert!(script.contains("conveyed-info"), "{shell}");
    }
    bench.run("completions csh").rejected();
    bench.run("man pages").ok();
    let page = String::from_utf8(bench.read("pages/sztp-voucher-verify.1")).expect("text");
    assert!(page.contains("trust\\-anchor"), "{page}");
    bench.write("file", "x");
    bench.run("man file").refused("file.unwritable");
}

/// DER with some of its values replaced, and the lengths around them.
fn rebuilt(der: &[u8], replace: &mut impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = der;
    while let [tag, first, ..] = *rest {
        let long = usize::from(first & 0x7f) * usize::from(first >> 7);
        let length = if long == 0 {
            usize::from(first)
        } else {
            rest[2..2 + long]
                .iter()
                .fold(0, |length, octet| length << 8 | usize::from(*octet))
        };
        let (value, tail) = rest.split_at(2 + long + length);
        rest = tail;
        if let Some(instead) = replace(value) {
            out.extend(instead);
        } else if tag & 0x20 == 0 {
            out.extend(value);
        } else {
            let body = rebuilt(&value[2 + long..], replace);
            let octets = body.len().to_be_bytes();
            let short = octets
                .iter()
                .position(|octet| *octet != 0)
                .unwrap_or(octets.len() - 1);
            out.push(tag);
            if body.len() >= 0x80 {
                out.push(0x80 + u8::try_from(octets.len() - short).expect("at most eight"));
            }
            out.extend(&octets[short..]);
            out.extend(body);
        }
    }
    out
}

#[cfg(unix)]
fn mode(bench: &Workbench, name: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(bench.path(name))
        .expect(name)
        .permissions()
        .mode()
        & 0o777
}

#[cfg(not(unix))]
fn mode(_: &Workbench, _: &str) -> u32 {
    0o600
}
