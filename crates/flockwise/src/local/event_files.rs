//! Reads event files on a separate thread, merges them by event time, and cuts them into chunks.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Encoding;
use flockwise_codec::partitioner::Partitioner;
use flockwise_config::{Config, Input};
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;

use crate::exit::Failed;

/// Lines per chunk.
const CHUNK_LINES: usize = 8192;
/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 4;

/// Lines in the merged order, with their partitions.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// One line of a chunk.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    text: Range<usize>,
    /// Index of the input in the configuration.
    pub(crate) input: u16,
    /// Partition of the customer; 0 if the line is not a valid event.
    pub(crate) partition: u32,
    /// Event time, milliseconds since the epoch; that of the line before if the line is not a valid event, and
    /// [`i64::MIN`] if there was none.
    pub(crate) time_ms: i64,
}

impl Chunk {
    /// The lines of a slice, with their bytes.
    pub(crate) fn lines(&self, slice: Range<usize>) -> impl Iterator<Item = (&Line, &[u8])> {
        self.lines[slice]
            .iter()
            .map(|line| (line, &self.bytes[line.text.clone()]))
    }

    /// Cuts the chunk so that no slice spans two periods of either length: what the trainer learns from one period is
    /// then in use for the next.
    pub(crate) fn slices(&self, periods_ms: [i64; 2]) -> impl Iterator<Item = Range<usize>> {
        let span =
            move |line: &Line| periods_ms.map(|period_ms| line.time_ms.div_euclid(period_ms));
        let mut end = 0;
        self.lines
            .chunk_by(move |left, right| span(left) == span(right))
            .map(move |lines| {
                let start = end;
                end += lines.len();
                start..end
            })
    }

    fn push(&mut self, line: &Line, text: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.lines.push(Line {
            text: start..self.bytes.len(),
            ..line.clone()
        });
    }
}

/// A source of lines: a reader, and the input that its lines belong to.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) input: u16,
    pub(crate) reader: Box<dyn BufRead + Send>,
}

/// Decides the partition and the event time of each line.
pub(crate) struct Router {
    decoders: Vec<Decoder>,
    plan: Plan,
    partitioner: Partitioner,
    partitions: u32,
    /// Events after this time are dropped.
    until_ms: Option<i64>,
}

impl Router {
    pub(crate) fn new(config: &Config, partitions: u32, until_ms: Option<i64>) -> Self {
        // Only the customer id and the event time are needed, so the plan has no features.
        let plan = Plan::compile(&[]);
        let decoders = config
            .inputs
            .iter()
            .map(|input| Decoder::new(&input.format, &plan))
            .collect();
        Self {
            decoders,
            plan,
            partitioner: config.partitioner,
            partitions,
            until_ms,
        }
    }

    /// Sets the partition and the event time of a line. `None` if the event is to be dropped.
    fn route(&self, line: &mut Line, text: &[u8], event: &mut Event) -> Option<()> {
        let decoder = &self.decoders[usize::from(line.input)];
        if decoder.decode(&self.plan, Some(text), event).is_err() {
            line.partition = 0;
            return Some(());
        }
        if self
            .until_ms
            .is_some_and(|until_ms| event.time_ms > until_ms)
        {
            return None;
        }
        line.time_ms = event.time_ms;
        line.partition = self
            .partitioner
            .partition(event.customer_id().as_bytes(), self.partitions);
        Some(())
    }
}

/// Reads the sources on a separate thread. An error is the last item that the receiver gets.
pub(crate) fn start(
    sources: Vec<Source>,
    router: Router,
) -> Result<Receiver<Result<Chunk, Failed>>, Failed> {
    let (sender, receiver) = sync_channel(CHUNKS_AHEAD);
    let work = move || {
        if let Err(error) = merge(sources, &router, &sender) {
            // Fails only if the receiver is gone: the replay has ended for another reason.
            let _ = sender.send(Err(error));
        }
    };
    std::thread::Builder::new()
        .name("flockwise-files".to_owned())
        .spawn(work)
        .map_err(|error| {
            Failed::runtime(format!(
                "cannot start the thread that reads a file: {error}; raise the limit on threads"
            ))
        })?;
    Ok(receiver)
}

/// A source and its next line.
struct SourceHead {
    source: Source,
    line: Line,
    text: Vec<u8>,
    number: u64,
}

