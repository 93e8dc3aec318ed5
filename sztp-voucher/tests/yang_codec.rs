//! The YANG codec on documents that are wrong, hostile or merely unusual.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sztp_voucher::yang::{
    Encoding, Kind, LeafType, Module, Node, Options, UnknownMembers, YangError, decode, encode,
};

const A: Module = Module {
    name: "a",
    namespace: "urn:a",
};
const B: Module = Module {
    name: "b",
    namespace: "urn:b",
};

const fn leaf(name: &'static str, ty: LeafType) -> Node {
    Node {
        name,
        module: &A,
        kind: Kind::Leaf(ty),
    }
}

const TOP: &[&Node] = &[&Node {
    name: "top",
    module: &A,
    kind: Kind::Container(&[
        leaf("text", LeafType::String),
        leaf("port", LeafType::Uint16),
        leaf("flag", LeafType::Boolean),
        leaf("none", LeafType::Empty),
        leaf("data", LeafType::Binary),
        leaf("when", LeafType::DateTime),
        leaf("hash", LeafType::HexString),
        leaf("kind", LeafType::Enumeration(&["x", "y"])),
        leaf(
            "id",
            LeafType::IdentityRef {
                base_module: &A,
                modules: &[&B],
            },
        ),
        Node {
            name: "foreign",
            module: &B,
            kind: Kind::Leaf(LeafType::String),
        },
        Node {
            name: "many",
            module: &A,
            kind: Kind::LeafList {
                ty: LeafType::String,
                min: 0,
            },
        },
        Node {
            name: "any",
            module: &A,
            kind: Kind::AnyData(&[]),
        },
        Node {
            name: "entry",
            module: &A,
            kind: Kind::List {
                keys: &["name"],
                min: 0,
                children: &[
                    leaf("name", LeafType::String),
                    Node {
                        name: "need",
                        module: &A,
                        kind: Kind::LeafList {
                            ty: LeafType::Uint16,
                            min: 1,
                        },
                    },
                ],
            },
        },
    ]),
}];

fn json(text: &str) -> Result<Value, YangError> {
    decode(text.as_bytes(), Encoding::Json, TOP, &Options::default())
}

fn xml(text: &str) -> Result<Value, YangError> {
    decode(text.as_bytes(), Encoding::Xml, TOP, &Options::default())
}

fn member(text: &str) -> Result<Value, YangError> {
    json(&format!("{{\"a:top\":{{{text}}}}}")).map(|mut value| value["a:top"].take())
}

fn element(text: &str) -> Result<Value, YangError> {
    xml(&format!("<top xmlns='urn:a'>{text}</top>")).map(|mut value| value["a:top"].take())
}

#[track_caller]
fn code(result: Result<Value, YangError>) -> &'static str {
    match result {
        Err(error) => error.code(),
        Ok(value) => panic!("accepted as {value}"),
    }
}

