//! Fake clouds, an open-loop load driver, and an oracle that judges what reached whom. It speaks HTTP from outside and
//! knows nothing of the proxy that it tests.

pub mod cloud;

pub use cloud::{CloudSpec, Counts, Credential, FakeCloud, Fault, Kind, Outcome, Protocol, Seen};
