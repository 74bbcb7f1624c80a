//! Logs in whenever there are no valid credentials (W-AUT-001..008).

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    Connection, ConnectionInfo, LoginError, ServiceConnection,
    login::{Login, Sources},
    transport,
    vault::{Clients, Vault},
};
use crate::{
    activities::Activities,
    door::Door,
    error::RunError,
    log::{Logger, logger},
    operator::OperatorHandle,
    registry::Activity,
};

/// Logs in.
pub(crate) struct Retriever {
    vault: Arc<Vault>,
    source: Source,
    activities: Activities,
    handle: OperatorHandle,
    user_agent: String,
    logger: Logger,
    /// For what a login says of itself.
    details: Logger,
}

/// Where credentials come from.
enum Source {
    Activity,
    BuiltIn(Sources),
    Info(Box<ConnectionInfo>),
    Service(Option<ServiceConnection>),
}

impl Retriever {
    pub(crate) fn new(
        vault: Arc<Vault>,
        connection: Connection,
        activities: Activities,
        handle: OperatorHandle,
        user_agent: String,
    ) -> Self {
        let declared = !activities.registry.of(Activity::Authentication).is_empty();
        let trust_env = handle.settings().load().networking.trust_env;
        let source = match (Sources::of(&connection, trust_env), connection) {
            (_, Connection::Infer) if declared => Source::Activity,
            (Some(sources), _) => Source::BuiltIn(sources),
            (None, Connection::Info(info)) => Source::Info(info),
            (None, Connection::Service(service)) => Source::Service(Some(service)),
            (None, Connection::Infer | Connection::Kubeconfig(_)) => Source::Service(None),
        };
        let door: &Arc<dyn Door> = &activities.door;
        Self {
            logger: Logger::new(door, logger::ACTIVITIES),
            details: Logger::new(door, logger::AUTHENTICATION),
            vault,
            source,
            activities,
            handle,
            user_agent,
        }
    }

    /// Logs in again and again, until that fails. The error is told before those who wait for credentials fail of it.
    pub(crate) async fn run(mut self, fatal: mpsc::Sender<RunError>) {
        let mut word = "Initial authentication";
        loop {
            self.vault.wanted().await;
            self.logger.info(format_args!("{word} has been initiated."));
            if let Err(error) = self.login().await {
                self.logger.warning(format_args!(
                    "{word} has failed: no credentials were retrieved from the login handlers."
                ));
                let reason = match &error {
                    RunError::Login(reason) => reason.clone(),
                    _ => LoginError::NoCredentials,
                };
                // If the channel is full, the operator is ending already.
                drop(fatal.try_send(error));
                return self.vault.fail(reason);
            }
            self.logger.info(format_args!("{word} has finished."));
            word = "Re-authentication";
        }
    }

    /// One login.
    async fn login(&mut self) -> Result<(), RunError> {
        if let Source::Service(service) = &mut self.source {
            let service = service.take().ok_or(LoginError::NoCredentials)?;
            let client = service.into_client();
            self.handle.set_client(client.clone());
            let clients = Clients::single(client, &self.user_agent);
            self.vault.populate(vec![("service".into(), None, clients)]);
            return Ok(());
        }
        let mut failure = None;
        let mut taken = Vec::new();
        for (key, result) in self.results().await? {
            let clients = match result {
                Ok(info) if self.vault.is_refused(&key, &info) => continue,
                Ok(info) => self.clients(&info).await.map(|clients| (info, clients)),
                Err(error) => Err(error),
            };
            match clients {
                Ok((info, clients)) => taken.push((key, Some(info), clients)),
                Err(error) => {
                    self.details.error(format_args!("The login {key} has failed: {error}"));
                    failure = failure.or(Some(error));
                }
            }
        }
        if taken.is_empty() {
            return Err(failure.unwrap_or(LoginError::NoCredentials).into());
        }
        let best = taken.iter().max_by_key(|(_, info, _)| info.as_ref().map_or(0, |info| info.priority));
        if let Some((_, _, clients)) = best {
            self.handle.set_client(clients.short());
        }
        self.vault.populate(taken);
        Ok(())
    }

    /// What the logins say, by their keys.
    async fn results(&self) -> Result<Vec<(String, Result<ConnectionInfo, LoginError>)>, RunError> {
        match &self.source {
            Source::Service(_) => Ok(Vec::new()),
            Source::Info(info) => Ok(vec![("connection".into(), Ok((**info).clone()))]),
            Source::BuiltIn(sources) => {
                let logins = sources.login().await.into_iter();
                Ok(logins.map(|login| self.built_in(login)).collect())
            }
            Source::Activity => {
                let results = self.activities.run(Activity::Authentication).await?;
                let parse = |value| serde_json::from_value(value).map_err(|_| LoginError::NoConnection);
                let parsed = results.into_iter().map(|(id, value)| (id.to_string(), parse(value)));
                parsed
                    .map(|(key, result)| match result {
                        Err(error) => Err(RunError::Login(error)),
                        Ok(info) => Ok((key, Ok(info))),
                    })
                    .collect()
            }
        }
    }

    fn built_in(&self, login: Login) -> (String, Result<ConnectionInfo, LoginError>) {
        if login.result.is_ok() {
            self.details.debug(login.said);
        }
        (login.key.to_owned(), login.result)
    }

    async fn clients(&self, info: &ConnectionInfo) -> Result<Clients, LoginError> {
        info.check()?;
        let (info, user_agent) = (info.clone(), self.user_agent.clone());
        let made = tokio::task::spawn_blocking(move || transport::connector(&info, &user_agent));
        let connector = made.await.unwrap_or_else(|error| Err(LoginError::field("connection", error)))?;
        Ok(Clients::new(connector, self.handle.settings().load().networking.connect_timeout))
    }
}
