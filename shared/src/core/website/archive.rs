//! Packs a website into one ZIP archive without compression.
//!
//! The code is two dozen lines, while the crate `zip` would take a tenth of a function's size. The
//! tests read the archives with that crate.

use super::files::WebsiteFile;

/// 1 January 1980, the first date of the format.
const DATE: u16 = 0x0021;
/// The flag for UTF-8 names.
const FLAGS: u16 = 0x0800;
const VERSION: u16 = 20;

/// Returns the bytes of the archive. `files::of_answer` has checked paths and sizes, which are far
/// below the limits of the format.
pub fn zip(files: &[WebsiteFile]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let (name, content) = (file.path.as_bytes(), file.content.as_bytes());
        let offset = number(archive.len());
        let mut entry = Vec::new();
        for field in [VERSION, FLAGS, 0, 0, DATE] {
            entry.extend(field.to_le_bytes());
        }
        for field in [crc32(content), number(content.len()), number(content.len())] {
            entry.extend(field.to_le_bytes());
        }
        entry.extend(number(name.len()).to_le_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&entry);
        archive.extend(name);
        archive.extend(content);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&entry);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name);
    }
    let count = u16::try_from(files.len()).unwrap_or(u16::MAX).to_le_bytes();
    let (size, start) = (number(directory.len()), number(archive.len()));
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count);
    archive.extend(count);
    archive.extend(size.to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The CRC-32 of every byte value, by the reflected polynomial that ZIP uses.
#[expect(clippy::indexing_slicing, reason = "the loop ends at 256")]
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ CRC_TABLE[usize::from(low ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::{WebsiteFile, crc32, zip};
    use ::zip::ZipArchive;
    use std::io::{Cursor, Read};

    #[test]
    fn an_unpacked_archive_holds_the_same_files() {
        let file = |path: &str, content: &str| WebsiteFile {
            path: path.to_owned(),
            content: content.to_owned(),
        };
        let files = [
            file("index.html", "<h1>Grüße 😀</h1>"),
            file("büro/a.css", ""),
            file("b.js", &"x".repeat(70_000)),
        ];
        let mut archive = ZipArchive::new(Cursor::new(zip(&files))).unwrap();
        assert_eq!(archive.len(), 3);
        for file in &files {
            let mut content = String::new();
            archive.by_name(&file.path).unwrap().read_to_string(&mut content).unwrap();
            assert_eq!(content, file.content);
        }
        assert!(ZipArchive::new(Cursor::new(zip(&[]))).unwrap().is_empty());
    }

    #[test]
    fn crc32_matches_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
