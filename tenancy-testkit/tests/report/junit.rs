//! JUnit: read back by a parser.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use tenancy_testkit::report::Report;

use crate::sample::{hostile, sample};

type Element = (String, BTreeMap<String, String>, String);

/// Returns the elements in order, each with its attributes and the text that directly follows.
fn parse(xml: &str) -> Vec<Element> {
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut elements: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) | Event::Empty(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.expect("well-formed");
                    let key = String::from_utf8(attribute.key.0.to_vec()).expect("UTF-8");
                    (
                        key,
                        attribute
                            .normalized_value(XmlVersion::Implicit1_0)
                            .expect("known entities")
                            .into_owned(),
                    )
                });
                let name = String::from_utf8(start.name().0.to_vec()).expect("UTF-8");
                elements.push((name, attributes.collect(), String::new()));
            }
            Event::Text(text) => {
                if let Some(element) = elements.last_mut() {
                    element.2.push_str(&text.decode().expect("UTF-8"));
                }
            }
            Event::GeneralRef(entity) => {
                let name = entity.decode().expect("UTF-8");
                let value = match &*name {
                    "lt" => "<",
                    "gt" => ">",
                    "amp" => "&",
                    "quot" => "\"",
                    "apos" => "'",
                    other => panic!("an entity {other}"),
                };
                elements.last_mut().expect("text is within an element").2.push_str(value);
            }
            Event::Eof => return elements,
            _ => {}
        }
    }
}

#[test]
fn leaks_and_findings_fail_and_what_was_not_tried_is_an_error() {
    let elements = parse(&sample().to_junit());
    let (name, suite, _) = &elements[0];
    assert_eq!(name, "testsuite");
    let number = |key: &str| suite[key].parse::<usize>().expect("a number");
    let of = |name: &str| elements.iter().filter(|element| element.0 == name).count();
    assert_eq!((number("tests"), number("failures"), number("errors")), (12, 4, 1));
    assert_eq!((of("testcase"), of("failure"), of("error")), (12, 4, 1));
    assert!(elements.iter().any(|(name, attributes, _)| name == "testcase"
        && attributes["classname"] == "tenancy.leak"
        && attributes["name"] == "D1 from acme to globex by GET /orders/7"));
    let (_, _, detail) = elements.iter().find(|element| element.0 == "failure").expect("a failure");
    assert!(detail.contains("curl -X POST") && detail.contains("seed 5f1c0a9e-1c"), "{detail}");
}

#[test]
fn no_text_breaks_the_document() {
    let text = "</failure><testcase name=\"x\"/>]]>&lt;&amp;'\"\u{0}\u{1b}\u{ffff}\u{fffe}é";
    let harmless = text.replace(['\u{0}', '\u{1b}', '\u{ffff}', '\u{fffe}'], "\u{fffd}");
    let elements = parse(&hostile(text).to_junit());
    assert_eq!(elements.iter().filter(|element| element.0 == "testcase").count(), 12);
    let (_, attributes, detail) = elements.iter().find(|element| element.0 == "failure").expect("a failure");
    assert_eq!(attributes["message"], harmless);
    assert!(detail.contains(&harmless), "{detail}");
}

#[test]
fn a_clean_run_passes() {
    let clean = Report { service: "s".into(), programs: 1, ..Report::default() };
    let elements = parse(&clean.to_junit());
    assert_eq!(elements.len(), 2, "{elements:?}");
    assert_eq!(elements[0].1["failures"], "0");
}
