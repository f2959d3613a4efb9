//! Finds out the type of a result, and which file of a finished task is the result. No I/O.
//!
//! Object stores name types carelessly (`application/octet-stream`, `image/jpg`, none at all). So
//! the first bytes decide if they are known, else the announced type, else the extension. Only a
//! file that is clearly something else is refused: a page, JSON, or the other kind of file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The number of first bytes of a file that [`type_of`] reads.
pub const HEAD_BYTES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
}

/// A type of file that we store.
#[derive(Debug, PartialEq, Eq)]
pub struct MediaType {
    pub content_type: &'static str,
    pub extension: &'static str,
    pub kind: MediaKind,
    /// Other names of the type: content types and extensions.
    words: &'static [&'static str],
}

const fn row(
    content_type: &'static str,
    extension: &'static str,
    kind: MediaKind,
    words: &'static [&'static str],
) -> MediaType {
    MediaType { content_type, extension, kind, words }
}

/// The first type of a kind is used for a file whose type is not known.
static TYPES: [MediaType; 8] = [
    row("image/png", "png", MediaKind::Image, &["image/x-png"]),
    row("image/jpeg", "jpg", MediaKind::Image, &["jpeg", "image/jpg", "image/pjpeg"]),
    row("image/webp", "webp", MediaKind::Image, &[]),
    row("image/gif", "gif", MediaKind::Image, &[]),
    row("image/avif", "avif", MediaKind::Image, &[]),
    row("video/mp4", "mp4", MediaKind::Video, &["m4v", "video/x-m4v"]),
    row("video/webm", "webm", MediaKind::Video, &[]),
    row("video/quicktime", "mov", MediaKind::Video, &[]),
];

impl MediaType {
    /// Finds a type by a content type without parameters or by an extension, in any case.
    pub fn named(word: &str) -> Option<&'static Self> {
        let word = word.trim().to_ascii_lowercase();
        TYPES.iter().find(|known| {
            known.content_type == word
                || known.extension == word
                || known.words.contains(&word.as_str())
        })
    }

    /// Finds the type of a file that begins with these bytes.
    pub fn of_bytes(head: &[u8]) -> Option<&'static Self> {
        Self::named(match head {
            [0x89, b'P', b'N', b'G', ..] => "png",
            [0xff, 0xd8, 0xff, ..] => "jpg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
            [b'G', b'I', b'F', b'8', ..] => "gif",
            [0x1a, 0x45, 0xdf, 0xa3, ..] => "webm",
            [_, _, _, _, b'f', b't', b'y', b'p', b'q', b't', ..] => "mov",
            [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', ..] => "avif",
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => "mp4",
            _ => return None,
        })
    }
}

/// Returns the type under which to store a file. `announced` is the source's content type, `hint`
/// another guess. The error reads as a sentence after "the result".
pub fn type_of(
    head: &[u8],
    announced: &str,
    hint: Option<&'static MediaType>,
    kind: Option<MediaKind>,
) -> Result<&'static MediaType, String> {
    let is_kind = |found: &&'static MediaType| kind.is_none_or(|kind| kind == found.kind);
    if let Some(found) = MediaType::of_bytes(head) {
        return Some(found).filter(is_kind).ok_or_else(|| format!("is {}", found.content_type));
    }
    let text = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head).trim_ascii_start();
    let is_text = matches!(text.first(), Some(b'<' | b'{' | b'['))
        || announced.starts_with("text/")
        || matches!(announced, "application/json" | "application/xml");
    if is_text {
        return Err(format!("is text ({announced})"));
    }
    let named = MediaType::named(announced).filter(is_kind).or_else(|| hint.filter(is_kind));
    Ok(named.or_else(|| TYPES.iter().find(is_kind)).unwrap_or(&TYPES[0]))
}

/// One file of a finished task, at the provider's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub url: String,
    /// The provider's name of the file's type, often an extension; may be empty.
    pub kind: String,
    /// The node of the provider's app that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl Output {
    /// The type by the provider's name of the type (`kind`), else by the extension in the URL's
    /// path.
    pub fn media_type(&self) -> Option<&'static MediaType> {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        MediaType::named(&self.kind).or_else(|| MediaType::named(ending))
    }
}

/// The file to take if there are several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    First,
    /// Previews and intermediate files are listed before the result.
    #[default]
    Last,
}

/// The rule by which a file of a finished task is the result; a step's stored request holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultChoice {
    /// `None`: any kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MediaKind>,
    /// The node of the provider's app that writes the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(default)]
    pub pick: Pick,
}

impl ResultChoice {
    /// Reads a stored choice. If it cannot be read, any file is accepted, so that no result is
    /// lost.
    pub fn stored(choice: Option<&Value>) -> Self {
        choice.and_then(|choice| Self::deserialize(choice).ok()).unwrap_or_default()
    }

