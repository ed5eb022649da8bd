//! The bytes of one item of a stage where it holds several arrays: a small artifact of its own, whose arrays are used where they
//! lie in the mapped part. It knows the packing, not what is packed.

use paceline_common::artifact::{self, Element, NewArray};
use paceline_common::failure::Failure;
use safetensors::SafeTensors;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

const KIND: &str = "item";
const VERSION: u32 = 1;
/// The one metadata entry, which holds everything that is no array.
const FACTS_KEY: &str = "facts";

/// Packs `facts` and `arrays` into an item's bytes. Floating-point numbers belong into arrays, which keep every bit.
pub(crate) fn pack<F: Serialize>(facts: &F, arrays: &[NewArray<'_>]) -> Result<Vec<u8>, Failure> {
    let json = serde_json::to_string(facts).map_err(|e| Failure::storage(format!("an item's facts cannot be written: {e}")))?;
    artifact::encode(KIND, VERSION, &BTreeMap::from([(FACTS_KEY.to_owned(), json)]), arrays)
}

/// An item's bytes, opened in place.
pub(crate) struct Packed<'a> {
    tensors: SafeTensors<'a>,
    facts: String,
}

impl<'a> Packed<'a> {
    /// Checks the header. `bytes` begins at a multiple of 8, as every item of a part does.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Failure> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e.to_string()))?;
        let facts =
            header.metadata().as_ref().and_then(|entries| entries.get(FACTS_KEY)).ok_or_else(|| damaged("it has no facts"))?.clone();
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e.to_string()))?;
        Ok(Self { tensors, facts })
    }

    /// Everything that is no array.
    pub(crate) fn facts<F: DeserializeOwned>(&self) -> Result<F, Failure> {
        serde_json::from_str(&self.facts).map_err(|e| damaged(&e.to_string()))
    }

    /// Whether there is an array `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.names().contains(&name)
    }

    /// The elements of array `name`, in place.
    pub(crate) fn array<T: Element>(&self, name: &str) -> Result<&'a [T], Failure> {
        let view = self.tensors.tensor(name).map_err(|e| damaged(&e.to_string()))?;
        if view.dtype() != T::DTYPE {
            return Err(damaged(&format!("array {name} is of type {:?}", view.dtype())));
        }
        bytemuck::try_cast_slice(view.data()).map_err(|e| damaged(&format!("array {name}: {e}")))
    }
}

/// Parts are checked by their checksum when they are opened, so this is what another version of the program wrote, or a fault.
fn damaged(why: &str) -> Failure {
    Failure::storage(format!("the result of an earlier stage is damaged: {why}; submit the job again"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn arrays_and_facts_come_back_in_place() {
        let packed = pack(&("x", 7), &[NewArray::vector("codes", &[1_u8, 2, 3]), NewArray::vector("cuts", &[0.1_f64])]).unwrap();
        let mut words = vec![0_u64; packed.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..packed.len()].copy_from_slice(&packed);
        let bytes = &bytemuck::cast_slice::<u64, u8>(&words)[..packed.len()];
        let opened = Packed::open(bytes).unwrap();
        assert_eq!(opened.facts::<(String, u32)>().unwrap(), ("x".to_owned(), 7));
        let codes: &[u8] = opened.array("codes").unwrap();
        assert_eq!(codes, [1, 2, 3]);
        assert!(bytes.as_ptr_range().contains(&codes.as_ptr()));
        assert_eq!(opened.array::<f64>("cuts").unwrap(), [0.1]);
        assert!(opened.array::<f32>("cuts").is_err() && opened.array::<u8>("none").is_err());
        for len in 0..bytes.len() {
            assert!(Packed::open(&bytes[..len]).is_err());
        }
    }
}
