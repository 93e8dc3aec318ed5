//! Configurations and scripts: versions, variables, previews.

mod harness;

use harness::{GET_DATA, JSON, Rig, TRUSTING};
use serde_json::{Value, json};

fn put(rig: &Rig, path: &str, content: impl Into<Vec<u8>>) -> (u16, Value) {
    let path = format!("/api/v1/configurations/{path}");
    let answer = rig.admin().method("PUT").data(content).send(&path);
    (answer.status, answer.json())
}

fn render(rig: &Rig, name: &str, request: &Value) -> (u16, Value) {
    let path = format!("/api/v1/configurations/{name}/render");
    let answer = rig.admin().data(request.to_string()).send(&path);
    (answer.status, answer.json())
}

#[test]
fn versions_never_change() {
    let rig = Rig::start();
    let (status, document) = put(&rig, "base?kind=configuration&description=all", "one\n");
    assert_eq!(
        (status, &document["versions"][0]["version"]),
        (201, &json!(1)),
        "{document}"
    );
    assert_eq!(
        put(&rig, "base?kind=configuration", "one\n").0,
        200,
        "the same again"
    );
    let (status, document) = put(&rig, "base?kind=configuration", "two\n");
    assert_eq!(
        (status, &document["versions"][1]["version"]),
        (201, &json!(2))
    );
    assert_eq!(document["description"], "all");
    let content = |query: &str| {
        rig.admin()
            .send(&format!("/api/v1/configurations/base/content{query}"))
            .text()
    };
    assert_eq!(content("?version=1"), "one\n");
    assert_eq!(content(""), "two\n");
    assert_eq!(
        put(&rig, "base?kind=script", "x").1["code"],
        "configuration.kind"
    );
    let listed = rig.admin().send("/api/v1/configurations?limit=1").json();
    assert_eq!(listed["items"][0]["name"], "base");
    assert_eq!(listed["next"], Value::Null);
    let delete = || {
        rig.admin()
            .method("DELETE")
            .send("/api/v1/configurations/base")
            .status
    };
    assert_eq!(delete(), 204);
    assert_eq!(delete(), 404);
    // A name that is used again has contents of its own.
    put(&rig, "base?kind=script", "#!/bin/sh\n");
    assert_eq!(content("?version=1"), "#!/bin/sh\n");
}

#[test]
fn a_preview_shows_what_a_device_would_get() {
    let rig = Rig::start();
    put(
        &rig,
        "edge?kind=configuration",
        "hostname {{ hostname }}\nvlan {{ vlan }}\nat {{ device.attributes.rack }}\n",
    );
    let device = json!({"serial_number": "A", "host_name": "a1", "variables": {"vlan": 7},
        "attributes": {"rack": "R4"}});
    rig.add(&device);
    let (status, document) = render(&rig, "edge", &json!({"serial_number": "A"}));
    assert_eq!(status, 200, "{document}");
    assert_eq!(document["content"], "hostname a1\nvlan 7\nat R4\n");
    assert_eq!(document["version"], 1);
    let wanted = json!({"serial_number": "A", "variables": {"vlan": 8}});
    assert_eq!(
        render(&rig, "edge", &wanted).1["content"],
        "hostname a1\nvlan 8\nat R4\n"
    );
    let (status, document) = render(&rig, "edge", &json!({"variables": {"vlan": 8}}));
    assert_eq!(status, 422);
    assert_eq!(document["code"], "configuration.undefined-variable");
    assert_eq!(
        document["message"],
        "edge@1, line 1: the variable `hostname` has no value"
    );

    let needed = rig
        .admin()
        .send("/api/v1/configurations/edge/variables")
        .json();
    assert_eq!(
        needed["items"],
        json!([
            {"name": "device.attributes.rack", "of_device": true, "has_default": false},
            {"name": "hostname", "of_device": true, "has_default": false},
            {"name": "vlan", "of_device": false, "has_default": false},
        ])
    );
}

#[test]
fn what_is_no_template_can_be_given_as_it_is() {
    let rig = Rig::start();
    let script = "#!/bin/bash\na=(1 2)\necho ${#a[@]}\n";
    let (status, document) = put(&rig, "count?kind=script", script);
    assert_eq!(
        (status, document["code"].as_str()),
        (422, Some("configuration.syntax"))
    );
    assert!(
        document["hint"]
            .as_str()
            .expect("a hint")
            .contains("verbatim")
    );
    assert_eq!(
        put(&rig, "count?kind=script&syntax=verbatim", script).0,
        201
    );
    assert_eq!(
        put(
            &rig,
            "octets?kind=configuration&syntax=verbatim",
            [0xFF, 0x00]
        )
        .0,
        201
    );
    assert_eq!(render(&rig, "count", &json!({})).1["content"], script);
}

#[test]
fn sizes_are_bounded() {
    let rig = Rig::start_with(|config| config.limits.max_configuration_bytes = 1000);
    let (status, document) = put(&rig, "big?kind=configuration", "x".repeat(1001));
    assert_eq!(
        (status, document["code"].as_str()),
        (413, Some("upload.too-large"))
    );
    put(&rig, "grows?kind=configuration", "{{ 'x' * n }}");
    assert_eq!(
        render(&rig, "grows", &json!({"variables": {"n": 1000}})).0,
        200
    );
    let (_, document) = render(&rig, "grows", &json!({"variables": {"n": 1001}}));
    assert_eq!(document["code"], "configuration.cost");
}

#[test]
fn a_pinned_version_stays_and_the_newest_goes_on() {
    let rig = Rig::start();
    put(&rig, "base?kind=configuration", "one\n");
    let profiles = json!([
        {"name": "pinned", "configuration": "base@1", "configuration_handling": "merge"},
        {"name": "newest", "configuration": "base", "configuration_handling": "merge"},
    ]);
    let applied = rig
        .admin()
        .data(profiles.to_string())
        .send("/api/v1/profiles/apply");
    assert_eq!(applied.status, 200, "{}", applied.text());
    for (serial, profile) in [("P", "pinned"), ("N", "newest")] {
        rig.add(&json!({"serial_number": serial, "profile": profile}));
        assert_eq!(rig.device(serial).rpc(GET_DATA, JSON, TRUSTING).status, 200);
        assert!(rig.last_event(serial).contains("base@1"));
    }
    put(&rig, "base?kind=configuration", "two\n");
    for (serial, version) in [("P", "base@1"), ("N", "base@2")] {
        assert_eq!(rig.device(serial).rpc(GET_DATA, JSON, TRUSTING).status, 200);
        assert!(
            rig.last_event(serial).contains(version),
            "{}",
            rig.last_event(serial)
        );
    }
}