    /// Returns the result among `outputs`: of the named node, else of the tool's kind. A file of an
    /// unknown type counts only where no file is of that kind: [`type_of`] looks at its bytes when
    /// it is copied, and refuses the other kind. `None`: none of them can be the result.
    pub fn of<'o>(&self, outputs: &'o [Output]) -> Option<&'o Output> {
        let is_kind = |output: &&&Output| match output.media_type() {
            Some(found) => self.kind.is_none_or(|kind| kind == found.kind),
            None => false,
        };
        let is_named = |output: &&&Output| self.node.is_some() && output.node == self.node;
        let known: Vec<&Output> = outputs.iter().collect();
        let of_node: Vec<&Output> = known.iter().filter(is_named).copied().collect();
        let among = if of_node.is_empty() { known } else { of_node };
        let of_kind: Vec<&Output> = among.iter().filter(is_kind).copied().collect();
        let unknown: Vec<&Output> =
            among.into_iter().filter(|output| output.media_type().is_none()).collect();
        let candidates = if of_kind.is_empty() { unknown } else { of_kind };
        match self.pick {
            Pick::First => candidates.first().copied(),
            Pick::Last => candidates.last().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    const MP4: &[u8] = b"\0\0\0\x20ftypisom";

    #[test]
    fn the_bytes_decide_then_the_announced_type_then_the_hint() {
        let hint = MediaType::named("webp");
        for (head, announced, kind, expected) in [
            (PNG, "image/jpeg", None, Ok("image/png")),
            (b"\xff\xd8\xff\xe0" as &[u8], "binary/octet-stream", None, Ok("image/jpeg")),
            (b"RIFF\0\0\0\0WEBPVP8 ", "", None, Ok("image/webp")),
            (b"GIF89a", "image/png", None, Ok("image/gif")),
            (MP4, "application/octet-stream", Some(MediaKind::Video), Ok("video/mp4")),
            (b"\0\0\0\x14ftypqt  ", "", None, Ok("video/quicktime")),
            (b"\0\0\0\x1cftypavif", "", None, Ok("image/avif")),
            (b"\x1a\x45\xdf\xa3", "", None, Ok("video/webm")),
            (PNG, "video/mp4", Some(MediaKind::Video), Err("is image/png")),
            (MP4, "image/png", Some(MediaKind::Image), Err("is video/mp4")),
            (b"abc", "image/jpg", None, Ok("image/jpeg")),
            (b"abc", "application/octet-stream", None, Ok("image/webp")),
            (b"abc", "", Some(MediaKind::Video), Ok("video/mp4")),
            (b"abc", "video/mp4", Some(MediaKind::Image), Ok("image/webp")),
            (b"\n <!doctype html>", "image/png", None, Err("is text (image/png)")),
            (b"\xef\xbb\xbf<?xml ", "", None, Err("is text ()")),
            (b"{\"error\":1}", "", None, Err("is text ()")),
            (b"Access denied", "text/html", None, Err("is text (text/html)")),
        ] {
            let found = type_of(head, announced, hint, kind).map(|found| found.content_type);
            assert_eq!(found, expected.map_err(str::to_owned), "{head:?} {announced} {kind:?}");
        }
    }

    fn output(kind: &str, url: &str, node: Option<&str>) -> Output {
        Output { url: url.into(), kind: kind.into(), node: node.map(str::to_owned) }
    }

    #[test]
    fn the_type_comes_from_the_word_or_the_url() {
        for (kind, url, expected) in [
            ("png", "https://o/x", Some("png")),
            ("image/WEBP", "https://o/x", Some("webp")),
            ("", "https://o/a.b/x.JPG?sig=a.png", Some("jpg")),
            ("txt", "https://o/x.jpeg", Some("jpg")),
            ("html", "https://o/x.html", None),
            ("", "https://o.png/x", None),
        ] {
            let found = output(kind, url, None).media_type().map(|found| found.extension);
            assert_eq!(found, expected, "{kind} {url}");
        }
    }

    #[test]
    fn the_result_is_the_nodes_file_else_the_last_of_the_tools_kind() {
        let preview = output("png", "https://o/first.png", Some("8"));
        let video = output("mp4", "https://o/out.mp4", Some("8"));
        let plain = output("png", "https://o/plain.png", Some("9"));
        let large = output("png", "https://o/large.png", Some("12"));
        let nameless = output("", "https://o/x", None);
        let choice = |kind, node: Option<&str>, pick| ResultChoice {
            kind: Some(kind),
            node: node.map(str::to_owned),
            pick,
        };
        use MediaKind::{Image, Video};
        for (choice, outputs, expected) in [
            (choice(Video, None, Pick::Last), vec![&preview, &video], Some(&video)),
            (choice(Video, None, Pick::Last), vec![&video, &preview], Some(&video)),
            (choice(Video, None, Pick::Last), vec![&preview], None),
            (choice(Video, None, Pick::Last), vec![&preview, &nameless], Some(&nameless)),
            (choice(Image, None, Pick::Last), vec![&nameless, &video], Some(&nameless)),
            (choice(Image, None, Pick::Last), vec![&plain, &nameless], Some(&plain)),
            (choice(Image, None, Pick::Last), vec![&plain, &large], Some(&large)),
            (choice(Image, None, Pick::First), vec![&plain, &large], Some(&plain)),
            (choice(Image, Some("9"), Pick::Last), vec![&plain, &large], Some(&plain)),
            (choice(Image, Some("77"), Pick::Last), vec![&plain, &large], Some(&large)),
            (choice(Video, Some("8"), Pick::Last), vec![&preview, &video, &large], Some(&video)),
            (ResultChoice::default(), vec![&preview, &video], Some(&video)),
            (ResultChoice::default(), vec![&nameless], Some(&nameless)),
            (ResultChoice::default(), vec![], None),
        ] {
            let outputs: Vec<Output> = outputs.into_iter().cloned().collect();
            assert_eq!(choice.of(&outputs), expected, "{choice:?} {outputs:?}");
        }
    }
}
