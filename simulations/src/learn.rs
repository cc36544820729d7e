//! The `learn` subcommand: how much banks gain by learning together, on any mapped feed. Each
//! setting of `setting.rs` is trained with the real encoder, model, fixed point and sum, and
//! judged on a week that it has not seen; over seeds and weeks, with means and spreads.
//!
//! Reading order: `usual` (what the command line leaves open), `calendar` (which days), `split`
//! (whose customers), `consortium` (encoded rows and labels), `arms` (what each setting does),
//! `federation` and `sum` (rounds), `measures`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use features::{FeatureSchema, FeedMap};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::genesis::Release;
use serde_json::{Value, json};

use crate::print;
use crate::stage::{deal, token_key};

mod args;
mod arms;
mod book;
mod calendar;
mod columns;
mod consortium;
mod federation;
mod feed;
mod lots;
mod measures;
mod recipe;
mod report;
mod risk;
mod setting;
mod split;
mod store;
mod sum;
mod summary;
mod surprise;
#[cfg(test)]
mod tests;
mod training;
mod usual;
mod warm;

pub use args::Args;
pub(crate) use args::VERSION;
pub(crate) use measures::NAMES;
pub(crate) use setting::Setting;
pub(crate) use summary::TITLES;

use arms::{Arms, Terms};
use calendar::{Spans, Week};
use consortium::{Consortium, Ground};
use feed::{Carried, Feed};
use split::{Deal, Split};
use store::{Finished, Store};
use sum::Masks;
use summary::{About, Trial};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Runs the comparison.
pub fn run(args: &Args) -> ExitCode {
    print::answer("learn", |out| learn(args, out))
}

/// What came of the comparison, as the object that `--json` prints.
///
/// # Errors
/// What cannot be read or is not to be had, in words.
pub fn object(args: &Args) -> Result<Value, Failed> {
    let (about, trials) = compare(args)?;
    Ok(summary::object(&about, &trials))
}

fn learn(args: &Args, out: &mut impl Write) -> Result<(), Failed> {
    let (about, trials) = compare(args)?;
    match args.json {
        true => writeln!(out, "{}", summary::object(&about, &trials))?,
        false => summary::table(&about, &trials, out)?,
    }
    Ok(())
}

fn compare(args: &Args) -> Result<(About, Vec<Trial>), Failed> {
    let text = std::fs::read_to_string(&args.banks.map)
        .map_err(|error| format!("{}: {error}", args.banks.map.display()))?;
    let args = &args.settled(&text);
    args.check()?;
    model::threads(1);
    let map =
        FeedMap::parse(&text).map_err(|error| format!("{}: {error}", args.banks.map.display()))?;
    let store = Store::new(args.out.as_deref())?;
    let table = table(args)?;
    let schema = args.schema()?;
    let feed = read(args, &map, &schema)?;
    let spans = args.spans(feed.days().ok_or("the feed holds no payment")?);
    let weeks = calendar::weeks(&feed, spans, args.days.train_day, args.days.weeks)?;
    let data = identity(args, &text, &schema, spans)?;
    let size = args.terms().size;
    let load = |folder: &PathBuf| warm::load(folder, &schema, size);
    let warm = args.learning.warm_start.as_ref().map(load).transpose()?;
    let bench = Bench {
        ground: ground(args.masks(), feed, schema, &weeks)?,
        args,
        weeks,
        table,
        store,
        data,
        warm,
    };
    let about = About {
        dataset: map.name.clone(),
        banks: args.banks.banks,
        split: args.split(),
        seeds: args.seeds,
        weeks: args.days.weeks,
        labels: args.labels.clone(),
    };
    let trials = bench.run()?;
    if let Some(folder) = &args.out {
        columns::write(&folder.join("results.parquet"), &trials)?;
        report::write(
            &folder.join("report.html"),
            &about,
            &trials,
            &bench.others()?,
        )?;
    }
    Ok((about, trials))
}

/// A run with its feed read.
struct Bench<'a> {
    args: &'a Args,
    ground: Ground,
    weeks: Vec<Week>,
    table: Option<BTreeMap<String, String>>,
    store: Store,
    data: Value,
    warm: Option<Release>,
}

/// One thing to find out.
#[derive(Clone, Copy)]
struct Question {
    seed: u64,
    week: Week,
    labels: f64,
    setting: Setting,
}

