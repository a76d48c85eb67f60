//! CBOR read into a JSON value, so that constraints are one walk for both protocols.

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::{Decoder, decode::DeserializeError};
use serde_json::{Map, Number, Value};

use crate::{MAX_DEPTH, MAX_VALUES};

/// Why bytes are not one CBOR value of the kind that Smithy RPC v2 sends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CborError {
    #[error("malformed CBOR: {0}")]
    Malformed(#[from] DeserializeError),
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("more than {MAX_VALUES} values")]
    TooMany,
    #[error("a map holds a key twice")]
    DuplicateKey,
    #[error("a number is not finite")]
    NotFinite,
    #[error("bytes follow the value")]
    Trailing,
}

/// Reads the one value in `bytes`.
///
/// No input of CodePipeline has a member whose type JSON lacks, save timestamps, which become numbers of seconds. What is
/// left (byte strings, other tags, `undefined`) becomes null, as if absent: either it stands at an unknown member and is
/// ignored, or the member is required and missed, or the codec refuses it. Keys that come twice are refused, as the codec
/// and this walk might take either.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, CborError> {
    let mut decoder = Decoder::new(bytes);
    let value = item(&mut decoder, MAX_DEPTH, &mut { MAX_VALUES })?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(CborError::Trailing) }
}

fn item(from: &mut Decoder<'_>, depth: usize, left: &mut usize) -> Result<Value, CborError> {
    *left = left.checked_sub(1).ok_or(CborError::TooMany)?;
    Ok(match from.datatype()? {
        Type::Bool => Value::Bool(from.boolean()?),
        Type::String | Type::StringIndef => Value::String(from.str()?.into_owned()),
        Type::U8 | Type::U16 | Type::U32 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => from.long()?.into(),
        // Beyond i64 no member can hold it; null would make it look absent, so any number out of range serves.
        Type::U64 | Type::Int => {
            let start = from.position();
            match from.long() {
                Ok(number) => number.into(),
                Err(_) => {
                    from.set_position(start);
                    from.skip()?;
                    u64::MAX.into()
                }
            }
        }
        Type::F16 | Type::F32 | Type::F64 => float(from.double()?)?,
        Type::Tag => {
            let start = from.position();
            match from.timestamp() {
                Ok(time) => float(time.as_secs_f64())?,
                Err(_) => {
                    from.set_position(start);
                    from.skip()?;
                    Value::Null
                }
            }
        }
        Type::Array | Type::ArrayIndef => {
            let inner = depth.checked_sub(1).ok_or(CborError::TooDeep)?;
            let length = from.list()?;
            let mut list = Vec::new();
            while more(from, length, list.len())? {
                list.push(item(from, inner, left)?);
            }
            Value::Array(list)
        }
        Type::Map | Type::MapIndef => {
            let inner = depth.checked_sub(1).ok_or(CborError::TooDeep)?;
            let length = from.map()?;
            let mut map = Map::new();
            while more(from, length, map.len())? {
                let key = from.str()?.into_owned();
                if map.insert(key, item(from, inner, left)?).is_some() {
                    return Err(CborError::DuplicateKey);
                }
            }
            Value::Object(map)
        }
        _ => {
            from.skip()?;
            Value::Null
        }
    })
}

/// Whether a container of the given length, or of unknown length up to a break, has another entry.
fn more(from: &mut Decoder<'_>, length: Option<u64>, read: usize) -> Result<bool, CborError> {
    match length {
        Some(length) => Ok((read as u64) < length),
        None if from.datatype()? == Type::Break => {
            from.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn float(number: f64) -> Result<Value, CborError> {
    Number::from_f64(number).map(Value::Number).ok_or(CborError::NotFinite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_definite_and_indefinite_containers_alike() {
        assert_eq!(parse(b"\xa1\x61a\x82\x01\x20").unwrap(), json!({"a": [1, -1]}));
        assert_eq!(parse(b"\xbf\x61a\x9f\x01\x20\xff\xff").unwrap(), json!({"a": [1, -1]}));
        assert_eq!(parse(b"\x7f\x61a\x61b\xff").unwrap(), json!("ab"));
        assert_eq!(parse(b"\xc1\xfb\x41\xd9\x54\xfc\x40\x20\x00\x00").unwrap(), json!(1_700_000_000.5));
    }

    #[test]
    fn what_json_lacks_becomes_null_and_numbers_out_of_range_do_not() {
        assert_eq!(parse(b"\x83\x42ab\xf7\xc2\x41\x01").unwrap(), json!([null, null, null]));
        assert_eq!(parse(b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff").unwrap(), json!(u64::MAX));
        assert_eq!(parse(b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff").unwrap(), json!(u64::MAX));
    }

    #[test]
    fn refuses_what_is_no_single_sound_value() {
        assert!(matches!(parse(b""), Err(CborError::Malformed(_))));
        assert!(matches!(parse(b"\xa1\x61a"), Err(CborError::Malformed(_))));
        assert!(matches!(parse(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Err(CborError::Malformed(_))));
        assert!(matches!(parse(b"\xa0\xa0"), Err(CborError::Trailing)));
        assert!(matches!(parse(b"\xa2\x61a\x01\x61a\x02"), Err(CborError::DuplicateKey)));
        assert!(matches!(parse(b"\xf9\x7e\x00"), Err(CborError::NotFinite)));
    }

    #[test]
    fn the_number_of_values_ends_at_the_limit() {
        // One value is the list itself.
        let list = |length: usize| [vec![0x9f], vec![0x01; length], vec![0xff]].concat();
        assert!(parse(&list(MAX_VALUES - 1)).is_ok());
        assert!(matches!(parse(&list(MAX_VALUES)), Err(CborError::TooMany)));
    }

    #[test]
    fn depth_ends_at_the_limit() {
        let nested = |levels: usize| [vec![0x81; levels], vec![0x01]].concat();
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(matches!(parse(&nested(MAX_DEPTH + 1)), Err(CborError::TooDeep)));
        assert!(matches!(parse(&nested(1_000_000)), Err(CborError::TooDeep)));
    }
}
