//! Damaged files: each is rejected, or returns exactly what was written.

use std::fs;
use std::path::Path;

use flockwise_runtime::store::{CheckpointState, Store};
use flockwise_store::StoreSettings;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{Desk, NOW_MS, Records, batch, kept, load, sample, settled};

/// A file after several batches, with branches, overflow pages and free pages, and its records after the last batch
/// and after the one before.
struct Lived {
    bytes: Vec<u8>,
    page_bytes: usize,
    states: [(i64, Records); 2],
}

impl Lived {
    fn pages(&self) -> usize {
        self.bytes.len() / self.page_bytes
    }
}

fn lived() -> Lived {
    let desk = Desk::set();
    let mut records = sample(1_500, 1);
    desk.written(0, &records, 1);
    let mut worker = desk.store.handle();
    load(&mut worker, 0);
    let mut former = records.clone();
    for offset in 2..8 {
        former.clone_from(&records);
        let mut news = batch(Some(offset));
        for (number, key) in former.keys().enumerate() {
            match (number + offset as usize) % 9 {
                0 => {
                    news.push(key, None);
                    records.remove(key);
                }
                1 => {
                    let value = vec![offset as u8; 30 * offset as usize];
                    news.push(key, Some(&value));
                    records.insert(key.clone(), value);
                }
                _ => {}
            }
        }
        worker.write(0, news);
        settled(&mut worker, 0);
    }
    desk.finish();
    let bytes = fs::read(desk.file(0)).unwrap();
    let states = [(6, former), (7, records)];
    // The page size follows the page header, magic, version, address and map size.
    let page_bytes = u32::from_ne_bytes(bytes[40..44].try_into().unwrap()) as usize;
    Lived {
        bytes,
        page_bytes,
        states,
    }
}

/// Puts a file in place of a checkpoint and loads it. Returns whether it was accepted, and checks that it is then
/// correct.
fn is_taken(desk: &Desk, bytes: &[u8], lived: &Lived) -> bool {
    let file = desk.file(0);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, bytes).unwrap();
    let mut worker = desk.store.handle();
    let loaded = load(&mut worker, 0);
    let Some(loaded) = loaded else {
        assert_eq!(settled(&mut worker, 0), CheckpointState::Empty);
        return false;
    };
    assert!(lived.states.contains(&loaded), "offset {}", loaded.0);
    // LMDB can write to an accepted file without ending the process.
    let (offset, mut records) = (loaded.0 + 10, loaded.1);
    let news = sample(300, 77);
    let mut changes = kept(&news, Some(offset));
    for key in records
        .keys()
        .step_by(5)
        .filter(|key| !news.contains_key(*key))
    {
        changes.push(key, None);
    }
    let removed: Vec<_> = records.keys().step_by(5).cloned().collect();
    records.retain(|key, _| !removed.contains(key) || news.contains_key(key));
    records.extend(news);
    worker.write(0, changes);
    worker.release(0);
    let is_right = load(&mut worker, 0) == Some((offset, records));
    assert!(is_right && desk.metric("failures_total") == Some(0.0));
    worker.release(0);
    desk.finish();
    true
}

#[test]
fn no_wrong_bytes_are_taken_for_right() {
    let lived = lived();
    assert!(is_taken(&Desk::set(), &lived.bytes, &lived));
    let change = (any::<Index>(), 1..=255_u8);
    // Meta pages and page headers are a small part of the file, but the most sensitive.
    let head = (0..4_usize, 0..160_usize, 1..=255_u8);
    let header = (any::<Index>(), 0..24_usize, 1..=255_u8);
    let strategy = (vec(change, 0..3), vec(head, 0..2), vec(header, 0..2));
    let config = ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |((anywhere, heads, headers) in strategy)| {
        let mut bytes = lived.bytes.clone();
        for (at, by) in anywhere {
            bytes[at.index(lived.bytes.len())] ^= by;
        }
        for (page, at, by) in heads {
            bytes[page * lived.page_bytes + at] ^= by;
        }
        for (page, at, by) in headers {
            bytes[page.index(lived.pages()) * lived.page_bytes + at] ^= by;
        }
        is_taken(&Desk::set(), &bytes, &lived);
    });
}

#[test]
fn every_byte_of_the_head_may_be_wrong() {
    let (lived, desk) = (lived(), Desk::set());
    let mut taken = 0;
    for page in [0, lived.page_bytes] {
        for at in 0..152 {
            for bit in [0x01, 0x80] {
                let mut bytes = lived.bytes.clone();
                bytes[page + at] ^= bit;
                taken += usize::from(is_taken(&desk, &bytes, &lived));
            }
        }
    }
    // Few bytes of the older meta page matter, and many of the newer one.
    assert!((1..500).contains(&taken), "{taken}");
}

