//! Paths that hold, however unusual.

use sztp_cms::{CertificateBuilder, PathError, UnixTime, WallClock};

use crate::pki::{DAY, Folder, Holder, NOW, ca, chain, check, check_at, named, oid};

#[test]
fn a_bag_in_any_order_with_strangers_in_it() {
    let [root, upper, lower, end] = chain();
    let [_, stranger, namesake, _] = chain();
    let bag = [&namesake, &end, &lower, &stranger, &root, &upper];
    assert_eq!(check(&end, &bag, &[&root]), Ok(4));
    let reversed: Vec<&Holder> = bag.iter().rev().copied().collect();
    assert_eq!(check(&end, &reversed, &[&root]), Ok(4));
}

#[test]
fn an_anchor_need_not_be_self_signed() {
    let [_, upper, lower, end] = chain();
    assert_eq!(check(&end, &[&lower], &[&upper]), Ok(3));
    assert_eq!(check(&end, &[], &[&lower]), Ok(2));
    assert_eq!(check(&end, &[&upper, &lower], &[&lower]), Ok(2));
}

#[test]
fn a_pinned_end_entity_is_its_own_anchor() {
    let [_, _, _, end] = chain();
    assert_eq!(check(&end, &[], &[&end]), Ok(1));
    // A self-signed certificate that is no authority, as small owners pin it.
    let alone = Holder::root(&named("alone"));
    assert_eq!(check(&alone, &[], &[&alone]), Ok(1));
    // It is trusted for itself, not to issue.
    let below = alone.issue(&named("below"));
    assert!(matches!(
        check(&below, &[], &[&alone]),
        Err(PathError::IssuerNotCa { .. })
    ));
    // Being pinned does not make it valid for ever.
    let short =
        Holder::root(&named("short").validity(UnixTime::from_secs(0), Some(NOW.plus_secs(-1))));
    assert!(matches!(
        check(&short, &[], &[&short]),
        Err(PathError::Expired { .. })
    ));
}

/// `openssl x509 -req` without an extensions file makes version 1 on OpenSSL 3.0, as vendors'
/// own how-tos do it.
#[test]
fn x509_version_1_end_entities_of_openssl() {
    let folder = Folder::new();
    let openssl = |arguments: &str| folder.openssl(arguments);
    let read = |name: &str| folder.certificate(name);
    openssl("genrsa -out pdc.key 2048");
    openssl("req -x509 -new -key pdc.key -subj /CN=pinned-domain -days 30 -out pdc.crt");
    openssl("genrsa -out owner.key 2048");
    openssl("req -new -key owner.key -subj /CN=owner -out owner.csr");
    openssl("x509 -req -in owner.csr -CA pdc.crt -CAkey pdc.key -CAcreateserial -out owner.crt");
    let (owner, pdc) = (read("owner.crt"), read("pdc.crt"));
    // Asked anew after each certificate that openssl makes, as they hold from that second on.
    let clock = || WallClock::Trusted(UnixTime::from_system_time(std::time::SystemTime::now()));
    assert_eq!(check_at(&owner, &[], &[&pdc], clock()), Ok(2));
    // A root made the same way is an anchor; version 1 in between is nobody's authority.
    openssl("req -new -key pdc.key -subj /CN=old-root -out root.csr");
    openssl("x509 -req -in root.csr -signkey pdc.key -days 30 -out root.crt");
    openssl("x509 -req -in owner.csr -CA root.crt -CAkey pdc.key -CAcreateserial -out ca.crt");
    openssl("req -new -key owner.key -subj /CN=end -out end.csr");
    openssl("x509 -req -in end.csr -CA ca.crt -CAkey owner.key -CAcreateserial -out end.crt");
    let (root, middle, end) = (read("root.crt"), read("ca.crt"), read("end.crt"));
    if owner.version() == 1 {
        assert_eq!((root.version(), middle.version(), end.version()), (1, 1, 1));
    }
    assert_eq!(check_at(&middle, &[], &[&root], clock()), Ok(2));
    let refused = check_at(&end, &[&middle], &[&root], clock());
    assert!(
        matches!(refused, Err(PathError::IssuerNotCa { .. })),
        "{refused:?}"
    );
}

/// IEEE 802.1AR: no end, no EKU, no SAN or one with a hardwareModuleName.
#[test]
fn idevids_without_an_end_and_with_hardware_module_name() {
    let root = Holder::root(&ca("IDevID CA"));
    let plain = root.issue(&CertificateBuilder::new("serialNumber=AX7-00042"));
    assert_eq!(plain.certificate.not_after(), UnixTime::NO_EXPIRY);
    assert_eq!(check(&plain, &[], &[&root]), Ok(2));
    // otherName [0] { id-on-hardwareModuleName, [0] { hwType, hwSerialNum } } (RFC 4108 §5).
    let hardware_module_name = [
        &[0x30, 0x1F, 0xA0, 0x1D][..],
        &[0x06, 8, 0x2B, 6, 1, 5, 5, 7, 8, 4],
        &[0xA0, 0x11, 0x30, 0x0F, 0x06, 6, 0x2B, 6, 1, 4, 1, 9],
        &[0x04, 5, b'0', b'0', b'0', b'4', b'2'],
    ]
    .concat();
    for critical in [false, true] {
        let device = root.issue(
            &CertificateBuilder::new("serialNumber=AX7-00042").extension(
                oid("2.5.29.17"),
                critical,
                hardware_module_name.clone(),
            ),
        );
        assert_eq!(check(&device, &[], &[&root]), Ok(2), "critical: {critical}");
    }
    // LEDGER: 802.1AR-02
    let far = WallClock::Trusted(UnixTime::from_secs(253_402_300_799));
    assert_eq!(
        check_at(&plain.certificate, &[], &[&root.certificate], far),
        Ok(2)
    );
}

