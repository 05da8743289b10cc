use super::*;

#[test]
fn the_normal_distribution_is_as_in_the_tables() {
    let table = [
        (-4.0, 3.167_124_183_3e-5),
        (-3.0, 1.349_898_031_630e-3),
        (-1.644_853_626_951, 0.05),
        (-1.0, 0.158_655_253_931),
        (-0.1, 0.460_172_162_723),
        (0.0, 0.5),
        (0.5, 0.691_462_461_274),
        (1.959_963_984_540, 0.975),
        (2.326_347_874_041, 0.99),
        (8.0, 1.0),
    ];
    for (z, probability) in table {
        let found = distribution(z);
        assert!((found - probability).abs() < 1e-7, "{z}: {found}");
    }
}

#[test]
fn quantiles_are_as_in_the_tables() {
    let table = [
        (1e-6, -4.753_424_309, 0.02),
        (1e-4, -3.719_016_485, 1e-3),
        (0.01, -2.326_347_874, 1e-5),
        (0.158_655_253_931, -1.0, 1e-6),
        (0.5, 0.0, 1e-6),
        (0.75, 0.674_489_750, 1e-6),
        (0.975, 1.959_963_985, 1e-5),
        (1.0 - 1e-6, 4.753_424_309, 0.02),
    ];
    for (probability, z, within) in table {
        let found = quantile(probability);
        assert!((found - z).abs() < within, "{probability}: {found}");
    }
}

/// This keeps a pair from being both one and two.
#[test]
fn a_cut_normal_distribution_gains_less_than_nothing_at_any_share() {
    for step in 0..=1000 {
        let share = f64::from(step) / 1000.0;
        assert!(cut_normal(share) < 0.0, "{share}: {}", cut_normal(share));
        let mirrored = cut_normal(1.0 - share);
        assert!((cut_normal(share) - mirrored).abs() < 1e-6, "{share}");
    }
    for share in [1e-3, 1e-6, 1e-12, 1e-300] {
        assert!(cut_normal(share) < 0.0, "{share}: {}", cut_normal(share));
    }
}

/// For a cut in the middle, 2/π of the variance is between the halves.
#[test]
fn half_a_normal_distribution_gains_what_the_formula_says() {
    let between = 2.0 / std::f64::consts::PI;
    let expected = -0.5 * (1.0 - between).ln() - 2.0_f64.ln();
    assert!((cut_normal(0.5) - expected).abs() < 1e-6);
}

#[test]
fn the_entropy_of_a_certainty_is_nothing() {
    assert_eq!((entropy(0.0), entropy(1.0)), (0.0, 0.0));
    assert!((entropy(0.5) - 2.0_f64.ln()).abs() < 1e-15);
}
