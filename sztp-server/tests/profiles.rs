//! Profiles: which device gets which, why, and what stands in the way of changing them.

mod harness;

use harness::{GET_DATA, JSON, Rig, TRUSTING, UNTRUSTING};
use serde_json::{Value, json};
use sztp_cms::{ContentInfo, Limits};
use sztp_core::conveyed_info::{ConveyedInfo, OnboardingInformation};
use sztp_core::rpc::GetBootstrappingDataOutput;
use sztp_voucher::yang::Encoding;

fn send(rig: &Rig, method: &str, path: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
    let answer = rig.admin().method(method).data(body).send(path);
    let document = if answer.body.is_empty() {
        Value::Null
    } else {
        answer.json()
    };
    (answer.status, document)
}

fn configuration(rig: &Rig, name: &str, kind: &str, content: &str) {
    let path = format!("/api/v1/configurations/{name}?kind={kind}");
    let (status, document) = send(rig, "PUT", &path, content);
    assert!([200, 201].contains(&status), "{document}");
}

fn apply(rig: &Rig, yaml: &str, dry_run: bool) -> (u16, Value) {
    let path = format!("/api/v1/profiles/apply?dry_run={dry_run}");
    send(rig, "POST", &path, yaml)
}

/// What a trusting device is given.
fn onboarding(rig: &Rig, serial_number: &str, input: &str) -> OnboardingInformation {
    match info(rig, serial_number, input) {
        ConveyedInfo::Onboarding(info) => info,
        ConveyedInfo::Redirect(info) => panic!("{info:?}"),
    }
}

fn info(rig: &Rig, serial_number: &str, input: &str) -> ConveyedInfo {
    let answer = rig.device(serial_number).rpc(GET_DATA, JSON, input);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let output = GetBootstrappingDataOutput::decode(&answer.body, Encoding::Json).expect("output");
    assert_eq!(output.ownership_voucher, None, "unsigned in this test");
    let message = ContentInfo::parse(&output.conveyed_information, &Limits::default());
    let Ok(ContentInfo::Octets { content, .. }) = message else {
        panic!("{message:?}");
    };
    ConveyedInfo::decode(&content, Encoding::Json).expect("conveyed information")
}

fn configuration_of(info: &OnboardingInformation) -> String {
    String::from_utf8(info.configuration.clone().unwrap_or_default()).expect("UTF-8")
}

fn reporting(model: &str, os_version: &str) -> String {
    json!({"ietf-sztp-bootstrap-server:input":
        {"hw-model": model, "os-name": "AxOS", "os-version": os_version}})
    .to_string()
}

const PROFILES: &str = r"
profiles:
  - name: base
    match: {}
    configuration: base
    configuration_handling: merge
  - name: edge
    priority: 10
    match: { model: ax7*, tags: [edge] }
    configuration: edge
    configuration_handling: replace
    post_configuration_script: done
    variables: { uplink: eth0 }
    reporting_level: minimal
    progress_timeout_secs: 5
";

fn with_profiles() -> Rig {
    let rig = Rig::start();
    configuration(
        &rig,
        "base",
        "configuration",
        "hostname {{ serial_number }}\n",
    );
    configuration(
        &rig,
        "edge",
        "configuration",
        "hostname {{ hostname }}\nuplink {{ uplink }}\nntp {{ ntp }}\n",
    );
    configuration(
        &rig,
        "done",
        "script",
        "#!/bin/sh\necho {{ device.tags | join(',') }}\n",
    );
    assert_eq!(
        send(&rig, "PUT", "/api/v1/variables", r#"{"ntp":"192.0.2.9"}"#).0,
        200
    );
    let (status, document) = apply(&rig, PROFILES, false);
    assert_eq!(status, 200, "{document}");
    rig
}

#[test]
fn a_device_gets_the_first_profile_whose_rule_holds_filled_in() {
    let rig = with_profiles();
    rig.add(&json!({"serial_number": "E1", "host_name": "edge-1", "tags": ["edge", "new"]}));
    // It has not said what it is: only the rule that asks for nothing holds.
    let info = onboarding(&rig, "E1", TRUSTING);
    assert_eq!(configuration_of(&info), "hostname E1\n");
    assert!(
        rig.last_event("E1")
            .contains("profile base, configuration base@1")
    );
    // Now it does.
    let info = onboarding(&rig, "E1", &reporting("AX7-48", "9.3"));
    assert_eq!(
        configuration_of(&info),
        "hostname edge-1\nuplink eth0\nntp 192.0.2.9\n"
    );
    let script = info.post_configuration_script.expect("a script");
    assert_eq!(script, b"#!/bin/sh\necho edge,new\n");
    let told = rig.last_event("E1");
    assert!(
        told.contains("profile edge, configuration edge@1, post-configuration-script done@1"),
        "{told}"
    );
    let device = rig.admin().send("/api/v1/devices/E1").json();
    assert_eq!(device["served_profile"], "edge");
    assert_eq!(device["reported"]["hw_model"], "AX7-48");
    assert_eq!(device["reported"]["os_version"], "9.3");
    // And it need not say so again.
    let again = onboarding(&rig, "E1", TRUSTING);
    assert_eq!(again.post_configuration_script, Some(script));
}

#[test]
fn variables_of_the_device_win_over_those_of_its_profile_and_these_over_the_defaults() {
    let rig = with_profiles();
    rig.add(
        &json!({"serial_number": "E1", "host_name": "h", "model": "AX7", "tags": ["edge"],
        "variables": {"uplink": "eth9"}}),
    );
    let text = configuration_of(&onboarding(&rig, "E1", TRUSTING));
    assert_eq!(text, "hostname h\nuplink eth9\nntp 192.0.2.9\n");
    send(
        &rig,
        "PUT",
        "/api/v1/variables",
        r#"{"ntp":"192.0.2.10","uplink":"none"}"#,
    );
    let text = configuration_of(&onboarding(&rig, "E1", TRUSTING));
    assert_eq!(text, "hostname h\nuplink eth9\nntp 192.0.2.10\n");
}

#[test]
fn a_missing_variable_is_named_to_the_operator_and_the_device_gets_nothing() {
    let rig = with_profiles();
    let device = json!({"serial_number": "E1", "model": "ax7", "tags": ["edge"]});
    rig.add(&device);
    assert!(
        rig.last_event("E1").contains("no value for hostname"),
        "{}",
        rig.last_event("E1")
    );
    let explanation = rig.admin().send("/api/v1/devices/E1/explain").json();
    assert_eq!(explanation["missing_variables"], json!(["hostname"]));
    let answer = rig.device("E1").rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 500, "{}", answer.text());
    let told = rig.last_event("E1");
    assert!(told.contains("configuration.undefined-variable"), "{told}");
    assert!(
        told.contains("edge@1, line 1: the variable `hostname` has no value"),
        "{told}"
    );
    assert_eq!(rig.state("E1"), "ProvisioningError");
}

