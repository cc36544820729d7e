//! Programs of others that a test asks, where they are installed.

use std::process::{Command, Stdio};

/// The first of these programs that runs. Where none does the test is skipped, which is said, and
/// fails where no test may be skipped.
pub(crate) fn installed(programs: &[&'static str], package: &str) -> Option<&'static str> {
    let is_there = |program: &&&'static str| {
        let mut asked = Command::new(program);
        asked
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    let found = programs.iter().find(is_there).copied();
    if found.is_none() {
        let cure = format!("{package} is not installed: apt-get install {package}");
        assert!(std::env::var_os("CI").is_none(), "{cure}");
        eprintln!("skipped: {cure}");
    }
    found
}
