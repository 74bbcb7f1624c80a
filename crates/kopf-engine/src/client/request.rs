//! Requests with Kopf's retries (W-API-003..009): in one place, for all of the engine.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    ApiError,
    error::{Repr, StatusError},
    retry_after::retry_after,
    url,
    vault::{Session, StreamClient, Vault},
};
use crate::{clock::Clock, log::Logger, shared::SettingsHandle};

/// The whole of an error's body that is read, at most.
const ERROR_BODY_LIMIT: usize = 1 << 20;

/// Requests that are under way at the same time, streams aside: more would be as many connections, or wait in the server.
const AT_ONCE: usize = 100;

/// The client of the engine. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct ApiClient {
    vault: Arc<Vault>,
    places: Arc<Semaphore>,
    settings: SettingsHandle,
    clock: Clock,
}

/// One request, which may be sent several times.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
    /// The pauses between attempts; none = `networking.error_backoffs`.
    pub(crate) backoffs: Option<Vec<Duration>>,
}

/// What a request is sent with.
enum Channel {
    Short,
    Stream { connect_timeout: Option<Duration> },
}

/// A response whose body is still to come; keeps the place of a stream.
pub(crate) struct Streamed {
    pub(crate) response: Response<Body>,
    _client: Option<StreamClient>,
}

impl ApiRequest {
    /// A GET with parameters.
    pub(crate) fn get(path: &str, params: &[(&str, String)]) -> Self {
        Self {
            method: Method::GET,
            url: url::with_query(path, params),
            content_type: None,
            body: Bytes::new(),
            backoffs: None,
        }
    }

    /// A request with a body: a JSON value, or what is written as one.
    pub(crate) fn with_body<T: Serialize + ?Sized>(
        method: Method,
        path: String,
        content_type: &'static str,
        body: &T,
    ) -> Self {
        Self {
            method,
            url: path,
            content_type: Some(content_type),
            body: serde_json::to_vec(body).expect("JSON values can be written as JSON").into(),
            backoffs: None,
        }
    }

    fn to_http(&self) -> Result<Request<Body>, ApiError> {
        let mut builder = Request::builder().method(self.method.clone()).uri(&self.url);
        builder = builder.header(header::ACCEPT, "application/json");
        if let Some(content_type) = self.content_type {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        builder.body(Body::from(self.body.clone())).map_err(|error| ApiError::Request(error.to_string()))
    }
}

impl ApiClient {
    pub(crate) fn new(vault: Arc<Vault>, settings: SettingsHandle, clock: Clock) -> Self {
        Self { vault, places: Arc::new(Semaphore::new(AT_ONCE)), settings, clock }
    }

    /// Of a service, with default settings.
    #[cfg(test)]
    pub(crate) fn of_service(connection: super::Connection) -> Self {
        Self::of_service_with(connection, SettingsHandle::default())
    }

    #[cfg(test)]
    pub(crate) fn of_service_with(connection: super::Connection, settings: SettingsHandle) -> Self {
        let super::Connection::Service(service) = connection else { panic!("no service: {connection:?}") };
        let vault = Vault::new();
        let clients = super::vault::Clients::single(service.into_client(), "test");
        vault.populate(vec![("test".into(), None, clients)]);
        Self::new(Arc::new(vault), settings, Clock::system())
    }

    /// Sends the request and reads the answer as JSON, each attempt within `networking.request_timeout` (W-API-007).
    pub(crate) async fn json(&self, request: &ApiRequest, logger: &Logger) -> Result<Value, ApiError> {
        let read = async |streamed: Streamed| {
            let collected = streamed.response.into_body().collect().await.map_err(payload)?;
            serde_json::from_slice(&collected.to_bytes()).map_err(|e| ApiError::Payload(e.to_string()))
        };
        self.attempts(request, logger, &Channel::Short, read).await
    }

    /// Sends the request, each attempt within `networking.request_timeout`; the body is read as it comes, by the caller.
    pub(crate) async fn list(&self, request: &ApiRequest, logger: &Logger) -> Result<Streamed, ApiError> {
        self.attempts(request, logger, &Channel::Short, async |streamed| Ok(streamed)).await
    }