#[test]
fn an_answer_of_its_own_wins_over_an_assignment_and_that_over_rules() {
    let rig = with_profiles();
    rig.add(&harness::small_device("OWN"));
    rig.add(&json!({"serial_number": "SET", "profile": "base", "model": "ax7", "tags": ["edge"]}));
    let explain = |serial: &str, query: &str| {
        rig.admin()
            .send(&format!("/api/v1/devices/{serial}/explain{query}"))
            .json()
    };
    assert_eq!(
        configuration_of(&onboarding(&rig, "OWN", TRUSTING)),
        "hostname edge\n"
    );
    assert_eq!(explain("OWN", "")["source"], "device");
    assert_eq!(
        configuration_of(&onboarding(&rig, "SET", TRUSTING)),
        "hostname SET\n"
    );
    assert_eq!(explain("SET", "")["source"], "assigned");

    rig.add(&json!({"serial_number": "R1", "host_name": "r1", "tags": ["edge"]}));
    let explanation = explain("R1", "");
    assert_eq!(explanation["profile"], "base");
    assert_eq!(explanation["considered"][0]["profile"], "edge");
    assert_eq!(
        explanation["considered"][0]["mismatches"],
        json!(["model must match \"ax7*\", and it is not known yet"])
    );
    let explanation = explain("R1", "?model=AX7-24");
    assert_eq!(explanation["profile"], "edge");
    assert_eq!(explanation["source"], "rule");

    let unknown = json!({"serial_number": "X", "profile": "nowhere"}).to_string();
    let (status, document) = send(&rig, "POST", "/api/v1/devices", unknown);
    assert_eq!(
        (status, document["code"].as_str()),
        (404, Some("profile.missing"))
    );
}

