//! One plot per group: how the rounds are distributed, and how the medians went.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::gate::history::History;
use crate::gate::run::{BenchRun, GroupRun};
use crate::gate::stats::quantile;
use crate::gate::{Error, ErrorKind};

const WIDTH: u32 = 960;
const ROW: u32 = 28;
const TREND: u32 = 260;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(super) fn group(group: &GroupRun, history: &History) -> Result<String, Error> {
    let benches: Vec<&BenchRun> = group.benches.iter().filter(|bench| !bench.rounds.is_empty()).collect();
    let distribution = 90 + ROW * u32::try_from(benches.len()).unwrap_or(u32::MAX / ROW / 2);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, distribution + TREND)).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (upper, lower) = root.split_vertically(distribution);
        boxes(&upper, &group.name, &benches)?;
        trend(&lower, &group.name, &benches, history)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

fn failed(error: impl Display) -> Error {
    Error::new(ErrorKind::PlotFailed, format!("a plot could not be drawn: {error}"))
}

/// What half and what nine tenths of the rounds lie in.
struct Spread {
    tenths: (f64, f64),
    quarters: (f64, f64),
    middle: f64,
}

impl Spread {
    fn of(bench: &BenchRun) -> Self {
        let mut rounds = bench.rounds.clone();
        let mut at = |part| quantile(&mut rounds, part);
        Self { tenths: (at(0.05), at(0.95)), quarters: (at(0.25), at(0.75)), middle: at(0.5) }
    }
}

fn boxes(area: &Area<'_>, name: &str, benches: &[&BenchRun]) -> Result<(), Error> {
    let spreads: Vec<Spread> = benches.iter().map(|bench| Spread::of(bench)).collect();
    let furthest = spreads.iter().map(|spread| spread.tenths.1).fold(1.0, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{name}: nanoseconds per call"), ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(28)
        .y_label_area_size(240)
        .build_cartesian_2d(0.0..furthest, 0.0..benches.len() as f64)
        .map_err(failed)?;
    let label = |at: &f64| {
        let row = benches.len() as f64 - at - 0.5;
        let near = (row - row.round()).abs() < 0.01 && row >= -0.01;
        if near {
            benches.get(row.round() as usize).map_or_else(String::new, |bench| bench.name.clone())
        } else {
            String::new()
        }
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(2 * benches.len() + 1)
        .y_label_formatter(&label)
        .draw()
        .map_err(failed)?;
    for (row, spread) in spreads.iter().enumerate() {
        let y = benches.len() as f64 - row as f64 - 0.5;
        let color = Palette99::pick(row).to_rgba();
        let line = vec![(spread.tenths.0, y), (spread.tenths.1, y)];
        chart.draw_series([PathElement::new(line, color)]).map_err(failed)?;
        let body = [(spread.quarters.0, y - 0.28), (spread.quarters.1, y + 0.28)];
        chart.draw_series([Rectangle::new(body, color.mix(0.5).filled())]).map_err(failed)?;
        let middle = vec![(spread.middle, y - 0.34), (spread.middle, y + 0.34)];
        chart.draw_series([PathElement::new(middle, color.stroke_width(2))]).map_err(failed)?;
    }
    Ok(())
}

fn trend(area: &Area<'_>, name: &str, benches: &[&BenchRun], history: &History) -> Result<(), Error> {
    let lines: Vec<Vec<(f64, f64)>> = benches
        .iter()
        .map(|bench| {
            let id = format!("{name}/{}", bench.name);
            history.of(&id).map(|(at, median)| (at as f64, median)).collect()
        })
        .collect();
    let highest = lines.iter().flatten().map(|(_, median)| *median).fold(1.0, f64::max) * 1.05;
    let last = history.0.len().saturating_sub(1).max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption("median by run, oldest first", ("sans-serif", 14))
        .margin(10)
        .x_label_area_size(28)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, 0.0..highest)
        .map_err(failed)?;
    chart.configure_mesh().draw().map_err(failed)?;
    for (row, line) in lines.into_iter().enumerate() {
        let color = Palette99::pick(row).to_rgba();
        let points = line.iter().map(|point| Circle::new(*point, 2, color.filled())).collect::<Vec<_>>();
        chart.draw_series(LineSeries::new(line, &color)).map_err(failed)?;
        chart.draw_series(points).map_err(failed)?;
    }
    Ok(())
}
