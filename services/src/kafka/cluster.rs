//! Several Kafka brokers that hold each other's partitions: for what happens when one of them is gone.

use std::thread;

use crate::cache::Cache;
use crate::error::ServiceError;
use crate::folder::RunFolder;
use crate::kafka::{KafkaOptions, Prepared, address, settings};
use crate::port::Port;
use crate::process::Life;
use crate::server::Server;

/// A cluster of our own. Brokers are known by their number, which begins at 1; topics have a replica on each.
///
/// All end when this is dropped, also when the process is killed.
#[derive(Debug)]
pub struct KafkaCluster {
    addresses: Vec<String>,
    servers: Vec<Server>,
    _folders: Vec<RunFolder>,
    _ports: Vec<Port>,
}

impl KafkaCluster {
    /// Starts that many brokers at once: none is ready before most of them run.
    pub fn start(count: usize, options: &KafkaOptions) -> Result<Self, ServiceError> {
        let cache = Cache::open()?;
        let prepared = Prepared::new(&cache)?;
        let cluster = settings::uuid();
        let claimed: Result<Vec<Port>, _> = (0..count * 2).map(|_| Port::claim()).collect();
        let ports = claimed?;
        let (mut servers, mut folders) = (Vec::new(), Vec::new());
        for node in 1..=count {
            let folder = RunFolder::create(&cache, "kafka")?;
            let text = settings::member(folder.path(), &ports, node, &options.settings);
            let checkpoint = prepared.home.plain_checkpoint();
            let identity = (node, &*cluster);
            servers.push(prepared.member(
                folder.path(),
                options,
                Life::WithUs,
                &text,
                &checkpoint,
                identity,
            )?);
            folders.push(folder);
        }
        thread::scope(|scope| {
            let starts: Vec<_> =
                servers.iter().map(|server| scope.spawn(|| server.start())).collect();
            starts
                .into_iter()
                .try_for_each(|start| start.join().expect("starting a server does not panic"))
        })?;
        let addresses = ports.chunks(2).map(|ports| address(&ports[0])).collect();
        Ok(Self { addresses, servers, _folders: folders, _ports: ports })
    }

    /// Bootstrap servers: all of them, with commas.
    pub fn brokers(&self) -> String {
        self.addresses.join(",")
    }

    /// How many brokers it has.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// A broker's pid while it runs.
    pub fn pid(&self, number: usize) -> Option<u32> {
        self.server(number).pid()
    }

    /// Kills one (SIGKILL), as a power cut would.
    pub fn kill(&self, number: usize) {
        self.server(number).kill();
    }

    /// Starts one again on the same port and data, after ending it if it runs.
    pub fn restart(&self, number: usize) -> Result<(), ServiceError> {
        self.server(number).restart()
    }

    /// Pauses one (SIGSTOP): connections stay open, nothing is answered.
    pub fn stop(&self, number: usize) {
        self.server(number).pause();
    }

    /// Lets a paused one go on (SIGCONT).
    pub fn cont(&self, number: usize) {
        self.server(number).resume();
    }

    fn server(&self, number: usize) -> &Server {
        number
            .checked_sub(1)
            .and_then(|index| self.servers.get(index))
            .unwrap_or_else(|| panic!("brokers are numbered from 1 to {}", self.len()))
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        // Asked to end one by one, the last would wait for a quorum that is gone.
        for server in &self.servers {
            server.kill();
        }
    }
}
