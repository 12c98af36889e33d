//! A broker's settings as the text of its properties file.

use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use crate::port::Port;

const COMMON: &str = include_str!("../../assets/kafka.properties");

/// A listener: its name, its security protocol.
pub(crate) type Listener = (&'static str, &'static str);

/// The two every broker has, in the order of its ports: clients, then its own controller.
pub(crate) const PLAIN: [Listener; 2] = [("PLAINTEXT", "PLAINTEXT"), ("CONTROLLER", "PLAINTEXT")];

/// Settings of a broker without security.
pub(crate) fn plain(folder: &Path, ports: &[Port], further: &[(String, String)]) -> String {
    let numbers: Vec<u16> = ports.iter().map(Port::number).collect();
    broker(folder, &PLAIN, &numbers, further)
}

/// Settings of a broker without security whose third listener sends its clients to another port.
pub(crate) fn proxied(
    folder: &Path,
    ports: &[Port],
    proxy: u16,
    further: &[(String, String)],
) -> String {
    let numbers: Vec<u16> = ports.iter().map(Port::number).collect();
    let listeners = [PLAIN[0], PLAIN[1], ("PROXIED", "PLAINTEXT")];
    let told = format!("PLAINTEXT://127.0.0.1:{},PROXIED://127.0.0.1:{proxy}", numbers[0]);
    let mut all = vec![("advertised.listeners".to_owned(), told)];
    all.extend_from_slice(further);
    broker(folder, &listeners, &numbers, &all)
}

/// Settings of one broker of several that are each other's controllers. Ports come broker by broker: clients, controller.
pub(crate) fn member(
    folder: &Path,
    ports: &[Port],
    node: usize,
    further: &[(String, String)],
) -> String {
    let numbers: Vec<u16> = ports.iter().map(Port::number).collect();
    let own = [numbers[node * 2 - 2], numbers[node * 2 - 1]];
    let voters: Vec<String> = numbers
        .chunks(2)
        .zip(1..)
        .map(|(ports, node)| format!("{node}@127.0.0.1:{}", ports[1]))
        .collect();
    let (count, most) = (voters.len(), voters.len() / 2 + 1);
    let mut all = vec![
        ("node.id", node.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("default.replication.factor", count.to_string()),
        ("min.insync.replicas", most.to_string()),
        ("offsets.topic.replication.factor", count.to_string()),
        ("transaction.state.log.replication.factor", count.to_string()),
        ("transaction.state.log.min.isr", most.to_string()),
        ("share.coordinator.state.topic.replication.factor", count.to_string()),
        // A killed broker is noticed this soon; its partitions then get another leader.
        ("broker.session.timeout.ms", "3000".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<Vec<_>>();
    all.extend_from_slice(further);
    broker(folder, &PLAIN, &own, &all)
}

/// Settings of a broker with these listeners on these ports; of a setting given twice Java takes the last.
pub(crate) fn broker(
    folder: &Path,
    listeners: &[Listener],
    ports: &[u16],
    further: &[(String, String)],
) -> String {
    let join = |items: Vec<String>| items.join(",");
    let pairs = || listeners.iter().zip(ports);
    let all = join(pairs().map(|((name, _), port)| format!("{name}://127.0.0.1:{port}")).collect());
    let told = pairs().filter(|((name, _), _)| *name != "CONTROLLER");
    let told = join(told.map(|((name, _), port)| format!("{name}://127.0.0.1:{port}")).collect());
    let protocols = join(listeners.iter().map(|(name, of)| format!("{name}:{of}")).collect());
    let mut text = format!(
        "{COMMON}controller.quorum.voters=1@127.0.0.1:{}\nlisteners={all}\n\
         advertised.listeners={told}\nlistener.security.protocol.map={protocols}\nlog.dirs={}\n",
        ports[1],
        folder.join("data").display()
    );
    for (name, value) in further {
        writeln!(text, "{name}={value}").expect("a String takes all");
    }
    text
}

/// The file that makes a data folder a formatted one: a cluster of its own, so that no client and no
/// controller takes one broker for another.
pub(crate) fn meta(node: usize, cluster: &str) -> String {
    format!("version=1\nnode.id={node}\ncluster.id={cluster}\ndirectory.id={}\n", uuid())
}

/// A random id as Kafka spells one: 16 bytes in URL-safe base64 without padding.
pub(crate) fn uuid() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let random = RandomState::new();
    let word = |n: u8| u128::from(random.hash_one(n));
    let bits = (word(0) << 64) | word(1);
    let digit = |shift: u32| char::from(DIGITS[((bits >> shift) & 63) as usize]);
    // Kafka avoids a leading `-`, which a command line would take for an option. The last digit stands
    // for two bits only.
    let body: String = (0..21).map(|n| digit(n * 6)).collect();
    format!("{}{}", body.replace('-', "x"), char::from(DIGITS[((bits >> 126) as usize) << 4]))
}

#[cfg(test)]
mod tests {
    use super::{PLAIN, broker, uuid};
    use std::path::Path;

    #[test]
    fn the_controller_is_a_listener_that_no_client_is_told_of() {
        let further = [("num.partitions".to_owned(), "7".to_owned())];
        let text = broker(Path::new("/d"), &PLAIN, &[1, 2], &further);
        let has = |line: &str| assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        has("listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2");
        has("advertised.listeners=PLAINTEXT://127.0.0.1:1");
        has("controller.quorum.voters=1@127.0.0.1:2");
        has("log.dirs=/d/data");
        assert!(text.ends_with("num.partitions=7\n"), "what is asked for comes last");
    }

    #[test]
    fn ids_are_as_kafka_spells_them_and_differ() {
        let (one, two) = (uuid(), uuid());
        assert_eq!(one.len(), 22);
        assert!(one.ends_with(['A', 'Q', 'g', 'w']), "{one} stands for more than 16 bytes");
        assert_ne!(one, two);
    }
}
