//! One version of an object, with what was already made of it (DEC-18).
//!
//! What is nested comes out as real `dict` and `list` objects, which operators test by type and change in place. They are
//! made on first access, and then stand for their part of the object: every view of the document shows them, changes
//! included, and a parent that is made later adopts the children that are there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kopf_core::object::Object;
use pyo3::{
    PyTraverseError, PyVisit,
    prelude::*,
    types::{PyDict, PyList, PyMapping, PyString},
};
use serde_json::Value;

use crate::values;

/// One version of one object.
#[pyclass(frozen, module = "kopf._native", name = "_Document")]
pub(crate) struct Document {
    state: Mutex<State>,
}

struct State {
    /// The engine's object; null if the document was made of a Python mapping, which then is the root's `made`.
    object: Object,
    root: Node,
}

/// A part of the object, named by the key under which its parent has it.
#[derive(Default)]
struct Node {
    made: Option<Py<PyAny>>,
    children: Vec<(Box<str>, Self)>,
}

/// What is at a path.
enum Found<'py> {
    Python(Bound<'py, PyAny>),
    Tree(Arc<Value>),
    Absent,
}

impl Document {
    /// A document of an object of the engine, which is decoded when the document is first read.
    pub(crate) fn new(object: Object) -> Self {
        Self { state: Mutex::new(State { object, root: Node::default() }) }
    }

    /// A document of a Python mapping, which is read at each access.
    pub(crate) fn of_mapping(mapping: Py<PyAny>) -> Self {
        let root = Node { made: Some(mapping), children: Vec::new() };
        Self { state: Mutex::new(State { object: Object::new(Value::Null), root }) }
    }

    /// The field `key` of the mapping at `path`; none if there is none.
    pub(crate) fn field<'py>(
        &self,
        py: Python<'py>,
        path: &[&str],
        key: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.find(py, path)? {
            Found::Absent => Ok(None),
            Found::Python(object) => python_field(&object, key),
            Found::Tree(tree) => match at(&tree, path).and_then(|value| value.get(key)) {
                None => Ok(None),
                Some(value @ (Value::Array(_) | Value::Object(_))) => {
                    let full: Vec<&str> = path.iter().copied().chain([key]).collect();
                    self.make(py, &full, value).map(Some)
                }
                Some(scalar) => values::to_python(py, scalar).map(Some),
            },
        }
    }

    /// Whether there is a field `key` in the mapping at `path`.
    pub(crate) fn contains(&self, py: Python<'_>, path: &[&str], key: &str) -> PyResult<bool> {
        match self.find(py, path)? {
            Found::Absent => Ok(false),
            Found::Python(object) => Ok(python_field(&object, key)?.is_some()),
            Found::Tree(tree) => Ok(at(&tree, path).is_some_and(|value| value.get(key).is_some())),
        }
    }

    /// The keys of the mapping at `path`; none if there is none.
    pub(crate) fn keys<'py>(&self, py: Python<'py>, path: &[&str]) -> PyResult<Bound<'py, PyList>> {
        match self.find(py, path)? {
            Found::Absent => Ok(PyList::empty(py)),
            Found::Python(object) => object.cast::<PyMapping>()?.keys(),
            Found::Tree(tree) => {
                let fields = at(&tree, path).and_then(Value::as_object).into_iter().flatten();
                PyList::new(py, fields.map(|(key, _)| PyString::new(py, key)))
            }
        }
    }

    /// The number of keys of the mapping at `path`.
    pub(crate) fn len(&self, py: Python<'_>, path: &[&str]) -> PyResult<usize> {
        match self.find(py, path)? {
            Found::Absent => Ok(0),
            Found::Python(object) => object.len(),
            Found::Tree(tree) => {
                Ok(at(&tree, path).and_then(Value::as_object).map_or(0, serde_json::Map::len))
            }
        }
    }

    /// What is at `path`, made and remembered; none if it is absent or no mapping.
    pub(crate) fn mapping<'py>(&self, py: Python<'py>, path: &[&str]) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.find(py, path)? {
            Found::Absent => Ok(None),
            Found::Python(object) => Ok(Some(object)),
            Found::Tree(tree) => match at(&tree, path) {
                Some(value @ Value::Object(_)) => self.make(py, path, value).map(Some),
                _ => Ok(None),
            },
        }
    }

    /// What is at `path` as a value, with the changes that were made in place.
    pub(crate) fn value(&self, py: Python<'_>, path: &[&str]) -> PyResult<Value> {
        if let Some(object) = self.untouched() {
            return Ok(at(object.body(), path)
                .filter(|value| value.is_object())
                .cloned()
                .unwrap_or_else(empty));
        }
        self.mapping(py, path)?.map_or_else(|| Ok(empty()), |object| values::from_python(&object))
    }

    /// The engine's object, as long as nobody can have changed it.
    pub(crate) fn untouched(&self) -> Option<Object> {
        let state = self.state();
        (state.root.made.is_none() && state.root.children.is_empty()).then(|| state.object.clone())
    }

    fn find<'py>(&self, py: Python<'py>, path: &[&str]) -> PyResult<Found<'py>> {
        let (object, rest) = {
            let state = self.state();
            match state.root.nearest_made(path) {
                None => return Ok(Found::Tree(state.object.shared())),
                Some((made, rest)) => (made.clone_ref(py), rest),
            }
        };
        let mut object = object.into_bound(py);
        for key in rest {
            match python_field(&object, key)? {
                Some(field) => object = field,
                None => return Ok(Found::Absent),
            }
        }
        Ok(if object.cast::<PyMapping>().is_ok() { Found::Python(object) } else { Found::Absent })
    }

    fn make<'py>(&self, py: Python<'py>, path: &[&str], value: &Value) -> PyResult<Bound<'py, PyAny>> {
        let there = {
            let state = self.state();
            // Meanwhile somebody may have made it: Python code runs between two locks.
            match state.root.at(path) {
                Some(Node { made: Some(made), .. }) => return Ok(made.bind(py).clone()),
                Some(node) => node.clone_ref(py),
                None => Node::default(),
            }
        };
        let made = build(py, value, &there)?;
        let replaced = self.state().root.at_mut(path).put(&made);
        drop(replaced);
        Ok(made)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Under the lock there is nothing that could panic or call Python, so that it is never held for long.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Document {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.state.try_lock() {
            Ok(state) => state.root.traverse(visit),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let old = std::mem::take(&mut self.state().root);
        drop(old);
    }
}

