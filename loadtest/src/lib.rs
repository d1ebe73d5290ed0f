//! Fake clouds, an open-loop load driver, and an oracle that judges what reached whom. It speaks HTTP from outside and
//! knows nothing of the proxy that it tests.
//!
//! ```
//! use std::time::Duration;
//! use riparian_loadtest::{CloudSpec, FakeCloud, Kind, Plan, Report, Rules, Sight, drive, oracle};
//!
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "vendor").credential("sk-1")).await?;
//! // Here a proxy's address would stand: the driver sends to it, and the cloud sees what comes out of it.
//! let mut plan = Plan::new(cloud.base_url(), 200.0, Duration::from_millis(200));
//! plan.credential = Some("sk-1".to_owned());
//! let run = drive::run(plan, |_| {}).await?;
//!
//! let rules = Rules::parse(["stateless=openai", "stateful=openai"])?;
//! let sights = [Sight::from(&cloud)];
//! let findings = oracle::judge(&rules, &run, &sights);
//! assert!(findings.is_clean());
//! println!("{}", Report::new(&rules, &run, &sights, findings));
//! cloud.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

pub mod cloud;
pub mod compare;
pub mod cpu;
pub mod drive;
pub mod html;
pub mod oracle;
pub mod process;
pub mod report;
pub mod stage;
pub mod state;
pub mod streams;

pub use cloud::{
    CloudSpec, Counts, Credential, FAULT_HEADER, FakeCloud, Family, Fault, Fleet, Kind, Lifetimes,
    NONCE_HEADER, Outcome, Protocol, SCRIPT_HEADER, Script, Seen, TENANT_HEADER,
};
pub use drive::{Http, Manners, Mix, Plan, Progress, Run, Sample, Shape, Verdict};
pub use oracle::{Class, Finding, Findings, Rules, Sight};
pub use report::{Report, Spread};
