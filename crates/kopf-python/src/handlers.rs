//! Declarations as the engine's handlers.

use std::sync::Arc;

use jiff::SignedDuration;
use kopf_core::handler::{ErrorsMode, Handler, HandlerId, Needs, Options, Trigger};
use kopf_engine::registry::{Activity, Registry};
use pyo3::{
    exceptions::{PyNotImplementedError, PyValueError},
    intern,
    prelude::*,
    types::PyMapping,
};

use crate::{
    declared::{Declared, Kind, kind_of},
    hub::Hub,
    plugins,
};

/// Reads all declarations of an operator.
///
/// # Errors
/// If one of them is not as `kopf._handlers` has it, or is of a kind that this engine cannot run.
pub(crate) fn read(
    hub: &Arc<Hub>,
    declarations: &[Bound<'_, PyAny>],
) -> PyResult<(Registry, Vec<Arc<Declared>>)> {
    let mut registry = Registry::default();
    let mut all = Vec::new();
    for declaration in declarations {
        let kind = kind_of(declaration)?;
        let handler = Arc::new(handler(hub, declaration, kind)?);
        match kind {
            Kind::Activity => registry.activities.push((activity(declaration)?, handler.clone())),
            Kind::Changing | Kind::Watching => {
                let selector = plugins::selector(hub, &declaration.getattr("selector")?)?;
                registry.resources.push((selector, handler.clone()));
            }
            Kind::Admission | Kind::Daemon | Kind::Index | Kind::Timer => {
                return Err(unsupported(&handler.id, kind));
            }
        }
        all.push(Arc::new(Declared::read(declaration, handler, hub.index_names())?));
    }
    Ok((registry, all))
}

/// The engine's form of one declaration.
pub(crate) fn handler(hub: &Arc<Hub>, declaration: &Bound<'_, PyAny>, kind: Kind) -> PyResult<Handler> {
    let py = declaration.py();
    let id: String = declaration.getattr(intern!(py, "id"))?.extract()?;
    let wanted: Option<Vec<String>> = declaration.getattr(intern!(py, "wanted"))?.extract()?;
    Ok(Handler {
        id: id.into(),
        trigger: trigger(declaration, kind)?,
        filters: plugins::filters(hub, declaration, kind)?,
        options: options(declaration)?,
        function: declaration.getattr(intern!(py, "fn"))?.as_ptr().addr() as u64,
        needs: needs(wanted.as_deref()).union(needs_of_filters(hub, declaration)?),
    })
}

fn trigger(declaration: &Bound<'_, PyAny>, kind: Kind) -> PyResult<Trigger> {
    if kind != Kind::Changing {
        // Of activities it is not looked at; but the default treatment of their errors is not that of event handlers.
        return Ok(if kind == Kind::Activity {
            Trigger::Sub { needs_change: false }
        } else {
            Trigger::Event
        });
    }
    let flag =
        |name: &str| declaration.getattr(name)?.extract::<Option<bool>>().map(Option::unwrap_or_default);
    let word: String = declaration.getattr("trigger")?.extract()?;
    Ok(match word.as_str() {
        "create" => Trigger::Create,
        "update" => Trigger::Update,
        "delete" => Trigger::Delete { optional: flag("optional")? },
        "resume" => Trigger::Resume { deleted: flag("deleted")? },
        "field" => Trigger::Field,
        "sub" => Trigger::Sub { needs_change: flag("needs_change")? },
        _ => return Err(PyValueError::new_err(format!("unknown trigger of a declaration: {word:?}"))),
    })
}

fn activity(declaration: &Bound<'_, PyAny>) -> PyResult<Activity> {
    let word: String = declaration.getattr("activity")?.extract()?;
    let all = [Activity::Startup, Activity::Cleanup, Activity::Authentication, Activity::Probe];
    let found = all.into_iter().find(|activity| activity.as_str() == word);
    found.ok_or_else(|| PyValueError::new_err(format!("unknown activity of a declaration: {word:?}")))
}

fn options(declaration: &Bound<'_, PyAny>) -> PyResult<Options> {
    let seconds = |name: &str| {
        let seconds: Option<f64> = declaration.getattr(name)?.extract()?;
        seconds.map(|seconds| duration(name, seconds)).transpose()
    };
    let errors = declaration.getattr("errors")?;
    let errors = if errors.is_none() {
        None
    } else {
        Some(errors_mode(&errors.getattr("name")?.extract::<String>()?)?)
    };
    // A negative number of attempts has been used up as well as zero.
    let retries: Option<i64> = declaration.getattr("retries")?.extract()?;
    Ok(Options {
        errors,
        timeout: seconds("timeout")?,
        retries: retries.map(|retries| u32::try_from(retries.max(0)).unwrap_or(u32::MAX)),
        backoff: seconds("backoff")?,
    })
}

fn errors_mode(name: &str) -> PyResult<ErrorsMode> {
    Ok(match name {
        "IGNORED" => ErrorsMode::Ignored,
        "TEMPORARY" => ErrorsMode::Temporary,
        "PERMANENT" => ErrorsMode::Permanent,
        _ => return Err(PyValueError::new_err(format!("unknown errors mode: {name:?}"))),
    })
}

fn duration(name: &str, seconds: f64) -> PyResult<SignedDuration> {
    SignedDuration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{name}={seconds} is no duration")))
}

/// What a function reads, by the kwargs that it takes (DEC-8).
fn needs(wanted: Option<&[String]>) -> Needs {
    let Some(wanted) = wanted else { return Needs::ALL };
    let of = |name: &String| match name.as_str() {
        "body" | "event" | "cause" => Needs::ALL,
        "meta" => Needs::METADATA.union(Needs::MANAGED_FIELDS),
        "spec" => Needs::SPEC,
        "status" => Needs::STATUS,
        "old" | "new" | "diff" => Needs::OLD,
        "patch" => Needs::PATCH,
        _ => Needs::METADATA,
    };
    wanted.iter().map(of).fold(Needs::METADATA, Needs::union)
}

/// What the filters that are code read.
fn needs_of_filters(hub: &Arc<Hub>, declaration: &Bound<'_, PyAny>) -> PyResult<Needs> {
    let mut callbacks = Vec::new();
    for name in ["when", "value", "old", "new"] {
        callbacks.extend(declaration.getattr_opt(name)?);
    }
    for name in ["labels", "annotations"] {
        if let Some(criteria) = declaration.getattr_opt(name)?
            && let Ok(criteria) = criteria.cast::<PyMapping>()
        {
            callbacks.extend(criteria.values()?);
        }
    }
    let mut all = Needs::default();
    for callback in callbacks.iter().filter(|callback| callback.is_callable()) {
        let wanted: Option<Vec<String>> =
            hub.host.object(declaration.py()).call_method1("wanted", (callback,))?.extract()?;
        all = all.union(needs(wanted.as_deref()));
    }
    Ok(all)
}

fn unsupported(id: &HandlerId, kind: Kind) -> PyErr {
    let what = match kind {
        Kind::Admission => "admission handlers",
        Kind::Daemon => "daemons",
        Kind::Index => "indexers",
        Kind::Timer => "timers",
        Kind::Activity | Kind::Changing | Kind::Watching => "handlers of this kind",
    };
    PyNotImplementedError::new_err(format!(
        "the handler {:?} cannot run: this version of the engine has no {what}",
        id.as_str()
    ))
}
