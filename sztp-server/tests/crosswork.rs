//! Scripts and programs that speak Crosswork ZTP: the curl calls of a day-0 script and the calls of
//! a Python program, as they make them.

mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{GET_DATA, JSON, Rig, TRUSTING, now, small_device};
use serde_json::{Value, json};
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

const SERIAL: &str = "FOC2330R1KX";

fn rig() -> Rig {
    Rig::start_with(|config| {
        config.crosswork.listen = Some("127.0.0.1:0".parse().expect("an address"));
        config.crosswork.plain_http_listen = Some("127.0.0.1:0".parse().expect("an address"));
    })
}

fn ports(rig: &Rig) -> (u16, u16) {
    let (tls, plain) = rig.server().crosswork_addr().expect("it listens");
    (tls.port(), plain.map_or(0, |plain| plain.port()))
}

fn url(rig: &Rig) -> String {
    format!("https://localhost:{}", ports(rig).0)
}

/// A shell script with curl, as devices run them.
fn script(rig: &Rig, text: &str, variables: &[(&str, &str)]) -> Output {
    Command::new("bash")
        .args(["-c", text])
        .envs(variables.iter().copied())
        .env("CACERT", rig.path("data/lab/server/tls-ca.crt"))
        .env("URL", url(rig))
        .env("CW_PORT", ports(rig).1.to_string())
        .current_dir(rig.directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("these tests need the programs bash and curl")
}

/// What a script's curl printed: the HTTP status after a body.
fn printed(output: &Output) -> (u16, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    let error = String::from_utf8_lossy(&output.stderr);
    (
        status
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{text} {error}")),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

/// The status call of a day-0 script, with the quoting that such scripts have.
const STATUS_CALL: &str = r#"
    IPADDR=192.0.2.44 MASK=24 HOSTNAME=edge-44
    curl --silent --show-error --cacert "$CACERT" --write-out '\n%{http_code}' $PROOF -d '{
       "ipAddress":{
            "inetAddressFamily": "IPV4",
            "ipaddrs": "'"$IPADDR"'",
            "mask":  '$MASK'
        },
       "serialNumber":"'"$DEVNAME"'",
       "status":"'"$STATUS"'",
       "hostName":"'"$HOSTNAME"'",
       "message":"'"$MESSAGE"'",
       "connectivityDetails": [{
         "protocol": "SSH",
         "inetAddr": [{"inetAddressFamily": "IPV4", "ipaddrs": "192.0.2.45", "mask": 24,
            "type": "CONNECTIVITYINFO"}],
         "port": 22, "timeout": 60
       }]
   }' -H "Content-Type: application/json" -X PATCH ${TARGET:-$URL}/crosswork/ztp/v1/deviceinfo/status
"#;

fn status(rig: &Rig, serial: &str, status: &str, proof: &str, target: &str) -> (u16, Value) {
    let variables = [
        ("DEVNAME", serial),
        ("STATUS", status),
        ("MESSAGE", "ZTP process completed"),
        ("PROOF", proof),
        ("TARGET", target),
    ];
    printed(&script(rig, STATUS_CALL, &variables))
}

/// The token that a script of the device is rendered with.
fn token(rig: &Rig, serial: &str) -> String {
    let path = format!("/api/v1/devices/{serial}/status-token");
    let shown = rig.admin().send(&path).json();
    let expected = format!("{}/crosswork/ztp/v1/deviceinfo/status", url(rig));
    assert_eq!(shown["url"], expected);
    shown["token"].as_str().expect("text").to_owned()
}

fn begun(rig: &Rig, serial: &str) {
    rig.add(&small_device(serial));
    assert_eq!(rig.device(serial).rpc(GET_DATA, JSON, TRUSTING).status, 200);
}

#[test]
fn a_day_0_script_says_that_its_device_is_done() {
    let rig = rig();
    begun(&rig, SERIAL);
    let (certificate, key) = rig.idevid(SERIAL);
    let proof = format!("--cert {} --key {}", certificate.display(), key.display());
    let (code, body) = status(&rig, SERIAL, "InProgress", &proof, "");
    assert_eq!((code, body["code"].clone()), (200, json!(200)), "{body}");
    let (code, body) = status(&rig, SERIAL, "Provisioned", &proof, "");
    assert_eq!(
        (code, body["message"].clone()),
        (200, json!("Device status is Provisioned"))
    );
    assert_eq!(rig.state(SERIAL), "Provisioned");
    let last = rig.history(SERIAL).pop().expect("an entry");
    assert_eq!(last["progress_type"], "bootstrap-complete");
    assert_eq!(
        last["message"],
        "status Provisioned (by the device's certificate): ZTP process completed"
    );
    let contact = rig
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}/contact"))
        .json();
    assert_eq!(contact["host_name"], "edge-44");
    assert_eq!(contact["address"], "192.0.2.44/24");
    assert_eq!(
        contact["connectivity"][0],
        json!({"protocol": "SSH", "address": "192.0.2.45/24", "port": 22, "timeout_secs": 60})
    );
    // The same rules as the progress report that means the same.
    let (code, body) = status(&rig, SERIAL, "ProvisioningError", &proof, "");
    assert_eq!(code, 409, "{body}");
    assert_eq!(rig.state(SERIAL), "Provisioned");
}

#[test]
fn each_status_leads_where_it_should() {
    let rig = rig();
    for (posted, state) in [
        ("Provisioned", "Provisioned"),
        ("ProvisioningError", "ProvisioningError"),
        ("ZtpError", "ZtpError"),
        ("InProgress", "InProgress"),
    ] {
        let serial = format!("S-{posted}");
        begun(&rig, &serial);
        let proof = format!("-u {serial}:{}", token(&rig, &serial));
        let (code, body) = status(&rig, &serial, posted, &proof, "");
        assert_eq!(code, 200, "{posted}: {body}");
        assert_eq!(rig.state(&serial), state, "{posted}");
        if posted.ends_with("Error") {
            let device = rig
                .admin()
                .send(&format!("/api/v1/devices/{serial}"))
                .json();
            let reason = device["reason"].as_str().expect("a reason");
            assert!(reason.ends_with("ZTP process completed"), "{reason}");
        }
    }
    // A script that runs without the RPC before it.
    rig.add(&small_device("CLASSIC"));
    let proof = format!("--oauth2-bearer {}", token(&rig, "CLASSIC"));
    assert_eq!(status(&rig, "CLASSIC", "InProgress", &proof, "").0, 200);
    assert_eq!(status(&rig, "CLASSIC", "Provisioned", &proof, "").0, 200);
    assert_eq!(rig.state("CLASSIC"), "Provisioned");
    for (posted, code) in [("Onboarded", 409), ("Unprovisioned", 409), ("Done", 400)] {
        let (answered, body) = status(&rig, "CLASSIC", posted, &proof, "");
        assert_eq!(
            (answered, body["code"].clone()),
            (code, json!(code)),
            "{posted}: {body}"
        );
    }
}

#[test]
fn a_status_is_never_believed_of_just_anybody() {
    let rig = rig();
    begun(&rig, SERIAL);
    begun(&rig, "OTHER");
    let own = token(&rig, SERIAL);
    let others = token(&rig, "OTHER");
    assert_ne!(own, others);
    let plain = format!("http://localhost:{}", ports(&rig).1);
    let admin = fs::read_to_string(rig.path("data/admin-token")).expect("the token");
    let bearer = |token: &str| format!("--oauth2-bearer {}", token.trim());
    let (certificate, key) = rig.idevid("OTHER");
    let certificate = format!("--cert {} --key {}", certificate.display(), key.display());
    for (serial, proof, target) in [
        (SERIAL, String::new(), ""),
        (SERIAL, String::new(), plain.as_str()),
        (SERIAL, bearer(&others), ""),
        (SERIAL, bearer("sztp_guess"), ""),
        ("NOBODY", bearer(&own), ""),
        ("NOBODY", String::new(), ""),
        // An operator is not heard in the clear.
        (SERIAL, bearer(&admin), &plain),
    ] {
        let (code, body) = status(&rig, serial, "Provisioned", &proof, target);
        assert_eq!(code, 401, "{serial} {target}: {body}");
    }
    let (code, body) = status(&rig, SERIAL, "Provisioned", &certificate, "");
    assert_eq!(code, 403, "{body}");
    assert_eq!(rig.state(SERIAL), "InProgress");
    // In the clear with its token, where that is allowed; nothing else is there.
    let (code, body) = status(&rig, SERIAL, "Provisioned", &bearer(&own), &plain);
    assert_eq!(code, 200, "{body}");
    assert_eq!(rig.state(SERIAL), "Provisioned");
    let query = "curl --silent --write-out '\\n%{http_code}' -X POST -d '{\"filter\":{}}' \
                 http://localhost:$CW_PORT/crosswork/ztp/v1/devices/query";
    assert_eq!(printed(&script(&rig, query, &[])).0, 403);
    // An operator may say it of a device.
    let (code, _) = status(&rig, "OTHER", "Provisioned", &bearer(&admin), "");
    assert_eq!(code, 200);
    let history = rig.history("OTHER").pop().expect("an entry").to_string();
    assert!(history.contains("by an operator"), "{history}");
    let audit = rig
        .admin()
        .send("/api/v1/audit?object=device%20OTHER")
        .text();
    assert!(audit.contains("report-status Provisioned"), "{audit}");
    let contact = rig.admin().send("/api/v1/devices/OTHER/contact").json();
    assert_eq!(
        contact["peer"],
        Value::Null,
        "an operator is not the device"
    );
    let log = rig
        .history(SERIAL)
        .iter()
        .map(Value::to_string)
        .collect::<String>();
    assert!(!log.contains(&own), "tokens are not written down");
}

#[test]
fn it_is_off_until_it_is_wanted_and_open_only_where_that_is_said() {
    let off = Rig::start();
    assert_eq!(off.server().crosswork_addr(), None);
    let open = Rig::start_with(|config| {
        config.crosswork.listen = Some("127.0.0.1:0".parse().expect("an address"));
        config.crosswork.status_without_proof = true;
    });
    begun(&open, SERIAL);
    let call = r#"curl --silent --cacert "$CACERT" --write-out '\n%{http_code}' -X PATCH \
        -d '{"serialNumber":"FOC2330R1KX","status":"Provisioned",
             "ipAddress":{"inetAddressFamily":"IPV4","ipaddrs":"192.0.2.66","mask":24}}' \
        $URL/crosswork/ztp/v1/deviceinfo/status"#;
    let output = Command::new("bash")
        .args(["-c", call])
        .env("CACERT", open.path("data/lab/server/tls-ca.crt"))
        .env("URL", url(&open))
        .output()
        .expect("bash");
    assert_eq!(printed(&output).0, 200);
    let history = open.history(SERIAL).pop().expect("an entry").to_string();
    assert!(history.contains("nobody who has proved"), "{history}");
    let contact = open
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}/contact"));
    assert_eq!(contact.json()["address"], Value::Null, "{}", contact.text());
}

