//! Parts: the results of a range, one run of bytes an item, in a form from which any single item can be read.
//! A part is an artifact, so it is checked, aligned and mapped like a model. What the bytes mean, only the workload knows.

use crate::artifact::{self, Artifact, NewArray};
use crate::failure::Failure;
use crate::files;
use crate::ids::StageIdx;
use crate::job_dir::{CommittedPart, JobDir, StageManifest};
use crate::message::{MAX_INLINE_BYTES, PartBody, PartFile};
use crate::range::ItemRange;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

const KIND: &str = "part";
const VERSION: u32 = 1;
/// Every item's bytes begin at a multiple of this, so that a reader may take them as an array of any element.
const ITEM_ALIGNMENT: usize = 8;
/// Large items begin with a cache line, so that what is laid out by lines in them can be read by lines.
const LARGE_ITEM_ALIGNMENT: usize = 64;
/// Bytes of an item, on the average of a part, from which on this costs next to nothing.
const LARGE_ITEM_BYTES: usize = 4096;
/// Key of the metadata entry with another alignment than [`ITEM_ALIGNMENT`].
const ALIGNMENT_KEY: &str = "item_alignment";

/// The results of consecutive items, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemOutputs {
    data: Vec<u8>,
    /// Where each item's bytes end in `data`; the next begins at the next multiple of [`ITEM_ALIGNMENT`].
    ends: Vec<u64>,
}

impl ItemOutputs {
    /// Adds the next item's bytes, written by `write` to the end of the vector that it is given.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.data.resize(self.data.len().next_multiple_of(ITEM_ALIGNMENT), 0);
        write(&mut self.data);
        self.ends.push(self.data.len() as u64);
    }

    /// The bytes of every item.
    fn items(&self) -> impl Iterator<Item = &[u8]> {
        let mut begin = 0;
        self.ends.iter().map(move |&end| {
            let item = self.data.get(begin..end as usize).unwrap_or_default();
            begin = (end as usize).next_multiple_of(ITEM_ALIGNMENT);
            item
        })
    }

    /// Adds the next item's bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_with(|data| data.extend_from_slice(bytes));
    }

    /// Adds the next item's bytes; those of a first item, often a large and only one, are kept where they are.
    pub fn push_owned(&mut self, bytes: Vec<u8>) {
        if self.is_empty() {
            self.ends.push(bytes.len() as u64);
            self.data = bytes;
        } else {
            self.push(&bytes);
        }
    }

    /// Adds all items of `other` behind these.
    pub fn append(&mut self, other: &Self) {
        self.data.resize(self.data.len().next_multiple_of(ITEM_ALIGNMENT), 0);
        let base = self.data.len() as u64;
        self.data.extend_from_slice(&other.data);
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }

    /// How many items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.data.len() + self.ends.len() * size_of::<u64>()
    }
}

/// Stores the results of `range`, which stand in `runs` one after the other, as a part: in the message where they are few, else as a
/// file in `directory` that is durable before this returns. They are written from where they stand, and the checksum is taken on the way.
pub fn store(directory: &Path, name: &str, range: ItemRange, runs: &[ItemOutputs]) -> Result<PartBody, Failure> {
    debug_assert_eq!(runs.iter().map(ItemOutputs::len).sum::<usize>() as u64, range.len());
    let bytes_about = runs.iter().map(ItemOutputs::n_bytes).sum::<usize>() + 1024;
    let layout = PartLayout::of(runs);
    if bytes_about <= MAX_INLINE_BYTES {
        let (metadata, arrays) = layout.content(range);
        return Ok(PartBody::Inline(artifact::encode_aligned(KIND, VERSION, &metadata, &arrays, layout.alignment)?));
    }
    let path = directory.join(name);
    std::fs::create_dir_all(directory).map_err(|e| Failure::from_io("create", directory, &e))?;
    let mut file = Checksummed { file: files::NewFile::create(&path)?, hasher: crc32fast::Hasher::new(), size_bytes: 0 };
    let (metadata, arrays) = layout.content(range);
    artifact::encode_to(&mut file, &path, KIND, VERSION, &metadata, &arrays, layout.alignment)?;
    let Checksummed { file, hasher, size_bytes } = file;
    file.commit()?;
    Ok(PartBody::File(PartFile { name: name.to_owned(), size_bytes, crc32: hasher.finalize() }))
}

