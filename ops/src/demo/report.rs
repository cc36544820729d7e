//! The demo's HTML report: one file, no external asset. Precision-recall per bank, loss and
//! collapse per round, gain per bank, and the table. Plots are SVG by plotters.

use std::fmt::Write as _;
use std::path::Path;

use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, LineSeries, RGBColor, Rectangle, SVGBackend, WHITE,
};
use serde_json::Value;

use super::stage::Stage;
use super::table::Outcome;

type Failed = Box<dyn std::error::Error>;

/// Writes the report to `path`.
pub(crate) fn write(path: &Path, outcome: &Outcome, stage: &Stage) -> Result<(), Failed> {
    let html = html(outcome, stage)?;
    std::fs::write(path, html)
        .map_err(|error| format!("could not write {}: {error}", path.display()))?;
    Ok(())
}

fn html(outcome: &Outcome, stage: &Stage) -> Result<String, Failed> {
    let mut page = String::from(HEAD);
    let _ = write!(
        page,
        "<h1>One federation, {} banks</h1><p>{}. {} rounds committed, dropouts survived: {}, \
         {:.1} MB sent per bank, score round trip p50 {} µs and p99 {} µs. <em>Pooled</em> is what \
         no real consortium could do: one model trained on everybody's data.</p>",
        stage.banks.len(),
        stage.summary(),
        outcome.committed(),
        outcome.dropouts_survived(),
        outcome.bytes_up_per_bank() as f64 / 1e6,
        outcome.latency.p50,
        outcome.latency.p99
    );
    page += &table(outcome);
    let arms = key(&ARMS);
    let _ = write!(
        page,
        "<h2>Gain per bank</h2>{arms}<div class=row>{}</div>",
        gains(outcome)?
    );
    let _ = write!(
        page,
        "<h2>Precision and recall in the live week</h2>{arms}<div class=row>"
    );
    for of in banks(outcome).chain(std::iter::once(&outcome.measures["all"])) {
        let title = of["bank"].as_str().unwrap_or("all banks");
        let series: Vec<_> = ARMS.iter().map(|arm| points(&of["curves"][*arm])).collect();
        page += &lines(title, ("recall", "precision"), &series)?;
    }
    let names: Vec<_> = outcome.banks.iter().map(bank_name).collect();
    let names = key(&names);
    let _ = write!(
        page,
        "</div><h2>Learning, round by round</h2>{names}<div class=row>"
    );
    for (kind, measure, title) in LEARNING {
        page += &lines(title, ("round", measure), &learning(outcome, kind, measure))?;
    }
    page += "</div></main></html>\n";
    Ok(page)
}

fn table(outcome: &Outcome) -> String {
    let mut text = String::from(
        "<div class=wide><table><thead><tr>\
         <th rowspan=2>bank<th rowspan=2>payments<th rowspan=2>frauds\
         <th colspan=3>local only<th colspan=3>federated<th colspan=3>pooled<tr>",
    );
    text += &"<th>AUC<th>AP<th>CP@100".repeat(ARMS.len());
    text += "<tbody>";
    for of in banks(outcome).chain(std::iter::once(&outcome.measures["all"])) {
        let name = of["bank"].as_str().unwrap_or("all");
        let _ = write!(
            text,
            "<tr><th>{}<td>{}<td>{}",
            escape(name),
            of["transactions"],
            of["frauds"]
        );
        for arm in ARMS {
            for measure in ["auc", "ap", "cp100"] {
                let cell = of[arm][measure].as_f64().map(|value| format!("{value:.3}"));
                let _ = write!(text, "<td>{}", cell.as_deref().unwrap_or("–"));
            }
        }
    }
    text + "</table></div>"
}

/// Which colour is whose, once above the plots that share it.
fn key(names: &[&str]) -> String {
    let mut text = String::from("<p class=key>");
    for (name, RGBColor(r, g, b)) in names.iter().zip(COLORS.iter().cycle()) {
        let _ = write!(
            text,
            "<i style=background:rgb({r},{g},{b})></i>{} ",
            escape(name)
        );
    }
    text + "</p>"
}

