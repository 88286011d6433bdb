//! The doctor, as a program: exits with 0 if the database is healthy, 1 if not, 2 if it could not be examined.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use tenancy_testkit::doctor::{Baseline, Declarations, Diagnosis, Doctor, Error, rules};

/// Examines a PostgreSQL database for what keeps tenants less apart than it should.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The database's URL, best with the role of the application. The default is the variable DATABASE_URL.
    #[arg(long, conflicts_with = "list")]
    url: Option<String>,
    /// The declarations: `tenant_column`, `owned`, `global`, `setting`, `schemas`, `columns`.
    #[arg(long, required_unless_present = "list")]
    tables: Option<PathBuf>,
    /// The role to examine, if it is not the one that connects.
    #[arg(long)]
    role: Option<String>,
    /// Findings that are known and do not fail.
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Writes what is found now to the baseline, and exits with 0.
    #[arg(long, requires = "baseline")]
    update_baseline: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Writes to a file in the place of standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Lists the rules.
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        for rule in rules() {
            println!("{}  {:<7}  {:<34}  {}", rule.code, rule.severity, rule.name, rule.threats.join(" "));
        }
        return ExitCode::SUCCESS;
    }
    match cli.run().await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let causes =
                std::iter::successors(Some(error.as_ref() as &dyn std::error::Error), |error| error.source());
            eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::from(2)
        }
    }
}

impl Cli {
    async fn run(&self) -> Result<u8, Box<dyn std::error::Error>> {
        let url = self.url.clone().or_else(|| std::env::var("DATABASE_URL").ok());
        let url = url.ok_or("no database is named: give --url, or set DATABASE_URL")?;
        let tables = self.tables.as_deref().ok_or("no declarations are named: give --tables")?;
        let mut doctor = Doctor::new(Declarations::read(tables)?).with_baseline(self.known()?);
        if let Some(role) = &self.role {
            doctor = doctor.with_role(role);
        }
        let diagnosis = doctor.examine(&url).await?;
        if let (true, Some(path)) = (self.update_baseline, &self.baseline) {
            diagnosis.to_baseline().write(path)?;
            return Ok(0);
        }
        self.print(&diagnosis)?;
        Ok(diagnosis.exit_code())
    }

    /// A baseline that is to be written need not be there.
    fn known(&self) -> Result<Baseline, Error> {
        match &self.baseline {
            Some(path) if !self.update_baseline => Baseline::read(path),
            _ => Ok(Baseline::default()),
        }
    }

    fn print(&self, diagnosis: &Diagnosis) -> std::io::Result<()> {
        let text = match self.format {
            Format::Text => diagnosis.to_text(),
            Format::Json => diagnosis.to_json() + "\n",
            Format::Sarif => diagnosis.to_sarif() + "\n",
        };
        match &self.out {
            Some(path) => fs::write(path, text),
            None => {
                use std::io::Write;
                std::io::stdout().lock().write_all(text.as_bytes())
            }
        }
    }
}
