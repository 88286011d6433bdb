//! The page: whole in itself, and deaf to what a service says.

use tenancy_testkit::report::{Report, Verdict};

use crate::sample::{TENANTS, hostile, sample};

const HOSTILE: &str = "</title></style></pre></text><script>alert(1)</script><img src=x onerror=alert(1)>\" \
                       onload=\"x' style='&lt;&amp;\u{202e}\u{0}\u{1b}[2J";

fn count(page: &str, what: &str) -> usize {
    page.matches(what).count()
}

#[test]
fn a_page_shows_everything_that_is_in_the_report() {
    let page = sample().to_html();
    for tenant in TENANTS {
        assert!(page.contains(&format!("<th scope=\"col\">{tenant}</th>")), "{tenant}");
        assert!(page.contains(&format!("<th scope=\"row\">{tenant}</th>")), "{tenant}");
    }
    assert!(page.contains("<h1>2 leaks</h1>") && page.contains("not tried") && page.contains("never"));
    assert_eq!(count(&page, "<svg"), 2);
    assert_eq!(count(&page, "class=\"finding "), 3);
    assert!(page.contains(
        "<pre class=\"select\" tabindex=\"0\">ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;"
    ));
}

/// Each text of the service's in each place of the page: as text, and never as markup.
#[test]
fn no_text_becomes_markup() {
    let (plain, page) = (hostile("plain").to_html(), hostile(HOSTILE).to_html());
    for tag in
        ["<script", "<img", "</title>", "</style>", "</pre>", "<text", "<th", "<td", "<svg", "<span", "<h1"]
    {
        assert_eq!(count(&page, tag), count(&plain, tag), "{tag}");
    }
    for attribute in [" onerror=", " onload=", " style='"] {
        let inside_a_tag = page.split('<').filter_map(|part| part.split('>').next()).any(|tag| {
            // Quoted values hold no bare quote, so what is outside of them is every other piece.
            tag.split('"').step_by(2).any(|piece| piece.contains(attribute))
        });
        assert!(!inside_a_tag, "{attribute}");
    }
    for hidden in ['\u{202e}', '\u{0}', '\u{1b}'] {
        assert!(!page.contains(hidden), "{hidden:?}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("\\u{202e}"));
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    let page = sample().to_html();
    assert!(page.contains("default-src 'none'"));
    for outside in ["<script", "<link", "<iframe", "<img", "src=", "href=", "url(", "@import", "javascript:"]
    {
        assert_eq!(count(&page, outside), 0, "{outside}");
    }
}

#[test]
fn what_a_run_comes_to_stands_first() {
    let mut report = sample();
    report.leaks.clear();
    assert_eq!(report.verdict(), Verdict::Leaks);
    assert!(report.to_html().contains("<h1>The database has 1 fault</h1>"));
    report.doctor = None;
    assert_eq!(report.verdict(), Verdict::Clean);
    assert!(report.to_html().contains("<h1>Nothing crossed</h1>"));
    report.void = vec!["D3 did not see its planted leak".into()];
    assert_eq!(report.verdict(), Verdict::Void);
    assert!(report.to_html().contains("<h1>This run proves nothing</h1>"));
    assert!(Report::default().to_html().contains("Nothing crossed"));
}

#[test]
fn json_comes_back_as_it_went() {
    for report in [sample(), hostile(HOSTILE), Report::default()] {
        let json = report.to_json();
        assert_eq!(Report::from_json(&json).expect("it was written by itself"), report);
    }
    assert!(Report::from_json("{\"leaks\": 3}").is_err());
}

/// `TENANCY_REPORT_SAMPLE=folder cargo test … sample_is_written` leaves the sample there to be looked at.
#[test]
fn a_sample_is_written_whole() {
    let named = std::env::var_os("TENANCY_REPORT_SAMPLE").map(std::path::PathBuf::from);
    let folder =
        named.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("report-{}", std::process::id())));
    sample().write(&folder).expect("the folder can be made");
    for name in ["report.json", "junit.xml", "report.html"] {
        assert!(std::fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0), "{name}");
    }
    if named.is_none() {
        assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 3, "nothing partial is left");
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
