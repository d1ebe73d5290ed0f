//! The oracle judges by the text of the shipped configurations, or says which term it cannot judge.

use std::path::Path;

use riparian_loadtest::Rules;

#[test]
fn every_shipped_example_can_be_judged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
    let mut judged = 0;
    for entry in std::fs::read_dir(&folder).expect("the examples lie beside this crate") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue; // what the examples include
        }
        let text = std::fs::read_to_string(&path).expect("an example is text");
        let included =
            |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
        if let Err(why) = Rules::from_config(&text, included) {
            panic!("{}: {why}", path.display());
        }
        judged += 1;
    }
    assert!(judged >= 5, "{judged} examples were found");
}
