//! Names and values below each other. It must not know what they mean.

use super::table::plain;

/// Lines of names and values, the values in one column, with `indent` before each line.
#[must_use]
pub fn lines<N: AsRef<str>, V: AsRef<str>>(indent: &str, facts: &[(N, V)]) -> String {
    let width = facts.iter().map(|(name, _)| name.as_ref().chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(N, V)| format!("{indent}{:<width$}  {}", plain(name.as_ref()), plain(value.as_ref()));
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_each_other() {
        assert_eq!(lines("  ", &[("trees", "10"), ("oob_score", "0.9")]), "  trees      10\n  oob_score  0.9");
        assert_eq!(lines::<&str, &str>("  ", &[]), "");
    }
}
