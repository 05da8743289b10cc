//! Checks the sources of the workspace's crates: no file imports in a cycle, and no type name has two meanings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use flockwise_tests::process::workspace;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

/// The path of a module below its crate: empty for the crate's root.
type Module = Vec<String>;

/// What a crate's files declare and use, code for tests left out.
#[derive(Default)]
struct Sources {
    /// File of each module that has a file of its own.
    files: BTreeMap<Module, PathBuf>,
    /// Paths that each module names, as they are written.
    named: BTreeMap<Module, Vec<Vec<String>>>,
    /// Types that each file declares.
    types: Vec<(String, PathBuf)>,
}

/// Collects what one file declares and names.
#[derive(Default)]
struct FileVisitor {
    children: Vec<String>,
    named: Vec<Vec<String>>,
    types: Vec<String>,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test")
    };
    attributes.iter().any(is_test)
}

/// The paths that a `use` names: one per leaf.
fn leaves(prefix: &[String], tree: &UseTree, out: &mut Vec<Vec<String>>) {
    let longer = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&longer(&path.ident), &path.tree, out),
        UseTree::Name(name) => out.push(longer(&name.ident)),
        UseTree::Rename(name) => out.push(longer(&name.ident)),
        UseTree::Glob(_) => out.push(prefix.to_vec()),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(prefix, tree, out);
            }
        }
    }
}

