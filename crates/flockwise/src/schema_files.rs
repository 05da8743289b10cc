//! The schemas of inputs, from files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flockwise_codec::decode::{AvroSchema, SchemaId};
use flockwise_codec::format::{AvroFraming, Encoding};
use flockwise_config::Config;
use flockwise_runtime::schema_source::SchemaSource;

use crate::exit::Failed;

/// How long the content of a directory is used before an unknown schema causes it to be read again.
const READ_AGAIN: Duration = Duration::from_secs(4);

/// The schemas of a pipeline's inputs. A directory is read again when a record names a schema that is not in it.
#[derive(Debug)]
pub(crate) struct SchemaFiles {
    /// For each input in order; `None`: it has no schemas.
    inputs: Vec<Option<InputSchemas>>,
}

#[derive(Debug)]
enum InputSchemas {
    Only(Arc<AvroSchema>),
    Directory(Mutex<SchemaDirectory>),
}

#[derive(Debug)]
struct SchemaDirectory {
    path: PathBuf,
    known: HashMap<u64, Arc<AvroSchema>>,
    read: Instant,
}

impl SchemaFiles {
    /// Reads the schemas of all inputs.
    ///
    /// # Errors
    /// If a file cannot be read or is not a schema, or a directory has none.
    pub(crate) fn load(config: &Config) -> Result<Self, Failed> {
        let inputs = config.inputs.iter();
        let inputs = inputs.map(|input| match &input.format.encoding {
            Encoding::Json => Ok(None),
            Encoding::Avro { framing, schemas } => load_input(*framing, schemas).map(Some),
        });
        let inputs = inputs.collect::<Result<_, String>>();
        Ok(Self {
            inputs: inputs.map_err(Failed::invalid)?,
        })
    }
}

fn load_input(framing: AvroFraming, path: &Path) -> Result<InputSchemas, String> {
    match framing {
        AvroFraming::Plain => Ok(InputSchemas::Only(Arc::new(read_schema(path)?))),
        AvroFraming::SingleObject => {
            let known = read_directory(path)?;
            if known.is_empty() {
                return Err(format!(
                    "{}: no schema: expected at least one file that ends in .avsc",
                    path.display()
                ));
            }
            Ok(InputSchemas::Directory(Mutex::new(SchemaDirectory {
                path: path.to_owned(),
                known,
                read: Instant::now(),
            })))
        }
    }
}

/// The schemas in the files of a directory that end in `.avsc`, by fingerprint.
fn read_directory(path: &Path) -> Result<HashMap<u64, Arc<AvroSchema>>, String> {
    let cannot = |error| format!("{}: cannot read the directory: {error}", path.display());
    let mut known = HashMap::new();
    for entry in fs::read_dir(path).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "avsc")
        {
            let schema = read_schema(&file)?;
            known.insert(schema.fingerprint(), Arc::new(schema));
        }
    }
    Ok(known)
}

fn read_schema(path: &Path) -> Result<AvroSchema, String> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{shown}: cannot read the schema: {error}"))?;
    AvroSchema::parse(&text).map_err(|error| format!("{shown}: not an Avro schema: {error}"))
}

impl SchemaDirectory {
    fn find(&mut self, fingerprint: u64) -> Option<Arc<AvroSchema>> {
        if !self.known.contains_key(&fingerprint) && self.read.elapsed() >= READ_AGAIN {
            self.read = Instant::now();
            match read_directory(&self.path) {
                Ok(known) => self.known = known,
                Err(error) => tracing::warn!(error, "schemas were not read again"),
            }
        }
        self.known.get(&fingerprint).cloned()
    }
}

impl SchemaSource for SchemaFiles {
    fn find(&self, input: u16, id: SchemaId) -> Option<Arc<AvroSchema>> {
        match (self.inputs.get(usize::from(input))?.as_ref()?, id) {
            (InputSchemas::Only(schema), SchemaId::Only) => Some(Arc::clone(schema)),
            (InputSchemas::Directory(directory), SchemaId::Fingerprint(fingerprint)) => {
                // The map is replaced as a whole, so a panic cannot have left a part of it.
                let mut directory = directory.lock().unwrap_or_else(PoisonError::into_inner);
                directory.find(fingerprint)
            }
            _ => None,
        }
    }
}