impl Bench<'_> {
    /// Every question of every seed, answered from the store or anew.
    fn run(&self) -> Result<Vec<Trial>, Failed> {
        if let Some(path) = &self.args.banks.save_deal {
            let deal = |seed| -> Result<_, Failed> { Ok((seed, self.consortium(seed)?)) };
            let deals = self.seeds().map(deal).collect::<Result<Vec<_>, Failed>>()?;
            lots::write(path, &deals)?;
        }
        let questions = self.questions();
        let bar = ProgressBar::new(questions.len() as u64);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(500));
        let mut trials = Vec::new();
        for of_seed in questions.chunk_by(|a, b| a.seed == b.seed) {
            let is_missing = |question: &Question| self.known(question).is_none();
            let missing = of_seed.iter().any(is_missing) || self.saves(&of_seed[0]).is_some();
            let consortium = missing
                .then(|| self.consortium(of_seed[0].seed))
                .transpose()?;
            for of_week in of_seed.chunk_by(|a, b| a.week == b.week) {
                self.week(of_week, consortium.as_ref(), &bar, &mut trials)?;
            }
        }
        bar.finish_and_clear();
        Ok(trials)
    }

    fn week(
        &self,
        questions: &[Question],
        consortium: Option<&Consortium<'_>>,
        bar: &ProgressBar,
        trials: &mut Vec<Trial>,
    ) -> Result<(), Failed> {
        let terms = Terms {
            warm: self.warm.clone(),
            ..self.args.terms()
        };
        let first = questions[0];
        let arms =
            consortium.map(|consortium| Arms::new(consortium, first.week, &terms, first.seed));
        let mut made: Vec<Trial> = Vec::new();
        for question in questions {
            let is_made = |trial: &Trial| {
                trial.setting == question.setting && trial.labels == question.labels
            };
            if let Some(finished) = self.known(question) {
                trials.push(question.trial(finished.outcome, finished.seconds));
            } else if let Some(at) = made.iter().position(is_made) {
                trials.push(made.swap_remove(at));
            } else if let Some(arms) = &arms {
                let mut hear = |what: &str| bar.set_message(format!("{question}: {what}"));
                hear("encoding");
                let started = Instant::now();
                for (setting, outcome) in arms.run(question.setting, question.labels, &mut hear)? {
                    let answered = Question {
                        setting,
                        ..*question
                    };
                    let trial = answered.trial(outcome, started.elapsed().as_secs_f64());
                    self.keep(&answered, &trial)?;
                    match setting == question.setting {
                        true => trials.push(trial),
                        false => made.push(trial),
                    }
                }
            }
            bar.inc(1);
        }
        if let (Some(folder), Some(arms)) = (self.saves(&first), &arms) {
            let mut hear = |what: &str| bar.set_message(format!("{first}: {what}"));
            arms.save_encoder(folder, &mut hear)?;
        }
        Ok(())
    }

    /// Where the encoder of this question's week is to be kept, if it is.
    fn saves(&self, question: &Question) -> Option<&PathBuf> {
        let is_first = question.seed == self.args.first_seed && self.weeks[0] == question.week;
        let folder = self.args.learning.save_encoder.as_ref();
        folder.filter(|_| is_first)
    }

    /// In the order in which they are answered: a setting without labels once a week.
    fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        for seed in self.seeds() {
            for &week in &self.weeks {
                for (at, &labels) in self.args.labels.iter().enumerate() {
                    for setting in self.args.settings() {
                        if (at == 0 || setting.is_labelled()) && setting.is_of(&self.ground.schema)
                        {
                            questions.push(Question {
                                seed,
                                week,
                                labels,
                                setting,
                            });
                        }
                    }
                }
            }
        }
        questions
    }

    fn seeds(&self) -> impl Iterator<Item = u64> {
        (self.args.first_seed..).take(usize::from(self.args.seeds))
    }

    fn consortium(&self, seed: u64) -> Result<Consortium<'_>, Failed> {
        let deal = Deal {
            split: self.args.banks.split,
            banks: self.args.banks.banks,
            regional: self.args.banks.regional,
            table: self.table.as_ref(),
        };
        Consortium::new(&self.ground, deal, self.args.newcomers(), seed)
    }

    fn terms(&self, question: &Question) -> Value {
        let Question {
            seed,
            week,
            labels,
            setting,
        } = question;
        let mut of = args::terms_of(self.args, &self.data, (*setting, *seed, week, *labels));
        if let Some(release) = self.warm.as_ref().filter(|_| *setting != Setting::Ratio) {
            of["warm_start"] = json!(release.root().to_hex());
        }
        of
    }

    fn known(&self, question: &Question) -> Option<Finished> {
        self.store
            .load(question.setting.name(), &self.terms(question))
    }

    fn keep(&self, question: &Question, trial: &Trial) -> Result<(), Failed> {
        let finished = Finished {
            terms: self.terms(question),
            outcome: trial.outcome.clone(),
            seconds: trial.seconds,
        };
        self.store.keep(question.setting.name(), &finished)
    }

    /// Federations of other terms on the same data in the same folder, to compare with.
    fn others(&self) -> Result<Vec<Finished>, Failed> {
        let mut all = self.store.all()?;
        all.retain(|of| {
            of.terms["data"] == self.data && of.terms["setting"] == Setting::Federated.name()
        });
        Ok(all)
    }
}

