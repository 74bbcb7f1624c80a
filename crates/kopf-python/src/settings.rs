//! Snapshots of the settings, which in Python are plain attributes that may change at any time.

use std::{sync::Arc, time::Duration};

use kopf_core::selector::Selector;
use kopf_core::settings::{
    Execution, Networking, Persistence, Posting, Process, Queueing, Scanning, Settings, Watching,
};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
};

use crate::{hub::Hub, plugins};

/// Pauses that are taken from an iterable, at most: users have endless ones.
const PAUSES: usize = 1000;

/// Reads all settings.
///
/// # Errors
/// `TypeError` or `ValueError` that names the setting.
pub(crate) fn snapshot(hub: &Arc<Hub>, settings: &Bound<'_, PyAny>) -> PyResult<Settings> {
    let group = |name: &'static str| settings.getattr(name).map(|object| Group { name, object });
    Ok(Settings {
        process: process(&group("process")?)?,
        posting: posting(&group("posting")?)?,
        watching: watching(hub, &group("watching")?)?,
        queueing: queueing(&group("queueing")?)?,
        scanning: Scanning { disabled: group("scanning")?.truth("disabled")? },
        execution: execution(&group("execution")?)?,
        networking: networking(&group("networking")?)?,
        persistence: persistence(&group("persistence")?)?,
    })
}

fn process(group: &Group<'_>) -> PyResult<Process> {
    Ok(Process { ultimate_exiting_timeout: group.seconds_or_none("ultimate_exiting_timeout")? })
}

fn posting(group: &Group<'_>) -> PyResult<Posting> {
    let level: i64 = group.value("level")?;
    Ok(Posting {
        enabled: group.truth("enabled")?,
        loggers: group.truth("loggers")?,
        level: u8::try_from(level.clamp(0, 255)).unwrap_or(u8::MAX),
        progress: group.truth("progress")?,
        default_backoffs: group.pauses("default_backoffs")?,
        logging_backoffs: group.pauses("logging_backoffs")?,
        reporting_component: group.value("reporting_component")?,
        reporting_instance: group.value("reporting_instance")?,
        event_name_prefix: group.value("event_name_prefix")?,
    })
}

fn watching(hub: &Arc<Hub>, group: &Group<'_>) -> PyResult<Watching> {
    Ok(Watching {
        server_timeout: group.value("server_timeout")?,
        client_timeout: group.seconds_or_none("client_timeout")?,
        connect_timeout: group.seconds_or_none("connect_timeout")?,
        reconnect_backoff: group.seconds("reconnect_backoff")?,
        inactivity_timeout: group.seconds_or_none("inactivity_timeout")?,
        chunk_size: group.value("chunk_size")?,
        initial_streaming: group.truth("initial_streaming")?,
        label_selectors: group.selectors(hub, "label_selectors")?,
        field_selectors: group.selectors(hub, "field_selectors")?,
        shard_selectors: group.selectors(hub, "shard_selectors")?,
    })
}

fn queueing(group: &Group<'_>) -> PyResult<Queueing> {
    Ok(Queueing {
        worker_limit: group.value("worker_limit")?,
        idle_timeout: group.seconds("idle_timeout")?,
        exit_timeout: group.seconds("exit_timeout")?,
        error_delays: group.pauses("error_delays")?,
    })
}

fn execution(group: &Group<'_>) -> PyResult<Execution> {
    Ok(Execution {
        default_backoff: group.seconds("default_backoff")?,
        max_workers: group.value("max_workers")?,
    })
}

fn networking(group: &Group<'_>) -> PyResult<Networking> {
    Ok(Networking {
        // The longest that there is stands for "no limit".
        request_timeout: group.seconds_or_none("request_timeout")?.unwrap_or(Duration::MAX),
        connect_timeout: group.seconds_or_none("connect_timeout")?,
        error_backoffs: group.pauses("error_backoffs")?,
        enforce_retry_after: group.truth("enforce_retry_after")?,
        trust_env: group.truth("trust_env")?,
    })
}

fn persistence(group: &Group<'_>) -> PyResult<Persistence> {
    Ok(Persistence {
        finalizer: group.value("finalizer")?,
        consistency_timeout: group.seconds_or_none("consistency_timeout")?.unwrap_or_default(),
    })
}

/// A group of settings.
struct Group<'py> {
    name: &'static str,
    object: Bound<'py, PyAny>,
}

impl<'py> Group<'py> {
    fn get(&self, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.object.getattr(name)
    }

    fn truth(&self, name: &str) -> PyResult<bool> {
        self.get(name)?.is_truthy()
    }

    fn value<T>(&self, name: &str) -> PyResult<T>
    where
        T: for<'a> FromPyObject<'a, 'py>,
    {
        let object = self.get(name)?;
        object.extract().map_err(|_| self.wrong(name, &object))
    }

    fn seconds(&self, name: &str) -> PyResult<Duration> {
        let object = self.get(name)?;
        self.duration(name, &object)
    }

    fn seconds_or_none(&self, name: &str) -> PyResult<Option<Duration>> {
        let object = self.get(name)?;
        if object.is_none() { Ok(None) } else { self.duration(name, &object).map(Some) }
    }

    /// A number, or any iterable of numbers.
    fn pauses(&self, name: &str) -> PyResult<Vec<Duration>> {
        let object = self.get(name)?;
        if object.is_none() {
            return Ok(Vec::new());
        }
        match object.try_iter() {
            Ok(items) => items.take(PAUSES).map(|item| self.duration(name, &item?)).collect(),
            Err(_) => Ok(vec![self.duration(name, &object)?]),
        }
    }

    /// A mapping of selectors of resources to texts (A-SET-060).
    fn selectors(&self, hub: &Arc<Hub>, name: &str) -> PyResult<Vec<(Selector, String)>> {
        let pairs = hub.host.object(self.object.py()).call_method1("selectors", (self.get(name)?,))?;
        let pair = |pair: PyResult<Bound<'_, PyAny>>| {
            let (selector, text): (Bound<'_, PyAny>, String) = pair?.extract()?;
            Ok((plugins::selector(hub, &selector)?, text))
        };
        pairs.try_iter()?.map(pair).collect()
    }

    fn duration(&self, name: &str, object: &Bound<'_, PyAny>) -> PyResult<Duration> {
        let seconds: f64 = object.extract().map_err(|_| self.wrong(name, object))?;
        if seconds == f64::INFINITY {
            return Ok(Duration::MAX);
        }
        let duration = Duration::try_from_secs_f64(seconds.max(0.0));
        duration.map_err(|_| {
            PyValueError::new_err(format!("settings.{}.{name} is no duration: {seconds}", self.name))
        })
    }

    fn wrong(&self, name: &str, object: &Bound<'_, PyAny>) -> PyErr {
        let shown = object.repr().map_or_else(|_| "an object".into(), |repr| repr.to_string());
        PyTypeError::new_err(format!("settings.{}.{name} has a value of a wrong type: {shown}", self.name))
    }
}
