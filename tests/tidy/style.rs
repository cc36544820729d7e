//! What a file of code looks like: its opening, its lengths, its name, what it leaves unsaid.

use std::collections::BTreeMap;

use crate::none;
use crate::sources::{says, sources};

/// Files (`path`) and functions (`path fn name`) that may be longer, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "features/src/map.rs",
        "the grammar of the mapping file, whole, a few lines over",
    ),
    (
        "protocol/src/terms/tests.rs fn plan_out_of_range_is_refused_by_field",
        "a table of one line per field",
    ),
];

/// Who may have standard output in hand: the two that print, and `score`, which writes piece by
/// piece. xtask imports nothing of ours, and is left out.
const STDOUT: &[&str] = &[
    "client-agent/src/commands/score.rs",
    "client-agent/src/commands/score/sheet.rs",
    "host/src/print.rs",
    "simulations/src/print.rs",
];

const FILE_LINES_MAX: usize = 500;
const FILE_LINES_WITH_TESTS_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

#[test]
fn every_file_opens_with_what_lives_there() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"));
    none(
        &silent
            .map(|s| format!("{}: open it with `//!`", s.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_functions_and_lines_fit_a_reader() {
    let mut wrong = Vec::new();
    let mut long: BTreeMap<String, String> = BTreeMap::new();
    for source in sources() {
        let (path, without) = (&source.path, source.lines_without_tests());
        let lines = source.text.lines().count();
        if lines > FILE_LINES_WITH_TESTS_MAX {
            wrong.push(format!(
                "{path}: {lines} lines; split it, or move tests to their own file"
            ));
        }
        if without > FILE_LINES_MAX {
            long.insert(
                path.clone(),
                format!("{path}: {without} lines; split it by thought"),
            );
        }
        for (name, lines) in source.functions() {
            if lines > FUNCTION_LINES_MAX {
                let cure = format!("{path}: fn {name} takes {lines} lines; lift out its leaves");
                long.insert(format!("{path} fn {name}"), cure);
            }
        }
        let wide = source.text.lines().enumerate();
        let wide = wide.filter(|(_, line)| line.chars().count() > COLUMNS_MAX);
        wrong.extend(wide.map(|(at, _)| format!("{path}:{}: over 100 columns", at + 1)));
    }
    for (what, _) in EXCEPTIONS {
        if long.remove(*what).is_none() {
            wrong.push(format!("{what} is short enough: take it out of EXCEPTIONS"));
        }
    }
    wrong.extend(long.into_values());
    none(&wrong);
}

#[test]
fn nothing_lives_in_a_room_without_a_thought() {
    let roomless = [
        "common", "util", "utils", "helper", "helpers", "types", "misc",
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        let path = source.path.trim_end_matches(".rs");
        if let Some(name) = path.split('/').find(|part| roomless.contains(part)) {
            wrong.push(format!(
                "{}: `{name}` says nothing; see CONVENTIONS.md, Rooms",
                source.path
            ));
        }
        for (line, text) in source.code() {
            let module = text
                .split_once("mod ")
                .map(|(_, rest)| rest.trim_end_matches([';', '{', ' ']));
            if module.is_some_and(|name| roomless.contains(&name)) {
                wrong.push(format!(
                    "{}:{line}: name the module for its thought",
                    source.path
                ));
            }
        }
    }
    none(&wrong);
}

// Clippy warns of these macros, and an `expect` quiets it; they panic where nobody reads any more.
#[test]
fn programs_print_where_a_reader_may_leave() {
    let signs = ["println!", "print!", "stdout()"];
    let mut wrong = Vec::new();
    for source in sources() {
        let is_program = source.path.contains("/src/") && !source.path.starts_with("ops/xtask/");
        if !is_program || STDOUT.contains(&source.path.as_str()) {
            continue;
        }
        let without_tests = source.lines_without_tests();
        let code = source.code().filter(|(at, _)| *at <= without_tests);
        let lines = code.filter(|(_, line)| signs.iter().any(|sign| says(line, sign)));
        wrong.extend(lines.map(|(at, _)| {
            format!(
                "{}:{at}: print by `host::print`, or by the simulations' own",
                source.path
            )
        }));
    }
    none(&wrong);
}

#[test]
fn nothing_is_left_for_later() {
    let cures = [
        (
            concat!("FIX", "ME"),
            "do it, or write it down as a decision",
        ),
        (concat!("todo", "!("), "finish it, or leave it out"),
        (
            concat!("#[igno", "re"),
            "a test that is not run is no test: mend or delete it",
        ),
        (
            concat!("[allo", "w("),
            "use #[expect(lint, reason = \"...\")]",
        ),
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            let found = cures.iter().filter(|(sign, _)| line.contains(sign));
            wrong.extend(found.map(|(_, cure)| format!("{}:{}: {cure}", source.path, at + 1)));
        }
    }
    none(&wrong);
}
