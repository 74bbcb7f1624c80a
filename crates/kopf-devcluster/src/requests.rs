//! The requests that a cluster has answered, for tests that count them (D-010).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::server::Request;

/// One answered request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Such as `PATCH`.
    pub method: String,
    /// Such as `/api/v1/namespaces/default/configmaps/a`, without the query.
    pub path: String,
    /// As it was sent.
    pub query: String,
    /// get, list, watch, create, update, patch, delete, deletecollection; empty for what is not about objects.
    pub verb: String,
    /// `Content-Type` without parameters; empty if there was none.
    pub content_type: String,
    /// `User-Agent`; empty if there was none.
    pub user_agent: String,
    /// Who asked.
    pub user: String,
    /// The body, if it is JSON.
    pub body: Option<Value>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// When it was answered, on the server's clock.
    pub time: jiff::Timestamp,
}

/// The newest requests of a cluster.
#[derive(Debug)]
pub(crate) struct Log {
    /// How many are kept; none by default.
    capacity: usize,
    records: Mutex<VecDeque<RequestRecord>>,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, records: Mutex::default() }
    }

    pub(crate) fn note(&self, request: &Request, status: u16, now: impl FnOnce() -> jiff::Timestamp) {
        if self.capacity == 0 {
            return;
        }
        let facts = request.facts();
        let record = RequestRecord {
            method: request.method.to_string(),
            path: request.raw_path.clone(),
            query: request.raw_query.clone(),
            verb: if facts.plural.is_empty() { String::new() } else { facts.verb },
            content_type: crate::server::negotiation::media_type(&request.headers).unwrap_or_default(),
            user_agent: facts.user_agent,
            user: facts.user,
            body: serde_json::from_slice(&request.body).ok(),
            status,
            time: now(),
        };
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == self.capacity {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// All records, oldest first.
    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// All records, which are forgotten.
    pub(crate) fn take(&self) -> Vec<RequestRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}
