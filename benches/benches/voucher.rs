//! Vouchers: reading one, and verifying it beside the signatures that this needs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sztp_benches::{BareSignature, KEY_TYPES, Scene};
use sztp_voucher::{Profile, SignedVoucher};

fn voucher(criterion: &mut Criterion) {
    for (name, key_type) in KEY_TYPES {
        let scene = Scene::new(key_type);
        let mut group = criterion.benchmark_group(format!("voucher/{name}"));
        group.bench_function("parse", |bencher| {
            bencher.iter(|| SignedVoucher::parse(black_box(&scene.voucher), Profile::Rfc8366));
        });
        let signatures = scene.voucher_signatures();
        group.bench_function("bare-signatures", |bencher| {
            bencher.iter(|| signatures.iter().for_each(BareSignature::verify));
        });
        let signed = SignedVoucher::parse(&scene.voucher, Profile::Rfc8366).expect("parses");
        let context = scene.context();
        group.bench_function("verify", |bencher| {
            bencher.iter(|| signed.verify(black_box(&context)).expect("verifies"));
        });
        group.finish();
    }
}

criterion_group!(benches, voucher);
criterion_main!(benches);