/// A file whose checksum is taken as it is written.
struct Checksummed {
    file: files::NewFile,
    hasher: crc32fast::Hasher,
    size_bytes: u64,
}

impl Write for Checksummed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n_written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n_written]);
        self.size_bytes += n_written as u64;
        Ok(n_written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Where the items of a part go.
struct PartLayout<'a> {
    alignment: usize,
    /// Where each item's bytes end.
    ends: Vec<u64>,
    /// The items and what lies between them.
    chunks: Vec<&'a [u8]>,
}

impl<'a> PartLayout<'a> {
    fn of(runs: &'a [ItemOutputs]) -> Self {
        let (n_items, n_bytes) = (runs.iter().map(ItemOutputs::len).sum::<usize>(), runs.iter().map(|run| run.data.len()).sum::<usize>());
        let alignment = if n_bytes < n_items * LARGE_ITEM_BYTES { ITEM_ALIGNMENT } else { LARGE_ITEM_ALIGNMENT };
        let mut layout = Self { alignment, ends: Vec::with_capacity(n_items), chunks: Vec::new() };
        let mut end = 0;
        for run in runs {
            // Small items stand in their run as they do in the part.
            if alignment == ITEM_ALIGNMENT {
                end = layout.pad(end);
                layout.ends.extend(run.ends.iter().map(|&of_run| end as u64 + of_run));
                layout.chunks.push(&run.data);
                end += run.data.len();
            } else {
                for item in run.items() {
                    end = layout.pad(end);
                    layout.chunks.push(item);
                    end += item.len();
                    layout.ends.push(end as u64);
                }
            }
        }
        layout
    }

    /// Fills up to where the next item may begin.
    fn pad(&mut self, end: usize) -> usize {
        static PADDING: [u8; LARGE_ITEM_ALIGNMENT] = [0; LARGE_ITEM_ALIGNMENT];
        let begin = end.next_multiple_of(self.alignment);
        self.chunks.push(&PADDING[..begin - end]);
        begin
    }

    fn content(&self, range: ItemRange) -> (BTreeMap<String, String>, [NewArray<'_>; 2]) {
        let mut metadata = BTreeMap::from([("start".to_owned(), range.start.to_string()), ("end".to_owned(), range.end.to_string())]);
        if self.alignment != ITEM_ALIGNMENT {
            metadata.insert(ALIGNMENT_KEY.to_owned(), self.alignment.to_string());
        }
        let n_bytes = self.chunks.iter().map(|chunk| chunk.len()).sum();
        (metadata, [NewArray::vector("ends", &self.ends), NewArray::concatenated("data", &[n_bytes], &self.chunks)])
    }
}

/// An open part.
#[derive(Debug)]
struct Part {
    artifact: Artifact,
    range: ItemRange,
    alignment: usize,
}

impl Part {
    fn open(directory: &Path, part: &CommittedPart, reading: Reading) -> Result<Option<Self>, Failure> {
        let artifact = match &part.body {
            PartBody::Empty => return Ok(None),
            PartBody::Inline(bytes) => Artifact::from_bytes(directory, bytes)?,
            PartBody::File(file) => open_file(directory, file, reading)?,
        };
        artifact.expect_kind(KIND, VERSION)?;
        let alignment = match artifact.metadata().get(ALIGNMENT_KEY) {
            None => ITEM_ALIGNMENT,
            Some(text) => match text.parse() {
                Ok(alignment) if (ITEM_ALIGNMENT..=LARGE_ITEM_ALIGNMENT).contains(&alignment) && alignment.is_power_of_two() => alignment,
                _ => return Err(damaged_table(&artifact)),
            },
        };
        let part = Self { artifact, range: part.part_items, alignment };
        part.check()?;
        Ok(Some(part))
    }

