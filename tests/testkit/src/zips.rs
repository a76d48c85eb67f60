//! Zips written byte by byte, by APPNOTE.TXT: also those that no tool makes.

/// An entry, and what the zip says of it, which need not be true.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its name, in any encoding.
    pub name: &'a [u8],
    /// Its bytes as they lie in the zip.
    pub data: &'a [u8],
    /// Upper half of the external attributes.
    pub mode: u32,
    /// `version made by`, upper byte: 3 is Unix, 0 is MS-DOS.
    pub system: u8,
    /// The general purpose flags: bit 0 is encryption, bit 11 UTF-8.
    pub flags: u16,
    /// The compression method: 0 is stored, 8 deflated.
    pub method: u16,
    /// Bytes unpacked, as the zip says.
    pub size: u32,
    /// CRC-32 of the unpacked bytes, as the zip says.
    pub crc: u32,
    /// Further fields, which both of its headers repeat.
    pub extra: &'a [u8],
}

/// An honest entry: a plain file of `data`, not compressed.
pub fn stored<'a>(name: &'a [u8], data: &'a [u8]) -> Entry<'a> {
    let (size, crc) = (data.len() as u32, crc32fast::hash(data));
    Entry { name, data, mode: 0o100_644, system: 3, flags: 0x800, method: 0, size, crc, extra: b"" }
}

/// A zip of these entries. With `overlap`, all of them share the first one's bytes.
pub fn make(entries: &[Entry<'_>], overlap: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        let start = if overlap { 0 } else { out.len() as u32 };
        let mut common = Vec::new();
        common.extend([20, 0]);
        common.extend(entry.flags.to_le_bytes());
        common.extend(entry.method.to_le_bytes());
        common.extend([0, 0, 0x21, 0]);
        common.extend(entry.crc.to_le_bytes());
        common.extend((entry.data.len() as u32).to_le_bytes());
        common.extend(entry.size.to_le_bytes());
        common.extend((entry.name.len() as u16).to_le_bytes());
        common.extend((entry.extra.len() as u16).to_le_bytes());
        if !overlap || index == 0 {
            out.extend(b"PK\x03\x04");
            out.extend(&common);
            out.extend(entry.name);
            out.extend(entry.extra);
            out.extend(entry.data);
        }
        directory.extend(b"PK\x01\x02");
        directory.extend([20, entry.system]);
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(start.to_le_bytes());
        directory.extend(entry.name);
        directory.extend(entry.extra);
    }
    let (start, count) = (out.len() as u32, (entries.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}
