//! The table: what is known of platforms in the field.

use super::{Dialect, GENERIC, MediaTypeForm, Quirks, Signs};
use crate::model::{ContentTypeChoice, ConveyedEncoding};

pub(super) fn generic() -> Dialect {
    Dialect {
        name: GENERIC.to_owned(),
        recognised_by: Vec::new(),
        quirks: Quirks::default(),
    }
}

/// In the order in which they are recognised.
pub(super) fn dialects() -> Vec<Dialect> {
    let os_name = |text: &str| Signs {
        os_name: Some(text.to_owned()),
        ..Signs::default()
    };
    let vendor = |text: &str| Signs {
        vendor: Some(text.to_owned()),
        ..Signs::default()
    };
    vec![
        // It writes no Accept header, and a serial number and a password beside its certificate.
        // It reads unsigned conveyed information with nothing beside it, and takes 204 for a
        // failure.
        Dialect {
            name: "opi".to_owned(),
            recognised_by: vec![Signs {
                xml: Some(false),
                accept: Some(false),
                basic: Some(true),
                ..Signs::default()
            }],
            quirks: Quirks {
                sign: Some(false),
                reporting_level: Some(false),
                report_status: Some(200),
                ..Quirks::default()
            },
        },
        Dialect {
            name: "ios-xr".to_owned(),
            recognised_by: vec![
                os_name("IOSXR"),
                os_name("IOS-XR"),
                os_name("IOS XR"),
                Signs {
                    xml: Some(false),
                    short_operation: Some(true),
                    product_and_serial: Some(true),
                    ..Signs::default()
                },
            ],
            quirks: Quirks {
                conveyed_encoding: Some(ConveyedEncoding::Json),
                content_type: Some(ContentTypeChoice::IdData),
                verification_per_uri: Some(true),
                ..Quirks::default()
            },
        },
        // XML outside, JSON inside. It refuses what is not signed, and without promotion it never
        // reports.
        Dialect {
            name: "ios-xe".to_owned(),
            recognised_by: vec![
                os_name("IOSXE"),
                os_name("IOS-XE"),
                os_name("IOS XE"),
                Signs {
                    xml: Some(true),
                    product_and_serial: Some(true),
                    ..Signs::default()
                },
            ],
            quirks: Quirks {
                conveyed_encoding: Some(ConveyedEncoding::Json),
                sign: Some(true),
                ..Quirks::default()
            },
        },
        Dialect {
            name: "huawei".to_owned(),
            recognised_by: vec![vendor("Huawei")],
            quirks: Quirks {
                conveyed_encoding: Some(ConveyedEncoding::Xml),
                media_type: Some(MediaTypeForm::Dotted),
                wrapper: Some(true),
                hash_colons: Some(false),
                verification_per_uri: Some(true),
                ..Quirks::default()
            },
        },
        Dialect {
            name: "arista".to_owned(),
            recognised_by: vec![vendor("Arista")],
            quirks: Quirks {
                conveyed_encoding: Some(ConveyedEncoding::Xml),
                media_type: Some(MediaTypeForm::Dotted),
                sign: Some(true),
                ..Quirks::default()
            },
        },
        Dialect {
            name: "junos".to_owned(),
            recognised_by: vec![vendor("Juniper"), os_name("junos")],
            quirks: Quirks::default(),
        },
        generic(),
    ]
}
