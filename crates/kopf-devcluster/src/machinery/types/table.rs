//! The table of built-in types and its text form.
//!
//! A file per group and version. A line at the margin begins a type; the indented lines are its fields, in the
//! order of Go's struct, which is the order of the JSON that the real server writes:
//!
//! ```text
//! Container
//!   name string! 1
//!   ports [ContainerPort] 6 merge=containerPort keys=containerPort,protocol
//! ```
//!
//! A field has its JSON name (`..` if its own fields stand in its place), type, number in protobuf, and what
//! is said about merging:
//!
//! - type: `string bool int32 int64 double bytes Time MicroTime Quantity IntOrString Raw FieldsV1 any`,
//!   `Items` (a list of texts that protobuf wraps), another type, `[list]` or `{map}`; `*` marks a pointer,
//!   whose zero is not left out, and `!` a field that is written even when empty;
//! - `merge` or `merge=KEY`: lists are united by strategic merge patches, `retain` and `replace`: the other
//!   strategies;
//! - `set`, `keys=A,B`: the list type of apply; other lists are atomic;
//! - `atomic`, on a field or a type: maps and structs owned as a whole;
//! - `kind`, on a type: it keeps its `apiVersion` and `kind` where it stands in another type.
//!
//! The facts are those of the packages `k8s.io/api`, `k8s.io/apimachinery`, `k8s.io/apiextensions-apiserver`
//! and `k8s.io/kube-aggregator` of Kubernetes 1.37.

use std::{collections::HashMap, sync::LazyLock};

/// All built-in types.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(Table::load);

/// A type of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TypeId(usize);

/// A struct.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: String,
    /// Whether it is owned and compared as a whole.
    pub(crate) is_atomic: bool,
    /// Whether it has `apiVersion` and `kind` where it stands in another type.
    pub(crate) is_kind: bool,
    pub(crate) fields: Vec<Field>,
}

/// A field of a struct.
#[derive(Debug)]
pub(crate) struct Field {
    /// The JSON name.
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// Whether the fields of its struct stand in its place.
    pub(crate) is_inline: bool,
    /// Whether a zero value is a value.
    pub(crate) is_pointer: bool,
    /// Whether it is written even when empty.
    pub(crate) is_always_written: bool,
    /// The number in protobuf.
    pub(crate) number: u32,
    pub(crate) merge: Merge,
    /// Whether strategic merge patches may say which keys stay.
    pub(crate) retains_keys: bool,
    /// The list type of apply: `None` for atomic.
    pub(crate) list: Option<ListKeys>,
    /// Whether the map or struct is owned and compared as a whole.
    pub(crate) is_atomic: bool,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Lists are replaced, objects merged.
    Default,
    /// A list of objects, told apart by a key.
    ByKey(String),
    /// A list of scalars, united.
    Union,
    /// Replaced, even an object.
    Replace,
}

/// How items of a list are told apart by apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKeys {
    /// By value.
    Set,
    /// By fields.
    Map(Vec<String>),
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Flag,
    Int32,
    Int64,
    Double,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// Any JSON, in protobuf as JSON text.
    Raw,
    FieldsV1,
    /// Any JSON, of types that have no protobuf form here.
    Any,
    /// A list of texts that protobuf wraps in a message.
    Items,
    Object(TypeId),
    List(Box<Self>),
    Map(Box<Self>),
}

/// The types by scope (the name of a file) and name.
#[derive(Debug)]
pub(super) struct Table {
    types: Vec<Type>,
    ids: HashMap<&'static str, HashMap<&'static str, TypeId>>,
}