    /// Every item's bytes must lie within the data, in order.
    fn check(&self) -> Result<(), Failure> {
        let (ends, data) = self.arrays()?;
        let is_sound = ends.len() as u64 == self.range.len() && ends.is_sorted() && ends.last().copied().unwrap_or(0) == data.len() as u64;
        if is_sound { Ok(()) } else { Err(damaged_table(&self.artifact)) }
    }

    fn arrays(&self) -> Result<(&[u64], &[u8]), Failure> {
        Ok((self.artifact.vector("ends", None)?, self.artifact.vector("data", None)?))
    }

    fn item(&self, item: u64) -> Result<&[u8], Failure> {
        let (ends, data) = self.arrays()?;
        let i = (item - self.range.start) as usize;
        let begin = if i == 0 { 0 } else { (ends[i - 1] as usize).next_multiple_of(self.alignment) };
        // An empty item at the very end may begin, by alignment, behind the last byte.
        Ok(data.get(begin..ends[i] as usize).unwrap_or_default())
    }
}

fn damaged_table(artifact: &Artifact) -> Failure {
    Failure::storage(format!("{}: the part's table of items is damaged", artifact.path().display()))
}

/// How much of a part is read when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// All of it, so that its checksum is known to be right.
    Whole,
    /// The header and the table of items.
    Header,
}

/// Opens a part file once all of it is visible here, and checks it against what its writer reported.
fn open_file(directory: &Path, file: &PartFile, reading: Reading) -> Result<Artifact, Failure> {
    let path = directory.join(&file.name);
    files::wait_until_visible(&path, Some(file.size_bytes))?;
    if reading == Reading::Whole {
        let map = crate::mapping::MappedFile::open(&path)?;
        if crc32fast::hash(&map) != file.crc32 {
            return Err(Failure::storage(format!("{}: the part's checksum differs from the one reported for it", path.display())));
        }
    }
    Artifact::open(&path)
}

/// All committed results of a finished stage, mapped.
#[derive(Debug)]
pub struct StageParts {
    manifest: StageManifest,
    /// Beside each entry of the manifest; `None` where it has no bytes.
    parts: Vec<Option<Part>>,
}

impl StageParts {
    /// Opens every part of `stage`, waiting for those that other nodes wrote to become visible here.
    pub fn open(job_dir: &JobDir, stage: StageIdx) -> Result<Self, Failure> {
        Self::open_reading(job_dir, stage, Reading::Whole)
    }

    /// The same for one who looks at the beginnings of items alone and must not read all bytes: their checksums are not looked at.
    pub fn open_unread(job_dir: &JobDir, stage: StageIdx) -> Result<Self, Failure> {
        Self::open_reading(job_dir, stage, Reading::Header)
    }

    fn open_reading(job_dir: &JobDir, stage: StageIdx, reading: Reading) -> Result<Self, Failure> {
        let manifest = job_dir.read_manifest(stage)?;
        let directory = job_dir.parts_path(stage);
        if manifest.parts.iter().any(|part| part.items.intersect(part.part_items) != part.items) {
            return Err(Failure::storage(format!(
                "{}: is damaged: it takes items from a part that does not hold them",
                job_dir.manifest_path(stage).display()
            )));
        }
        let parts = manifest.parts.iter().map(|part| Part::open(&directory, part, reading)).collect::<Result<_, _>>()?;
        Ok(Self { manifest, parts })
    }

    /// How many items the stage has.
    #[must_use]
    pub fn n_items(&self) -> u64 {
        self.manifest.n_items
    }

    /// Items that were set aside and have no result.
    #[must_use]
    pub fn quarantined(&self) -> &[u64] {
        &self.manifest.quarantined
    }

