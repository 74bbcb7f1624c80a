//! The Python door: the native module `kopf._native`.
//!
//! It converts and delegates: what is decided about objects is decided in `kopf-core`, what runs is run by `kopf-engine`. Its
//! public face is the Python package; the stub `python/kopf/_native.pyi` describes it.
//!
//! In reading order:
//!
//! - [`values`], [`views`], [`slot`]: objects as Python sees them.
//! - [`engine`], [`hub`]: one operator, and what its two sides share. [`host`]: the classes of the package.
//! - [`declared`], [`handlers`], [`settings`]: what Python declares.
//! - [`inbox`], [`message`], [`door`], [`event_loop`]: what the engine asks for, and how it comes to the event loop.
//! - [`calls`], [`workers`], [`invocation`], [`cause`], [`scene`], [`objects`], [`patches`],
//!   [`report`], [`subcycle`]: handlers that run.
//! - [`plugins`], [`formats`]: filters, lifecycles and storages in both directions.
//! - [`devcluster`]: the API server in the process.
//! - `exerciser`: the engine's side of the bridge for tests.
//! - [`cpython`], [`held`], [`guard`], [`runtime`], [`logs`]: the ground that it stands on.

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "nothing of it is public in Rust: who reads this works on it"
)]

mod calls;
mod cause;
mod cpython;
mod declared;
mod devcluster;
mod door;
mod engine;
mod event_loop;
#[cfg(debug_assertions)]
mod exerciser;
mod formats;
mod guard;
mod handlers;
mod held;
mod host;
mod hub;
mod inbox;
mod invocation;
mod logs;
mod message;
mod objects;
mod patches;
mod plugins;
mod report;
mod runtime;
mod scene;
mod settings;
mod slot;
mod subcycle;
mod values;
mod views;
mod workers;

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

/// The native module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    views::register(module)?;
    module.add_class::<cause::Cause>()?;
    module.add_class::<invocation::Invocation>()?;
    module.add_class::<subcycle::Subcycle>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<devcluster::DevCluster>()?;
    module.add_class::<formats::ProgressFormat>()?;
    module.add_class::<formats::DiffBaseFormat>()?;
    module.add_function(wrap_pyfunction!(invocation::current_invocation, module)?)?;
    module.add_function(wrap_pyfunction!(formats::make_v1_key, module)?)?;
    module.add_function(wrap_pyfunction!(formats::make_v2_key, module)?)?;
    module.add_function(wrap_pyfunction!(formats::diff, module)?)?;
    module.add_function(wrap_pyfunction!(formats::json_patch, module)?)?;
    module.add_function(wrap_pyfunction!(formats::merge_patch, module)?)?;
    module.add_function(wrap_pyfunction!(values::load_yaml, module)?)?;
    #[cfg(debug_assertions)]
    exerciser::register(module)?;
    Ok(())
}

/// Locks for a moment. A panic under such a lock cannot leave half a change behind, so that the value is used on.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
