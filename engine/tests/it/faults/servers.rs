//! A Kafka behind a proxy and a ClickHouse, both to be killed and paused at will.

use logmon_services::{ClickHouse, Kafka, KafkaOptions};

use super::{proxy::kafka::KafkaProxy, seed::Dice};

/// A broker of a test's own; engines reach it through the proxy only.
pub(crate) struct Broker {
    pub(crate) kafka: Kafka,
    pub(crate) proxy: KafkaProxy,
}

impl Broker {
    pub(crate) fn start(dice: Dice) -> Self {
        let proxy = KafkaProxy::new(dice);
        let options = KafkaOptions { proxy: Some(proxy.port()), ..KafkaOptions::default() };
        let kafka = Kafka::start_own(&options).unwrap();
        proxy.before(kafka.behind().unwrap());
        Self { kafka, proxy }
    }
}

/// A ClickHouse of a test's own.
pub(crate) fn clickhouse() -> ClickHouse {
    ClickHouse::start_own().unwrap()
}
