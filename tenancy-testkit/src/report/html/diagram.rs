//! A leak as a sequence diagram: a lane for each tenant and one for the service.

use maud::{Markup, html};

use super::super::model::{Leak, Step, StepKind};
use crate::shown::line;

const LANE: usize = 212;
const MARGIN: usize = 80;
const HEAD: usize = 56;
const REQUEST: usize = 62;
const EVENT: usize = 44;
/// How many letters stand above an arrow between two lanes that are neighbors.
const LETTERS: usize = 25;
const NOBODY: &str = "no tenant";

/// Draws `leak`; `tenants` gives each its color.
pub(super) fn draw(number: usize, leak: &Leak, tenants: &[String]) -> Markup {
    let lanes = lanes(leak);
    let width = MARGIN * 2 + lanes.len() * LANE;
    let height = HEAD + leak.steps.iter().map(height_of).sum::<usize>() + 16;
    let service = MARGIN + lanes.len() * LANE;
    let title = format!("diagram-{number}");
    html! {
        div.scroll tabindex="0" role="group" aria-labelledby=(title) {
            svg.diagram role="img" aria-labelledby=(title) viewBox=(format!("0 0 {width} {height}"))
                width=(width) height=(height)
                style=(format!("min-width:{}px", width * 7 / 10)) {
                title id=(title) { "The requests of leak " (number + 1) ", in order" }
                @for (index, lane) in lanes.iter().enumerate() {
                    (head(MARGIN + index * LANE, height, lane, &color(lane, tenants)))
                }
                (head(service, height, "service", "service"))
                @for (step, y) in placed(&leak.steps) {
                    @match step.kind {
                        StepKind::Event => (event(step, y, width)),
                        StepKind::Request => {
                            @let lane = lanes.iter().position(|lane| *lane == name(step)).unwrap_or_default();
                            (request(step, y, MARGIN + lane * LANE, service, &color(name(step), tenants)))
                        }
                    }
                }
            }
        }
    }
}

/// The tenants that send something, in the order in which they first do.
fn lanes(leak: &Leak) -> Vec<&str> {
    let mut lanes = Vec::new();
    for step in leak.steps.iter().filter(|step| step.kind == StepKind::Request) {
        if !lanes.contains(&name(step)) {
            lanes.push(name(step));
        }
    }
    lanes
}

fn name(step: &Step) -> &str {
    if step.tenant.is_empty() { NOBODY } else { &step.tenant }
}

fn color(lane: &str, tenants: &[String]) -> String {
    match tenants.iter().position(|tenant| tenant == lane) {
        Some(index) => format!("t{}", index % 8),
        None => "nobody".to_owned(),
    }
}

fn height_of(step: &Step) -> usize {
    match step.kind {
        StepKind::Request => REQUEST,
        StepKind::Event => EVENT,
    }
}

fn placed(steps: &[Step]) -> impl Iterator<Item = (&Step, usize)> {
    steps.iter().scan(HEAD, |next, step| {
        let y = *next;
        *next += height_of(step);
        Some((step, y))
    })
}

fn head(x: usize, height: usize, name: &str, color: &str) -> Markup {
    html! {
        line.lane x1=(x) x2=(x) y1="38" y2=(height) {}
        g class=(color) {
            rect.head x=(x - 70) y="6" width="140" height="30" rx="6" {}
            text.head x=(x) y="26" text-anchor="middle" { (shortened(name, 16)) title { (line(name)) } }
        }
    }
}

fn request(step: &Step, y: usize, from: usize, to: usize, color: &str) -> Markup {
    let letters = LETTERS * ((to - from) / LANE).max(1);
    let class = if step.leaks { "step leaks" } else { "step" };
    html! {
        g class=(format!("{class} {color}")) {
            title { (line(name(step))) ": " (line(&step.request)) " → " (line(&step.answer)) }
            text.request x=(from + 12) y=(y + 18) { (shortened(&step.request, letters)) }
            line.request x1=(from) x2=(to - 9) y1=(y + 25) y2=(y + 25) {}
            path.tip d=(format!("M{} {} l-10 -5 v10 z", to, y + 25)) {}
            @if !step.answer.is_empty() {
                line.answer x1=(to) x2=(from + 9) y1=(y + 49) y2=(y + 49) {}
                path.tip d=(format!("M{} {} l10 -5 v10 z", from, y + 49)) {}
                text.answer x=(to - 12) y=(y + 43) text-anchor="end" {
                    @if step.leaks { tspan.mark { "leaks · " } }
                    (shortened(&step.answer, letters - if step.leaks { 8 } else { 0 }))
                }
            }
            @if step.leaks { rect.leak x=(from + 4) y=(y + 3) width=(to - from - 8) height=(REQUEST - 8) rx="6" {} }
        }
    }
}

fn event(step: &Step, y: usize, width: usize) -> Markup {
    let class = if step.leaks { "event leaks" } else { "event" };
    html! {
        g class=(class) {
            rect x="20" y=(y + 6) width=(width - 40) height="28" rx="6" {}
            text x=(width / 2) y=(y + 25) text-anchor="middle" {
                (shortened(&step.request, (width - 60) / 8)) title { (line(&step.request)) }
            }
        }
    }
}

/// Cuts a text to what fits; the whole of it is in the step's title.
fn shortened(text: &str, letters: usize) -> String {
    let text = line(text);
    if text.chars().count() <= letters {
        return text;
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}
