//! A table of who rated what, made up: users and items fall into groups that like each other, so that there is something to learn, and
//! some items are much more common than others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::simulation::random::Random;
use std::io::Write;
use std::path::Path;

/// Groups of users and items.
const N_GROUPS: u64 = 7;

/// How large the table is.
#[derive(Clone, Copy, Debug)]
pub struct InteractionTable {
    /// Users, called u000000 and so on; each has at least one row.
    pub n_users: u64,
    /// Items, called by numbers with gaps between them.
    pub n_items: u64,
    /// Rows of a user at most. Half as many on average, some of them of the same item.
    pub max_rows_per_user: u64,
}

impl InteractionTable {
    /// Writes the columns user, item, rating (1 to 5, seldom none) and time as CSV.
    pub fn write(self, path: &Path) {
        let mut random = Random::new(23);
        let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        writeln!(file, "user,item,rating,time").unwrap();
        for user in 0..self.n_users {
            for _ in 0..random.between(1, self.max_rows_per_user) {
                let item = self.item(user % N_GROUPS, &mut random);
                let is_liked = item % N_GROUPS == user % N_GROUPS;
                let rating = if is_liked { random.between(3, 5) } else { random.between(1, 4) };
                let rating = if random.chance(0.02) { String::new() } else { rating.to_string() };
                writeln!(file, "u{user:06},{},{rating},{}", 10 * item + 3, random.below(1_000_000)).unwrap();
            }
        }
        file.flush().unwrap();
    }

    /// Most often one of the user's group, and rather one of the first.
    fn item(self, group: u64, random: &mut Random) -> u64 {
        let item = (random.unit() * random.unit() * self.n_items as f64) as u64;
        let of_group = item - item % N_GROUPS + group;
        if random.chance(0.7) && of_group < self.n_items { of_group } else { item }
    }
}