/// Average precision of the three arms, one group of bars per bank.
fn gains(outcome: &Outcome) -> Result<String, Failed> {
    let all: Vec<_> = banks(outcome).collect();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (760, 300)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption("average precision in the live week", ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(26)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..all.len() as f64, 0.0..1.0)?;
        let name = |x: &f64| {
            let bank = (x.fract() - 0.5).abs() < 0.01;
            let of = bank.then(|| all.get(*x as usize)).flatten();
            of.and_then(|of| of["bank"].as_str())
                .unwrap_or("")
                .to_owned()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(all.len() * 2 + 1)
            .x_label_formatter(&name)
            .draw()?;
        for (place, arm) in ARMS.iter().enumerate() {
            let color = COLORS[place];
            let bars = all.iter().enumerate().map(|(at, of)| {
                let left = at as f64 + 0.14 + 0.24 * place as f64;
                let height = of[*arm]["ap"].as_f64().unwrap_or(0.0);
                Rectangle::new([(left, 0.0), (left + 0.22, height)], color.filled())
            });
            chart.draw_series(bars)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn lines(
    title: &str,
    (x_name, y_name): (&str, &str),
    series: &[Vec<(f64, f64)>],
) -> Result<String, Failed> {
    let all = || series.iter().flatten().copied();
    let x_max = all().map(|(x, _)| x).fold(1.0_f64, f64::max);
    let (y_min, y_max) = if y_name == "precision" {
        (0.0, 1.0)
    } else {
        let low = all().map(|(_, y)| y).fold(f64::INFINITY, f64::min);
        let high = all().map(|(_, y)| y).fold(f64::NEG_INFINITY, f64::max);
        let room = 0.08 * (high - low).max(1e-3);
        (low - room, high + room)
    };
    // Nothing to draw leaves infinite bounds, which plotters cannot bear.
    let (y_min, y_max) = if y_min < y_max {
        (y_min, y_max)
    } else {
        (0.0, 1.0)
    };
    // Rounds are whole.
    let tick = |at: &f64| match x_max > 1.0 {
        true => format!("{at:.0}"),
        false => format!("{at:.1}"),
    };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (370, 260)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..x_max, y_min..y_max)?;
        chart
            .configure_mesh()
            .x_desc(x_name)
            .y_desc(y_name)
            .x_labels(6)
            .x_label_formatter(&tick)
            .y_labels(6)
            .light_line_style(WHITE)
            .draw()?;
        for (points, color) in series.iter().zip(COLORS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
            chart.draw_series(line)?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// One series per bank of a measure that agents report after each round of `kind`.
fn learning(outcome: &Outcome, kind: &str, measure: &str) -> Vec<Vec<(f64, f64)>> {
    let of_bank = |bank: &Value| {
        let rounds = bank["training"].as_array().into_iter().flatten();
        let of_kind = rounds.filter(|round| round["kind"] == kind);
        let point = |round: &Value| Some((round["step"].as_f64()? + 1.0, round[measure].as_f64()?));
        of_kind.filter_map(point).collect()
    };
    outcome.banks.iter().map(of_bank).collect()
}

fn bank_name(of: &Value) -> &str {
    of["bank"].as_str().unwrap_or("?")
}

fn banks(outcome: &Outcome) -> impl Iterator<Item = &Value> {
    outcome.measures["banks"].as_array().into_iter().flatten()
}

fn points(curve: &Value) -> Vec<(f64, f64)> {
    let pairs = curve.as_array().into_iter().flatten();
    pairs
        .filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()?)))
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const ARMS: [&str; 3] = ["local", "federated", "pooled"];

/// Okabe and Ito's palette: told apart by colour-blind readers too.
const COLORS: [RGBColor; 7] = [
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
];

/// Kind of round, measure, and the plot's title.
const LEARNING: [(&str, &str, &str); 5] = [
    ("pretrain", "loss", "pretraining: contrastive loss"),
    ("pretrain", "effective_rank", "collapse: effective rank"),
    ("pretrain", "uniformity", "collapse: uniformity"),
    ("pretrain", "alignment", "alignment"),
    ("finetune", "loss", "fine-tuning: loss"),
];

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width\"><title>Phalanx demo</title><style>\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:0}\
main{max-width:1180px;margin:auto;padding:1.5rem}h2{margin-top:2rem}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .6rem;border-bottom:1px solid #8884;text-align:right}\
tbody tr:last-child{font-weight:600}.wide{overflow-x:auto}\
.key i{display:inline-block;width:.8em;height:.8em;margin:0 .4em 0 .8em}\
.row{display:flex;flex-wrap:wrap;gap:.6rem}\
svg{background:#fff;border-radius:6px;max-width:100%;height:auto}</style><main>";