impl Node {
    /// The first part on the way that was made already, and what is left of the way from there.
    fn nearest_made<'a, 'p>(&'a self, path: &'p [&'p str]) -> Option<(&'a Py<PyAny>, &'p [&'p str])> {
        if let Some(made) = &self.made {
            return Some((made, path));
        }
        let (first, rest) = path.split_first()?;
        self.child(first)?.nearest_made(rest)
    }

    fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.child(key))
    }

    fn at_mut(&mut self, path: &[&str]) -> &mut Self {
        let Some((first, rest)) = path.split_first() else { return self };
        let position = self.children.iter().position(|(key, _)| **key == **first).unwrap_or_else(|| {
            self.children.push(((*first).into(), Self::default()));
            self.children.len() - 1
        });
        self.children[position].1.at_mut(rest)
    }

    fn child(&self, key: &str) -> Option<&Self> {
        self.children.iter().find(|(its, _)| **its == *key).map(|(_, child)| child)
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        let children = self.children.iter().map(|(key, child)| (key.clone(), child.clone_ref(py)));
        Self { made: self.made.as_ref().map(|made| made.clone_ref(py)), children: children.collect() }
    }

    /// Remembers what was made, and gives out what it replaces, to be dropped outside of the lock.
    fn put(&mut self, made: &Bound<'_, PyAny>) -> Self {
        std::mem::replace(self, Self { made: Some(made.clone().unbind()), children: Vec::new() })
    }

    fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(made) = &self.made {
            visit.call(made)?;
        }
        self.children.iter().try_for_each(|(_, child)| child.traverse(visit))
    }
}

fn build<'py>(py: Python<'py>, value: &Value, there: &Node) -> PyResult<Bound<'py, PyAny>> {
    if let Some(made) = &there.made {
        return Ok(made.bind(py).clone());
    }
    let Value::Object(fields) = value else { return values::to_python(py, value) };
    let dict = PyDict::new(py);
    for (key, value) in fields {
        let item = match there.child(key) {
            Some(child) => build(py, value, child)?,
            None => values::to_python(py, value)?,
        };
        dict.set_item(PyString::new(py, key), item)?;
    }
    Ok(dict.into_any())
}

fn python_field<'py>(object: &Bound<'py, PyAny>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(dict) = object.cast::<PyDict>() {
        return dict.get_item(key);
    }
    match object.cast::<PyMapping>() {
        Ok(mapping) if mapping.contains(key)? => mapping.get_item(key).map(Some),
        _ => Ok(None),
    }
}

fn at<'a>(tree: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |value, key| value.get(key))
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}
