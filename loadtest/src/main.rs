//! The command line of the load test.
//!
//! ```text
//! riparian-loadtest fake --kind azure --name azure-eastus2 --listen 127.0.0.1:9001 --credential k --models gpt55-prod
//! riparian-loadtest run --target http://127.0.0.1:8080/v1 --rate 200 --seconds 10 --config riparian.yaml
//! riparian-loadtest streams --target http://127.0.0.1:8080/v1 --pid 4711 --streams 9000 --config riparian.yaml
//! riparian-loadtest state --requests 100000 --json state.json
//! riparian-loadtest cpu --target http://127.0.0.1:8080/v1 --pid 4711 --seconds 10 --concurrency 16 --body-bytes 65536
//! ```
//!
//! Exit codes: 0 fine, 1 findings, 2 usage or an environment in which nothing could be measured.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = cli::Args::parse(); // clap exits with 2 by itself
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("riparian-loadtest: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(cli::execute(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("riparian-loadtest: {error}");
            ExitCode::from(2)
        }
    }
}
