//! A user of a local stack who has credits and an uploaded picture.

use anyhow::{Context, Result};
use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::keys;
use crate::stack::Stack;

/// A picture of 40×30 pixels.
const PICTURE: &[u8] = include_bytes!("product.png");

/// One of many who order at the same moment.
#[derive(Clone, Debug)]
pub(super) struct Shopper {
    pub(super) token: String,
    pub(super) image_url: String,
}

impl Shopper {
    /// A new user with a token of the project, 100,000 credits and a picture in the bucket.
    pub(super) async fn new(
        stack: &Stack,
        db: &tokio_postgres::Client,
        http: &Client,
    ) -> Result<Self> {
        let id = Uuid::new_v4();
        let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let claims = json!({
            "sub": id, "aud": "authenticated", "role": "authenticated", "is_anonymous": false,
            "iat": now, "exp": now + 7_200,
        });
        let token = keys::sign_hs256(&stack.info().jwt_secret, &claims);
        let grant = "
            select 1
            from unstuck.credit_grant_v1($1::uuid, 100000, 'bench', 'bench ' || $1::uuid::text)";
        db.query(grant, &[&id]).await?;
        let storage = format!("{}/storage/v1", stack.info().url);
        let path = format!("uploads/{id}/bench/product.png");
        let signing = http.post(format!("{storage}/object/upload/sign/{path}")).bearer_auth(&token);
        let signed: Value = signing.send().await?.error_for_status()?.json().await?;
        let target = format!("{storage}{}", signed["url"].as_str().context("where to upload")?);
        let upload = http.put(target).header("content-type", "image/png").body(PICTURE);
        upload.send().await?.error_for_status()?;
        Ok(Self { token, image_url: format!("{storage}/object/public/{path}") })
    }
}
