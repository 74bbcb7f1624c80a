//! Who writes what, for the managed fields of an object (D-157).

use super::Target;
use super::prepare::status_is_apart;
use crate::machinery::fieldset::managed::{self, Writer};
use crate::machinery::fieldset::set::Set;
use crate::machinery::fieldset::view::View;

/// What a write through an endpoint owns.
#[derive(Debug)]
pub(crate) struct Ownership<'a> {
    manager: &'a str,
    api_version: &'a str,
    subresource: &'a str,
    now: String,
    view: View<'a>,
    reset: Set,
}

impl<'a> Ownership<'a> {
    pub(crate) fn of(target: &Target<'a>) -> Self {
        let (resource, version) = (&target.served.resource, target.served.version());
        let view = match &version.definition {
            Some(definition) => View::Custom(&definition.schema),
            None => managed::built_in_view(&resource.group, &version.name, &resource.kind),
        };
        let reset = match target.subresource {
            Some("status") if resource.custom.is_some() => managed::spec_and_metadata(),
            Some("status") => managed::spec_only(),
            None if status_is_apart(resource, version) => managed::status_only(),
            _ => Set::default(),
        };
        Self {
            manager: &target.options.manager,
            api_version: &version.api_version,
            subresource: target.subresource.unwrap_or_default(),
            now: target.shared.clock.now_text(),
            view,
            reset,
        }
    }

    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer {
            manager: self.manager,
            api_version: self.api_version,
            subresource: self.subresource,
            now: &self.now,
            view: self.view,
            reset: &self.reset,
        }
    }
}
