//! Compares our answers with those of upstream Kopf, in `contract/golden`.
//!
//! Where ours differ on purpose, `overrides.json` has a row with our answer and the statement that says why. Then upstream's
//! answer must not be given. A case without a row must match.

#![allow(dead_code, reason = "each test file compiles its own copy and uses a part of it")]

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One input with its answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    /// Unique in its file.
    pub(crate) id: String,
    /// Which of the shapes of the file it has.
    #[serde(default)]
    pub(crate) kind: String,
    /// The question.
    pub(crate) input: Value,
    /// Upstream's answer.
    pub(crate) output: Value,
}

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Override {
    file: String,
    id: String,
    statement: String,
    /// Our answer. `{"error": "*"}` is any error.
    output: Value,
}

/// Asks all cases of a file, or those of one kind, and reports all that are answered wrongly.
///
/// `answer` gives our output in the shape of upstream's, or the text of an error.
pub(crate) fn check(file: &str, kind: &str, answer: impl Fn(&Case) -> Result<Value, String>) {
    check_by(file, kind, answer, |_, expected, ours| is_same(expected, ours));
}

/// As [`check`], with another idea of what is the same: it gets the case, the expected output and ours.
pub(crate) fn check_by(
    file: &str,
    kind: &str,
    answer: impl Fn(&Case) -> Result<Value, String>,
    is_same: impl Fn(&Case, &Value, &Value) -> bool,
) {
    let overrides = overrides(file);
    let cases = cases(file).into_iter().filter(|case| case.kind == kind);
    let mut asked = 0;
    let failures: Vec<String> = cases
        .inspect(|_| asked += 1)
        .filter_map(|case| {
            let ours =
                answer(&case).unwrap_or_else(|message| serde_json::json!({"error": "", "message": message}));
            let row = overrides.get(&case.id);
            let expected = row.map_or(&case.output, |row| &row.output);
            let wrong = if !is_same(&case, expected, &ours) {
                "differs"
            } else if row.is_some() && is_same(&case, &case.output, &ours) {
                "is upstream's, though it is overridden"
            } else {
                return None;
            };
            let statement = row.map(|row| format!(" ({})", row.statement)).unwrap_or_default();
            Some(format!("{file}/{}{statement} {wrong}:\n  expected {expected}\n  ours     {ours}", case.id))
        })
        .collect();
    assert!(asked > 0, "{file} has no cases of kind {kind:?}");
    assert!(failures.is_empty(), "{} of {asked} cases are wrong:\n{}", failures.len(), failures.join("\n"));
}

/// Checks that each row of the overrides is of a case, has a statement, and stands alone.
pub(crate) fn check_overrides() {
    let rows: Vec<Override> = read("overrides.json");
    let mut seen = std::collections::BTreeSet::new();
    for Override { file, id, statement, .. } in rows {
        assert!(
            cases(&file).iter().any(|case| case.id == id),
            "{file}/{id} is overridden, but there is no such case"
        );
        assert!(!statement.is_empty(), "the override of {file}/{id} names no statement");
        assert!(seen.insert((file.clone(), id.clone())), "{file}/{id} is overridden twice");
    }
}

/// Equal JSON, but that `1` and `1.0` are one number: Python's arithmetic and ours write the same number differently. An
/// error has the same text, unless any is expected.
pub(crate) fn is_same(expected: &Value, ours: &Value) -> bool {
    match (expected, ours) {
        (Value::Object(expected), Value::Object(ours)) if expected.contains_key("error") => {
            ours.contains_key("error")
                && (expected["error"] == "*" || expected.get("message") == ours.get("message"))
        }
        (Value::Object(expected), Value::Object(ours)) => {
            expected.len() == ours.len()
                && expected.iter().all(|(key, value)| ours.get(key).is_some_and(|ours| is_same(value, ours)))
        }
        (Value::Array(expected), Value::Array(ours)) => {
            expected.len() == ours.len()
                && expected.iter().zip(ours).all(|(expected, ours)| is_same(expected, ours))
        }
        (Value::Number(expected), Value::Number(ours)) if expected.is_f64() || ours.is_f64() => {
            expected.as_f64() == ours.as_f64()
        }
        _ => expected == ours,
    }
}

fn cases(file: &str) -> Vec<Case> {
    read::<File>(&format!("{file}.json")).cases
}

fn overrides(file: &str) -> BTreeMap<String, Override> {
    let rows: Vec<Override> = read("overrides.json");
    rows.into_iter().filter(|row| row.file == file).map(|row| (row.id.clone(), row)).collect()
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contract/golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
