//! The resources around the two operations, and the forms in which devices in the field call them.

mod harness;

use harness::{GET_DATA, JSON, Rig, TRUSTING, UNTRUSTING, XML, small_device};
use serde_json::json;

const SERIAL: &str = "AX7-00042";

// LEDGER: 8040-3.1-02, 8040-3.3-01, 8040-5.5-01
#[test]
fn the_server_is_found_and_described() {
    let rig = Rig::start();
    let meta = rig.anonymous().send("/.well-known/host-meta");
    assert_eq!(meta.status, 200);
    assert_eq!(meta.header("content-type"), "application/xrd+xml");
    let root = sztp_core::restconf::restconf_root(&meta.body).expect("a link");
    assert_eq!(root, "/restconf");
    assert_eq!(meta.header("cache-control"), "no-cache");

    let get = |path: &str, accept: &str| {
        rig.device(SERIAL)
            .header(&format!("Accept: {accept}"))
            .send(path)
    };
    let json = get(&root, JSON);
    assert_eq!(
        json.json(),
        json!({"ietf-restconf:restconf":
            {"data": {}, "operations": {}, "yang-library-version": "2016-06-21"}})
    );
    let xml = get("/restconf/", XML);
    assert!(xml.header("content-type").starts_with(XML));
    assert!(
        xml.text()
            .contains("<yang-library-version>2016-06-21</yang-library-version>")
    );
    let version = get("/restconf/yang-library-version", "*/*");
    assert_eq!(
        version.json(),
        json!({"ietf-restconf:yang-library-version": "2016-06-21"})
    );
    let operations = get("/restconf/operations", JSON).json();
    let operations = operations["ietf-restconf:operations"]
        .as_object()
        .expect("an object");
    assert_eq!(operations.len(), 2);
    assert!(
        get("/restconf/operations", XML)
            .text()
            .contains("<report-progress xmlns=")
    );

    let head = rig.device(SERIAL).argument("--head").send(&root);
    assert_eq!((head.status, head.header("content-type")), (200, JSON));
    let options = rig
        .device(SERIAL)
        .method("OPTIONS")
        .send(&format!("/restconf/operations/{GET_DATA}"));
    assert_eq!(
        (options.status, options.header("allow")),
        (204, "POST, OPTIONS")
    );
    assert_eq!(get("/restconf", "text/html").status, 406);
    assert_eq!(rig.anonymous().send(&root).status, 401);
    assert_eq!(rig.anonymous().send("/elsewhere").status, 404);
}

// LEDGER: 8572-7.2-02
#[test]
fn forms_of_the_field_are_taken_and_noted() {
    let rig = Rig::start();
    rig.add(&small_device(SERIAL));
    let alias = rig.device(SERIAL).rpc(
        "ietf-sztp-bootstrap-server:get-bootstrap-data",
        JSON,
        TRUSTING,
    );
    assert_eq!(alias.status, 200, "{}", alias.text());
    assert!(rig.last_event(SERIAL).contains("get-bootstrap-data"));

    let slash = rig
        .device(SERIAL)
        .rpc(&format!("{GET_DATA}/"), JSON, TRUSTING);
    assert_eq!(slash.status, 200);
    assert!(rig.last_event(SERIAL).contains("slash"));

    let old_type = rig
        .device(SERIAL)
        .rpc(GET_DATA, "application/yang.data+xml", "");
    assert_eq!(old_type.status, 200, "{}", old_type.text());
    // Who writes it so reads it so.
    assert_eq!(old_type.header("content-type"), "application/yang.data+xml");
    assert!(rig.last_event(SERIAL).contains("yang.data"));

    let empty_nonce = UNTRUSTING.replace(r#""signed-data-preferred":[null]"#, r#""nonce":"""#);
    assert_eq!(
        rig.device(SERIAL).rpc(GET_DATA, JSON, &empty_nonce).status,
        200
    );
    assert!(rig.last_event(SERIAL).contains("empty nonce"));

    // No Accept header: the answer is in the request's encoding.
    let path = format!("/restconf/operations/{GET_DATA}");
    let answer = rig
        .device(SERIAL)
        .header("Accept:")
        .header(&format!("Content-Type: {XML}"))
        .data("")
        .send(&path);
    assert!(answer.header("content-type").starts_with(XML), "{answer:?}");
    // No body and no type: the empty input.
    let answer = rig
        .device(SERIAL)
        .method("POST")
        .header("Accept:")
        .send(&path);
    assert_eq!(answer.status, 200, "{answer:?}");
    // What certificates of one vendor carry.
    let serial = "PID:C9300-24T SN:FCW2126G05V";
    rig.add(&small_device("FCW2126G05V"));
    let answer = rig.device(serial).rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(rig.last_event("FCW2126G05V").contains("PID:.. SN:.."));
}
