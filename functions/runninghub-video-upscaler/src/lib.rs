//! `runninghub-video-upscaler`: enlarges a video. `run` orders it, `queue-status` shows it to its
//! owner.
//!
//! The job keeps the URL of the video as the order named it, so that the URL stays valid however
//! long the job waits. This crate holds the tool's input and the nodes that take it;
//! `shared::app::runninghub` does the rest.

use serde::{Deserialize, Serialize};
use shared::app::runninghub;
use shared::core::error::ApiError;
use shared::core::file_url::FileUrl;
use shared::core::measure::Measured;
use shared::core::media::MediaKind;
use shared::core::provider::runninghub::apps::{self, Field, ToolInput as _};

/// The input of `run`. The page may send the size and duration of the video.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VideoInput {
    #[serde(default)]
    video_url: FileUrl,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
}

const SIDE_MAX: u32 = 8_192;
/// A longer video would exceed the tool's run time.
const SECONDS_MAX: f64 = 900.0;

impl apps::ToolInput for VideoInput {
    const TOOL: &'static str = "runninghub-video-upscaler";
    const RESULT: MediaKind = MediaKind::Video;

    fn checked(self) -> Result<Self, ApiError> {
        for (field, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(1..=SIDE_MAX).contains(&side)) {
                return Err(ApiError::bad_field(field, "must be from 1 to 8192"));
            }
        }
        if self.duration_seconds.is_some_and(|seconds| !(seconds > 0.0 && seconds <= SECONDS_MAX)) {
            return Err(ApiError::bad_field(
                "durationSeconds",
                "must be more than 0 and at most 900",
            ));
        }
        Ok(self)
    }

    fn measured_by_page(&self) -> Measured {
        Measured { seconds: self.duration_seconds, ..Measured::default() }
    }

    /// The documented app reads size and duration from the video itself.
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::file("videoUrl", &self.video_url, ("1", "video"))];
        fields.extend(self.width.map(|side| Field::value("width", side, None)));
        fields.extend(self.height.map(|side| Field::value("height", side, None)));
        fields.extend(
            self.duration_seconds.map(|seconds| Field::value("durationSeconds", seconds, None)),
        );
        fields
    }
}

shared::function! {
    name: "runninghub-video-upscaler",
    ops: {
        POST "run" for UserOrBehalf as Order => runninghub::run::<VideoInput>,
        GET | POST "queue-status" for User as Read =>
            async |call, named| runninghub::queue_status(call, named, VideoInput::TOOL).await,
    },
    quote: runninghub::quote::<VideoInput>,
    order: runninghub::run::<VideoInput>,
}

#[cfg(test)]
#[path = "../../../shared/src/testing/wrong_types.rs"]
mod wrong_types;

#[cfg(test)]
mod tests {
    use super::VideoInput;
    use crate::wrong_types::try_each;
    use serde_json::{Value, json};
    use shared::core::provider::runninghub::apps::ToolInput as _;

    fn check(body: Value) -> Result<VideoInput, String> {
        let input: VideoInput = serde_json::from_value(body).map_err(|error| error.to_string())?;
        input.checked().map_err(|error| error.message)
    }

    #[test]
    fn an_error_names_the_field_over_its_limit() {
        let most = json!({"videoUrl": "x", "width": 8192, "height": 1, "durationSeconds": 900});
        assert_eq!(check(most).unwrap().fields().len(), 4);
        for (field, value) in [
            ("width", json!(0)),
            ("width", json!(8193)),
            ("height", json!(0)),
            ("durationSeconds", json!(0)),
            ("durationSeconds", json!(-1.5)),
            ("durationSeconds", json!(900.5)),
        ] {
            assert!(
                check(json!({"videoUrl": "x", field: value})).unwrap_err().contains(field),
                "{field}"
            );
        }
    }

    #[test]
    fn a_wrong_type_is_refused_in_the_callers_words() {
        let every = json!({"videoUrl": "x", "width": 1, "height": 1, "durationSeconds": 1.5});
        try_each::<VideoInput>(&every);
    }
}
