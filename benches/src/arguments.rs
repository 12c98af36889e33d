//! A bench's own command line: `--name value`, and what cargo adds is let through.

use std::str::FromStr;

use anyhow::{Context as _, bail};

/// What stood on the command line.
#[derive(Debug, Clone)]
pub struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    /// Reads them; `known` are the names without dashes.
    pub fn read(known: &[&str]) -> anyhow::Result<Self> {
        // Cargo says `--bench` to every bench.
        let words: Vec<String> =
            std::env::args().skip(1).filter(|word| word != "--bench").collect();
        for pair in words.chunks(2) {
            let name = pair[0].strip_prefix("--").filter(|name| known.contains(name));
            if name.is_none() || pair.len() < 2 {
                let known: Vec<String> =
                    known.iter().map(|name| format!("--{name} VALUE")).collect();
                bail!("`{}` says nothing here; there are: {}", pair.join(" "), known.join(", "));
            }
        }
        Ok(Self { words })
    }

    /// The value behind a name.
    pub fn text(&self, name: &str) -> Option<&str> {
        let pair =
            self.words.chunks(2).rev().find(|pair| pair[0].strip_prefix("--") == Some(name))?;
        Some(&pair[1])
    }

    /// The values behind a name, cut at commas, or what stands for them.
    pub fn list(&self, name: &str, otherwise: &str) -> Vec<String> {
        self.text(name).unwrap_or(otherwise).split(',').map(|part| part.trim().to_owned()).collect()
    }

    /// The same as numbers.
    pub fn numbers(&self, name: &str, otherwise: &str) -> anyhow::Result<Vec<usize>> {
        let parse = |text: String| text.parse().with_context(|| format!("--{name} {text}"));
        self.list(name, otherwise).into_iter().map(parse).collect()
    }

    /// The same as a number, or what stands for it.
    pub fn number<T: FromStr>(&self, name: &str, otherwise: T) -> anyhow::Result<T>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        match self.text(name) {
            None => Ok(otherwise),
            Some(text) => text.parse().with_context(|| format!("--{name} {text}")),
        }
    }
}
