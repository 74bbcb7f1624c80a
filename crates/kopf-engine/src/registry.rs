//! What is declared: handlers of resources and of activities.

use std::sync::Arc;

use kopf_core::{handler::Handler, selector::Selector};

/// An activity of the operator as a whole (W-ACT-001).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// Before anything else.
    Startup,
    /// After everything else.
    Cleanup,
    /// Whenever there are no valid credentials. A handler's result is a [`ConnectionInfo`](crate::client::ConnectionInfo)
    /// as JSON, or nothing (A-ACT-020).
    Authentication,
    /// For the liveness endpoint.
    Probe,
}

impl Activity {
    /// The word in the logger's name: `kopf.activities.<word>`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Cleanup => "cleanup",
            Self::Authentication => "authentication",
            Self::Probe => "probe",
        }
    }
}

/// All handlers of an operator, in the order of declaration.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Handlers of the objects of the selected resources. Several selectors may mean one resource: its objects are then
    /// processed once, by all of them (A-SEL-031).
    pub resources: Vec<(Selector, Arc<Handler>)>,
    /// Handlers of activities.
    pub activities: Vec<(Activity, Arc<Handler>)>,
}

impl Registry {
    /// The handlers of an activity.
    #[must_use]
    pub fn of(&self, activity: Activity) -> Vec<Arc<Handler>> {
        let of_it = self.activities.iter().filter(|(its, _)| *its == activity);
        of_it.map(|(_, handler)| handler.clone()).collect()
    }
}
