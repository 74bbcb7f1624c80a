//! Names of objects and qualified names: the syntaxes of Kubernetes with the exact texts of its refusals.
//!
//! Each check gives every text that applies, so an empty list means that the name is fine.

/// The syntax that the names of a type follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSyntax {
    /// Most types, and all custom resources.
    Subdomain,
    /// Namespaces, and Services since Kubernetes 1.34.
    Label,
    /// Roles and bindings: whatever can stand in a path.
    PathSegment,
}

impl NameSyntax {
    /// What is wrong with a name.
    pub(crate) fn check(self, name: &str) -> Vec<String> {
        match self {
            Self::Subdomain => dns_1123_subdomain(name),
            Self::Label => dns_1123_label(name),
            Self::PathSegment => path_segment(name),
        }
    }

    /// What is wrong with the beginning of a name, to which a generated end is added: it may end in a dash.
    pub(crate) fn check_prefix(self, prefix: &str) -> Vec<String> {
        match self {
            Self::PathSegment => path_segment_characters(prefix),
            _ => match prefix.strip_suffix('-') {
                Some(rest) if !rest.is_empty() => self.check(&masked(rest)),
                _ => self.check(prefix),
            },
        }
    }
}

/// The name with its last character made a harmless one, since more is to follow.
fn masked(rest: &str) -> String {
    let mut masked = rest.to_owned();
    masked.pop();
    masked.push('a');
    masked
}

/// The length of the random end of a generated name.
pub(crate) const SUFFIX_LENGTH: usize = 5;
/// Generated names are cut to the length of a DNS label.
const MAX_GENERATED_LENGTH: usize = 63;
/// No vowels and no characters that are easily confused, so that no words come up.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Makes a name of a `generateName` and random bytes.
///
/// The prefix is cut so that the whole is no longer than a DNS label. The bytes are mapped to the alphabet
/// by remainder, which is not quite even and does not matter here.
pub(crate) fn generate(prefix: &str, random: [u8; SUFFIX_LENGTH]) -> String {
    let mut length = prefix.len().min(MAX_GENERATED_LENGTH - SUFFIX_LENGTH);
    while !prefix.is_char_boundary(length) {
        length -= 1;
    }
    let suffix = random.map(|byte| char::from(SUFFIX_ALPHABET[usize::from(byte) % SUFFIX_ALPHABET.len()]));
    prefix[..length].chars().chain(suffix).collect()
}

/// Checks a DNS subdomain: labels with dots between, at most 253 bytes.
pub(crate) fn dns_1123_subdomain(name: &str) -> Vec<String> {
    subdomain(name, "characters")
}

/// The real server counts bytes in any case, and names them in label keys only.
fn subdomain(name: &str, unit: &str) -> Vec<String> {
    let mut errors = too_long(name, 253, unit);
    if !name.split('.').all(is_dns_1123_label) {
        errors.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    errors
}

/// Checks a DNS label: at most 63 bytes.
pub(crate) fn dns_1123_label(name: &str) -> Vec<String> {
    let mut errors = too_long(name, 63, "characters");
    if is_dns_1123_label(name) {
        return errors;
    }
    errors.push(match name.split('.').all(is_dns_1123_label) {
        true => "must not contain dots".to_owned(),
        false => "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
                  must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
                  used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned(),
    });
    errors
}

/// Checks a DNS label of the older kind, which begins with a letter.
pub(crate) fn dns_1035_label(name: &str) -> Vec<String> {
    let mut errors = too_long(name, 63, "characters");
    if !is_dns_1123_label(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        errors.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', \
             regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    errors
}

/// Checks that a name can stand in a path.
pub(crate) fn path_segment(name: &str) -> Vec<String> {
    match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => path_segment_characters(name),
    }
}

fn path_segment_characters(name: &str) -> Vec<String> {
    let illegal = ['/', '%'].into_iter().filter(|illegal| name.contains(*illegal));
    illegal.map(|illegal| format!("may not contain '{illegal}'")).collect()
}

/// Checks a qualified name, the syntax of label keys: `[DNS subdomain/]name`.
pub(crate) fn qualified_name(text: &str) -> Vec<String> {
    const SYNTAX: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                          with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
                          used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut errors = Vec::new();
    let parts: Vec<_> = text.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        ["", name] => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        [prefix, name] => {
            errors.extend(subdomain(prefix, "bytes").into_iter().map(|error| format!("prefix part {error}")));
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {SYNTAX} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    }
    errors.extend(too_long(name, 63, "bytes").into_iter().map(|error| format!("name part {error}")));
    if !is_label_name(name) {
        errors.push(format!("name part {SYNTAX}"));
    }
    errors
}

/// What is wrong with the name of a port of a container.
pub(crate) fn port(name: &str) -> Vec<&'static str> {
    let mut faults = Vec::new();
    if name.len() > 15 {
        faults.push("must be no more than 15 characters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        faults.push("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        faults.push("must not begin or end with a hyphen");
    }
    faults
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Checks the value of a label: empty, or at most 63 bytes of the syntax of names.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    let mut errors = too_long(text, 63, "bytes");
    if !text.is_empty() && !is_label_name(text) {
        errors.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
             and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
             '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .to_owned(),
        );
    }
    errors
}