#[test]
fn names_are_qualified_exactly_where_the_module_changes() {
    // LEDGER: 7951-4-01, 7951-4-02
    assert_eq!(member(r#""b:foreign":"x""#), Ok(json!({"b:foreign": "x"})));
    assert_eq!(code(member(r#""foreign":"x""#)), "yang.wrong-namespace");
    assert_eq!(code(member(r#""a:text":"x""#)), "yang.wrong-namespace");
    assert_eq!(code(json(r#"{"top":{}}"#)), "yang.wrong-namespace");
    assert_eq!(code(json(r#"{"a:other":{}}"#)), "yang.unknown-node");
    assert_eq!(
        element("<foreign xmlns='urn:b'>x</foreign>"),
        Ok(json!({"b:foreign": "x"}))
    );
    assert_eq!(
        code(element("<foreign>x</foreign>")),
        "yang.wrong-namespace"
    );
    assert_eq!(code(xml("<top/>")), "yang.wrong-namespace");
}

#[test]
fn an_error_says_where() {
    let error = member(r#""entry":[{"name":"n","need":[1]},{"name":"m","need":[1,"2"]}]"#);
    assert_eq!(error.unwrap_err().path(), Some("/a:top/entry[2]/need[2]"));
}

#[test]
fn json_types_are_those_of_rfc_7951() {
    // LEDGER: 7951-6.1-01
    assert_eq!(member(r#""port":443"#), Ok(json!({"port": 443})));
    for port in [r#""443""#, "65536", "-1", "443.0", "true", "[443]"] {
        assert_eq!(
            code(member(&format!("\"port\":{port}"))),
            "yang.wrong-type",
            "{port}"
        );
    }
    assert_eq!(code(member(r#""flag":"true""#)), "yang.wrong-type");
    assert_eq!(code(member(r#""kind":1"#)), "yang.wrong-type");
    assert_eq!(code(member(r#""kind":"z""#)), "yang.invalid-value");
    // LEDGER: 7951-6.9-01
    assert_eq!(member(r#""none":[null]"#), Ok(json!({"none": [null]})));
    for none in ["null", "true", "{}", "[]", "[null,null]", "\"\""] {
        assert_eq!(
            code(member(&format!("\"none\":{none}"))),
            "yang.wrong-type",
            "{none}"
        );
    }
    // LEDGER: 7951-5.3-01
    assert_eq!(code(member(r#""many":"one""#)), "yang.wrong-type");
    assert_eq!(code(member(r#""entry":{"name":"n"}"#)), "yang.wrong-type");
    assert_eq!(code(member(r#""text":"a\u0000b""#)), "yang.invalid-value");
}

#[test]
fn binary_is_base64_in_the_standard_alphabet_with_padding() {
    // LEDGER: 7951-6.6-01
    assert_eq!(member(r#""data":"+/8=""#), Ok(json!({"data": "+/8="})));
    assert_eq!(
        member(r#""data":"+/\r\n8=\n""#),
        Ok(json!({"data": "+/8="}))
    );
    assert_eq!(
        element("<data>\n  +/\n  8=\n</data>"),
        Ok(json!({"data": "+/8="}))
    );
    for data in ["-_8=", "+/8", "+/9=", "+/8=!", "="] {
        assert_eq!(
            code(member(&format!("\"data\":\"{data}\""))),
            "yang.invalid-value",
            "{data}"
        );
    }
    let strict = Options {
        base64_line_breaks: false,
        ..Options::default()
    };
    let wrapped = br#"{"a:top":{"data":"+/\n8="}}"#;
    assert!(decode(wrapped, Encoding::Json, TOP, &strict).is_err());
}

#[test]
fn identities_are_brought_into_one_form() {
    // LEDGER: 7951-6.8-01, 7950-xml-01
    let ours = Ok(json!({"id": "a:one"}));
    let theirs = Ok(json!({"id": "b:one"}));
    assert_eq!(member(r#""id":"one""#), ours);
    assert_eq!(member(r#""id":"a:one""#), ours);
    assert_eq!(member(r#""id":"b:one""#), theirs);
    assert_eq!(code(member(r#""id":"c:one""#)), "yang.invalid-value");
    assert_eq!(code(member(r#""id":"b:one two""#)), "yang.invalid-value");
    assert_eq!(element("<id>one</id>"), ours);
    assert_eq!(element("<id xmlns:p='urn:b'> p:one </id>"), theirs);
    assert_eq!(element("<id xmlns:a='urn:b'>a:one</id>"), theirs);
    assert_eq!(code(element("<id>b:one</id>")), "yang.invalid-value");
    assert_eq!(
        code(element("<id xmlns:p='urn:c'>p:one</id>")),
        "yang.invalid-value"
    );
    let prefixed = "<p:top xmlns:p='urn:a' xmlns='urn:b'><p:id>one</p:id></p:top>";
    assert_eq!(xml(prefixed), Ok(json!({"a:top": {"id": "b:one"}})));
}

#[test]
fn nothing_occurs_twice() {
    // LEDGER: 7951-3-01
    assert_eq!(code(member(r#""text":"x","text":"x""#)), "yang.duplicate");
    assert_eq!(
        code(member(r#""any":{"z":{"y":1,"y":1}}"#)),
        "yang.duplicate"
    );
    assert_eq!(code(json(r#"{"a:top":{},"a:top":{}}"#)), "yang.duplicate");
    assert_eq!(
        code(member(r#""text":"x","te\u0078t":"x""#)),
        "yang.duplicate"
    );
    assert_eq!(
        code(element("<text>x</text><text>x</text>")),
        "yang.duplicate"
    );
    let twice = r#""entry":[{"name":"n","need":[1]},{"name":"n","need":[2]}]"#;
    assert_eq!(code(member(twice)), "yang.duplicate-key");
    assert_eq!(
        code(member(r#""entry":[{"need":[1]}]"#)),
        "yang.missing-node"
    );
    assert_eq!(
        code(member(r#""entry":[{"name":"n"}]"#)),
        "yang.too-few-entries"
    );
    assert_eq!(
        code(member(r#""entry":[{"name":"n","need":[]}]"#)),
        "yang.too-few-entries"
    );
    assert_eq!(
        code(element("<entry><name>n</name></entry>")),
        "yang.too-few-entries"
    );
}

#[test]
fn text_that_is_not_json_is_refused() {
    for text in [
        "",
        "{",
        "{}x",
        "{\"a:top\":{}} {}",
        "{'a:top':{}}",
        "{\"a:top\":{},}",
        "nul",
    ] {
        assert_eq!(code(json(text)), "yang.malformed", "{text}");
    }
    assert_eq!(code(json("[]")), "yang.wrong-type");
    let bytes = b"{\"a:top\":{\"text\":\"\xE9\"}}";
    let latin1 = decode(bytes, Encoding::Json, TOP, &Options::default());
    assert_eq!(latin1, Err(YangError::NotUtf8));
    assert!(json("\u{FEFF}{\"a:top\":{}}").is_ok());
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = |n: usize| format!("\"any\":{}1{}", "{\"x\":".repeat(n), "}".repeat(n));
    assert!(member(&deep(20)).is_ok());
    for n in [40, 100, 100_000] {
        assert_eq!(code(member(&deep(n))), "yang.too-deep", "{n}");
        let arrays = format!("\"any\":{{\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert_eq!(code(member(&arrays)), "yang.too-deep", "{n}");
        let elements = format!("<any>{}{}</any>", "<x>".repeat(n), "</x>".repeat(n));
        assert_eq!(code(element(&elements)), "yang.too-deep", "{n}");
    }
    let small = Options {
        max_bytes: 4,
        ..Options::default()
    };
    let refused = decode(b"{   }", Encoding::Json, TOP, &small);
    assert_eq!(refused, Err(YangError::TooLarge { limit: 4 }));
}

#[test]
fn xml_has_no_dtd_no_entities_and_no_processing_instructions() {
    // LEDGER: 7950-xml-02
    for text in [
        "<!DOCTYPE top SYSTEM 'file:///etc/passwd'><top xmlns='urn:a'/>",
        "<!DOCTYPE top [<!ENTITY e 'x'>]><top xmlns='urn:a'><text>&e;</text></top>",
        "<top xmlns='urn:a'><text>&e;</text></top>",
        "<?php x?><top xmlns='urn:a'/>",
        "<top xmlns='urn:a'><?x y?></top>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><top xmlns='urn:a'/>",
    ] {
        assert_eq!(code(xml(text)), "yang.forbidden-xml", "{text}");
    }
    assert_eq!(
        element("<text>&lt;&#65;&#x42;&amp;</text>"),
        Ok(json!({"text": "<AB&"}))
    );
}

#[test]
fn xml_is_well_formed_or_refused() {
    for text in [
        "",
        "   ",
        "<top xmlns='urn:a'>",
        "<top xmlns='urn:a'/><top xmlns='urn:a'/>",
        "<top xmlns='urn:a'></pot>",
        "<top xmlns='urn:a'/>text",
        "text<top xmlns='urn:a'/>",
        "<p:top/>",
        "<top xmlns='urn:a' xmlns='urn:b'/>",
        "<top xmlns='urn:a' x=1/>",
        "<top xmlns='urn:a'/><?xml version='1.0'?>",
        "</top>",
    ] {
        assert!(xml(text).is_err(), "{text}");
    }
    for text in [
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- c --><top xmlns='urn:a'/>\n",
        "<top xmlns='urn:a' other='ignored'/>",
    ] {
        assert_eq!(xml(text), Ok(json!({"a:top": {}})), "{text}");
    }
}

#[test]
fn xml_text_is_trimmed_except_in_strings() {
    assert_eq!(element("<port> 443\n</port>"), Ok(json!({"port": 443})));
    assert_eq!(element("<flag> true </flag>"), Ok(json!({"flag": true})));
    assert_eq!(element("<none> </none>"), Ok(json!({"none": [null]})));
    assert_eq!(element("<kind>\n x</kind>"), Ok(json!({"kind": "x"})));
    assert_eq!(element("<text> x </text>"), Ok(json!({"text": " x "})));
    assert_eq!(
        element("<text>a<!-- c -->b<![CDATA[<c>]]></text>"),
        Ok(json!({"text": "ab<c>"}))
    );
    assert_eq!(code(element("<none>x</none>")), "yang.wrong-type");
    assert_eq!(code(element("<port>0x10</port>")), "yang.wrong-type");
    assert_eq!(code(element("<flag>1</flag>")), "yang.wrong-type");
    assert_eq!(code(element("mixed<text>x</text>")), "yang.wrong-type");
    assert_eq!(
        code(element("<text>x<b xmlns=''/></text>")),
        "yang.wrong-type"
    );
}

#[test]
fn dates_and_hexadecimal_follow_rfc_6991() {
    for when in [
        "2026-03-02T08:15:00Z",
        "2026-03-02T08:15:00.123456789+05:30",
        "2016-12-31T23:59:60Z",
        "2026-03-02T08:15:00-00:00",
    ] {
        assert!(member(&format!("\"when\":\"{when}\"")).is_ok(), "{when}");
    }
    for when in [
        "",
        "2026-03-02",
        "2026-03-02T08:15:00",
        "2026-03-02 08:15:00Z",
        "2026-13-02T08:15:00Z",
        "2026-03-02T24:15:00Z",
        "2026-03-02T08:15:00.Z",
        "2026-03-02T08:15:00+0530",
        "2026-03-02T08:15:00+05:3",
        "2026-03-02T08:15:00Zé",
        "2026-03-02T08:15:0é",
        "éééééééééééééééééééé",
    ] {
        assert_eq!(
            code(member(&format!("\"when\":\"{when}\""))),
            "yang.invalid-value",
            "{when}"
        );
    }
    assert!(member(r#""hash":"aA:0f""#).is_ok());
    for hash in ["aa:", "aabb", "a:b", "gg", "aa:+1"] {
        assert_eq!(
            code(member(&format!("\"hash\":\"{hash}\""))),
            "yang.invalid-value",
            "{hash}"
        );
    }
}

#[test]
fn unknown_nodes_are_kept_only_on_request() {
    let keep = Options {
        unknown: UnknownMembers::Keep,
        ..Options::default()
    };
    let json = br#"{"a:top":{"new":"x","c:more":{"y":["1","2"]}}}"#;
    let xml = b"<top xmlns='urn:a'><new>x</new><more \
        xmlns='urn:ietf:params:xml:ns:yang:c'><y>1</y><y>2</y></more></top>";
    for (encoding, bytes) in [(Encoding::Json, &json[..]), (Encoding::Xml, &xml[..])] {
        let refused = decode(bytes, encoding, TOP, &Options::default());
        assert_eq!(code(refused), "yang.unknown-node");
        let kept = decode(bytes, encoding, TOP, &keep).unwrap();
        assert_eq!(
            kept,
            json!({"a:top": {"new": "x", "c:more": {"y": ["1", "2"]}}})
        );
        let again = encode(&kept, Encoding::Xml, TOP).unwrap();
        assert_eq!(decode(&again, Encoding::Xml, TOP, &keep), Ok(kept));
    }
}

/// Each element holds its namespace: a small document must not become a large tree.
#[test]
fn namespaces_are_short() {
    let keep = Options {
        unknown: UnknownMembers::Keep,
        ..Options::default()
    };
    let document = |octets: usize| {
        let namespace = format!("urn:{}", "x".repeat(octets - 4));
        format!(
            "<top xmlns='urn:a'><new xmlns='{namespace}'>{}</new></top>",
            "<y/>".repeat(99)
        )
    };
    let read = |octets| decode(document(octets).as_bytes(), Encoding::Xml, TOP, &keep);
    assert!(read(256).is_ok());
    assert_eq!(code(read(257)), "yang.malformed");
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let value = json!({"a:top": {
        "text": " <a> & \"b\" \r\n ü ", "port": 0, "flag": false, "none": [null], "data": "AA==",
        "when": "2026-03-02T08:15:00Z", "hash": "00:ff", "kind": "y", "id": "b:one",
        "b:foreign": "", "many": ["1", "2"], "any": {"z:q": {"r": "1"}},
        "entry": [{"name": "n", "need": [1, 2]}, {"name": "m", "need": [3]}],
    }});
    for encoding in [Encoding::Json, Encoding::Xml] {
        let bytes = encode(&value, encoding, TOP).unwrap();
        assert_eq!(
            decode(&bytes, encoding, TOP, &Options::default()),
            Ok(value.clone())
        );
    }
    assert!(encode(&json!({"a:top": {"port": "1"}}), Encoding::Json, TOP).is_err());
    assert!(encode(&json!({}), Encoding::Xml, TOP).is_err());
}
