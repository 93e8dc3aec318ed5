//! The YANG modules of RFC 8572, RFC 9646 and RFC 8040 as tables for the codec.

use sztp_voucher::yang::{Kind, LeafType, Module, Node};

pub(crate) const CONVEYED_INFO: Module = Module {
    name: "ietf-sztp-conveyed-info",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-sztp-conveyed-info",
};
const BOOTSTRAP_SERVER: Module = Module {
    name: "ietf-sztp-bootstrap-server",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server",
};
const SZTP_CSR: Module = Module {
    name: "ietf-sztp-csr",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-sztp-csr",
};
const ZTP_TYPES: Module = Module {
    name: "ietf-ztp-types",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-ztp-types",
};
const RESTCONF: Module = Module {
    name: "ietf-restconf",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-restconf",
};

const fn node(name: &'static str, module: &'static Module, kind: Kind) -> Node {
    Node { name, module, kind }
}

const fn info(name: &'static str, kind: Kind) -> Node {
    node(name, &CONVEYED_INFO, kind)
}

const fn svr(name: &'static str, kind: Kind) -> Node {
    node(name, &BOOTSTRAP_SERVER, kind)
}

const fn csr(name: &'static str, kind: Kind) -> Node {
    node(name, &SZTP_CSR, kind)
}

const fn rc(name: &'static str, kind: Kind) -> Node {
    node(name, &RESTCONF, kind)
}

const STRING: Kind = Kind::Leaf(LeafType::String);
const BINARY: Kind = Kind::Leaf(LeafType::Binary);

/// `rc:yang-data conveyed-information` (RFC 8572 §6.3).
pub(crate) const CONVEYED_INFORMATION: &[&Node] = &[&REDIRECT_INFORMATION, &ONBOARDING_INFORMATION];

const REDIRECT_INFORMATION: Node = info(
    "redirect-information",
    Kind::Container(&[info(
        "bootstrap-server",
        Kind::List {
            keys: &["address"],
            min: 1,
            children: &[
                info("address", STRING),
                info("port", Kind::Leaf(LeafType::Uint16)),
                info("trust-anchor", BINARY),
            ],
        },
    )]),
);

const ONBOARDING_INFORMATION: Node = info(
    "onboarding-information",
    Kind::Container(&[
        info(
            "boot-image",
            Kind::Container(&[
                info("os-name", STRING),
                info("os-version", STRING),
                info(
                    "download-uri",
                    Kind::LeafList {
                        ty: LeafType::String,
                        min: 0,
                    },
                ),
                info(
                    "image-verification",
                    Kind::List {
                        keys: &["hash-algorithm"],
                        min: 0,
                        children: &[
                            info(
                                "hash-algorithm",
                                Kind::Leaf(LeafType::IdentityRef {
                                    base_module: &CONVEYED_INFO,
                                    modules: &[],
                                }),
                            ),
                            info("hash-value", Kind::Leaf(LeafType::HexString)),
                        ],
                    },
                ),
            ]),
        ),
        info(
            "configuration-handling",
            Kind::Leaf(LeafType::Enumeration(&["merge", "replace"])),
        ),
        info("pre-configuration-script", BINARY),
        info("configuration", BINARY),
        info("post-configuration-script", BINARY),
    ]),
);

/// Input of `get-bootstrapping-data` (RFC 8572 §7.3) with the augmentation of RFC 9646 §3.2.
pub(crate) const GET_BOOTSTRAPPING_DATA_INPUT: &[&Node] = &[&svr(
    "input",
    Kind::Container(&[
        svr("signed-data-preferred", Kind::Leaf(LeafType::Empty)),
        svr("hw-model", STRING),
        svr("os-name", STRING),
        svr("os-version", STRING),
        svr("nonce", BINARY),
        csr(
            "csr-support",
            Kind::Container(&[
                csr(
                    "key-generation",
                    Kind::Container(&[csr(
                        "supported-algorithms",
                        Kind::Container(&[csr(
                            "algorithm-identifier",
                            Kind::LeafList {
                                ty: LeafType::Binary,
                                min: 1,
                            },
                        )]),
                    )]),
                ),
                csr(
                    "csr-generation",
                    Kind::Container(&[csr(
                        "supported-formats",
                        Kind::Container(&[csr(
                            "format-identifier",
                            Kind::LeafList {
                                ty: REQUEST_FORMAT,
                                min: 1,
                            },
                        )]),
                    )]),
                ),
            ]),
        ),
        csr("p10-csr", BINARY),
        csr("cmc-csr", BINARY),
        csr("cmp-csr", BINARY),
    ]),
)];