#[test]
fn a_declaration_says_what_it_would_change() {
    let rig = with_profiles();
    let (_, document) = apply(&rig, PROFILES, true);
    let actions = |document: &Value| -> Vec<String> {
        let profiles = document["profiles"].as_array().expect("a list").iter();
        profiles
            .map(|one| one["action"].as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(actions(&document), ["unchanged", "unchanged"]);
    let changed = PROFILES.replace("eth0", "eth1").replace("replace", "merge")
        + "  - { name: third, priority: 3, match: { serial_number: \"F*\" } }\n";
    let (_, document) = apply(&rig, &changed, true);
    assert_eq!(actions(&document), ["unchanged", "change", "create"]);
    assert_eq!(
        document["profiles"][1]["changes"],
        json!([
            {"path": "configuration_handling", "from": "replace", "to": "merge"},
            {"path": "variables.uplink", "from": "eth0", "to": "eth1"},
        ])
    );
    assert_eq!(
        rig.admin().send("/api/v1/profiles/third").status,
        404,
        "a dry run"
    );
    assert_eq!(apply(&rig, &changed, false).0, 200);
    assert_eq!(rig.admin().send("/api/v1/profiles/third").status, 200);

    // What is read can be put back, and JSON and several documents are read as well.
    let profile = rig.admin().send("/api/v1/profiles/edge").json();
    let (status, document) = send(&rig, "PUT", "/api/v1/profiles/edge", profile.to_string());
    assert_eq!(status, 200, "{document}");
    let (status, document) = apply(&rig, "name: a\n---\n- name: b\n- name: c\n", false);
    assert_eq!((status, actions(&document).len()), (200, 3), "{document}");

    for (yaml, code) in [
        ("profiles: 3", "import.format"),
        ("[", "import.format"),
        ("", "import.format"),
        ("- description: x", "import.format"),
        ("- { name: x, colour: 1 }", "import.format"),
        ("- { name: x }\n- { name: x }", "profile.value"),
        ("- { name: 'a b' }", "configuration.name"),
        ("- { name: x, configuration: base }", "profile.value"),
        (
            "- { name: x, configuration: none, configuration_handling: merge }",
            "configuration.missing",
        ),
        (
            "- { name: x, configuration: base@9, configuration_handling: merge }",
            "configuration.missing",
        ),
        (
            "- { name: x, configuration: done, configuration_handling: merge }",
            "configuration.kind",
        ),
        (
            "- { name: x, boot_image: { image: none.bin } }",
            "image.missing",
        ),
        (
            "- { name: x, boot_image: {}, redirect: { servers: [ { address: a } ] } }",
            "profile.value",
        ),
    ] {
        let (status, document) = apply(&rig, yaml, false);
        assert_eq!(document["code"], code, "{yaml}: {status} {document}");
    }
    assert_eq!(
        rig.admin().send("/api/v1/profiles/x").status,
        404,
        "none of it"
    );
}

#[test]
fn a_profile_in_use_is_kept_as_it_is() {
    let rig = with_profiles();
    rig.add(&json!({"serial_number": "SET", "profile": "edge", "host_name": "h"}));
    let delete = |path: &str| send(&rig, "DELETE", path, "");
    let (status, document) = delete("/api/v1/profiles/edge");
    assert_eq!(status, 409, "{document}");
    assert_eq!(document["code"], "profile.in-use");
    assert!(
        document["message"].as_str().expect("text").contains("SET"),
        "{document}"
    );

    // Nobody is under way: it can be changed, until somebody is.
    let changed = PROFILES.replace("eth0", "eth1");
    assert_eq!(apply(&rig, &changed, false).0, 200);
    onboarding(&rig, "SET", TRUSTING);
    let (status, document) = apply(&rig, PROFILES, true);
    assert_eq!(
        (status, document["code"].as_str()),
        (409, Some("profile.in-use")),
        "{document}"
    );
    let described = changed.replace("priority: 10", "priority: 10\n    description: west");
    assert_eq!(
        apply(&rig, &described, false).0,
        200,
        "that changes nothing for devices"
    );
    rig.admin().method("POST").send("/api/v1/devices/SET/reset");
    assert_eq!(apply(&rig, PROFILES, false).0, 200);

    // What a profile names is kept too.
    let (status, document) = delete("/api/v1/configurations/edge");
    assert_eq!(
        (status, document["code"].as_str()),
        (409, Some("configuration.in-use"))
    );
    let image = rig.admin().data("image").send("/api/v1/images?name=os.bin");
    assert_eq!(image.status, 201);
    assert_eq!(
        apply(
            &rig,
            "- { name: img, boot_image: { image: os.bin } }",
            false
        )
        .0,
        200
    );
    let (status, document) = delete("/api/v1/images/os.bin");
    assert_eq!(
        (status, document["code"].as_str()),
        (409, Some("image.in-use")),
        "{document}"
    );
    assert_eq!(delete("/api/v1/profiles/img").0, 204);
    assert_eq!(delete("/api/v1/images/os.bin").0, 204);
    assert_eq!(delete("/api/v1/profiles/img").0, 404);
}

#[test]
fn a_profile_can_send_devices_elsewhere_and_give_them_time() {
    let rig = with_profiles();
    let yaml = "- name: away\n  priority: 99\n  match: { serial_number: 'FAR-*' }\n  sign: false\n  \
                redirect: { servers: [ { address: boot.example, port: 443 } ] }\n";
    assert_eq!(apply(&rig, yaml, false).0, 200);
    rig.add(&json!({"serial_number": "FAR-1"}));
    for input in [TRUSTING, UNTRUSTING] {
        let ConveyedInfo::Redirect(redirect) = info(&rig, "FAR-1", input) else {
            panic!("no redirect");
        };
        assert_eq!(redirect.bootstrap_servers[0].address, "boot.example");
        assert!(rig.last_event("FAR-1").contains("profile away"));
    }
    // Signed, where it must be: without a voucher there is nothing.
    assert_eq!(
        apply(&rig, &yaml.replace("sign: false", "sign: true"), false).0,
        409
    );
    rig.admin()
        .method("POST")
        .send("/api/v1/devices/FAR-1/reset");
    assert_eq!(
        apply(&rig, &yaml.replace("sign: false", "sign: true"), false).0,
        200
    );
    let answer = rig.device("FAR-1").rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(rig.last_event("FAR-1").contains("answer.nothing-signed"));
}
