//! The picture: one panel a shape, with the pods that the load needs and those that each controller wants. Owns the
//! drawing, as plain SVG; computes nothing.

use crate::load::Shape;
use crate::race::{Minute, Score, Who};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 250.0;
const COLUMNS: usize = 2;
/// Of a panel: left, top, right and bottom edge of the plot.
const PLOT: (f64, f64, f64, f64) = (40.0, 34.0, 505.0, 190.0);
const MOST: f64 = 22.0;
const LEGEND: f64 = 44.0;

/// Colours that stay apart for everybody, and dashes for those who see none.
fn stroke(who: Who) -> (&'static str, &'static str) {
    match who {
        Who::Runbook => ("#0072b2", "none"),
        Who::RunbookAndBack => ("#0072b2", "2 3"),
        Who::Hpa => ("#d55e00", "none"),
        Who::HpaBoth => ("#d55e00", "2 3"),
    }
}

/// Draws all panels.
pub(crate) fn draw(races: &[(Shape, Vec<Score>)]) -> String {
    let rows = races.len().div_ceil(COLUMNS);
    let (width, height) = (number(COLUMNS) * WIDTH, number(rows) * HEIGHT + LEGEND);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Replicas under six shapes of load</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    legend(&mut svg);
    for (at, (shape, scores)) in races.iter().enumerate() {
        let (x, y) = (number(at % COLUMNS) * WIDTH, number(at / COLUMNS) * HEIGHT + LEGEND);
        svg.push_str(&format!("<g transform=\"translate({x:.0} {y:.0})\">\n"));
        panel(&mut svg, shape, scores);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String) {
    let mut x = 40.0;
    svg.push_str(&format!("<rect x=\"{x:.0}\" y=\"16\" width=\"24\" height=\"10\" fill=\"#e3e3e3\"/>\n"));
    svg.push_str(&format!("<text x=\"{:.0}\" y=\"26\">needed at 70 %</text>\n", x + 30.0));
    x += 150.0;
    for who in Who::ALL {
        let (colour, dash) = stroke(who);
        svg.push_str(&format!(
            "<line x1=\"{x:.0}\" y1=\"21\" x2=\"{:.0}\" y2=\"21\" stroke=\"{colour}\" stroke-width=\"2.5\" \
             stroke-dasharray=\"{dash}\"/>\n<text x=\"{:.0}\" y=\"26\">{}</text>\n",
            x + 24.0,
            x + 30.0,
            who.name()
        ));
        x += 50.0 + 7.0 * number(who.name().len());
    }
    svg.push_str(&format!(
        "<text x=\"{x:.0}\" y=\"26\" fill=\"#555555\">bars below: minutes over 300 ms</text>\n"
    ));
}

fn panel(svg: &mut String, shape: &Shape, scores: &[Score]) {
    let (left, top, right, bottom) = PLOT;
    let count = scores.first().map_or(1, |score| score.minutes.len().max(1));
    let x = |minute: usize| left + (right - left) * number(minute) / number(count);
    let y = |pods: f64| bottom - (bottom - top) * pods.min(MOST) / MOST;
    svg.push_str(&format!(
        "<text x=\"{left:.0}\" y=\"22\" font-weight=\"bold\" font-size=\"14\">{}</text>\n",
        shape.name
    ));
    for pods in [0.0, 5.0, 10.0, 15.0, 20.0] {
        let y = y(pods);
        svg.push_str(&format!(
            "<line x1=\"{left:.0}\" y1=\"{y:.1}\" x2=\"{right:.0}\" y2=\"{y:.1}\" stroke=\"#eeeeee\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{pods:.0}</text>\n",
            left - 6.0,
            y + 4.0
        ));
    }
    let every = if count > 600 { 240 } else { 60 };
    for minute in (0..=count).step_by(every) {
        svg.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#555555\">{} h</text>\n",
            x(minute),
            bottom + 44.0,
            minute / 60
        ));
    }
    if let Some(score) = scores.first() {
        let mut points = format!("{:.1},{:.1}", x(0), y(0.0));
        for (at, minute) in score.minutes.iter().enumerate() {
            points.push_str(&format!(" {:.1},{:.1}", x(at), y(minute.needed)));
        }
        let last = score.minutes.last().map_or(0.0, |minute| minute.needed);
        points.push_str(&format!(" {0:.1},{1:.1} {0:.1},{2:.1}", x(count), y(last), y(0.0)));
        svg.push_str(&format!("<polygon points=\"{points}\" fill=\"#e3e3e3\"/>\n"));
    }
    for (row, score) in scores.iter().enumerate() {
        let (colour, dash) = stroke(score.who);
        let path = steps(&score.minutes, x, y);
        svg.push_str(&format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\n"
        ));
        let line = bottom + 8.0 + 7.0 * number(row);
        for (from, to) in slow(&score.minutes) {
            svg.push_str(&format!(
                "<line x1=\"{:.1}\" y1=\"{line:.0}\" x2=\"{:.1}\" y2=\"{line:.0}\" stroke=\"{colour}\" \
                 stroke-width=\"4\" stroke-dasharray=\"{dash}\"/>\n",
                x(from),
                x(to)
            ));
        }
    }
}

/// The replicas as stairs; a point only where they change.
fn steps(minutes: &[Minute], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut last = None;
    for (at, minute) in minutes.iter().enumerate() {
        if last != Some(minute.replicas) {
            let to = y(f64::from(minute.replicas));
            path.push_str(&match last {
                None => format!("M{:.1} {to:.1}", x(at)),
                Some(_) => format!("H{:.1}V{to:.1}", x(at)),
            });
            last = Some(minute.replicas);
        }
    }
    path.push_str(&format!("H{:.1}", x(minutes.len())));
    path
}

/// The runs of slow minutes.
fn slow(minutes: &[Minute]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in minutes.iter().enumerate().filter(|(_, minute)| minute.slow) {
        match runs.last_mut() {
            Some(run) if run.1 == at => run.1 = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

fn number(count: usize) -> f64 {
    f64::from(crate::shop::count(count))
}
