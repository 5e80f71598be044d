//! What was found, step by step, for people and for programs.

use crate::terminal::{Style, Terminal, clean};
use serde::Serialize;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// It works, and something is remarkable.
    Warning,
    /// The way ends here.
    Failed,
    /// Not walked.
    Skipped,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Which.
    pub step: &'static str,
    /// How it went.
    pub result: Mark,
    /// What was seen.
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// All of them, in order.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Report {
    /// Adds a step.
    pub fn note(&mut self, step: &'static str, result: Mark, detail: impl Into<String>, remedy: impl Into<String>) {
        self.steps.push(Step { step, result, detail: detail.into(), remedy: remedy.into() });
    }

    /// Where the way ends, if it does.
    pub fn first_failure(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.result == Mark::Failed)
    }

    /// One line a step, the remedy below it.
    pub fn for_people(&self, terminal: Terminal) -> String {
        let width = self.steps.iter().map(|step| step.step.len()).max().unwrap_or(0);
        let mut text = String::new();
        for step in &self.steps {
            let (word, style) = match step.result {
                Mark::Ok => ("ok  ", Style::Good),
                Mark::Warning => ("warn", Style::Warning),
                Mark::Failed => ("FAIL", Style::Bad),
                Mark::Skipped => ("-   ", Style::Faint),
            };
            text.push_str(&format!("{}  {:width$}  {}\n", terminal.paint(style, word), step.step, clean(&step.detail)));
            if !step.remedy.is_empty() {
                text.push_str(&format!("      {:width$}  -> {}\n", "", clean(&step.remedy)));
            }
        }
        text
    }
}
