//! `riparian schema`.

use super::Found;

pub(super) fn run() -> Found {
    println!("{:#}", riparian_config::schema());
    Found::Nothing
}
