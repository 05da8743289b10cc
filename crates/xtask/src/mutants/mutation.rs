//! A mutant: a set of changes to the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::function::FunctionName;

/// Lines that begin the parts of a mutant file.
const TEST: &str = "test: ";
const FUNCTION: &str = "--- ";
const FIND: &str = "<<< find";
const REPLACE: &str = "=== replace";
const END: &str = ">>> end";

/// The changes of one mutant file, under its name.
#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) name: String,
    /// Arguments of the `cargo test` that must catch it; `None` if the simulator must.
    pub(super) test: Option<Vec<String>>,
    changes: Vec<Replacement>,
}

#[derive(Debug, PartialEq, Eq)]
struct Replacement {
    function: FunctionName,
    find: String,
    replace: String,
}

impl Mutation {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let changes = parse(&text).with_context(|| path.display().to_string())?;
        Ok(Self {
            name: name.into_owned(),
            test: test(&text),
            changes,
        })
    }

    /// The files that it changes, with their changed content.
    pub(super) fn apply(&self, workspace: &Path) -> Result<BTreeMap<PathBuf, String>> {
        let mut files = BTreeMap::new();
        for change in &self.changes {
            let about = || format!("{}: {}", self.name, change.function);
            let path = change.function.file(workspace).with_context(about)?;
            let before = match files.remove(&path) {
                Some(changed) => changed,
                None => fs::read_to_string(workspace.join(&path))?,
            };
            let after = change.apply(&before).with_context(about)?;
            files.insert(path, after);
        }
        Ok(files)
    }
}

impl Replacement {
    fn apply(&self, text: &str) -> Result<String> {
        let range = self.function.range(text)?;
        let function = &text[range.clone()];
        match function.matches(&self.find).count() {
            1 => {
                let changed = function.replacen(&self.find, &self.replace, 1);
                Ok([&text[..range.start], &changed, &text[range.end..]].concat())
            }
            count => bail!("found {count} times, expected once:\n{}", self.find),
        }
    }
}

fn test(text: &str) -> Option<Vec<String>> {
    let arguments = text.lines().find_map(|line| line.strip_prefix(TEST))?;
    Some(arguments.split_whitespace().map(str::to_owned).collect())
}

/// Parses a description, and for each change `--- CRATE FUNCTION`, `<<< find`, `=== replace` and `>>> end` with lines in
/// between.
fn parse(text: &str) -> Result<Vec<Replacement>> {
    let (mut changes, mut function) = (Vec::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix(FUNCTION) {
            function = Some(name.parse()?);
        } else if line == FIND {
            changes.push(Replacement {
                function: function
                    .clone()
                    .context("a change without a preceding `--- CRATE FUNCTION` line")?,
                find: until(&mut lines, REPLACE)?,
                replace: until(&mut lines, END)?,
            });
        }
    }
    if changes.is_empty() {
        bail!("the mutant has no changes");
    }
    Ok(changes)
}

fn until<'a>(lines: &mut impl Iterator<Item = &'a str>, end: &str) -> Result<String> {
    let mut text = String::new();
    for line in lines {
        if line == end {
            return Ok(text);
        }
        text.push_str(line);
        text.push('\n');
    }
    bail!("no line `{end}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Words.\n--- a-crate B::c\n<<< find\none\ntwo\n=== replace\n>>> end\n<<< find\nx\n=== replace\ny\n>>> end\n";

    #[test]
    fn a_file_of_changes_is_read() {
        let changes = parse(TEXT).unwrap();
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[0].function.to_string(), "a-crate B::c");
        assert_eq!(changes[0].find, "one\ntwo\n");
        assert_eq!(changes[0].replace, "");
        assert_eq!(changes[1].replace, "y\n");
    }

    #[test]
    fn a_mutant_names_the_test_that_is_to_catch_it() {
        assert_eq!(test(TEXT), None);
        let named = format!("test: -p flockwise-codec --lib\n{TEXT}");
        let arguments = ["-p", "flockwise-codec", "--lib"].map(str::to_owned);
        assert_eq!(test(&named), Some(arguments.to_vec()));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let change = &parse(TEXT).unwrap()[1];
        let file = |body: &str| format!("fn x() {{\nx\n}}\nimpl B {{\nfn c() {{\n{body}}}\n}}\n");
        assert_eq!(change.apply(&file("x\n+ z\n")).unwrap(), file("y\n+ z\n"));
        assert!(change.apply(&file("z\n")).is_err());
        assert!(change.apply(&file("x\n+ x\n")).is_err());
        assert!(parse("words").is_err());
    }
}
