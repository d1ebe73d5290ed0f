//! Every example is accepted: it is what the documentation points at.

use riparian_config::Config;
use std::fs;
use std::path::Path;

#[test]
fn every_example_parses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    let read = |file: &str| fs::read_to_string(folder.join(file)).map_err(|error| error.to_string());
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What the examples include.
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        if let Err(faults) = Config::parse_with(&text, &path.file_name().unwrap().to_string_lossy(), &read) {
            panic!("{faults}");
        }
        seen += 1;
    }
    assert!(seen > 0, "there are examples");
}
