//! Services that outlive the command which started them: started, listed, ended by pid.
//!
//! Invariant: a process is signalled only while its pid still belongs to the start we recorded; pids are
//! used again.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, make_folder, remove_folder, write_file};
use crate::error::ServiceError;
use crate::port::Port;
use crate::process::{Life, PATIENCE, signal_group};
use crate::server::Server;
use crate::{clickhouse, kafka};

/// What can run in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Apache Kafka.
    Kafka,
    /// ClickHouse.
    ClickHouse,
}

impl Service {
    const ALL: [Self; 2] = [Self::Kafka, Self::ClickHouse];

    /// Its folder and file name.
    fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::ClickHouse => "clickhouse",
        }
    }

    /// The ports people expect, a ten thousand further up; others are taken where these are not free.
    fn ports(self) -> [u16; 2] {
        match self {
            Self::Kafka => [19_092, 19_093],
            Self::ClickHouse => [18_123, 19_000],
        }
    }
}

/// A service in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Which.
    pub service: Service,
    /// Where to reach it: `127.0.0.1:19092` or `http://127.0.0.1:18123`.
    pub address: String,
    /// Its pid.
    pub pid: u32,
    /// When the process started, in the kernel's own count; tells it from a later one with its pid.
    started: u64,
    /// Its data and logs.
    pub folder: PathBuf,
}

/// Starts what does not run yet, and returns all.
pub fn up() -> Result<Vec<Running>, ServiceError> {
    let cache = Cache::open()?;
    let _lock = cache.lock("background")?;
    Service::ALL.into_iter().map(|service| start(&cache, service)).collect()
}

/// What runs.
pub fn status() -> Result<Vec<Running>, ServiceError> {
    let cache = Cache::open()?;
    let _lock = cache.lock("background")?;
    Ok(Service::ALL.into_iter().filter_map(|service| read(&cache, service)).collect())
}

/// Ends what runs, removes its data, and returns what was ended.
pub fn down() -> Result<Vec<Running>, ServiceError> {
    let cache = Cache::open()?;
    let _lock = cache.lock("background")?;
    let running: Vec<Running> =
        Service::ALL.into_iter().filter_map(|service| read(&cache, service)).collect();
    for one in &running {
        end(one);
        remove_folder(&one.folder)?;
    }
    for service in Service::ALL {
        remove_folder(&folder_of(&cache, service))?;
    }
    Ok(running)
}

fn start(cache: &Cache, service: Service) -> Result<Running, ServiceError> {
    if let Some(running) = read(cache, service) {
        return Ok(running);
    }
    let folder = folder_of(cache, service);
    remove_folder(&folder)?;
    make_folder(&folder)?;
    let [first, second] = service.ports();
    let ports = [Port::claim_near(first)?, Port::claim_near(second)?];
    let server: Server = match service {
        Service::Kafka => kafka::Prepared::new(cache)?.background(&folder, &ports)?,
        Service::ClickHouse => {
            clickhouse::Prepared::new(cache)?.server(&folder, &ports, Life::OnItsOwn)?
        }
    };
    let address = match service {
        Service::Kafka => format!("127.0.0.1:{}", ports[0].number()),
        Service::ClickHouse => format!("http://127.0.0.1:{}", ports[0].number()),
    };
    let mut running = Running { service, address, pid: 0, started: 0, folder };
    // Written down before it is ready: whoever is interrupted meanwhile can still end it.
    server.start_and(|pid| {
        running.pid = pid;
        running.started = started(pid).unwrap_or_default();
        let text = serde_json::to_string_pretty(&running).expect("plain fields always serialize");
        write_file(&running.folder.join("running.json"), &text)
    })?;
    Ok(running)
}

fn folder_of(cache: &Cache, service: Service) -> PathBuf {
    cache.path("background").join(service.name())
}

/// What the file says, if that process still runs.
fn read(cache: &Cache, service: Service) -> Option<Running> {
    let text = fs::read_to_string(folder_of(cache, service).join("running.json")).ok()?;
    let running: Running = serde_json::from_str(&text).ok()?;
    is_alive(&running).then_some(running)
}

fn is_alive(running: &Running) -> bool {
    started(running.pid) == Some(running.started)
}

fn end(running: &Running) {
    signal_group(running.pid, Signal::TERM);
    signal_group(running.pid, Signal::CONT);
    let deadline = Instant::now() + PATIENCE;
    while is_alive(running) {
        if Instant::now() > deadline {
            signal_group(running.pid, Signal::KILL);
        }
        // It is not our child, so there is nothing to wait on but its absence.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// When the process with that pid started, in clock ticks since boot; None if there is none, or only
/// what is left of one until its parent takes note.
fn started(pid: u32) -> Option<u64> {
    start_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn start_time(stat: &str) -> Option<u64> {
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Numbered as in proc(5); the first after the name is field 3.
    let field = |number: usize| fields.get(number - 3).copied();
    let (state, threads, start) = (field(3)?, field(20)?, field(22)?);
    // A leader that has ended while its threads have not still holds ports and files.
    let gone = state == "Z" && matches!(threads, "0" | "1");
    if gone { None } else { start.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::{start_time, started};

    #[test]
    fn start_time_survives_any_name() {
        let stat = |state: &str, threads: u32| {
            format!("9 (a) b) {state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 4711 0 0")
        };
        assert_eq!(start_time(&stat("S", 9)), Some(4711));
        assert_eq!(start_time(&stat("Z", 9)), Some(4711), "its threads run on");
        assert_eq!(start_time(&stat("Z", 1)), None);
        assert_eq!(start_time("9 (a"), None);
    }

    #[test]
    fn this_process_has_started() {
        assert!(started(std::process::id()).is_some());
    }
}
