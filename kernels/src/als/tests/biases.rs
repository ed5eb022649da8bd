//! Biases against their definition, and initial factors.

use super::*;

#[test]
fn biases_are_damped_means() {
    // Two items and three users: ratings (user, item, value) are (0, 0, 5), (0, 1, 3), (1, 0, 4); the third user has none.
    let by_item = Interactions::trusted(&[0, 2, 3], &[0, 1, 0], &[5.0, 4.0, 3.0]);
    let by_user = Interactions::trusted(&[0, 2, 3, 3], &[0, 1, 0], &[5.0, 3.0, 4.0]);
    let model = BiasModel { mean: 4.0, damping: 2.0 };
    let mut item_bias = [f32::NAN; 2];
    model.item_bias(0..2, by_item, &mut item_bias);
    assert_eq!(item_bias, [0.25, -1.0 / 3.0]);
    let mut user_bias = [f32::NAN; 3];
    model.user_bias(0..3, by_user, &FactorRows::whole(&item_bias, 1).unwrap(), &mut user_bias);
    let first = 4.0 + ((5.0 - 4.0 - 0.25) + (3.0 - 4.0 + 1.0 / 3.0)) / 4.0;
    let second = 4.0 + (4.0 - 4.0 - 0.25) / 3.0;
    for (bias, expected) in user_bias.iter().zip([first, second, 4.0]) {
        assert!((bias - expected as f32).abs() < 1e-6, "{bias} and {expected}");
    }
    let mut alone = [f32::NAN];
    model.item_bias(1..2, by_item, &mut alone);
    assert_eq!(alone[0], item_bias[1], "blocks change nothing");
    assert_eq!(sum_of_values(&[5.0, 3.0, 4.0]), 12.0);
}

#[test]
fn biases_of_extreme_ratings_are_finite() {
    let by_item = Interactions::trusted(&[0, 1, 2, 2], &[0, 1], &[f32::MAX, f32::MIN]);
    let mut bias = [f32::NAN; 3];
    let model = BiasModel { mean: -f64::from(f32::MAX), damping: 0.0 };
    model.item_bias(0..3, by_item, &mut bias);
    assert_eq!(bias, [f32::MAX, 0.0, 0.0]);
}

#[test]
fn initial_factors_are_small_normal_and_keyed_by_row() {
    let draw = |seed, stage, rows: std::ops::Range<u64>| {
        let mut factors = vec![0.0; (rows.end - rows.start) as usize * 50];
        draw_factors(seed, stage, rows, 50, &mut factors);
        factors
    };
    let all = draw(1, 2, 0..400);
    assert_eq!(all[100 * 50..110 * 50], draw(1, 2, 100..110));
    assert!(draw(2, 2, 0..1) != draw(1, 2, 0..1) && draw(1, 3, 0..1) != draw(1, 2, 0..1));
    assert_eq!(bits(&draw(1, 2, 7..8)[..3]), [1_014_370_304, 1_000_643_297, 3_157_328_200], "golden values hold");
    let moment = |power: i32| all.iter().map(|&value| (f64::from(value) / 0.01).powi(power)).sum::<f64>() / all.len() as f64;
    // Four standard errors of 20,000 draws. The kurtosis of the sum of twelve uniforms is 2.9.
    assert!(moment(1).abs() < 0.029 && (moment(2) - 1.0).abs() < 0.04, "{} {}", moment(1), moment(2));
    assert!(moment(3).abs() < 0.11 && (moment(4) - 2.9).abs() < 0.25, "{} {}", moment(3), moment(4));
}
