//! Documents against code and code against documents; what no tracked file may say.

use crate::crates::dependencies;
use crate::none;
use crate::sources::{read, says, sources, tracked};

#[test]
fn architecture_names_every_crate_and_module() {
    let text = read("ARCHITECTURE.md");
    let mut wrong = Vec::new();
    for name in dependencies().keys().filter(|name| !says(&text, name)) {
        wrong.push(format!("crate {name}: give it its line in ARCHITECTURE.md"));
    }
    for source in sources() {
        let parts: Vec<&str> = source.path.split('/').collect();
        let [_, "src", file] = parts[..] else {
            continue;
        };
        let module = file.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let ways = [format!("`{module}`"), file.to_owned(), format!("/{module}")];
        if !ways.iter().any(|way| says(&text, way)) {
            wrong.push(format!(
                "{}: name `{module}` in ARCHITECTURE.md",
                source.path
            ));
        }
    }
    none(&wrong);
}

#[test]
fn documents_point_at_files_that_are_there() {
    let files = tracked();
    let mut wrong = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        let apart = |letter: char| letter.is_whitespace() || "`()[]{},;:|*\"".contains(letter);
        for word in text.split(apart).map(|word| word.trim_end_matches('.')) {
            let is_file = [".rs", ".md"]
                .iter()
                .any(|end| word.ends_with(end) && word != *end);
            let is_ours = is_file && !word.contains("://");
            if is_ours
                && !files
                    .iter()
                    .any(|file| format!("/{file}").ends_with(&format!("/{word}")))
            {
                wrong.push(format!(
                    "{document} points at {word}: no tracked file ends so"
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn first_documents_are_short_and_name_the_two_commands() {
    let readme = read("README.md");
    for (name, text, most) in [
        ("README.md", &readme, 80),
        ("ARCHITECTURE.md", &read("ARCHITECTURE.md"), 200),
    ] {
        let lines = text.lines().count();
        assert!(
            lines <= most,
            "{name}: {lines} lines, at most {most}; move depth to its room"
        );
    }
    for command in ["cargo xtask demo", "cargo xtask test"] {
        assert!(
            readme.contains(command),
            "README.md does not name `{command}`"
        );
    }
}

#[test]
fn sample_configurations_parse() {
    let mut wrong = Vec::new();
    let samples = tracked()
        .into_iter()
        .filter(|p| p.starts_with("ops/config/") && p.ends_with(".toml"));
    for path in samples {
        if let Err(error) = read(&path).parse::<toml::Table>() {
            wrong.push(format!("{path}: {error}"));
        }
    }
    none(&wrong);
}

#[test]
fn no_file_names_a_registry_or_a_place_on_one_machine() {
    let hosts: Vec<String> = [
        ["crates", "io"],
        ["pypi", "org"],
        ["files.pythonhosted", "org"],
        ["registry.npmjs", "org"],
        ["deb.debian", "org"],
        ["raw.githubusercontent", "com"],
        ["proxy.golang", "org"],
        ["download.pytorch", "org"],
    ]
    .map(|parts| parts.join("."))
    .to_vec();
    let folders = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let mut wrong = Vec::new();
    // Cargo writes the lock, with the index it resolved against.
    for path in tracked().into_iter().filter(|path| path != "Cargo.lock") {
        for (at, line) in read(&path).lines().enumerate() {
            if let Some(host) = hosts.iter().find(|host| says(line, host)) {
                wrong.push(format!(
                    "{path}:{}: names {host}; let the tool choose",
                    at + 1
                ));
            }
            if let Some(folder) = folders.iter().find(|folder| is_absolute_in(line, folder)) {
                wrong.push(format!(
                    "{path}:{}: begins at {folder}; make it relative",
                    at + 1
                ));
            }
        }
    }
    none(&wrong);
}

/// Whether a path of `line` begins with `folder`; `a/home/b` does not.
fn is_absolute_in(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}/)*$".contains(c))
    })
}
