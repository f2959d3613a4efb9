//! Tests headers of every format, made by hand and taken from the sample clips, and that no bytes
//! can break a reading.

use proptest::prelude::*;

use super::{FileSize, HeaderReader, Measured, PriceUnit, Reading, WINDOW_BYTES};

/// Reads a file in windows of that many bytes. Returns its size and the number of windows.
fn read_by(file: &[u8], window_bytes: usize) -> (Option<FileSize>, u32) {
    let (mut reader, mut start, mut windows) = (HeaderReader::default(), 0, 0);
    loop {
        let from = usize::try_from(start).unwrap_or(usize::MAX).min(file.len());
        let window = &file[from..file.len().min(from.saturating_add(window_bytes))];
        windows += 1;
        match reader.read(start, window) {
            Reading::Of(size) => return (Some(size), windows),
            Reading::Unmeasured => return (None, windows),
            Reading::From(next) => {
                assert!(next > start, "a reading goes on behind its window's beginning");
                start = next;
            }
        }
    }
}

fn size(file: &[u8]) -> Option<FileSize> {
    read_by(file, WINDOW_BYTES).0
}

fn pixels(width: u64, height: u64) -> Option<FileSize> {
    Some(FileSize::Pixels(width * height))
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    [head, width.to_be_bytes().into(), height.to_be_bytes().into()].concat()
}

/// A JPEG with so many further bytes of metadata before its frame.
fn jpeg(frame: u8, metadata: usize) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    let mut left = metadata;
    while left > 0 {
        let part = left.min(65_533);
        let length = u16::try_from(part + 2).unwrap().to_be_bytes();
        file.extend([0xff, 0xe1, length[0], length[1]]);
        file.extend(vec![0xff; part]);
        left -= part;
    }
    file.extend([0xff, 0xff, frame, 0, 17, 8, 0x03, 0x00, 0x04, 0x00, 3]);
    file
}

fn webp(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [b"RIFF\0\0\0\0WEBP".as_slice(), kind, &[0; 4], content].concat()
}

#[test]
fn a_picture_is_measured_by_its_header() {
    assert_eq!(size(&png(640, 480)), pixels(640, 480));
    assert_eq!(size(&png(u32::MAX, u32::MAX)), pixels(u32::MAX.into(), u32::MAX.into()));
    assert_eq!(size(b"GIF89a\x40\x01\xf0\0\0\0\0"), pixels(320, 240));
    let lossy = webp(b"VP8 ", &[0, 0, 0, 0x9d, 1, 0x2a, 0x80, 0x42, 0xe0, 1]);
    assert_eq!(size(&lossy), pixels(640, 480));
    let bits = (639_u32 | 479 << 14).to_le_bytes();
    let lossless = webp(b"VP8L", &[&[0x2f], bits.as_slice()].concat());
    assert_eq!(size(&lossless), pixels(640, 480));
    let extended = webp(b"VP8X", &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    assert_eq!(size(&extended), pixels(1 << 24, 16));
    for frame in [0xc0, 0xc1, 0xc2, 0xcf] {
        assert_eq!(size(&jpeg(frame, 0)), pixels(1024, 768), "{frame:x}");
    }
}

#[test]
fn a_jpeg_with_long_metadata_is_read_by_further_windows() {
    assert_eq!(read_by(&jpeg(0xc2, 60_000), WINDOW_BYTES), (pixels(1024, 768), 1));
    assert_eq!(read_by(&jpeg(0xc2, 150_000), WINDOW_BYTES), (pixels(1024, 768), 2));
    assert_eq!(read_by(&jpeg(0xc2, 2_000_000), WINDOW_BYTES), (None, 8), "the windows are few");
    // A table of Huffman codes is no frame, and a thumbnail in the metadata is not the picture.
    assert_eq!(size(&jpeg(0xc4, 0)), None);
}

fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [length.as_slice(), name, content].concat()
}

