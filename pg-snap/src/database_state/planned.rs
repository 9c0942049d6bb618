//! What the planner evaluates.

/// A common table expression of SQL: the tables whose queries evaluate functions when they are planned.
pub const PLANNED: &str = include_str!("planned.sql");
