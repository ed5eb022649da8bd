//! What typed Arrow arrays hold: their logical type, and their values as numbers, texts or exact ids.

use crate::table::column::{MISSING_CODE, NumericKind};
use crate::table::interner::Interner;
use crate::table::schema::LogicalType;
use arrow_array::array::AnyDictionaryArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

/// What a column of this type holds.
pub(crate) fn logical_type(data_type: &DataType) -> LogicalType {
    match data_type {
        DataType::Boolean => LogicalType::Bool,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => LogicalType::Integer,
        // A column of type null has no value at all: it is read as missing numbers.
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Null => LogicalType::Float,
        DataType::Date32 | DataType::Date64 => LogicalType::Date,
        DataType::Timestamp(..) => LogicalType::Timestamp,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => LogicalType::Text,
        DataType::Dictionary(_, values) if !matches!(**values, DataType::Dictionary(..)) => logical_type(values),
        other => LogicalType::Unsupported(other.to_string()),
    }
}

/// Adds the values of an array as numbers; NaN for what is missing. `None` where it does not hold numbers.
pub(crate) fn append_numbers(array: &dyn Array, out: &mut Vec<f64>) -> Option<NumericKind> {
    let kind = logical_type(array.data_type()).numeric_kind()?;
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let mut values = Vec::new();
        append_numbers(dictionary.values().as_ref(), &mut values)?;
        out.extend(places(dictionary).map(|place| place.and_then(|place| values.get(place).copied()).unwrap_or(f64::NAN)));
        return Some(kind);
    }
    append_plain_numbers(array, out)?;
    Some(kind)
}

