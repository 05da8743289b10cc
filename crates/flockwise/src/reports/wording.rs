//! How features, numbers and values read in tables.

use flockwise_core::feature::Feature;
use flockwise_core::plan::Plan;

/// The feature with this name.
pub(crate) fn feature<'p>(plan: &'p Plan, name: &str) -> Option<&'p Feature> {
    let index = plan.feature_names().position(|known| known == name)?;
    Some(plan.feature(index))
}

/// A feature's label, or else its name with spaces.
pub(crate) fn label(feature: &Feature) -> String {
    feature
        .wording
        .label
        .clone()
        .unwrap_or_else(|| feature.name.replace('_', " "))
}

/// Formats a value with its unit. The unit `%` formats a share as a percentage.
pub(crate) fn readable(value: f64, unit: Option<&str>) -> String {
    match unit {
        Some("%") => format!("{:.0} %", value * 100.0),
        Some(unit) if unit.chars().count() == 1 => format!("{unit}{}", number(value)),
        Some(unit) => format!("{} {unit}", number(value)),
        None => number(value),
    }
}

/// Formats a number with commas between thousands, and at most one decimal below ten, else none.
pub(crate) fn number(value: f64) -> String {
    let rounded = if value.abs() < 9.95 {
        (value * 10.0).round() / 10.0
    } else {
        value.round()
    };
    if rounded.abs() < 10.0 {
        return if rounded.fract() == 0.0 {
            format!("{rounded:.0}")
        } else {
            format!("{rounded:.1}")
        };
    }
    let digits = format!("{:.0}", rounded.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if rounded < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (0.0, "0"),
            (0.04, "0"),
            (0.26, "0.3"),
            (-2.0, "-2"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.6, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-12_345.0, "-12,345"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(readable(0.256, Some("%")), "26 %");
        assert_eq!(readable(1500.0, Some("£")), "£1,500");
        assert_eq!(readable(3.25, Some("days")), "3.3 days");
    }
}
