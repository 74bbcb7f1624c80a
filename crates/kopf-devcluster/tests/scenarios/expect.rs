//! The expectations that stand in a step, and the paths in them.

use http::HeaderMap;
use serde_json::Value;

use crate::door::Answer;

/// Checks an answer against the `x` of its step.
pub(crate) fn answer(expected: &Value, answer: &Answer) -> Vec<String> {
    let mut problems = Vec::new();
    for (key, value) in expected.as_object().into_iter().flatten() {
        match key.as_str() {
            "s" => {
                if value.as_u64() != Some(answer.status.as_u16().into()) {
                    problems.push(format!(
                        "status {}, expected {value}: {}",
                        answer.status,
                        brief(&answer.body)
                    ));
                }
            }
            "r" if answer.body["reason"] != *value => {
                problems.push(format!("reason {}, expected {value}", answer.body["reason"]));
            }
            "m" => {
                let text = answer.body["message"].as_str().or(answer.body.as_str()).unwrap_or_default();
                if !text.contains(value.as_str().unwrap()) {
                    problems.push(format!("message {text:?} without {value}"));
                }
            }
            "n" => {
                let count = answer.body["items"]
                    .as_array()
                    .map(|items| items.iter().filter(|item| counts(item)).count());
                if count.map(|count| count as u64) != value.as_u64() {
                    problems.push(format!("{count:?} items, expected {value}"));
                }
            }
            "j" => partial(value, &answer.body, "", &mut problems),
            "has" => {
                for path in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if dig(&answer.body, path).is_none() {
                        problems.push(format!("{path} is not there"));
                    }
                }
            }
            "not" => {
                for path in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if let Some(found) = dig(&answer.body, path) {
                        problems.push(format!("{path} is there: {}", brief(found)));
                    }
                }
            }
            "hd" => headers(value, &answer.headers, &mut problems),
            "r" => {}
            other => problems.push(format!("unknown expectation {other}")),
        }
    }
    problems
}

/// What every namespace has is not counted, unless a scenario is about it.
fn counts(item: &Value) -> bool {
    item["metadata"]["name"] != "kube-root-ca.crt"
}

fn headers(expected: &Value, headers: &HeaderMap, problems: &mut Vec<String>) {
    for (name, part) in expected.as_object().into_iter().flatten() {
        let texts: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if !texts.iter().any(|text| text.contains(part.as_str().unwrap())) {
            problems.push(format!("header {name} {texts:?} without {part}"));
        }
    }
}

/// Checks that `found` has at least what is expected.
pub(crate) fn partial(expected: &Value, found: &Value, path: &str, problems: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                match found.get(key) {
                    None if value.is_null() => {}
                    None => problems.push(format!("{path}.{key} is not there")),
                    Some(found) => partial(value, found, &format!("{path}.{key}"), problems),
                }
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                partial(expected, found, &format!("{path}[{index}]"), problems);
            }
        }
        _ if expected == found || expected == "<any>" => {}
        _ => problems.push(format!("{path} is {}, expected {}", brief(found), brief(expected))),
    }
}

/// A value for messages.
pub(crate) fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 300 { text.chars().take(300).chain("…".chars()).collect() } else { text }
}

/// The value at a path such as `a.b[0].c[type=Ready]["x.y/z"]`; map keys with dots at the end of a path are found too.
pub(crate) fn dig<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = value;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (selector, after) = inside.split_once(']')?;
            value = select(value, selector)?;
            rest = after.strip_prefix('.').unwrap_or(after);
            continue;
        }
        if let Some(found) = value.get(rest) {
            return Some(found);
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        value = value.get(&rest[..end])?;
        rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
    }
    Some(value)
}

fn select<'a>(value: &'a Value, selector: &str) -> Option<&'a Value> {
    let selector = selector.trim_matches(['"', '\'']);
    if let Some((key, wanted)) = selector.split_once('=') {
        return value.as_array()?.iter().find(|item| item[key] == wanted);
    }
    match selector.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(selector),
    }
}
