//! A run as a person reads it, and as `curl` repeats it.

use super::request::Outgoing;
use super::run::Record;
use super::signal::Fault;
use super::{Action, Program, Step};
use crate::check::describe::World;

/// One line for each step, with the requests as they went out.
pub(crate) fn script(program: &Program, records: &[Record]) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &program.steps {
        let of_step: Vec<&Record> = records.iter().filter(|record| record.step == step.number).collect();
        if !of_step.is_empty() || step.action.calls().is_empty() {
            lines.extend(described(step, &of_step, &program.world));
        }
    }
    lines
}

fn described(step: &Step, records: &[&Record], world: &World) -> Vec<String> {
    let slug = |tenant: usize| world.all()[tenant].slug();
    match &step.action {
        Action::RunJobs => vec!["the jobs run".into()],
        Action::Break { tenant, .. } => vec![format!("a table of {} goes away", slug(*tenant))],
        Action::Pause { millis } => vec![format!("{millis} ms pass")],
        Action::Suspend { tenant } => vec![format!("{} is suspended", slug(*tenant))],
        Action::Delete { tenant } => vec![format!("{} is deleted", slug(*tenant))],
        Action::Onboard { tenant } => vec![format!("{} is brought in", slug(*tenant))],
        Action::Call(_) => records.iter().map(|record| line(record, world, "")).collect(),
        Action::Together(_) => {
            records.iter().map(|record| line(record, world, " at the same time")).collect()
        }
        Action::Pair { .. } => {
            let suffix =
                |record: &Record| if record.call == 0 { " (another tenant's)" } else { " (nobody's)" };
            records.iter().map(|record| line(record, world, suffix(record))).collect()
        }
        Action::Harmed { harm, .. } => {
            let suffix = format!(" while {harm}");
            records.iter().map(|record| line(record, world, &suffix)).collect()
        }
        Action::Abandon { polls, .. } => {
            let suffix = format!(" and goes away after {polls} polls");
            records.iter().map(|record| line(record, world, &suffix)).collect()
        }
    }
}

fn line(record: &Record, world: &World, suffix: &str) -> String {
    let who = world.all()[record.caller].slug();
    let as_whom = match record.signal.fault {
        Fault::None => who.to_owned(),
        fault => format!("{who} ({})", name(fault)),
    };
    let body = match record.outgoing.body.is_empty() {
        true => String::new(),
        false => format!(" {}", String::from_utf8_lossy(&record.outgoing.body)),
    };
    let status =
        record.answer.as_ref().map_or_else(|| "no answer".into(), |answer| answer.status.to_string());
    format!("{as_whom}: {} {}{body}{suffix} -> {status}", record.outgoing.method, record.outgoing.target)
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::None => "as it should be",
        Fault::Part => "part of the credential",
        Fault::Spelling => "another spelling of the host",
        Fault::Missing => "no credential",
        Fault::Stranger => "a tenant that does not exist",
        Fault::UnknownHost => "an unknown host",
        Fault::Conflict => "two tenants",
        Fault::Duplicate => "two tenants in one header",
        Fault::Unreadable => "an unreadable header",
        Fault::Spoofed => "another tenant's forwarded host",
        Fault::Tampered => "a tampered token",
        Fault::Admin => "as an administrator",
    }
}

/// The request as a command, with `$BASE` for where the service is.
pub(crate) fn curl(outgoing: &Outgoing) -> String {
    let mut line = format!("curl -i -X {} \"$BASE\"{}", outgoing.method, quoted(&outgoing.target));
    for (name, value) in &outgoing.headers {
        let value = value
            .to_str()
            .map_or_else(|_| escaped(value.as_bytes()), |text| quoted(&format!("{name}: {text}")));
        let value = if value.starts_with('$') { format!("\"{name}: \"{value}") } else { value };
        line.push_str(&format!(" -H {value}"));
    }
    if !outgoing.body.is_empty() {
        line.push_str(&format!(" -d {}", quoted(&String::from_utf8_lossy(&outgoing.body))));
    }
    line
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Bytes that are no text, as a shell writes them.
fn escaped(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("$'{digits}'")
}
