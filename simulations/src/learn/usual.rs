//! What the command line leaves open, filled in by the split. The Handbook's protocol is the rule;
//! `typology` is about single payments whose banks know unlike frauds, with three differences:
//! nobody has a history that takes months to gather, the truth is told beside what banks believe,
//! and a bank that is left out takes kinds of fraud with it that no other bank knows.

use features::FeatureSchema;
use toml::Table;

use super::Failed;
use super::args::Args;
use super::calendar::Spans;
use super::split::Split;

impl Args {
    /// These arguments with what they leave open; `map` is the text of the mapping file.
    pub(super) fn settled(&self, map: &str) -> Self {
        let mut args = self.clone();
        if self.banks.split == Split::Typology {
            if args.banks.truth.is_none() && carries(map, TRUTH) {
                args.banks.truth = Some(TRUTH.to_owned());
            }
            args.banks.new_banks.get_or_insert(0);
            args.learning.rounds.get_or_insert(ROUNDS_TYPOLOGY);
        }
        args
    }

    /// The schema that was named, or the split's.
    pub(super) fn schema(&self) -> Result<FeatureSchema, Failed> {
        let Some(path) = &self.banks.schema else {
            return Ok(match self.banks.split {
                Split::Typology => FeatureSchema::parse(SINGLE_PAYMENT)?,
                Split::Iid | Split::Region | Split::Spend | Split::Column => {
                    FeatureSchema::standard()
                }
            });
        };
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        Ok(FeatureSchema::parse(&text).map_err(|error| failed(&error))?)
    }

    /// How many days of each kind, of a feed from its first day to its last.
    pub(super) fn spans(&self, (first, last): (i32, i32)) -> Spans {
        let days = &self.days;
        match self.banks.split {
            Split::Iid | Split::Region | Split::Spend | Split::Column => Spans {
                train: days.train_days.unwrap_or(WEEK),
                delay: days.delay.unwrap_or(WEEK),
                test: days.test_days.unwrap_or(WEEK),
                pretrain: days.pretrain_days.unwrap_or(4 * WEEK),
            },
            Split::Typology => {
                let later = WEEK * (i32::from(days.weeks) - 1);
                let delay = days.delay.unwrap_or(0);
                let left = last + 1 - first - later - delay;
                let train = days
                    .train_days
                    .unwrap_or_else(|| (3 * left / 4).clamp(1, DAYS_MAX));
                let pretrain = (train + delay).clamp(1, DAYS_MAX);
                Spans {
                    train,
                    delay,
                    test: days
                        .test_days
                        .unwrap_or_else(|| (left - train).clamp(1, DAYS_MAX)),
                    pretrain: days.pretrain_days.unwrap_or(pretrain),
                }
            }
        }
    }
}

fn carries(map: &str, column: &str) -> bool {
    let map = map.parse::<Table>().ok();
    map.is_some_and(|map| {
        let carried = map.get("carry").and_then(|carried| carried.get(column));
        carried.is_some()
    })
}

/// Rounds of fine-tuning: more bring nothing on the Handbook, fewer cost (docs/learn.md).
pub(super) const ROUNDS: u32 = 40;
const ROUNDS_TYPOLOGY: u32 = 60;
/// The column that tells the truth in the generator's files, and in others of their kind.
const TRUTH: &str = "is_fraud";
const WEEK: i32 = 7;
/// As many as the command line takes.
const DAYS_MAX: i32 = 365;
const SINGLE_PAYMENT: &str = include_str!("../../../ops/config/schemas/single-payment.toml");

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    const MAP: &str = "[feed]\nname = \"mine\"\n[carry]\nis_fraud = \"truth\"\n";

    fn settled(more: &str) -> Args {
        let words = format!("learn --data file --map map --banks 5 {more}");
        Cli::parse_from(words.split_whitespace()).args.settled(MAP)
    }

    fn spans(args: &Args, days: (i32, i32)) -> (i32, i32, i32, i32) {
        let Spans {
            train,
            delay,
            test,
            pretrain,
        } = args.spans(days);
        (train, delay, test, pretrain)
    }

    // The generator writes a hundred days, of which the last 25 are judged: 20362 to 20461.
    #[test]
    fn typologies_are_judged_on_the_last_quarter_of_the_feed_by_the_truth() {
        let args = settled("--split typology");
        assert_eq!(args.banks.truth.as_deref(), Some("is_fraud"));
        assert_eq!((args.newcomers(), args.terms().recipe.rounds), (0, 60));
        let single = FeatureSchema::parse(SINGLE_PAYMENT).unwrap();
        assert_eq!(args.schema().unwrap().digest(), single.digest());
        assert_eq!(spans(&args, (20_362, 20_461)), (75, 0, 25, 75));
        // Four weeks leave 79 days for the first of them.
        let four = settled("--split typology --labels 1.0 --seeds 3 --weeks 4");
        assert_eq!(spans(&four, (20_362, 20_461)), (59, 0, 20, 59));
    }

    #[test]
    fn what_is_said_is_not_filled_in() {
        let args = settled(
            "--split typology --truth other --new-banks 1 --rounds 7 --train-days 30 --delay 7 \
             --test-days 5 --pretrain-days 9",
        );
        assert_eq!(args.banks.truth.as_deref(), Some("other"));
        assert_eq!((args.newcomers(), args.terms().recipe.rounds), (1, 7));
        assert_eq!(spans(&args, (20_362, 20_461)), (30, 7, 5, 9));
        let unsaid = Cli::parse_from(["learn", "--data", "f", "--map", "m", "--banks", "5"]);
        let unsaid = unsaid.args.settled(MAP);
        assert!(unsaid.banks.truth.is_none());
        assert_eq!((unsaid.newcomers(), unsaid.terms().recipe.rounds), (2, 40));
        assert_eq!(spans(&unsaid, (17_000, 17_900)), (7, 7, 7, 28));
        let standard = FeatureSchema::standard();
        assert_eq!(unsaid.schema().unwrap().digest(), standard.digest());
    }
}
