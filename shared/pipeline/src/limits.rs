//! CodePipeline's limits on a pipeline's structure. Source: CodePipeline user guide, 'Quotas' (the fixed ones), and
//! the API's constraints.

/// Least and most stages of a pipeline.
pub const STAGES: std::ops::RangeInclusive<usize> = 2..=50;

/// Least and most actions of a stage. It bounds what can run side by side, and what can run in sequence, as well.
pub const ACTIONS_IN_STAGE: std::ops::RangeInclusive<usize> = 1..=50;

/// Most actions of a pipeline.
pub const ACTIONS_IN_PIPELINE: usize = 500;

/// Lowest and highest run order.
pub const RUN_ORDER: std::ops::RangeInclusive<u32> = 1..=999;

/// Least and most minutes that an approval or a rule may be given.
pub const TIMEOUT_MINUTES: std::ops::RangeInclusive<u32> = 5..=86_400;

/// Most configuration keys of one action, and longest key in characters.
pub const CONFIGURATION_KEYS: usize = 50;

/// Most pipeline-level variables, and most triggers.
pub const VARIABLES: usize = 50;

/// Most pipelines of an account in a region that are polled for changes of their sources.
pub const POLLED_PIPELINES: usize = 300;

/// Most executions of one pipeline that run or wait at the same time in the modes QUEUED and PARALLEL.
pub const CONCURRENT_EXECUTIONS: usize = 50;
