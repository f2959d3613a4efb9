//! Identifies the caller as the project's gateway does: by `Authorization`, or else by `apikey`. It
//! grants no rights.

use axum::http::{HeaderMap, header};

use super::token::{Claims, Signer};
use crate::config::StandInConfig;

/// The project's keys in their old and their new form.
pub(crate) struct ProjectKeys {
    pub(crate) anon: String,
    pub(crate) service: String,
    publishable: String,
    secret: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRole {
    Anon,
    Service,
}

impl ProjectKeys {
    pub(crate) fn new(config: &StandInConfig) -> Self {
        Self {
            anon: config.anon_key.clone(),
            service: config.service_role_key.clone(),
            publishable: config.publishable_key.clone(),
            secret: config.secret_key.clone(),
        }
    }

    pub(crate) fn role(&self, key: &str) -> Option<KeyRole> {
        if key.is_empty() {
            None
        } else if key == self.anon || key == self.publishable {
            Some(KeyRole::Anon)
        } else if key == self.service || self.secret.as_deref() == Some(key) {
            Some(KeyRole::Service)
        } else {
            None
        }
    }

    /// The key of a role as a token that PostgREST can verify.
    pub(crate) fn token(&self, role: KeyRole) -> &str {
        match role {
            KeyRole::Anon => &self.anon,
            KeyRole::Service => &self.service,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ProjectCaller {
    Nobody,
    Anon,
    Service,
    User {
        id: String,
        claims: Claims,
    },
    /// There is a credential, but it is not valid.
    Invalid,
}

impl ProjectCaller {
    pub(crate) fn of(headers: &HeaderMap, keys: &ProjectKeys, signer: &Signer) -> Self {
        match bearer(headers).or_else(|| text(headers, "apikey")) {
            None => Self::Nobody,
            Some(credential) => Self::by(credential, keys, signer),
        }
    }

    fn by(credential: &str, keys: &ProjectKeys, signer: &Signer) -> Self {
        match keys.role(credential) {
            Some(KeyRole::Anon) => return Self::Anon,
            Some(KeyRole::Service) => return Self::Service,
            None => {}
        }
        let Some(claims) = signer.claims(credential) else {
            return Self::Invalid;
        };
        match claims.get("role").and_then(|role| role.as_str()) {
            Some("anon") => Self::Anon,
            Some("service_role") => Self::Service,
            Some("authenticated") => {
                match claims.get("sub").and_then(|id| id.as_str()).map(str::to_owned) {
                    Some(id) => Self::User { id, claims },
                    None => Self::Invalid,
                }
            }
            _ => Self::Invalid,
        }
    }
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, credential) = text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}
