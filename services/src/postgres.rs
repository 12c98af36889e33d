//! A real PostgreSQL server on loopback, from the programs that are installed; encrypted connections too.
//!
//! PostgreSQL refuses to run as root, so under root it runs as the user `postgres`, in a folder that this user may enter.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::getuid;

use crate::cache::{Cache, make_folder, write_file};
use crate::error::{Doing, ServiceError};
use crate::fetch::launcher::launcher;
use crate::folder::RunFolder;
use crate::port::Port;
use crate::process::{Launch, Life};
use crate::server::{Ready, Server};
use crate::tool::{OPENSSL, Tool, on_path, run};

const USER: &str = "app";
const PASSWORD: &str = "postgres-secret";
/// Who it runs as where we are root.
const ACCOUNT: &str = "postgres";

const POSTGRES: Tool = Tool::new(&["postgres"], "to run PostgreSQL", "apt-get install postgresql");
const SETPRIV: Tool = Tool::new(
    &["setpriv"],
    "to run PostgreSQL as another user than root",
    "apt-get install util-linux",
);

/// A server of our own, with its own port, data and certificate.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: Port,
    certificate: PathBuf,
    psql: PathBuf,
    _folder: RunFolder,
}

impl Postgres {
    /// Starts a server with an empty database, whatever runs elsewhere.
    pub fn start_own() -> Result<Self, ServiceError> {
        let cache = Cache::open()?;
        let launcher = launcher(&cache)?;
        let programs = programs()?;
        let user = User::find()?;
        // The cache may lie in a folder that only root may enter.
        let place = match &user {
            User::Ours => cache,
            User::Other { .. } => Cache::at(&env::temp_dir().join("logmon-postgres"))?,
        };
        let folder = RunFolder::create(&place, "postgres")?;
        let home = folder.path().join("home");
        make_folder(&home)?;
        let word = home.join("password");
        write_file(&word, PASSWORD)?;
        let certificate = home.join("server.pem");
        make_certificate(&certificate, &home.join("server.key"))?;
        user.give(&home)?;
        for file in ["password", "server.pem", "server.key"] {
            user.give(&home.join(file))?;
        }
        let data = home.join("data");
        let mut init = user.command(&programs.join("initdb"))?;
        init.arg("-D").arg(&data).arg(format!("--pwfile={}", word.display()));
        init.args(["-A", "scram-sha-256", "-U", USER, "-E", "UTF8", "--no-locale", "--no-sync"]);
        run("a PostgreSQL database", init.current_dir(&home))?;
        let port = Port::claim()?;
        let mut arguments: Vec<OsString> = vec!["exec".into()];
        arguments.extend(user.prefix()?);
        arguments.push(programs.join("postgres").into());
        arguments.extend(["-D".into(), data.into(), "-k".into(), home.clone().into()]);
        arguments.extend(["-h".into(), "127.0.0.1".into()]);
        arguments.extend(["-p".into(), port.number().to_string().into()]);
        let settings = [
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificate.display()),
            format!("ssl_key_file={}", home.join("server.key").display()),
        ];
        arguments.extend(settings.into_iter().flat_map(|it| ["-c".into(), it.into()]));
        let log = folder.path().join("output.log");
        let environment = Vec::new();
        let launch =
            Launch { launcher, arguments, environment, folder: home, log, life: Life::WithUs };
        let ready = Ready::Says("database system is ready to accept connections");
        let server = Server::new("PostgreSQL", launch, ready);
        server.start()?;
        let psql = on_path("psql").unwrap_or_else(|| programs.join("psql"));
        Ok(Self { server, port, certificate, psql, _folder: folder })
    }

    /// `postgres://127.0.0.1:20418/postgres`, without user and password.
    pub fn url(&self) -> String {
        format!("postgres://127.0.0.1:{}/postgres", self.port.number())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The user to log in as; it may do everything.
    pub fn user(&self) -> &str {
        USER
    }

    /// That user's password.
    pub fn password(&self) -> &str {
        PASSWORD
    }

    /// A PEM file with the certificate of the server, made out to `localhost`, which signs itself.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Runs statements and returns what they print, bare.
    pub fn query(&self, statements: &str) -> Result<String, ServiceError> {
        let mut psql = Command::new(&self.psql);
        psql.args(["-h", "127.0.0.1", "-U", USER, "-d", "postgres", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-q", "-A", "-t", "-p", &self.port.number().to_string(), "-c", statements]);
        psql.env("PGPASSWORD", PASSWORD);
        let output = psql.output().doing(|| format!("run {}", self.psql.display()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(ServiceError::Query(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Its pid while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Ends it at once, as a fail-over would; clients see their connections close.
    pub fn kill(&self) {
        self.server.interrupt();
    }

    /// Starts it again on the same port and data.
    pub fn restart(&self) -> Result<(), ServiceError> {
        self.server.interrupt();
        self.server.start()
    }

    /// Pauses it (SIGSTOP), and nobody new gets in. Sessions that are open have processes of their own and go on.
    pub fn stop(&self) {
        self.server.pause();
    }

    /// Lets a paused one go on (SIGCONT).
    pub fn cont(&self) {
        self.server.resume();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked politely, it would wait for its clients.
        self.server.interrupt();
    }
}

/// The folder of `initdb` and `postgres`. Debian keeps them off the path, the newest version last.
fn programs() -> Result<PathBuf, ServiceError> {
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.path().join("bin"))
        .filter(|it| it.join("initdb").is_file() && it.join("postgres").is_file())
        .collect();
    debian.sort();
    if let Some(folder) = debian.pop() {
        return Ok(folder);
    }
    let found = POSTGRES.find()?;
    let real = found.canonicalize().doing(|| format!("find {}", found.display()))?;
    Ok(real.parent().map(Path::to_owned).unwrap_or_default())
}

/// Who the server runs as.
enum User {
    Ours,
    Other { uid: u32, gid: u32 },
}

impl User {
    fn find() -> Result<Self, ServiceError> {
        if !getuid().is_root() {
            return Ok(Self::Ours);
        }
        let number = |of: &str| -> Result<u32, ServiceError> {
            let said = run("the user postgres", Command::new("id").args([of, ACCOUNT]))?;
            Ok(said.trim().parse().unwrap_or(u32::MAX))
        };
        Ok(Self::Other { uid: number("-u")?, gid: number("-g")? })
    }

    /// What stands before a command so that this user runs it, and it still ends with us.
    fn prefix(&self) -> Result<Vec<OsString>, ServiceError> {
        let Self::Other { uid, gid } = self else { return Ok(Vec::new()) };
        let setpriv = SETPRIV.find()?;
        let words = [
            setpriv.into(),
            format!("--reuid={uid}").into(),
            format!("--regid={gid}").into(),
            "--clear-groups".into(),
            // The kernel forgets whose end is ours when the user changes.
            "--pdeathsig=KILL".into(),
            "--".into(),
        ];
        Ok(words.into())
    }

    fn command(&self, program: &Path) -> Result<Command, ServiceError> {
        let mut words = self.prefix()?.into_iter().chain([program.into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        Ok(command)
    }

    fn give(&self, path: &Path) -> Result<(), ServiceError> {
        let Self::Other { uid, gid } = self else { return Ok(()) };
        chown(path, Some(*uid), Some(*gid)).doing(|| format!("give {} away", path.display()))
    }
}

fn make_certificate(certificate: &Path, key: &Path) -> Result<(), ServiceError> {
    let mut make = Command::new(OPENSSL.find()?);
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    make.args(["-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    make.args(["-addext", "subjectAltName=DNS:localhost"]);
    make.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    make.arg("-keyout").arg(key).arg("-out").arg(certificate);
    run("a certificate", &mut make)?;
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(key, private).doing(|| format!("protect {}", key.display()))
}
