//! Whole trainings on a small table: the loss falls, and what was taken out of the table is found again.

use super::*;

/// Two groups of users and items; users interact with items of their own group, each with about two in three of them.
fn two_groups() -> (Vec<u64>, Vec<u32>) {
    let (mut indptr, mut indices) = (vec![0], vec![]);
    let mut draws = Draws::new(1, 0, 0);
    for user in 0..60_u32 {
        indices.extend((0..40).filter(|item| item % 2 == user % 2 && draws.below(3) != 0));
        indptr.push(indices.len() as u64);
    }
    (indptr, indices)
}

fn transposed(indptr: &[u64], indices: &[u32], n_items: u32) -> (Vec<u64>, Vec<u32>) {
    let (mut by_item, mut users) = (vec![0], vec![]);
    for item in 0..n_items {
        let has = |user: &usize| indices[indptr[*user] as usize..indptr[*user + 1] as usize].contains(&item);
        users.extend((0..indptr.len() - 1).filter(has).map(|user| user as u32));
        by_item.push(users.len() as u64);
    }
    (by_item, users)
}

/// As many as there are groups: more of them would fit what was left out as noise.
const N_FACTORS: usize = 2;

/// One half-iteration; returns the loss that depends on it.
fn half(rows: &mut [f32], other: &[f32], indptr: &[u64], indices: &[u32], method: Method) -> BlockLoss {
    let values = vec![1.0; indices.len()];
    let set = InstructionSet::fastest();
    let gram = Gram::of_block(other, N_FACTORS, set);
    let solver = Solver::implicit(FactorRows::whole(other, N_FACTORS).unwrap(), &gram, 10.0, 0.1, method, set).unwrap();
    let previous = rows.to_vec();
    let interactions = Interactions::trusted(indptr, indices, &values);
    let block = Block { rows: 0..indptr.len() - 1, interactions, previous: Some(&previous), wants_error: true };
    let mut loss = solver.solve(&block, rows, &mut Scratch::default()).unwrap();
    loss.squared_error += Gram::of_block(rows, N_FACTORS, set).sum_of_squared_scores(&gram);
    loss
}

#[test]
fn the_loss_never_rises_and_held_out_items_come_first() {
    let (indptr, indices) = two_groups();
    let (by_item, users) = transposed(&indptr, &indices, 40);
    for method in [Method::default(), CHOLESKY] {
        let (mut user_rows, mut item_rows) = (vec![0.0; 60 * N_FACTORS], vec![0.0; 40 * N_FACTORS]);
        draw_factors(1, 0, 0..40, N_FACTORS, &mut item_rows);
        let mut before = f64::INFINITY;
        let mut item_penalty = 0.1 * item_rows.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
        for _ in 0..8 {
            let users_loss = half(&mut user_rows, &item_rows, &indptr, &indices, method);
            let after_users = users_loss.squared_error + users_loss.penalty + item_penalty;
            let items_loss = half(&mut item_rows, &user_rows, &by_item, &users, method);
            item_penalty = items_loss.penalty;
            let after_items = items_loss.squared_error + items_loss.penalty + users_loss.penalty;
            // Each half is solved for the loss itself: it falls but for rounding.
            assert!(after_users <= before * 1.000_01 && after_items <= after_users * 1.000_01, "{before} {after_users} {after_items}");
            before = after_items;
        }
        for user in 0..60 {
            let score = |item: usize| -> f32 {
                user_rows[user * N_FACTORS..][..N_FACTORS].iter().zip(&item_rows[item * N_FACTORS..][..N_FACTORS]).map(|(a, b)| a * b).sum()
            };
            let lowest_own = (0..40).filter(|item| item % 2 == user % 2).map(score).fold(f32::INFINITY, f32::min);
            let highest_foreign = (0..40).filter(|item| item % 2 != user % 2).map(score).fold(f32::NEG_INFINITY, f32::max);
            assert!(lowest_own > highest_foreign, "{method:?}, user {user}: {lowest_own} and {highest_foreign}");
        }
    }
}

#[test]
fn ratings_are_fitted_beyond_their_biases() {
    // A rating is 3, and 2 more or less where the parities of user and item agree or not: all biases are 0.
    let set = InstructionSet::fastest();
    let indptr: Vec<u64> = (0..=20).map(|user| user * 20).collect();
    let indices: Vec<u32> = (0..400).map(|entry| entry % 20).collect();
    let values: Vec<f32> = (0..400_u32).map(|entry| if (entry / 20 + entry % 20) % 2 == 0 { 5.0 } else { 1.0 }).collect();
    // The table is symmetric, so its columns are its rows.
    let interactions = Interactions::trusted(&indptr, &indices, &values);
    let model = BiasModel { mean: sum_of_values(&values) / 400.0, damping: 5.0 };
    let (mut item_bias, mut user_bias) = (vec![0.0; 20], vec![0.0; 20]);
    model.item_bias(0..20, interactions, &mut item_bias);
    model.user_bias(0..20, interactions, &FactorRows::whole(&item_bias, 1).unwrap(), &mut user_bias);
    let (mut users, mut items) = (vec![0.0; 40], vec![0.0; 40]);
    draw_factors(1, 0, 0..20, 2, &mut items);
    let mut loss = BlockLoss::default();
    let bias = |bias| FactorRows::whole(bias, 1).unwrap();
    let half = |rows: &mut [f32], other: &[f32], row_bias, other_bias| {
        let factors = FactorRows::whole(other, 2).unwrap();
        let solver = Solver::explicit(factors, bias(row_bias), bias(other_bias), 0.001, CHOLESKY, set).unwrap();
        let block = Block { rows: 0..20, interactions, previous: None, wants_error: true };
        solver.solve(&block, rows, &mut Scratch::default()).unwrap()
    };
    for _ in 0..10 {
        half(&mut users, &items, &user_bias, &item_bias);
        loss = half(&mut items, &users, &item_bias, &user_bias);
    }
    assert!(loss.squared_error < 0.01 * 4.0 * 400.0, "{loss:?}");
}
