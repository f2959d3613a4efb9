//! Reads server-sent events while they arrive. Bytes may be split anywhere, even inside of a
//! character.
//!
//! It keeps only the data of an event, because the APIs read here give comments and other fields no
//! meaning.

/// The bytes that have arrived and do not complete an event yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Option<String>,
    /// Whether the last byte was a carriage return: a line feed right after it does not end another
    /// line.
    after_return: bool,
    begun: bool,
}

impl Events {
    /// Reads more bytes and calls `event` with the data of each event that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut event: impl FnMut(&str)) {
        if self.after_return && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_return = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at(end);
            self.line.extend_from_slice(line);
            bytes = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => rest,
            };
            self.end_line(&mut event);
        }
        self.line.extend_from_slice(bytes);
    }

    /// Completes the last event: some servers leave out the empty line after it.
    pub(super) fn finish(&mut self, mut event: impl FnMut(&str)) {
        self.end_line(&mut event);
        self.end_line(&mut event);
    }

    fn end_line(&mut self, event: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        let line = if std::mem::replace(&mut self.begun, true) {
            line.as_slice()
        } else {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line)
        };
        if line.is_empty() {
            if let Some(data) = self.data.take() {
                event(&data);
            }
            return;
        }
        let Some(value) = line.strip_prefix(b"data:") else { return };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(&value);
            }
            None => self.data = Some(value.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Events;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let (mut events, mut seen) = (Events::default(), Vec::new());
        for chunk in chunks {
            events.feed(chunk, |data| seen.push(data.to_owned()));
        }
        events.finish(|data| seen.push(data.to_owned()));
        seen
    }

    #[test]
    fn comments_and_names_are_skipped_and_every_line_end_is_read() {
        let stream = ": OPENROUTER PROCESSING\n\nevent: ping\ndata: {}\n\nid: 7\r\ndata: a\r\n\
                      data:b\r\n\r\ndata: c\r\rdata\n\n";
        assert_eq!(read(&[stream.as_bytes()]), ["{}", "a\nb", "c"]);
        assert_eq!(read(&["\u{feff}data: x\n\n".as_bytes()]), ["x"]);
    }

    #[test]
    fn a_last_event_without_its_empty_line_counts() {
        assert_eq!(read(&[b"data: x\n"]), ["x"]);
        assert_eq!(read(&[b"data: x"]), ["x"]);
        assert_eq!(read(&[b"\n\n"]), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn the_events_do_not_depend_on_where_bytes_are_split(
            cuts in proptest::collection::vec(0..60_usize, 0..12),
        ) {
            let stream = "data: {\"a\":\"ä€😀\"}\r\n\r\n: x\rdata: b\n\n\
                          data: c\r\ndata: d\r\n\r\n";
            let stream = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            let chunks: Vec<&[u8]> = chunks.collect();
            prop_assert_eq!(read(&chunks), ["{\"a\":\"ä€😀\"}", "b", "c\nd"]);
        }
    }
}
