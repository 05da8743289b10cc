//! What was found when a pipeline's surroundings were looked at.

use serde::Serialize;

use crate::exit::{Failed, say};

/// What a finding is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// Worth mending; `run` starts and logs it.
    Warning,
    /// `run` refuses to start.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Is it no problem?
    ok: bool,
    pub(crate) verdict: Verdict,
    /// A topic, or what else it is about.
    pub(crate) about: String,
    /// What was found, and where it is a problem, what to do.
    pub(crate) text: String,
    /// Is the configuration to be corrected, and not the cluster?
    #[serde(skip)]
    is_of_configuration: bool,
}

impl Finding {
    pub(crate) fn new(verdict: Verdict, about: &str, text: impl Into<String>) -> Self {
        Self {
            ok: verdict != Verdict::Problem,
            verdict,
            about: about.to_owned(),
            text: text.into(),
            is_of_configuration: false,
        }
    }

    pub(crate) fn ok(about: &str, text: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, about, text)
    }

    pub(crate) fn warning(about: &str, text: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, about, text)
    }

    pub(crate) fn problem(about: &str, text: impl Into<String>) -> Self {
        Self::new(Verdict::Problem, about, text)
    }

    /// A problem that lies in the configuration.
    pub(crate) fn misconfigured(about: &str, text: impl Into<String>) -> Self {
        Self {
            is_of_configuration: true,
            ..Self::problem(about, text)
        }
    }

    fn line(&self) -> String {
        format!("{}: {}", self.about, self.text)
    }
}

/// A line for each finding, the verdict first.
pub(crate) fn print(findings: &[Finding]) {
    let width = findings
        .iter()
        .map(|finding| finding.about.chars().count())
        .max()
        .unwrap_or(0);
    for (index, finding) in findings.iter().enumerate() {
        if index == 0 {
            say!("");
        }
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "PROBLEM",
        };
        let Finding { about, text, .. } = finding;
        say!("{verdict:<8}{about:<width$}  {text}");
    }
}

/// How `check` ends: code 2 where the configuration is to be corrected, 1 where the cluster is.
pub(crate) fn verdict(findings: &[Finding]) -> Result<(), Failed> {
    let problems: Vec<&Finding> = problems(findings).collect();
    let count = match problems.len() {
        0 => return Ok(()),
        1 => "there is a problem".to_owned(),
        count => format!("there are {count} problems"),
    };
    let text = format!("the cluster does not fit the configuration: {count}");
    if problems.iter().any(|problem| problem.is_of_configuration) {
        return Err(Failed::wrong(text));
    }
    Err(Failed::running(text))
}

/// How `run` starts: not at all where there is a problem, all of which are named.
pub(crate) fn refuse(findings: &[Finding]) -> Result<(), Failed> {
    let problems: Vec<String> = problems(findings).map(Finding::line).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failed::wrong(format!(
        "the pipeline does not start:\n  {}",
        problems.join("\n  ")
    )))
}

fn problems(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_refuses_what_check_calls_a_problem_and_nothing_else() {
        let fine = [Finding::ok("a", "good"), Finding::warning("b", "so-so")];
        assert!(verdict(&fine).is_ok() && refuse(&fine).is_ok());
        let bad = [
            Finding::problem("c", "gone"),
            Finding::problem("d", "wrong"),
        ];
        assert!(verdict(&bad).is_err());
        let refused = refuse(&bad).unwrap_err().to_string();
        assert!(
            refused.contains("c: gone") && refused.contains("d: wrong"),
            "{refused}"
        );
    }
}
