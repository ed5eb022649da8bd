//! Artifacts: immutable files of named arrays in safetensors format, checked wholly before use and then read in place.
//! Python reads them with its `safetensors` package as they are. This room knows the format, not what the arrays mean.

use crate::failure::Failure;
use crate::files::NewFile;
use crate::mapping::MappedFile;
use bytemuck::Pod;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Key of the metadata entry that says what an artifact is.
pub const KIND_KEY: &str = "paceline.kind";
/// Key of the metadata entry that says which version of that kind it follows.
pub const VERSION_KEY: &str = "paceline.version";

/// An element type that arrays can have.
pub trait Element: Pod {
    /// Its name in the file.
    const DTYPE: Dtype;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),*) => { $(impl Element for $rust { const DTYPE: Dtype = Dtype::$dtype; })* };
}
elements!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64, f32 => F32, f64 => F64);

/// Where an array lies in the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayInfo {
    /// Element type.
    pub dtype: Dtype,
    /// Length in each dimension.
    pub shape: Vec<usize>,
    begin: usize,
    end: usize,
}

impl ArrayInfo {
    /// Its length in bytes.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.end - self.begin
    }
}

/// The bytes of an artifact, aligned to 8 either way: a map begins at a page.
#[derive(Debug)]
enum Content {
    Mapped(MappedFile),
    Owned { words: Vec<u64>, n_bytes: usize },
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned { words, n_bytes } => &bytemuck::cast_slice(words)[..*n_bytes],
        }
    }
}

/// An open artifact: mapped once, shared by whoever holds a reference.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    content: Content,
    metadata: BTreeMap<String, String>,
    arrays: BTreeMap<String, ArrayInfo>,
}

impl Artifact {
    /// Maps the file at `path` and checks its header: lengths, offsets, overlaps and types, all before any array is touched.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        Self::check(path, Content::Mapped(MappedFile::open(path)?))
    }

    /// As [`Self::open`] for a copy of the file at `original`, which is what refusals name.
    pub fn open_copy(copy: &Path, original: &Path) -> Result<Self, Failure> {
        Self::check(original, Content::Mapped(MappedFile::open(copy)?))
    }

    /// Checks an artifact that came in a message; `path` is what its refusals call it.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self::check(path, Content::Owned { words, n_bytes: bytes.len() })
    }

    fn check(path: &Path, content: Content) -> Result<Self, Failure> {
        let n_bytes = content.bytes().len();
        let refuse = |why: String| Failure::bad_input(format!("{}: {why}", path.display()));
        let damaged = |why: String| refuse(format!("is a damaged safetensors file, {why}; copy it again"));
        let (header_len, header) = SafeTensors::read_metadata(content.bytes()).map_err(|e| refuse(unreadable_header(&e)))?;
        let data_begin = header_len + 8;
        let mut arrays = BTreeMap::new();
        for (name, info) in header.tensors() {
            let (begin, end) = info.data_offsets;
            let (begin, end) = (data_begin + begin, data_begin + end);
            if end > n_bytes || begin > end {
                return Err(damaged(format!("its array {name} reaches past its end")));
            }
            arrays.insert(name, ArrayInfo { dtype: info.dtype, shape: info.shape.clone(), begin, end });
        }
        let longest = arrays.values().map(|a| a.end).max().unwrap_or(data_begin);
        if longest != n_bytes {
            return Err(damaged(format!("it has {n_bytes} bytes where its header tells of {longest}")));
        }
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        Ok(Self { path: path.to_owned(), content, metadata, arrays })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.content.bytes().len() as u64
    }

    /// All metadata, by key.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// All arrays, by name.
    #[must_use]
    pub fn arrays(&self) -> &BTreeMap<String, ArrayInfo> {
        &self.arrays
    }

    /// The metadata entry `key`, refused by name where it is missing.
    pub fn entry(&self, key: &str) -> Result<&str, Failure> {
        self.metadata.get(key).map(String::as_str).ok_or_else(|| self.refuse(&format!("has no metadata entry {key}")))
    }

    /// Refuses an artifact of another kind or version.
    pub fn expect_kind(&self, kind: &str, version: u32) -> Result<(), Failure> {
        let found = self.metadata.get(KIND_KEY).map_or("no paceline artifact", String::as_str);
        if found != kind {
            return Err(self.refuse(&format!("is {found}, where {kind} is needed; name a file of that kind")));
        }
        let found = self.entry(VERSION_KEY)?;
        if found != version.to_string() {
            return Err(self.refuse(&format!("has version {found} of {kind}, and this program reads version {version}; write it anew")));
        }
        Ok(())
    }

    /// Whether it holds the array `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// The elements of array `name` in place, and its shape. Refused: a missing array, another type, misaligned data.
    pub fn array<T: Element>(&self, name: &str) -> Result<(&[T], &[usize]), Failure> {
        let info = self.arrays.get(name).ok_or_else(|| self.refuse(&format!("has no array {name}")))?;
        if info.dtype != T::DTYPE {
            return Err(self.refuse(&format!("array {name} is of type {:?}, where {:?} is needed", info.dtype, T::DTYPE)));
        }
        let bytes = &self.content.bytes()[info.begin..info.end];
        let elements = bytemuck::try_cast_slice(bytes).map_err(|_| {
            self.refuse(&format!(
                "array {name} is not aligned to its element size; pad the header to a multiple of 8 bytes, as the safetensors package does"
            ))
        })?;
        Ok((elements, &info.shape))
    }

    /// The elements of a one-dimensional array of `len` elements (of any length for `None`).
    pub fn vector<T: Element>(&self, name: &str, len: Option<usize>) -> Result<&[T], Failure> {
        let (elements, shape) = self.array::<T>(name)?;
        match (shape.len(), len) {
            (1, None) => Ok(elements),
            (1, Some(len)) if elements.len() == len => Ok(elements),
            (_, len) => {
                let expected = len.map_or("[n]".to_owned(), |len| format!("[{len}]"));
                Err(self.refuse(&format!("array {name} has shape {shape:?}, where {expected} is needed")))
            }
        }
    }

    /// The elements of a two-dimensional array, row by row, with its number of rows and columns.
    pub fn matrix<T: Element>(&self, name: &str) -> Result<(&[T], usize, usize), Failure> {
        match self.array::<T>(name)? {
            (elements, &[n_rows, n_columns]) => Ok((elements, n_rows, n_columns)),
            (_, shape) => Err(self.refuse(&format!("array {name} has shape {shape:?}, where [n_rows, n_columns] is needed"))),
        }
    }

    /// A refusal of this file as it stands.
    #[must_use]
    pub fn refuse(&self, what: &str) -> Failure {
        Failure::bad_input(format!("{}: {what}", self.path.display()))
    }
}