const FILES: &[(&str, &str)] = &[
    ("meta", include_str!("tables/meta.txt")),
    ("core", include_str!("tables/core.txt")),
    ("apps", include_str!("tables/apps.txt")),
    ("batch", include_str!("tables/batch.txt")),
    ("policy", include_str!("tables/policy.txt")),
    ("autoscaling", include_str!("tables/autoscaling.txt")),
    ("autoscaling-v2", include_str!("tables/autoscaling-v2.txt")),
    ("admissionregistration", include_str!("tables/admissionregistration.txt")),
    ("apiextensions", include_str!("tables/apiextensions.txt")),
    ("apiregistration", include_str!("tables/apiregistration.txt")),
    ("authentication", include_str!("tables/authentication.txt")),
    ("authorization", include_str!("tables/authorization.txt")),
    ("certificates", include_str!("tables/certificates.txt")),
    ("coordination", include_str!("tables/coordination.txt")),
    ("discovery", include_str!("tables/discovery.txt")),
    ("events", include_str!("tables/events.txt")),
    ("networking", include_str!("tables/networking.txt")),
    ("node", include_str!("tables/node.txt")),
    ("rbac", include_str!("tables/rbac.txt")),
    ("scheduling", include_str!("tables/scheduling.txt")),
    ("storage", include_str!("tables/storage.txt")),
];

impl TypeId {
    /// The type itself.
    pub(crate) fn get(self) -> &'static Type {
        &TABLE.types[self.0]
    }

    /// The name of the type.
    pub(crate) fn name(self) -> &'static str {
        &self.get().name
    }

    /// The field of a JSON name, those of inlined structs included.
    pub(crate) fn field(self, name: &str) -> Option<&'static Field> {
        self.get().fields.iter().find_map(|field| match (&field.shape, field.is_inline) {
            (Shape::Object(inner), true) => inner.field(name),
            _ => (field.name == name).then_some(field),
        })
    }
}

impl std::fmt::Debug for TypeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not by its name: the table may be loading.
        write!(f, "TypeId({})", self.0)
    }
}

impl Table {
    pub(super) fn find(&self, scope: &str, name: &str) -> Option<TypeId> {
        self.ids.get(scope)?.get(name).copied()
    }

