//! An archive of Kafka's classes as Java has loaded them (AppCDS): a broker starts in a third of the CPU.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::cache::{Cache, digest_of};
use crate::error::{Doing, ServiceError};
use crate::folder::RunFolder;
use crate::kafka::{Prepared, format_data, settings};
use crate::port::Port;
use crate::process::Life;
use crate::progress::note;
use crate::tool::run;

/// Returns the archive for this Java and these jars, making it if need be; None if it cannot be made.
pub(crate) fn archive(cache: &Cache, kafka: &Prepared) -> Result<Option<PathBuf>, ServiceError> {
    let place = kafka.home.path(&format!("classes-{}.jsa", &key(kafka)?[..12]));
    if place.is_file() {
        return Ok(Some(place));
    }
    let _lock = cache.lock("kafka-classes")?;
    if place.is_file() {
        return Ok(Some(place));
    }
    check_version(&kafka.java)?;
    note("preparing Kafka's classes for this Java, once");
    match build(cache, kafka, &place) {
        Ok(()) => Ok(Some(place)),
        Err(error) => {
            note(&format!("Kafka will start slowly, its classes could not be prepared: {error}"));
            Ok(None)
        }
    }
}

/// Java checks the same things and ignores an archive that does not fit: path, size and time of each
/// jar, and the Java itself.
fn key(kafka: &Prepared) -> Result<String, ServiceError> {
    let java = fs::canonicalize(&kafka.java).doing(|| format!("find {}", kafka.java.display()))?;
    let mut text = String::new();
    for path in kafka.home.jars().iter().chain([&java]) {
        let found = fs::metadata(path).doing(|| format!("read {}", path.display()))?;
        let changed = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        writeln!(text, "{} {} {changed:?}", path.display(), found.len())
            .expect("a String takes all");
    }
    Ok(digest_of(&text))
}

/// Kafka 4 needs Java 17; an older one would say "class file version 61.0", which helps nobody.
fn check_version(java: &Path) -> Result<(), ServiceError> {
    let said = run("Java's version", Command::new(java).arg("-version"))?;
    if major(&said).is_some_and(|it| it >= 17) {
        return Ok(());
    }
    Err(ServiceError::OldTool {
        tool: "java",
        found: said.lines().next().unwrap_or_default().to_owned(),
        needed: "Java 17",
        install: "apt-get install openjdk-17-jre-headless",
    })
}

/// 17 of `openjdk version "17.0.15"`; the 1 of `"1.8.0"` is old enough to be refused as it stands.
fn major(said: &str) -> Option<u32> {
    said.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

/// Runs a broker once and ends it: Java writes the archive on its way out.
fn build(cache: &Cache, kafka: &Prepared, place: &Path) -> Result<(), ServiceError> {
    let folder = RunFolder::create(cache, "classes")?;
    let ports = [Port::claim()?, Port::claim()?];
    let text = settings::plain(folder.path(), &ports, &[]);
    let settings =
        format_data(folder.path(), &text, &kafka.home.plain_checkpoint(), (1, &settings::uuid()))?;
    let fresh = place.with_extension("tmp");
    let java = [
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        &format!("-XX:ArchiveClassesAtExit={}", fresh.display()),
    ];
    let java = java.into_iter().map(str::to_owned).collect();
    let server = kafka.broker(folder.path(), Life::WithUs, java, &settings);
    server.start()?;
    // Writing takes Java longer than we wait for an end elsewhere.
    server.stop_within(Duration::from_mins(2));
    fs::rename(&fresh, place).doing(|| format!("move {} into place", place.display()))
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions_of_java() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(major("java version \"1.8.0_202\""), Some(1));
        assert_eq!(major("nonsense"), None);
    }
}
