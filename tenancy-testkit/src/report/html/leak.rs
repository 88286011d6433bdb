//! The leaks, each with its diagram, its script and its command lines.

use maud::{Markup, html};

use super::super::model::{Leak, Report};
use super::{diagram, seconds};
use crate::shown::{block, line};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        @if !report.leaks.is_empty() {
            section aria-labelledby="leaks" {
                h2 #leaks { "Leaks" }
                @for (number, leak) in report.leaks.iter().enumerate() { (card(number, leak, report)) }
            }
        }
    }
}

fn card(number: usize, leak: &Leak, report: &Report) -> Markup {
    let id = format!("leak-{number}");
    html! {
        article.leak aria-labelledby=(id) {
            h3 id=(id) {
                span.code title=(leak.detector.about()) { (leak.detector) } " "
                b { (line(&leak.from)) } span.arrow aria-label="to" { " → " } b { (line(&leak.to)) }
            }
            p.request { code { (line(&leak.request)) } }
            p { (line(&leak.what)) }
            p.meta {
                (leak.detector.about()) ". Found after " (seconds(leak.found_after)) "; minimised from "
                (leak.shrunk_from) " requests to " (leak.curl.len().max(leak.steps.len())) "."
            }
            @if !leak.steps.is_empty() { (diagram::draw(number, leak, &report.tenants)) }
            details open {
                summary { "Program" }
                pre tabindex="0" { (block(&leak.program)) }
            }
            details {
                summary { "As command lines" }
                pre tabindex="0" { (block(&leak.curl.join("\n"))) }
            }
            p.replay { "Replay with seed " code.select { (line(&leak.seed)) } }
        }
    }
}