impl Question {
    fn trial(&self, outcome: measures::Outcome, seconds: f64) -> Trial {
        Trial {
            seed: self.seed,
            train_from: self.week.train_from,
            labels: self.labels,
            setting: self.setting,
            outcome,
            seconds,
        }
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seed, day, name) = (self.seed, self.week.train_from, self.setting.title());
        write!(to, "seed {seed}, day {day}, {name}")
    }
}

fn read(args: &Args, map: &FeedMap, schema: &FeatureSchema) -> Result<Feed, Failed> {
    let key = token_key(args.banks.key.as_deref())?;
    let column = match (args.banks.split, args.banks.column.as_deref()) {
        (Split::Typology, _) => Some("bank"),
        (Split::Column, Some(column)) if column.contains(".csv:") => Some("customer"),
        (Split::Column, column) => column,
        (Split::Iid | Split::Region | Split::Spend, _) => None,
    };
    let left_out = args.banks.leave_out.as_ref();
    let carried = Carried {
        column,
        truth: args.banks.truth.as_deref(),
        left_out: left_out.map(|(column, value)| (column.as_str(), value.as_str())),
    };
    Feed::read(&args.banks.data, (map, &key), carried, schema)
}

/// The table of customers' banks, where one was named.
fn table(args: &Args) -> Result<Option<BTreeMap<String, String>>, Failed> {
    let named = args
        .banks
        .column
        .as_deref()
        .and_then(|column| column.split_once(".csv:"));
    let read = |(file, column)| deal::table(&format!("{file}.csv"), column);
    Ok(named.map(read).transpose()?)
}

fn ground(
    masks: Masks,
    feed: Feed,
    schema: FeatureSchema,
    weeks: &[Week],
) -> Result<Ground, Failed> {
    let from = weeks
        .iter()
        .map(|week| week.pretrain_from.min(week.train_from));
    let from = from.min().ok_or("no week was asked for")?;
    let to = weeks.iter().map(|week| week.test_to).max().unwrap_or(from);
    let delay = weeks.iter().map(|week| week.test_from - week.train_to);
    let delay = u16::try_from(delay.max().unwrap_or(0))?;
    Ok(Ground::new(feed, schema, from..to, delay, masks))
}

/// What tells encoded rows from others: the digests of file, map, schema and columns asked for.
fn identity(args: &Args, map: &str, schema: &FeatureSchema, spans: Spans) -> Result<Value, Failed> {
    let digest = |path: &Path| file_digest(path);
    let key = args.banks.key.as_deref().map(digest).transpose()?;
    let column = args
        .banks
        .column
        .as_deref()
        .and_then(|column| column.split_once(".csv:"));
    let table = column.map(|(file, _)| file_digest(Path::new(&format!("{file}.csv"))));
    Ok(json!({
        "feed": file_digest(&args.banks.data)?,
        "map": crypto::sha256(&[map.as_bytes()]).to_hex(),
        "schema": crypto::Digest(schema.digest()).to_hex(),
        "key": key,
        "table": table.transpose()?,
        "spans": spans,
    }))
}

/// A chain of digests over the file's stretches: a file larger than memory has one too.
fn file_digest(path: &Path) -> Result<String, Failed> {
    let failed = |error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut digest = crypto::sha256(&[]);
    loop {
        let mut stretch = Vec::new();
        Read::by_ref(&mut file)
            .take(STRETCH)
            .read_to_end(&mut stretch)
            .map_err(failed)?;
        if stretch.is_empty() {
            return Ok(digest.to_hex());
        }
        digest = crypto::sha256(&[&digest.0, &stretch]);
    }
}

const STRETCH: u64 = 1 << 20;
