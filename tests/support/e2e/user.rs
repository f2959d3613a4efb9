//! Callers: users who signed in at the front door, and users with a token made for the purpose.

use serde_json::{Value, json};
use uuid::Uuid;
use xtask::keys::sign_hs256;
pub use xtask::keys::{now_s, user_claims};

use super::World;

/// A signed-in user.
#[derive(Clone, Debug)]
pub struct TestUser {
    pub id: Uuid,
    pub token: String,
}

impl World {
    /// Seeded user 1 to 5, with 1,000 credits at the beginning of each test.
    pub async fn user(&self, number: usize) -> TestUser {
        self.signed_in(&format!("user{number}@example.com")).await
    }

    /// Seeded admin 1 or 2.
    pub async fn admin(&self, number: usize) -> TestUser {
        self.signed_in(&format!("admin{number}@example.com")).await
    }

    /// A new user with that many credits, no job, and no use of a rate limit.
    pub async fn new_user(&self, credits: i64) -> TestUser {
        let id = self.db().user(credits).await;
        TestUser { id, token: self.token(&user_claims(id)) }
    }

    /// A new anonymous user, signed up at the front door.
    pub async fn anonymous(&self) -> TestUser {
        self.sign("signup", &json!({})).await
    }

    async fn signed_in(&self, email: &str) -> TestUser {
        if let Some(known) = self.known_user(email) {
            return known;
        }
        let seeded = &self.stack().info().users;
        let seeded = seeded
            .iter()
            .find(|user| user.email == email)
            .unwrap_or_else(|| panic!("no seeded user {email}"));
        let body = json!({ "email": email, "password": seeded.password });
        let user = self.sign("token?grant_type=password", &body).await;
        self.know_user(email, &user);
        user
    }

    async fn sign(&self, path: &str, body: &Value) -> TestUser {
        let info = self.stack().info();
        let request = self
            .http()
            .post(format!("{}/auth/v1/{path}", info.url))
            .header("apikey", &info.anon_key);
        let answer = request.json(body).send().await.expect("the front door answers");
        assert_eq!(answer.status(), 200, "sign-in");
        let session: Value = answer.json().await.expect("a session");
        TestUser {
            id: crate::shop::id(&session["user"]["id"]),
            token: session["access_token"].as_str().expect("a token").to_owned(),
        }
    }

    /// A token signed with the project's secret.
    pub fn token(&self, claims: &Value) -> String {
        sign_hs256(&self.stack().info().jwt_secret, claims)
    }
}
