//! The `rpc!` declaration: one typed method of [`Db`](super::Db) per SQL function of the same name.
//!
//! `row job_cancel_v1(user_id: UserId, table: &str, job_id: JobId) -> CancelledJob;` declares a
//! method that sends `p_user_id`, `p_table` and `p_job_id` and reads one row. An argument of
//! another name is written `user: UserId as "_user_id"`; `order: &Enqueue as ..` sends the fields
//! of a struct under the names that it serialises to; `user_id: Option<UserId> as ?` is left out
//! without a value (the local PostgREST reads null as an empty text, which is no uuid). The word
//! before the name says what the function returns: `rows`, one `row`, a `maybe_row`, a `value` or
//! `void`.

use serde::Serialize;

macro_rules! rpc {
    ($(
        $(#[$doc:meta])*
        $form:ident $name:ident (
            $($arg:ident : $type:ty $(as $parameter:tt)?),* $(,)?
        ) $(-> $returns:ty)?;
    )*) => {
        impl<T: $crate::core::transport::Transport> $crate::db::Db<'_, T> {
            $(
                $(#[$doc])*
                pub async fn $name(
                    &self,
                    $($arg: $type),*
                ) -> Result<rpc!(@returns $($returns)?), $crate::db::DbError> {
                    let args = $crate::db::rpc::Args::default();
                    $(let args = rpc!(@add args $arg $($parameter)?);)*
                    self.$form(stringify!($name), args).await
                }
            )*
        }
    };
    (@returns $returns:ty) => { $returns };
    (@returns) => { () };
    (@add $args:ident $arg:ident) => { $args.with(concat!("p_", stringify!($arg)), &$arg) };
    (@add $args:ident $arg:ident ..) => { $args.with_fields_of(&$arg) };
    (@add $args:ident $arg:ident ?) => {
        $args.with_optional(concat!("p_", stringify!($arg)), $arg.as_ref())
    };
    (@add $args:ident $arg:ident $parameter:literal) => { $args.with($parameter, &$arg) };
}

/// The arguments of one call, or the error of an argument that cannot be serialised.
pub(super) struct Args(serde_json::Result<String>);

impl Default for Args {
    fn default() -> Self {
        Self(Ok(String::new()))
    }
}

impl Args {
    pub(super) fn with(self, name: &str, value: &impl Serialize) -> Self {
        self.named(name, serde_json::to_string(value))
    }

    fn named(self, name: &str, value: serde_json::Result<String>) -> Self {
        self.joined(value.map(|value| format!("\"{name}\":{value}")))
    }

    /// Omits the argument if it has no value, so that the function uses its default.
    pub(super) fn with_optional(self, name: &str, value: Option<&impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// `value` must serialise to an object.
    pub(super) fn with_fields_of(self, value: &impl Serialize) -> Self {
        self.joined(serde_json::to_string(value).map(|mut object| {
            object.pop();
            object.split_off(1)
        }))
    }

    fn joined(self, fields: serde_json::Result<String>) -> Self {
        let all = self.0.and_then(|before| {
            let fields = fields?;
            Ok(if before.is_empty() { fields } else { format!("{before},{fields}") })
        });
        Self(all)
    }

    pub(super) fn into_json(self) -> serde_json::Result<String> {
        self.0.map(|fields| format!("{{{fields}}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Args;
    use serde::Serialize;

    #[test]
    fn arguments_are_one_json_object() {
        #[derive(Serialize)]
        struct Pair {
            p_b: u8,
            p_c: &'static str,
        }
        assert_eq!(Args::default().into_json().unwrap(), "{}");
        let args = Args::default().with("p_a", &None::<u8>);
        let args = args.with_fields_of(&Pair { p_b: 1, p_c: "}" });
        let args = args.with_optional("p_d", None::<&u8>).with_optional("p_e", Some(&2));
        assert_eq!(args.into_json().unwrap(), r#"{"p_a":null,"p_b":1,"p_c":"}","p_e":2}"#);
    }
}
