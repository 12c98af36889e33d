//! The folder that fetched things live in, outside any checkout, shared by all who run services.
//!
//! Invariant: a folder under its final name is complete. It is filled beside and moved into place by
//! one rename, under a lock, so any number of processes may fill at once.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Doing, ServiceError};

/// The cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens `LOGMON_SERVICES_DIR`, else `$XDG_CACHE_HOME/logmon-services`, else `~/.cache/logmon-services`.
    pub(crate) fn open() -> Result<Self, ServiceError> {
        let named = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let root = named("LOGMON_SERVICES_DIR")
            .or_else(|| named("XDG_CACHE_HOME").map(|it| it.join("logmon-services")))
            .or_else(|| named("HOME").map(|it| it.join(".cache/logmon-services")))
            .unwrap_or_else(|| env::temp_dir().join("logmon-services"));
        // Servers change their working folder, so a relative path would mean two places.
        let root = std::path::absolute(&root).doing(|| format!("find {}", root.display()))?;
        for folder in ["locks", "ports", "run", "staging"] {
            make_folder(&root.join(folder))?;
        }
        Ok(Self { root })
    }

    /// A path in the cache.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Waits for the lock of that name; it is given back when the file is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File, ServiceError> {
        let path = self.root.join("locks").join(name);
        let file = open_lock(&path)?;
        file.lock().doing(|| format!("lock {}", path.display()))?;
        Ok(file)
    }

    /// Returns the folder `name`, filled by `fill` if nobody did before.
    pub(crate) fn filled(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), ServiceError>,
    ) -> Result<PathBuf, ServiceError> {
        let place = self.path(name);
        if place.is_dir() {
            return Ok(place);
        }
        let _lock = self.lock(name)?;
        if place.is_dir() {
            return Ok(place);
        }
        // Only the holder of the lock writes here, so what lies there is the rest of a crash.
        let staging = self.root.join("staging").join(name);
        remove_folder(&staging)?;
        make_folder(&staging)?;
        let outcome = fill(&staging);
        if let Err(error) = outcome {
            remove_folder(&staging)?;
            return Err(error);
        }
        fs::rename(&staging, &place).doing(|| format!("move {} into place", place.display()))?;
        Ok(place)
    }
}

/// Opens a file to lock it, creating it if need be.
pub(crate) fn open_lock(path: &Path) -> Result<File, ServiceError> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
    options.open(path).doing(|| format!("open {}", path.display()))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), ServiceError> {
    fs::create_dir_all(path).doing(|| format!("make the folder {}", path.display()))
}

/// Removes a folder if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), ServiceError> {
    if !path.exists() {
        return Ok(());
    }
    fs::remove_dir_all(path).doing(|| format!("remove {}", path.display()))
}

/// Writes a whole file.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), ServiceError> {
    fs::write(path, text).doing(|| format!("write {}", path.display()))
}

/// Bytes in a folder and below; files that vanish while we look count as nothing.
pub(crate) fn folder_bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(it) if it.is_dir() => folder_bytes(&entry.path()),
        Ok(it) => it.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Refuses a file whose SHA-256 is not the pinned one.
pub(crate) fn verify(path: &Path, expected: &str) -> Result<(), ServiceError> {
    let found = sha256_of(path)?;
    if found == expected {
        return Ok(());
    }
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Err(ServiceError::Checksum { file, expected: expected.to_owned(), found })
}

fn sha256_of(path: &Path) -> Result<String, ServiceError> {
    let doing = || format!("read {}", path.display());
    let mut file = File::open(path).doing(doing)?;
    let mut hasher = Sha256Writer(Sha256::new());
    std::io::copy(&mut file, &mut hasher).doing(doing)?;
    Ok(hex(&hasher.0.finalize()))
}

/// The SHA-256 of a text, for names that change with their content.
pub(crate) fn digest_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// `Sha256` does not promise to be a writer in every version, so this is ours.
struct Sha256Writer(Sha256);

impl std::io::Write for Sha256Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::digest_of;

    #[test]
    fn digest_is_the_known_one() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_of("abc"), abc);
    }
}
