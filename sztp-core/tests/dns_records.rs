//! Records of DNS (RFC 8572 §4.2): round trips of any artifacts and names, and hostile octets.

mod random;

use random::Random;
use sztp_core::artifacts::BootstrappingData;
use sztp_core::dns::{
    ArtifactKey, DomainName, TxtRecord, answer_octets, bootstrapping_data, text_records,
};

#[test]
fn any_artifacts_survive_records_in_any_order() {
    // LEDGER: 8572-4.2.2-01, 8572-4.2.2-05
    let mut random = Random(3);
    let domain = DomainName::parse("birch.example").unwrap();
    let name = DomainName::device_specific("AX7-00042", &domain).unwrap();
    for _ in 0..300 {
        let data = BootstrappingData {
            conveyed_information: random.octets(20_000),
            owner_certificate: (random.below(3) > 0).then(|| random.octets(3_000)),
            ownership_voucher: (random.below(3) > 0).then(|| random.octets(600)),
        };
        let mut records = text_records(&name, &data).unwrap();
        assert!(answer_octets(&name, &records) < 65_536);
        let turned = random.below(records.len());
        records.rotate_left(turned);
        let travelled: Vec<TxtRecord> = records
            .iter()
            .map(|record| TxtRecord::from_rdata(&record.to_rdata()).unwrap())
            .collect();
        assert_eq!(bootstrapping_data(&travelled), Ok(data));
    }
}

#[test]
fn any_serial_number_survives_being_written_down() {
    // LEDGER: 8572-4.2.1-05
    let mut random = Random(4);
    let domain = DomainName::parse("birch.example").unwrap();
    for _ in 0..2_000 {
        let serial_number: String = (0..=random.below(20))
            .map(|_| char::from(random.octet()))
            .collect();
        let name = DomainName::device_specific(&serial_number, &domain).unwrap();
        let shown = name.to_string();
        assert!(
            shown.bytes().all(|octet| octet.is_ascii_graphic()),
            "{shown}"
        );
        assert_eq!(DomainName::parse(&shown), Ok(name));
    }
}

#[test]
fn no_octets_are_too_hostile() {
    let mut random = Random(5);
    for _ in 0..20_000 {
        let octets = random.octets(80);
        let text: String = octets.iter().copied().map(char::from).collect();
        if let Ok(name) = DomainName::parse(&text) {
            assert!(name.wire_octets() <= 255);
            assert_eq!(DomainName::parse(&name.to_string()), Ok(name));
        }
        let mut rdata = octets;
        if random.below(2) == 0 {
            let artifact = random.octets(600);
            rdata = TxtRecord::of_artifact(ArtifactKey::ConveyedInformation, &artifact)
                .unwrap()
                .to_rdata();
            let at = random.below(rdata.len());
            rdata[at] = random.octet();
        }
        if let Ok(record) = TxtRecord::from_rdata(&rdata) {
            assert_eq!(record.to_rdata(), rdata);
            let _ = bootstrapping_data(&[record]);
        }
    }
}