fn movie(version: u8, scale: u32, duration: u64) -> Vec<u8> {
    let mut head = vec![version, 0, 0, 0];
    if version == 1 {
        head.extend([0; 16]);
        head.extend(scale.to_be_bytes());
        head.extend(duration.to_be_bytes());
    } else {
        head.extend([0; 8]);
        head.extend(scale.to_be_bytes());
        head.extend(u32::try_from(duration).unwrap().to_be_bytes());
    }
    atom(b"moov", &[atom(b"free", b"x"), atom(b"mvhd", &head)].concat())
}

#[test]
fn a_video_of_boxes_is_measured_wherever_its_head_lies() {
    let kind = atom(b"ftyp", b"isom\0\0\0\0");
    let quicktime = atom(b"ftyp", b"qt  \0\0\0\0");
    let frames = atom(b"mdat", &vec![0; 300_000]);
    let large = [&[0, 0, 0, 1], b"mdat".as_slice(), &300_016_u64.to_be_bytes(), &[0; 300_000]];
    let large = large.concat();
    let seconds = |seconds| Some(FileSize::Seconds(seconds));
    for (file, expected) in [
        (vec![&kind, &movie(0, 1_000, 12_400), &frames], (seconds(12.4), 1)),
        (vec![&quicktime, &movie(1, 600, 600 * 900), &frames], (seconds(900.0), 1)),
        (vec![&kind, &frames, &movie(0, 90_000, 45_000)], (seconds(0.5), 2)),
        (vec![&frames, &movie(0, 1, 61)], (seconds(61.0), 2)),
        (vec![&kind, &large, &movie(0, 1, 61)], (seconds(61.0), 2)),
    ] {
        let file: Vec<u8> = file.into_iter().flatten().copied().collect();
        assert_eq!(read_by(&file, WINDOW_BYTES), expected, "{:?}", &file[..32]);
    }
    // An older QuickTime file does not name its type. The client and the studio take the same.
    for first in [b"mdat", b"wide", b"free", b"skip"] {
        let file = [atom(first, b"x"), movie(0, 1, 61)].concat();
        assert_eq!(size(&file), seconds(61.0), "{first:?}");
    }
    assert_eq!(size(&movie(0, 1, 61)), seconds(61.0));
    // The duration or the scale is unknown, or the duration cannot be true.
    for unknown in [
        movie(0, 1, u32::MAX.into()),
        movie(1, 1, u64::MAX),
        movie(0, 0, 5),
        movie(0, 1_000, 0),
        movie(1, 1, u64::MAX - 1),
        frames,
    ] {
        assert_eq!(size(&[kind.clone(), unknown].concat()), None);
    }
    assert_eq!(size(&atom(b"ftyp", b"avif\0\0\0\0")), None);
}

#[test]
fn the_sample_clips_are_measured() {
    let clips = concat!(env!("CARGO_MANIFEST_DIR"), "/../stand-ins/src/media/clips");
    for (name, frames) in [("short", 3.0), ("long", 30.0)] {
        let file = std::fs::read(format!("{clips}/{name}.mp4")).unwrap();
        let Some(FileSize::Seconds(seconds)) = size(&file) else { panic!("{name}") };
        assert!(seconds > 0.0 && seconds <= frames, "{name}: {seconds}");
    }
}

/// An element with a size of 8 bytes; `None`: of unknown size.
fn element(id: &[u8], size: Option<usize>, content: &[u8]) -> Vec<u8> {
    let size = size.map_or(u64::MAX >> 7, |size| size as u64) | 1 << 56;
    [id, &size.to_be_bytes(), content].concat()
}

