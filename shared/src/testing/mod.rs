//! Test doubles of the outside world.

/// Implements methods of `Transport` that a test must not call; `notify` and `log` do nothing.
macro_rules! unused_calls {
    ($($method:ident)*) => { $(unused_calls!(@$method);)* };
    (@copy) => {
        async fn copy(
            &self,
            copy: transport::FileCopy,
        ) -> Result<&'static crate::core::media::MediaType, transport::CopyError> {
            panic!("this test copies nothing: {}", copy.from)
        }
    };
    (@upload) => {
        async fn upload(
            &self,
            request: transport::HttpRequest,
            _: Vec<u8>,
        ) -> Result<transport::HttpResponse, transport::TransportError> {
            panic!("this test uploads nothing: {}", request.url)
        }
    };
    (@download) => {
        async fn download(
            &self,
            url: &str,
            _: u64,
            _: u32,
        ) -> Result<transport::FileInMemory, transport::CopyError> {
            panic!("this test downloads nothing: {url}")
        }
    };
    (@random) => {
        fn random(&self) -> u128 {
            7
        }
    };
    (@notify) => {
        async fn notify(&self, _: &str, _: &str, _: u32) -> Result<(), transport::TransportError> {
            Ok(())
        }
    };
    (@log) => {
        fn log(&self, _: &serde_json::Value) {}
    };
}
pub(crate) use unused_calls;

pub(crate) mod bucket_script;
pub(crate) mod single_step;
pub(crate) mod virtual_time;
pub(crate) mod wrong_types;