    fn load() -> Self {
        let mut table = Self { types: Vec::new(), ids: HashMap::new() };
        let lines =
            |text: &'static str| text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for (scope, text) in FILES {
            for line in lines(text).filter(|line| !line.starts_with(' ')) {
                let (name, attribute) = line.split_once(' ').unwrap_or((line, ""));
                table.ids.entry(scope).or_default().insert(name, TypeId(table.types.len()));
                table.types.push(Type {
                    name: name.to_owned(),
                    is_atomic: attribute == "atomic",
                    is_kind: attribute == "kind",
                    fields: Vec::new(),
                });
            }
        }
        let mut next = 0;
        for (scope, text) in FILES {
            for line in lines(text) {
                match line.strip_prefix("  ") {
                    None => next += 1,
                    Some(line) => {
                        let field = table.parse_field(scope, line);
                        table.types[next - 1].fields.push(field);
                    }
                }
            }
        }
        table
    }

    /// # Panics
    ///
    /// The line has an unknown type or attribute. A test loads all tables.
    fn parse_field(&self, scope: &'static str, line: &str) -> Field {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("field {line:?} of {scope} is incomplete"));
        let (name, kind, number) = (word(), word(), word());
        let (kind, is_always_written) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
        let (kind, is_pointer) = kind.strip_suffix('*').map_or((kind, false), |kind| (kind, true));
        let shape = self.parse_shape(scope, kind);
        let mut field = Field {
            name: name.to_owned(),
            is_inline: name == "..",
            number: number.parse().unwrap_or_else(|_| panic!("field {line:?} of {scope} has no number")),
            is_pointer,
            is_always_written,
            merge: Merge::Default,
            retains_keys: false,
            list: None,
            is_atomic: matches!(&shape, Shape::Object(id) if self.types[id.0].is_atomic),
            shape,
        };
        for attribute in words {
            match attribute.split_once('=').unwrap_or((attribute, "")) {
                ("merge", "") => field.merge = Merge::Union,
                ("merge", key) => field.merge = Merge::ByKey(key.to_owned()),
                ("replace", _) => field.merge = Merge::Replace,
                ("retain", _) => field.retains_keys = true,
                ("set", _) => field.list = Some(ListKeys::Set),
                ("keys", keys) => {
                    field.list = Some(ListKeys::Map(keys.split(',').map(str::to_owned).collect()));
                }
                ("atomic", _) => field.is_atomic = true,
                _ => panic!("attribute {attribute:?} in {scope} is unknown"),
            }
        }
        field
    }

    fn parse_shape(&self, scope: &'static str, text: &str) -> Shape {
        let inner =
            |open: char, close: char| text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
        if let Some(item) = inner('[', ']') {
            return Shape::List(Box::new(self.parse_shape(scope, item)));
        }
        if let Some(item) = inner('{', '}') {
            return Shape::Map(Box::new(self.parse_shape(scope, item)));
        }
        match text {
            "string" => Shape::Text,
            "bool" => Shape::Flag,
            "int32" => Shape::Int32,
            "int64" => Shape::Int64,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "Time" => Shape::Time,
            "MicroTime" => Shape::MicroTime,
            "Quantity" => Shape::Quantity,
            "IntOrString" => Shape::IntOrString,
            "Raw" => Shape::Raw,
            "FieldsV1" => Shape::FieldsV1,
            "any" => Shape::Any,
            "Items" => Shape::Items,
            name => {
                let scopes = [scope, "core", "meta"];
                let id = scopes.into_iter().find_map(|scope| self.find(scope, name));
                Shape::Object(id.unwrap_or_else(|| panic!("type {name:?} in {scope} is unknown")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_well_formed() {
        assert!(TABLE.types.len() > 400);
        let types =
            TABLE.ids.iter().flat_map(|(scope, types)| types.iter().map(move |(name, id)| (scope, name, id)));
        for (scope, name, id) in types {
            let mut numbers: Vec<_> = id.get().fields.iter().map(|field| field.number).collect();
            numbers.sort_unstable();
            let count = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), count, "{scope} {name} has a number twice");
            for field in &id.get().fields {
                let is_list = matches!(field.shape, Shape::List(_));
                let is_merged = !matches!(field.merge, Merge::Default | Merge::Replace);
                assert!(is_list || (!is_merged && field.list.is_none()), "{scope} {name} {}", field.name);
            }
        }
    }

    /// D-155, Appendix B.
    #[test]
    fn the_tables_have_the_keys_of_the_appendix() {
        let field = |scope, name, field: &str| TABLE.find(scope, name).unwrap().field(field).unwrap();
        let key = |name, of: &str| field("core", name, of).merge.clone();
        let by = |key: &str| Merge::ByKey(key.to_owned());
        assert_eq!(key("PodSpec", "containers"), by("name"));
        assert_eq!(key("PodSpec", "hostAliases"), by("ip"));
        assert_eq!(key("PodSpec", "topologySpreadConstraints"), by("topologyKey"));
        assert_eq!(key("Container", "ports"), by("containerPort"));
        assert_eq!(key("ServiceSpec", "ports"), by("port"));
        assert!(field("core", "PodSpec", "volumes").retains_keys);
        assert!(field("apps", "DeploymentSpec", "strategy").retains_keys);
        assert_eq!(field("meta", "ObjectMeta", "finalizers").merge, Merge::Union);
        assert_eq!(field("policy", "PodDisruptionBudgetSpec", "selector").merge, Merge::Replace);
        let keys = &field("core", "Container", "ports").list;
        assert_eq!(*keys, Some(ListKeys::Map(vec!["containerPort".to_owned(), "protocol".to_owned()])));
        assert!(field("apps", "DeploymentSpec", "selector").is_atomic);
        // Fields of an inlined struct belong to the outer one.
        assert!(field("core", "Volume", "configMap").is_pointer);
    }
}
