//! The part of kubectl's JSONPath that printer columns and selectable fields use.
//!
//! Fields by dot (with `\.` for a dot in a name) or in brackets, indices and slices of lists, `*`, and filters
//! that compare with a constant: `.status.conditions[?(@.type=="Ready")].status`. No recursive descent, no
//! unions, no ranges.

use serde_json::Value;

use crate::machinery::json;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    Filter(Filter),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    path: JsonPath,
    /// `None` for "exists".
    comparison: Option<(Relation, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Parses a path such as `.spec.size`. A leading `$`, `@` and surrounding braces are allowed.
    ///
    /// # Errors
    ///
    /// Names what is not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let text = text.strip_prefix(['$', '@']).unwrap_or(text);
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = match rest.strip_prefix('[') {
                Some(inside) => {
                    let end =
                        closing_bracket(inside).ok_or_else(|| format!("unterminated array in {text}"))?;
                    steps.push(bracket(&inside[..end])?);
                    &inside[end + 1..]
                }
                None => {
                    let (name, rest) = field_name(rest.strip_prefix('.').unwrap_or(rest));
                    match name.as_str() {
                        "" if rest.is_empty() && steps.is_empty() => {}
                        "" if rest.starts_with('[') => {}
                        "" => return Err(format!("invalid path {text}")),
                        "*" => steps.push(Step::All),
                        _ => steps.push(Step::Field(name)),
                    }
                    rest
                }
            };
        }
        Ok(Self { steps })
    }

    /// All values that the path leads to; missing fields lead nowhere.
    ///
    /// # Errors
    ///
    /// An index is out of range, or a list is expected where there is none.
    pub(crate) fn find<'a>(&self, value: &'a Value) -> Result<Vec<&'a Value>, String> {
        let mut current = vec![value];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in current {
                step.follow(value, &mut next)?;
            }
            current = next;
        }
        Ok(current)
    }

    /// The first value that the path leads to, if any.
    pub(crate) fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value).ok()?.into_iter().next()
    }
}

impl Step {
    fn follow<'a>(&self, value: &'a Value, found: &mut Vec<&'a Value>) -> Result<(), String> {
        match (self, value) {
            (Self::Field(name), value) => found.extend(value.get(name)),
            (Self::All, Value::Array(items)) => found.extend(items),
            (Self::All, Value::Object(fields)) => found.extend(fields.values()),
            (Self::All, _) => {}
            (Self::Index(index), Value::Array(items)) => {
                let position = from_end(*index, items.len());
                let item = position.and_then(|position| items.get(position));
                let item = item.ok_or_else(|| format!("array index out of bounds: index {index}"))?;
                found.push(item);
            }
            (Self::Slice(start, end), Value::Array(items)) => {
                let clamp = |index: Option<i64>, default: usize| match index {
                    Some(index) => from_end(index, items.len()).unwrap_or(0).min(items.len()),
                    None => default,
                };
                let (start, end) = (clamp(*start, 0), clamp(*end, items.len()));
                found.extend(items.get(start..end).unwrap_or_default());
            }
            (Self::Filter(filter), Value::Array(items)) => {
                found.extend(items.iter().filter(|item| filter.passes(item)));
            }
            (Self::Index(_) | Self::Slice(..) | Self::Filter(_), _) => {
                return Err("a list is expected where there is none".to_owned());
            }
        }
        Ok(())
    }
}

/// A position counted from the end if negative.
fn from_end(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index + i64::try_from(length).ok()? } else { index };
    usize::try_from(index).ok()
}