    /// The result of one item; `None` where it was set aside.
    pub fn item(&self, item: u64) -> Result<Option<&[u8]>, Failure> {
        let after = self.manifest.parts.partition_point(|part| part.items.end <= item);
        match self.manifest.parts.get(after) {
            Some(entry) if entry.items.contains(item) => match &self.parts[after] {
                Some(part) => part.item(item).map(Some),
                None => Ok(Some(&[])),
            },
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_back_whether_inline_or_from_a_file() -> Result<(), Failure> {
        let dir = tempfile::tempdir().map_err(|e| Failure::storage(e.to_string()))?;
        let job_dir = JobDir::new(dir.path());
        for item_len in [0_usize, 1, 13, 20_000] {
            let range = ItemRange::new(5, 9);
            let mut outputs = ItemOutputs::default();
            outputs.push(&vec![5; item_len]);
            let mut rest = ItemOutputs::default();
            rest.push_owned(vec![6; item_len + 6]);
            rest.push_owned(vec![7; item_len + 7]);
            (8..9_u8).for_each(|i| rest.push(&vec![i; item_len + usize::from(i)]));
            let stage = StageIdx(item_len as u32);
            let body = store(&job_dir.parts_path(stage), "p", range, &[outputs, rest])?;
            let is_large = item_len == 20_000;
            assert_eq!(matches!(body, PartBody::File(_)), is_large);
            // Item 5 was committed from elsewhere, as after a speculation.
            let part = CommittedPart { items: ItemRange::new(6, 9), part_items: range, body };
            let manifest = StageManifest { n_items: 9, parts: vec![part], quarantined: vec![] };
            std::fs::create_dir_all(job_dir.path().join("parts")).map_err(|e| Failure::storage(e.to_string()))?;
            JobDir::write_json(&job_dir.manifest_path(stage), &manifest)?;
            let parts = StageParts::open(&job_dir, stage)?;
            assert_eq!(parts.item(5)?, None);
            for i in 6..9_u8 {
                let item = parts.item(u64::from(i))?;
                assert_eq!(item, Some(&vec![i; item_len + usize::from(i)][..]));
                let begins_with_a_line = item.is_some_and(|item| item.as_ptr().addr().is_multiple_of(LARGE_ITEM_ALIGNMENT));
                assert!(!is_large || begins_with_a_line, "item {i} begins amid a cache line");
            }
            assert_eq!(StageParts::open_unread(&job_dir, stage)?.item(8)?, parts.item(8)?);
        }
        Ok(())
    }

    #[test]
    fn many_small_items_come_back_from_a_file_of_several_runs() -> Result<(), Failure> {
        let dir = tempfile::tempdir().map_err(|e| Failure::storage(e.to_string()))?;
        let bytes_of = |item: u64| vec![item as u8; (item % 11) as usize];
        let (range, run_len) = (ItemRange::new(3, 8003), 1000);
        let runs: Vec<ItemOutputs> = (range.start..range.end)
            .step_by(run_len)
            .map(|first| {
                let mut run = ItemOutputs::default();
                (first..first + run_len as u64).for_each(|item| run.push(&bytes_of(item)));
                run
            })
            .collect();
        let body = store(dir.path(), "p", range, &runs)?;
        assert!(matches!(body, PartBody::File(_)));
        let part = Part::open(dir.path(), &CommittedPart { items: range, part_items: range, body }, Reading::Whole)?;
        let part = part.ok_or_else(|| Failure::storage("empty"))?;
        for item in range.start..range.end {
            assert_eq!(part.item(item)?, bytes_of(item), "item {item}");
        }
        Ok(())
    }

    #[test]
    fn a_changed_byte_is_found() -> Result<(), Failure> {
        let dir = tempfile::tempdir().map_err(|e| Failure::storage(e.to_string()))?;
        let mut outputs = ItemOutputs::default();
        outputs.push(&[7; 30_000]);
        let PartBody::File(file) = store(dir.path(), "p", ItemRange::one(0), &[outputs])? else { return Err(Failure::storage("inline")) };
        assert!(open_file(dir.path(), &file, Reading::Whole).is_ok());
        let path = dir.path().join("p");
        let mut bytes = std::fs::read(&path).unwrap_or_default();
        *bytes.last_mut().unwrap_or(&mut 0) ^= 1;
        std::fs::write(&path, bytes).map_err(|e| Failure::storage(e.to_string()))?;
        let refused = open_file(dir.path(), &file, Reading::Whole).map_or_else(|e| e.message, |_| String::new());
        assert!(refused.contains("checksum"), "{refused}");
        Ok(())
    }
}
