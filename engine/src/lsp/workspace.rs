//! The files that an editor works on: open texts over those on disk, and which program each file belongs to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use logmon_dsl::program::{self, Analysis, Reader};

/// Rules files looked at in a workspace. More are rules that nobody keeps by hand, and the editor must stay quick.
const FILES_MAX: usize = 1000;

/// How deep folders are looked into.
const DEPTH_MAX: usize = 8;

/// Open texts and analyzed programs.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    roots: Vec<PathBuf>,
    open: BTreeMap<PathBuf, String>,
    /// Programs by their entry, dropped when any text changes.
    analyses: BTreeMap<PathBuf, Analysis>,
    /// For each rules file the files that it uses and includes; read again when asked to.
    links: Option<BTreeMap<PathBuf, Vec<PathBuf>>>,
}

/// Open texts first, then the disk.
struct Texts<'w>(&'w BTreeMap<PathBuf, String>);

impl Reader for Texts<'_> {
    fn read(&self, path: &Path) -> Result<String, String> {
        if let Some(text) = self.0.get(path) {
            return Ok(text.clone());
        }
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    }

    fn lock(&self, entry: &Path) -> Option<(PathBuf, String)> {
        program::lock_beside(self, entry)
    }

    /// An editor has no secrets, and rules are no worse for it: what is checked is that they are used as keys alone.
    fn secret(&self, _name: &str) -> Result<String, String> {
        Ok("secret".to_owned())
    }
}

impl Workspace {
    pub(super) fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Takes a text as it is in the editor.
    pub(super) fn set(&mut self, path: PathBuf, text: String) {
        // Another `use` may make it a part of another program.
        let before = self.open.get(&path).map(|old| program::links(&path, old));
        if before.as_deref() != Some(&program::links(&path, &text)) {
            self.links = None;
        }
        self.open.insert(path, text);
        self.analyses.clear();
    }

    /// The editor closed a file: what is on disk counts again.
    pub(super) fn close(&mut self, path: &Path) {
        self.open.remove(path);
        self.changed_on_disk();
    }

    /// Files changed behind the editor's back.
    pub(super) fn changed_on_disk(&mut self) {
        self.analyses.clear();
        self.links = None;
    }

    /// Open files.
    pub(super) fn open(&self) -> impl Iterator<Item = &PathBuf> {
        self.open.keys()
    }

    /// The text of an open file.
    pub(super) fn text(&self, path: &Path) -> Option<&str> {
        self.open.get(path).map(String::as_str)
    }

    /// The program that a file belongs to: that of the entry which includes it, otherwise one that uses it, otherwise its own.
    pub(super) fn analysis(&mut self, path: &Path) -> &Analysis {
        let entry = self.entry(path);
        let texts = Texts(&self.open);
        self.analyses.entry(entry).or_insert_with_key(|entry| program::analyze(entry, &texts))
    }

    /// The entry of the program that a file belongs to.
    pub(super) fn entry(&mut self, path: &Path) -> PathBuf {
        let links = match self.links.take() {
            Some(links) if links.contains_key(path) => links,
            _ => self.read_links(),
        };
        let named: BTreeSet<&PathBuf> = links.values().flatten().collect();
        // Entries are named by nobody. The one nearest to the file is its own.
        let mut best: Option<(usize, &PathBuf)> = None;
        for entry in links.keys().filter(|entry| !named.contains(*entry)) {
            if let Some(steps) = steps(&links, entry, path)
                && best.is_none_or(|(known, _)| steps < known)
            {
                best = Some((steps, entry));
            }
        }
        let entry = best.map_or_else(|| path.to_owned(), |(_, entry)| entry.clone());
        self.links = Some(links);
        entry
    }

    fn read_links(&self) -> BTreeMap<PathBuf, Vec<PathBuf>> {
        let mut files: BTreeSet<PathBuf> = self.open.keys().cloned().collect();
        for root in &self.roots {
            rules_files(root, 0, &mut files);
        }
        for open in self.open.keys() {
            if !self.roots.iter().any(|root| open.starts_with(root))
                && let Some(folder) = open.parent()
            {
                // A lone file: its own folder and the one above, where the entry of a library lies.
                rules_files(folder, DEPTH_MAX, &mut files);
                folder.parent().iter().for_each(|up| rules_files(up, DEPTH_MAX, &mut files));
            }
        }
        let texts = Texts(&self.open);
        files
            .into_iter()
            .map(|path| {
                let links = texts
                    .read(&path)
                    .map_or_else(|_| Vec::new(), |text| program::links(&path, &text));
                (path, links)
            })
            .collect()
    }
}

/// How many files lie between an entry and another file.
fn steps(links: &BTreeMap<PathBuf, Vec<PathBuf>>, entry: &Path, path: &Path) -> Option<usize> {
    let mut seen: BTreeSet<&Path> = BTreeSet::from([entry]);
    let mut at = vec![entry];
    let mut steps = 0;
    while !at.is_empty() {
        if at.contains(&path) {
            return Some(steps);
        }
        at = at
            .into_iter()
            .filter_map(|file| links.get(file))
            .flatten()
            .map(PathBuf::as_path)
            .filter(|file| seen.insert(file))
            .collect();
        steps += 1;
    }
    None
}

fn rules_files(folder: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if found.len() >= FILES_MAX {
            return;
        }
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Links are not followed: they may lead around in circles.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !hidden && depth < DEPTH_MAX => {
                let skipped = matches!(path.file_name(), Some(name) if name == "node_modules" || name == "target");
                if !skipped {
                    rules_files(&path, depth + 1, found);
                }
            }
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|ext| ext == "rules") => {
                found.insert(path);
            }
            _ => {}
        }
    }
}