fn too_long(text: &str, limit: usize, unit: &str) -> Vec<String> {
    match text.len() > limit {
        true => vec![format!("must be no more than {limit} {unit}")],
        false => Vec::new(),
    }
}

fn is_dns_1123_label(label: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    is_word(label, is_alphanumeric, |byte| byte == b'-')
}

fn is_label_name(name: &str) -> bool {
    is_word(name, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'_' | b'.'))
}

/// Not empty, of `outer` and `inner` bytes, with `outer` ones at both ends.
fn is_word(text: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| outer(*first) && outer(*last))
        && bytes.iter().all(|byte| outer(*byte) || inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-103: the texts in full are compared with the real answers by the tests of [`super::super::metadata`].
    #[test]
    fn each_syntax_accepts_its_names_and_refuses_the_others() {
        use NameSyntax::{Label, PathSegment, Subdomain};
        let check = |syntax: NameSyntax, name: &str, expected: usize| {
            let errors = syntax.check(name);
            assert_eq!(errors.len(), expected, "{syntax:?} {name:?}: {errors:?}");
        };
        for (name, subdomain, label, dns_1035, path) in [
            ("a", 0, 0, 0, 0),
            ("1a", 0, 0, 1, 0),
            ("a.b-c", 0, 1, 1, 0),
            ("a..b", 1, 1, 1, 0),
            ("-a", 1, 1, 1, 0),
            ("a-", 1, 1, 1, 0),
            ("", 1, 1, 1, 0),
            ("A", 1, 1, 1, 0),
            ("system:node", 1, 1, 1, 0),
            ("a\n", 1, 1, 1, 0),
            (".", 1, 1, 1, 1),
            ("a/b%", 1, 1, 1, 2),
        ] {
            check(Subdomain, name, subdomain);
            check(Label, name, label);
            assert_eq!(dns_1035_label(name).len(), dns_1035, "{name:?}");
            check(PathSegment, name, path);
        }
        assert_eq!(Label.check("a.b"), ["must not contain dots"]);
        assert_eq!(Label.check(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert_eq!(Subdomain.check(&"a".repeat(254)), ["must be no more than 253 characters"]);
    }

    /// D-102.
    #[test]
    fn a_generated_name_has_five_more_characters_and_fits_a_label() {
        assert_eq!(generate("web-", [0, 1, 26, 27, 255]), "web-bc9bq");
        assert_eq!(generate(&"a".repeat(80), [0; 5]), format!("{}bbbbb", "a".repeat(58)));
        assert_eq!(generate(&"ä".repeat(40), [0; 5]), format!("{}bbbbb", "ä".repeat(29)));
    }

    /// D-102: `web-` is a fine beginning of a name, and no name.
    #[test]
    fn a_prefix_may_end_in_a_dash() {
        assert!(NameSyntax::Subdomain.check_prefix("web-").is_empty());
        assert_eq!(NameSyntax::Subdomain.check_prefix("Web-").len(), 1);
        assert_eq!(NameSyntax::Subdomain.check_prefix("-").len(), 1);
        assert_eq!(NameSyntax::Subdomain.check("web-").len(), 1);
    }

    /// D-111.
    #[test]
    fn qualified_names_have_an_optional_domain() {
        for good in ["a", "A_b.c", "example.com/a", "1"] {
            assert_eq!(qualified_name(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("").len(), 2);
        assert_eq!(qualified_name("a/").len(), 2);
        assert_eq!(qualified_name("A/b").len(), 1);
        assert!(qualified_name("a/b/c")[0].ends_with("(e.g. 'example.com/MyName')"));
        assert_eq!(qualified_name(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
    }
}
