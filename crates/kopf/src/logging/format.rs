//! Lines for the terminal and for log collectors, in the forms of `kopf run --log-format` (A-LOG-003).

use std::fmt;

use jiff::Timestamp;
use kopf_engine::clock::Clock;
use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{
    LogOptions, OBJECTS,
    objects::{Fields, ObjectFields, Reader},
};

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// The message alone.
    Plain,
    /// The time, the logger, the level, and the message.
    #[default]
    Full,
    /// One JSON object per line.
    Json,
}

/// Writes lines.
pub(super) struct Lines {
    format: LogFormat,
    has_prefix: bool,
    refkey: String,
    clock: Clock,
}

/// A line to be written.
pub(super) struct Line<'a> {
    pub(super) time: Timestamp,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) fields: Fields,
    /// The object, if the line is about one.
    pub(super) object: Option<ObjectFields>,
}

impl Lines {
    pub(super) fn new(options: &LogOptions) -> Self {
        let refkey = options.refkey.as_deref().filter(|key| !key.is_empty()).unwrap_or("object");
        Self {
            format: options.format,
            has_prefix: options.has_prefix(),
            refkey: refkey.to_owned(),
            clock: Clock::system(),
        }
    }

    pub(super) fn text(&self, line: &Line<'_>) -> String {
        match self.format {
            LogFormat::Plain => self.message(line),
            LogFormat::Full => {
                let (time, millis) =
                    (line.time.strftime("%Y-%m-%d %H:%M:%S"), line.time.subsec_millisecond());
                let logger = line.logger();
                let level = level_word(line.level);
                format!("[{time},{millis:03}] {logger:<20.20} [{level:<8.8}] {}", self.message(line))
            }
            LogFormat::Json => self.json(line),
        }
    }

    fn message(&self, line: &Line<'_>) -> String {
        let prefix = line.object.as_ref().filter(|_| self.has_prefix);
        let prefix = prefix.map(|object| format!("[{}] ", object.title())).unwrap_or_default();
        let extra: String =
            line.fields.extra.iter().map(|(key, value)| format!(" {key}={}", shown(value))).collect();
        format!("{prefix}{}{extra}", line.fields.message)
    }

    fn json(&self, line: &Line<'_>) -> String {
        let prefix = line.object.as_ref().filter(|_| self.has_prefix);
        let prefix = prefix.map(|object| format!("[{}] ", object.title())).unwrap_or_default();
        let mut all = Map::from_iter([
            ("message".to_owned(), Value::String(format!("{prefix}{}", line.fields.message))),
            ("timestamp".to_owned(), Value::String(line.time.to_string())),
            ("severity".to_owned(), Value::String(severity(line.level).to_owned())),
        ]);
        all.extend(line.fields.extra.clone());
        if let Some(object) = &line.object {
            all.insert(self.refkey.clone(), object.reference());
        }
        Value::Object(all).to_string()
    }
}

impl Line<'_> {
    fn logger(&self) -> &str {
        self.fields.logger.as_deref().unwrap_or(self.target)
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut Reader { fields: &mut fields, is_about_object: metadata.target() == OBJECTS });
        let mut scope = context.event_scope().into_iter().flatten();
        let object = fields
            .object()
            .cloned()
            .or_else(|| scope.find_map(|span| span.extensions().get::<ObjectFields>().cloned()));
        let (level, target, time) = (*metadata.level(), metadata.target(), self.clock.now());
        writeln!(to, "{}", self.text(&Line { time, level, target, fields, object }))
    }
}

/// Spans are not shown: what is to be seen of them is the object.
pub(super) struct NoFields;

impl FormatFields<'_> for NoFields {
    fn format_fields<R: RecordFields>(&self, _: Writer<'_>, _: R) -> fmt::Result {
        Ok(())
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    }
}
