//! A server's own data folder under the cache's `run/`, gone when its handle is dropped.
//!
//! Invariant: a folder whose lock nobody holds belongs to a process that died; the next one sweeps it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cache::{BRIEF, Cache, make_folder, open_lock, remove_folder};
use crate::error::{Doing, ServiceError};
use crate::progress::note;

/// A folder that lives as long as its handle.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Held, not read: the kernel lets go of it however we end.
    _lock: File,
}

impl RunFolder {
    /// Makes a folder of its own, after sweeping those of the dead.
    pub(crate) fn create(cache: &Cache, service: &str) -> Result<Self, ServiceError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Sweeping and making exclude each other, else a folder without its lock yet would be swept.
        let _guard = cache.lock(BRIEF)?;
        let run = cache.path("run");
        sweep(&run)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = run.join(format!("{service}-{}-{count}", std::process::id()));
        make_folder(&path)?;
        let lock_path = path.join("lock");
        let lock = open_lock(&lock_path)?;
        lock.try_lock()
            .map_err(std::io::Error::from)
            .doing(|| format!("lock {}", lock_path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Err(error) = remove_folder(&self.path) {
            note(&format!("{error}; it will be tried again by the next start"));
        }
    }
}

fn sweep(run: &Path) -> Result<(), ServiceError> {
    let entries = fs::read_dir(run).doing(|| format!("read {}", run.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let orphaned = open_lock(&path.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if orphaned {
            remove_folder(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::RunFolder;
    use crate::cache::make_folder;
    use crate::cache::tests::Empty;

    #[test]
    fn folders_of_the_dead_are_swept_and_those_of_the_living_stay() {
        let empty = Empty::new("sweep");
        let dead = empty.cache.path("run/kafka-1-0");
        make_folder(&dead.join("data")).unwrap();
        let living = RunFolder::create(&empty.cache, "kafka").unwrap();
        assert!(!dead.exists());
        let other = RunFolder::create(&empty.cache, "kafka").unwrap();
        assert!(living.path().is_dir());
        assert_ne!(living.path(), other.path());
        let path = other.path().to_owned();
        drop(other);
        assert!(!path.exists() && living.path().is_dir());
    }
}
