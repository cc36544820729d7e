//! Who banks where, and whose labels there are, as a CSV file: outside checks deal the rows of
//! `phalanx-agent features export` by it as the settings here do. Cards stand by number, in the
//! order in which the feed names them, as they do in the export; in one of some days only where
//! the feed is in order of time.

use std::fmt::Write;
use std::path::Path;

use super::Failed;
use super::consortium::Consortium;

/// Writes the deal of every seed to `path`: a line for each card, with `held_out` where it is kept
/// for choosing thresholds, and for each seed the bank, from 1, and the share of labels above which
/// the card's customer has some.
pub(super) fn write(path: &Path, deals: &[(u64, Consortium<'_>)]) -> Result<(), Failed> {
    let mut text = "card,held_out".to_owned();
    for (seed, _) in deals {
        let _ = write!(text, ",bank_{seed},lot_{seed}");
    }
    text.push('\n');
    let ground = deals.first().ok_or("no seed was asked for")?.1.ground;
    for (number, &(card, customer)) in ground.feed.cards.iter().enumerate() {
        let _ = write!(text, "{number},{}", u8::from(ground.is_held_out(card)));
        for (_, consortium) in deals {
            let customer = customer as usize;
            let (bank, lot) = (consortium.banks_of()[customer], consortium.lots()[customer]);
            let _ = write!(text, ",{},{lot}", bank + 1);
        }
        text.push('\n');
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
