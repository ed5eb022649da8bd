//! The values that settings of a forest can take where they are neither numbers nor names of columns, and how they are written.
//! It must not know what is done with them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a forest predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TaskChoice {
    /// One of the classes seen in training.
    Classification,
    /// A number.
    Regression,
}

/// What a split of a classification shall reduce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CriterionChoice {
    /// The Gini impurity.
    Gini,
    /// The entropy.
    Entropy,
}

/// How the importance of features is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ImportanceChoice {
    /// By the decrease in impurity; every model holds it.
    Impurity,
    /// By the loss of accuracy, or the growth of the squared error, on shuffled rows out of bag.
    Permutation,
}

/// How the classes are weighted, written `balanced`, `balanced-subsample`, or as labels with weights: `yes=5,no=0.5`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassWeight {
    /// Each by the inverse of its share of the rows.
    Balanced,
    /// The same for each tree, by the rows in its bag.
    BalancedSubsample,
    /// These labels by these weights, every other label by 1.
    Explicit(Vec<(String, f64)>),
}

/// The largest weight of a class: times a weight of a row it stays within what sums can hold.
const MAX_CLASS_WEIGHT: f64 = 1e12;

impl FromStr for ClassWeight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "balanced" => return Ok(Self::Balanced),
            "balanced-subsample" => return Ok(Self::BalancedSubsample),
            _ => {}
        }
        let mut weights: Vec<(String, f64)> = Vec::new();
        for pair in text.split(',') {
            // The last one, so that a label may hold the sign.
            let Some((label, weight)) = pair.rsplit_once('=') else {
                return Err(format!("{text}: is none of balanced, balanced-subsample, or labels with weights such as yes=5,no=0.5"));
            };
            let weight = match weight.parse::<f64>() {
                Ok(weight) if (0.0..=MAX_CLASS_WEIGHT).contains(&weight) => weight,
                _ => return Err(format!("{pair}: the weight of a class must be a number between 0 and {MAX_CLASS_WEIGHT:e}")),
            };
            if weights.iter().any(|(other, _)| other == label) {
                return Err(format!("{label}: has two weights; give it one"));
            }
            weights.push((label.to_owned(), weight));
        }
        // The same weights in any order are the same setting.
        weights.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self::Explicit(weights))
    }
}

impl fmt::Display for ClassWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => write!(f, "balanced"),
            Self::BalancedSubsample => write!(f, "balanced-subsample"),
            Self::Explicit(weights) => {
                let pairs: Vec<String> = weights.iter().map(|(label, weight)| format!("{label}={weight}")).collect();
                write!(f, "{}", pairs.join(","))
            }
        }
    }
}

impl TryFrom<String> for ClassWeight {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ClassWeight> for String {
    fn from(value: ClassWeight) -> Self {
        value.to_string()
    }
}

/// A number as a flag takes it: settings travel as JSON, which knows neither infinity nor what is not a number.
pub(super) fn finite_number(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| format!("{text}: is not a finite number"))
}

/// A whole number as a flag takes it.
pub(super) fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text}: is not a whole number such as 10, or is out of range"))
}

/// A number of rows as a flag takes it. Other libraries take a share of the rows too, so this says that there is none.
pub(super) fn n_rows(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("{text}: is not a whole number of rows, and a share of them cannot be given; say how many, such as 10"))
}

/// How many features a split tries, written `sqrt`, `log2`, `all`, a fraction with a point, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MaxFeatures {
    /// The square root of their number.
    Sqrt,
    /// The binary logarithm of their number.
    Log2,
    /// All.
    All,
    /// This share of them, above 0 and at most 1.
    Fraction(f64),
    /// So many, at least 1.
    Count(u32),
}

impl MaxFeatures {
    /// The number that it means for `n_features`: rounded down, at least 1. A count may be more than there are.
    #[must_use]
    pub fn resolve(self, n_features: usize) -> usize {
        let n = n_features as f64;
        let wanted = match self {
            Self::Sqrt => n.sqrt() as usize,
            Self::Log2 => n.log2() as usize,
            Self::All => n_features,
            Self::Fraction(fraction) => (n * fraction) as usize,
            Self::Count(count) => count as usize,
        };
        wanted.max(1)
    }
}

impl FromStr for MaxFeatures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("{text}: is none of sqrt, log2, all, a fraction such as 0.3 (above 0, at most 1.0) or a number such as 5");
        match text {
            "sqrt" => Ok(Self::Sqrt),
            "log2" => Ok(Self::Log2),
            "all" => Ok(Self::All),
            // The point tells a fraction from a number: 1.0 is all features and 1 is one feature.
            _ if text.contains('.') => match text.parse::<f64>() {
                Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(Self::Fraction(fraction)),
                _ => Err(refusal()),
            },
            _ => match text.parse::<u32>() {
                Ok(count) if count > 0 => Ok(Self::Count(count)),
                _ => Err(refusal()),
            },
        }
    }
}

impl fmt::Display for MaxFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqrt => write!(f, "sqrt"),
            Self::Log2 => write!(f, "log2"),
            Self::All => write!(f, "all"),
            // The point is what makes it a fraction; `{}` writes no exponent, and 1.0 alone without a point.
            Self::Fraction(1.0) => write!(f, "1.0"),
            Self::Fraction(fraction) => write!(f, "{fraction}"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl TryFrom<String> for MaxFeatures {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MaxFeatures> for String {
    fn from(value: MaxFeatures) -> Self {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn max_features_round_trips_and_resolves() {
        for (text, n) in [
            ("sqrt", 7),
            ("log2", 5),
            ("all", 54),
            ("0.5", 27),
            ("1.0", 54),
            ("1", 1),
            ("12", 12),
            ("900", 900),
            ("0.001", 1),
            ("0.0000001", 1),
        ] {
            let parsed: MaxFeatures = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(parsed.resolve(54), n, "{text}");
        }
        for text in ["", "0", "-1", "0.0", "1.5", "NaN", "half", "1e3"] {
            assert!(text.parse::<MaxFeatures>().is_err(), "{text}");
        }
    }

    #[test]
    fn class_weights_round_trip() {
        let explicit =
            |pairs: &[(&str, f64)]| ClassWeight::Explicit(pairs.iter().map(|(label, weight)| ((*label).to_owned(), *weight)).collect());
        for (text, expected) in [
            ("balanced", ClassWeight::Balanced),
            ("balanced-subsample", ClassWeight::BalancedSubsample),
            ("no=0.5,yes=5", explicit(&[("no", 0.5), ("yes", 5.0)])),
            ("a=b=2", explicit(&[("a=b", 2.0)])),
            ("-1=0", explicit(&[("-1", 0.0)])),
        ] {
            let parsed: ClassWeight = text.parse().unwrap();
            assert_eq!(parsed, expected);
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!("yes=5,no=0.5".parse(), "no=0.5,yes=5".parse::<ClassWeight>(), "any order is the same setting");
        for text in ["", "Balanced", "a", "a=", "a=x", "a=-1", "a=NaN", "a=inf", "a=1,a=2", "a=1,"] {
            assert!(text.parse::<ClassWeight>().is_err(), "{text}");
        }
    }
}