impl<'s> Visit<'s> for FileVisitor {
    fn visit_item(&mut self, item: &'s Item) {
        let (attributes, name) = match item {
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Mod(item) => (&item.attrs, None),
            Item::Fn(item) => (&item.attrs, None),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            _ => return visit::visit_item(self, item),
        };
        if is_for_tests(attributes) {
            return;
        }
        self.types.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'s ItemMod) {
        match item.content {
            None => self.children.push(item.ident.to_string()),
            Some(_) => visit::visit_item_mod(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'s ItemUse) {
        leaves(&[], &item.tree, &mut self.named);
    }

    /// `pub(super)` names a module, and imports nothing.
    fn visit_visibility(&mut self, _: &'s syn::Visibility) {}

    fn visit_path(&mut self, path: &'s syn::Path) {
        // A single name is a variable or an imported type.
        if path.segments.len() > 1 {
            let names = path.segments.iter();
            self.named
                .push(names.map(|name| name.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

impl Sources {
    /// Reads a crate from its root file on.
    fn read(root: &Path) -> Self {
        let mut topic_partitions = Self::default();
        let folder = root.parent().expect("a folder");
        topic_partitions.add(Module::new(), root.to_owned(), folder);
        topic_partitions
    }

    fn add(&mut self, module: Module, file: PathBuf, children_in: &Path) {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let mut visitor = FileVisitor::default();
        visitor.visit_file(&syntax);
        let types = visitor.types.into_iter().map(|name| (name, file.clone()));
        self.types.extend(types);
        for child in visitor.children {
            let file = children_in.join(format!("{child}.rs"));
            let inside = children_in.join(&child);
            self.add([&module[..], &[child]].concat(), file, &inside);
        }
        self.named.insert(module.clone(), visitor.named);
        self.files.insert(module, file);
    }

    /// The module with a file of its own that a path leads to from `module`; `None` outside the crate, and for the
    /// crate's root, which only names its modules.
    fn resolve(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut place = match path.first()?.as_str() {
            "crate" => Module::new(),
            "super" | "self" => module.clone(),
            child => {
                let child = [&module[..], &[child.to_owned()]].concat();
                self.files.contains_key(&child).then(|| module.clone())?
            }
        };
        let mut names = path
            .iter()
            .skip_while(|name| *name == "crate" || *name == "self");
        let names: Vec<&String> = names
            .by_ref()
            .filter(|name| {
                let is_up = *name == "super";
                if is_up {
                    place.pop();
                }
                !is_up
            })
            .collect();
        for name in names {
            let deeper = [&place[..], std::slice::from_ref(name)].concat();
            if !self.files.contains_key(&deeper) {
                break;
            }
            place = deeper;
        }
        (!place.is_empty() && place != *module).then_some(place)
    }

    fn imports(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, paths): (_, &Vec<Vec<String>>)| {
            let found = paths.iter().filter_map(|path| self.resolve(module, path));
            (module, found.collect())
        };
        self.named.iter().map(of).collect()
    }

    /// A cycle of imports, if there is one.
    fn cycle(&self) -> Option<Vec<Module>> {
        let imports = self.imports();
        let mut done = BTreeSet::new();
        let mut cycles = imports.keys();
        cycles.find_map(|module| find_cycle(module, &imports, &mut Vec::new(), &mut done))
    }
}

fn find_cycle(
    module: &Module,
    imports: &BTreeMap<&Module, BTreeSet<Module>>,
    way: &mut Vec<Module>,
    done: &mut BTreeSet<Module>,
) -> Option<Vec<Module>> {
    if let Some(start) = way.iter().position(|before| before == module) {
        return Some(way[start..].to_vec());
    }
    if done.contains(module) {
        return None;
    }
    way.push(module.clone());
    let mut next = imports[module].iter();
    let found = next.find_map(|next| find_cycle(next, imports, way, done));
    way.pop();
    done.insert(module.clone());
    found
}

/// The root files of the workspace's crates.
fn roots() -> Vec<PathBuf> {
    let crates = fs::read_dir(workspace().join("crates")).expect("crates");
    let folders = crates.map(|entry| entry.expect("an entry").path().join("src"));
    let root = |folder: PathBuf| ["lib.rs", "main.rs"].map(|name| folder.join(name));
    folders
        .flat_map(root)
        .filter(|file| file.exists())
        .collect()
}

/// A path below the workspace.
fn relative(path: &Path) -> String {
    let below = path.strip_prefix(workspace()).unwrap_or(path);
    below.display().to_string()
}

#[test]
fn no_file_imports_in_a_cycle() {
    let cycles: Vec<String> = roots()
        .iter()
        .filter_map(|root| {
            let cycle = Sources::read(root).cycle()?;
            let names: Vec<String> = cycle.iter().map(|module| module.join("::")).collect();
            Some(format!("{}: {}", relative(root), names.join(" -> ")))
        })
        .collect();
    assert!(cycles.is_empty(), "{cycles:#?}");
}

#[test]
fn no_type_name_has_two_meanings() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, file) in roots().iter().flat_map(|root| Sources::read(root).types) {
        files.entry(name).or_default().push(relative(&file));
    }
    files.retain(|_, files| files.len() > 1);
    assert!(files.is_empty(), "{files:#?}");
}

#[test]
fn a_cycle_is_found_through_any_kind_of_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("created");
        fs::write(file, text).expect("written");
    };
    let cycle = || {
        let cycle = Sources::read(&folder.path().join("lib.rs")).cycle();
        cycle.map(|cycle| cycle.len())
    };
    write("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod tests;\n");
    write("a.rs", "mod inner;\nuse crate::b::B;\n");
    write("a/inner.rs", "struct Inner;\n");
    write(
        "b.rs",
        "pub struct B;\n#[cfg(test)]\nmod tests { use crate::a; }\n",
    );
    assert_eq!(cycle(), None);
    write("b.rs", "fn f() { super::a::g() }\n");
    assert_eq!(cycle(), Some(2));
    write("b.rs", "pub struct B;\n");
    write("a.rs", "mod inner;\nuse crate::b::B;\nuse inner::Inner;\n");
    assert_eq!(cycle(), None);
    write("a/inner.rs", "use super::A;\n");
    assert_eq!(cycle(), Some(2));
    write("a/inner.rs", "use crate::{b::{B as Other}, a::A};\n");
    assert_eq!(cycle(), Some(2));
}
