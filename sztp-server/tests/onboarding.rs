//! Devices are handed over to NSO, NetBox and anything else once they are provisioned.
//!
//! NSO and NetBox cannot be installed here: the counterparts answer as their documentation says,
//! and refuse whatever that does not allow.

#[path = "harness/counterpart.rs"]
mod counterpart;
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counterpart::{Asked, Counterpart, Told};
use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, report, small_device};
use serde_json::{Value, json};
use sztp_server::config::{
    NetboxTarget, NsoDeviceType, NsoPlatform, NsoTarget, TargetConfig, WebhookTarget,
};

const SERIAL: &str = "ONB-00042";
const PASSWORD: &str = "nso-pa55word";
const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";
/// An Ed25519 key blob (RFC 8709 section 4) of zeros.
const HOST_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn secret(directory: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    fs::write(&path, format!("{text}\n")).expect("written");
    path
}

fn nso_target(directory: &Path, nso: &Counterpart) -> NsoTarget {
    NsoTarget {
        name: "nso".to_owned(),
        url: nso.url(),
        anchors: vec![nso.anchor(directory)],
        user: "sztp".to_owned(),
        password_file: secret(directory, "nso.password", PASSWORD),
        authgroup: "default".to_owned(),
        device_type: NsoDeviceType::Cli,
        ned_id: "cisco-iosxr-cli-7.52:cisco-iosxr-cli-7.52".to_owned(),
        port: Some(22),
        platforms: vec![NsoPlatform {
            vendor: None,
            os_name: Some("junos".to_owned()),
            model: None,
            authgroup: Some("juniper".to_owned()),
            device_type: NsoDeviceType::Netconf,
            ned_id: "juniper-junos-nc-4.9:juniper-junos-nc-4.9".to_owned(),
            port: Some(830),
        }],
        fetch_host_keys: true,
        peer_address: false,
    }
}

/// NSO's device list. Whatever is not in its model is an error, as in NSO.
#[derive(Default)]
struct NsoState {
    devices: BTreeMap<String, Value>,
    actions: Vec<String>,
}

fn nso(state: &Mutex<NsoState>, asked: &Asked) -> Told {
    let error = |status, message: &str| {
        let error = json!({"error-type": "application", "error-tag": "invalid-value",
            "error-message": message});
        Told::json(status, &json!({"ietf-restconf:errors": {"error": [error]}}))
    };
    let expected = format!("Basic {}", STANDARD.encode(format!("sztp:{PASSWORD}")));
    if asked.header("authorization") != expected {
        return error(
            401,
            &format!("access denied to {}", asked.header("authorization")),
        );
    }
    // NSO answers 415 to application/json.
    if asked.header("content-type") != "application/yang-data+json" {
        return error(415, "unsupported media type");
    }
    let mut state = state.lock().expect("no panic");
    let Some(path) = asked.path.strip_prefix("/restconf/data/tailf-ncs:devices") else {
        return error(404, "uri keypath not found");
    };
    if asked.method == "PATCH" && path.is_empty() {
        let body = asked.json();
        let outer = body.as_object().expect("an object");
        assert_eq!(outer.keys().collect::<Vec<_>>(), ["tailf-ncs:devices"]);
        let list = body["tailf-ncs:devices"]["device"]
            .as_array()
            .expect("a list");
        for entry in list {
            for leaf in entry.as_object().expect("an object").keys() {
                let known = [
                    "name",
                    "address",
                    "port",
                    "authgroup",
                    "device-type",
                    "state",
                    "ssh",
                ];
                if !known.contains(&leaf.as_str()) {
                    return error(400, &format!("unknown element: {leaf}"));
                }
            }
            for key in entry["ssh"]["host-key"].as_array().into_iter().flatten() {
                assert!(
                    key["algorithm"].is_string() && key["key-data"].is_string(),
                    "{key}"
                );
            }
            assert!(entry["port"].is_u64() && entry["state"]["admin-state"] == "unlocked");
            let name = entry["name"].as_str().expect("a name").to_owned();
            let there = state.devices.entry(name).or_insert_with(|| json!({}));
            for (leaf, value) in entry.as_object().expect("an object") {
                there[leaf] = value.clone();
            }
        }
        return Told::status(204);
    }
    let Some((name, action)) = path
        .strip_prefix("/device=")
        .and_then(|rest| rest.split_once('/'))
    else {
        return error(400, "not what the device list takes");
    };
    if asked.method != "POST" || !asked.body.is_empty() {
        return error(405, "an action takes POST");
    }
    let Some(device) = state.devices.get(name).cloned() else {
        return error(404, "uri keypath not found");
    };
    state.actions.push(format!("{name}/{action}"));
    let has_keys = device["ssh"]["host-key"].is_array();
    match action {
        "ssh/fetch-host-keys" => {
            state.devices.get_mut(name).expect("there")["ssh"] =
                json!({"host-key": [{"algorithm": "ssh-ed25519", "key-data": HOST_KEY}]});
            let output = json!({"result": "updated",
                "fingerprint": [{"algorithm": "ssh-ed25519", "value": "00:11"}]});
            Told::json(200, &json!({"tailf-ncs:output": output}))
        }
        // NSO verifies the host's key before anything else.
        "sync-from" if !has_keys => {
            let output = json!({"result": false, "info": "Could not verify host key"});
            Told::json(200, &json!({"tailf-ncs:output": output}))
        }
        "sync-from" => Told::json(200, &json!({"tailf-ncs:output": {"result": true}})),
        other => error(404, other),
    }
}

