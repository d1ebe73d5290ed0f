//! Stage 3, scan: bytes a second for the bodies that there are, in chunks as a socket gives them.
//!
//! `cargo bench -p riparian-benches --bench scan`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use riparian_benches::bodies::{BODIES, surface};
use riparian_filters::scan::{Scanner, Watch};
use std::hint::black_box;

/// What one read of a socket brings at most.
const CHUNK_BYTES: usize = 16 * 1024;

const SIZES: [usize; 3] = [1024, 64 * 1024, 1024 * 1024];

fn scan(criterion: &mut Criterion) {
    let watch = Watch::compile(&surface(), &riparian_config::Surfaces::default()).expect("few signals");
    let mut group = criterion.benchmark_group("scan");
    for (name, make) in BODIES {
        for bytes in SIZES {
            let body = make(bytes);
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_with_input(BenchmarkId::new(name, bytes), body.as_bytes(), |bencher, body| {
                bencher.iter(|| {
                    let mut scanner = Scanner::new(&watch);
                    for chunk in black_box(body).chunks(CHUNK_BYTES) {
                        scanner.feed(chunk).expect("a right body");
                    }
                    scanner.finish().expect("a whole body").held(0)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
