//! The schemas of inputs, from files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flockwise_codec::decode::{AvroSchema, SchemaId};
use flockwise_codec::format::{AvroFraming, Encoding};
use flockwise_config::Config;
use flockwise_runtime::schema_source::SchemaSource;

use crate::exit::Failed;

/// The schemas of a pipeline's inputs. When a record names a schema that is not known, its directory is searched for new
/// files.
#[derive(Debug)]
pub(crate) struct SchemaFiles {
    /// For each input in order; `None`: it has no schemas.
    inputs: Vec<Option<InputSchemas>>,
}

#[derive(Debug)]
enum InputSchemas {
    Only(SchemaFile),
    Directory(Mutex<SchemaDirectory>),
}

/// A schema and the file that has it.
#[derive(Clone, Debug)]
pub(crate) struct SchemaFile {
    pub(crate) path: PathBuf,
    pub(crate) schema: Arc<AvroSchema>,
}

#[derive(Debug)]
struct SchemaDirectory {
    path: PathBuf,
    known: BTreeMap<u64, SchemaFile>,
    /// The files that are read.
    read: BTreeSet<PathBuf>,
}

impl SchemaFiles {
    /// Reads the schemas of all inputs.
    ///
    /// # Errors
    /// If a file cannot be read or is not a schema, a directory has none, or two of its schemas have one fingerprint.
    pub(crate) fn load(config: &Config) -> Result<Self, Failed> {
        let inputs = config.inputs.iter();
        let inputs = inputs.map(|input| match &input.format.encoding {
            Encoding::Json => Ok(None),
            Encoding::Avro {
                framing, schemas, ..
            } => load_input(*framing, schemas).map(Some),
        });
        let inputs = inputs.collect::<Result<_, String>>();
        Ok(Self {
            inputs: inputs.map_err(Failed::invalid)?,
        })
    }

    /// All schema files, as last read.
    pub(crate) fn files(&self) -> Vec<SchemaFile> {
        let inputs = self.inputs.iter().flatten();
        let files = inputs.flat_map(|input| match input {
            InputSchemas::Only(file) => vec![file.clone()],
            InputSchemas::Directory(directory) => lock(directory).known.values().cloned().collect(),
        });
        files.collect()
    }
}

/// A panic leaves the directory whole: its files are added one by one.
fn lock(directory: &Mutex<SchemaDirectory>) -> std::sync::MutexGuard<'_, SchemaDirectory> {
    directory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load_input(framing: AvroFraming, path: &Path) -> Result<InputSchemas, String> {
    if framing == AvroFraming::Plain {
        return Ok(InputSchemas::Only(read_file(path)?));
    }
    let mut directory = SchemaDirectory {
        path: path.to_owned(),
        known: BTreeMap::new(),
        read: BTreeSet::new(),
    };
    for file in directory.files()? {
        directory.add(&file)?;
    }
    if directory.known.is_empty() {
        let shown = path.display();
        return Err(format!(
            "{shown}: no schema: expected at least one file that ends in .avsc"
        ));
    }
    Ok(InputSchemas::Directory(Mutex::new(directory)))
}

fn read_file(path: &Path) -> Result<SchemaFile, String> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{shown}: cannot read the schema: {error}"))?;
    let schema = AvroSchema::parse(&text).map_err(|error| {
        format!("{shown}: not the schema of an Avro record, with all types that it uses: {error}")
    })?;
    Ok(SchemaFile {
        path: path.to_owned(),
        schema: Arc::new(schema),
    })
}

impl SchemaDirectory {
    /// Its files that end in `.avsc`.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let shown = self.path.display();
        let cannot = |error| format!("{shown}: cannot read the directory: {error}");
        let entries = fs::read_dir(&self.path).map_err(cannot)?;
        let files = entries.map(|entry| entry.map(|entry| entry.path()).map_err(cannot));
        let mut files = files.collect::<Result<Vec<_>, _>>()?;
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "avsc")
        });
        files.sort();
        Ok(files)
    }

    fn add(&mut self, path: &Path) -> Result<(), String> {
        let file = read_file(path)?;
        self.read.insert(path.to_owned());
        let fingerprint = file.schema.fingerprint();
        match self.known.get(&fingerprint) {
            Some(known) if !known.schema.means_the_same(&file.schema) => Err(format!(
                "{} and {} have the same fingerprint, {fingerprint:016x}, and different logical types: a record does not say \
                 which it was written with; keep one of the two",
                known.path.display(),
                path.display()
            )),
            Some(_) => Ok(()),
            None => {
                self.known.insert(fingerprint, file);
                Ok(())
            }
        }
    }

    fn find(&mut self, fingerprint: u64) -> Option<Arc<AvroSchema>> {
        if !self.known.contains_key(&fingerprint) {
            self.read_new_files();
        }
        self.known
            .get(&fingerprint)
            .map(|file| Arc::clone(&file.schema))
    }

    /// Adds the schemas of new files. One that is not valid, perhaps because it is only half written, is left out until the
    /// next time.
    fn read_new_files(&mut self) {
        let mut files = self.files().unwrap_or_else(|error| {
            tracing::warn!(error, "cannot look for new schemas");
            Vec::new()
        });
        files.retain(|file| !self.read.contains(file));
        for file in files {
            if let Err(error) = self.add(&file) {
                tracing::warn!(error, "left out a schema file");
            }
        }
    }
}

impl SchemaSource for SchemaFiles {
    fn find(&self, input: u16, id: SchemaId) -> Option<Arc<AvroSchema>> {
        match (self.inputs.get(usize::from(input))?.as_ref()?, id) {
            (InputSchemas::Only(file), SchemaId::Only) => Some(Arc::clone(&file.schema)),
            (InputSchemas::Directory(directory), SchemaId::Fingerprint(fingerprint)) => {
                lock(directory).find(fingerprint)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(time: &str) -> String {
        format!(
            r#"{{"type":"record","name":"E","fields":[{{"name":"t","type":{{"type":"long","logicalType":"{time}"}}}}]}}"#
        )
    }

    #[test]
    fn two_schemas_that_differ_only_in_logical_types_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.avsc", &schema("timestamp-millis"));
        write("copy of a.avsc", &schema("timestamp-millis"));
        write("notes.txt", "no schema");
        let load = || load_input(AvroFraming::SingleObject, folder.path());
        assert!(load().is_ok());
        write("b.avsc", &schema("timestamp-micros"));
        let error = load().unwrap_err();
        assert!(error.contains("a.avsc and "), "{error}");
        assert!(error.contains("different logical types"), "{error}");
        write("b.avsc", "{");
        let error = load().unwrap_err();
        assert!(
            error.contains("b.avsc: not the schema of an Avro record"),
            "{error}"
        );
    }
    #[test]
    fn a_file_that_is_added_later_is_found_and_a_half_written_one_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.avsc", &schema("timestamp-millis"));
        let Ok(InputSchemas::Directory(directory)) =
            load_input(AvroFraming::SingleObject, folder.path())
        else {
            panic!("a directory");
        };
        let later = schema("date").replace("long", "int");
        let wanted = AvroSchema::parse(&later).unwrap().fingerprint();
        assert!(lock(&directory).find(wanted).is_none());
        write("half.avsc", "{");
        write("later.avsc", &later);
        assert!(lock(&directory).find(wanted).is_some());
        let another = later.replace("\"t\"", "\"u\"");
        let wanted = AvroSchema::parse(&another).unwrap().fingerprint();
        assert!(lock(&directory).find(wanted).is_none());
        write("half.avsc", &another);
        assert!(lock(&directory).find(wanted).is_some());
    }
}