/// What is wrong with a file whose header cannot be read, and what to do, as the end of a sentence.
fn unreadable_header(error: &SafeTensorError) -> String {
    use SafeTensorError as E;
    match error {
        // The first eight bytes are the length of the header: those of any other file are nonsense.
        E::HeaderTooLarge | E::HeaderTooSmall | E::InvalidHeaderLength | E::InvalidHeader(_) | E::InvalidHeaderDeserialization(_) => {
            "is no safetensors file, which every model is, or was cut short; name a model, or copy it again".to_owned()
        }
        other => format!("is a damaged safetensors file ({other}); copy it again"),
    }
}

/// One array to be written.
#[derive(Clone, Debug)]
pub struct NewArray<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Written one after the other.
    chunks: Vec<&'a [u8]>,
}

impl<'a> NewArray<'a> {
    /// An array of `shape`, whose product must be the number of elements.
    pub fn new<T: Element>(name: impl Into<String>, shape: &[usize], elements: &'a [T]) -> Self {
        Self::concatenated(name, shape, &[elements])
    }

    /// An array of `shape` whose elements stand in several places, such as maps of parts: they are written from there.
    pub fn concatenated<T: Element>(name: impl Into<String>, shape: &[usize], chunks: &[&'a [T]]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), chunks.iter().map(|chunk| chunk.len()).sum::<usize>());
        let chunks = chunks.iter().map(|chunk| bytemuck::cast_slice(chunk)).collect();
        Self { name: name.into(), dtype: T::DTYPE, shape: shape.to_vec(), chunks }
    }

    fn n_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// A one-dimensional array.
    pub fn vector<T: Element>(name: impl Into<String>, elements: &'a [T]) -> Self {
        Self::new(name, &[elements.len()], elements)
    }
}

#[derive(Serialize)]
struct HeaderEntry<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

/// What all data is aligned to, as the widest elements need it.
const ALIGNMENT: usize = 8;

/// Encodes the header of an artifact whose arrays follow in the order given, padded so that the data begins at a multiple of
/// [`ALIGNMENT`], and the last array at one of `alignment_of_last` where those before it leave that to the header. The same content
/// always gives the same bytes. Arrays of wider elements must come first, so that all are aligned.
fn encode_header(
    kind: &str,
    version: u32,
    metadata: &BTreeMap<String, String>,
    arrays: &[NewArray<'_>],
    alignment_of_last: usize,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut entries = metadata.clone();
    entries.insert(KIND_KEY.to_owned(), kind.to_owned());
    entries.insert(VERSION_KEY.to_owned(), version.to_string());
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::to_value(entries)?);
    let mut at = 0;
    for array in arrays {
        let entry = HeaderEntry { dtype: array.dtype, shape: &array.shape, data_offsets: [at, at + array.n_bytes()] };
        header.insert(array.name.clone(), serde_json::to_value(entry)?);
        at += array.n_bytes();
    }
    let mut json = serde_json::to_vec(&header)?;
    let before_last = at - arrays.last().map_or(0, NewArray::n_bytes);
    let (alignment, before_last) = if before_last.is_multiple_of(ALIGNMENT) { (alignment_of_last, before_last) } else { (ALIGNMENT, 0) };
    while !(size_of::<u64>() + json.len() + before_last).is_multiple_of(alignment) {
        json.push(b' ');
    }
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(&json);
    Ok(out)
}

/// Widest elements first (a stable sort, so equal widths keep the caller's order): then every array is aligned by itself.
fn in_aligned_order<'a>(arrays: &[NewArray<'a>]) -> Vec<NewArray<'a>> {
    let mut sorted = arrays.to_vec();
    sorted.sort_by_key(|array| std::cmp::Reverse(array.dtype.bitsize()));
    sorted
}