#[test]
fn who_may_only_look_deletes_nothing_whatever_it_is_called() {
    let rig = rig();
    let spec = json!({"name": "watcher", "role": "viewer"});
    let made = rig.admin().data(spec.to_string()).send("/api/v1/tokens");
    let viewer = made.json()["secret"].as_str().expect("a secret").to_owned();
    let call = r#"curl --silent --cacert "$CACERT" --write-out '\n%{http_code}' \
        --oauth2-bearer $TOKEN -X $METHOD $URL/crosswork$WHAT"#;
    let called = |method: &str, what: &str| {
        let variables = [
            ("TOKEN", viewer.as_str()),
            ("METHOD", method),
            ("WHAT", what),
        ];
        printed(&script(&rig, call, &variables)).0
    };
    assert_eq!(called("GET", "/configsvc/v1/configs"), 200);
    for name in ["config", "query", "count", "edge"] {
        let what = format!("/configsvc/v1/configs/{name}");
        assert_eq!(called("DELETE", &what), 403, "{name}");
    }
}

/// A program as those that automate Crosswork: log in, load serial numbers, vouchers and
/// configurations, make a profile and an entry, look at them. Python's standard library only.
const PROGRAM: &str = include_str!("crosswork/program.py");

#[test]
fn a_program_that_automates_crosswork_finds_what_it_knows() {
    let rig = rig();
    let voucher = Voucher::new(
        SERIAL,
        Assertion::Verified,
        rig.lab.pinned_domain_ca.certificate.as_der(),
        now().plus_secs(-3600),
    );
    let (key, certificate) = (&rig.lab.masa.key, &rig.lab.masa.certificate);
    let voucher = issue(&voucher, key, certificate, &[], &IssueOptions::default());
    let voucher = voucher.expect("a voucher");
    let voucher = rig.write("voucher.vcj", voucher);
    let admin = fs::read_to_string(rig.path("data/admin-token")).expect("the token");
    let output = run_python(&rig, PROGRAM, &voucher, admin.trim());
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // What it has loaded is what the device gets: signed, with its own configuration and script.
    let served = rig.device(SERIAL).rpc(GET_DATA, JSON, harness::UNTRUSTING);
    assert_eq!(served.status, 200, "{}", served.text());
    let device = rig
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}"))
        .json();
    assert_eq!(device["host_name"], "edge-45");
    let trusted = rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING).json();
    let conveyed = trusted["ietf-sztp-bootstrap-server:output"]["conveyed-information"]
        .as_str()
        .expect("a leaf");
    let octets = STANDARD.decode(conveyed).expect("base64");
    let text = String::from_utf8_lossy(&octets);
    let configuration = STANDARD.encode("hostname edge-44\n");
    assert!(text.contains(&configuration), "{text}");
    let own = token(&rig, SERIAL);
    let post = format!("#!/bin/bash\ncurl -u {SERIAL}:{own}\n");
    assert!(text.contains(&STANDARD.encode(post)), "{text}");
    let preview = rig
        .admin()
        .method("POST")
        .header("Content-Type: application/json")
        .data(json!({"serial_number": SERIAL}).to_string())
        .send("/api/v1/configurations/ncs540-post/render")
        .text();
    assert!(preview.contains("(the token of this device)"), "{preview}");
    assert!(
        !preview.contains(&own),
        "who may look may not speak for the device"
    );

    // A viewer looks and changes nothing; what was changed is in the audit log.
    let viewer = rig
        .admin()
        .header("Content-Type: application/json")
        .data(json!({"name": "looks", "role": "viewer"}).to_string())
        .send("/api/v1/tokens")
        .json();
    let viewer = viewer["secret"].as_str().expect("a secret").to_owned();
    let calls = r#"for CALL in devices/query devices; do
        curl --silent --cacert "$CACERT" --oauth2-bearer "$TOKEN" --output /dev/null \
            --write-out '%{http_code} ' -H 'Content-Type: application/json' \
            -d '{"filter":{},"nodes":[]}' $URL/crosswork/ztp/v1/$CALL; done"#;
    let output = script(&rig, calls, &[("TOKEN", viewer.as_str())]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200 403 ");
    let audit = rig
        .admin()
        .send("/api/v1/audit?object=/crosswork&limit=100")
        .text();
    assert!(audit.contains("/crosswork/ztp/v1/profiles"), "{audit}");
}

