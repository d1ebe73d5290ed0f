//! Runs each case a few times, in a function that callgrind can be told to look at: see `benches/instructions.sh`.
//! By itself it only shows that every case runs.

use riparian_benches::cases::{self, Run};

/// How often each case runs where it is counted; the counts are divided by it.
const TIMES: usize = 10;

fn main() {
    let wanted = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    for case in cases::all() {
        if wanted.as_deref().is_some_and(|wanted| !case.name.contains(wanted)) {
            continue;
        }
        let mut run = (case.make)();
        // What is allocated or looked up once is none of a request's.
        for _ in 0..3 {
            run();
        }
        counted(&mut run);
        println!("{}", case.name);
    }
}

/// Callgrind counts in here and writes its count down when it is left; so it must have a name of its own.
#[inline(never)]
fn counted(run: &mut Run) {
    for _ in 0..TIMES {
        run();
    }
}
