//! Our pretraining and the same network in Python PyTorch, in turn on one machine: how many rows a
//! second each trains, and how much faster ours is. The Python half is `ops/peers/pytorch`; the
//! virtual environment that it runs in is made here, under the target folder.
//!
//! Both sides say one line of JSON for each number of threads. Only flat objects are read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Bench;
use crate::workshop::{Failure, Workshop, passed_on};

/// What one run of one side came to under one number of threads.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    threads: u64,
    /// What both sides must agree on: rows a step, steps, trained parameters.
    work: [u64; 3],
    rows_s: f64,
    cpu_us_row: f64,
}

/// All runs under one number of threads.
#[derive(Debug, Default)]
struct Runs {
    ours: Vec<Run>,
    theirs: Vec<Run>,
}

/// Medians under one number of threads: ours, then theirs.
struct Medians {
    threads: u64,
    rows_s: [f64; 2],
    cpu_us_row: [f64; 2],
}

/// Runs both in turn, and says the medians.
pub(super) fn run(
    root: &Path,
    workshop: &Workshop,
    bench: &Bench,
    options: &[&String],
) -> Result<(), Failure> {
    let python = environment(root, workshop)?;
    let expected = locked(root)?;
    let cargo = |words: &[&str]| {
        let mut cargo = workshop.cargo();
        cargo.args(["bench", "--locked", "--package", bench.package]);
        cargo.args(["--bench", bench.target]).args(words);
        cargo
    };
    passed_on(&mut cargo(&["--no-run"]), "cargo")?;
    let mut runs: BTreeMap<u64, Runs> = BTreeMap::new();
    for pair in 1..=PAIRS {
        eprintln!("bench: pair {pair} of {PAIRS}");
        let ours = said(&mut cargo(&["--quiet", "--", "--json"]), bench.name)?;
        for run in read(&ours)? {
            runs.entry(run.threads).or_default().ours.push(run);
        }
        let theirs = said(&mut peer(root, &python), PEER)?;
        check_version(&theirs, &expected)?;
        for run in read(&theirs)? {
            runs.entry(run.threads).or_default().theirs.push(run);
        }
    }
    let medians = runs.values().map(Runs::medians);
    let medians = medians.collect::<Result<Vec<_>, _>>()?;
    let text = match options.iter().any(|option| *option == "--json") {
        true => object(&medians, &expected),
        false => table(&medians),
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::Said(format!("could not print the figures: {error}")))
}

/// The interpreter that has what the requirements name; made at the first call.
fn environment(root: &Path, workshop: &Workshop) -> Result<PathBuf, Failure> {
    let requirements = root.join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements)
        .map_err(|error| Failure::Said(format!("could not read {REQUIREMENTS}: {error}")))?;
    let folder = workshop.target()?.join("peers").join("pytorch");
    let python = folder.join("bin").join("python");
    // Written last, so that an interrupted installation leaves nothing that looks finished.
    let stamp = folder.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) && python.exists() {
        return Ok(python);
    }
    eprintln!(
        "bench: PyTorch is installed once, up to 5 GB, under {}",
        folder.display()
    );
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    passed_on(&mut make, "python3 -m venv")?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--disable-pip-version-check"]);
    install.arg("--requirement").arg(&requirements);
    passed_on(&mut install, "pip")?;
    fs::write(&stamp, wanted)
        .map_err(|error| Failure::Said(format!("could not write {}: {error}", stamp.display())))?;
    Ok(python)
}

/// The Python half, which must not meet the libtorch that ours runs on.
fn peer(root: &Path, python: &Path) -> Command {
    let mut peer = Command::new(python);
    peer.arg(root.join(PEER)).arg("--json").current_dir(root);
    peer.env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD");
    peer
}

