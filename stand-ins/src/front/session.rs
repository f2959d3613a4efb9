//! Keeps users and their sessions in memory, so a restart signs all users out. It checks no
//! request.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::clock;
use crate::config::StandInConfig;

/// For how long a used refresh token still works, for tabs that refresh at the same time.
const REUSE_MS: u64 = 10_000;

#[derive(Clone, Debug)]
pub(super) struct SessionUser {
    pub(super) id: String,
    pub(super) email: String,
    password: Option<String>,
    pub(super) created_ms: u64,
    /// When the address was confirmed; for a user without an address, when the user was created.
    pub(super) confirmed_ms: Option<u64>,
}

impl SessionUser {
    /// A user whose address is not confirmed yet.
    pub(super) fn new(email: &str, password: &str) -> Self {
        Self {
            id: clock::new_uuid(),
            email: email.to_owned(),
            password: Some(password.to_owned()),
            created_ms: clock::now_ms(),
            confirmed_ms: None,
        }
    }

    pub(super) fn with_password(&self, password: &str) -> Self {
        Self { password: Some(password.to_owned()), ..self.clone() }
    }

    pub(super) fn has_password(&self, password: &str) -> bool {
        self.password.as_deref() == Some(password)
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.password.is_none()
    }

    pub(super) fn app_metadata(&self) -> Value {
        if self.is_anonymous() {
            json!({})
        } else {
            json!({"provider": "email", "providers": ["email"]})
        }
    }

    /// The user as the auth API shows it.
    pub(super) fn shown(&self) -> Value {
        let created = clock::iso(self.created_ms);
        let confirmed = self.confirmed_ms.filter(|_| !self.is_anonymous()).map(clock::iso);
        json!({
            "id": self.id,
            "aud": "authenticated",
            "role": "authenticated",
            "email": self.email,
            "phone": "",
            "email_confirmed_at": confirmed,
            "confirmed_at": confirmed,
            "last_sign_in_at": clock::iso(clock::now_ms()),
            "app_metadata": self.app_metadata(),
            "user_metadata": {},
            "identities": [],
            "created_at": created,
            "updated_at": created,
            "is_anonymous": self.is_anonymous(),
        })
    }
}

/// One refresh token.
#[derive(Clone, Debug)]
struct Refresh {
    session_id: String,
    user_id: String,
    used_ms: Option<u64>,
}

/// A signed-in user with a fresh refresh token.
pub(super) struct Grant {
    pub(super) user: SessionUser,
    pub(super) session_id: String,
    pub(super) refresh_token: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum RefreshError {
    NotFound,
    AlreadyUsed,
}

#[derive(Default)]
struct SessionTables {
    users: HashMap<String, SessionUser>,
    refreshes: HashMap<String, Refresh>,
    signed_out: HashSet<String>,
}

pub(super) struct Sessions(Mutex<SessionTables>);

impl Sessions {
    pub(super) fn new(config: &StandInConfig) -> Self {
        let created_ms = clock::now_ms();
        let users = config.users.iter().map(|seeded| {
            let password = Some(seeded.password.clone());
            let user = SessionUser {
                id: seeded.id.clone(),
                email: seeded.email.clone(),
                password,
                created_ms,
                confirmed_ms: Some(created_ms),
            };
            (user.id.clone(), user)
        });
        Self(Mutex::new(SessionTables { users: users.collect(), ..SessionTables::default() }))
    }

    pub(super) fn by_password(&self, email: &str, password: &str) -> Option<Grant> {
        let mut inner = self.inner();
        let is_meant = |user: &&SessionUser| {
            user.email.eq_ignore_ascii_case(email) && user.has_password(password)
        };
        let user = inner.users.values().find(is_meant).cloned()?;
        Some(inner.grant(user, clock::new_uuid()))
    }

    pub(super) fn by_email(&self, email: &str) -> Option<SessionUser> {
        let inner = self.inner();
        inner.users.values().find(|user| user.email.eq_ignore_ascii_case(email)).cloned()
    }

    /// Stores a user in place of the known one.
    pub(super) fn put(&self, user: SessionUser) {
        self.inner().users.insert(user.id.clone(), user);
    }

    /// Confirms a user's address. Returns the user if the address was not confirmed before.
    pub(super) fn confirm(&self, id: &str) -> Option<SessionUser> {
        let mut inner = self.inner();
        let user = inner.users.get_mut(id).filter(|user| user.confirmed_ms.is_none())?;
        user.confirmed_ms = Some(clock::now_ms());
        Some(user.clone())
    }

    /// A new session of a user.
    pub(super) fn grant(&self, id: &str) -> Option<Grant> {
        let mut inner = self.inner();
        let user = inner.users.get(id).cloned()?;
        Some(inner.grant(user, clock::new_uuid()))
    }

    pub(super) fn anonymous(&self) -> Grant {
        let mut inner = self.inner();
        let user = SessionUser {
            id: clock::new_uuid(),
            email: String::new(),
            password: None,
            created_ms: clock::now_ms(),
            confirmed_ms: Some(clock::now_ms()),
        };
        inner.users.insert(user.id.clone(), user.clone());
        inner.grant(user, clock::new_uuid())
    }

    pub(super) fn refresh(&self, token: &str) -> Result<Grant, RefreshError> {
        let mut inner = self.inner();
        let now = clock::now_ms();
        let refresh = inner.refreshes.get_mut(token).ok_or(RefreshError::NotFound)?;
        if refresh.used_ms.is_some_and(|used| now - used > REUSE_MS) {
            return Err(RefreshError::AlreadyUsed);
        }
        refresh.used_ms.get_or_insert(now);
        let Refresh { session_id, user_id, .. } = refresh.clone();
        let user = inner.users.get(&user_id).cloned().ok_or(RefreshError::NotFound)?;
        Ok(inner.grant(user, session_id))
    }

    pub(super) fn user(&self, id: &str) -> Option<SessionUser> {
        self.inner().users.get(id).cloned()
    }

    pub(super) fn is_signed_out(&self, session_id: &str) -> bool {
        self.inner().signed_out.contains(session_id)
    }

    /// Ends sessions of a user: all of them, only this one, or all but this one.
    pub(super) fn sign_out(&self, user_id: &str, session_id: &str, scope: &str) {
        let mut inner = self.inner();
        let ends = |refresh: &Refresh| match scope {
            "local" => refresh.session_id == session_id,
            "others" => refresh.user_id == user_id && refresh.session_id != session_id,
            _ => refresh.user_id == user_id,
        };
        let ended: Vec<String> = inner
            .refreshes
            .values()
            .filter(|refresh| ends(refresh))
            .map(|refresh| refresh.session_id.clone())
            .collect();
        inner.refreshes.retain(|_, refresh| !ends(refresh));
        inner.signed_out.extend(ended);
    }

    fn inner(&self) -> MutexGuard<'_, SessionTables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionTables {
    fn grant(&mut self, user: SessionUser, session_id: String) -> Grant {
        let refresh_token = clock::random_hex();
        let refresh =
            Refresh { session_id: session_id.clone(), user_id: user.id.clone(), used_ms: None };
        self.refreshes.insert(refresh_token.clone(), refresh);
        Grant { user, session_id, refresh_token }
    }
}
