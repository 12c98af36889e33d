//! Apache Kafka from Maven Central: 92 jars, and a formatted folder to copy for each new broker.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{Cache, digest_of, make_folder, remove_folder, verify, write_file};
use crate::error::{Doing, ServiceError};
use crate::kafka::USERS;
use crate::progress::{Progress, Unit};
use crate::tool::{JAVA, MAVEN, TAIL_LINES, run, spell, tail};

const POM: &str = include_str!("../../assets/kafka-pom.xml");
/// As `sha256sum` writes it: a digest and a name a line.
const JARS: &str = include_str!("../../assets/kafka.sha256");
const LOG4J: &str = include_str!("../../assets/log4j2.xml");
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Kafka in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    path: PathBuf,
}

impl Home {
    /// Where Kafka's Java processes log to and how.
    pub(crate) fn log4j(&self) -> PathBuf {
        self.path.join("log4j2.xml")
    }

    /// The feature levels a plain broker starts from.
    pub(crate) fn plain_checkpoint(&self) -> PathBuf {
        self.path.join("plain.checkpoint")
    }

    /// The same with the SCRAM users.
    pub(crate) fn secure_checkpoint(&self) -> PathBuf {
        self.path.join("secure.checkpoint")
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The jars in a fixed order: an archive of classes is good for one class path only, and Java's own
    /// `libs/*` has whatever order the file system has.
    pub(crate) fn jars(&self) -> Vec<PathBuf> {
        pinned().keys().map(|name| self.path.join("libs").join(name)).collect()
    }

    pub(crate) fn class_path(&self) -> String {
        class_path(&self.path)
    }
}

/// Returns Kafka, fetching it if need be.
pub(crate) fn home(cache: &Cache) -> Result<Home, ServiceError> {
    let name = format!("kafka-4.3.1-{}", &digest_of(&format!("{POM}{JARS}{LOG4J}"))[..12]);
    let path = cache.filled(&name, |staging| {
        // Java is looked for first: Maven's own complaint about its absence names no remedy.
        let (java, maven) = (JAVA.find()?, MAVEN.find()?);
        let pom = staging.join("pom.xml");
        write_file(&pom, POM)?;
        write_file(&staging.join("log4j2.xml"), LOG4J)?;
        let mut copy = Command::new(maven);
        copy.args(["-B", "-f"]).arg(&pom).arg(COPY).arg("-DincludeScope=runtime");
        copy.arg(format!("-DoutputDirectory={}", staging.join("libs").display()));
        watch(&mut copy, &staging.join("maven.log"))?;
        for (name, digest) in pinned() {
            verify(&staging.join("libs").join(name), digest)?;
        }
        format(&java, staging, "plain", &[])?;
        format(&java, staging, "secure", &USERS)
    })?;
    Ok(Home { path })
}

/// Name → SHA-256.
fn pinned() -> BTreeMap<&'static str, &'static str> {
    JARS.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect()
}

fn class_path(home: &Path) -> String {
    let libs = home.join("libs");
    let jars = pinned().into_keys().map(|name| libs.join(name).display().to_string());
    jars.collect::<Vec<_>>().join(":")
}

/// Runs Maven, which names each file when it has come; those it already has it does not name.
fn watch(copy: &mut Command, log: &Path) -> Result<(), ServiceError> {
    let (what, command) = ("Kafka 4.3.1", spell(copy));
    let doing = || format!("run {command}");
    // Maven's own errors come on standard output; on the other one Java complains, or colors are reset.
    let errors = File::create(log).doing(|| format!("write {}", log.display()))?;
    copy.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    let mut child = copy.spawn().doing(doing)?;
    let stdout = child.stdout.take().expect("it was piped a line above");
    let pinned = pinned();
    let mut progress = Progress::begin(what, pinned.len() as u64, Unit::Files);
    let (mut fetched, mut said) = (0, Vec::new());
    for line in BufReader::new(stdout).lines() {
        let line = line.doing(doing)?;
        if line.contains("Downloaded from") && pinned.keys().any(|jar| line.contains(jar)) {
            fetched += 1;
            progress.at(fetched);
        } else if !line.contains("Download") {
            said.push(line);
        }
    }
    let status = child.wait().doing(doing)?;
    if !status.success() {
        let complaint = fs::read_to_string(log).unwrap_or_default();
        let output = tail(&format!("{}\n{complaint}", said.join("\n")), TAIL_LINES);
        return Err(ServiceError::Fetch { what, command, status: status.to_string(), output });
    }
    progress.end();
    fs::remove_file(log).doing(|| format!("remove {}", log.display()))
}

/// Formats a data folder as Kafka's own tool does and keeps the one file of it that is not a handful of
/// names: starting the tool for each broker would cost more than a second of CPU.
fn format(
    java: &Path,
    home: &Path,
    name: &str,
    users: &[crate::kafka::User],
) -> Result<(), ServiceError> {
    let data = home.join("format");
    make_folder(&data)?;
    let settings = home.join("format.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:19093\n\
         listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
        data.display()
    );
    write_file(&settings, &text)?;
    let mut tool = Command::new(java);
    tool.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!("-Dlog4j2.configurationFile={}", home.join("log4j2.xml").display()))
        .env("CLASSPATH", class_path(home))
        .args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"])
        .arg(&settings);
    for user in users {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let crate::kafka::User { name, password } = user;
            tool.args(["--add-scram", &format!("{mechanism}=[name={name},password={password}]")]);
        }
    }
    run("Kafka's data folder", &mut tool)?;
    let place = home.join(format!("{name}.checkpoint"));
    fs::rename(data.join("bootstrap.checkpoint"), &place)
        .doing(|| format!("move {} into place", place.display()))?;
    fs::remove_file(&settings).doing(|| format!("remove {}", settings.display()))?;
    remove_folder(&data)
}

#[cfg(test)]
mod tests {
    use super::pinned;

    #[test]
    fn every_jar_is_pinned_by_a_whole_digest() {
        let pinned = pinned();
        assert_eq!(pinned.len(), 92);
        assert!(pinned.values().all(|digest| digest.len() == 64));
        assert!(pinned.contains_key("kafka_2.13-4.3.1.jar"));
    }
}