impl Filter {
    fn passes(&self, item: &Value) -> bool {
        let Some(actual) = self.path.first(item) else { return false };
        let Some((relation, expected)) = &self.comparison else { return true };
        let order = match (actual, expected) {
            (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            _ => None,
        };
        match relation {
            Relation::Equal => json::equal(actual, expected),
            Relation::NotEqual => !json::equal(actual, expected),
            Relation::Less => order.is_some_and(|order| order.is_lt()),
            Relation::LessOrEqual => order.is_some_and(|order| order.is_le()),
            Relation::Greater => order.is_some_and(|order| order.is_gt()),
            Relation::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
        }
    }
}

/// Where the bracket closes that was opened before this text.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut quote = None;
    for (position, char) in text.char_indices() {
        match (quote, char) {
            (Some(open), _) if char == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(position),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

/// A name up to the next dot or bracket, with backslashes resolved, and what follows.
fn field_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((position, char)) = chars.next() {
        match char {
            '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[position..]),
            _ => name.push(char),
        }
    }
    (name, "")
}

fn bracket(inside: &str) -> Result<Step, String> {
    let inside = inside.trim();
    if inside == "*" {
        return Ok(Step::All);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        return Ok(Step::Filter(parse_filter(filter)?));
    }
    if let Some(name) = unquoted(inside) {
        return Ok(Step::Field(name.replace("\\.", ".")));
    }
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse::<i64>().map(Some).map_err(|_| format!("invalid array index {inside}")),
    };
    match inside.split_once(':') {
        Some((start, end)) => Ok(Step::Slice(number(start)?, number(end)?)),
        None => number(inside)?.map(Step::Index).ok_or_else(|| format!("invalid array index {inside}")),
    }
}

fn unquoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

fn parse_filter(text: &str) -> Result<Filter, String> {
    // Longer operators first: `<` is the beginning of `<=`.
    const OPERATORS: &[(&str, Relation)] = &[
        ("==", Relation::Equal),
        ("!=", Relation::NotEqual),
        ("<=", Relation::LessOrEqual),
        (">=", Relation::GreaterOrEqual),
        ("<", Relation::Less),
        (">", Relation::Greater),
    ];
    let found = OPERATORS.iter().find_map(|(operator, relation)| {
        text.split_once(operator).map(|(left, right)| (left, *relation, right.trim()))
    });
    let Some((left, relation, right)) = found else {
        return Ok(Filter { path: JsonPath::parse(text)?, comparison: None });
    };
    let constant = match unquoted(right) {
        Some(text) => Value::from(text),
        None => serde_json::from_str(right).map_err(|_| format!("invalid constant {right} in a filter"))?,
    };
    Ok(Filter { path: JsonPath::parse(left)?, comparison: Some((relation, constant)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(path: &str, expected: Value) {
        let object = json!({
            "spec": {"size": 3, "list": [1, 2, 3], "a.b": {"c/d": "x"}},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "n": 1},
                {"type": "Other", "status": "False", "n": 2},
            ]},
        });
        let path = JsonPath::parse(path).unwrap();
        assert_eq!(json!(path.find(&object).unwrap_or_default()), expected, "{path:?}");
    }

    /// D-201.
    #[test]
    fn paths_lead_to_fields_items_and_filtered_items() {
        check(".spec.size", json!([3]));
        check("{.spec.size}", json!([3]));
        check("$.spec['size']", json!([3]));
        check(".spec.nope.deeper", json!([]));
        check(r".spec.a\.b.c/d", json!(["x"]));
        check(".spec['a.b']['c/d']", json!(["x"]));
        check(".spec.list[0]", json!([1]));
        check(".spec.list[-1]", json!([3]));
        check(".spec.list[7]", json!([]));
        check(".spec.list[0:2]", json!([1, 2]));
        check(".spec.list[*]", json!([1, 2, 3]));
        check(r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"]));
        check(".status.conditions[?(@.type != 'Ready')].n", json!([2]));
        check(".status.conditions[?(@.n>=2)].type", json!(["Other"]));
        check(".status.conditions[?(@.status)].n", json!([1, 2]));
        check(".status.conditions[*].type", json!(["Ready", "Other"]));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in [".spec[", ".spec[x]", ".spec[?(@.a==b)]", "..a", ".a..b"] {
            assert!(JsonPath::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[.a\[\]'"0-9?(@)=:\\*-]{0,12}"#) {
            if let Ok(path) = JsonPath::parse(&text) {
                let _ = path.find(&json!({"a": [{"a": 1}, 2]}));
            }
        }
    }
}
