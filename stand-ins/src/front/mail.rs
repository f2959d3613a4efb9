//! The mails of auth. They are sent to nobody, and everybody can read them at `/__mail`. Each has a
//! link and a code, which are valid once, for a limited time, and until the next mail of their
//! kind.
//!
//! Source: supabase/auth, internal/api/mail.go and verify.go, with the settings of a new project:
//! one mail of a kind for each user in a minute, and links that are valid for an hour.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::session::SessionUser;
use crate::clock;

/// The default of `GOTRUE_SMTP_MAX_FREQUENCY`.
const INTERVAL_MS: u64 = 60_000;

/// The purpose of a mail. The link to sign in and the link to reset a password share one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MailKind {
    SignUp,
    Recovery,
    MagicLink,
}

impl MailKind {
    /// The kind that a link's word names; some kinds have two words.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "signup" | "invite" => Some(Self::SignUp),
            "recovery" => Some(Self::Recovery),
            "magiclink" => Some(Self::MagicLink),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::SignUp => "signup",
            Self::Recovery => "recovery",
            Self::MagicLink => "magiclink",
        }
    }

    fn shares_token(self, other: Self) -> bool {
        (self == Self::SignUp) == (other == Self::SignUp)
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Mail {
    to: String,
    kind: MailKind,
    /// The link that the user opens.
    link: String,
    /// The six digits that may be typed in place of the link.
    code: String,
    #[serde(skip)]
    token: String,
    #[serde(skip)]
    user_id: String,
    #[serde(skip)]
    sent_ms: u64,
    #[serde(skip)]
    is_used: bool,
}

/// What proves that the user has read a mail.
pub(super) enum MailProof<'a> {
    Token(&'a str),
    Code { email: &'a str, code: &'a str },
}

pub(super) struct Mailbox {
    mails: Mutex<Vec<Mail>>,
    /// The URL of auth.
    issuer: String,
    lifetime_ms: u64,
}

impl Mailbox {
    pub(super) fn new(issuer: &str, lifetime_s: u64) -> Self {
        let mails = Mutex::default();
        Self { mails, issuer: issuer.to_owned(), lifetime_ms: lifetime_s.saturating_mul(1000) }
    }

    /// Sends a mail whose link leads to `redirect` in the end. An error has the seconds until the
    /// next mail may be sent.
    pub(super) fn send(
        &self,
        user: &SessionUser,
        kind: MailKind,
        redirect: &str,
    ) -> Result<(), u64> {
        let mut mails = self.mails();
        let now = clock::now_ms();
        let is_before = |mail: &&Mail| mail.user_id == user.id && mail.kind.shares_token(kind);
        if let Some(last) = mails.iter().rev().find(is_before) {
            let wait = (last.sent_ms + INTERVAL_MS).saturating_sub(now);
            if wait > 0 {
                return Err(wait.div_ceil(1000));
            }
        }
        let token = clock::random_hex();
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", &token)
            .append_pair("type", kind.word())
            .append_pair("redirect_to", redirect)
            .finish();
        mails.push(Mail {
            to: user.email.clone(),
            kind,
            link: format!("{}/verify?{query}", self.issuer),
            code: clock::random_digits(),
            token,
            user_id: user.id.clone(),
            sent_ms: now,
            is_used: false,
        });
        Ok(())
    }

    /// Uses up the proof. Returns its user, once.
    pub(super) fn take(&self, kind: MailKind, proof: &MailProof<'_>) -> Option<String> {
        let mut mails = self.mails();
        let proves = |mail: &Mail| match proof {
            MailProof::Token(token) => mail.token == *token,
            MailProof::Code { email, code } => {
                mail.code == *code && mail.to.eq_ignore_ascii_case(email)
            }
        };
        let at = mails.iter().rposition(|mail| mail.kind.shares_token(kind) && proves(mail))?;
        let (before, after) = mails.split_at_mut(at + 1);
        let mail = before.last_mut()?;
        let is_newer =
            |other: &Mail| other.user_id == mail.user_id && other.kind.shares_token(mail.kind);
        let is_old = clock::now_ms() >= mail.sent_ms + self.lifetime_ms;
        if mail.is_used || is_old || after.iter().any(is_newer) {
            return None;
        }
        mail.is_used = true;
        Some(mail.user_id.clone())
    }

    /// Every mail, the newest last.
    pub(super) fn all(&self) -> Vec<Mail> {
        self.mails().clone()
    }

    fn mails(&self) -> MutexGuard<'_, Vec<Mail>> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
