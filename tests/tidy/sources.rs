//! The files that the rules are about, and the little that is read out of Rust without a parser.
//!
//! It leans on rustfmt: a function ends at the first closing brace in the column where it began.
//! The rules themselves are in `tidy.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies below the root")
}

/// The text of a file of ours; the panic names the file that is missing.
pub(crate) fn read(path: &str) -> String {
    let bytes = fs::read(root().join(path))
        .unwrap_or_else(|error| panic!("expected {path} to be there and readable: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What git keeps, by path from the root with `/` between; every file that is not ignored
/// where there is no git.
pub(crate) fn tracked() -> Vec<String> {
    listed(&["--cached"])
}

/// A file of Rust.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every file of Rust that git does not ignore, the ones that are not yet added too.
pub(crate) fn sources() -> Vec<Source> {
    let paths = listed(&["--cached", "--others", "--exclude-standard"]);
    let rust = paths.into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| Source {
        text: read(&path),
        path,
    })
    .collect()
}

fn listed(kinds: &[&str]) -> Vec<String> {
    let answer = Command::new("git")
        .args(["ls-files", "-z"])
        .args(kinds)
        .current_dir(root())
        .output();
    let mut paths = BTreeSet::new();
    match answer {
        Ok(answer) if answer.status.success() && !answer.stdout.is_empty() => {
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            paths.extend(text.split_terminator('\0').map(str::to_owned));
        }
        _ => walk("", &read(".gitignore"), &mut paths),
    }
    paths
        .into_iter()
        .filter(|path| root().join(path).is_file())
        .collect()
}

fn walk(folder: &str, ignored: &str, paths: &mut BTreeSet<String>) {
    let entries = fs::read_dir(root().join(folder)).expect("a folder of the project is readable");
    for entry in entries.flatten() {
        let path = format!("{folder}{}", entry.file_name().to_string_lossy());
        let kind = entry
            .file_type()
            .expect("an entry that was read has a kind");
        if path == ".git" || ignored.lines().any(|line| line.trim_matches('/') == path) {
            continue;
        }
        if kind.is_dir() {
            walk(&format!("{path}/"), ignored, paths);
        } else if kind.is_file() {
            paths.insert(path);
        }
    }
}

impl Source {
    /// Lines that are not comments, counted from one.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// How many lines come before the tests; none in a file of tests.
    pub(crate) fn lines_without_tests(&self) -> usize {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return 0;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let begins = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests");
        lines.windows(2).position(begins).unwrap_or(lines.len())
    }

    /// Every function with a body: its name and how many lines it takes.
    pub(crate) fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else {
                continue;
            };
            let margin = &line[..line.len() - line.trim_start().len()];
            let ends = |line: &&&str| {
                line.strip_prefix(margin)
                    .is_some_and(|rest| !rest.starts_with([' ', ')', 'w', '{', '#']))
            };
            let bodiless = line.ends_with('}') || line.ends_with(';');
            let length = lines[start + 1..]
                .iter()
                .take_while(|line| !ends(line))
                .count()
                + 2;
            found.push((name.to_owned(), if bodiless { 1 } else { length }));
        }
        found
    }
}

/// The name of the function that a line of code declares.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    while let Some((word, after)) = rest.split_once(' ') {
        match word {
            "fn" => {
                let end = after
                    .find(|letter: char| !is_of_name(letter))
                    .unwrap_or(after.len());
                return (end > 0).then(|| &after[..end]);
            }
            "const" | "async" | "unsafe" | "extern" | "\"C\"" => rest = after,
            _ if word.starts_with("pub") => rest = after,
            _ => return None,
        }
    }
    None
}

/// Whether `text` says `word`, not as a part of a longer name.
pub(crate) fn says(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_of_name) && !text[at + word.len()..].starts_with(is_of_name)
    })
}

/// Whether a line of code names the foreign crate `name`, in a path or in an import.
pub(crate) fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let is_path = after.starts_with("::") && !before.ends_with(|c| is_of_name(c) || c == ':');
        let is_import = before.trim_end().ends_with("use") && !after.starts_with(is_of_name);
        is_path || is_import
    })
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
