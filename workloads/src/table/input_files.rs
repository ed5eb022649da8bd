//! From the paths that a person names to the files of a table: directories listed, formats told by name and checked by content.

use paceline_common::failure::Failure;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The format of a file of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputFormat {
    /// Apache Parquet.
    Parquet,
    /// Text with a delimiter, perhaps compressed.
    Csv(Compression),
    /// Arrow IPC file, also known as Feather version 2.
    ArrowIpc,
    /// A NumPy array.
    Npy,
}

/// How a CSV is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

const KNOWN_EXTENSIONS: &str = ".parquet, .csv, .csv.gz, .csv.zst, .tsv, .arrow, .feather or .npy";

impl InputFormat {
    /// What the name of a file promises.
    fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (stem, compression) = match name.rsplit_once('.')? {
            (stem, "gz") => (stem, Compression::Gzip),
            (stem, "zst") => (stem, Compression::Zstd),
            _ => (name.as_str(), Compression::None),
        };
        match (stem.rsplit_once('.')?.1, compression) {
            ("csv" | "tsv", compression) => Some(Self::Csv(compression)),
            ("parquet" | "pq", Compression::None) => Some(Self::Parquet),
            ("arrow" | "feather" | "ipc", Compression::None) => Some(Self::ArrowIpc),
            ("npy", Compression::None) => Some(Self::Npy),
            _ => None,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv(Compression::None) => "CSV",
            Self::Csv(Compression::Gzip) => "gzip-compressed CSV",
            Self::Csv(Compression::Zstd) => "zstd-compressed CSV",
            Self::ArrowIpc => "Arrow IPC",
            Self::Npy => "NumPy",
        }
    }

    fn is_same_family(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Csv(_), Self::Csv(_)))
    }
}

/// What the first bytes of a file tell.
fn content_noun(head: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 10] = [
        (b"PAR1", "Parquet"),
        (b"PARE", "encrypted Parquet"),
        (b"ARROW1", "Arrow IPC"),
        (b"\xff\xff\xff\xff", "an Arrow stream"),
        (b"FEA1", "Feather version 1"),
        (b"\x93NUMPY", "NumPy"),
        (b"\x1f\x8b", "gzip-compressed"),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
        (b"PK\x03\x04", "zip or spreadsheet"),
        (b"\xff\xfe", "UTF-16 text"),
    ];
    MAGICS.iter().find(|(magic, _)| head.starts_with(magic)).map(|&(_, noun)| noun)
}

/// The files of a table in row order, all of one format.
pub(crate) fn list(paths: &[PathBuf]) -> Result<Vec<(PathBuf, InputFormat)>, Failure> {
    let mut files: Vec<(PathBuf, InputFormat)> = Vec::new();
    for path in paths {
        let facts = fs::metadata(path).map_err(|e| Failure::from_io("read", path, &e))?;
        if facts.is_dir() {
            files.extend(list_directory(path)?);
        } else {
            let format = InputFormat::of_name(path).ok_or_else(|| {
                let message = format!("{}: is no table by its name; tables end in {KNOWN_EXTENSIONS}", path.display());
                Failure::bad_input(message)
            })?;
            files.push((path.clone(), format));
        }
    }
    let Some((first_path, first_format)) = files.first() else {
        return Err(Failure::bad_input("no table is named; name at least one file"));
    };
    if let Some((path, format)) = files.iter().find(|(_, format)| !format.is_same_family(*first_format)) {
        let (this, that) = (format.noun(), first_format.noun());
        let message =
            format!("{}: is a {this} file beside the {that} file {}; name files of one format", path.display(), first_path.display());
        return Err(Failure::bad_input(message));
    }
    for (path, format) in &files {
        check_content(path, *format)?;
    }
    Ok(files)
}

/// The tables in a directory, by name. What is hidden or no table by its name (a note, a marker of success) is passed over.
fn list_directory(dir: &Path) -> Result<Vec<(PathBuf, InputFormat)>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| Failure::from_io("list", dir, &e))? {
        let path = entry.map_err(|e| Failure::from_io("list", dir, &e))?.path();
        let is_hidden = path.file_name().is_none_or(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')));
        if let Some(format) = InputFormat::of_name(&path).filter(|_| !is_hidden && path.is_file()) {
            files.push((path, format));
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    if files.is_empty() {
        return Err(Failure::bad_input(format!("{}: holds no table; tables end in {KNOWN_EXTENSIONS}", dir.display())));
    }
    Ok(files)
}

fn check_content(path: &Path, format: InputFormat) -> Result<(), Failure> {
    const LONGEST_MAGIC: u64 = 8;
    let mut head = Vec::new();
    let file = File::open(path).map_err(|e| Failure::from_io("read", path, &e))?;
    if !file.metadata().map_err(|e| Failure::from_io("read", path, &e))?.is_file() {
        return Err(Failure::bad_input(format!("{}: is not a regular file; write the table to a file", path.display())));
    }
    file.take(LONGEST_MAGIC).read_to_end(&mut head).map_err(|e| Failure::from_io("read", path, &e))?;
    if head.is_empty() {
        return Err(Failure::bad_input(format!("{}: is empty; write the table again", path.display())));
    }
    let expected = match format {
        InputFormat::Csv(Compression::None) => None,
        InputFormat::Csv(Compression::Gzip) => Some("gzip-compressed"),
        InputFormat::Csv(Compression::Zstd) => Some("zstd-compressed"),
        binary => Some(binary.noun()),
    };
    let found = content_noun(&head);
    if found == expected {
        return Ok(());
    }
    let (path, promised) = (path.display(), format.noun());
    Err(Failure::bad_input(match found {
        Some(found) => format!("{path}: is {found} by its first bytes and {promised} by its name; rename or convert it"),
        None => format!("{path}: is no {promised} file, though its name says so; rename it or write it again"),
    }))
}
