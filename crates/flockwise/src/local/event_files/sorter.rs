//! Sorts documents by event time in bounded memory: an external merge sort.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::chunk::{Chunk, FilePlace, Line};
use super::merge::{Head, Stop, merge};
use crate::exit::Failed;

/// Bytes of the documents that are sorted in memory, about.
pub(super) const RUN_BYTES: usize = 128 << 20;
/// Temporary files that are open at once, at most.
const MAX_RUNS: usize = 128;
/// Bytes of each that are read or written at once.
const BUFFER: usize = 1 << 16;
/// Bytes before each document: time, line, file, partition, input, length.
const HEADER_BYTES: usize = 8 + 8 + 4 + 4 + 2 + 4;

/// Sorts documents by event time. Documents of equal times keep their order.
pub(super) struct Sorter {
    /// For temporary files.
    directory: PathBuf,
    run_bytes: usize,
    max_runs: usize,
    runs: Vec<File>,
    /// Documents that are not in a run yet.
    latest: Chunk,
    spilled_bytes: u64,
}

/// A sorted run in a temporary file, and its present document.
struct StoredRun {
    file: BufReader<File>,
    line: Line,
    text: Vec<u8>,
}

/// A sorted run in memory.
struct LatestRun {
    chunk: Chunk,
    /// Documents passed, with the present one.
    passed: usize,
}

impl Sorter {
    pub(super) fn new(directory: &Path, run_bytes: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            run_bytes,
            max_runs: MAX_RUNS,
            runs: Vec::new(),
            latest: Chunk::default(),
            spilled_bytes: 0,
        }
    }

    /// Adds a document.
    pub(super) fn push(&mut self, line: &Line, text: &[u8]) -> Result<(), Stop> {
        self.latest.push(line, text);
        if self.latest.size() >= self.run_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Bytes that were written to temporary files so far.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }

    /// Gives all documents to `take` in their order.
    pub(super) fn finish(
        mut self,
        take: impl FnMut(&Line, &[u8]) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.latest.sort();
        let mut latest = LatestRun {
            chunk: self.latest,
            passed: 0,
        };
        let mut stored = open_all(self.runs).map_err(|error| failed(&self.directory, &error))?;
        let mut heads = heads(&mut stored);
        heads.push(&mut latest);
        merge(&mut heads, take)
    }

    /// Writes the documents in memory to a temporary file.
    fn spill(&mut self) -> Result<(), Stop> {
        let mut chunk = std::mem::take(&mut self.latest);
        chunk.sort();
        let mut latest = LatestRun { chunk, passed: 0 };
        if self.runs.len() == self.max_runs {
            let runs = std::mem::take(&mut self.runs);
            let mut stored = open_all(runs).map_err(|error| failed(&self.directory, &error))?;
            self.store(&mut heads(&mut stored))?;
        }
        self.store(&mut [&mut latest])
    }

    /// Merges runs into a new one.
    fn store(&mut self, heads: &mut [&mut dyn Head]) -> Result<(), Stop> {
        let failed = |error: &io::Error| Stop::from(failed(&self.directory, error));
        let file = tempfile::tempfile_in(&self.directory).map_err(|error| failed(&error))?;
        let mut file = BufWriter::with_capacity(BUFFER, file);
        merge(heads, |line, text| {
            self.spilled_bytes += (HEADER_BYTES + text.len()) as u64;
            write(&mut file, line, text).map_err(|error| failed(&error))
        })?;
        let file = file.into_inner().map_err(|error| failed(error.error()))?;
        self.runs.push(file);
        Ok(())
    }
}

fn failed(directory: &Path, error: &io::Error) -> Failed {
    Failed::runtime(format!(
        "cannot sort the events in temporary files in {}: {error}; give a directory with room for all events as --out, \
         or as TMPDIR",
        directory.display()
    ))
}

fn open_all(runs: Vec<File>) -> io::Result<Vec<StoredRun>> {
    let open = |mut file: File| {
        file.rewind()?;
        Ok(StoredRun {
            file: BufReader::with_capacity(BUFFER, file),
            line: Line::new(0),
            text: Vec::new(),
        })
    };
    runs.into_iter().map(open).collect()
}