#[test]
fn extended_key_usage_is_neither_needed_nor_in_the_way() {
    let root = Holder::root(&ca("root"));
    for builder in [
        named("end").extended_key_usage_client_auth(),
        named("end").extended_key_usage_server_auth(),
        // Critical, and of a purpose that is not known here.
        named("end").extension(
            oid("2.5.29.37"),
            true,
            vec![0x30, 6, 0x06, 4, 0x2B, 6, 1, 4],
        ),
    ] {
        assert_eq!(check(&root.issue(&builder), &[], &[&root]), Ok(2));
    }
}

#[test]
fn each_certificate_is_judged_at_the_time_given() {
    let (before, after) = (NOW.plus_secs(-DAY), NOW.plus_secs(DAY));
    let root = Holder::root(&ca("root"));
    let upper = root.issue(&ca("upper").validity(before, Some(after)));
    let end = upper.issue(&named("end"));
    let at = |time: UnixTime| {
        check_at(
            &end.certificate,
            &[&upper.certificate],
            &[&root.certificate],
            WallClock::Trusted(time),
        )
    };
    assert_eq!(at(NOW), Ok(3));
    // Both ends belong to the validity (RFC 5280 §4.1.2.5).
    assert_eq!(at(before), Ok(3));
    assert_eq!(at(after), Ok(3));
    let early = before.plus_secs(-1);
    assert_eq!(
        at(early),
        Err(PathError::NotYetValid {
            at: early,
            not_before: before,
            subject: "CN=upper".to_owned()
        })
    );
    let late = after.plus_secs(1);
    assert_eq!(
        at(late),
        Err(PathError::Expired {
            at: late,
            not_after: after,
            subject: "CN=upper".to_owned()
        })
    );
    // LEDGER: 8572-9.1-01 (a device that does not know the date judges no dates)
    let unknown = check_at(
        &end.certificate,
        &[&upper.certificate],
        &[&root.certificate],
        WallClock::Unknown,
    );
    assert_eq!(unknown, Ok(3));
    // An anchor has a validity too.
    let gone = Holder::root(&ca("gone").validity(UnixTime::from_secs(0), Some(before)));
    let refused = check(&gone.issue(&named("end")), &[], &[&gone]);
    assert!(
        matches!(refused, Err(PathError::Expired { .. })),
        "{refused:?}"
    );
}

/// An authority's old certificate, expired, lies before its renewed one with the same key.
#[test]
fn an_expired_intermediate_beside_its_renewal() {
    let root = Holder::root(&ca("root"));
    let old = root.issue(&ca("upper").validity(UnixTime::from_secs(0), Some(NOW.plus_secs(-DAY))));
    let new = root.issue_for(old.key.clone(), &ca("upper"));
    let end = old.issue(&named("end"));
    assert_eq!(check(&end, &[&old, &new], &[&root]), Ok(3));
    assert_eq!(check(&end, &[&new, &old], &[&root]), Ok(3));
}

#[test]
fn cross_signed_authorities_lead_to_whichever_root_is_trusted() {
    let (one, other) = (Holder::root(&ca("one")), Holder::root(&ca("other")));
    let upper = one.issue(&ca("upper"));
    let crossed = other.issue_for(upper.key.clone(), &ca("upper"));
    let end = upper.issue(&named("end"));
    for anchor in [&one, &other] {
        assert_eq!(check(&end, &[&upper, &crossed], &[anchor]), Ok(3));
        assert_eq!(check(&end, &[&crossed, &upper], &[anchor]), Ok(3));
    }
    // Two roots that certify each other: the search does not run in circles.
    let one_by_other = other.issue_for(one.key.clone(), &ca("one"));
    let other_by_one = one.issue_for(other.key.clone(), &ca("other"));
    let bag = [&one_by_other, &other_by_one, &upper];
    assert_eq!(check(&end, &bag, &[&other]), Ok(4));
    let stranger = Holder::root(&ca("stranger"));
    assert!(matches!(
        check(&end, &bag, &[&stranger]),
        Err(PathError::UnknownIssuer { .. })
    ));
}

/// RFC 5280 §7.1: names are compared, not octets. OpenSSL writes UTF8String, others
/// PrintableString.
#[test]
fn names_are_compared_by_their_characters() {
    let root = Holder::root(&ca("Example  Root"));
    let same_key = |text: &str| {
        let certificate = CertificateBuilder::new(text)
            .ca(None)
            .self_signed(&root.key)
            .expect("issues");
        Holder {
            certificate,
            key: root.key.clone(),
        }
    };
    let end = root.issue(&named("end"));
    assert_eq!(check(&end, &[], &[&same_key("CN=example root")]), Ok(2));
    let refused = check(&end, &[], &[&same_key("CN=example-root")]);
    assert_eq!(
        refused,
        Err(PathError::UnknownIssuer {
            issuer: "CN=Example  Root".to_owned()
        })
    );
}