#[test]
fn files_of_crosswork_are_imported_without_its_calls() {
    let rig = Rig::start();
    let csv = "Serial Number,Host Name,Config Attributes,IP Address,Status,Enable Option82\r\n\
               FOC1,edge-1,\"hname=edge-1,vlan=7\",192.0.2.1/24,Unprovisioned,false\r\n\
               FOC2,edge-2,,,Onboarded,\r\nFOC3,edge-3,,,,true\r\nFOC4,edge-4,,,,\r\n";
    let import = |query: &str| {
        rig.admin()
            .data(csv)
            .send(&format!(
                "/api/v1/devices/import?format=crosswork-csv{query}"
            ))
            .json()
    };
    let report = import("&all_or_nothing=true");
    assert_eq!(
        (&report["added"], &report["refused"]),
        (&json!(0), &json!(2))
    );
    let report = import("");
    assert_eq!(
        (&report["added"], &report["refused"]),
        (&json!(2), &json!(2)),
        "{report}"
    );
    assert_eq!(report["results"][0]["row"], 2);
    let device = rig.admin().send("/api/v1/devices/FOC1").json();
    assert_eq!(device["variables"], json!({"hname": "edge-1", "vlan": "7"}));
    assert_eq!(device["management_address"], "192.0.2.1/24");
    let numbers = rig
        .admin()
        .data("Serial Number\nFOC9\n")
        .send("/api/v1/devices/import?format=crosswork-csv")
        .json();
    assert_eq!(numbers["added"], 1);
}

fn run_python(rig: &Rig, program: &str, voucher: &Path, password: &str) -> Output {
    let path = rig.write("program.py", program);
    Command::new("python3")
        .arg(path)
        .env("URL", url(rig))
        .env("CACERT", rig.path("data/lab/server/tls-ca.crt"))
        .env("SERIAL", SERIAL)
        .env("VOUCHER", voucher)
        .env("PASSWORD", password)
        .stdin(Stdio::null())
        .output()
        .expect("this test needs the program python3")
}