/// The bytes of an artifact, for one that is small enough to travel in a message.
pub fn encode(kind: &str, version: u32, metadata: &BTreeMap<String, String>, arrays: &[NewArray<'_>]) -> Result<Vec<u8>, Failure> {
    encode_aligned(kind, version, metadata, arrays, ALIGNMENT)
}

/// The same with the array of the narrowest elements, the last one of several, at a multiple of `alignment`, a power of two from 8
/// on; where arrays before it do not take a multiple of 8 bytes, all are aligned as ever.
pub fn encode_aligned(
    kind: &str,
    version: u32,
    metadata: &BTreeMap<String, String>,
    arrays: &[NewArray<'_>],
    alignment: usize,
) -> Result<Vec<u8>, Failure> {
    let (mut out, arrays) = laid_out(kind, version, metadata, arrays, alignment)?;
    chunks(&arrays).for_each(|chunk| out.extend_from_slice(chunk));
    Ok(out)
}

/// The header, and the arrays in the order in which they follow it.
fn laid_out<'a>(
    kind: &str,
    version: u32,
    metadata: &BTreeMap<String, String>,
    arrays: &[NewArray<'a>],
    alignment: usize,
) -> Result<(Vec<u8>, Vec<NewArray<'a>>), Failure> {
    debug_assert!(alignment.is_power_of_two() && alignment >= ALIGNMENT);
    let arrays = in_aligned_order(arrays);
    let header = encode_header(kind, version, metadata, &arrays, alignment).map_err(|e| Failure::storage(e.to_string()))?;
    Ok((header, arrays))
}

/// The bytes of arrays, piece by piece.
fn chunks<'a>(arrays: &[NewArray<'a>]) -> impl Iterator<Item = &'a [u8]> {
    arrays.iter().flat_map(|array| array.chunks.iter().copied())
}