    /// Sends the request of a stream that may last: only making the connection takes limited time.
    pub(crate) async fn stream(
        &self,
        request: &ApiRequest,
        logger: &Logger,
        connect_timeout: Option<Duration>,
    ) -> Result<Streamed, ApiError> {
        let channel = Channel::Stream { connect_timeout };
        self.attempts(request, logger, &channel, async |streamed| Ok(streamed)).await
    }

    /// The namespace for Events about cluster-scoped objects (W-AUT-022).
    pub(crate) async fn default_namespace(&self) -> Option<String> {
        let session = self.vault.session(self.clock.now()).await.ok()?;
        session.default_namespace().map(str::to_owned)
    }

    /// Attempts with one session after another, until one is not refused with 401 (W-API-009).
    async fn attempts<T>(
        &self,
        request: &ApiRequest,
        logger: &Logger,
        channel: &Channel,
        read: impl AsyncFn(Streamed) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        loop {
            let session = self.vault.session(self.clock.now()).await?;
            match self.attempts_with(&session, request, logger, channel, &read).await {
                Err(error) if error.status() == Some(401) => self.vault.invalidate(&session),
                other => return other,
            }
        }
    }

    async fn attempts_with<T>(
        &self,
        session: &Session,
        request: &ApiRequest,
        logger: &Logger,
        channel: &Channel,
        read: &impl AsyncFn(Streamed) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let settings = self.settings.load();
        let backoffs = request.backoffs.as_deref().unwrap_or(&settings.networking.error_backoffs);
        let total = backoffs.len() + 1;
        let what = format!("{} {}{}", request.method, session.server(), request.url);
        let mut pauses = backoffs.iter().copied();
        for attempt in 1.. {
            let which = format!("Request attempt #{attempt}/{total}");
            if attempt > 1 {
                logger.debug(format_args!("{which}: {what}"));
            }
            let (error, retry_after) = match self.attempt(session, request, channel, read).await {
                Ok(answer) => {
                    if attempt > 1 {
                        logger.debug(format_args!("{which} succeeded: {what}"));
                    }
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            if !error.is_retryable() {
                return Err(error);
            }
            let Some(mut pause) = pauses.next() else {
                logger.error(format_args!("{which} failed; escalating: {what} -> {}", Repr(&error)));
                return Err(error);
            };
            let enforce = settings.networking.enforce_retry_after;
            if let Some(wanted) = retry_after.filter(|wanted| *wanted > pause || enforce) {
                logger.debug(format_args!(
                    "Overriding the backoff {}s with the retry-after {}s from the server: {what}",
                    pause.as_secs_f64(),
                    wanted.as_secs_f64(),
                ));
                pause = wanted;
            }
            logger.error(format_args!("{which} failed; will retry: {what} -> {}", Repr(&error)));
            tokio::time::sleep(pause).await;
        }
        unreachable!("attempts end with an answer or an error")
    }

    /// One attempt. An error comes with the time that the server wants us to wait.
    async fn attempt<T>(
        &self,
        session: &Session,
        request: &ApiRequest,
        channel: &Channel,
        read: &impl AsyncFn(Streamed) -> Result<T, ApiError>,
    ) -> Result<T, (ApiError, Option<Duration>)> {
        let no_hint = |error| (error, None);
        // The semaphore is never closed; the place is held until the answer is read.
        let (client, stream, timeout, _place) = match channel {
            Channel::Short => {
                let place = self.places.acquire().await.ok();
                let timeout = self.settings.load().networking.request_timeout;
                (session.client.clone(), None, Some(timeout), place)
            }
            Channel::Stream { connect_timeout } => {
                let stream = session.stream_client(*connect_timeout);
                (stream.client.clone(), Some(stream), None, None)
            }
        };
        let mut http = request.to_http().map_err(no_hint)?;
        if let Some(user_agent) = session.user_agent.clone() {
            http.headers_mut().insert(header::USER_AGENT, user_agent);
        }
        let whole = async {
            let response = client.send(http).await.map_err(|error| no_hint(classify(error)))?;
            if !response.status().is_success() {
                return Err(self.refusal(response).await);
            }
            read(Streamed { response, _client: stream }).await.map_err(no_hint)
        };
        match timeout {
            None => whole.await,
            Some(timeout) => {
                tokio::time::timeout(timeout, whole).await.unwrap_or(Err((ApiError::Timeout, None)))
            }
        }
    }

    async fn refusal(&self, response: Response<Body>) -> (ApiError, Option<Duration>) {
        let (head, body) = response.into_parts();
        let limited = http_body_util::Limited::new(body, ERROR_BODY_LIMIT);
        // What the server meant to say is lost if it breaks off; the status is there.
        let said = limited.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let error = StatusError::of(head.status.as_u16(), &said);
        let hint = (head.status == StatusCode::TOO_MANY_REQUESTS)
            .then(|| retry_after(&head.headers, &error, self.clock.now()))
            .flatten();
        (ApiError::Status(Box::new(error)), hint)
    }
}

pub(crate) fn payload(error: impl std::error::Error) -> ApiError {
    ApiError::Payload(chain(&error))
}

/// What has gone wrong below the level of HTTP: all of it is worth another attempt, but for broken credentials.
fn classify(error: kube::Error) -> ApiError {
    match error {
        kube::Error::Auth(error) => ApiError::Login(super::LoginError::field("credentials", chain(&error))),
        other => ApiError::Connection(chain(&other)),
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use kopf_core::{log::Level, settings::Settings};
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        client::{Connection, vault::Clients},
        golden::{self, Listener},
    };

    /// A client of a service that answers as told, in order.
    fn scripted(answers: Vec<Value>, settings: Settings) -> ApiClient {
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answers.lock().unwrap().pop_front().expect("one more request than answers");
            async move { respond(&answer) }
        });
        ApiClient::of_service_with(Connection::service(service), SettingsHandle::new(settings))
    }

