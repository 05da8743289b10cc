//! Opens event files, and finds the input that each belongs to.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use flockwise_codec::format::Encoding;
use flockwise_config::{Config, Input};

use super::router::Router;
use super::source::Source;
use super::unpack::unpack;
use crate::exit::Failed;

/// The name that stands for stdin.
const STDIN: &str = "-";

/// A file of events, or the copy of a pipe. It can be read again and again.
pub(crate) struct EventFile {
    path: PathBuf,
    /// What a pipe gave.
    copy: Option<File>,
}

impl EventFile {
    /// Finds files. A pipe gives its bytes once, so they are copied to a temporary file in this directory.
    pub(crate) fn find(paths: &[PathBuf], directory: &Path) -> Result<Vec<Self>, Failed> {
        if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
            return Err(Failed::invalid("- is given twice: stdin can be read once"));
        }
        let find = |path: &PathBuf| {
            let copy = match fs::metadata(path) {
                _ if is_stdin(path) => Some(copy(io::stdin(), directory)),
                Ok(metadata) if metadata.file_type().is_fifo() => {
                    Some(File::open(path).and_then(|pipe| copy(pipe, directory)))
                }
                _ => None,
            };
            Ok(Self {
                path: path.clone(),
                copy: copy.transpose().map_err(|error| {
                    let (name, directory) = (name(path), directory.display());
                    Failed::runtime(format!(
                        "cannot copy {name} to a temporary file in {directory}: {error}"
                    ))
                })?,
            })
        };
        paths.iter().map(find).collect()
    }

    /// The file as it is named to the user.
    pub(crate) fn name(&self) -> String {
        name(&self.path)
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = match &self.copy {
            None => File::open(&self.path)?,
            Some(copy) => {
                let mut file = copy.try_clone()?;
                file.rewind()?;
                file
            }
        };
        if file.metadata()?.is_dir() {
            return Err(io::Error::other(
                "it is a directory, expected a file; give the files in it",
            ));
        }
        unpack(file)
    }
}

/// Opens files of events for a configuration's inputs. `router` makes the router of an input.
pub(crate) fn open(
    files: &[EventFile],
    config: &Config,
    router: impl Fn(u16) -> Router,
) -> Result<Vec<Source>, Failed> {
    let open = |(number, file): (usize, &EventFile)| {
        let name = file.name();
        let reader = file
            .open()
            .map_err(|error| Failed::invalid(format!("cannot read {name}: {error}")))?;
        let input = input_of(&file.path, config)?;
        require_json(&name, &config.inputs[usize::from(input)])?;
        let numbered = (number as u32, name);
        Ok(Source::new(numbered, input, reader, router(input)))
    };
    files.iter().enumerate().map(open).collect()
}

fn copy(mut pipe: impl Read, directory: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(directory)?;
    io::copy(&mut pipe, &mut file)?;
    Ok(file)
}

fn name(path: &Path) -> String {
    match is_stdin(path) {
        true => "stdin".to_owned(),
        false => path.display().to_string(),
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// Fails if the events of an input are not JSON.
fn require_json(name: &str, input: &Input) -> Result<(), Failed> {
    match input.format.encoding {
        Encoding::Json => Ok(()),
        Encoding::Avro { .. } => Err(Failed::invalid(format!(
            "{name}: replay reads only JSON, and the input {} is Avro; export the topic as JSON, and remove `encoding` and the keys \
             of its schemas from the format",
            input.topic
        ))),
    }
}

/// The input that a file belongs to: the only one, or the one whose topic the file name starts with. The longest
/// topic wins.
fn input_of(path: &Path, config: &Config) -> Result<u16, Failed> {
    if config.inputs.len() == 1 {
        return Ok(0);
    }
    let file_name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let topics = config
        .inputs
        .iter()
        .map(|input| input.topic.as_str())
        .enumerate();
    topics
        .filter(|(_, topic)| file_name.starts_with(topic))
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
                name(path),
                topics.join(", ")
            ))
        })
}
