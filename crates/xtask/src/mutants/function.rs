//! A function of a workspace crate, by its name.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait, TraitItemFn, Type};

/// Written `CRATE NAME`, or `CRATE TYPE::NAME` for a function of a type's `impl` or of a trait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FunctionName {
    crate_name: String,
    path: String,
}

impl FromStr for FunctionName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (crate_name, path) = text
            .split_once(' ')
            .with_context(|| format!("`{text}` is not `CRATE FUNCTION`"))?;
        Ok(Self {
            crate_name: crate_name.to_owned(),
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.crate_name, self.path)
    }
}

impl FunctionName {
    /// The only file of the crate that has the function, relative to the workspace.
    pub(super) fn file(&self, workspace: &Path) -> Result<PathBuf> {
        let mut found = Vec::new();
        let folder = Path::new("crates").join(&self.crate_name).join("src");
        for file in sources(workspace, &folder)? {
            if !self
                .ranges(&fs::read_to_string(workspace.join(&file))?)?
                .is_empty()
            {
                found.push(file);
            }
        }
        match found.as_slice() {
            [file] => Ok(file.clone()),
            _ => bail!(
                "{self} is in {} files, expected one: {found:?}",
                found.len()
            ),
        }
    }

    /// The bytes of the function in the text of its file.
    pub(super) fn range(&self, text: &str) -> Result<Range<usize>> {
        match self.ranges(text)?.as_slice() {
            [range] => Ok(range.clone()),
            ranges => bail!("{self} is there {} times, expected once", ranges.len()),
        }
    }

    fn ranges(&self, text: &str) -> Result<Vec<Range<usize>>> {
        let name = self.path.rsplit("::").next().unwrap_or_default();
        if !text.contains(&format!("fn {name}")) {
            return Ok(Vec::new());
        }
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(text)?);
        let found = functions.found.into_iter();
        let found = found.filter(|(path, _)| *path == self.path);
        Ok(found.map(|(_, range)| range).collect())
    }
}

/// The `.rs` files below a folder of the workspace.
fn sources(workspace: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(workspace.join(folder));
    for entry in entries.with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files.extend(sources(workspace, &path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Collects the functions of a file, code for tests left out: the path of each, and its bytes.
#[derive(Default)]
struct Functions {
    /// The type or trait that the visited functions belong to.
    owner: Option<String>,
    found: Vec<(String, Range<usize>)>,
}

impl Functions {
    fn add(&mut self, name: &syn::Ident, function: &impl Spanned) {
        let path = match &self.owner {
            Some(owner) => format!("{owner}::{name}"),
            None => name.to_string(),
        };
        self.found.push((path, function.span().byte_range()));
    }
}

impl<'s> Visit<'s> for Functions {
    fn visit_item_mod(&mut self, item: &'s ItemMod) {
        let is_test = |attribute: &Attribute| attribute.path().is_ident("cfg");
        if !item.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'s ItemImpl) {
        if let Type::Path(path) = &*item.self_ty {
            self.owner = path.path.segments.last().map(|last| last.ident.to_string());
        }
        visit::visit_item_impl(self, item);
        self.owner = None;
    }

    fn visit_item_trait(&mut self, item: &'s ItemTrait) {
        self.owner = Some(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.owner = None;
    }

    fn visit_item_fn(&mut self, item: &'s ItemFn) {
        self.add(&item.sig.ident, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'s ImplItemFn) {
        self.add(&item.sig.ident, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'s TraitItemFn) {
        self.add(&item.sig.ident, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn a() {}\nimpl<T> B<T> {\n    fn a() { 1 }\n}\nimpl C for D {\n    fn a() { 2 }\n}\n\
                        #[cfg(test)]\nmod tests {\n    fn a() {}\n}\n";

    #[test]
    fn functions_are_found_by_type_and_name() {
        let found = |name: &str| {
            let name: FunctionName = name.parse().unwrap();
            name.range(TEXT).map(|range| &TEXT[range])
        };
        assert_eq!(found("some-crate a").unwrap(), "fn a() {}");
        assert_eq!(found("some-crate B::a").unwrap(), "fn a() { 1 }");
        assert_eq!(found("some-crate D::a").unwrap(), "fn a() { 2 }");
        let missing = found("some-crate C::a").unwrap_err().to_string();
        assert_eq!(missing, "some-crate C::a is there 0 times, expected once");
    }
}
