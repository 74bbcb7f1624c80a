//! Which resources are served, and by which handlers (W-DSC-006..012). Pure, but for selectors that are code.

use std::sync::Arc;

use kopf_core::{error::ErrorInfo, handler::Handler, resource::Resource, selector::Selector};

use crate::{registry::Registry, repr};

/// What follows from the declared selectors and the resources that are there.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    /// The served resources with their handlers, in the order of declaration.
    pub(crate) resources: Vec<(Arc<Resource>, Vec<Arc<Handler>>)>,
    /// What the log says.
    pub(crate) warnings: Vec<String>,
}

/// Resolves the selectors.
///
/// # Errors
/// What a callable selector raises.
pub(crate) fn resolve(registry: &Registry, there: &[Arc<Resource>]) -> Result<Serving, ErrorInfo> {
    let mut serving = Serving::default();
    let mut unresolved: Vec<String> = Vec::new();
    for (selector, handler) in &registry.resources {
        let selected = selector.select(there)?;
        if selector.is_specific() && selected.len() > 1 {
            serving.warn_once(ambiguous(selector, &selected));
        }
        if selected.is_empty() || selector.is_specific() && selected.len() > 1 {
            push_once(&mut unresolved, selector.to_string());
            continue;
        }
        for resource in selected {
            serving.add(resource, handler);
        }
    }
    if !unresolved.is_empty() {
        serving.warn_once(format!(
            "Unresolved resources cannot be served (try creating their CRDs): {}",
            repr::set(unresolved)
        ));
    }
    serving.drop_non_watchable();
    serving.drop_non_patchable();
    Ok(serving)
}

impl Serving {
    fn add(&mut self, resource: Arc<Resource>, handler: &Arc<Handler>) {
        match self.resources.iter_mut().find(|(known, _)| *known == resource) {
            Some((_, handlers)) => handlers.push(handler.clone()),
            None => self.resources.push((resource, vec![handler.clone()])),
        }
    }

    fn drop_non_watchable(&mut self) {
        self.drop_lacking(&["list", "watch"], "Non-watchable");
    }

    /// Nobody needs the verb unless something is written: then all that lack it go, whatever their handlers (A-SEL-029).
    fn drop_non_patchable(&mut self) {
        let writes = |(resource, handlers): &(Arc<Resource>, Vec<Arc<Handler>>)| {
            lacks(resource, &["patch"]) && handlers.iter().any(|handler| handler.trigger.is_changing())
        };
        if self.resources.iter().any(writes) {
            self.drop_lacking(&["patch"], "Non-patchable");
        }
    }

    fn drop_lacking(&mut self, verbs: &[&str], word: &str) {
        let (dropped, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.resources).into_iter().partition(|(resource, _)| lacks(resource, verbs));
        self.resources = kept;
        if !dropped.is_empty() {
            let names = dropped.iter().map(|(resource, _)| resource.to_string());
            self.warn_once(format!("{word} resources will not be served: {}", repr::set(names)));
        }
    }

    fn warn_once(&mut self, warning: String) {
        push_once(&mut self.warnings, warning);
    }
}

fn lacks(resource: &Resource, verbs: &[&str]) -> bool {
    verbs.iter().any(|verb| !resource.verbs.iter().any(|known| known == verb))
}

fn ambiguous(selector: &Selector, selected: &[Arc<Resource>]) -> String {
    let names = selected.iter().map(ToString::to_string);
    format!(
        "Ambiguous resources will not be served (try specifying API groups): {selector} => {}",
        repr::set(names)
    )
}

fn push_once(texts: &mut Vec<String>, text: String) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}

#[cfg(test)]
mod tests {
    use kopf_core::{
        filter::Filters,
        handler::{Needs, Options, Trigger},
        selector::{Keywords, Positional},
    };

    use super::*;

    fn resource(group: &str, plural: &str, verbs: &[&str]) -> Arc<Resource> {
        Arc::new(Resource {
            group: group.into(),
            version: "v1".into(),
            plural: plural.into(),
            kind: "Thing".into(),
            categories: vec!["all".into()],
            preferred: true,
            verbs: verbs.iter().map(ToString::to_string).collect(),
            ..Resource::default()
        })
    }

    fn check(declared: &[(&str, Trigger)], there: &[Arc<Resource>], served: &[&str], warnings: &[&str]) {
        let mut registry = Registry::default();
        for (i, (name, trigger)) in declared.iter().enumerate() {
            let selector = match name.strip_prefix('@') {
                Some(category) => {
                    let category = Some(category.to_owned());
                    Selector::parse(&[], Keywords { category, ..Keywords::default() })
                }
                None => Selector::parse(&[Positional::Text((*name).into())], Keywords::default()),
            };
            let handler = Handler {
                id: format!("h{i}").into(),
                trigger: *trigger,
                filters: Filters::default(),
                options: Options::default(),
                function: i as u64,
                needs: Needs::ALL,
            };
            registry.resources.push((selector.unwrap(), Arc::new(handler)));
        }
        let serving = resolve(&registry, there).unwrap();
        let shown: Vec<_> = serving
            .resources
            .iter()
            .map(|(resource, handlers)| {
                let ids: Vec<_> = handlers.iter().map(|handler| handler.id.as_str()).collect();
                format!("{resource}: {}", ids.join(" "))
            })
            .collect();
        assert_eq!(shown, served);
        assert_eq!(serving.warnings, warnings);
    }

    const ALL: [&str; 3] = ["list", "watch", "patch"];

    /// W-DSC-009, A-SEL-031.
    #[test]
    fn handlers_of_one_resource_come_together_in_order() {
        let there = [resource("g", "a", &ALL), resource("g", "b", &ALL)];
        check(
            &[("a", Trigger::Create), ("@all", Trigger::Event), ("a.v1.g", Trigger::Update)],
            &there,
            &["a.v1.g: h0 h1 h2", "b.v1.g: h1"],
            &[],
        );
    }

    /// W-DSC-010, W-DSC-011.
    #[test]
    fn ambiguous_and_missing_resources_are_not_served_and_said_so() {
        let there = [resource("g", "a", &ALL), resource("h", "a", &ALL)];
        check(
            &[("a", Trigger::Create), ("a", Trigger::Update), ("gone", Trigger::Create)],
            &there,
            &[],
            &[
                "Ambiguous resources will not be served (try specifying API groups): Selector(any_name='a') => {a.v1.g, a.v1.h}",
                "Unresolved resources cannot be served (try creating their CRDs): {Selector(any_name='a'), Selector(any_name='gone')}",
            ],
        );
    }

    /// W-DSC-012, A-SEL-029.
    #[test]
    fn resources_that_cannot_be_watched_or_patched_are_not_served() {
        let there = [resource("g", "a", &["list"]), resource("g", "b", &["list", "watch"])];
        let non_watchable = "Non-watchable resources will not be served: {a.v1.g}";
        check(&[("@all", Trigger::Event)], &there, &["b.v1.g: h0"], &[non_watchable]);
        let non_patchable = "Non-patchable resources will not be served: {b.v1.g}";
        check(&[("@all", Trigger::Create)], &there, &[], &[non_watchable, non_patchable]);
    }
}
