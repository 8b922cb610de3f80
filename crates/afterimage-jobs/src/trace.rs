//! Where work belongs in a trace: a context that goes from a request by its job's row to the worker and the webhook, in the
//! form of W3C Trace Context (<https://www.w3.org/TR/trace-context/>).
//!
//! Spans of traces have a target of their own. Where nobody exports traces, no subscriber wants it, and they cost nothing.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use serde::{Deserialize, Serialize};
use std::fmt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of spans and events that belong to traces, and of nothing else. Logs leave them out.
pub const TARGET: &str = "otel";

/// Gives `span` the name that only its end tells.
pub fn rename(span: &Span, name: &str) {
    // `otel.name` is heard of at a span's beginning only.
    span.context().span().update_name(name.to_owned());
}

/// A place in a trace, as the header `traceparent` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent(SpanContext);

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent; expected 00-TRACE-SPAN-FLAGS in hexadecimal digits")]
pub struct NoTraceParent;

impl TraceParent {
    /// The place that `text` names.
    ///
    /// # Errors
    /// [`NoTraceParent`]. A later version's text is read as far as this one goes.
    pub fn parse(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let is_hexadecimal = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            parts.next().filter(|part| part.len() == digits).filter(is_hexadecimal).ok_or(NoTraceParent)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(NoTraceParent);
        }
        let trace = TraceId::from_hex(trace).map_err(|_| NoTraceParent)?;
        let span = SpanId::from_hex(span).map_err(|_| NoTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTraceParent)?;
        let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
        Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
            .filter(SpanContext::is_valid)
            .map(Self)
            .ok_or(NoTraceParent)
    }

    /// Where `span` is; `None` where nobody exports traces.
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let place = context.span().span_context().clone();
        place.is_valid().then_some(Self(place))
    }

    /// Puts `span` under this place.
    pub fn adopt(&self, span: &Span) {
        // It fails where nobody exports traces.
        let _ = span.set_parent(Context::new().with_remote_span_context(self.0.clone()));
    }

    /// Names this place beside `span`, which begins a trace of its own.
    pub fn link(&self, span: &Span) {
        span.add_link(self.0.clone());
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.0.trace_flags().to_u8();
        write!(formatter, "00-{}-{}-{flags:02x}", self.0.trace_id(), self.0.span_id())
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NoTraceParent;

    fn try_from(text: String) -> Result<Self, NoTraceParent> {
        Self::parse(&text)
    }
}

impl From<TraceParent> for String {
    fn from(place: TraceParent) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_read_is_written() {
        assert_eq!(TraceParent::parse(EXAMPLE).unwrap().to_string(), EXAMPLE);
        let later = format!("cc{}-what-the-future-holds", &EXAMPLE[2..]);
        assert_eq!(TraceParent::parse(&later).unwrap().to_string(), EXAMPLE);
        let text = serde_json::to_string(&TraceParent::parse(EXAMPLE).unwrap()).unwrap();
        assert_eq!(text, format!("\"{EXAMPLE}\""));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(text), Err(NoTraceParent), "{text}");
        }
    }

    #[test]
    fn without_anybody_who_exports_there_is_no_place() {
        let span = tracing::info_span!(target: TARGET, "nothing");
        TraceParent::parse(EXAMPLE).unwrap().adopt(&span);
        assert_eq!(TraceParent::of(&span), None);
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_refused(text in "[0-9a-f-]{0,60}") {
            if let Ok(place) = TraceParent::parse(&text) {
                prop_assert_eq!(TraceParent::parse(&place.to_string()), Ok(place));
            }
        }
    }
}