/// Writes the same bytes to `to`, from where the arrays stand; `path` names the file for a refusal.
pub(crate) fn encode_to(
    to: &mut impl Write,
    path: &Path,
    kind: &str,
    version: u32,
    metadata: &BTreeMap<String, String>,
    arrays: &[NewArray<'_>],
    alignment: usize,
) -> Result<(), Failure> {
    let (header, arrays) = laid_out(kind, version, metadata, arrays, alignment)?;
    let mut pieces = [&header[..]].into_iter().chain(chunks(&arrays));
    pieces.try_for_each(|piece| to.write_all(piece)).map_err(|e| Failure::from_io("write", path, &e))
}

/// Writes an artifact durably and atomically in place of whatever stands at `path`.
pub fn write(path: &Path, kind: &str, version: u32, metadata: &BTreeMap<String, String>, arrays: &[NewArray<'_>]) -> Result<(), Failure> {
    let mut file = NewFile::create(path)?;
    encode_to(&mut file, path, kind, version, metadata, arrays, ALIGNMENT)?;
    file.commit()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    fn example() -> Vec<u8> {
        let metadata = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
        let arrays = [
            NewArray::vector("bytes", &[1_u8, 2, 3]),
            NewArray::new("table", &[2, 2], &[1.5_f32, -2.0, 0.0, 4.0]),
            NewArray::vector("wide", &[7_u64]),
        ];
        encode("example", 3, &metadata, &arrays).unwrap()
    }

    #[test]
    fn what_is_written_is_read_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        std::fs::write(&path, example()).unwrap();
        let artifact = Artifact::open(&path).unwrap();
        artifact.expect_kind("example", 3).unwrap();
        assert_eq!(artifact.entry("a").unwrap(), "1");
        assert_eq!(artifact.vector::<u8>("bytes", Some(3)).unwrap(), [1, 2, 3]);
        assert_eq!(artifact.matrix::<f32>("table").unwrap(), (&[1.5, -2.0, 0.0, 4.0][..], 2, 2));
        assert_eq!(artifact.vector::<u64>("wide", None).unwrap(), [7]);
        assert_eq!(example(), example(), "equal content must give equal bytes");
    }

    #[test]
    fn every_refusal_names_the_file_and_what_is_wrong() {
        let path = Path::new("models/x.safetensors");
        let artifact = Artifact::from_bytes(path, &example()).unwrap();
        let refusals = [
            (artifact.expect_kind("forest", 3).unwrap_err(), "is example, where forest is needed"),
            (artifact.expect_kind("example", 4).unwrap_err(), "version 3 of example"),
            (artifact.vector::<u8>("none", None).unwrap_err(), "has no array none"),
            (artifact.vector::<f64>("wide", None).unwrap_err(), "is of type U64, where F64 is needed"),
            (artifact.vector::<u64>("wide", Some(2)).unwrap_err(), "has shape [1], where [2] is needed"),
            (artifact.matrix::<u64>("wide").unwrap_err(), "where [n_rows, n_columns] is needed"),
        ];
        for (refusal, expected) in refusals {
            assert!(refusal.message.starts_with("models/x.safetensors: ") && refusal.message.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn other_files_and_cut_ones_are_refused_with_what_to_do() {
        let whole = example();
        let refusal = |bytes: &[u8]| Artifact::from_bytes(Path::new("x"), bytes).unwrap_err().message;
        for other in [&b""[..], b"ab", b"a,b\n1,2\n3,4\n", b"{\"json\": true}", &whole[..20]] {
            assert!(refusal(other).contains("is no safetensors file") && refusal(other).contains("name a model"), "{}", refusal(other));
        }
        let cut = refusal(&whole[..whole.len() - 3]);
        assert!(cut.contains("is a damaged safetensors file") && cut.contains("copy it again"), "{cut}");
        let dir = tempfile::tempdir().unwrap();
        let missing = Artifact::open(&dir.path().join("none")).unwrap_err().message;
        assert!(missing.contains("none: cannot read: ") && missing.contains("check the path"), "{missing}");
    }

    #[test]
    fn misaligned_data_is_refused_with_the_remedy() {
        // A legal header of odd length, as a careless writer makes it.
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(&1.0_f32.to_le_bytes());
        let artifact = Artifact::from_bytes(Path::new("x"), &bytes).unwrap();
        assert!(artifact.vector::<f32>("a", None).unwrap_err().message.contains("pad the header"));
    }

    /// Changes, cuts and lengthens files at many places: each is refused or read, none ends the process.
    #[test]
    fn no_bytes_whatever_end_the_reader() {
        let whole = example();
        let (mut state, mut n_refused) = (1_u64, 0);
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for round in 0..50_000 {
            let mut bytes = whole.clone();
            match round % 4 {
                0 => bytes.truncate(next(whole.len())),
                1 => bytes.extend((0..=next(9)).map(|_| 0)),
                _ => (0..=next(4)).for_each(|_| bytes[next(whole.len())] = next(256) as u8),
            }
            match Artifact::from_bytes(Path::new("x"), &bytes) {
                Err(_) => n_refused += 1,
                Ok(artifact) => {
                    for name in artifact.arrays().keys() {
                        // Whatever a changed header says, an array lies within the file.
                        let _ = (artifact.array::<u8>(name), artifact.array::<f32>(name), artifact.array::<u64>(name));
                    }
                }
            }
        }
        assert!(n_refused > 25_000, "only {n_refused} of 50,000 were refused");
        for len in 0..whole.len() {
            assert!(Artifact::from_bytes(Path::new("x"), &whole[..len]).is_err(), "a file cut to {len} bytes was accepted");
        }
    }
}
