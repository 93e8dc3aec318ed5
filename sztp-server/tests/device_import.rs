//! Many devices at once: rows in CSV and JSON, dry runs, bad rows, exports.

mod harness;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use harness::{GET_DATA, JSON, Rig, TRUSTING};
use serde_json::{Value, json};

fn import(rig: &Rig, query: &str, document: impl Into<Vec<u8>>) -> (u16, Value) {
    let path = format!("/api/v1/devices/import?{query}");
    let answer = rig
        .admin()
        .header("Content-Type: text/plain")
        .data(document)
        .send(&path);
    (answer.status, answer.json())
}

fn results(document: &Value) -> Vec<String> {
    let rows = document["results"].as_array().expect("results").iter();
    rows.map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        format!("{} {}{}", row["row"], text("result"), text("code"))
    })
    .collect()
}

const ROWS: &str = "serial_number,host_name,tags,groups,location,management_address,variables.vlan\n\
    A1,a-one,edge; new,west,\"Z\u{fc}rich, 3\",192.0.2.1/24,7\n\
    ,no-serial,,,,,\n\
    A2,a-two,,,,nowhere,\n\
    A1,again,,,,,\n\
    A3,a-three,,,,,\n";

#[test]
fn a_bad_row_does_not_stop_the_rest() {
    let rig = Rig::start();
    let expected = [
        "1 added",
        "2 refusedimport.row",
        "3 refuseddevice.value",
        "4 refusedimport.duplicate",
        "5 added",
    ];
    let (status, document) = import(&rig, "format=csv&dry_run=true", ROWS);
    assert_eq!(
        (status, results(&document)),
        (200, expected.map(str::to_owned).to_vec())
    );
    assert_eq!(
        rig.admin().send("/api/v1/devices/A1").status,
        404,
        "a dry run"
    );
    let (_, document) = import(&rig, "format=csv", ROWS);
    assert_eq!(results(&document), expected);
    assert_eq!(
        (&document["added"], &document["refused"]),
        (&json!(2), &json!(3))
    );
    let device = rig.admin().send("/api/v1/devices/A1").json();
    assert_eq!(device["tags"], json!(["edge", "new"]));
    assert_eq!(device["location"], "Z\u{fc}rich, 3");
    assert_eq!(device["variables"], json!({"vlan": "7"}));
    assert_eq!(rig.last_event("A1"), "added: ");
    // Once more they are there, and only what a row names is changed.
    let update = "serial_number,host_name,variables.mtu\nA1,one,9000\n";
    assert_eq!(
        results(&import(&rig, "format=csv", update).1),
        ["1 updated"]
    );
    let device = rig.admin().send("/api/v1/devices/A1").json();
    assert_eq!(device["host_name"], "one");
    assert_eq!(device["variables"], json!({"vlan": "7", "mtu": "9000"}));
    assert_eq!(device["tags"], json!(["edge", "new"]));
    for (existing, expected) in [
        ("skip", "1 skipped"),
        ("refuse", "1 refuseddevice.exists"),
        ("replace", "1 updated"),
    ] {
        let query = format!("format=csv&existing={existing}");
        assert_eq!(results(&import(&rig, &query, update).1), [expected]);
    }
    let device = rig.admin().send("/api/v1/devices/A1").json();
    assert_eq!(device["variables"], json!({"mtu": "9000"}));
    assert_eq!(device.get("tags"), None);
}

