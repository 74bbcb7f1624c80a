//! Label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`, and those of specs (`matchLabels`).

use std::{collections::BTreeSet, iter::Peekable, str::Chars};

use serde_json::{Map, Value};

use crate::machinery::{cause::quote, names};

/// A conjunction of requirements on labels. The default one, with none, selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// Parses the text of a `labelSelector` parameter.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Parser { tokens: tokens(text), position: 0 }.parse().map(|requirements| Self { requirements })
    }

    /// The selector of a spec: `{matchLabels, matchExpressions}`. A missing one selects nothing (`None`), an
    /// unknown operator selects nothing either.
    pub(crate) fn from_spec(spec: &Value) -> Option<Self> {
        let spec = spec.as_object()?;
        let mut requirements = Vec::new();
        for (key, value) in spec.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let values = value.as_str().map(str::to_owned).into_iter().collect();
            requirements.push(Requirement { key: key.clone(), operator: Operator::In, values });
        }
        for expression in spec.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let operator = match expression["operator"].as_str()? {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return None,
            };
            let key = expression["key"].as_str()?.to_owned();
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(Requirement { key, operator, values });
        }
        Some(Self { requirements })
    }

    /// Whether the labels of an object (`metadata.labels`) satisfy all requirements.
    pub(crate) fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let label = labels.and_then(|labels| labels.get(&requirement.key)).and_then(Value::as_str);
            requirement.matches(label)
        })
    }

    /// Whether the selector selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl Requirement {
    fn matches(&self, label: Option<&str>) -> bool {
        match (self.operator, label) {
            (Operator::In, label) => label.is_some_and(|label| self.values.contains(label)),
            (Operator::NotIn, label) => label.is_none_or(|label| !self.values.contains(label)),
            (Operator::Exists, label) => label.is_some(),
            (Operator::DoesNotExist, label) => label.is_none(),
            (Operator::GreaterThan, label) => self.compare(label).is_some_and(|(label, bound)| label > bound),
            (Operator::LessThan, label) => self.compare(label).is_some_and(|(label, bound)| label < bound),
        }
    }

    fn compare(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((label?.parse().ok()?, self.values.first()?.parse().ok()?))
    }

    /// What the real server says of a requirement that is parsed but not allowed.
    fn check(&self) -> Result<(), String> {
        let mut errors = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            let is_compared = matches!(self.operator, Operator::GreaterThan | Operator::LessThan);
            if is_compared && value.parse::<i64>().is_err() {
                errors.push(format!(
                    "values[{index}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an \
                     integer",
                    quote(value)
                ));
            }
        }
        for (index, value) in self.values.iter().enumerate() {
            let faults = names::label_value(value);
            if !faults.is_empty() {
                let field = format!("values[{index}][{}]", self.key);
                errors.push(format!("{field}: Invalid value: {}: {}", quote(value), faults.join("; ")));
            }
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Identifier(String),
    Comma,
    Not,
    DoubleEquals,
    Equals,
    NotEquals,
    In,
    NotIn,
    Open,
    Close,
    Greater,
    Less,
    Unknown(String),
    End,
}

impl Token {
    /// As error texts quote it.
    fn literal(&self) -> &str {
        match self {
            Self::Identifier(text) | Self::Unknown(text) => text,
            Self::Comma => ",",
            Self::Not => "!",
            Self::DoubleEquals => "==",
            Self::Equals => "=",
            Self::NotEquals => "!=",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Open => "(",
            Self::Close => ")",
            Self::Greater => ">",
            Self::Less => "<",
            Self::End => "",
        }
    }

    fn of_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "," => Self::Comma,
            "!" => Self::Not,
            "==" => Self::DoubleEquals,
            "=" => Self::Equals,
            "!=" => Self::NotEquals,
            "(" => Self::Open,
            ")" => Self::Close,
            ">" => Self::Greater,
            "<" => Self::Less,
            _ => return None,
        })
    }
}

fn is_symbol(char: char) -> bool {
    matches!(char, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\r' | '\n')
}

/// The tokens of the text; the last one is always [`Token::End`].
fn tokens(text: &str) -> Vec<Token> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    loop {
        while chars.next_if(|char| is_space(*char)).is_some() {}
        match chars.peek() {
            None => break,
            Some(first) if is_symbol(*first) => tokens.push(symbol(&mut chars)),
            Some(_) => tokens.push(word(&mut chars)),
        }
    }
    tokens.push(Token::End);
    tokens
}

