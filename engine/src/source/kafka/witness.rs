//! Hears what librdkafka says while a broker is asked for the first time.

use std::sync::Mutex;

use rdkafka::{
    ClientConfig, ClientContext,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{explain, is_tls_failure};

/// A client context that remembers what went wrong.
#[derive(Debug)]
pub struct Witness {
    source: String,
    heard: Mutex<Vec<RDKafkaErrorCode>>,
}

impl Witness {
    /// A witness for a source, and the client to ask with: it joins no group.
    pub fn watch(mut client: ClientConfig, source: &str) -> (Self, ClientConfig) {
        client.remove("partition.assignment.strategy");
        (Self { source: source.to_owned(), heard: Mutex::default() }, client)
    }

    /// Remembers an error.
    pub fn hear(&self, error: &KafkaError) {
        if let Some(code) = error.rdkafka_error_code() {
            self.heard.lock().expect("no thread panics while it holds what it heard").push(code);
        }
    }

    /// The sentence for an error that waiting does not mend: a refused login, a certificate that is not trusted.
    pub fn decisive(&self) -> Option<String> {
        self.find(|code| {
            matches!(
                code,
                RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::SSL
            )
        })
    }

    /// The sentence for the first error that has one.
    pub fn last(&self) -> Option<String> {
        self.find(|_| true)
    }

    fn find(&self, wanted: impl Fn(RDKafkaErrorCode) -> bool) -> Option<String> {
        let heard = self.heard.lock().expect("no thread panics while it holds what it heard");
        heard
            .iter()
            .copied()
            .filter(|&code| wanted(code))
            .find_map(|code| explain(&self.source, code))
    }
}

impl ClientContext for Witness {
    fn log(&self, _level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(source = %self.source, facility, "{message}");
        if is_tls_failure(message) {
            self.hear(&KafkaError::Global(RDKafkaErrorCode::SSL));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(source = %self.source, %error, reason, "kafka");
        self.hear(&error);
    }
}

impl ConsumerContext for Witness {}
