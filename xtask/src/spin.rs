//! What runs the Spin component: a real Spin where there is one, or else the tests' own host.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{SPIN_HOST, SPIN_HOST_PROFILE};
use crate::{terminal, workspace};

/// The program that runs the component, with the command line of the tests' own host: a script that runs a real Spin, the
/// one that `TIDEGATE_SPIN` names or else the one on the `PATH`; where there is none, or the variable says `tests`, that
/// host, which is built.
///
/// # Errors
/// When what the variable names is no Spin, or too old, or the host does not build.
pub fn host() -> Result<PathBuf, TaskError> {
    let named = std::env::var_os(VARIABLE).filter(|program| !program.is_empty());
    let is_wanted = named.as_ref().is_none_or(|program| program != TESTS);
    let program = named.clone().unwrap_or_else(|| OsString::from("spin"));
    match is_wanted.then(|| Run::new(&program).arg("--version").probe()).flatten() {
        Some(told) if version(&told).is_some_and(|version| version >= OLDEST) => {
            terminal::note(&format!("on {} ({VARIABLE} names another)", told.trim()));
            Ok(workspace::root().join("tests/spin-host/spin.mjs"))
        }
        told if is_wanted && named.is_some() => Err(TaskError::unmet(
            format!("{VARIABLE}={}", program.display()),
            told.map_or_else(|| "it does not run".to_owned(), |told| told.trim().to_owned()),
            format!(
                "Spin {}.{} or newer is wanted, or `{TESTS}` for the tests' own host",
                OLDEST.0, OLDEST.1
            ),
        )),
        Some(_) | None => build(),
    }
}

fn build() -> Result<PathBuf, TaskError> {
    Run::cargo()
        .args(["build", "--package", SPIN_HOST, "--profile", SPIN_HOST_PROFILE])
        .shown()?;
    Ok(workspace::target().join(SPIN_HOST_PROFILE).join(SPIN_HOST))
}

/// The version in what `spin --version` tells, `spin 4.1.0 (a1b2c3 2026-01-01)`; none of another program of that name.
fn version(told: &str) -> Option<(u32, u32)> {
    let mut numbers = told.strip_prefix("spin ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Names the Spin to run.
const VARIABLE: &str = "TIDEGATE_SPIN";
/// Its value for the tests' own host.
const TESTS: &str = "tests";
/// The first with wasi:http 0.3.
const OLDEST: (u32, u32) = (4, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spin_tells_its_version_and_other_programs_of_the_name_do_not() {
        for (told, expected) in [
            ("spin 4.1.0 (a1b2c3 2026-01-01)", Some((4, 1))),
            ("spin 10.0.2", Some((10, 0))),
            ("spin 4.1.0-pre0", Some((4, 1))),
            ("Spin Version 6.5.2 -- 6 December 2019", None),
            ("", None),
        ] {
            assert_eq!(version(told), expected, "{told}");
        }
    }
}
