//! Two hundred zips that mean harm, read as a deploy action reads its input, in a process of its own: each is refused with
//! a reason or read right, and how much memory all of that takes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::io::{Cursor, Write};

use artifacts::{Content, TempFile, Unpacked, Zip, ZipLimits};
use aws_sdk_s3::primitives::ByteStream;
use crc32fast::hash as crc32;
use testkit::zips::{Entry, make, stored};
use testkit::{noise, peak_memory};
use zip::write::{SimpleFileOptions, ZipWriter};

const MIB: usize = 1 << 20;

/// What must become of a zip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Whoever reads it to its end has been deceived.
    Refused,
    /// It is refused, or what is read of it is what was packed: some changes do no harm.
    Right,
}

struct Hostile {
    what: String,
    bytes: Vec<u8>,
    fate: Fate,
}

/// The contents that honest entries have: whatever is read of a zip must be one of them.
fn contents() -> [Vec<u8>; 3] {
    [b"hello\n".to_vec(), b"some text that is packed, packed, packed".repeat(40), noise(7, 5_000)]
}

/// The same numbers in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn honest() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (number, content) in contents().iter().enumerate() {
        zip.start_file(format!("folder/{number}.txt"), SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn deflated_zeros(length: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("zeros", SimpleFileOptions::default().large_file(length > u32::MAX as usize)).unwrap();
    for _ in 0..length / MIB {
        zip.write_all(&[0; MIB]).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The packed bytes of the first entry of a zip whose entries have no extra field.
fn packed(zip: &[u8]) -> &[u8] {
    let name = usize::from(u16::from_le_bytes([zip[26], zip[27]]));
    let directory = zip.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    &zip[30 + name..directory]
}

/// One damaged byte or more, cut short, or spliced: what a broken connection and a fuzzer make.
fn damaged(all: &mut Vec<Hostile>) {
    let honest = honest();
    let mut numbers = Numbers(1);
    for seed in 0..60 {
        let mut bytes = honest.clone();
        for _ in 0..=seed % 5 {
            let at = numbers.below(bytes.len());
            bytes[at] ^= 1 << numbers.below(8);
        }
        all.push(Hostile { what: format!("changed bytes, {seed}"), bytes, fate: Fate::Right });
    }
    // Where it hurts: in the directory and in the end record.
    let directory = honest.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for seed in 0..30 {
        let mut bytes = honest.clone();
        let at = directory + numbers.below(bytes.len() - directory);
        bytes[at] = [0, 0xFF, 0x80, 0x7F][numbers.below(4)];
        all.push(Hostile { what: format!("changed directory at {at}, {seed}"), bytes, fate: Fate::Right });
    }
    for seed in 0..15 {
        let end = numbers.below(honest.len());
        let fate = Fate::Refused;
        all.push(Hostile { what: format!("cut at {end}, {seed}"), bytes: honest[..end].to_vec(), fate });
    }
    for seed in 0..5 {
        let mut bytes = noise(seed, 50_000);
        bytes.extend(&honest[directory..]);
        all.push(Hostile { what: format!("another body, {seed}"), bytes, fate: Fate::Refused });
    }
    for (what, before, after) in [
        ("a program before the zip", 4_000, 0),
        ("bytes behind the zip", 0, 100),
        ("more bytes behind it than a comment may have", 0, 70_000),
    ] {
        let bytes = [noise(3, before), honest.clone(), noise(4, after)].concat();
        all.push(Hostile { what: what.into(), bytes, fate: Fate::Right });
    }
    let fate = Fate::Right;
    all.push(Hostile { what: "two zips".into(), bytes: [honest.clone(), honest].concat(), fate });
}

/// Names that lead out of the place where the zip is unpacked, that no object may have, or that come twice.
fn names(all: &mut Vec<Hostile>) {
    let long = "x".repeat(1_025);
    let deep = "a/".repeat(20_000);
    let names: [&[u8]; 24] = [
        b"../evil",
        b"a/../../evil",
        b"a/b/../../../evil",
        b"..",
        b"a/..",
        b"/etc/passwd",
        b"//server/share",
        b"C:/evil",
        b"c:evil",
        b"..\\evil",
        b"a\\..\\..\\evil",
        b"\\\\server\\share",
        b"a\0b",
        b"\0",
        b"a/\0/b",
        b"..\0/evil",
        b"\x01control",
        b"new\nline",
        b"\x1b[31mred",
        b"bell\x07",
        long.as_bytes(),
        deep.as_bytes(),
        "\u{202e}gpj.exe".as_bytes(),
        b"....//evil",
    ];
    let [hello, ..] = contents();
    for name in names {
        let harmless =
            ["\u{202e}gpj.exe".as_bytes(), b"....//evil", b"new\nline", b"\x01control", b"\x1b[31mred", b"bell\x07"];
        let fate = if harmless.contains(&name) { Fate::Right } else { Fate::Refused };
        let bytes = make(&[stored(b"fine", &hello), stored(name, &hello)], false);
        all.push(Hostile { what: format!("the name {:.40?}", String::from_utf8_lossy(name)), bytes, fate });
    }
    for (one, other) in [("a", "a"), ("a", "./a"), ("a//b", "a/b"), ("a/./b", "a/b")] {
        let bytes = make(&[stored(one.as_bytes(), &hello), stored(other.as_bytes(), &hello)], false);
        all.push(Hostile { what: format!("{one} and {other}"), bytes, fate: Fate::Refused });
    }
    // A file where another entry has a folder.
    let bytes = make(&[stored(b"a", &hello), stored(b"a/b", &hello)], false);
    all.push(Hostile { what: "a file that is also a folder".into(), bytes, fate: Fate::Right });
}

/// Links, devices, encryption, methods of packing that are not understood.
fn kinds(all: &mut Vec<Hostile>) {
    let [hello, ..] = contents();
    for mode in [0o120_777, 0o020_666, 0o060_666, 0o010_644, 0o140_755, 0o170_000] {
        for system in [0, 3, 19] {
            let entry = Entry { mode, system, ..stored(b"link", b"/etc/passwd") };
            let what = format!("mode {mode:o} from system {system}");
            all.push(Hostile { what, bytes: make(&[entry], false), fate: Fate::Refused });
        }
    }
    for method in [1, 6, 9, 12, 14, 93, 95, 98, 99, 1_000] {
        let bytes = make(&[Entry { method, ..stored(b"odd", &hello) }], false);
        all.push(Hostile { what: format!("method {method}"), bytes, fate: Fate::Refused });
    }
    for flags in [0x801, 0x841, 0x2001] {
        let bytes = make(&[Entry { flags, ..stored(b"locked", &hello) }], false);
        all.push(Hostile { what: format!("flags {flags:x}"), bytes, fate: Fate::Refused });
    }
}

/// More than one byte of the zip tells of: bombs, shared bytes, sizes that are not true.
fn sizes(all: &mut Vec<Hostile>) {
    let [hello, ..] = contents();
    for mebibytes in [20, 64, 128, 300] {
        let bytes = deflated_zeros(mebibytes * MIB);
        all.push(Hostile { what: format!("{mebibytes} MiB of zeros"), bytes, fate: Fate::Refused });
    }
    // One deflated stream that many entries share, each of 16 MiB.
    let kernel = deflated_zeros(16 * MIB);
    let names: Vec<_> = (0..2_000).map(|number| format!("{number:04}")).collect();
    let crc = crc32(&vec![0; 16 * MIB]);
    let size = (16 * MIB) as u32;
    let shared = |name| Entry { method: 8, size, crc, ..stored(name, packed(&kernel)) };
    let bytes = make(&names.iter().map(|name| shared(name.as_bytes())).collect::<Vec<_>>(), true);
    all.push(Hostile { what: "2,000 entries that share 16 MiB of zeros".into(), bytes, fate: Fate::Refused });
    for size in [0, 5, 7, 1_000, 0x7FFF_FFFF, u32::MAX] {
        let bytes = make(&[Entry { size, ..stored(b"lie", &hello) }], false);
        all.push(Hostile { what: format!("6 bytes said to be {size}"), bytes, fate: Fate::Right });
    }
    for size in [0, 1, size - 1, size + 1, u32::MAX - 1] {
        let bytes = make(&[Entry { size, ..shared(b"zeros") }], false);
        // Nothing is missing where the zip promises more: the checksum is right.
        let fate = if size < 16 << 20 { Fate::Refused } else { Fate::Right };
        all.push(Hostile { what: format!("16 MiB said to be {size}"), bytes, fate });
    }
    let bytes = make(&[Entry { crc: 1, ..stored(b"crc", &hello) }], false);
    all.push(Hostile { what: "a checksum of something else".into(), bytes, fate: Fate::Refused });
}

/// Directories that cost more to read than the zip is worth.
fn directories(all: &mut Vec<Hostile>) {
    let long: Vec<_> = (0..40_000).map(|number| format!("{number:0>1000}")).collect();
    let bytes = make(&long.iter().map(|name| stored(name.as_bytes(), b"")).collect::<Vec<_>>(), true);
    all.push(Hostile { what: "40,000 names of 1,000 bytes".into(), bytes, fate: Fate::Right });
    let extra = [&[0xFE_u8, 0xCA][..], &60_000_u16.to_le_bytes(), &vec![0; 60_000]].concat();
    let names: Vec<_> = (0..4_000).map(|number| number.to_string()).collect();
    let padded = |name| Entry { extra: &extra, ..stored(name, b"") };
    let bytes = make(&names.iter().map(|name| padded(name.as_bytes())).collect::<Vec<_>>(), true);
    all.push(Hostile { what: "240 MB of extra fields".into(), bytes, fate: Fate::Refused });
    let [hello, ..] = contents();
    for extra in [&[1_u8, 0, 8, 0][..], &[1, 0, 255, 255], &[1], &[0x75, 0x70, 0, 0], &[1, 0, 24, 0, 9, 9, 9, 9]] {
        let bytes = make(&[Entry { extra, ..stored(b"extra", &hello) }], false);
        all.push(Hostile { what: format!("the extra field {extra:?}"), bytes, fate: Fate::Right });
    }
    // A directory of 2^64 - 1 entries, or where there is none.
    for (count, start) in [(u64::MAX, 0), (1 << 40, 0), (1, u64::MAX), (1, 1 << 40), (0, 0)] {
        let mut bytes = honest();
        let end = bytes.len() - 22;
        bytes.truncate(end);
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [count, count, 200, start] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend((end as u64).to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
        all.push(Hostile { what: format!("64 bits: {count} entries at {start}"), bytes, fate: Fate::Right });
    }
}

/// Checks the zip and reads all of it; how many files of a content that nobody packed there were.
async fn read(file: TempFile, right: &HashSet<u32>) -> Result<usize, artifacts::Error> {
    let zip = Zip::open(file, "input artifact Build", ZipLimits::default()).await?;
    zip.verify().await?;
    let mut contents = zip.contents();
    let mut wrong = 0;
    while let Some((_, content)) = contents.next().await? {
        let mut bytes = Vec::new();
        match content {
            Unpacked::Whole(Content::Memory(all)) => bytes.extend(all),
            Unpacked::Whole(Content::File(file)) => bytes = std::fs::read(file.path()).unwrap(),
            Unpacked::Stream(mut stream) => {
                while let Some(piece) = stream.next().await? {
                    bytes.extend(piece);
                }
            }
        }
        wrong += usize::from(!right.contains(&crc32(&bytes)));
    }
    Ok(wrong)
}

#[tokio::test]
async fn two_hundred_hostile_zips_are_refused_or_read_right_in_little_memory() {
    let mut all = Vec::new();
    for family in [damaged, names, kinds, sizes, directories] {
        family(&mut all);
    }
    assert!(all.len() >= 200, "{}", all.len());

    // They lie on disk, so that the memory is what reading them takes.
    let right: HashSet<_> =
        contents().iter().map(|content| crc32(content)).chain([0, crc32(&vec![0; 16 * MIB])]).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, hostile) in all.into_iter().enumerate() {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, &hostile.bytes).unwrap();
        files.push((path, hostile.what, hostile.fate));
    }
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak_memory();
    let mut troubles = Vec::new();
    for (path, what, fate) in files {
        let body = ByteStream::from_path(&path).await.unwrap();
        let file = TempFile::receive(body, "the zip", None, 1 << 30).await.unwrap();
        match read(file, &right).await {
            Ok(0) if fate == Fate::Right => {}
            Ok(wrong) => troubles.push(format!("{what}: read, with {wrong} wrong files")),
            Err(error) => {
                let said = error.to_string();
                let plain = said.len() < 600 && !said.chars().any(char::is_control);
                if !(plain && said.starts_with("input artifact Build: ")) || error.is_retryable() {
                    troubles.push(format!("{what}: {said:?}"));
                }
            }
        }
        let memory = (peak_memory() - before) / MIB;
        if memory > 256 {
            troubles.push(format!("{what}: {memory} MiB of memory"));
        }
    }
    assert!(troubles.is_empty(), "{troubles:#?}");
}
