//! A plan as a table for a terminal. What it says is computed in `plan.rs`.

use super::plan::{Plan, Row, Terms};

/// The plan in words: what was counted, a line for each threshold, and what is recommended.
pub(super) fn table(plan: &Plan, terms: &Terms, has_segments: bool) -> String {
    let Plan {
        days,
        judged,
        frauds,
        unscored,
        broken_off,
        ..
    } = plan;
    let mut text = format!(
        "alerts of the last {days} days; outcomes of {judged} payments older than {} days, \
         {frauds} of them frauds\n",
        terms.maturity_days
    );
    if *broken_off {
        text += "counting ended before the first of these days, behind a thousand older decisions \
                 in a row: where a clock was behind for a while, what came before is not counted\n";
    }
    if *unscored > 0 {
        text += &format!("decided without a model, and in no row: {unscored}\n");
    }
    if has_segments {
        text += "rails with thresholds of their own are counted by those of the table\n";
    }
    text += &format!("\n{}\n", line(HEADS.map(str::to_owned)));
    for row in &plan.rows {
        let mark = match (
            row.threshold == plan.live,
            plan.recommended == Some(row.threshold),
        ) {
            (true, true) => "live, recommended",
            (true, false) => "live",
            (false, true) => "recommended",
            (false, false) => "",
        };
        text += format!("{}  {mark}", line(cells(row))).trim_end();
        text.push('\n');
    }
    text += &format!("\n{}\n", verdict(plan, terms));
    text
}

fn cells(row: &Row) -> [String; COLUMNS] {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let precision = row.precision.map_or_else(none, |p| {
        let ends = format!("{:.1} to {:.1}", p.low * 100.0, p.high * 100.0);
        format!("{} ({ends})", percent(p.share))
    });
    let caught = row
        .frauds_caught
        .map_or_else(none, |share| format!("{} ({})", row.frauds, percent(share)));
    [
        row.threshold.to_string(),
        percent(row.probability),
        format!("{:.1}", row.alerts_mean),
        row.alerts_p95.to_string(),
        precision,
        caught,
        row.amount_caught.map_or_else(none, percent),
        row.false_positive_ratio
            .map_or_else(none, |ratio| format!("{ratio:.1}")),
        format!("{:+.1}", row.alerts_change),
        format!("{:+}", row.frauds_change),
    ]
}

fn verdict(plan: &Plan, terms: &Terms) -> String {
    let budget = format!("at most {} alerts on 95 of 100 days", terms.budget);
    let floor = match terms.precision_min > 0.0 {
        true => format!(", at least {} of them frauds", terms.precision_min),
        false => String::new(),
    };
    match plan.recommended {
        Some(score) if score == plan.live => format!(
            "score_bands.review = {score} as it is: the lowest threshold with {budget}{floor}"
        ),
        Some(score) => format!(
            "recommended: score_bands.review = {score} (live: {}), the lowest threshold with \
             {budget}{floor}",
            plan.live
        ),
        None => format!(
            "no threshold has {budget}{floor}: raise --budget, lower --min-precision, or count \
             more days"
        ),
    }
}

fn line(cells: [String; COLUMNS]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.into_iter().zip(WIDTHS) {
        text += &format!("{cell:>width$}");
    }
    text
}

fn none() -> String {
    "-".to_owned()
}

const COLUMNS: usize = 10;

const HEADS: [&str; COLUMNS] = [
    "score",
    "odds say",
    "alerts/day",
    "p95",
    "precision (90 %)",
    "frauds caught",
    "amount",
    "false/true",
    "alerts +-",
    "frauds +-",
];

const WIDTHS: [usize; COLUMNS] = [5, 10, 12, 8, 24, 18, 10, 12, 11, 11];