fn bootstrap(rig: &Rig, serial: &str, done: &Value) {
    let answer = rig.device(serial).rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = rig.device(serial).rpc(REPORT, JSON, &done.to_string());
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn complete_with_key() -> Value {
    let key = json!({"algorithm": "ssh-ed25519", "key-data": HOST_KEY});
    json!({"ietf-sztp-bootstrap-server:input": {
        "progress-type": "bootstrap-complete", "ssh-host-keys": {"ssh-host-key": [key]}}})
}

fn complete() -> Value {
    serde_json::from_str(&report("bootstrap-complete")).expect("JSON")
}

fn wait_for_state(rig: &Rig, serial: &str, state: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while rig.state(serial) != state {
        let history = rig.history(serial);
        assert!(
            Instant::now() < deadline,
            "{state} never came: {history:#?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn with_address(serial: &str, address: &str) -> Value {
    let mut device = small_device(serial);
    device["host_name"] = json!(format!("edge-{serial}"));
    device["management_address"] = json!(address);
    device
}

#[test]
fn nso_knows_the_device_and_its_host_keys_before_it_connects() {
    let made = tempfile::tempdir().expect("a directory");
    let state = Arc::new(Mutex::new(NsoState::default()));
    let shared = state.clone();
    let server = Counterpart::start(move |asked| nso(&shared, asked));
    let rig = Rig::start_with(|config| {
        config.onboarding.targets = vec![TargetConfig::Nso(nso_target(made.path(), &server))];
        config.onboarding.default = vec!["nso".to_owned()];
    });
    rig.add(&with_address(SERIAL, "192.0.2.10/24"));
    bootstrap(&rig, SERIAL, &complete_with_key());
    wait_for_state(&rig, SERIAL, "Onboarded");
    let name = format!("edge-{SERIAL}");
    {
        let state = state.lock().expect("no panic");
        assert_eq!(
            state.devices[&name],
            json!({
                "name": name, "address": "192.0.2.10", "port": 22, "authgroup": "default",
                "device-type": {"cli": {"ned-id": "cisco-iosxr-cli-7.52:cisco-iosxr-cli-7.52"}},
                "state": {"admin-state": "unlocked"},
                "ssh": {"host-key": [{"algorithm": "ssh-ed25519", "key-data": HOST_KEY}]},
            })
        );
        assert_eq!(
            state.actions,
            [format!("{name}/sync-from")],
            "nobody else was believed"
        );
    }
    let last = rig.history(SERIAL).pop().expect("an entry");
    assert_eq!(last["event"], "onboarded");
    assert!(
        last["message"]
            .as_str()
            .expect("text")
            .starts_with("nso: device edge-"),
        "{last}"
    );
    let contact = rig
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}/contact"))
        .json();
    assert_eq!(contact["ssh_host_keys"][0]["key_data"], HOST_KEY);

    // A device without keys, of another platform: NSO asks it itself.
    let mut other = with_address("ONB-JUNOS", "2001:db8::7");
    other["attributes"] = json!({"nso_authgroup": "branch"});
    rig.add(&other);
    let said = json!({"ietf-sztp-bootstrap-server:input":
        {"os-name": "Junos", "hw-model": "MX204", "os-version": "23.4"}});
    let answer = rig
        .device("ONB-JUNOS")
        .rpc(GET_DATA, JSON, &said.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let done = complete().to_string();
    assert_eq!(rig.device("ONB-JUNOS").rpc(REPORT, JSON, &done).status, 204);
    wait_for_state(&rig, "ONB-JUNOS", "Onboarded");
    let state = state.lock().expect("no panic");
    let device = &state.devices["edge-ONB-JUNOS"];
    assert_eq!(
        device["device-type"]["netconf"]["ned-id"],
        "juniper-junos-nc-4.9:juniper-junos-nc-4.9"
    );
    assert_eq!(
        (&device["port"], &device["authgroup"], &device["address"]),
        (&json!(830), &json!("branch"), &json!("2001:db8::7"))
    );
    assert_eq!(
        state.actions[1..],
        [
            "edge-ONB-JUNOS/ssh/fetch-host-keys",
            "edge-ONB-JUNOS/sync-from"
        ]
    );
}

#[test]
fn what_fails_for_good_is_an_onboarding_error_until_it_is_asked_for_again() {
    let made = tempfile::tempdir().expect("a directory");
    let state = Arc::new(Mutex::new(NsoState::default()));
    let shared = state.clone();
    let server = Counterpart::start(move |asked| nso(&shared, asked));
    let target = nso_target(made.path(), &server);
    let password = target.password_file.clone();
    fs::write(&password, "wrong-s3cret").expect("written");
    let rig = Rig::start_with(|config| {
        config.onboarding.targets = vec![TargetConfig::Nso(target)];
        config.onboarding.default = vec!["nso".to_owned()];
    });
    let onboard = |serial: &str, body: &Value| {
        rig.admin()
            .method("POST")
            .header("Content-Type: application/json")
            .data(body.to_string())
            .send(&format!("/api/v1/devices/{serial}/onboard"))
    };
    rig.add(&with_address(SERIAL, "192.0.2.10"));
    let early = onboard(SERIAL, &json!({}));
    assert_eq!(
        (early.status, early.json()["code"].clone()),
        (409, json!("lifecycle.refused"))
    );
    bootstrap(&rig, SERIAL, &complete_with_key());
    wait_for_state(&rig, SERIAL, "OnboardingError");
    let device = rig
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}"))
        .json();
    let reason = device["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("nso: adding the device: answered 401"),
        "{reason}"
    );
    let wrong = STANDARD.encode("sztp:wrong-s3cret");
    assert!(
        !reason.contains("wrong-s3cret") && !reason.contains(&wrong),
        "{reason}"
    );

    let unknown = onboard(SERIAL, &json!({"targets": ["nowhere"]}));
    assert_eq!(unknown.json()["code"], "delivery.target-unknown");
    fs::write(&password, PASSWORD).expect("written");
    let again = onboard(SERIAL, &json!({}));
    assert_eq!(again.status, 202, "{}", again.text());
    assert_eq!(again.json()["items"][0]["target"], "nso");
    wait_for_state(&rig, SERIAL, "Onboarded");
    assert_eq!(state.lock().expect("no panic").devices.len(), 1);

    // Once more changes nothing, and neither does what failed before.
    let actions = state.lock().expect("no panic").actions.len();
    assert_eq!(onboard(SERIAL, &json!({})).status, 202);
    let deadline = Instant::now() + Duration::from_secs(20);
    while state.lock().expect("no panic").actions.len() == actions {
        assert!(Instant::now() < deadline, "it is not told again");
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for_state(&rig, SERIAL, "Onboarded");
    assert_eq!(state.lock().expect("no panic").devices.len(), 1);
    // A device that nobody knows how to reach is not handed over.
    rig.add(&small_device("NOWHERE"));
    bootstrap(&rig, "NOWHERE", &complete());
    wait_for_state(&rig, "NOWHERE", "OnboardingError");
    let reason = rig.admin().send("/api/v1/devices/NOWHERE").json();
    assert_eq!(
        reason["reason"],
        "nso: it is not known where the device is managed"
    );
    // What a device's earlier life was about to tell is void.
    let reset = rig
        .admin()
        .method("POST")
        .send("/api/v1/devices/NOWHERE/reset");
    assert_eq!(reset.status, 200);
    let left = rig.admin().send("/api/v1/deliveries?serial=NOWHERE").json();
    assert_eq!(left["items"], json!([]));
}

/// What NetBox has, and how it answers.
struct Netbox {
    devices: Vec<Value>,
    interfaces: Vec<Value>,
    addresses: Vec<Value>,
    changes: usize,
}

fn netbox(state: &Mutex<Netbox>, asked: &Asked) -> Told {
    if asked.header("authorization") != format!("Token {TOKEN}") {
        return Told::json(403, &json!({"detail": "Invalid token"}));
    }
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    // Without the slash at the end NetBox redirects, and a PATCH is lost.
    if !path.ends_with('/') {
        return Told::status(301);
    }
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            (
                name.to_owned(),
                value.replace("%2F", "/").replace("%3A", ":"),
            )
        })
        .collect();
    let wanted = |name: &str| query.get(name).cloned();
    let mut state = state.lock().expect("no panic");
    let list = |found: Vec<Value>| {
        let count = found.len();
        let page = json!({"count": count, "next": null, "previous": null, "results": found});
        Told::json(200, &page)
    };
    if asked.method == "GET" {
        return match path {
            "/api/dcim/devices/" => list(matching(&state.devices, |one| {
                wanted("serial").is_some_and(|serial| one["serial"] == serial)
            })),
            "/api/dcim/interfaces/" => list(matching(&state.interfaces, |one| {
                wanted("device_id").and_then(|id| id.parse().ok()) == one["device"]["id"].as_i64()
                    && wanted("name").is_some_and(|name| one["name"] == name)
            })),
            "/api/ipam/ip-addresses/" => list(matching(&state.addresses, |one| {
                wanted("address").is_some_and(|address| one["address"] == address)
            })),
            _ => Told::json(404, &json!({"detail": "Not found."})),
        };
    }
    assert_eq!(asked.header("content-type"), "application/json");
    state.changes += 1;
    let body = asked.json();
    match (asked.method.as_str(), path) {
        ("POST", "/api/dcim/interfaces/") => {
            assert!(body["device"].is_i64() && body["type"] == "other", "{body}");
            let id = 100 + state.interfaces.len();
            let made = json!({"id": id, "name": body["name"], "device": {"id": body["device"]},
                "mgmt_only": body["mgmt_only"]});
            state.interfaces.push(made.clone());
            Told::json(201, &made)
        }
        ("POST", "/api/ipam/ip-addresses/") => {
            let id = 200 + state.addresses.len();
            let mut made = json!({"id": id, "address": body["address"]});
            assign(&mut made, &state.interfaces, &body);
            state.addresses.push(made.clone());
            Told::json(201, &made)
        }
        ("PATCH", path) if path.starts_with("/api/ipam/ip-addresses/") => {
            let interfaces = state.interfaces.clone();
            let Some(one) = by_id(&mut state.addresses, path) else {
                return Told::status(404);
            };
            assign(one, &interfaces, &body);
            Told::json(200, one)
        }
        ("PATCH", path) if path.starts_with("/api/dcim/devices/") => {
            let addresses = state.addresses.clone();
            let Some(one) = by_id(&mut state.devices, path) else {
                return Told::status(404);
            };
            // NetBox takes only an address of one of the device's own interfaces.
            if let Some(primary) = body["primary_ip4"].as_i64() {
                let address = addresses.iter().find(|address| address["id"] == primary);
                let owner =
                    address.map(|address| address["assigned_object"]["device"]["id"].clone());
                if owner != Some(one["id"].clone()) {
                    let error = json!({"primary_ip4": ["not assigned to this device"]});
                    return Told::json(400, &error);
                }
                one["primary_ip4"] = json!({"id": primary});
            }
            one["status"] = json!({"value": body["status"]});
            Told::json(200, one)
        }
        other => panic!("{other:?}"),
    }
}

fn matching(all: &[Value], is_wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    all.iter().filter(|one| is_wanted(one)).cloned().collect()
}

fn by_id<'a>(all: &'a mut [Value], path: &str) -> Option<&'a mut Value> {
    let id = path.trim_end_matches('/').rsplit('/').next()?;
    all.iter_mut().find(|one| {
        one["id"]
            .as_u64()
            .is_some_and(|number| id == number.to_string())
    })
}

