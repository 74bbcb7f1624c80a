//! Tables: what `kubectl get` prints, computed by the server (D-200 to D-202).
//!
//! A [`Printer`] knows the columns of a type and computes the cells of an object. It does not know the `Table`
//! object around them, nor which form of the object a row carries.

pub(crate) mod age;
mod builtin;
mod custom;
pub(crate) mod json_path;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The columns of a type.
#[derive(Debug)]
pub(crate) struct Printer {
    columns: Columns,
}

#[derive(Debug)]
enum Columns {
    BuiltIn(&'static [builtin::Column]),
    Custom(Vec<custom::Column>),
}

impl Printer {
    /// The columns of a built-in type, by its resource, e.g. `apps` and `deployments`. Types without columns
    /// of their own have a name and an age.
    pub(crate) fn of_built_in(group: &str, plural: &str) -> Self {
        Self { columns: Columns::BuiltIn(builtin::columns(group, plural)) }
    }

    /// The columns of a version of a CustomResourceDefinition, given an item of its `spec.versions`.
    pub(crate) fn of_version(version: &Value) -> Self {
        Self { columns: Columns::Custom(custom::columns(version)) }
    }

    /// Whether there are no columns but those of any type, as the real server makes them: of types that it prints in
    /// no way of its own.
    pub(crate) fn is_default(&self) -> bool {
        match &self.columns {
            Columns::BuiltIn(columns) => columns.len() == 2 && columns[1].name == "Created At",
            Columns::Custom(_) => false,
        }
    }

    /// The `columnDefinitions` of a `Table`.
    pub(crate) fn column_definitions(&self) -> Value {
        let definition = |name: &str, kind: &str, format: &str, description: &str, priority: i64| {
            json!({
                "name": name, "type": kind, "format": format, "description": description, "priority": priority,
            })
        };
        match &self.columns {
            Columns::BuiltIn(columns) => columns
                .iter()
                .map(|column| {
                    let priority = i64::from(column.is_wide);
                    let description = column.description();
                    definition(column.name, column.kind, column.format, &description, priority)
                })
                .collect(),
            Columns::Custom(columns) => columns
                .iter()
                .map(|column| {
                    definition(
                        &column.name,
                        &column.kind,
                        &column.format,
                        &column.description,
                        column.priority,
                    )
                })
                .collect(),
        }
    }

    /// The cells of an object's row; `now` is the moment that ages are counted to.
    pub(crate) fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match &self.columns {
            Columns::BuiltIn(columns) => {
                columns.iter().map(|column| column.cell.compute(object, now)).collect()
            }
            Columns::Custom(columns) => columns.iter().map(|column| column.cell(object, now)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::testing;

    /// D-201, DT-092, DT-093: columns and cells of the real answers. Descriptions of built-in columns are in
    /// our own words.
    #[test]
    fn tables_are_those_of_the_real_server() {
        let scenarios = testing::scenarios();
        let fixture = testing::fixture(&scenarios, "widgets.test.dev");
        let now: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();

        let printer = Printer::of_version(&fixture["spec"]["versions"][0]);
        let answer = testing::golden_step("DT-092", 2)["body"].clone();
        let mut widget = answer["rows"][0]["object"].clone();
        widget["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z".into();
        assert_eq!(Value::from(printer.cells(&widget, now)), answer["rows"][0]["cells"]);
        let (ours, real) = (printer.column_definitions(), &answer["columnDefinitions"]);
        assert_eq!(ours[0]["format"], real[0]["format"]);
        assert_eq!(ours.as_array().unwrap()[1..], real.as_array().unwrap()[1..]);

        let printer = Printer::of_built_in("apiextensions.k8s.io", "customresourcedefinitions");
        let answer = testing::golden_step("DT-093", 6)["body"].clone();
        let mut definition = fixture.clone();
        definition["metadata"]["creationTimestamp"] = "<time>".into();
        definition["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        assert_eq!(Value::from(printer.cells(&definition, now)), answer["rows"][0]["cells"]);
    }

    /// D-202, Appendix C, DEC-36.
    #[test]
    fn built_in_columns_are_those_of_the_real_server() {
        let real = testing::contract_json("golden/tables-1.37.2.json");
        for (resource, columns) in real["columns"].as_object().unwrap() {
            let (group_version, plural) = resource.rsplit_once('/').unwrap();
            let group = group_version.split_once('/').map_or("", |(group, _)| group);
            let ours = Printer::of_built_in(group, plural).column_definitions();
            let essential = |columns: &Value| -> Vec<Value> {
                let columns = columns.as_array().unwrap().iter();
                columns.map(|c| json!([c["name"], c["type"], c["format"], c["priority"]])).collect()
            };
            assert_eq!(essential(&ours), essential(columns), "{resource}");
            for column in ours.as_array().unwrap() {
                assert_ne!(column["description"], "", "{resource}");
            }
        }
    }

    #[test]
    fn a_type_without_columns_has_name_and_age() {
        let printer = Printer::of_built_in("unheard.of", "things");
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z"}});
        let now = "2020-01-01T00:05:12Z".parse().unwrap();
        assert_eq!(printer.cells(&object, now), [json!("a"), json!("5m12s")]);
    }
}