fn webm(segment_size: Option<usize>, before: usize, info: &[u8]) -> Vec<u8> {
    let head = element(&[0x1a, 0x45, 0xdf, 0xa3], Some(4), b"webm");
    let skipped = element(&[0xec], Some(before), &vec![0; before]);
    let info = element(&[0x15, 0x49, 0xa9, 0x66], Some(info.len()), info);
    let segment = [skipped, info, element(&[0x1f, 0x43, 0xb6, 0x75], Some(0), &[])].concat();
    [head, element(&[0x18, 0x53, 0x80, 0x67], segment_size, &segment)].concat()
}

#[test]
fn a_webm_is_measured_by_its_info() {
    let scale = element(&[0x2a, 0xd7, 0xb1], Some(3), &500_000_u32.to_be_bytes()[1..]);
    let long = element(&[0x44, 0x89], Some(8), &12_400_f64.to_be_bytes());
    let short = element(&[0x44, 0x89], Some(4), &12_400_f32.to_be_bytes());
    let seconds = |seconds| Some(FileSize::Seconds(seconds));
    assert_eq!(size(&webm(None, 10, &short)), seconds(12.4));
    assert_eq!(size(&webm(Some(1 << 40), 10, &[scale, long.clone()].concat())), seconds(6.2));
    assert_eq!(read_by(&webm(None, 200_000, &long), WINDOW_BYTES), (seconds(12.4), 2));
    assert_eq!(size(&webm(None, 10, &[])), None, "a live recording");
    let odd = element(&[0x44, 0x89], Some(8), &f64::NAN.to_be_bytes());
    assert_eq!(size(&webm(None, 10, &odd)), None);
}

#[test]
fn what_is_no_picture_and_no_video_is_not_measured() {
    for file in [b"".as_slice(), b"not a video", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"<html>"] {
        assert_eq!(size(file), None, "{file:?}");
    }
    assert_eq!(size(&png(0, 480)), None);
}

#[test]
fn one_file_without_a_size_leaves_the_sum_unknown() {
    let picture = Some(FileSize::Pixels(1_500_000));
    let video = Some(FileSize::Seconds(2.5));
    let sum = |unit, files: Vec<Option<FileSize>>| Measured::sum(unit, files);
    assert_eq!(sum(PriceUnit::Megapixel, vec![picture, picture]).megapixels, Some(3.0));
    assert_eq!(sum(PriceUnit::Second, vec![video]).seconds, Some(2.5));
    for files in [vec![picture, None], vec![picture, video], vec![]] {
        assert_eq!(sum(PriceUnit::Megapixel, files), Measured::default());
    }
}

/// The beginnings of all formats, followed by bytes with a meaning.
fn beginnings() -> Vec<Vec<u8>> {
    let info = element(&[0x44, 0x89], Some(8), &1_f64.to_be_bytes());
    let kind = atom(b"ftyp", b"isom\0\0\0\0");
    vec![
        Vec::new(),
        png(3, 4),
        jpeg(0xc0, 100),
        webp(b"VP8X", &[0; 10]),
        webp(b"VP8L", &[0x2f, 0, 0, 0, 0]),
        b"GIF89a\x01\0\x01\0".to_vec(),
        [kind, movie(1, 1, 1)].concat(),
        webm(None, 10, &info),
    ]
}

proptest! {
    #[test]
    fn no_bytes_break_a_reading(
        which in 0..8_usize,
        cut in 0..200_usize,
        changes in proptest::collection::vec((0..200_usize, any::<u8>()), 0..8),
        tail in proptest::collection::vec(any::<u8>(), 0..300),
        window_bytes in 1..400_usize,
    ) {
        let mut file = beginnings().swap_remove(which);
        for (at, byte) in changes {
            if let Some(changed) = file.get_mut(at) {
                *changed = byte;
            }
        }
        file.truncate(cut);
        file.extend(tail);
        let (found, windows) = read_by(&file, window_bytes);
        prop_assert!(windows <= 8);
        if let Some(FileSize::Seconds(seconds)) = found {
            prop_assert!(seconds > 0.0 && seconds <= 1e7);
        }
    }
}