    fn respond(answer: &Value) -> Result<Response<Body>, tower::BoxError> {
        match answer["exception"].as_str() {
            None => {}
            Some("payload") => return Ok(Response::new(Body::from(b"{\"cut".to_vec()))),
            Some(_) => return Err("conn".into()),
        }
        let body = match &answer["body"] {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        let mut response = Response::builder().status(answer["status"].as_u64().unwrap() as u16);
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            response = response.header(name, value.as_str().unwrap());
        }
        Ok(response.body(Body::from(body.into_bytes())).unwrap())
    }

    fn durations(backoffs: &Value) -> Option<Vec<Duration>> {
        let secs = |value: &Value| Duration::from_secs_f64(value.as_f64().unwrap());
        match backoffs {
            Value::Null => None,
            Value::Array(all) => Some(all.iter().map(secs).collect()),
            scalar => Some(vec![secs(scalar)]),
        }
    }

    /// The cases that only upstream's HTTP library can have (closed sessions, arbitrary errors in it), and the one that
    /// upstream gets wrong: W-API-005.
    const NOT_OURS: [&str; 5] =
        ["ssl-closed", "session-closed", "runtime-error", "timeout-once", "429-header-date"];

    /// W-API-003 to W-API-006, W-API-008; golden: `api_retries`.
    #[tokio::test(start_paused = true)]
    async fn requests_are_retried_as_upstream_does() {
        for case in golden::cases("api_retries", None) {
            let id = case["id"].as_str().unwrap();
            if NOT_OURS.contains(&id) {
                continue;
            }
            check(id, &case["input"], &case["output"]).await;
        }
    }

    async fn check(id: &str, input: &Value, output: &Value) {
        let mut settings = Settings::default();
        if let Some(backoffs) = durations(&input["settings_networking"]["error_backoffs"]) {
            settings.networking.error_backoffs = backoffs;
        }
        settings.networking.enforce_retry_after =
            input["settings_networking"]["enforce_retry_after"] == json!(true);
        let client = scripted(input["responses"].as_array().unwrap().clone(), settings);
        let mut request = ApiRequest::get("https://h/x", &[]);
        request.backoffs = durations(&input["backoffs_argument"]);
        let listener = Listener::shared();
        let door: Arc<dyn crate::door::Door> = listener.clone();
        let logger = Logger::new(&door, "test");

        let session = client.vault.session(client.clock.now()).await.unwrap();
        let start = Instant::now();
        let read = async |streamed: Streamed| {
            let body = streamed.response.into_body().collect().await.map_err(payload)?.to_bytes();
            serde_json::from_slice::<Value>(&body).map_err(|error| ApiError::Payload(error.to_string()))
        };
        let result = client.attempts_with(&session, &request, &logger, &Channel::Short, &read).await;
        let slept: f64 = output["slept"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).sum();
        assert!((start.elapsed().as_secs_f64() - slept).abs() < 0.1, "{id}: {:?}", start.elapsed());

        match (&result, output["result"]["repr"].as_str()) {
            (Ok(_), None) => {}
            // The text is that of the JSON library.
            (Err(ApiError::Payload(_)), Some(_)) if id == "payload-error-escalates" => {}
            (Err(error), Some(repr)) => {
                // The golden file has the first 200 characters.
                assert_eq!(Repr(error).to_string().chars().take(200).collect::<String>(), repr, "{id}");
            }
            other => panic!("{id}: {other:?}"),
        }
        let level = |level| match level {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        };
        let lines: Vec<_> = listener
            .lines()
            .into_iter()
            // Our transport has more to tell of a lost connection.
            .map(|(at, text)| json!([level(at), text.replace("ServiceError: conn", "conn")]))
            .collect();
        assert_eq!(Value::Array(lines), output["logs"], "{id}");
    }