/// What a child says on its output.
fn said(command: &mut Command, name: &str) -> Result<String, Failure> {
    let said = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::Said(format!("could not start {name}: {error}")))?;
    if !said.status.success() {
        return Err(Failure::Said(format!("{name} failed: {}", said.status)));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// The version of libtorch that we build on.
fn locked(root: &Path) -> Result<String, Failure> {
    let lock = fs::read_to_string(root.join(LOCK))
        .map_err(|error| Failure::Said(format!("could not read {LOCK}: {error}")))?;
    let version = pinned(&lock).map(str::to_owned);
    version.ok_or_else(|| Failure::Said(format!("found no torch in {LOCK}, expected one pinned")))
}

/// The version in a line `torch==VERSION`.
fn pinned(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    let pin = lines.find_map(|line| line.strip_prefix("torch=="))?;
    pin.split_whitespace().next()
}

/// Refuses another PyTorch than the one whose libtorch we build on; torch-sys refuses our half of
/// that. What follows a plus says how it was built.
fn check_version(theirs: &str, expected: &str) -> Result<(), Failure> {
    let found = theirs.lines().find_map(|line| word(line, "torch"));
    let plain = found.map(|found| found.split('+').next().unwrap_or(found));
    if plain == Some(expected) {
        return Ok(());
    }
    let found = found.unwrap_or("none");
    Err(Failure::Said(format!(
        "found PyTorch {found} in the virtual environment, expected {expected}"
    )))
}

/// Every run that a side tells of.
fn read(text: &str) -> Result<Vec<Run>, Failure> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let runs = lines.map(|line| {
        Run::read(line)
            .ok_or_else(|| Failure::Said(format!("found the line {line}, expected its figures")))
    });
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    match runs.is_empty() {
        true => Err(Failure::Said(
            "found no figures, expected a line for each number of threads".to_owned(),
        )),
        false => Ok(runs),
    }
}

impl Run {
    fn read(line: &str) -> Option<Self> {
        let number = |key| value(line, key)?.parse::<f64>().ok();
        let whole = |key| value(line, key)?.parse::<u64>().ok();
        Some(Self {
            threads: whole("threads")?,
            work: [whole("batch")?, whole("steps")?, whole("parameters")?],
            rows_s: number("rows_s")?,
            cpu_us_row: number("cpu_us_row")?,
        })
    }
}

impl Runs {
    /// The medians, where both sides did the same work.
    fn medians(&self) -> Result<Medians, Failure> {
        let (Some(ours), Some(theirs)) = (self.ours.first(), self.theirs.first()) else {
            return Err(Failure::Said(
                "found a number of threads at one side only, expected the same at both".to_owned(),
            ));
        };
        if ours.work != theirs.work {
            return Err(Failure::Said(format!(
                "found {:?} rows a step, steps and parameters in {PEER}, expected {:?}",
                theirs.work, ours.work
            )));
        }
        let of = |figure: fn(&Run) -> f64| {
            let median = |runs: &[Run]| median(runs.iter().map(figure).collect());
            [median(&self.ours), median(&self.theirs)]
        };
        Ok(Medians {
            threads: ours.threads,
            rows_s: of(|run| run.rows_s),
            cpu_us_row: of(|run| run.cpu_us_row),
        })
    }
}

impl Medians {
    /// How many times as many rows a second ours trains.
    fn ratio(&self) -> f64 {
        self.rows_s[0] / self.rows_s[1]
    }
}

/// The middle one; of an even number, the upper of both.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(medians: &[Medians]) -> String {
    let mut text = format!(
        "medians of {PAIRS} runs each, in turn; the goal is a ratio of {GOAL}\n\
         {:>7} {:>12} {:>14} {:>6} {:>17} {:>19}\n",
        "threads", "ours rows/s", "Python rows/s", "ratio", "ours CPU us/row", "Python CPU us/row"
    );
    for of in medians {
        let ([ours, theirs], [cpu, their_cpu]) = (of.rows_s, of.cpu_us_row);
        text.push_str(&format!(
            "{:>7} {ours:>12.0} {theirs:>14.0} {:>6.2} {cpu:>17.1} {their_cpu:>19.1}\n",
            of.threads,
            of.ratio()
        ));
    }
    text
}

