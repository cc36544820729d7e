//! The report's plots, as SVG. Ink and grid are drawn in two colours that nothing else has and
//! are then replaced by the page's own, so that a plot is as readable on black as on white.

use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, LineSeries, PathElement, RGBColor, Rectangle, SVGBackend,
};
use plotters::style::{IntoFont, TextStyle};

use super::super::Failed;
use super::super::setting::Setting;
use super::super::summary::Spread;

/// Groups of bars beside each other, from 0 to 1.
pub(super) struct Bars {
    pub(super) groups: Vec<Group>,
}

/// Bars with a name below them.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) bars: Vec<(RGBColor, Option<Spread>)>,
}

/// Lines over numbers.
pub(super) struct Lines {
    /// What x and y are.
    pub(super) names: (&'static str, &'static str),
    /// From where to where; as the data have it without.
    pub(super) y_range: Option<(f64, f64)>,
    pub(super) series: Vec<Series>,
}

/// One line.
pub(super) struct Series {
    pub(super) color: RGBColor,
    pub(super) points: Vec<(f64, f64)>,
}

impl Bars {
    pub(super) fn draw(&self) -> Result<String, Failed> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
            let mut chart = ChartBuilder::on(&root)
                .margin(10)
                .x_label_area_size(30)
                .y_label_area_size(40)
                .build_cartesian_2d(0.0..self.groups.len().max(1) as f64, 0.0..1.0)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .disable_x_axis()
                .y_labels(6)
                .bold_line_style(GRID)
                .light_line_style(GRID.mix(0.0))
                .axis_style(INK)
                .label_style(text())
                .draw()?;
            for (at, group) in self.groups.iter().enumerate() {
                for (place, (color, spread)) in group.bars.iter().enumerate() {
                    let Some(spread) = spread else { continue };
                    let width = 0.8 / group.bars.len() as f64;
                    let left = at as f64 + 0.1 + width * place as f64;
                    let (right, middle) = (left + 0.9 * width, left + 0.45 * width);
                    let bar = Rectangle::new([(left, 0.0), (right, spread.mean)], color.filled());
                    let (low, high) = (
                        spread.mean - spread.deviation,
                        spread.mean + spread.deviation,
                    );
                    let line = vec![(middle, low.max(0.0)), (middle, high.min(1.0))];
                    chart.draw_series([bar])?;
                    if spread.deviation > 0.0 {
                        chart.draw_series([PathElement::new(line, INK.stroke_width(2))])?;
                    }
                }
            }
            self.name_groups(&root)?;
            root.present()?;
        }
        Ok(in_the_pages_colors(svg))
    }

    /// Names below the groups, in two lines where one is too long.
    fn name_groups(
        &self,
        root: &plotters::drawing::DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    ) -> Result<(), Failed> {
        let (left, right) = (50.0, f64::from(WIDTH) - 10.0);
        let step = (right - left) / self.groups.len().max(1) as f64;
        for (at, group) in self.groups.iter().enumerate() {
            let middle = left + step * (at as f64 + 0.5);
            let room = (step / LETTER_WIDTH) as usize;
            for (row, line) in wrapped(&group.name, room).iter().enumerate() {
                // Letters of a sans are about half as wide as high.
                let width = LETTER_WIDTH * line.chars().count() as f64;
                let y = HEIGHT as i32 - 36 + 13 * row as i32;
                root.draw_text(line, &text(), ((middle - width / 2.0) as i32, y))?;
            }
        }
        Ok(())
    }
}

impl Lines {
    pub(super) fn draw(&self) -> Result<String, Failed> {
        let points = || {
            self.series
                .iter()
                .flat_map(|series| series.points.iter().copied())
        };
        let x_max = points().map(|(x, _)| x).fold(1.0_f64, f64::max);
        let (low, high) = self.y_range.unwrap_or_else(|| {
            let low = points().map(|(_, y)| y).fold(f64::INFINITY, f64::min);
            let high = points().map(|(_, y)| y).fold(f64::NEG_INFINITY, f64::max);
            let room = 0.08 * (high - low).max(1e-3);
            (low - room, high + room)
        });
        // Nothing to draw leaves infinite bounds, which plotters cannot bear.
        let (low, high) = if low < high && high.is_finite() {
            (low, high)
        } else {
            (0.0, 1.0)
        };
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
            let mut chart = ChartBuilder::on(&root)
                .margin(10)
                .x_label_area_size(40)
                .y_label_area_size(56)
                .build_cartesian_2d(0.0..x_max, low..high)?;
            chart
                .configure_mesh()
                .x_desc(self.names.0)
                .y_desc(self.names.1)
                .x_labels(6)
                .y_labels(6)
                .bold_line_style(GRID)
                .light_line_style(GRID.mix(0.0))
                .axis_style(INK)
                .label_style(text())
                .axis_desc_style(text())
                .draw()?;
            for series in &self.series {
                let style = series.color.stroke_width(2);
                chart.draw_series(LineSeries::new(series.points.iter().copied(), style))?;
            }
            root.present()?;
        }
        Ok(in_the_pages_colors(svg))
    }
}

/// Okabe and Ito's palette, told apart by colour-blind readers too.
pub(super) fn hex(setting: Setting) -> &'static str {
    match setting {
        Setting::Local => "#e69f00",
        Setting::LocalSharedRisk => "#cc79a7",
        Setting::Federated => "#0072b2",
        Setting::Personal => "#f0e442",
        Setting::Pooled => "#009e73",
        Setting::NewBank => "#56b4e9",
        Setting::NewBankMember => "#d55e00",
        Setting::Unsupervised => "#999999",
        Setting::UnsupervisedLive => "#555555",
        Setting::Ratio => "#b0a030",
    }
}

/// The same for plotters.
pub(super) fn color(setting: Setting) -> RGBColor {
    let part = |at: usize| u8::from_str_radix(&hex(setting)[at..at + 2], 16);
    let part = |at| part(at).expect("colours above are six digits of sixteen");
    RGBColor(part(1), part(3), part(5))
}

fn text() -> TextStyle<'static> {
    TextStyle::from(("sans-serif", 12).into_font()).color(&INK)
}

/// Words in lines of at most `room` letters, where a word has room at all.
fn wrapped(name: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn in_the_pages_colors(svg: String) -> String {
    svg.replace("#010203", "currentColor")
        .replace("#040506", "var(--grid)")
}

const INK: RGBColor = RGBColor(1, 2, 3);
const GRID: RGBColor = RGBColor(4, 5, 6);
const WIDTH: u32 = 760;
const HEIGHT: u32 = 320;
const LETTER_WIDTH: f64 = 6.2;
