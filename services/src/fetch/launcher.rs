//! The small program that starts every server, built from `assets/launch.c` by the C compiler.
//!
//! Why a program of its own: ClickHouse comes as a shared library, whose server must not run inside a
//! test; and asking the kernel to end a child with its parent must happen in the child, between fork
//! and exec. Why C, built at fill time: a test of one package cannot name a binary of another, a
//! released binary has no cargo beside it, and re-executing ourselves would need a say in the `main`
//! of every test binary. A C compiler is there wherever librdkafka was built. It also keeps this
//! crate free of `unsafe`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cache::{Cache, digest_of, write_file};
use crate::error::ServiceError;
use crate::tool::{CC, run};

const SOURCE: &str = include_str!("../../assets/launch.c");

/// Returns the launcher, building it if need be.
pub(crate) fn launcher(cache: &Cache) -> Result<PathBuf, ServiceError> {
    let name = format!("launcher-{}", &digest_of(SOURCE)[..12]);
    let folder = cache.filled(&name, |staging| {
        let source = staging.join("launch.c");
        write_file(&source, SOURCE)?;
        let mut compile = Command::new(CC.find()?);
        compile.args(["-O1", "-o"]).arg(staging.join("launch")).arg(&source);
        // An old glibc keeps dlopen in a library of its own; a new one has an empty libdl for us.
        run("the launcher", compile.arg("-ldl"))?;
        fs::remove_file(&source).ok();
        Ok(())
    })?;
    Ok(folder.join("launch"))
}
