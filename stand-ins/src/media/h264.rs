//! H.264 at its plainest: every picture stands alone and every block is raw samples (`I_PCM`). Any
//! player shows it; a
//! stream that compresses is not read.

use super::clip::{BLOCK, Frame};

const PROFILE: [u8; 3] = [66, 0xC0, 40];
const RAW_BLOCK: u32 = 25;

/// The sequence's and the picture's parameter set.
pub(super) fn parameters((width, height): (u32, u32)) -> [Vec<u8>; 2] {
    let mut sequence = Bits::default();
    PROFILE.iter().for_each(|byte| sequence.put(u32::from(*byte), 8));
    // Set 0, 4 bits of frame number, output in order of decoding, one reference, no gaps.
    [0, 0, 2, 1].iter().for_each(|value| sequence.ue(*value));
    sequence.put(0, 1);
    sequence.ue(width / BLOCK - 1);
    sequence.ue(height / BLOCK - 1);
    // Frames only, direct inference; no cropping, no display hints.
    sequence.put(0b1100, 4);
    let mut picture = Bits::default();
    // Both sets 0, plain codes, one slice group, one reference each way, no weights, usual
    // quantisers.
    [0, 0].iter().for_each(|value| picture.ue(*value));
    picture.put(0, 2);
    [0, 0, 0].iter().for_each(|value| picture.ue(*value));
    picture.put(0, 3);
    [0, 0, 0].iter().for_each(|value| picture.ue(*value));
    picture.put(0, 3);
    [unit(0x67, sequence), unit(0x68, picture)]
}

/// One picture as a unit of its own.
pub(super) fn picture(frame: &Frame, number: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    head(number).iter().for_each(|(value, width)| match width {
        Some(width) => bits.put(*value, *width),
        None => bits.ue(*value),
    });
    for (x, y) in blocks(frame.planes[0].dimensions()) {
        bits.ue(RAW_BLOCK);
        bits.align();
        for (plane, side) in frame.planes.iter().zip([BLOCK, BLOCK / 2, BLOCK / 2]) {
            for row in 0..side {
                let start = ((y * side + row) * plane.width() + x * side) as usize;
                bits.bytes.extend(&plane.as_raw()[start..start + side as usize]);
            }
        }
    }
    unit(0x65, bits)
}

/// Reads what `picture` wrote.
pub(super) fn read_picture(unit: &[u8], (width, height): (u32, u32)) -> Option<Frame> {
    let (0x65, escaped) = unit.split_first()? else { return None };
    let bytes = unescaped(escaped);
    let mut bits = Reader { bytes: &bytes, at: 0 };
    for (_, width) in head(0) {
        match width {
            Some(width) => bits.take(width)?,
            None => bits.ue()?,
        };
    }
    let mut frame = Frame::black(width, height);
    for (x, y) in blocks((width, height)) {
        if bits.ue()? != RAW_BLOCK {
            return None;
        }
        for (plane, side) in frame.planes.iter_mut().zip([BLOCK, BLOCK / 2, BLOCK / 2]) {
            let across = plane.width();
            for row in 0..side {
                let start = ((y * side + row) * across + x * side) as usize;
                plane
                    .get_mut(start..start + side as usize)?
                    .copy_from_slice(bits.raw(side as usize)?);
            }
        }
    }
    Some(frame)
}

/// A slice's head: values, of a fixed width or as codes.
fn head(number: usize) -> [(u32, Option<u32>); 7] {
    // First block 0, only intra, set 0, frame 0, an id unlike the last one's, no marking, usual
    // quantiser.
    [
        (0, None),
        (7, None),
        (0, None),
        (0, Some(4)),
        ((number % 2) as u32, None),
        (0, Some(2)),
        (0, None),
    ]
}

fn blocks((width, height): (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    (0..height / BLOCK).flat_map(move |y| (0..width / BLOCK).map(move |x| (x, y)))
}

/// A unit of that kind: closed, and free of what would look like a start code.
fn unit(kind: u8, mut bits: Bits) -> Vec<u8> {
    bits.put(1, 1);
    bits.align();
    let mut unit = vec![kind];
    let mut zeros = 0;
    for byte in bits.bytes {
        if zeros == 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
    unit
}

fn unescaped(unit: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros == 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        bytes.push(*byte);
    }
    bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Of the last byte; 0 where it is full.
    free: u32,
}

impl Bits {
    fn put(&mut self, value: u32, width: u32) {
        for bit in (0..width).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= (((value >> bit) & 1) as u8) << self.free;
            }
        }
    }

    /// The code for whole numbers: as many zeros as follow the leading one.
    fn ue(&mut self, value: u32) {
        let length = 32 - (value + 1).leading_zeros();
        self.put(0, length - 1);
        self.put(value + 1, length);
    }

    fn align(&mut self) {
        self.free = 0;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, width: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..width {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        Some((1 << zeros | self.take(zeros)?) - 1)
    }

    /// Whole bytes, from the next one on.
    fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let start = self.at.div_ceil(8);
        self.at = (start + length) * 8;
        self.bytes.get(start..start + length)
    }
}
