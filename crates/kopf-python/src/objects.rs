//! What Python keeps for each object of the cluster: its memo, and the scene of the cycle that runs.
//!
//! There may be a hundred thousand objects, and most of them rest: an object without a cycle and with an untouched memo
//! costs an entry in a map.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use kopf_core::{cause::Cause as CoreCause, machine::Call, patch::Patch, resource::Resource};
use pyo3::{prelude::*, types::PyDict};

use crate::{cause::Cause, hub::Hub, locked, scene::Scene};

/// The objects by the engine's number.
#[derive(Default)]
pub(crate) struct Objects {
    tracked: Mutex<HashMap<u64, Tracked>>,
    last_scene: Mutex<Option<Py<Scene>>>,
}

#[derive(Default)]
struct Tracked {
    memo: Option<Memo>,
    live: Option<Live>,
}

/// A memo.
enum Memo {
    /// At the first sight of the object the operator's memo was an empty `kopf.Memo`, so a new one is as good as its copy.
    Untouched,
    Made(Py<PyAny>),
}

/// The cycle that runs.
struct Live {
    scene: Py<Scene>,
    causes: Vec<Py<Cause>>,
    calls: usize,
}

impl Objects {
    /// The Python side of the cause of a call that begins; [`leave`](Self::leave) has to follow.
    pub(crate) fn enter(
        &self,
        py: Python<'_>,
        hub: &Arc<Hub>,
        resource: &Arc<Resource>,
        call: &Call,
    ) -> PyResult<Py<Cause>> {
        let object_id = call.cause.object_id;
        self.see(py, object_id, &hub.memo, hub.host.memo_class(py))?;
        if let Some((scene, cause)) = self.find(py, call) {
            scene.get().adopt(py, &call.patch)?;
            let cause = match cause {
                Some(cause) => cause,
                None => Py::new(py, Cause::new(scene.clone_ref(py), call.cause.clone()))?,
            };
            self.put(object_id, scene, cause.clone_ref(py));
            return Ok(cause);
        }
        let scene = Py::new(py, Scene::new(py, hub, resource, &call.cause, call.patch.clone())?)?;
        let cause = Py::new(py, Cause::new(scene.clone_ref(py), call.cause.clone()))?;
        self.put(object_id, scene, cause.clone_ref(py));
        Ok(cause)
    }

    /// The cause for a callback that the engine calls before any handler: a filter, a lifecycle. The last one is kept,
    /// because filters come in flocks.
    pub(crate) fn cause_for_callbacks<'py>(
        &self,
        py: Python<'py>,
        hub: &Arc<Hub>,
        cause: &CoreCause,
    ) -> PyResult<Bound<'py, Cause>> {
        let last = locked(&self.last_scene).as_ref().map(|scene| scene.clone_ref(py));
        let scene = match last {
            Some(scene) if scene.get().first.object_id == cause.object_id && scene.get().is_of(cause) => {
                scene
            }
            _ => {
                let scene = Scene::new(py, hub, &cause.resource, &Arc::new(cause.clone()), Patch::default())?;
                let scene = Py::new(py, scene)?;
                let replaced = locked(&self.last_scene).replace(scene.clone_ref(py));
                drop(replaced);
                scene
            }
        };
        Bound::new(py, Cause::new(scene, Arc::new(cause.clone())))
    }

    /// The call has ended. After the last one of a cycle its scene is dropped: what the handlers keep of it lives on.
    pub(crate) fn leave(&self, scene: &Py<Scene>) {
        let object_id = scene.get().first.object_id;
        let ended = {
            let mut objects = locked(&self.tracked);
            let Some(tracked) = objects.get_mut(&object_id) else { return };
            match &mut tracked.live {
                Some(live) if live.scene.is(scene) => {
                    live.calls -= 1;
                    if live.calls > 0 { None } else { tracked.live.take() }
                }
                _ => None,
            }
        };
        drop(ended);
    }

    /// The memo of an object.
    pub(crate) fn memo<'py>(
        &self,
        py: Python<'py>,
        object_id: u64,
        template: &Py<PyAny>,
        class: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.see(py, object_id, template, class)?;
        if let Some(Tracked { memo: Some(Memo::Made(memo)), .. }) = locked(&self.tracked).get(&object_id) {
            return Ok(memo.bind(py).clone());
        }
        let made = class.call0()?;
        let mut objects = locked(&self.tracked);
        let tracked = objects.entry(object_id).or_default();
        // Making it has run Python code, in which the same object may have been asked for.
        if let Some(Memo::Made(memo)) = &tracked.memo {
            return Ok(memo.bind(py).clone());
        }
        tracked.memo = Some(Memo::Made(made.clone().unbind()));
        Ok(made)
    }

    /// The object is gone.
    pub(crate) fn forget(&self, object_id: u64) {
        let tracked = locked(&self.tracked).remove(&object_id);
        drop(tracked);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *locked(&self.tracked));
        let scene = locked(&self.last_scene).take();
        drop((all, scene));
    }

    /// At the first sight of an object the operator's memo is copied (A-MEM-004).
    fn see(
        &self,
        py: Python<'_>,
        object_id: u64,
        template: &Py<PyAny>,
        class: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if locked(&self.tracked).get(&object_id).is_some_and(|tracked| tracked.memo.is_some()) {
            return Ok(());
        }
        let template = template.bind(py);
        let is_plain =
            template.get_type().is(class) && template.cast::<PyDict>().is_ok_and(PyDictMethods::is_empty);
        let memo = if is_plain {
            Memo::Untouched
        } else {
            Memo::Made(py.import("copy")?.getattr("copy")?.call1((template,))?.unbind())
        };
        let mut objects = locked(&self.tracked);
        objects.entry(object_id).or_default().memo.get_or_insert(memo);
        Ok(())
    }

    fn find(&self, py: Python<'_>, call: &Call) -> Option<(Py<Scene>, Option<Py<Cause>>)> {
        let objects = locked(&self.tracked);
        let live = objects.get(&call.cause.object_id)?.live.as_ref()?;
        if !live.scene.get().is_of(&call.cause) {
            return None;
        }
        let same = live.causes.iter().find(|cause| Arc::ptr_eq(&cause.get().cause, &call.cause));
        Some((live.scene.clone_ref(py), same.map(|cause| cause.clone_ref(py))))
    }

    fn put(&self, object_id: u64, scene: Py<Scene>, cause: Py<Cause>) {
        let replaced = {
            let mut objects = locked(&self.tracked);
            let live = &mut objects.entry(object_id).or_default().live;
            match live {
                Some(live) if live.scene.is(&scene) => {
                    live.calls += 1;
                    if !live.causes.iter().any(|known| known.is(&cause)) {
                        live.causes.push(cause);
                    }
                    None
                }
                _ => live.replace(Live { scene, causes: vec![cause], calls: 1 }),
            }
        };
        drop(replaced);
    }
}
