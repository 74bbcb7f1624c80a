//! The differences from a real server that are known, with reasons: `docs/devcluster-differences.md`.
//!
//! A row says where (`DT-039`, `DT-039 1` for one step, or a name of the generator) and which fields (paths, with `*`
//! for any text) differ. Rows under the heading "Now and then" need not occur.

use std::collections::BTreeSet;

use regex::Regex;

use crate::compare::Difference;

pub(crate) struct Differences {
    rows: Vec<Row>,
    /// Index of the row, and the place or the field of it that has occurred.
    occurred: BTreeSet<(usize, String)>,
}

struct Row {
    places: Vec<String>,
    fields: Vec<String>,
    is_certain: bool,
}

impl Differences {
    pub(crate) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/devcluster-differences.md");
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let ticked = Regex::new("`([^`]+)`").unwrap();
        let texts = |cell: &str| ticked.captures_iter(cell).map(|found| found[1].to_owned()).collect();
        let mut is_certain = true;
        let mut rows = Vec::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                is_certain = heading != "Now and then";
            } else if line.starts_with("| `") {
                let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
                assert_eq!(cells.len(), 5, "{path}: a row has five columns: {line}");
                rows.push(Row { places: texts(cells[0]), fields: texts(cells[1]), is_certain });
            }
        }
        Self { rows, occurred: BTreeSet::new() }
    }

    /// Whether a row allows the difference; it has occurred then.
    pub(crate) fn allow(&mut self, place: &str, difference: &Difference) -> bool {
        let Self { rows, occurred } = self;
        let mut is_allowed = false;
        for (index, row) in rows.iter().enumerate() {
            let here = row.places.iter().filter(|known| covers(known, place));
            let fields = row.fields.iter().filter(|known| matches(known, difference));
            for (place, field) in here.flat_map(|place| fields.clone().map(move |field| (place, field))) {
                occurred.extend([(index, place.clone()), (index, field.clone())]);
                is_allowed = true;
            }
        }
        is_allowed
    }

    /// What stands in the rows about these places and has not occurred.
    pub(crate) fn unused(&self, is_about: impl Fn(&str) -> bool) -> Vec<String> {
        let mut unused = Vec::new();
        for (index, row) in self.rows.iter().enumerate().filter(|(_, row)| row.is_certain) {
            if row.places.iter().any(|place| is_about(place)) {
                let texts = row.places.iter().chain(&row.fields);
                let rest = texts.filter(|text| !self.occurred.contains(&(index, (*text).clone())));
                unused
                    .extend(rest.map(|text| format!("{}: {text} no longer differs", row.places.join(", "))));
            }
        }
        unused
    }
}

/// Whether a place is the known one or a step of it.
fn covers(known: &str, place: &str) -> bool {
    place.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// A pattern is for a field, or for a field and what is said of it: `message: *text*`.
fn matches(pattern: &str, difference: &Difference) -> bool {
    let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
    let is_match = |text: &str| Regex::new(&format!("(?s)^{}$", parts.join(".*"))).unwrap().is_match(text);
    match pattern.contains(": ") {
        true => is_match(&format!("{}: {}", difference.field, difference.texts())),
        false => is_match(&difference.field),
    }
}
