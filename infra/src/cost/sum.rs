//! The sum of what functions have told of an execution, and its price.

use std::collections::BTreeMap;
use std::fmt;

use runtime::calls::Spent;

use super::prices;
use crate::Architecture;

/// What an execution has cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// Millrace's own requests, by service and operation.
    pub own: BTreeMap<String, f64>,
    /// Requests on the pipeline's behalf.
    pub pipeline: BTreeMap<String, f64>,
    /// Invocations and GB-seconds of functions, by the function's name.
    pub functions: BTreeMap<String, (f64, f64)>,
    /// Read units that DynamoDB charged.
    pub reads: f64,
    /// Write units that DynamoDB charged, those of indexes among them.
    pub writes: f64,
    /// Events that were put on buses.
    pub events: f64,
}

/// A line of the table.
struct Row {
    what: String,
    count: f64,
    /// The price of one; none where something else is charged.
    each: Option<f64>,
}

impl Sum {
    /// The sum of these.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Spent>) -> Self {
        let mut sum = Self::default();
        for spent in all {
            for (to, from) in [(&mut sum.own, &spent.own), (&mut sum.pipeline, &spent.pipeline)] {
                for (name, count) in from {
                    *to.entry(name.clone()).or_default() += count;
                }
            }
            let (invocations, gb_seconds) = sum.functions.entry(spent.function.clone()).or_default();
            *invocations += spent.invocations;
            *gb_seconds += spent.milliseconds / 1_000.0 * f64::from(spent.memory) / 1_024.0;
            sum.reads += spent.reads;
            sum.writes += spent.writes;
            sum.events += spent.events;
        }
        sum
    }

    /// The table for people, with prices for functions of this architecture.
    pub fn table(&self, architecture: Architecture) -> Table<'_> {
        Table { sum: self, architecture }
    }

    /// What Millrace itself costs, in USD.
    pub fn price(&self, architecture: Architecture) -> f64 {
        self.table(architecture).rows().iter().map(Row::price).sum()
    }
}

impl Row {
    fn new(what: impl Into<String>, count: f64, each: Option<f64>) -> Self {
        Self { what: what.into(), count, each }
    }

    fn price(&self) -> f64 {
        self.each.map_or(0.0, |each| each * self.count)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let price = self.each.map(|_| format!("{:.8}", self.price())).unwrap_or_default();
        write!(f, "  {:44} {:>10.2} {price:>12}", self.what, self.count)
    }
}

/// A [`Sum`] for people.
#[derive(Debug)]
pub struct Table<'a> {
    sum: &'a Sum,
    architecture: Architecture,
}

impl Table<'_> {
    /// What Millrace itself spends.
    fn rows(&self) -> Vec<Row> {
        let sum = self.sum;
        let mut rows = Vec::new();
        for (function, (invocations, gb_seconds)) in &sum.functions {
            rows.push(Row::new(format!("{function}: invocations"), *invocations, Some(prices::INVOCATION)));
            let each = Some(prices::gb_second(self.architecture));
            rows.push(Row::new(format!("{function}: GB-seconds"), *gb_seconds, each));
        }
        rows.extend(calls(&sum.own));
        rows.push(Row::new("dynamodb: read units", sum.reads, Some(prices::READ_UNIT)));
        rows.push(Row::new("dynamodb: write units", sum.writes, Some(prices::WRITE_UNIT)));
        rows.push(Row::new("events: events on buses", sum.events, Some(prices::EVENT)));
        rows
    }
}

fn calls(of: &BTreeMap<String, f64>) -> impl Iterator<Item = Row> + '_ {
    of.iter().map(|(name, count)| Row::new(name, *count, prices::call(name)))
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:44} {:>10} {:>12}", "Millrace", "count", "USD")?;
        let rows = self.rows();
        for row in &rows {
            writeln!(f, "{row}")?;
        }
        let total: f64 = rows.iter().map(Row::price).sum();
        write!(f, "  {:44} {:>10} {total:>12.8}", "sum", "")?;
        if !self.sum.pipeline.is_empty() {
            write!(f, "\n\n  {:44} {:>10} {:>12}", "on the pipeline's behalf", "count", "USD")?;
            for row in calls(&self.sum.pipeline) {
                write!(f, "\n{row}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(function: &str, own: &[(&str, f64)]) -> Spent {
        Spent {
            function: function.into(),
            invocations: 1.0,
            milliseconds: 500.0,
            memory: 1_024,
            own: own.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            pipeline: [("s3 PUT".to_owned(), 2.0), ("codebuild StartBuild".to_owned(), 1.0)].into(),
            reads: 4.0,
            writes: 8.0,
            events: 1.0,
            ..Spent::default()
        }
    }

    #[test]
    fn lines_add_up_and_each_has_its_price() {
        let lines = [
            spent(
                "millrace-worker",
                &[("dynamodb UpdateItem", 2.0), ("sqs SendMessage", 1.0), ("sts AssumeRole", 1.0)],
            ),
            spent("millrace-worker", &[("dynamodb UpdateItem", 1.0)]),
        ];
        let sum = Sum::of(&lines);
        assert_eq!(sum.own["dynamodb UpdateItem"], 3.0);
        assert_eq!(sum.functions["millrace-worker"], (2.0, 1.0));
        assert_eq!((sum.reads, sum.writes, sum.events), (8.0, 16.0, 2.0));
        let expected = 2.0 * 0.2e-6 + 0.000_016_666_7 + 0.4e-6 + 8.0 * 0.125e-6 + 16.0 * 0.625e-6 + 2.0 * 1e-6;
        assert!((sum.price(Architecture::X86) - expected).abs() < 1e-12);
        assert!(sum.price(Architecture::Arm64) < expected, "Graviton costs less");
        let table = sum.table(Architecture::X86).to_string();
        let row = |name: &str| table.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(row("sqs SendMessage").ends_with("1.00   0.00000040"), "{table}");
        assert!(row("sts AssumeRole").ends_with("1.00   0.00000000"), "free: {table}");
        assert!(row("dynamodb UpdateItem").trim_end().ends_with("3.00"), "charged by units: {table}");
        assert!(row("codebuild StartBuild").trim_end().ends_with("2.00"), "charged by the minute: {table}");
        let own = table.split("on the pipeline's behalf").next().unwrap();
        assert!(!own.contains("s3 PUT"), "{table}");
    }
}
