//! Hostile input in growing sizes: n, 2n, 4n and 8n of what there is much of.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sztp_benches::hostile::HOSTILE;

fn growing(criterion: &mut Criterion) {
    for kind in HOSTILE {
        let mut group = criterion.benchmark_group(format!("hostile/{}", kind.name));
        for times in [1, 2, 4, 8] {
            let size = times * kind.small;
            let run = (kind.make)(size);
            // So much each second: the same in all sizes if the cost is linear.
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(&run);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, growing);
criterion_main!(benches);