    async fn get(client: &ApiClient) -> Result<Value, ApiError> {
        let door: Arc<dyn crate::door::Door> = Listener::shared();
        client.json(&ApiRequest::get("/x", &[]), &Logger::new(&door, "test")).await
    }

    /// W-API-005: upstream fails with a date.
    #[tokio::test(start_paused = true)]
    async fn a_date_in_retry_after_is_obeyed() {
        let clock = Clock::system();
        let date = clock.now() + jiff::SignedDuration::from_secs(31);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
        let client = scripted(
            vec![
                json!({"status": 429, "headers": {"Retry-After": date}, "body": {}}),
                json!({"status": 200, "body": {"ok": true}}),
            ],
            Settings::default(),
        );
        let start = Instant::now();
        assert_eq!(get(&client).await.unwrap(), json!({"ok": true}));
        let waited = start.elapsed().as_secs();
        assert!((29..=31).contains(&waited), "{waited}");
    }

    /// W-API-003, W-API-007.
    #[tokio::test(start_paused = true)]
    async fn an_attempt_without_an_answer_times_out_and_is_repeated() {
        let requests = Arc::new(Mutex::new(0));
        let counted = requests.clone();
        let service = tower::service_fn(move |_: Request<Body>| {
            *counted.lock().unwrap() += 1;
            let silent = *counted.lock().unwrap() == 1;
            async move {
                if silent {
                    std::future::pending::<()>().await;
                }
                Ok::<_, tower::BoxError>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        let client = ApiClient::of_service(Connection::service(service));
        let start = Instant::now();
        get(&client).await.unwrap();
        assert_eq!((start.elapsed().as_secs(), *requests.lock().unwrap()), (301, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_are_under_way_than_there_are_places() {
        let under_way = Arc::new(Mutex::new((0, 0)));
        let counted = under_way.clone();
        let service = tower::service_fn(move |_: Request<Body>| {
            let counted = counted.clone();
            async move {
                {
                    let mut counted = counted.lock().unwrap();
                    counted.0 += 1;
                    counted.1 = counted.1.max(counted.0);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                counted.lock().unwrap().0 -= 1;
                Ok::<_, tower::BoxError>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        let client = ApiClient::of_service(Connection::service(service));
        let all = futures_util::future::join_all((0..350).map(|_| get(&client))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(under_way.lock().unwrap().1, AT_ONCE);
    }

    /// W-API-009, W-API-011.
    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_replaced_and_the_request_goes_on() {
        let client = scripted(vec![json!({"status": 401, "body": {}})], Settings::default());
        let fresh = scripted(vec![json!({"status": 200, "body": {"ok": true}})], Settings::default());
        let fresh = fresh.vault.session(fresh.clock.now()).await.unwrap();
        let vault = client.vault.clone();
        let login = tokio::spawn(async move {
            vault.wanted().await;
            vault.populate(vec![("test".into(), None, Clients::single(fresh.client.clone(), "test"))]);
        });
        assert_eq!(get(&client).await.unwrap(), json!({"ok": true}));
        login.await.unwrap();
    }

    /// W-AUT-006.
    #[tokio::test(start_paused = true)]
    async fn requests_fail_when_credentials_have_run_out() {
        let client = scripted(vec![json!({"status": 401, "body": {}})], Settings::default());
        let vault = client.vault.clone();
        tokio::spawn(async move {
            vault.wanted().await;
            vault.populate(vec![]);
        });
        assert!(matches!(get(&client).await, Err(ApiError::Login(_))));
    }
}
