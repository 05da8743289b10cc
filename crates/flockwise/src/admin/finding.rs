//! Findings of the checks that `check` reports and `run` makes before it starts.

use serde::Serialize;

use crate::exit::{Failed, outln};

/// How severe a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FindingVerdict {
    /// Nothing to do.
    Ok,
    /// Should be corrected. `run` logs it and starts.
    Warning,
    /// `run` refuses to start.
    Problem,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// `true` unless it is a problem.
    ok: bool,
    pub(crate) verdict: FindingVerdict,
    /// What was checked: a topic, or a word such as `kafka` or `clock`.
    pub(crate) about: String,
    /// What was found, and for a problem, what to do.
    pub(crate) text: String,
    /// Whether the configuration, not the cluster, must be corrected.
    #[serde(skip)]
    is_misconfiguration: bool,
}

impl Finding {
    pub(crate) fn new(verdict: FindingVerdict, about: &str, text: impl Into<String>) -> Self {
        Self {
            ok: verdict != FindingVerdict::Problem,
            verdict,
            about: about.to_owned(),
            text: text.into(),
            is_misconfiguration: false,
        }
    }

    pub(crate) fn ok(about: &str, text: impl Into<String>) -> Self {
        Self::new(FindingVerdict::Ok, about, text)
    }

    pub(crate) fn warning(about: &str, text: impl Into<String>) -> Self {
        Self::new(FindingVerdict::Warning, about, text)
    }

    pub(crate) fn problem(about: &str, text: impl Into<String>) -> Self {
        Self::new(FindingVerdict::Problem, about, text)
    }

    /// A problem that must be corrected in the configuration.
    pub(crate) fn misconfigured(about: &str, text: impl Into<String>) -> Self {
        Self {
            is_misconfiguration: true,
            ..Self::problem(about, text)
        }
    }

    fn line(&self) -> String {
        format!("{}: {}", self.about, self.text)
    }
}

/// Prints one line per finding, verdict first, after a blank line.
pub(crate) fn print(findings: &[Finding]) {
    let width = findings
        .iter()
        .map(|finding| finding.about.chars().count())
        .max()
        .unwrap_or(0);
    for (index, finding) in findings.iter().enumerate() {
        if index == 0 {
            outln!("");
        }
        let verdict = match finding.verdict {
            FindingVerdict::Ok => "ok",
            FindingVerdict::Warning => "warning",
            FindingVerdict::Problem => "PROBLEM",
        };
        let Finding { about, text, .. } = finding;
        outln!("{verdict:<8}{about:<width$}  {text}");
    }
}

/// The outcome of `check`: exit code 2 if the configuration must be corrected, 1 if only the cluster.
pub(crate) fn check_outcome(findings: &[Finding]) -> Result<(), Failed> {
    let problems: Vec<&Finding> = problems(findings).collect();
    let count = match problems.len() {
        0 => return Ok(()),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let text = format!("the check found {count}");
    if problems.iter().any(|problem| problem.is_misconfiguration) {
        return Err(Failed::invalid(text));
    }
    Err(Failed::runtime(text))
}

/// Fails with all problems, if there are any: `run` must not start.
pub(crate) fn refuse(findings: &[Finding]) -> Result<(), Failed> {
    let problems: Vec<String> = problems(findings).map(Finding::line).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failed::invalid(format!(
        "cannot start the pipeline:\n  {}",
        problems.join("\n  ")
    )))
}

fn problems(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings
        .iter()
        .filter(|finding| finding.verdict == FindingVerdict::Problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_refuses_what_check_calls_a_problem_and_nothing_else() {
        let fine = [Finding::ok("a", "good"), Finding::warning("b", "so-so")];
        assert!(check_outcome(&fine).is_ok() && refuse(&fine).is_ok());
        let bad = [
            Finding::problem("c", "gone"),
            Finding::problem("d", "wrong"),
        ];
        assert!(check_outcome(&bad).is_err());
        let refused = refuse(&bad).unwrap_err().to_string();
        assert!(
            refused.contains("c: gone") && refused.contains("d: wrong"),
            "{refused}"
        );
    }
}
