//! MP4 with one track of H.264, all of whose samples lie in one piece. It does not look into the
//! samples.

use super::clip::FRAME_MS;

const SAMPLE_ENTRY_BYTES: usize = 78;
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// A file that plays from its first byte on.
pub(super) fn write(
    size: (u32, u32),
    parameters: &[Vec<u8>; 2],
    pictures: Vec<Vec<u8>>,
) -> Vec<u8> {
    let samples: Vec<Vec<u8>> =
        pictures.into_iter().map(|unit| [&be(unit.len()), &*unit].concat()).collect();
    let kind = block(b"ftyp", &[b"isom", &[0, 0, 2, 0], b"isomiso2avc1mp41"]);
    // How long the tables are does not depend on where the samples begin.
    let tables = |start: usize| movie(size, parameters, &samples, start);
    let start = kind.len() + tables(0).len() + 8;
    let parts: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    [kind, tables(start), block(b"mdat", &parts)].concat()
}

fn movie(
    size: (u32, u32),
    parameters: &[Vec<u8>; 2],
    samples: &[Vec<u8>],
    start: usize,
) -> Vec<u8> {
    let duration = FRAME_MS * samples.len() as u32;
    let matrix: Vec<u8> = MATRIX.iter().flat_map(|value| value.to_be_bytes()).collect();
    let times = words(&[0, 0, 1000, duration]);
    let head = block(
        b"mvhd",
        &[&[0; 4], &times, &words(&[0x1_0000, 0x100_0000, 0, 0]), &matrix, &[0; 24], &words(&[2])],
    );
    let sides = words(&[size.0 << 16, size.1 << 16]);
    let track = block(
        b"tkhd",
        &[&[0, 0, 0, 7], &words(&[0, 0, 1, 0, duration, 0, 0, 0, 0]), &matrix, &sides],
    );
    let media = [
        block(b"mdhd", &[&[0; 4], &times, &[0x55, 0xC4, 0, 0]]),
        block(b"hdlr", &[&[0; 8], b"vide", &[0; 12], b"video\0"]),
        block(
            b"minf",
            &[
                &block(b"vmhd", &[&[0, 0, 0, 1], &[0; 8]]),
                &block(
                    b"dinf",
                    &[&block(b"dref", &[&words(&[0, 1]), &block(b"url ", &[&[0, 0, 0, 1]])])],
                ),
                &tables(size, parameters, samples, start),
            ],
        ),
    ];
    block(b"moov", &[&head, &block(b"trak", &[&track, &block(b"mdia", &[&media.concat()])])])
}

fn tables(
    size: (u32, u32),
    parameters: &[Vec<u8>; 2],
    samples: &[Vec<u8>],
    start: usize,
) -> Vec<u8> {
    let [sequence, picture] = parameters;
    let short = |length: usize| (length as u16).to_be_bytes();
    let settings = block(
        b"avcC",
        &[
            &[1],
            &sequence[1..4],
            &[0xFF, 0xE1],
            &short(sequence.len()),
            sequence,
            &[1],
            &short(picture.len()),
            picture,
        ],
    );
    let sides = [short(size.0 as usize), short(size.1 as usize)].concat();
    let entry = block(
        b"avc1",
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 16],
            &sides,
            &words(&[0x48_0000, 0x48_0000, 0]),
            &[0, 1],
            &[0; 32],
            &[0, 0x18, 0xFF, 0xFF],
            &settings,
        ],
    );
    let count = samples.len() as u32;
    let lengths: Vec<u32> =
        [0, 0, count].into_iter().chain(samples.iter().map(|sample| sample.len() as u32)).collect();
    let tables = [
        block(b"stsd", &[&words(&[0, 1]), &entry]),
        block(b"stts", &[&words(&[0, 1, count, FRAME_MS])]),
        block(b"stsc", &[&words(&[0, 1, 1, count, 1])]),
        block(b"stsz", &[&words(&lengths)]),
        block(b"stco", &[&words(&[0, 1, start as u32])]),
    ];
    block(b"stbl", &[&tables.concat()])
}

/// What lies in a file: the size of its pictures, and the pictures as they are encoded.
pub(super) struct Content<'a> {
    pub(super) size: (u32, u32),
    pub(super) samples: Vec<&'a [u8]>,
}

/// Of a file that `write` wrote.
pub(super) fn read(bytes: &[u8]) -> Option<Content<'_>> {
    let table = |name: &[u8; 4]| find(bytes, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", name]);
    let entry = table(b"stsd")?.strip_prefix(&words(&[0, 1])[..])?.get(8..)?;
    find(entry.get(SAMPLE_ENTRY_BYTES..)?, &[b"avcC"])?;
    let size = (u32::from(half(entry, 24)?), u32::from(half(entry, 26)?));
    let (lengths, start) = (table(b"stsz")?, word(table(b"stco")?, 8)? as usize);
    let mut rest = bytes.get(start..)?;
    let mut samples = Vec::new();
    for number in 0..word(lengths, 8)? as usize {
        let (sample, after) = rest.split_at_checked(word(lengths, 12 + number * 4)? as usize)?;
        samples.push(sample.get(4..)?);
        rest = after;
    }
    Some(Content { size, samples })
}

/// Doubles the size at which every track is shown. False where there is none.
pub(super) fn present_twice_as_large(bytes: &mut [u8]) -> bool {
    let sides = shown_sides(bytes);
    for at in &sides {
        let twice = word(bytes, *at).map(|side| side.saturating_mul(2).to_be_bytes());
        if let (Some(twice), Some(side)) = (twice, bytes.get_mut(*at..*at + 4)) {
            side.copy_from_slice(&twice);
        }
    }
    !sides.is_empty()
}

/// The size at which the first track is shown.
#[cfg(test)]
pub(super) fn presented_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let sides = shown_sides(bytes);
    Some((word(bytes, *sides.first()?)? >> 16, word(bytes, *sides.get(1)?)? >> 16))
}

/// Where the tracks' widths and heights stand: at the end of each track's head.
fn shown_sides(bytes: &[u8]) -> Vec<usize> {
    let offset = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
    let tracks =
        find(bytes, &[b"moov"]).into_iter().flat_map(blocks).filter(|(name, _)| name == b"trak");
    tracks
        .filter_map(|(_, track)| find(track, &[b"tkhd"]).filter(|head| head.len() >= 84))
        .flat_map(|head| [offset(head) + head.len() - 8, offset(head) + head.len() - 4])
        .collect()
}

fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter()
        .try_fold(bytes, |inside, name| Some(blocks(inside).find(|(found, _)| found == *name)?.1))
}

/// The blocks that lie side by side in there, up to one that does not fit.
fn blocks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, name) = (word(rest, 0)? as usize, rest.get(4..8)?);
        let (head, length) = match length {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(rest.get(8..16)?.try_into().ok()?)).ok()?),
            length => (8, length),
        };
        let inside = rest.get(head..length)?;
        rest = rest.get(length..)?;
        Some((name, inside))
    })
}

fn block(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let inside = parts.concat();
    [&be(inside.len() + 8)[..], name, &inside].concat()
}

fn be(length: usize) -> [u8; 4] {
    (length as u32).to_be_bytes()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
