//! Each stage and the whole decision on 1, 2 and 4 threads at once, which share the compiled configuration and nothing that is
//! written. What a decision costs must not grow with the threads beside it.
//!
//! `cargo bench -p riparian-benches --bench threads`
//!
//! Reported is the processor time of one run on one thread, so that four threads on two cores do not look twice as slow for having
//! waited their turn. Hyper-threads of one core do share it: compare with that in mind.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use riparian_benches::cases;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Barrier;
use std::time::Duration;

const THREADS: [usize; 3] = [1, 2, 4];

/// Long scans say nothing of contention that short ones do not.
const LEFT_OUT: [&str; 2] = ["/64k", "many_keys"];

fn threads(criterion: &mut Criterion) {
    for case in cases::all() {
        if LEFT_OUT.iter().any(|word| case.name.contains(word)) {
            continue;
        }
        let mut group = criterion.benchmark_group("threads");
        for threads in THREADS {
            group.bench_function(BenchmarkId::new(&case.name, threads), |bencher| {
                bencher.iter_custom(|times| on_threads(&case, threads, times));
            });
        }
        group.finish();
    }
}

/// The time that `times` runs take, as a mean over the threads, all of which begin at once.
fn on_threads(case: &cases::Case, threads: usize, times: u64) -> Duration {
    let barrier = Barrier::new(threads);
    let total: Duration = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut run = (case.make)();
                    run();
                    barrier.wait();
                    let begun = now();
                    for _ in 0..times {
                        run();
                    }
                    now().saturating_sub(begun)
                })
            })
            .collect();
        all.into_iter().map(|thread| thread.join().expect("a case does not panic")).sum()
    });
    total / u32::try_from(threads).expect("few threads")
}

/// The processor time of this thread so far.
fn now() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(spent).expect("no clock of a thread is negative")
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = threads
}
criterion_main!(benches);
