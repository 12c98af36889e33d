//! The folder that fetched things live in, outside any checkout, shared by all who run services.
//!
//! Invariant: a folder under its final name is complete. It is filled beside and moved into place by
//! one rename, under a lock, so any number of processes may fill at once.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Doing, ServiceError};
use crate::progress::note;

/// The lock that is held for moments only, so that waiting for it is not worth a line.
pub(crate) const BRIEF: &str = "run";

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
        Self::at(&std::path::absolute(&root).doing(|| format!("find {}", root.display()))?)
    }

    /// A folder of that kind elsewhere.
    pub(crate) fn at(root: &Path) -> Result<Self, ServiceError> {
        for folder in ["locks", "run", "staging"] {
            make_folder(&root.join(folder))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// A path in the cache.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Waits for the lock of that name; it is given back when the file is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File, ServiceError> {
        let path = self.root.join("locks").join(name);
        let file = open_lock(&path)?;
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        if name != BRIEF {
            note(&format!("waiting for another process, which is busy with {name}"));
        }
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
        // Without symbolic links: what is prepared for a path is good for every way to name it.
        let real = || place.canonicalize().doing(|| format!("find {}", place.display()));
        if place.is_dir() {
            return real();
        }
        let _lock = self.lock(name)?;
        if place.is_dir() {
            return real();
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
        real()
    }
}

/// Returns the cache folder, made if it was not there.
pub fn cache_folder() -> Result<PathBuf, ServiceError> {
    Ok(Cache::open()?.root)
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
pub(crate) mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::{Cache, digest_of, verify, write_file};
    use crate::error::ServiceError;

    /// An empty cache that goes away.
    #[derive(Debug)]
    pub(crate) struct Empty {
        pub(crate) cache: Cache,
        root: PathBuf,
    }

    impl Empty {
        pub(crate) fn new(name: &str) -> Self {
            let root =
                std::env::temp_dir().join(format!("logmon-cache-{}-{name}", std::process::id()));
            Self { cache: Cache::at(&root).unwrap(), root }
        }
    }

    impl Drop for Empty {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.root).unwrap();
        }
    }

    #[test]
    fn many_fill_at_once_and_one_does_the_work() {
        let empty = Empty::new("fill");
        let filled = AtomicU32::new(0);
        let fill = || {
            let fill = |staging: &std::path::Path| {
                filled.fetch_add(1, Ordering::Relaxed);
                write_file(&staging.join("thing"), "whole")
            };
            let folder = empty.cache.filled("thing-1", fill).unwrap();
            assert_eq!(fs::read_to_string(folder.join("thing")).unwrap(), "whole");
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(fill);
            }
        });
        assert_eq!(filled.into_inner(), 1);
    }

    #[test]
    fn a_fill_that_fails_leaves_nothing_and_can_be_repeated() {
        let empty = Empty::new("fail");
        let failed = empty.cache.filled("thing-1", |staging| {
            write_file(&staging.join("half"), "ha")?;
            Err(ServiceError::Platform)
        });
        assert!(matches!(failed, Err(ServiceError::Platform)));
        assert!(!empty.cache.path("thing-1").exists());
        assert!(!empty.cache.path("staging/thing-1").exists());
        let folder = empty.cache.filled("thing-1", |_| Ok(())).unwrap();
        assert!(!folder.join("half").exists());
    }

    #[test]
    fn a_changed_file_is_refused_with_both_digests() {
        let empty = Empty::new("verify");
        let path = empty.cache.path("file");
        write_file(&path, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_of("abc"), abc);
        verify(&path, abc).unwrap();
        write_file(&path, "abd").unwrap();
        let refused = verify(&path, abc).unwrap_err().to_string();
        let both = format!("SHA-256 {}, expected {abc}", digest_of("abd"));
        assert_eq!(refused, format!("file is not the file that was pinned: {both}"));
    }
}
