//! Axes of charts: where they end, and which values are marked.

use super::numbers::{round_duration, round_size};

/// What an axis measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Bytes,
}

impl Unit {
    /// A round value as text.
    pub fn mark(self, value: f64) -> String {
        match self {
            Self::Seconds => round_duration(value),
            Self::Bytes => round_size(value),
        }
    }

    /// Steps between marks that people count in, smallest first.
    fn steps(self) -> Vec<f64> {
        const KIBI: [f64; 7] = [
            1.0,
            1024.0,
            1_048_576.0,
            1_073_741_824.0,
            1_099_511_627_776.0,
            1_125_899_906_842_624.0,
            1_152_921_504_606_846_976.0,
        ];
        let decimal = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
        match self {
            Self::Bytes => KIBI.iter().flat_map(|k| decimal.map(|d| d * k)).collect(),
            Self::Seconds => {
                let hours = [1.0, 2.0, 3.0, 6.0, 12.0].map(|h| h * 3600.0);
                let days = decimal.map(|d| d * 86_400.0);
                let minutes = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0].map(|m| m * 60.0);
                let seconds = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];
                [&seconds[..], &minutes, &hours, &days].concat()
            }
        }
    }
}

/// The marks of an axis from zero to at least `highest`, at most six of them; the last is where the axis ends.
pub fn marks(highest: f64, unit: Unit) -> Vec<f64> {
    let highest = if highest.is_finite() { highest.max(0.0) } else { 0.0 };
    let steps = unit.steps();
    let fits = |step: &&f64| highest / **step <= 4.0;
    let step = steps.iter().find(fits).copied().unwrap_or(highest / 4.0);
    let mut marks = vec![0.0, step];
    while marks[marks.len() - 1] < highest && marks.len() < 6 {
        #[allow(clippy::cast_precision_loss, reason = "at most six")]
        marks.push(step * marks.len() as f64);
    }
    marks
}

/// A share of a whole, from 0 to 1.
pub fn share(part: f64, whole: f64) -> f64 {
    let share = part / whole;
    // The sum makes a negative zero positive.
    if share.is_finite() { share.clamp(0.0, 1.0) + 0.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_round() {
        assert_eq!(marks(0.0, Unit::Seconds), [0.0, 0.01]);
        assert_eq!(marks(13.0, Unit::Seconds), [0.0, 5.0, 10.0, 15.0]);
        assert_eq!(marks(4000.0, Unit::Seconds), [0.0, 1800.0, 3600.0, 5400.0]);
        let mega = 1_048_576.0;
        assert_eq!(marks(150.0 * mega, Unit::Bytes), [0.0, 50.0, 100.0, 150.0].map(|m| m * mega));
        assert_eq!(Unit::Bytes.mark(50.0 * mega), "50 MiB");
        assert_eq!(Unit::Seconds.mark(1800.0), "30 min");
        assert_eq!([share(1.0, 4.0), share(1.0, 0.0), share(5.0, 4.0)], [0.25, 0.0, 1.0]);
        assert!(share(-1e-300, 1e200).is_sign_positive());
    }

    proptest! {
        #[test]
        fn marks_are_few_and_reach_the_highest(highest in any::<f64>()) {
            for unit in [Unit::Seconds, Unit::Bytes] {
                let marks = marks(highest, unit);
                prop_assert!((2..=6).contains(&marks.len()), "{marks:?}");
                prop_assert!(marks.is_sorted() && marks[1] > 0.0, "{marks:?}");
                prop_assert!(!(marks[marks.len() - 1] < highest && highest.is_finite()), "{marks:?}");
            }
        }
    }
}
