//! The three artifacts: validating them as a device does, and signing conveyed information as a
//! server does, each beside the signatures that this needs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sztp_benches::{BareSignature, KEY_TYPES, Scene};
use sztp_core::artifacts::SourceTrust;
use sztp_voucher::yang::Encoding;

fn validate(criterion: &mut Criterion) {
    for (name, key_type) in KEY_TYPES {
        let scene = Scene::new(key_type);
        let mut group = criterion.benchmark_group(format!("artifacts/{name}"));
        let signatures = scene.artifact_signatures();
        group.bench_function("bare-signatures", |bencher| {
            bencher.iter(|| signatures.iter().for_each(BareSignature::verify));
        });
        let context = scene.context();
        group.bench_function("validate", |bencher| {
            bencher.iter(|| {
                let source = SourceTrust::Unauthenticated;
                let outcome = black_box(&scene.data).authenticate(source, &context, Encoding::Json);
                outcome.expect("validates")
            });
        });
        group.finish();
    }
}

fn sign(criterion: &mut Criterion) {
    for (name, key_type) in KEY_TYPES {
        let scene = Scene::new(key_type);
        let mut group = criterion.benchmark_group(format!("conveyed-information/{name}"));
        group.bench_function("bare-signature", |bencher| {
            bencher.iter(|| black_box(&scene).sign_bare());
        });
        group.bench_function("sign", |bencher| {
            bencher.iter(|| black_box(&scene).sign_conveyed_information());
        });
        group.finish();
    }
}

criterion_group!(benches, validate, sign);
criterion_main!(benches);