/// Output of `get-bootstrapping-data` (RFC 8572 §7.3).
pub(crate) const GET_BOOTSTRAPPING_DATA_OUTPUT: &[&Node] = &[&svr(
    "output",
    Kind::Container(&[
        svr(
            "reporting-level",
            Kind::Leaf(LeafType::Enumeration(&["minimal", "verbose"])),
        ),
        svr("conveyed-information", BINARY),
        svr("owner-certificate", BINARY),
        svr("ownership-voucher", BINARY),
    ]),
)];

/// Input of `report-progress` (RFC 8572 §7.3).
pub(crate) const REPORT_PROGRESS_INPUT: &[&Node] = &[&svr(
    "input",
    Kind::Container(&[
        svr(
            "progress-type",
            Kind::Leaf(LeafType::Enumeration(PROGRESS_TYPES)),
        ),
        svr("message", STRING),
        svr(
            "ssh-host-keys",
            Kind::Container(&[svr(
                "ssh-host-key",
                Kind::List {
                    keys: &[],
                    min: 0,
                    children: &[svr("algorithm", STRING), svr("key-data", BINARY)],
                },
            )]),
        ),
        svr(
            "trust-anchor-certs",
            Kind::Container(&[svr(
                "trust-anchor-cert",
                Kind::LeafList {
                    ty: LeafType::Binary,
                    min: 0,
                },
            )]),
        ),
    ]),
)];

/// `progress-type` (RFC 8572 §7.3), in the order of the module.
pub(crate) const PROGRESS_TYPES: &[&str] = &[
    "bootstrap-initiated",
    "parsing-initiated",
    "parsing-warning",
    "parsing-error",
    "parsing-complete",
    "boot-image-initiated",
    "boot-image-warning",
    "boot-image-error",
    "boot-image-mismatch",
    "boot-image-installed-rebooting",
    "boot-image-complete",
    "pre-script-initiated",
    "pre-script-warning",
    "pre-script-error",
    "pre-script-complete",
    "config-initiated",
    "config-warning",
    "config-error",
    "config-complete",
    "post-script-initiated",
    "post-script-warning",
    "post-script-error",
    "post-script-complete",
    "bootstrap-warning",
    "bootstrap-error",
    "bootstrap-complete",
    "informational",
];

const REQUEST_FORMAT: LeafType = LeafType::IdentityRef {
    base_module: &SZTP_CSR,
    modules: &[&ZTP_TYPES],
};

/// `sx:structure csr-request` (RFC 9646 §3.2).
pub(crate) const CSR_REQUEST: Node = csr(
    "csr-request",
    Kind::Container(&[
        csr(
            "key-generation",
            Kind::Container(&[csr(
                "selected-algorithm",
                Kind::Container(&[csr("algorithm-identifier", BINARY)]),
            )]),
        ),
        csr(
            "csr-generation",
            Kind::Container(&[csr(
                "selected-format",
                Kind::Container(&[csr("format-identifier", Kind::Leaf(REQUEST_FORMAT))]),
            )]),
        ),
        csr("cert-req-info", BINARY),
    ]),
);

/// `rc:yang-data yang-errors` (RFC 8040 §7.1).
pub(crate) const ERRORS: &[&Node] = &[&rc(
    "errors",
    Kind::Container(&[rc(
        "error",
        Kind::List {
            keys: &[],
            min: 0,
            children: &[
                rc(
                    "error-type",
                    Kind::Leaf(LeafType::Enumeration(&[
                        "transport",
                        "rpc",
                        "protocol",
                        "application",
                    ])),
                ),
                rc("error-tag", STRING),
                rc("error-app-tag", STRING),
                rc("error-path", STRING),
                rc("error-message", STRING),
                rc("error-info", Kind::AnyData(&[CSR_REQUEST])),
            ],
        },
    )]),
)];