fn heads(runs: &mut [StoredRun]) -> Vec<&mut dyn Head> {
    let heads = runs.iter_mut();
    heads.map(|run| run as &mut dyn Head).collect()
}

fn write(file: &mut impl Write, line: &Line, text: &[u8]) -> io::Result<()> {
    file.write_all(&line.time_ms.to_le_bytes())?;
    file.write_all(&line.origin.line.to_le_bytes())?;
    file.write_all(&line.origin.file.to_le_bytes())?;
    file.write_all(&line.partition.to_le_bytes())?;
    file.write_all(&line.input.to_le_bytes())?;
    // A document has `LARGEST_EVENT` bytes and one more, at most.
    file.write_all(&(text.len() as u32).to_le_bytes())?;
    file.write_all(text)
}

impl StoredRun {
    fn number<const BYTES: usize>(&mut self) -> io::Result<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn read(&mut self) -> io::Result<()> {
        self.line.time_ms = i64::from_le_bytes(self.number()?);
        let line = u64::from_le_bytes(self.number()?);
        let file = u32::from_le_bytes(self.number()?);
        self.line.origin = FilePlace { file, line };
        self.line.partition = u32::from_le_bytes(self.number()?);
        self.line.input = u16::from_le_bytes(self.number()?);
        let length = u32::from_le_bytes(self.number()?);
        self.text.resize(length as usize, 0);
        self.file.read_exact(&mut self.text)
    }
}

impl Head for StoredRun {
    fn line(&self) -> &Line {
        &self.line
    }

    fn text(&self) -> &[u8] {
        &self.text
    }

    fn advance(&mut self) -> Result<bool, Stop> {
        use std::io::BufRead;
        let is_more = self.file.fill_buf().map(|bytes| !bytes.is_empty());
        let read = is_more.and_then(|is_more| match is_more {
            true => self.read().map(|()| true),
            false => Ok(false),
        });
        read.map_err(|error| {
            Failed::runtime(format!("cannot read a temporary file again: {error}")).into()
        })
    }
}

impl Head for LatestRun {
    fn line(&self) -> &Line {
        &self.chunk.all()[self.passed - 1]
    }

    fn text(&self) -> &[u8] {
        self.chunk.text(self.line())
    }

    fn advance(&mut self) -> Result<bool, Stop> {
        self.passed += 1;
        Ok(self.passed <= self.chunk.all().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts documents with these times in runs of `run_bytes`, and returns times and texts.
    fn sorted(times: &[i64], run_bytes: usize, max_runs: usize) -> Vec<(i64, String)> {
        let mut sorter = Sorter::new(&std::env::temp_dir(), run_bytes);
        sorter.max_runs = max_runs;
        for (number, time_ms) in times.iter().enumerate() {
            let mut line = Line::new(number as u16);
            line.time_ms = *time_ms;
            line.partition = number as u32;
            line.origin = FilePlace {
                file: 7,
                line: number as u64,
            };
            sorter.push(&line, number.to_string().as_bytes()).unwrap();
        }
        let mut taken = Vec::new();
        sorter
            .finish(|line, text| {
                let text = String::from_utf8_lossy(text).into_owned();
                assert_eq!(line.origin.line.to_string(), text);
                assert_eq!(line.partition.to_string(), text);
                assert_eq!(
                    (line.origin.file, line.input.to_string()),
                    (7, text.clone())
                );
                taken.push((line.time_ms, text));
                Ok(())
            })
            .unwrap();
        taken
    }

    #[test]
    fn however_small_the_memory_the_order_is_that_of_a_stable_sort() {
        let mut state = 1_u64;
        let mut times = vec![i64::MIN, i64::MAX, 0];
        times.extend((0..500).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 60) as i64 - 8
        }));
        let texts = times.iter().enumerate();
        let mut expected: Vec<_> = texts
            .map(|(number, time)| (*time, number.to_string()))
            .collect();
        expected.sort_by_key(|(time_ms, _)| *time_ms);
        for (run_bytes, max_runs) in [(1, 2), (1, 5), (1000, 3), (5000, 128), (1 << 20, 128)] {
            assert_eq!(sorted(&times, run_bytes, max_runs), expected);
        }
        assert_eq!(sorted(&[], 1, 1), []);
    }
}