fn object(medians: &[Medians], torch: &str) -> String {
    let row = |of: &Medians| {
        let ([ours, theirs], [cpu, their_cpu]) = (of.rows_s, of.cpu_us_row);
        format!(
            "{{\"threads\":{},\"rows_s\":{ours},\"python_rows_s\":{theirs},\"ratio\":{:.3},\
             \"cpu_us_row\":{cpu},\"python_cpu_us_row\":{their_cpu}}}",
            of.threads,
            of.ratio()
        )
    };
    let rows: Vec<String> = medians.iter().map(row).collect();
    format!(
        "{{\"bench\":\"pretrain\",\"torch\":\"{torch}\",\"pairs\":{PAIRS},\"goal\":{GOAL},\
         \"medians\":[{}]}}\n",
        rows.join(",")
    )
}

/// The value of a key in one line of flat JSON, as it stands there.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    Some(rest[..end].trim())
}

/// The same without its quotation marks.
fn word<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    value(line, key).map(|value| value.trim_matches('"'))
}

/// Runs of each side: enough for a median that one disturbance does not move.
const PAIRS: u32 = 5;
/// How many times as fast as Python PyTorch ours is meant to be.
const GOAL: f64 = 1.3;

const PEER: &str = "ops/peers/pytorch/pretrain.py";
const REQUIREMENTS: &str = "ops/peers/pytorch/requirements.txt";
const LOCK: &str = "ops/libtorch.lock";

#[cfg(test)]
mod tests {
    use super::*;

    // As Python's json writes it, with spaces, and as our benchmark does, without.
    const THEIRS: &str = "{\"side\": \"python\", \"torch\": \"2.11.0+cpu\", \"threads\": 2, \
                          \"batch\": 256, \"steps\": 100, \"parameters\": 5829, \
                          \"rows_s\": 100.5, \"cpu_us_row\": 50.25, \"loss\": 6.5}";
    const OURS: &str = "{\"side\":\"rust\",\"threads\":2,\"batch\":256,\"steps\":100,\
                        \"parameters\":5829,\"rows_s\":201.0,\"cpu_us_row\":9.50,\"loss\":6.5}";

    #[test]
    fn both_sides_are_read_and_compared() {
        let theirs = read(&format!("a warning\n{THEIRS}\n")).expect("there are figures");
        let ours = read(OURS).expect("there are figures");
        let runs = Runs {
            ours: ours.clone(),
            theirs,
        };
        let medians = runs.medians().expect("the work is the same");
        assert_eq!((medians.threads, medians.ratio()), (2, 2.0));
        assert_eq!(medians.cpu_us_row, [9.5, 50.25]);
        assert!(object(&[medians], "2.11.0").contains("\"ratio\":2.000"));

        let other = read(&THEIRS.replace("5829", "5830")).expect("there are figures");
        let runs = Runs {
            ours,
            theirs: other,
        };
        assert!(runs.medians().is_err(), "another network");
        assert!(Runs::default().medians().is_err());
        assert!(read("a warning").is_err() && read("{\"threads\":2}").is_err());
    }

    #[test]
    fn another_pytorch_is_refused() {
        assert!(check_version(THEIRS, "2.11.0").is_ok());
        for (theirs, expected) in [(THEIRS, "2.12.0"), (OURS, "2.11.0")] {
            let Err(Failure::Said(message)) = check_version(theirs, expected) else {
                unreachable!("that is not the one expected")
            };
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn the_middle_figure_is_the_median() {
        assert_eq!(median(vec![3.0, 1.0, 9.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn requirements_name_the_pytorch_of_the_lock() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let root = root.expect("this package lies two folders below the root");
        let requirements = fs::read_to_string(root.join(REQUIREMENTS)).expect("it is tracked");
        let locked = locked(root).ok();
        assert!(locked.is_some());
        assert_eq!(pinned(&requirements), locked.as_deref());
    }
}
