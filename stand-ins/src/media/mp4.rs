//! Reads the tables of an MP4 file. It does not decode the frames.

const SAMPLE_ENTRY_BYTES: usize = 78;

/// What the tables of an MP4 file with one H.264 track say of its frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mp4Tables {
    /// Width and height, in pixels.
    pub size: (u32, u32),
    pub frames: u32,
}

impl Mp4Tables {
    /// `None` if the file is of another kind, or if a frame is missing.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let table =
            |name: &[u8; 4]| find(bytes, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", name]);
        let entry = table(b"stsd")?.get(16..)?;
        find(entry.get(SAMPLE_ENTRY_BYTES..)?, &[b"avcC"])?;
        let (lengths, start) = (table(b"stsz")?, word(table(b"stco")?, 8)?);
        let frames = word(lengths, 8)?;
        let end = (0..frames)
            .try_fold(start, |end, frame| end.checked_add(word(lengths, 12 + frame as usize * 4)?));
        bytes.get(..end? as usize)?;
        Some(Self { size: (word(entry, 22)? & 0xFFFF, word(entry, 24)? & 0xFFFF), frames })
    }
}

/// Doubles the size at which every track is shown. Returns false if there is no track.
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

/// Where the widths and heights of the tracks are: at the end of each track's header.
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

/// The blocks in these bytes, one after the other, up to one that does not fit.
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

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::SHORT_CLIP;

    #[test]
    fn a_file_cut_short_anywhere_has_no_tables() {
        let bytes = SHORT_CLIP.original;
        assert!(Mp4Tables::read(bytes).is_some());
        for end in 0..bytes.len() {
            assert_eq!(Mp4Tables::read(&bytes[..end]), None, "{end}");
        }
    }
}
