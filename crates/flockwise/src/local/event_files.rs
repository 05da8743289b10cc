//! Reads event files on a separate thread, merges them by event time, and cuts them into chunks.

mod chunk;
mod documents;
mod file_order;
mod merge;
mod open;
mod router;
mod sorter;
mod source;
mod unpack;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use chunk::Line;
use merge::{Head, merge};
use sorter::{RUN_BYTES, Sorter};

pub(crate) use chunk::{Chunk, FilePlace};
pub(crate) use merge::Stop;
pub(crate) use open::{EventFile, open};
pub(crate) use router::Router;
pub(crate) use source::{FileReport, NoEvent, Source};
pub(crate) use unpack::unpack;

use crate::exit::Failed;

/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 4;

/// How events get into the order of their times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each file is in order of time as a topic is, which the reading checks: a late event is a late one.
    AsRead,
    /// The events are sorted, in temporary files in this directory if there are many.
    Sorted(PathBuf),
}

/// The thread that reads files.
pub(crate) struct Reading {
    chunks: Receiver<Chunk>,
    thread: JoinHandle<Result<WhatWasRead, Stop>>,
}

/// What a reading of files has found.
pub(crate) struct WhatWasRead {
    /// The files, in order.
    pub(crate) files: Vec<FileReport>,
    /// Bytes that were written to temporary files, to sort them.
    pub(crate) spilled_bytes: u64,
}

/// Reads the sources on a separate thread.
pub(crate) fn start(sources: Vec<Source>, order: Order) -> Result<Reading, Failed> {
    let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
    let thread = std::thread::Builder::new()
        .name("flockwise-files".to_owned())
        .spawn(move || read(sources, &order, sender))
        .map_err(|error| {
            Failed::runtime(format!(
                "cannot start the thread that reads a file: {error}; raise the limit on threads"
            ))
        })?;
    Ok(Reading { chunks, thread })
}

impl Reading {
    /// The chunks, as they are read.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk> {
        self.chunks.iter()
    }

    /// Waits for the end of the reading.
    pub(crate) fn finish(self) -> Result<WhatWasRead, Stop> {
        drop(self.chunks);
        match self.thread.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn read(
    mut sources: Vec<Source>,
    order: &Order,
    chunks: SyncSender<Chunk>,
) -> Result<WhatWasRead, Stop> {
    let mut outlet = Outlet {
        chunk: Chunk::default(),
        chunks,
    };
    let spilled_bytes = match order {
        Order::AsRead => {
            sources.iter_mut().for_each(Source::require_order);
            let heads = sources.iter_mut().map(|source| source as &mut dyn Head);
            let mut heads: Vec<_> = heads.collect();
            merge(&mut heads, |line, text| outlet.push(line, text))?;
            0
        }
        Order::Sorted(directory) => {
            let mut sorter = Sorter::new(directory, RUN_BYTES);
            for source in &mut sources {
                while source.advance()? {
                    sorter.push(source.line(), source.text())?;
                }
            }
            let spilled_bytes = sorter.spilled_bytes();
            sorter.finish(|line, text| outlet.push(line, text))?;
            spilled_bytes
        }
    };
    outlet.finish()?;
    Ok(WhatWasRead {
        files: sources.into_iter().map(Source::into_report).collect(),
        spilled_bytes,
    })
}

/// Sends documents in chunks.
struct Outlet {
    chunk: Chunk,
    chunks: SyncSender<Chunk>,
}

impl Outlet {
    fn push(&mut self, line: &Line, text: &[u8]) -> Result<(), Stop> {
        self.chunk.push(line, text);
        match self.chunk.is_full() {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), Stop> {
        match self.chunk.all().is_empty() {
            true => Ok(()),
            false => self.send(),
        }
    }

    fn send(&mut self) -> Result<(), Stop> {
        let chunk = std::mem::take(&mut self.chunk);
        self.chunks.send(chunk).map_err(|_| Stop::NoReceiver)
    }
}
