//! What the bench found, as a table and as JSON.

use std::fmt;

use serde::Serialize;

/// One line of the report: a figure, and the budget that it is judged by.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured, in words; the first column of the table.
    pub figure: String,
    /// The figure in its unit.
    pub value: f64,
    /// The unit of `value`: `ms`, `writes`, `KB` ...
    pub unit: &'static str,
    /// The figure as a share of what the budget relates it to, where it does.
    pub ratio: Option<f64>,
    /// The most that the ratio (or the value, where there is none) may be; rows without one are for information.
    pub budget: Option<f64>,
}

impl Row {
    /// Whether the budget is kept; nothing where there is none.
    #[must_use]
    pub fn kept(&self) -> Option<bool> {
        let budget = self.budget?;
        Some(self.ratio.unwrap_or(self.value) <= budget)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<f64>| number.map_or(String::new(), |number| format!("{number:.2}"));
        let value = format!("{:.1} {:<6}", self.value, self.unit);
        let verdict = match self.kept() {
            Some(true) => "ok",
            Some(false) => "OVER",
            None => "",
        };
        let (ratio, budget) = (number(self.ratio), number(self.budget));
        write!(f, "{:<58} {value:>15} {ratio:>7} {budget:>7}  {verdict}", self.figure)
    }
}

/// Everything that a run of the bench found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The emulator's name.
    pub emulator: &'static str,
    /// When it was measured, RFC 3339.
    pub time: String,
    /// The floor: milliseconds, the median.
    pub floor: f64,
    /// The lines in the order in which they were measured.
    pub rows: Vec<Row>,
}

impl Report {
    /// The rows whose budget is exceeded.
    #[must_use]
    pub fn over(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.kept() == Some(false)).collect()
    }

    /// The row of that name.
    #[must_use]
    pub fn row(&self, figure: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.figure == figure)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}: the floor is {:.1} ms", self.emulator, self.time, self.floor)?;
        writeln!(f, "{:<58} {:>15} {:>7} {:>7}", "figure", "value", "ratio", "budget")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64, ratio: Option<f64>, budget: Option<f64>) -> Row {
        Row { figure: "gap".into(), value, unit: "ms", ratio, budget }
    }

    #[test]
    fn a_budget_is_for_the_ratio_where_there_is_one() {
        assert_eq!(row(50.0, Some(0.3), Some(0.3)).kept(), Some(true));
        assert_eq!(row(50.0, Some(0.31), Some(0.3)).kept(), Some(false));
        assert_eq!(row(2.0, None, Some(1.9)).kept(), Some(false));
        assert_eq!(row(2.0, None, None).kept(), None);
        let rows = vec![row(1.0, None, None), row(2.0, Some(4.0), Some(3.0))];
        let report = Report { emulator: "e", time: "t".into(), floor: 1.0, rows };
        assert_eq!(report.over().len(), 1);
        assert!(report.to_string().lines().nth(3).unwrap().ends_with("4.00    3.00  OVER"), "{report}");
    }
}
