//! Who asks, and what they may do. Off by default: then everyone is an administrator (D-190).
//!
//! [`authenticate`] tells who it is, by bearer tokens and impersonation; [`rbac`] what they may do. There are no client
//! certificates.

pub(crate) mod defaults;
pub(crate) mod rbac;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, header};

use crate::server::Shared;
use crate::server::request::{User, impersonated};
use crate::status::ApiError;
use rbac::Attributes;

/// The token of the administrator: it stands in kubeconfigs.
pub(crate) const ADMIN_TOKEN: &str = "dev-cluster";

/// What tells which token it was.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The tokens that were given to service accounts.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, Token>>);

/// A token of a service account.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) user: String,
    /// Of the account.
    pub(crate) uid: String,
    /// Of the token.
    pub(crate) id: String,
    pub(crate) expires: jiff::Timestamp,
}

impl Tokens {
    /// Notes a token, by its text.
    pub(crate) fn note(&self, text: &str, token: Token) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned(), token);
    }

    fn get(&self, text: &str, now: jiff::Timestamp) -> Option<Token> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(text).filter(|token| now < token.expires).cloned()
    }
}

/// Who asks.
///
/// # Errors
///
/// 401 for a bad token, 403 for an impersonation that is not permitted.
pub(crate) fn authenticate(shared: &Shared, headers: &HeaderMap) -> Result<User, ApiError> {
    if !shared.options.rbac {
        return Ok(impersonated(headers).unwrap_or_default());
    }
    let user = by_token(shared, headers)?;
    match impersonated(headers) {
        None => Ok(user),
        Some(other) => {
            let attributes = Attributes {
                verb: "impersonate".to_owned(),
                resource: "users".to_owned(),
                name: other.name.clone(),
                ..Attributes::default()
            };
            rbac::authorize(shared, &user, &attributes).map(|()| other)
        }
    }
}

fn by_token(shared: &Shared, headers: &HeaderMap) -> Result<User, ApiError> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return Ok(named("system:anonymous", "system:unauthenticated"));
    };
    let token = authorization.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
    user_of(shared, token).ok_or_else(|| ApiError::new(401, "Unauthorized", "Unauthorized", None))
}

/// Whose token it is, if it is good.
pub(crate) fn user_of(shared: &Shared, token: &str) -> Option<User> {
    if token == ADMIN_TOKEN {
        return Some(User::default());
    }
    let Token { user: name, uid, id, .. } = shared.tokens.get(token, shared.clock.now())?;
    let mut groups = vec!["system:serviceaccounts".to_owned()];
    groups.extend(name.split(':').nth(2).map(|namespace| format!("system:serviceaccounts:{namespace}")));
    groups.push("system:authenticated".to_owned());
    let extra = vec![(CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")])];
    Some(User { name, groups, uid, extra })
}

fn named(name: &str, group: &str) -> User {
    User { name: name.to_owned(), groups: vec![group.to_owned()], uid: String::new(), extra: Vec::new() }
}