fn merge(
    sources: Vec<Source>,
    router: &Router,
    chunks: &SyncSender<Result<Chunk, Failed>>,
) -> Result<(), Failed> {
    let mut event = Event::default();
    let mut heads = Vec::with_capacity(sources.len());
    for source in sources {
        let line = Line {
            text: 0..0,
            input: source.input,
            partition: 0,
            time_ms: i64::MIN,
        };
        let mut head = SourceHead {
            source,
            line,
            text: Vec::new(),
            number: 0,
        };
        if head.advance(router, &mut event)? {
            heads.push(head);
        }
    }
    let mut chunk = Chunk::default();
    while let Some(first) = earliest(&heads) {
        let head = &mut heads[first];
        chunk.push(&head.line, &head.text);
        if !head.advance(router, &mut event)? {
            heads.remove(first);
        }
        if (chunk.lines.len() >= CHUNK_LINES || heads.is_empty())
            && chunks.send(Ok(std::mem::take(&mut chunk))).is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

fn earliest(heads: &[SourceHead]) -> Option<usize> {
    (0..heads.len()).min_by_key(|index| heads[*index].line.time_ms)
}

impl SourceHead {
    /// Reads the next line that is neither blank nor dropped. `false` at the end.
    fn advance(&mut self, router: &Router, event: &mut Event) -> Result<bool, Failed> {
        loop {
            self.text.clear();
            self.number += 1;
            let read = self
                .source
                .reader
                .read_until(b'\n', &mut self.text)
                .map_err(|error| {
                    let (name, number) = (&self.source.name, self.number);
                    Failed::runtime(format!("{name}, line {number}: cannot read it: {error}"))
                })?;
            if read == 0 {
                return Ok(false);
            }
            if self.text.trim_ascii().is_empty() {
                continue;
            }
            if router.route(&mut self.line, &self.text, event).is_some() {
                return Ok(true);
            }
        }
    }
}

/// Opens files of events for a configuration's inputs.
pub(crate) fn open(files: &[PathBuf], config: &Config) -> Result<Vec<Source>, Failed> {
    files
        .iter()
        .map(|path| {
            let reader = reader(path).map_err(|error| {
                Failed::invalid(format!("cannot read {}: {error}", path.display()))
            })?;
            let input = input_of(path, config)?;
            require_json(path, &config.inputs[usize::from(input)])?;
            Ok(Source {
                name: path.display().to_string(),
                input,
                reader,
            })
        })
        .collect()
}

/// Fails if the events of an input are not JSON: a file has one event on each line.
fn require_json(path: &Path, input: &Input) -> Result<(), Failed> {
    match input.format.encoding {
        Encoding::Json => Ok(()),
        Encoding::Avro { .. } => Err(Failed::invalid(format!(
            "{}: replay reads only JSON, and the input {} is Avro; export the topic as JSON, one event on each line, and remove \
             `encoding` from the format",
            path.display(),
            input.topic
        ))),
    }
}

fn reader(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other(
            "it is a directory, expected a file; give the files in it",
        ));
    }
    unpack(&path.to_string_lossy(), file)
}

/// A reader that decompresses by the file extension: `.gz`, `.zst`, or none.
pub(crate) fn unpack(
    name: &str,
    packed: impl Read + Send + 'static,
) -> io::Result<Box<dyn BufRead + Send>> {
    const BUFFER: usize = 1 << 18;
    Ok(match name.rsplit('.').next() {
        Some("gz") => Box::new(BufReader::with_capacity(
            BUFFER,
            flate2::read::MultiGzDecoder::new(packed),
        )),
        Some("zst") => Box::new(BufReader::with_capacity(
            BUFFER,
            zstd::stream::read::Decoder::new(packed)?,
        )),
        _ => Box::new(BufReader::with_capacity(BUFFER, packed)),
    })
}

/// The input that a file belongs to: the only one, or the one whose topic the file name starts with. The longest
/// topic wins.
fn input_of(path: &Path, config: &Config) -> Result<u16, Failed> {
    if config.inputs.len() == 1 {
        return Ok(0);
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let topics = config
        .inputs
        .iter()
        .map(|input| input.topic.as_str())
        .enumerate();
    topics
        .filter(|(_, topic)| name.starts_with(topic))
        .max_by_key(|(_, topic)| topic.len())
        .map(|(input, _)| input as u16)
        .ok_or_else(|| {
            let topics: Vec<&str> = config
                .inputs
                .iter()
                .map(|input| input.topic.as_str())
                .collect();
            Failed::invalid(format!(
                "{}: cannot tell which input the file belongs to; its name must start with one of the topics [{}]",
                path.display(),
                topics.join(", ")
            ))
        })
}