#[test]
fn all_or_nothing() {
    let rig = Rig::start();
    let (_, document) = import(&rig, "format=csv&all_or_nothing=true", ROWS);
    assert_eq!(
        (&document["added"], &document["not_applied"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(rig.admin().send("/api/v1/devices/A1").status, 404);
    // Also if it only shows in the database.
    rig.add(&json!({"serial_number": "B"}));
    let rows = r#"[{"serial_number":"A"},{"serial_number":"B"}]"#;
    let (_, document) = import(
        &rig,
        "format=json&all_or_nothing=true&existing=refuse",
        rows,
    );
    assert_eq!(
        results(&document),
        ["1 not-applied", "2 refuseddevice.exists"]
    );
    assert_eq!(rig.admin().send("/api/v1/devices/A").status, 404);
    let (_, document) = import(&rig, "format=json&all_or_nothing=true", rows);
    assert_eq!(results(&document), ["1 added", "2 updated"]);
    assert_eq!(rig.admin().send("/api/v1/devices/A").status, 200);
}

#[test]
fn documents_that_are_no_rows() {
    let rig = Rig::start();
    for (query, document, code) in [
        ("format=csv", "serial,colour\n", "import.column"),
        ("format=csv", "tags\n", "import.format"),
        ("format=json", "3", "import.format"),
        ("", "x", "request.malformed"),
        ("format=csv&colour=red", "x", "request.malformed"),
    ] {
        let (status, answer) = import(&rig, query, document);
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some(code)),
            "{document}"
        );
    }
    // What came before the damage is done, and the damage is said.
    let (_, document) = import(&rig, "format=json", r#"[{"serial_number":"A"},{"serial"#);
    assert_eq!(results(&document), ["1 added", "2 refusedimport.format"]);
}

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let (first, second) = (Rig::start(), Rig::start());
    first.add(
        &json!({"serial_number": "A", "serial_numbers": ["RP0", "RP1"], "tags": ["x", "y"],
        "variables": {"list": [1, {"a": "b"}], "text": "say \"hi\",\nplease"},
        "attributes": {"rack": 4}, "promote": false, "progress_timeout_secs": 90}),
    );
    first.add(&harness::small_device("B"));
    let settings = |rig: &Rig| -> Vec<Value> {
        let export = rig
            .admin()
            .send("/api/v1/devices/export?format=json")
            .json();
        let mut devices = export.as_array().expect("a list").clone();
        for device in &mut devices {
            for name in ["created_at", "updated_at"] {
                device.as_object_mut().expect("an object").remove(name);
            }
        }
        devices
    };
    let expected = settings(&first);
    assert_eq!(expected.len(), 2);
    for format in ["csv", "json"] {
        let export = first
            .admin()
            .send(&format!("/api/v1/devices/export?format={format}"));
        let (_, document) = import(
            &second,
            &format!("format={format}&existing=replace"),
            export.body,
        );
        assert_eq!(document["refused"], 0, "{document}");
        assert_eq!(settings(&second), expected);
    }
    let tagged = first
        .admin()
        .send("/api/v1/devices/export?format=json&tag=x")
        .json();
    assert_eq!(tagged[0]["serial_number"], "A");
    assert_eq!(tagged.as_array().map(Vec::len), Some(1));
    let template = first.admin().send("/api/v1/devices/import-template").text();
    assert!(
        template.starts_with("serial_number,host_name,"),
        "{template}"
    );
}

#[test]
fn incomplete_variables_are_said_or_refused() {
    let rig = Rig::start();
    let put = rig
        .admin()
        .method("PUT")
        .data("vlan {{ vlan }}\n{% if mtu is defined %}mtu {{ mtu }}{% endif %}")
        .send("/api/v1/configurations/c?kind=configuration");
    assert_eq!(put.status, 201);
    let profile = json!({"name": "p", "match": {"tags": ["edge"]}, "configuration": "c",
        "configuration_handling": "merge"});
    let applied = rig
        .admin()
        .data(profile.to_string())
        .send("/api/v1/profiles/apply");
    assert_eq!(applied.status, 200, "{}", applied.text());
    let rows = json!([{"serial_number": "A", "tags": ["edge"]},
        {"serial_number": "B", "tags": ["edge"], "variables": {"vlan": 3}},
        {"serial_number": "C"}]);
    let (_, document) = import(&rig, "format=json&require_variables=true", rows.to_string());
    assert_eq!(
        results(&document),
        ["1 refuseddevice.variables-missing", "2 added", "3 added"]
    );
    let (_, document) = import(&rig, "format=json&results=problems", rows.to_string());
    assert_eq!(results(&document), ["1 added"]);
    let message = document["results"][0]["message"].as_str().expect("text");
    assert_eq!(
        message, "no value for vlan",
        "and nothing of mtu, which need not be"
    );
    assert!(
        rig.last_event("A").contains("no value for"),
        "{}",
        rig.last_event("A")
    );
    // Set later, with what is there already, it is complete.
    let more = json!([{"serial_number": "A", "variables": {"vlan": 4}}]).to_string();
    let (_, document) = import(&rig, "format=json&require_variables=true", more);
    assert_eq!(results(&document), ["1 updated"]);
    assert_eq!(rig.device("A").rpc(GET_DATA, JSON, TRUSTING).status, 200);
}

#[test]
fn a_hundred_thousand_rows() {
    let rig = Rig::start();
    let mut rows = "serial_number,host_name,tags,location,variables.vlan\n".to_owned();
    // Without optimisation, and with each statement going to another process, it takes longer.
    let count = if harness::on_postgres() {
        5000
    } else {
        100_000
    };
    for number in 0..count {
        writeln!(
            rows,
            "SN{number:06},host-{number},t{},hall {},{number}",
            number % 10,
            number % 7
        )
        .expect("a string");
    }
    let started = Instant::now();
    let path = "/api/v1/devices/import?format=csv&results=problems";
    let answer = rig
        .admin()
        .argument("--max-time")
        .argument("120")
        .data(rows)
        .send(path);
    let took = started.elapsed();
    let document = answer.json();
    assert_eq!(document["added"], count, "{document}");
    assert_eq!(document["results"], json!([]));
    eprintln!("{count} rows in {took:?}");
    assert!(took < Duration::from_mins(1), "{took:?}");

    let list = |query: &str| {
        rig.admin()
            .send(&format!("/api/v1/devices?limit=3&{query}"))
            .json()
    };
    let serial_numbers = |document: &Value| -> Vec<String> {
        let items = document["items"].as_array().expect("items").iter();
        items
            .map(|item| item["serial_number"].as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(
        serial_numbers(&list("tag=t7")),
        ["SN000007", "SN000017", "SN000027"]
    );
    assert_eq!(list("tag=t7")["next"], "SN000027");
    assert_eq!(
        serial_numbers(&list("tag=t7&after=SN000027"))[0],
        "SN000037"
    );
    let last = count - 1;
    assert_eq!(
        serial_numbers(&list(&format!("search=host-{last}"))),
        [format!("SN{last:06}")]
    );
    assert_eq!(
        serial_numbers(&list(&format!("prefix=SN{:05}&tag=t3", last / 10))),
        [format!("SN{:06}", last - 6)]
    );
    assert_eq!(serial_numbers(&list("state=InProgress")), [""; 0]);
    // What a device is answered does not take longer for it.
    let started = Instant::now();
    assert_eq!(
        rig.device(&format!("SN{last:06}"))
            .rpc(GET_DATA, JSON, TRUSTING)
            .status,
        404
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}
