//! Selectors: which resources a handler is about. Parsing is Python's (A-SEL-001..015), matching upstream's (W-DSC-006..008).

use std::{fmt, sync::Arc};

use crate::{error::ErrorInfo, resource::Resource};

/// A selector that is code: sees every version of every resource, preferred or not (A-SEL-020).
pub trait ResourcePredicate: fmt::Debug + Send + Sync {
    /// Whether the resource is meant.
    ///
    /// # Errors
    /// What the code raises: the operator stops.
    fn test(&self, resource: &Resource) -> Result<bool, ErrorInfo>;
}

/// What a resource is called.
#[derive(Clone, Debug)]
pub enum Name {
    /// Kind, plural, singular or a short name, exactly (A-SEL-021).
    Any(String),
    /// The kind.
    Kind(String),
    /// The plural name.
    Plural(String),
    /// The singular name.
    Singular(String),
    /// A short name.
    Shortcut(String),
    /// Every resource of a category.
    Category(String),
    /// Every resource but Events (W-DSC-007).
    Everything,
    /// Every resource that the code accepts, but Events (W-DSC-007).
    Callback(Arc<dyn ResourcePredicate>),
}

/// Which resources are meant.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The API group, empty for the core group; none = any.
    pub group: Option<String>,
    /// The version; none = the group's preferred one.
    pub version: Option<String>,
    /// The name.
    pub name: Name,
}

/// A positional argument of a selector.
#[derive(Clone, Debug)]
pub enum Positional {
    /// A text.
    Text(String),
    /// `kopf.EVERYTHING`.
    Everything,
    /// Code.
    Callback(Arc<dyn ResourcePredicate>),
}

/// The keyword arguments of a selector.
#[derive(Clone, Debug, Default)]
pub struct Keywords {
    /// `group=`.
    pub group: Option<String>,
    /// `version=`.
    pub version: Option<String>,
    /// `kind=`.
    pub kind: Option<String>,
    /// `plural=`.
    pub plural: Option<String>,
    /// `singular=`.
    pub singular: Option<String>,
    /// `shortcut=`.
    pub shortcut: Option<String>,
    /// `category=`.
    pub category: Option<String>,
}

/// Why the arguments make no selector. The texts are upstream's; Python raises `TypeError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// No name (A-SEL-013).
    #[error("Unspecific resource with no names.")]
    Unspecific,
    /// Several names; as Python writes the list (A-SEL-013).
    #[error("Ambiguous resource specification with [{0}]")]
    Ambiguous(String),
    /// An empty name (A-SEL-014).
    #[error("Names must not be empty strings; either None or specific strings.")]
    EmptyName,
    /// More than group, version and name (A-SEL-011).
    #[error("Too many positional arguments. Max 3 positional args are accepted.")]
    TooMany,
    /// A callback or `EVERYTHING` in the place of a group or version (A-SEL-012).
    #[error("Only texts are accepted as the group and the version of a resource.")]
    NoText,
}

impl Selector {
    /// Makes a selector of the arguments of a decorator (A-SEL-001..015). What the positional arguments say of the group
    /// and the version wins over the keywords (A-SEL-015).
    ///
    /// # Errors
    /// Unless the arguments give exactly one name.
    pub fn parse(args: &[Positional], keywords: Keywords) -> Result<Self, SelectorError> {
        let (group, version, name) = match args {
            [] => (None, None, None),
            [Positional::Text(text)] => split_name(text),
            [Positional::Text(group), name] => {
                let (group, version) = split_group(group);
                (Some(group), version, Some(Name::positional(name)?))
            }
            [Positional::Text(group), Positional::Text(version), name] => {
                (Some(group.clone()), Some(version.clone()), Some(Name::positional(name)?))
            }
            [name] => (None, None, Some(Name::positional(name)?)),
            [_, _] | [_, _, _] => return Err(SelectorError::NoText),
            _ => return Err(SelectorError::TooMany),
        };
        if args.len() > 1 && matches!(name, Some(Name::Callback(_))) {
            return Err(SelectorError::NoText);
        }
        let keyword_names = [
            keywords.kind.map(Name::Kind),
            keywords.plural.map(Name::Plural),
            keywords.singular.map(Name::Singular),
            keywords.shortcut.map(Name::Shortcut),
            keywords.category.map(Name::Category),
            name,
        ];
        let mut names: Vec<Name> = keyword_names.into_iter().flatten().collect();
        if names.iter().any(|name| name.text() == Some("")) {
            return Err(SelectorError::EmptyName);
        }
        let name = names.pop().ok_or(SelectorError::Unspecific)?;
        if names.is_empty() {
            return Ok(Self { group: group.or(keywords.group), version: version.or(keywords.version), name });
        }
        names.push(name);
        let all: Vec<String> = names.iter().map(Name::repr).collect();
        Err(SelectorError::Ambiguous(all.join(", ")))
    }

    /// Whether one resource is meant, so that two matches are ambiguous (A-SEL-024).
    #[must_use]
    pub fn is_specific(&self) -> bool {
        !matches!(self.name, Name::Category(_) | Name::Everything | Name::Callback(_))
    }

    /// Whether matching calls the door's code (DEC-6).
    #[must_use]
    pub fn has_callback(&self) -> bool {
        matches!(self.name, Name::Callback(_))
    }