fn assign(address: &mut Value, interfaces: &[Value], body: &Value) {
    assert_eq!(body["assigned_object_type"], "dcim.interface");
    let id = &body["assigned_object_id"];
    let interface = interfaces.iter().find(|one| one["id"] == *id);
    let interface = interface.expect("an interface that is there");
    address["assigned_object_id"] = id.clone();
    address["assigned_object"] = json!({"id": id, "device": interface["device"]});
}

#[test]
fn netbox_shows_the_device_as_active_with_its_address() {
    let made = tempfile::tempdir().expect("a directory");
    let planned = |id: i64, serial: &str| json!({"id": id, "name": format!("edge-{id}"), "serial": serial, "status": {"value": "planned"}});
    let state = Arc::new(Mutex::new(Netbox {
        devices: vec![
            planned(1, SERIAL),
            planned(2, "OTHER"),
            planned(3, "TWICE"),
            planned(4, "TWICE"),
        ],
        interfaces: Vec::new(),
        addresses: vec![
            json!({"id": 7, "address": "192.0.2.77/24", "assigned_object_id": null,
            "assigned_object": null}),
        ],
        changes: 0,
    }));
    let shared = state.clone();
    let server = Counterpart::start(move |asked| netbox(&shared, asked));
    let rig = Rig::start_with(|config| {
        config.onboarding.targets = vec![TargetConfig::Netbox(NetboxTarget {
            name: "netbox".to_owned(),
            url: format!("{}/", server.url()),
            anchors: vec![server.anchor(made.path())],
            token_file: secret(made.path(), "netbox.token", TOKEN),
            status: "active".to_owned(),
            interface: "mgmt0".to_owned(),
            peer_address: true,
        })];
    });
    let profile = json!({"onboarding": ["netbox"], "description": "in NetBox",
        "match": {"serial_number": "*"}});
    let put = rig
        .admin()
        .method("PUT")
        .header("Content-Type: application/json")
        .data(profile.to_string())
        .send("/api/v1/profiles/planned");
    assert!(put.status < 300, "{}", put.text());
    let wrong = rig
        .admin()
        .method("PUT")
        .header("Content-Type: application/json")
        .data(json!({"onboarding": ["nowhere"]}).to_string())
        .send("/api/v1/profiles/wrong");
    assert_eq!(wrong.json()["code"], "delivery.target-unknown");

    let in_profile = |serial: &str, address: Option<&str>| {
        let mut device = small_device(serial);
        device["profile"] = json!("planned");
        if let Some(address) = address {
            device["management_address"] = json!(address);
        }
        rig.add(&device);
    };
    in_profile(SERIAL, Some("192.0.2.10/24"));
    bootstrap(&rig, SERIAL, &complete());
    wait_for_state(&rig, SERIAL, "Onboarded");
    {
        let state = state.lock().expect("no panic");
        assert_eq!(state.devices[0]["status"]["value"], "active");
        assert_eq!(
            state.devices[0]["primary_ip4"]["id"],
            state.addresses[1]["id"]
        );
        assert_eq!(state.addresses[1]["address"], "192.0.2.10/24");
        assert_eq!(state.interfaces[0]["name"], "mgmt0");
        assert_eq!(state.changes, 3, "interface, address, device");
        assert_eq!(state.devices[1]["status"]["value"], "planned");
    }
    // Again: only the device is written, as it is.
    let again = rig
        .admin()
        .method("POST")
        .send(&format!("/api/v1/devices/{SERIAL}/onboard"));
    assert_eq!(again.status, 202, "{}", again.text());
    let deadline = Instant::now() + Duration::from_secs(20);
    while state.lock().expect("no panic").changes == 3 {
        assert!(Instant::now() < deadline, "it is not told again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(state.lock().expect("no panic").addresses.len(), 2);

    // An address that NetBox has already is assigned; without one, the device's own counts here.
    in_profile("OTHER", Some("192.0.2.77/24"));
    bootstrap(&rig, "OTHER", &complete());
    wait_for_state(&rig, "OTHER", "Onboarded");
    assert_eq!(
        state.lock().expect("no panic").devices[1]["primary_ip4"]["id"],
        7
    );

    for (serial, why) in [
        ("TWICE", "netbox: 2 devices have the serial number TWICE"),
        ("STRANGE", "netbox: no device has its serial number"),
    ] {
        in_profile(serial, None);
        bootstrap(&rig, serial, &complete());
        wait_for_state(&rig, serial, "OnboardingError");
        let device = rig
            .admin()
            .send(&format!("/api/v1/devices/{serial}"))
            .json();
        assert_eq!(device["reason"], why);
    }
}

#[test]
fn a_device_is_onboarded_when_the_last_of_its_targets_has_it() {
    let made = tempfile::tempdir().expect("a directory");
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let inventory = Counterpart::start(|_| Told::status(201));
    let billing = Counterpart::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Told::status(502),
        _ => Told::status(200),
    });
    let target = |name: &str, counterpart: &Counterpart| {
        TargetConfig::Webhook(WebhookTarget {
            name: name.to_owned(),
            url: format!("{}/devices", counterpart.url()),
            anchors: vec![counterpart.anchor(made.path())],
            secret_file: secret(made.path(), "secret", "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0"),
            peer_address: false,
        })
    };
    let rig = Rig::start_with(|config| {
        config.onboarding.targets =
            vec![target("inventory", &inventory), target("billing", &billing)];
        config.onboarding.default = vec!["inventory".to_owned(), "billing".to_owned()];
        config.delivery.first_retry_secs = 2;
    });
    let mut device = with_address(SERIAL, "192.0.2.10");
    device["variables"] = json!({"snmp_community": "hush"});
    device["tags"] = json!(["edge"]);
    rig.add(&device);
    bootstrap(&rig, SERIAL, &complete_with_key());
    let asked = inventory.wait_for(1);
    let document = asked[0].json();
    assert_eq!(document["type"], "device.onboard");
    let data = &document["data"];
    assert_eq!(data["serial_number"], SERIAL);
    assert_eq!(data["management_address"], "192.0.2.10");
    assert_eq!(data["ssh_host_keys"][0]["algorithm"], "ssh-ed25519");
    assert_eq!(data["tags"], json!(["edge"]));
    assert!(
        !asked[0].body.contains("hush"),
        "variables are no one else's business"
    );
    assert_eq!(rig.state(SERIAL), "Provisioned", "one target is not all");
    wait_for_state(&rig, SERIAL, "Onboarded");
    let events: Vec<String> = rig
        .history(SERIAL)
        .iter()
        .filter(|entry| {
            entry["event"]
                .as_str()
                .expect("text")
                .starts_with("onboard")
        })
        .map(|entry| {
            format!(
                "{}: {}",
                entry["event"].as_str().unwrap(),
                entry["message"].as_str().unwrap()
            )
        })
        .collect();
    assert!(
        events.contains(&"onboarding: inventory: answered 201".to_owned()),
        "{events:?}"
    );
    assert!(
        events.contains(&"onboarding: billing: not yet: POST: answered 502".to_owned()),
        "{events:?}"
    );
    assert_eq!(
        events.last().expect("one"),
        "onboarded: billing: answered 200"
    );
}
