//! Arguments -> command -> exit code.

use clap::Parser;
use std::process::ExitCode;

/// About a tenth of a request's CPU time less than with the system's allocator; `docs/performance.md` has the comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    riparian_proxy::cli::Cli::parse().run()
}
