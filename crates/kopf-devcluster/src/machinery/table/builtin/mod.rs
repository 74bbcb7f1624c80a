//! The columns of built-in types (Appendix C), as data.
//!
//! A column is a name and a way to compute its cell. Most cells are the text of a field; what is derived from
//! several fields is in the modules below, by area. The descriptions are our own, since nothing reads them.

mod cluster;
mod network;
mod pods;
mod storage;
mod text;
mod workloads;

use jiff::Timestamp;
use serde_json::Value;

use super::age;

/// A column of a built-in type.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) format: &'static str,
    /// Whether the column is shown with `-o wide` only.
    pub(super) is_wide: bool,
    pub(super) cell: Cell,
}

/// How a cell is computed.
#[derive(Debug)]
pub(super) enum Cell {
    Name,
    Age,
    /// The creation time itself.
    CreatedAt,
    /// The text of the field at a JSON pointer, or else another text.
    Text(&'static str, &'static str),
    /// The number at a JSON pointer, or zero.
    Integer(&'static str),
    /// The flag at a JSON pointer, or false.
    Flag(&'static str),
    /// The age of the moment at a JSON pointer, or else a text.
    Since(&'static str, &'static str),
    /// How many entries the lists or maps at JSON pointers have together.
    Count(&'static [&'static str]),
    /// Derived from several fields.
    Derived(fn(&Value) -> Value),
    /// Derived from several fields and the time.
    Timed(fn(&Value, Timestamp) -> Value),
}

pub(super) const NAME_DESCRIPTION: &str = "Name of the object";
pub(super) const AGE_DESCRIPTION: &str = "Time since the object was created";

impl Column {
    pub(super) fn description(&self) -> String {
        match &self.cell {
            Cell::Name => NAME_DESCRIPTION.to_owned(),
            Cell::Age => AGE_DESCRIPTION.to_owned(),
            Cell::CreatedAt => "Time when the object was created".to_owned(),
            Cell::Text(pointer, _) | Cell::Integer(pointer) | Cell::Flag(pointer) => {
                format!("Value of {}", field(pointer))
            }
            Cell::Since(pointer, _) => format!("Time since {}", field(pointer)),
            Cell::Count(pointers) => {
                let fields: Vec<_> = pointers.iter().map(|pointer| field(pointer)).collect();
                format!("Number of entries in {}", fields.join(" and "))
            }
            Cell::Derived(_) | Cell::Timed(_) => format!("{} of the object", self.name),
        }
    }
}

/// `/spec/size` is `spec.size`.
fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

impl Cell {
    pub(super) fn compute(&self, object: &Value, now: Timestamp) -> Value {
        match self {
            Self::Name => text::or(object, "/metadata/name", "").into(),
            Self::Age => age::since(&object["metadata"]["creationTimestamp"], now).into(),
            Self::CreatedAt => text::or(object, "/metadata/creationTimestamp", "").into(),
            Self::Text(pointer, default) => text::or(object, pointer, default).into(),
            Self::Integer(pointer) => text::integer(object, pointer).into(),
            Self::Flag(pointer) => (object.pointer(pointer) == Some(&Value::Bool(true))).into(),
            Self::Since(pointer, default) => match object.pointer(pointer).filter(|moment| !moment.is_null())
            {
                Some(moment) => age::since(moment, now).into(),
                None => (*default).into(),
            },
            Self::Count(pointers) => {
                pointers.iter().map(|pointer| text::count(object, pointer)).sum::<usize>().into()
            }
            Self::Derived(derive) => derive(object),
            Self::Timed(derive) => derive(object, now),
        }
    }
}

const fn column(name: &'static str, kind: &'static str, cell: Cell) -> Column {
    Column { name, kind, format: "", is_wide: false, cell }
}

const fn string(name: &'static str, cell: Cell) -> Column {
    column(name, "string", cell)
}

const fn integer(name: &'static str, cell: Cell) -> Column {
    column(name, "integer", cell)
}

const fn boolean(name: &'static str, cell: Cell) -> Column {
    column(name, "boolean", cell)
}

const fn wide(column: Column) -> Column {
    Column { is_wide: true, ..column }
}

const fn name_format(column: Column) -> Column {
    Column { format: "name", ..column }
}

const NAME: Column = name_format(string("Name", Cell::Name));
const AGE: Column = string("Age", Cell::Age);
const CREATED_AT: Column = column("Created At", "date", Cell::CreatedAt);

/// What a type has that has no columns of its own.
const GENERIC: &[Column] = &[NAME, AGE];

/// The columns of a resource.
pub(super) fn columns(group: &str, plural: &str) -> &'static [Column] {
    let areas = [pods::columns, workloads::columns, network::columns, storage::columns, cluster::columns];
    areas.into_iter().find_map(|columns| columns(group, plural)).unwrap_or(GENERIC)
}