/// The longest symbol that begins here.
fn symbol(chars: &mut Peekable<Chars<'_>>) -> Token {
    let mut text = String::new();
    let mut longest = None;
    while let Some(char) = chars.peek().copied().filter(|char| is_symbol(*char)) {
        text.push(char);
        match Token::of_symbol(&text) {
            Some(token) => longest = Some(token),
            None if longest.is_some() => break,
            None => {}
        }
        chars.next();
    }
    longest.unwrap_or_else(|| Token::Unknown(format!("error expected: keyword found '{text}'")))
}

fn word(chars: &mut Peekable<Chars<'_>>) -> Token {
    let mut text = String::new();
    while let Some(char) = chars.next_if(|char| !is_symbol(*char) && !is_space(*char)) {
        text.push(char);
    }
    match text.as_str() {
        "in" => Token::In,
        "notin" => Token::NotIn,
        _ => Token::Identifier(text),
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    fn parse(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek_value() {
                Token::Identifier(_) | Token::Not => {}
                Token::End => return Ok(requirements),
                other => {
                    let found = other.literal();
                    return Err(format!("found '{found}', expected: !, identifier, or 'end of string'"));
                }
            }
            let requirement = self.requirement();
            requirements.push(requirement.map_err(|error| format!("unable to parse requirement: {error}"))?);
            match self.next_value() {
                Token::End => return Ok(requirements),
                Token::Comma => match self.peek_value() {
                    Token::Identifier(_) | Token::Not => {}
                    other => {
                        return Err(format!("found '{}', expected: identifier after ','", other.literal()));
                    }
                },
                other => {
                    return Err(format!("found '{}', expected: ',' or 'end of string'", other.literal()));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.next_value();
        let is_negated = token == Token::Not;
        if is_negated {
            token = self.next_value();
        }
        let Token::Identifier(key) = token else {
            return Err(format!("found '{}', expected: identifier", token.literal()));
        };
        let faults = names::qualified_name(&key);
        if !faults.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", quote(&key), faults.join("; ")));
        }
        let (operator, values) = match self.peek_value() {
            _ if is_negated => (Operator::DoesNotExist, BTreeSet::new()),
            Token::End | Token::Comma => (Operator::Exists, BTreeSet::new()),
            _ => self.operator_and_values()?,
        };
        let requirement = Requirement { key, operator, values };
        requirement.check()?;
        Ok(requirement)
    }

    fn operator_and_values(&mut self) -> Result<(Operator, BTreeSet<String>), String> {
        let token = self.next();
        let operator = match token {
            Token::In | Token::Equals | Token::DoubleEquals => Operator::In,
            Token::NotIn | Token::NotEquals => Operator::NotIn,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            _ => {
                let found = token.literal();
                return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        let values = match token {
            Token::In | Token::NotIn => self.value_list()?,
            _ => BTreeSet::from([self.single_value()?]),
        };
        Ok((operator, values))
    }

    fn single_value(&mut self) -> Result<String, String> {
        if matches!(self.peek_value(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next_value() {
            Token::Identifier(value) => Ok(value),
            other => Err(format!("found '{}', expected: identifier", other.literal())),
        }
    }

    /// `(a,b)`; a missing value counts as an empty one.
    fn value_list(&mut self) -> Result<BTreeSet<String>, String> {
        let token = self.next_value();
        if token != Token::Open {
            return Err(format!("found '{}' expected: '('", token.literal()));
        }
        match self.peek_value() {
            Token::Identifier(_) | Token::Comma => {}
            Token::Close => {
                self.next_value();
                return Ok(BTreeSet::from([String::new()]));
            }
            other => {
                return Err(format!("found '{}', expected: ',', ')' or identifier", other.literal()));
            }
        }
        let mut values = BTreeSet::new();
        loop {
            match self.next_value() {
                Token::Identifier(value) => {
                    values.insert(value);
                    match self.peek_value() {
                        Token::Comma => {}
                        Token::Close => break,
                        other => {
                            return Err(format!("found '{}', expected: ',' or ')'", other.literal()));
                        }
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek_value() {
                        Token::Close => {
                            values.insert(String::new());
                            break;
                        }
                        Token::Comma => {
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                other => return Err(format!("found '{}', expected: ',', or identifier", other.literal())),
            }
        }
        self.next_value();
        Ok(values)
    }

    fn peek(&self) -> Token {
        self.tokens.get(self.position).cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.position += 1;
        token
    }

    /// The next token where `in` and `notin` are ordinary words.
    fn peek_value(&self) -> Token {
        match self.peek() {
            token @ (Token::In | Token::NotIn) => Token::Identifier(token.literal().to_owned()),
            token => token,
        }
    }

    fn next_value(&mut self) -> Token {
        let token = self.peek_value();
        self.position += 1;
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(selector: &str, labels: Value, expected: bool) {
        let parsed = LabelSelector::parse(selector).unwrap();
        assert_eq!(parsed.matches(labels.as_object()), expected, "{selector} on {labels}");
    }

    fn check_error(selector: &str, expected: &str) {
        assert_eq!(LabelSelector::parse(selector).unwrap_err(), expected);
    }

    /// D-172, DT-081.
    #[test]
    fn every_operator_selects_by_its_labels() {
        for (selector, matches_prod, matches_none) in [
            ("", true, true),
            ("e=prod", true, false),
            ("e==prod", true, false),
            ("e!=prod", false, true),
            (" e in ( prod , qa ) , t ", true, false),
            ("e notin (prod),e", false, false),
            ("e notin (dev)", true, true),
            ("e", true, false),
            ("!e", false, true),
            ("n>4", true, false),
            ("n<4", false, false),
            ("e>4", false, false),
            ("z=", true, false),
            ("z in ()", true, false),
            ("z in (a,)", true, false),
            ("in in (notin)", true, false),
            ("notin", false, false),
        ] {
            check(selector, json!({"e": "prod", "t": "x", "n": "5", "z": "", "in": "notin"}), matches_prod);
            check(selector, json!({}), matches_none);
        }
    }

    /// D-172: the first text is the real answer of DT-081.
    #[test]
    fn bad_selectors_are_refused_with_the_texts_of_the_real_server() {
        check_error("e===", "unable to parse requirement: found '=', expected: identifier");
        check_error("a,", "found '', expected: identifier after ','");
        check_error("=a", "found '=', expected: !, identifier, or 'end of string'");
        check_error("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        check_error("a in b", "unable to parse requirement: found 'b' expected: '('");
        check_error("a in (b", "unable to parse requirement: found '', expected: ',' or ')'");
        check_error("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier");
        check_error("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier");
        check_error("a=b c", "found 'c', expected: ',' or 'end of string'");
        check_error("!", "unable to parse requirement: found '', expected: identifier");
        check_error(
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the \
             value must be an integer",
        );
        let error = LabelSelector::parse("-a=b").unwrap_err();
        assert!(
            error.starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must")
        );
        let error = LabelSelector::parse("a=-b").unwrap_err();
        assert!(
            error.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid")
        );
    }

    #[test]
    fn the_selector_of_a_spec_joins_labels_and_expressions() {
        let spec = json!({
            "matchLabels": {"a": "1"},
            "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["2", "3"]},
                {"key": "c", "operator": "DoesNotExist"},
            ],
        });
        let selector = LabelSelector::from_spec(&spec).unwrap();
        assert!(selector.matches(json!({"a": "1", "b": "3"}).as_object()));
        assert!(!selector.matches(json!({"a": "1", "b": "3", "c": ""}).as_object()));
        assert!(!selector.matches(json!({"a": "1"}).as_object()));
        assert!(LabelSelector::from_spec(&json!({})).unwrap().is_empty());
        assert_eq!(LabelSelector::from_spec(&Value::Null), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ a=!,()<>\\-]{0,12}") {
            let _ = LabelSelector::parse(&text);
        }

        #[test]
        fn a_selector_and_its_negation_share_nothing(key in "[a-c]", value in "[a-c]?", label in "[a-c]?") {
            let labels = json!({ "a": label });
            let matches = |text: String| LabelSelector::parse(&text).unwrap().matches(labels.as_object());
            prop_assert_ne!(matches(format!("{key}={value}")), matches(format!("{key}!={value}")));
            prop_assert_ne!(matches(key.clone()), matches(format!("!{key}")));
        }
    }
}
