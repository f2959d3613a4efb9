//! `runninghub-upscaler`: enlarges one picture. `run` orders it, `queue-status` shows it to its
//! owner.
//!
//! This crate holds the tool's input and the nodes that take it; `shared::app::runninghub` does the
//! rest.

mod input;

use input::UpscalerInput;
use shared::app::runninghub;
use shared::core::provider::runninghub::apps::ToolInput as _;

shared::function! {
    name: "runninghub-upscaler",
    ops: {
        POST "run" for UserOrBehalf as Order => runninghub::run::<UpscalerInput>,
        GET | POST "queue-status" for User as Read =>
            async |call, named| runninghub::queue_status(call, named, UpscalerInput::TOOL).await,
    },
    quote: runninghub::quote::<UpscalerInput>,
    order: runninghub::run::<UpscalerInput>,
}

#[cfg(test)]
#[path = "../../../shared/src/testing/wrong_types.rs"]
mod wrong_types;
