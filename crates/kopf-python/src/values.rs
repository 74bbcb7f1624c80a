//! JSON values as Python objects, and back. Only plain ones: `dict`, `list`, `str`, `int`, `float`, `bool`, `None`.

use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple},
};
use serde_json::{Map, Number, Value};

use crate::views::MappingView;

/// Deeper values are refused: Kubernetes refuses them too, and a value that contains itself has no end.
const MAX_DEPTH: usize = 256;

/// New Python objects for a value.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => number_to_python(py, number)?,
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| to_python(py, item)).collect::<PyResult<_>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Object(fields) => map_to_python(py, fields)?.into_any(),
    })
}

/// A new `dict`.
pub(crate) fn map_to_python<'py>(
    py: Python<'py>,
    fields: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in fields {
        dict.set_item(PyString::new(py, key), to_python(py, value)?)?;
    }
    Ok(dict)
}

fn number_to_python<'py>(py: Python<'py>, number: &Number) -> PyResult<Bound<'py, PyAny>> {
    if let Some(int) = number.as_i64() {
        return Ok(int.into_pyobject(py)?.into_any());
    }
    if let Some(int) = number.as_u64() {
        return Ok(int.into_pyobject(py)?.into_any());
    }
    // Without arbitrary precision every other number is a float.
    Ok(PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any())
}

/// The value of a Python object. Any `Mapping` is an object, lists and tuples are arrays, keys are written as `json.dumps` does.
///
/// # Errors
/// `TypeError` for what JSON cannot say, `ValueError` for numbers and texts that it cannot say; both name the place.
pub(crate) fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    convert(object, &Place { parent: None, key: Key::Root })
}

/// The value of a mapping.
///
/// # Errors
/// As [`from_python`], and if it is no mapping.
pub(crate) fn map_from_python(object: &Bound<'_, PyAny>) -> PyResult<Map<String, Value>> {
    match from_python(object)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(PyTypeError::new_err(format!("a mapping is expected, not {}", type_name(object)))),
    }
}

/// Where in the converted object we are, for error messages: a list of frames on the stack.
struct Place<'a> {
    parent: Option<&'a Self>,
    key: Key<'a>,
}

enum Key<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl Place<'_> {
    fn depth(&self) -> usize {
        1 + self.parent.map_or(0, Place::depth)
    }

    fn path(&self) -> String {
        let parent = self.parent.map(Place::path).unwrap_or_default();
        match self.key {
            Key::Root => parent,
            Key::Field(name) if parent.is_empty() => name.to_owned(),
            Key::Field(name) => format!("{parent}.{name}"),
            Key::Item(position) => format!("{parent}[{position}]"),
        }
    }

    fn message(&self, problem: &str) -> String {
        let path = self.path();
        if path.is_empty() { problem.to_owned() } else { format!("{path}: {problem}") }
    }
}

fn convert(object: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<Value> {
    // The exact types first, by how often they occur; subclasses of them (enums, say) follow the same branches.
    if let Ok(text) = object.cast::<PyString>() {
        return text_value(text, place);
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if let Ok(int) = object.cast::<PyInt>() {
        return int_value(int, place);
    }
    if let Ok(float) = object.cast::<PyFloat>() {
        let number = Number::from_f64(float.value());
        return number
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err(place.message("the number is not finite")));
    }
    if place.depth() > MAX_DEPTH {
        return Err(PyValueError::new_err("the value is nested too deeply, or contains itself"));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        return dict_value(dict, place);
    }
    if let Ok(list) = object.cast::<PyList>() {
        return array_value(list.iter(), place);
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return array_value(tuple.iter(), place);
    }
    if let Ok(view) = object.cast::<MappingView>() {
        return view.get().to_value(object.py());
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let dict = PyDict::new(object.py());
        dict.update(mapping)?;
        return dict_value(&dict, place);
    }
    Err(PyTypeError::new_err(place.message(&format!("{} is not JSON serializable", type_name(object)))))
}

fn text_value(text: &Bound<'_, PyString>, place: &Place<'_>) -> PyResult<Value> {
    match text.to_str() {
        Ok(text) => Ok(Value::String(text.to_owned())),
        Err(_) => Err(PyValueError::new_err(place.message("the text is no valid Unicode"))),
    }
}

fn int_value(int: &Bound<'_, PyInt>, place: &Place<'_>) -> PyResult<Value> {
    if let Ok(number) = int.extract::<i64>() {
        return Ok(number.into());
    }
    match int.extract::<u64>() {
        Ok(number) => Ok(number.into()),
        Err(_) => Err(PyValueError::new_err(place.message("the integer does not fit in 64 bits"))),
    }
}

fn dict_value(dict: &Bound<'_, PyDict>, place: &Place<'_>) -> PyResult<Value> {
    let mut fields = Map::with_capacity(dict.len());
    // Over a copy of the items: converting a nested mapping runs Python code, which may change the dictionary.
    for pair in dict.items() {
        let (key, item): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
        let key = key_text(&key, place)?;
        let value = convert(&item, &Place { parent: Some(place), key: Key::Field(&key) })?;
        fields.insert(key, value);
    }
    Ok(Value::Object(fields))
}

fn array_value<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, place: &Place<'_>) -> PyResult<Value> {
    let convert = |(position, item)| convert(&item, &Place { parent: Some(place), key: Key::Item(position) });
    items.enumerate().map(convert).collect::<PyResult<_>>().map(Value::Array)
}

fn key_text(key: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<String> {
    if let Ok(text) = key.cast::<PyString>() {
        return match text_value(text, place)? {
            Value::String(text) => Ok(text),
            _ => Ok(String::new()),
        };
    }
    if key.is_none()
        || key.is_instance_of::<PyBool>()
        || key.is_instance_of::<PyInt>()
        || key.is_instance_of::<PyFloat>()
    {
        let value = convert(key, place)?;
        return Ok(value.to_string());
    }
    Err(PyTypeError::new_err(place.message(&format!("{} is no key of a JSON object", type_name(key)))))
}

/// The name of an object's type, for messages.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().fully_qualified_name().map_or_else(|_| "an object".into(), |name| name.to_string())
}

/// The first document of a YAML text, as plain values.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(crate) fn load_yaml<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let value: Value =
        serde_saphyr::from_str(text).map_err(|error| PyValueError::new_err(error.to_string()))?;
    to_python(py, &value)
}