    /// Whether the resource is meant, by itself (W-DSC-006, W-DSC-007).
    ///
    /// # Errors
    /// What a callback raises.
    pub fn matches(&self, resource: &Resource) -> Result<bool, ErrorInfo> {
        let group = self.group.as_ref().is_none_or(|group| *group == resource.group);
        let version = match &self.version {
            Some(version) => *version == resource.version,
            None => resource.preferred || self.has_callback(),
        };
        Ok(group && version && self.name.matches(resource)?)
    }

    /// The resources that are meant, of all that are there: those of the core group win for a specific selector
    /// (W-DSC-008).
    ///
    /// # Errors
    /// What a callback raises.
    pub fn select(&self, resources: &[Arc<Resource>]) -> Result<Vec<Arc<Resource>>, ErrorInfo> {
        let mut selected = Vec::new();
        for resource in resources {
            if self.matches(resource)? {
                selected.push(resource.clone());
            }
        }
        if self.is_specific() && selected.iter().any(|resource| resource.group.is_empty()) {
            selected.retain(|resource| resource.group.is_empty());
        }
        Ok(selected)
    }
}

impl Name {
    fn positional(argument: &Positional) -> Result<Self, SelectorError> {
        match argument {
            Positional::Text(text) => Ok(Self::Any(text.clone())),
            Positional::Everything => Ok(Self::Everything),
            Positional::Callback(code) => Ok(Self::Callback(code.clone())),
        }
    }

    fn matches(&self, resource: &Resource) -> Result<bool, ErrorInfo> {
        let short = |name: &String| resource.short_names.contains(name);
        Ok(match self {
            Self::Any(name) => {
                [&resource.kind, &resource.plural, &resource.singular].contains(&name) || short(name)
            }
            Self::Kind(name) => resource.kind == *name,
            Self::Plural(name) => resource.plural == *name,
            Self::Singular(name) => resource.singular == *name,
            Self::Shortcut(name) => short(name),
            Self::Category(name) => resource.categories.contains(name),
            Self::Everything => !is_event(resource),
            Self::Callback(code) => !is_event(resource) && code.test(resource)?,
        })
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Any(name)
            | Self::Kind(name)
            | Self::Plural(name)
            | Self::Singular(name)
            | Self::Shortcut(name)
            | Self::Category(name) => Some(name),
            Self::Everything | Self::Callback(_) => None,
        }
    }

    /// The name as Python writes the value.
    fn repr(&self) -> String {
        match self {
            Self::Everything => "<Marker.EVERYTHING: 1>".into(),
            Self::Callback(code) => format!("{code:?}"),
            named => quoted(named.text().unwrap_or_default()),
        }
    }

    fn keyword(&self) -> &'static str {
        match self {
            Self::Any(_) | Self::Everything | Self::Callback(_) => "any_name",
            Self::Kind(_) => "kind",
            Self::Plural(_) => "plural",
            Self::Singular(_) => "singular",
            Self::Shortcut(_) => "shortcut",
            Self::Category(_) => "category",
        }
    }
}

/// As in logs: `Selector(group='kopf.dev', any_name='kopfexamples')`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Selector(")?;
        for (keyword, value) in [("group", &self.group), ("version", &self.version)] {
            if let Some(value) = value {
                write!(f, "{keyword}={}, ", quoted(value))?;
            }
        }
        write!(f, "{}={})", self.name.keyword(), self.name.repr())
    }
}

type Parts = (Option<String>, Option<String>, Option<Name>);

/// One positional text: `name`, `name.v1`, `name.v1.group`, `name.group` (A-SEL-001..003).
fn split_name(text: &str) -> Parts {
    let Some((name, rest)) = text.split_once('.') else {
        return (None, None, Some(Name::Any(text.to_owned())));
    };
    let name = Some(Name::Any(name.to_owned()));
    match rest.split_once('.') {
        Some((version, group)) if is_version(version) => {
            (Some(group.to_owned()), Some(version.to_owned()), name)
        }
        None if is_version(rest) => (None, Some(rest.to_owned()), name),
        _ => (Some(rest.to_owned()), None, name),
    }
}

/// The first of two positional texts: `group/version`, `v1` for the core group, or a group (A-SEL-006..008).
fn split_group(text: &str) -> (String, Option<String>) {
    match text.rsplit_once('/') {
        Some((group, version)) => (group.to_owned(), Some(version.to_owned())),
        None if text == "v1" => (String::new(), Some("v1".to_owned())),
        None => (text.to_owned(), None),
    }
}

/// Whether a text is a version by convention: `v1`, `v1beta1`, `v2alpha3`.
fn is_version(text: &str) -> bool {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Some(rest) = text.strip_prefix('v') else { return false };
    let (number, rest) = rest.split_at(digits(rest));
    let stage = rest.strip_prefix("alpha").or_else(|| rest.strip_prefix("beta"));
    let complete = rest.is_empty() || stage.is_some_and(|n| !n.is_empty() && digits(n) == n.len());
    !number.is_empty() && complete
}

fn is_event(resource: &Resource) -> bool {
    resource.plural == "events" && matches!(resource.group.as_str(), "" | "events.k8s.io")
}

/// A name as Python writes it. Names in Kubernetes hold nothing that would need more escaping.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
