//! A machine that lacks something, and what is fetched besides servers.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use logmon_services::geoip_country_mmdb;

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("logmon-setup-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What the command says on a machine with nothing but this on its `PATH`, and nothing fetched.
fn complaint(arguments: &str, tools: &Path, folder: &Path, kafka: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logmon-services"));
    command.arg(arguments).env_clear().env("PATH", tools).env("LOGMON_SERVICES_DIR", folder);
    if let Some(kafka) = kafka {
        command.env("LOGMON_KAFKA", kafka);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_missing_tool_is_named_with_the_command_that_installs_it() {
    let (tools, cache) = (Folder::new("tools"), Folder::new("cache"));
    let without_java = "error: `java` is needed to run Kafka, but it is not on PATH; \
        install it with: apt-get install openjdk-17-jre-headless\n";
    assert_eq!(complaint("up", &tools.0, &cache.0, None), without_java);

    let path = env::var_os("PATH").unwrap();
    let java = env::split_paths(&path).map(|it| it.join("java")).find(|it| it.exists()).unwrap();
    symlink(java, tools.0.join("java")).unwrap();
    let without_maven = "error: `mvn` is needed to fetch Kafka from Maven Central, but it is not on \
        PATH; install it with: apt-get install openjdk-17-jre-headless maven\n";
    assert_eq!(complaint("up", &tools.0, &cache.0, None), without_maven);

    let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
    let kafka = somebody.local_addr().unwrap().to_string();
    let without_npm = "error: `npm` is needed to fetch ClickHouse and the GeoIP database, but it is \
        not on PATH; install it with: apt-get install npm\n";
    assert_eq!(complaint("hold", &tools.0, &cache.0, Some(&kafka)), without_npm);
    let left: Vec<_> = fs::read_dir(cache.0.join("staging")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_geoip_database_comes_with_its_license() {
    let path = geoip_country_mmdb().unwrap();
    let bytes = fs::read(&path).unwrap();
    // Every such file ends with its metadata, which begins with this mark.
    let mark = b"\xab\xcd\xefMaxMind.com";
    assert!(bytes.windows(mark.len()).rev().take(131_072).any(|it| it == mark));
    let license = fs::read_to_string(path.with_file_name("DBIP-LICENSE")).unwrap();
    assert!(license.contains("Creative Commons Attribution 4.0"), "{license}");
}