#[expect(clippy::cast_precision_loss, reason = "numeric columns are f64; exact ids are read as ids")]
fn append_plain_numbers(array: &dyn Array, out: &mut Vec<f64>) -> Option<()> {
    match array.data_type() {
        DataType::Null => out.extend(std::iter::repeat_n(f64::NAN, array.len())),
        DataType::Boolean => out.extend(array.as_boolean().iter().map(|v| v.map_or(f64::NAN, |v| f64::from(u8::from(v))))),
        DataType::Int8 => append::<Int8Type>(array, out, f64::from),
        DataType::Int16 => append::<Int16Type>(array, out, f64::from),
        DataType::Int32 => append::<Int32Type>(array, out, f64::from),
        DataType::Int64 => append::<Int64Type>(array, out, |v| v as f64),
        DataType::UInt8 => append::<UInt8Type>(array, out, f64::from),
        DataType::UInt16 => append::<UInt16Type>(array, out, f64::from),
        DataType::UInt32 => append::<UInt32Type>(array, out, f64::from),
        DataType::UInt64 => append::<UInt64Type>(array, out, |v| v as f64),
        DataType::Float16 => append::<Float16Type>(array, out, |v| v.to_f64()),
        DataType::Float32 => append::<Float32Type>(array, out, f64::from),
        DataType::Float64 => append::<Float64Type>(array, out, |v| v),
        DataType::Decimal32(_, scale) => append::<Decimal32Type>(array, out, |v| decimal(i128::from(v), *scale)),
        DataType::Decimal64(_, scale) => append::<Decimal64Type>(array, out, |v| decimal(i128::from(v), *scale)),
        DataType::Decimal128(_, scale) => append::<Decimal128Type>(array, out, |v| decimal(v, *scale)),
        DataType::Date32 => append::<Date32Type>(array, out, f64::from),
        DataType::Date64 => append::<Date64Type>(array, out, |v| v as f64 / 86_400_000.0),
        DataType::Timestamp(TimeUnit::Second, _) => append::<TimestampSecondType>(array, out, |v| v as f64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => append::<TimestampMillisecondType>(array, out, |v| v as f64 / 1e3),
        DataType::Timestamp(TimeUnit::Microsecond, _) => append::<TimestampMicrosecondType>(array, out, |v| v as f64 / 1e6),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => append::<TimestampNanosecondType>(array, out, |v| v as f64 / 1e9),
        _ => return None,
    }
    Some(())
}

fn append<T: ArrowPrimitiveType>(array: &dyn Array, out: &mut Vec<f64>, to_f64: impl Fn(T::Native) -> f64) {
    let array = array.as_primitive::<T>();
    if array.null_count() == 0 {
        out.extend(array.values().iter().map(|&v| to_f64(v)));
    } else {
        out.extend(array.iter().map(|v| v.map_or(f64::NAN, &to_f64)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "numeric columns are f64")]
fn decimal(digits: i128, scale: i8) -> f64 {
    // Dividing by an exact power of ten rounds once, where multiplying by its inverse would round twice.
    digits as f64 / 10f64.powi(i32::from(scale))
}

/// Calls `f` with every value of a text array in row order; `None` where it does not hold text.
pub(crate) fn for_each_text(array: &dyn Array, mut f: impl FnMut(Option<&str>)) -> Option<()> {
    let Some(dictionary) = array.as_any_dictionary_opt() else {
        return for_each_plain_text(array, f);
    };
    let values = dictionary_texts(dictionary)?;
    places(dictionary).for_each(|place| f(place.and_then(|place| values.get(place)).and_then(Option::as_deref)));
    Some(())
}

fn for_each_plain_text(array: &dyn Array, f: impl FnMut(Option<&str>)) -> Option<()> {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().for_each(f),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().for_each(f),
        DataType::Utf8View => array.as_string_view().iter().for_each(f),
        _ => return None,
    }
    Some(())
}

fn dictionary_texts(dictionary: &dyn AnyDictionaryArray) -> Option<Vec<Option<String>>> {
    let mut values = Vec::new();
    for_each_plain_text(dictionary.values().as_ref(), |value| values.push(value.map(str::to_owned)))?;
    Some(values)
}

/// For each row its place in the dictionary's values, `None` for a missing one.
fn places(dictionary: &dyn AnyDictionaryArray) -> impl Iterator<Item = Option<usize>> + '_ {
    // Without values there is nothing to normalise keys to, and every row is missing.
    let places = if dictionary.values().is_empty() { vec![0; dictionary.len()] } else { dictionary.normalized_keys() };
    let keys = dictionary.keys();
    let is_missing = move |row: usize| dictionary.values().is_empty() || keys.is_null(row);
    places.into_iter().enumerate().map(move |(row, place)| (!is_missing(row)).then_some(place))
}

/// Adds the values of a text array to a column in the making; `None` where it does not hold text.
pub(crate) fn append_texts(array: &dyn Array, out: &mut Interner) -> Option<()> {
    let Some(dictionary) = array.as_any_dictionary_opt() else {
        return for_each_text(array, |value| out.push(value));
    };
    // Each value that a row uses is looked up once, not once per row; one that no row uses is no level.
    let values = dictionary_texts(dictionary)?;
    let mut codes: Vec<Option<u32>> = vec![None; values.len()];
    for place in places(dictionary) {
        let entry = place.and_then(|place| Some((values.get(place)?.as_deref()?, codes.get_mut(place)?)));
        let code = entry.map_or(MISSING_CODE, |(value, slot)| *slot.get_or_insert_with(|| out.code(value)));
        out.push_code(code);
    }
    Some(())
}

/// What came of reading exact ids.
#[derive(Clone, Copy)]
pub(crate) enum IdValue {
    /// An id.
    Int(i64),
    /// The row has none.
    Missing,
    /// A whole number above the largest id.
    TooLarge,
}

/// Calls `f` with every id of an array of whole numbers in row order; `None` where it does not hold whole numbers.
pub(crate) fn for_each_int(array: &ArrayRef, mut f: impl FnMut(IdValue)) -> Option<()> {
    let Some(dictionary) = array.as_any_dictionary_opt() else {
        return for_each_plain_int(array, f);
    };
    let mut values = Vec::new();
    for_each_plain_int(dictionary.values(), |id| values.push(id))?;
    places(dictionary).for_each(|place| f(place.and_then(|place| values.get(place).copied()).unwrap_or(IdValue::Missing)));
    Some(())
}

fn for_each_plain_int(array: &ArrayRef, mut f: impl FnMut(IdValue)) -> Option<()> {
    match array.data_type() {
        DataType::Int8 => ints::<Int8Type>(array, |v| f(id(v.map(i64::from)))),
        DataType::Int16 => ints::<Int16Type>(array, |v| f(id(v.map(i64::from)))),
        DataType::Int32 => ints::<Int32Type>(array, |v| f(id(v.map(i64::from)))),
        DataType::Int64 => ints::<Int64Type>(array, |v| f(id(v))),
        DataType::UInt8 => ints::<UInt8Type>(array, |v| f(id(v.map(i64::from)))),
        DataType::UInt16 => ints::<UInt16Type>(array, |v| f(id(v.map(i64::from)))),
        DataType::UInt32 => ints::<UInt32Type>(array, |v| f(id(v.map(i64::from)))),
        DataType::UInt64 => ints::<UInt64Type>(array, |v| {
            f(v.map_or(IdValue::Missing, |v| i64::try_from(v).map_or(IdValue::TooLarge, IdValue::Int)));
        }),
        _ => return None,
    }
    Some(())
}

fn id(value: Option<i64>) -> IdValue {
    value.map_or(IdValue::Missing, IdValue::Int)
}

fn ints<T: ArrowPrimitiveType>(array: &ArrayRef, f: impl FnMut(Option<T::Native>)) {
    array.as_primitive::<T>().iter().for_each(f);
}
