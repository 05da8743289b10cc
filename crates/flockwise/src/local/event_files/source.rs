//! One file of events, and what was found in it.

use std::io::Read;
use std::ops::Range;

use flockwise_codec::decode::{Appearance, appearance};

use super::chunk::Line;
use super::documents::{DocumentReader, FoundDocument};
use super::file_order::FileOrder;
use super::merge::{Head, Stop};
use super::router::{Routed, Router};
use crate::exit::Failed;

/// Documents that are no events and are shown to the user, at most.
const SHOWN: usize = 3;
/// Bytes that are kept of each.
const SHOWN_BYTES: usize = 4096;

/// A file of events, and its next document.
pub(crate) struct Source {
    documents: DocumentReader,
    router: Router,
    /// `None`: any order is right.
    order: Option<FileOrder>,
    line: Line,
    text: Range<usize>,
    report: FileReport,
}

/// What was found in a file.
#[derive(Debug)]
pub(crate) struct FileReport {
    pub(crate) name: String,
    pub(crate) documents: u64,
    /// Documents that were events, those after the end of the replay included.
    pub(crate) events: u64,
    /// The first documents that were not.
    pub(crate) no_events: Vec<NoEvent>,
    /// It ended within an array.
    pub(crate) is_cut: bool,
}

/// A document that is not an event.
#[derive(Debug)]
pub(crate) struct NoEvent {
    /// The line that it begins on, from 1.
    pub(crate) line: u64,
    /// Its beginning.
    pub(crate) bytes: Vec<u8>,
    pub(crate) reason: String,
    /// It is an event, but from the future.
    pub(crate) is_ahead: bool,
    pub(crate) appearance: Option<Appearance>,
}

impl Source {
    /// The file with this number. Its documents belong to an input of the configuration.
    pub(crate) fn new(
        (file, name): (u32, String),
        input: u16,
        reader: Box<dyn Read + Send>,
        router: Router,
    ) -> Self {
        let mut line = Line::new(input);
        line.origin.file = file;
        Self {
            documents: DocumentReader::new(reader),
            router,
            order: None,
            line,
            text: 0..0,
            report: FileReport {
                name,
                documents: 0,
                events: 0,
                no_events: Vec::new(),
                is_cut: false,
            },
        }
    }

    /// From now on the reading stops if the events are not in order of time.
    pub(super) fn require_order(&mut self) {
        self.order = Some(FileOrder::new(self.router.lateness_ms()));
    }

    pub(super) fn into_report(self) -> FileReport {
        self.report
    }

    /// Reads the next document. `None` at the end.
    fn read(&mut self) -> std::io::Result<Option<Routed>> {
        if let Some(found) = self.documents.peek_line()?
            && let routed @ (Routed::Event | Routed::Later) = self.route(&found)
        {
            self.documents.take_line();
            return Ok(Some(routed));
        }
        let found = self.documents.next()?;
        Ok(found.map(|found| self.route(&found)))
    }

    fn route(&mut self, found: &FoundDocument) -> Routed {
        self.line.origin.line = found.line;
        self.text = found.text.clone();
        let text = self.documents.text(found.text.clone());
        self.router.route(&mut self.line, text)
    }

    fn check_order(
        &mut self,
        check: impl FnOnce(&mut FileOrder) -> Result<(), String>,
    ) -> Result<(), Stop> {
        let Some(order) = &mut self.order else {
            return Ok(());
        };
        check(order).map_err(|disorder| {
            let (name, line) = (&self.report.name, self.line.origin.line);
            Stop::OutOfOrder(format!("{name}, up to line {line}: {disorder}"))
        })
    }

    fn note(&mut self, routed: &Routed) {
        self.report.documents += 1;
        let reason = match routed {
            Routed::Event | Routed::Later => {
                self.report.events += 1;
                return;
            }
            Routed::Rejected(reason) => reason.clone(),
            Routed::Ahead => {
                "its time is further ahead of the clock than `time.max_ahead` allows".to_owned()
            }
        };
        if self.report.no_events.len() < SHOWN {
            let text = self.text();
            let bytes = text[..text.len().min(SHOWN_BYTES)].to_vec();
            self.report.no_events.push(NoEvent {
                line: self.line.origin.line,
                appearance: appearance(&bytes),
                bytes,
                reason,
                is_ahead: *routed == Routed::Ahead,
            });
        }
    }
}

impl Head for Source {
    fn line(&self) -> &Line {
        &self.line
    }

    fn text(&self) -> &[u8] {
        self.documents.text(self.text.clone())
    }

    fn advance(&mut self) -> Result<bool, Stop> {
        loop {
            let read = self.read().map_err(|error| {
                let (name, line) = (&self.report.name, self.documents.line());
                Failed::runtime(format!("{name}, line {line}: cannot read it: {error}"))
            })?;
            let Some(routed) = read else {
                self.report.is_cut = self.documents.is_in_array();
                self.check_order(|order| order.look())?;
                return Ok(false);
            };
            self.note(&routed);
            match routed {
                Routed::Later => continue,
                Routed::Event => {
                    let time_ms = self.line.time_ms;
                    self.check_order(|order| order.note(time_ms))?;
                }
                Routed::Rejected(_) | Routed::Ahead => {}
            }
            return Ok(true);
        }
    }
}
