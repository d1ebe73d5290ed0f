use super::super::{Born, Life, Pin};
use super::*;
use riparian_config::{CloudName, EndpointName, Timestamp};
use riparian_filters::identify::{SessionId, Tenant};
use std::path::Path;

fn limits() -> Pins {
    let day = Duration::from_secs(86_400);
    Pins { store: None, ttl: day, max: 1_000_000, per_tenant: 1_000_000, sweep: day }
}

fn keys() -> Keys {
    Keys::derive(b"key")
}

fn born(number: u32) -> Born {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&number.to_be_bytes());
    let pin = Pin {
        endpoint: EndpointName::new("e").unwrap(),
        cloud: CloudName::new("c").unwrap(),
        session: SessionId::mint([1; 16]),
        since: Timestamp::from_second(1).unwrap(),
    };
    Born { key: PinKey::from_bytes(key), pin, life: Life::default() }
}

/// A writer that nobody runs, and the table that it writes.
fn writer(path: &Path) -> Writer {
    let changes = Arc::new(Changes::new(PinMetrics::noop()));
    let told = Some(Arc::clone(&changes));
    let table = Arc::new(Table::telling(limits(), PinMetrics::noop(), Clock::start(0), told));
    Writer { path: path.to_owned(), file: None, keys: keys(), table, changes }
}

fn learn(writer: &Writer, numbers: std::ops::Range<u32>) {
    numbers.for_each(|number| {
        writer.table.learn(Tenant::from_bytes([1; 16]), &born(number), writer.table.now());
    });
}

/// How many pins there are in the file.
fn kept(folder: &Path) -> u64 {
    let opened = Opened::begin(folder).unwrap();
    opened.open(&limits(), &keys(), PinMetrics::noop()).unwrap().table().len()
}

/// A directory with a journal in it, and the journal's file.
fn begun() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(kept(folder.path()), 0);
    let file = folder.path().join("pins.redb");
    (folder, file)
}

#[test]
fn what_does_not_fit_the_queue_is_in_the_file_all_the_same() {
    let (folder, file) = begun();
    let mut writer = writer(&file);
    let many = u32::try_from(QUEUE).unwrap() + 100;
    learn(&writer, 0..many);
    assert!(writer.changes.whole.load(Ordering::Acquire), "the queue was full");
    writer.batch().unwrap();
    assert!(!writer.changes.whole.load(Ordering::Acquire));
    drop(writer);
    assert_eq!(kept(folder.path()), u64::from(many));
}

#[test]
fn a_disk_that_failed_gets_all_of_it_when_it_is_back() {
    let (folder, file) = begun();
    let away = folder.path().join("away");
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    let mut writer = writer(&file);
    learn(&writer, 0..10);
    assert!(writer.batch().is_err());
    // As the thread does after a fault.
    writer.changes.all_anew();
    learn(&writer, 10..20);
    assert!(writer.batch().is_err());
    writer.changes.all_anew();
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    writer.batch().unwrap();
    writer.table.forget(born(3).key);
    writer.batch().unwrap();
    drop(writer);
    assert_eq!(kept(folder.path()), 19);
}