#[test]
fn exchanged_pages_and_lost_writes_are_seen() {
    let (lived, desk) = (lived(), Desk::set());
    let (pages, page_bytes) = (lived.pages(), lived.page_bytes);
    for page in 2..pages {
        // Zeros stand for a write that was confirmed but never reached the disk. Then another page in its place.
        let mut bytes = lived.bytes.clone();
        bytes[page * page_bytes..][..page_bytes].fill(0);
        is_taken(&desk, &bytes, &lived);
        let mut bytes = lived.bytes.clone();
        let other = 2 + (page * 7) % (pages - 2);
        bytes.copy_within(
            other * page_bytes..(other + 1) * page_bytes,
            page * page_bytes,
        );
        is_taken(&desk, &bytes, &lived);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (lived, desk) = (lived(), Desk::set());
    let (length, page) = (lived.bytes.len(), lived.page_bytes);
    let many = (0..length).step_by(1_361);
    let telling = [
        1,
        15,
        16,
        151,
        page - 1,
        page,
        page + 1,
        2 * page - 1,
        2 * page,
    ];
    let last = [
        length - page - 1,
        length - page,
        length - page + 1,
        length - 1,
    ];
    let mut is_refused = true;
    for cut in many.chain(telling).chain(last) {
        let was_taken = is_taken(&desk, &lived.bytes[..cut], &lived);
        // The last pages may be free pages.
        is_refused &= !was_taken || cut > length * 3 / 4;
        let mut grown = lived.bytes[..cut].to_vec();
        grown.resize(length, 0);
        is_taken(&desk, &grown, &lived);
    }
    assert!(is_refused);
}

#[test]
fn foreign_files_are_set_aside() {
    let foreign: [(&str, &[u8]); 4] = [
        ("text", b"not a database"),
        ("zeros", &[0; 20_000]),
        ("ones", &[255; 20_000]),
        ("an own file", include_bytes!("damage.rs")),
    ];
    for (name, bytes) in foreign {
        let desk = Desk::set();
        let lived = Lived {
            bytes: Vec::new(),
            page_bytes: 0,
            states: Default::default(),
        };
        assert!(!is_taken(&desk, bytes, &lived), "{name}");
        assert_eq!(
            desk.metric("rejected_checkpoints_total"),
            Some(1.0),
            "{name}"
        );
        let aside = desk.app().join(format!("task-0.aside-{NOW_MS}/data.mdb"));
        assert_eq!(fs::read(aside).unwrap(), bytes, "{name}");
    }
}

#[test]
fn a_copy_of_another_task_or_app_is_set_aside() {
    let desk = Desk::set();
    desk.written(1, &sample(50, 1), 4);
    fs::rename(desk.app().join("task-1"), desk.app().join("task-2")).unwrap();
    assert_eq!(load(&mut desk.store.handle(), 2), None);
    desk.finish();
    assert_eq!(desk.names(), [format!("task-2.aside-{NOW_MS}")]);
    let folder = tempfile::tempdir().unwrap();
    desk.written(1, &sample(50, 1), 4);
    fs::create_dir(folder.path().join("shoe")).unwrap();
    fs::rename(desk.app().join("task-1"), folder.path().join("shoe/task-1")).unwrap();
    let settings = StoreSettings::new(folder.path(), "shoe");
    let shoe = Desk::with(Some(folder), settings);
    assert_eq!(load(&mut shoe.store.handle(), 1), None);
    shoe.finish();
    assert_eq!(shoe.metric("rejected_checkpoints_total"), Some(1.0));
}

#[test]
fn what_is_no_folder_or_no_file_is_set_aside() {
    let makings: [fn(&Path); 3] = [
        |folder| fs::write(folder, "a file in the folder's place").unwrap(),
        |folder| fs::create_dir_all(folder.join("data.mdb/deep")).unwrap(),
        |folder| {
            fs::create_dir(folder).unwrap();
            let made = std::process::Command::new("mkfifo")
                .arg(folder.join("data.mdb"))
                .status();
            assert!(made.unwrap().success());
        },
    ];
    for make in makings {
        let desk = Desk::set();
        fs::create_dir(desk.app()).unwrap();
        make(&desk.app().join("task-0"));
        let mut worker = desk.store.handle();
        assert_eq!(load(&mut worker, 0), None);
        assert_eq!(settled(&mut worker, 0), CheckpointState::Empty);
        assert_eq!(desk.metric("rejected_checkpoints_total"), Some(1.0));
        let records = sample(10, 1);
        worker.write(0, kept(&records, Some(1)));
        assert_eq!(load(&mut worker, 0), Some((1, records)));
    }
}

#[test]
fn a_folder_without_a_file_is_no_copy() {
    let desk = Desk::set();
    fs::create_dir_all(desk.app().join("task-0")).unwrap();
    let mut worker = desk.store.handle();
    assert_eq!(load(&mut worker, 0), None);
    assert_eq!(worker.checkpoint_state(0), CheckpointState::Empty);
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
}
