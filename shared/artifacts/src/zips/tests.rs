//! Zips as nobody's tools make them.

use std::io::{Cursor, Write};

use testkit::zips::{Entry as Raw, make, stored as raw};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::archive::{Archive, Links, Stop};
use super::*;
use crate::content::{Content, TempFile};
use crate::error::Error;

fn deflated(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn open(bytes: Vec<u8>) -> Result<Archive<Cursor<Vec<u8>>>, InvalidZip> {
    Archive::open(Cursor::new(bytes), ZipLimits::default(), Links::Refused)
}

/// Opens and unpacks all of it.
fn unpack_all(bytes: Vec<u8>, limits: ZipLimits) -> Result<Vec<(String, Vec<u8>)>, InvalidZip> {
    let mut archive = Archive::open(Cursor::new(bytes), limits, Links::Refused)?;
    let mut all = Vec::new();
    for entry in archive.files().to_vec() {
        let mut data = Vec::new();
        match archive.unpack(&entry, u64::MAX, &mut data) {
            Ok(size) => assert_eq!(size, data.len() as u64),
            Err(Stop::Zip(error)) => return Err(error),
            Err(Stop::Sink(error)) => panic!("{error}"),
        }
        all.push((entry.name, data));
    }
    Ok(all)
}

fn refused(bytes: Vec<u8>) -> InvalidZip {
    unpack_all(bytes, ZipLimits::default()).unwrap_err()
}

#[test]
fn good_zips_are_read_in_their_order_without_directories() {
    let made = make(
        &[
            raw(b"z.txt", b"last"),
            Raw { mode: 0o040_755, ..raw(b"dir/", b"") },
            Raw { mode: 0, system: 0, ..raw(b"dir/a.txt", b"") },
            raw("./naïve.txt".as_bytes(), b"one"),
            Raw { flags: 0, ..raw(b"caf\x82.txt", b"code page 437") },
        ],
        false,
    );
    let read = unpack_all(made, ZipLimits::default()).unwrap();
    let names: Vec<_> = read.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    let expected: [(&str, &[u8]); 4] =
        [("z.txt", b"last"), ("dir/a.txt", b""), ("naïve.txt", b"one"), ("café.txt", b"code page 437")];
    assert_eq!(names, expected);
}

#[test]
fn an_empty_zip_has_no_files() {
    assert_eq!(unpack_all(make(&[], false), ZipLimits::default()).unwrap(), []);
    assert_eq!(unpack_all(write_zip::<&str, &[u8]>([]).unwrap().to_vec(), ZipLimits::default()).unwrap(), []);
}

#[test]
fn names_that_lead_out_are_refused_by_name() {
    for name in ["../evil", "a/../../evil", "/etc/passwd", "C:/evil", "C:evil", "..\\evil", "a\\b", "a\0b"] {
        let error = refused(make(&[raw(b"fine", b"1"), raw(name.as_bytes(), b"2")], false));
        let InvalidZip::UnsafeName { entry, .. } = &error else { panic!("{name:?}: {error:?}") };
        assert_eq!(*entry, format!("{name:?}"));
    }
}

#[test]
fn links_and_devices_are_refused_whatever_system_they_claim() {
    for (mode, kind) in [
        (0o120_777, "symbolic link"),
        (0o020_666, "device"),
        (0o060_666, "device"),
        (0o010_666, "named pipe"),
        (0o140_777, "socket"),
        (0o150_000, "file of an unknown kind"),
    ] {
        for system in [3, 0, 19] {
            let made = make(&[Raw { mode, system, ..raw(b"link", b"/etc/passwd") }], false);
            assert_eq!(refused(made), InvalidZip::Special { entry: "\"link\"".into(), kind });
        }
    }
}

#[test]
fn names_that_come_twice_are_refused() {
    let twice = |one, other| refused(make(&[raw(b"x", b"0"), raw(one, b"1"), raw(other, b"2")], false));
    assert_eq!(twice(b"a/b", b"a/b"), InvalidZip::Duplicate { entry: "\"a/b\"".into() });
    assert_eq!(twice(b"a/b", b"./a//b"), InvalidZip::Duplicate { entry: "\"a/b\"".into() });
}

#[test]
fn encrypted_and_strangely_packed_entries_are_named() {
    let locked = make(&[Raw { flags: 0x801, ..raw(b"secret", b"?????????????") }], false);
    assert_eq!(refused(locked), InvalidZip::Encrypted { entry: "\"secret\"".into() });
    let odd = refused(make(&[Raw { method: 14, ..raw(b"lzma", b"x") }], false));
    assert!(matches!(&odd, InvalidZip::Method { entry, .. } if entry == "\"lzma\""), "{odd:?}");
    assert!(odd.to_string().contains("method Lzma"), "{odd}");
}

#[test]
fn what_is_no_zip_is_called_so() {
    let whole = deflated(&[("a.txt", &[7; 5000]), ("b.txt", b"hello")]);
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03rest of a gzip file".to_vec();
    for bytes in [Vec::new(), b"hello, this is a text".to_vec(), gzip, b"PK\x03\x04".to_vec()] {
        let error = open(bytes).unwrap_err();
        assert!(matches!(error, InvalidZip::NotAZip(_)), "{error:?}");
        assert!(error.to_string().starts_with("not a zip: "), "{error}");
    }
    // Cut anywhere, it is refused; nothing panics.
    for end in 0..whole.len() {
        assert!(unpack_all(whole[..end].to_vec(), ZipLimits::default()).is_err(), "cut at {end}");
    }
}

#[test]
fn changed_bytes_are_never_taken_for_the_original() {
    let whole = deflated(&[("a.txt", b"some text that is packed"), ("b.txt", b"hello")]);
    let read = unpack_all(whole.clone(), ZipLimits::default()).unwrap();
    for at in 0..whole.len() {
        for bit in [0x01, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            // Not every byte matters (dates, versions); but a file's content is right, or refused by name.
            if let Ok(other) = unpack_all(changed, ZipLimits::default()) {
                for (name, data) in other {
                    assert!(read.iter().any(|(_, original)| *original == data), "byte {at}: {name} changed");
                }
            }
        }
    }
    let mut changed = make(&[raw(b"a", b"content")], false);
    let at = changed.windows(7).position(|window| window == b"content").unwrap();
    changed[at] = b'C';
    assert!(matches!(refused(changed), InvalidZip::Damaged { entry, .. } if entry == "\"a\""));
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let zeros = vec![0; 24 << 20];
    let bomb = deflated(&[("zeros", &zeros)]);
    assert!(bomb.len() < 100_000);
    assert_eq!(refused(bomb.clone()), InvalidZip::Bomb { entry: "\"zeros\"".into(), ratio: 200 });
    let generous = ZipLimits { ratio: 2000, ..ZipLimits::default() };
    assert_eq!(unpack_all(bomb, generous).unwrap()[0].1.len(), 24 << 20);
    // A small file of zeros is none, though its ratio is as high.
    assert!(unpack_all(deflated(&[("zeros", &zeros[..1 << 20])]), ZipLimits::default()).is_ok());
}

#[test]
fn entries_that_share_their_bytes_are_counted_each_time() {
    let names: Vec<String> = (0..30).map(|index| format!("copy-{index:02}")).collect();
    let data = vec![1; 100_000];
    let entries: Vec<_> = names.iter().map(|name| raw(name.as_bytes(), &data)).collect();
    let limits = ZipLimits { total_bytes: 1_000_000, ..ZipLimits::default() };
    let error = unpack_all(make(&entries, true), limits).unwrap_err();
    assert_eq!(error, InvalidZip::TotalTooLarge { limit: 1_000_000 });
}

#[test]
fn sizes_are_counted_not_believed() {
    let honest = deflated(&[("big", &[0; 1_000_000])]);
    let mut lying = honest.clone();
    let central = lying.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    lying[22..26].copy_from_slice(&10_u32.to_le_bytes());
    lying[central + 24..central + 28].copy_from_slice(&10_u32.to_le_bytes());
    let limits = ZipLimits { total_bytes: 1000, ..ZipLimits::default() };
    assert_eq!(unpack_all(honest, limits).unwrap_err(), InvalidZip::TotalTooLarge { limit: 1000 });
    assert!(matches!(refused(lying), InvalidZip::Damaged { entry, .. } if entry == "\"big\""));
}

#[test]
fn too_many_entries_are_refused_before_they_cost_much() {
    let names: Vec<String> = (0..101).map(|index| index.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| raw(name.as_bytes(), b"")).collect();
    let limits = ZipLimits { entries: 100, ..ZipLimits::default() };
    let error = unpack_all(make(&entries, false), limits).unwrap_err();
    assert_eq!(error, InvalidZip::TooManyEntries { count: 101, limit: 100 });
    assert_eq!(unpack_all(make(&entries[1..], false), limits).unwrap().len(), 100);

    // A directory of many megabytes is not even read to its end.
    let names: Vec<String> = (0..9000).map(|index| format!("{index:0>1000}")).collect();
    let entries: Vec<_> = names.iter().map(|name| raw(name.as_bytes(), b"")).collect();
    let error = unpack_all(make(&entries, false), ZipLimits { entries: 1, ..limits }).unwrap_err();
    assert!(matches!(error, InvalidZip::DirectoryTooLarge { .. }), "{error:?}");
}

#[test]
fn a_file_is_found_by_its_path_and_a_missing_one_is_named() {
    let archive = open(deflated(&[("conf/input.json", b"{}")])).unwrap();
    assert_eq!(archive.find("./conf/input.json").unwrap().name, "conf/input.json");
    for missing in ["input.json", "../conf/input.json", ""] {
        assert_eq!(archive.find(missing).unwrap_err(), InvalidZip::NoEntry { entry: format!("{missing:?}") });
    }
}

#[test]
fn what_is_written_is_the_same_each_time_and_can_be_read() {
    let files = [("out/result.json", "{\"a\":1}"), ("log.txt", "")];
    let made = write_zip(files).unwrap();
    assert_eq!(made, write_zip(files).unwrap());
    let read = unpack_all(made.to_vec(), ZipLimits::default()).unwrap();
    assert_eq!(read, files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    for bad in [vec!["../x"], vec!["a", "a"], vec!["./"]] {
        assert!(matches!(write_zip(bad.iter().map(|name| (name, b""))), Err(Error::Zip { .. })), "{bad:?}");
    }
}

/// The same files as [`write_zip`] gets, through temporary storage.
async fn built(files: &[(&str, bool, &[u8])], limit: u64) -> Result<Vec<u8>, Error> {
    let mut zip = ZipBuilder::new("the tree", limit)?;
    for (name, executable, content) in files {
        zip = zip.file((*name).to_owned(), *executable, content.to_vec().into()).await?;
    }
    let file = zip.finish().await?;
    let bytes = std::fs::read(file.path()).unwrap();
    assert_eq!(file.size(), bytes.len() as u64);
    Ok(bytes)
}

#[tokio::test]
async fn a_zip_that_grows_in_temporary_storage_is_the_one_that_is_written_at_once() {
    let files: [(&str, bool, &[u8]); 2] = [("a/b.txt", false, b"text"), ("empty", false, b"")];
    let bytes = built(&files, 1 << 20).await.unwrap();
    assert_eq!(bytes, write_zip(files.map(|(name, _, content)| (name, content))).unwrap());
    let bytes = built(&[("run", true, b"#!"), ("read", false, b"")], 1 << 20).await.unwrap();
    let executable: Vec<_> = open(bytes).unwrap().files().iter().map(|it| (it.name.clone(), it.executable)).collect();
    assert_eq!(executable, [("run".to_owned(), true), ("read".to_owned(), false)]);
}

#[tokio::test]
async fn a_zip_that_grows_too_large_is_refused_while_it_grows() {
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let files: Vec<(String, bool, &[u8])> = (0..100).map(|n| (n.to_string(), false, noise.as_slice())).collect();
    let files: Vec<_> = files.iter().map(|(name, mode, content)| (name.as_str(), *mode, *content)).collect();
    let Err(Error::TooLarge { object, size, limit }) = built(&files, 1000).await else { panic!("accepted") };
    assert_eq!((object.as_str(), limit), ("the tree", 1000));
    assert!(size < 300_000, "it grew to {size} bytes before somebody looked");
    for bad in [vec!["../x"], vec!["a", "a"], vec![""]] {
        let files: Vec<(&str, bool, &[u8])> = bad.iter().map(|name| (*name, false, &b""[..])).collect();
        assert!(matches!(built(&files, 1000).await, Err(Error::Zip { .. })), "{bad:?}");
    }
}

async fn unwrapped(archive: &[u8]) -> Result<Vec<u8>, Error> {
    let file = without_top_folder(stored(archive), "the archive", ZipLimits::default(), 1 << 20).await?;
    Ok(std::fs::read(file.path()).unwrap())
}

#[tokio::test]
async fn the_folder_around_a_code_host_s_archive_is_taken_away_and_links_are_left_out() {
    let link = Raw { mode: 0o120_777, ..raw(b"top/link", b"a/run") };
    let run = Raw { mode: 0o100_755, ..raw(b"top/a/run", b"#!") };
    let folder = Raw { mode: 0o040_755, ..raw(b"top/", b"") };
    let made = unwrapped(&make(&[folder, run, link, raw(b"top/read", b"me")], false)).await.unwrap();
    let files = unpack_all(made.clone(), ZipLimits::default()).unwrap();
    assert_eq!(files, [("a/run".to_owned(), b"#!".to_vec()), ("read".to_owned(), b"me".to_vec())]);
    let executable: Vec<_> = open(made).unwrap().files().iter().map(|entry| entry.executable).collect();
    assert_eq!(executable, [true, false]);
    // What was deflated is copied as it is.
    let text = b"ab".repeat(10_000);
    let made = unwrapped(&deflated(&[("top/text", &text)])).await.unwrap();
    assert!(made.len() < 1000, "{}", made.len());
    assert_eq!(unpack_all(made, ZipLimits::default()).unwrap(), [("text".to_owned(), text)]);
}

#[tokio::test]
async fn an_archive_that_is_not_one_folder_is_refused_and_so_is_half_of_one() {
    for entries in [&[("top/a", &b""[..]), ("other/b", b"")][..], &[("a", b"")]] {
        let Err(Error::Zip { error: InvalidZip::UnsafeName { why, .. }, .. }) = unwrapped(&deflated(entries)).await
        else {
            panic!("{entries:?} was accepted")
        };
        assert_eq!(why, "it is not in the archive's one folder");
    }
    let whole = deflated(&[("top/a", b"text"), ("top/b", b"text")]);
    assert!(matches!(unwrapped(&whole[..whole.len() / 2]).await, Err(Error::Zip { .. })));
    let large = without_top_folder(stored(&whole), "the archive", ZipLimits::default(), 10).await;
    assert!(matches!(large, Err(Error::TooLarge { limit: 10, .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_not_blamed_on_the_zip() {
    let mut archive = open(deflated(&[("a", &[1; 100])])).unwrap();
    let entry = archive.files()[0].clone();
    let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let Err(Stop::Sink(error)) = archive.unpack(&entry, 1000, &mut full) else { panic!("written to /dev/full") };
    assert!(matches!(Error::storage("unpack", error), Error::StorageFull { .. }));
}

fn stored(bytes: &[u8]) -> TempFile {
    let (mut file, path) = TempFile::create().unwrap();
    file.write_all(bytes).unwrap();
    TempFile::finished(path, bytes.len() as u64)
}

#[tokio::test]
async fn contents_come_in_memory_or_through_temporary_storage_which_is_cleared() {
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = stored(&deflated(&[("small", b"hello"), ("big", &big), ("last", b"")]));
    let zip_path = file.path().to_owned();
    let zip = Zip::open(file, "input artifact App", ZipLimits::default()).await.unwrap();
    zip.verify().await.unwrap();
    assert_eq!(zip.files().iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["small", "big", "last"]);
    assert_eq!(zip.read("small", 5).await.unwrap(), "hello");
    let error = zip.read("small", 4).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "input artifact App: entry \"small\" is larger than the 4 bytes that are allowed for one entry"
    );

    let mut contents = zip.contents();
    let (entry, content) = contents.next().await.unwrap().unwrap();
    assert!(entry.name == "small" && matches!(&content, Unpacked::Whole(Content::Memory(bytes)) if bytes == "hello"));
    let (entry, content) = contents.next().await.unwrap().unwrap();
    let Unpacked::Whole(Content::File(spilled)) = content else { panic!("{} should be in a file", entry.name) };
    let spilled_path = spilled.path().to_owned();
    assert_eq!(std::fs::read(&spilled_path).unwrap(), big);
    assert_eq!(spilled.size(), 3_000_000);
    let (_, last) = contents.next().await.unwrap().unwrap();
    assert!(matches!(last, Unpacked::Whole(Content::Memory(bytes)) if bytes.is_empty()));
    assert!(contents.next().await.unwrap().is_none());
    assert!(contents.next().await.unwrap().is_none());
    drop((spilled, contents, zip));
    assert!(!spilled_path.exists() && !zip_path.exists());
}

#[tokio::test]
async fn a_damaged_entry_ends_the_stream_with_its_error() {
    let mut bytes = make(&[raw(b"good", b"fine"), raw(b"bad", b"content")], false);
    let at = bytes.windows(7).position(|window| window == b"content").unwrap();
    bytes[at] = b'C';
    let zip = Zip::open(stored(&bytes), "artifact", ZipLimits::default()).await.unwrap();
    let error = zip.verify().await.unwrap_err().to_string();
    assert!(error.starts_with("artifact: entry \"bad\" is damaged: "), "{error}");
    let mut contents = zip.contents();
    assert_eq!(contents.next().await.unwrap().unwrap().0.name, "good");
    assert_eq!(contents.next().await.unwrap_err().to_string(), error);
}

#[tokio::test]
async fn who_leaves_early_stops_the_unpacking_and_frees_the_file() {
    let names: Vec<String> = (0..50).map(|index| index.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| raw(name.as_bytes(), b"x")).collect();
    let file = stored(&make(&entries, false));
    let path = file.path().to_owned();
    let zip = Zip::open(file, "artifact", ZipLimits::default()).await.unwrap();
    let mut contents = zip.contents();
    contents.next().await.unwrap().unwrap();
    drop((contents, zip));
    // The unpacking task holds the file until it has noticed.
    for _ in 0..200 {
        if !path.exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the task went on");
}

#[tokio::test]
async fn what_is_no_zip_is_refused_with_the_readers_name_for_it() {
    let error = Zip::open(stored(b"plain text"), "input artifact Build", ZipLimits::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("input artifact Build: not a zip: "), "{error}");
    assert!(!error.is_retryable());
}

/// Larger than what goes through temporary storage, stored as it is.
fn large() -> Vec<u8> {
    (0..(33_u32 << 20) / 4).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn a_large_entry_is_streamed_and_the_next_one_follows_it() {
    let large = large();
    let zip =
        Zip::open(stored(&make(&[raw(b"large", &large), raw(b"last", b"x")], false)), "artifact", ZipLimits::default());
    let zip = zip.await.unwrap();
    zip.verify().await.unwrap();
    let mut contents = zip.contents();
    let (_, Unpacked::Stream(mut stream)) = contents.next().await.unwrap().unwrap() else { panic!("in one piece") };
    let mut read = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        assert!(piece.len() <= 64 << 10);
        read.extend_from_slice(&piece);
    }
    assert!(read == large);
    assert_eq!(stream.next().await.unwrap(), None, "the end stays the end");
    assert_eq!(contents.next().await.unwrap().unwrap().0.name, "last");
    assert!(contents.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_large_entry_that_is_damaged_has_no_end() {
    let mut bytes = make(&[raw(b"large", &large()), raw(b"last", b"x")], false);
    bytes[20_000_000] ^= 1;
    let zip = Zip::open(stored(&bytes), "artifact", ZipLimits::default()).await.unwrap();
    let mut contents = zip.contents();
    let (_, Unpacked::Stream(mut stream)) = contents.next().await.unwrap().unwrap() else { panic!("in one piece") };
    let error = loop {
        match stream.next().await {
            Ok(piece) => assert!(piece.is_some(), "it looks like the whole file"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.starts_with("artifact: entry \"large\" is damaged: "), "{error}");
    assert!(contents.next().await.unwrap().is_none(), "nothing follows");
}

#[test]
fn a_zip_may_have_more_entries_than_a_plain_one_can() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for number in 0..70_000 {
        zip.start_file(format!("{number}"), stored).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    assert_eq!(open(bytes.clone()).unwrap().files().len(), 70_000);
    let limits = ZipLimits { entries: 65_535, ..ZipLimits::default() };
    let refused = Archive::open(Cursor::new(bytes), limits, Links::Refused).unwrap_err();
    assert_eq!(refused, InvalidZip::TooManyEntries { count: 70_000, limit: 65_535 });
}
