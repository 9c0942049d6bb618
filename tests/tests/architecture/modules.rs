//! The module tree of one crate, as its production code declares it, and what a path in it names.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// A module's names from the crate's root on; the root has none.
pub type ModulePath = Vec<String>;

/// A crate whose modules are all read.
pub struct Crate {
    pub modules: BTreeMap<ModulePath, Module>,
}

/// One module. Tests in it are left out: they may use anything.
#[derive(Default)]
pub struct Module {
    /// What `use` brings into scope: the name here, and the path as it is written.
    imports: BTreeMap<String, Vec<String>>,
    /// Every path that the module's code names, with the line.
    mentions: Vec<(Vec<String>, usize)>,
    file: PathBuf,
}

/// A place where one module uses an item of another.
pub struct Use {
    pub from: ModulePath,
    pub to: ModulePath,
    pub place: String,
}

impl Crate {
    /// Reads a crate from its root file, `src/lib.rs` or `src/main.rs`.
    pub fn read(root: &Path) -> Self {
        let mut read = Self { modules: BTreeMap::new() };
        read.file(root, root.parent().unwrap(), Vec::new());
        read
    }

    fn file(&mut self, file: &Path, folder: &Path, path: ModulePath) {
        let text = std::fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.items(&parsed.items, file, folder, path);
    }

    fn items(&mut self, items: &[syn::Item], file: &Path, folder: &Path, path: ModulePath) {
        let mut reader = Reader { module: Module { file: file.into(), ..Module::default() } };
        for item in items {
            match item {
                syn::Item::Mod(inner) if is_test(&inner.attrs) => {}
                syn::Item::Mod(inner) => self.submodule(inner, file, folder, &path),
                other => reader.visit_item(other),
            }
        }
        self.modules.insert(path, reader.module);
    }

    /// `folder` is where the files of the module's children lie.
    fn submodule(&mut self, inner: &syn::ItemMod, file: &Path, folder: &Path, path: &[String]) {
        let name = inner.ident.to_string();
        let child = [path, std::slice::from_ref(&name)].concat();
        let below = folder.join(&name);
        if let Some((_, items)) = &inner.content {
            return self.items(items, file, &below, child);
        }
        let elsewhere = path_attribute(&inner.attrs);
        let candidates = match elsewhere {
            Some(path) => vec![file.parent().unwrap().join(path)],
            None => vec![folder.join(format!("{name}.rs")), below.join("mod.rs")],
        };
        let found = candidates.iter().find(|c| c.exists());
        let found = found.unwrap_or_else(|| panic!("{}: no file of {name}", file.display()));
        self.file(found, &below, child);
    }

    /// Each use of one module's item by another.
    pub fn uses(&self) -> Vec<Use> {
        let mut uses = Vec::new();
        for (from, module) in &self.modules {
            for (path, line) in &module.mentions {
                let Some(to) = self.resolve(from, path, 0) else { continue };
                if to.module == *from || to.is_module {
                    continue;
                }
                let place = format!("{}:{line} {}", module.file.display(), path.join("::"));
                uses.push(Use { from: from.clone(), to: to.module, place });
            }
        }
        uses
    }

    /// Where the item of a path is defined, through re-exports; none if it is of another crate.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<Item> {
        // A name that is imported by way of itself.
        if depth > 16 {
            return None;
        }
        let mut at = from.to_vec();
        for (n, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                "*" => return Some(Item { module: at, is_module: false }),
                _ => {
                    let child = [at.as_slice(), std::slice::from_ref(name)].concat();
                    let import = self.modules.get(&at)?.imports.get(name);
                    if self.modules.contains_key(&child) {
                        at = child;
                    } else if let Some(import) = import.filter(|i| i.as_slice() != path) {
                        let rest = [import.as_slice(), &path[n + 1..]].concat();
                        let found = self.resolve(&at, &rest, depth + 1);
                        return found.or_else(|| item_of(at, n));
                    } else {
                        return item_of(at, n);
                    }
                }
            }
        }
        Some(Item { module: at, is_module: true })
    }
}

/// An item of a module. The first name of a path is the module's own, or another crate's.
fn item_of(module: ModulePath, n: usize) -> Option<Item> {
    (n > 0).then_some(Item { module, is_module: false })
}

struct Item {
    module: ModulePath,
    is_module: bool,
}

/// Whether an item is there for tests only.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        let tokens = match &a.meta {
            syn::Meta::List(list) if a.path().is_ident("cfg") => list.tokens.to_string(),
            _ => return a.path().is_ident("test"),
        };
        let mut words = tokens.split(|c: char| !c.is_alphanumeric());
        words.any(|word| word == "test") && !tokens.contains("not")
    })
}

fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().filter(|a| a.path().is_ident("path")).find_map(|a| match &a.meta {
        syn::Meta::NameValue(syn::MetaNameValue {
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }),
            ..
        }) => Some(path.value()),
        _ => None,
    })
}

/// Collects the paths of a module's own items.
struct Reader {
    module: Module,
}

impl Reader {
    fn use_tree(&mut self, tree: &syn::UseTree, before: &[String], line: usize) {
        let with = |name: &dyn std::fmt::Display| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&path.tree, &with(&path.ident), line),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.use_tree(tree, before, line));
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = before.last().cloned().unwrap_or_default();
                self.import(last, before.to_vec(), line);
            }
            syn::UseTree::Name(name) => {
                self.import(name.ident.to_string(), with(&name.ident), line)
            }
            syn::UseTree::Rename(name) if name.ident == "self" => {
                self.import(name.rename.to_string(), before.to_vec(), line);
            }
            syn::UseTree::Rename(name) => {
                self.import(name.rename.to_string(), with(&name.ident), line);
            }
            syn::UseTree::Glob(_) => self.module.mentions.push((with(&"*"), line)),
        }
    }

    fn import(&mut self, name: String, path: Vec<String>, line: usize) {
        self.module.imports.entry(name).or_insert_with(|| path.clone());
        self.module.mentions.push((path, line));
    }

    /// The paths among tokens that are not parsed: of a macro's arguments, of an attribute.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(p) if p.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.mention(std::mem::take(&mut path), line);
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => {
                            line = ident.span().start().line;
                            path.push(ident.to_string());
                        }
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.mention(path, line);
    }

    /// A name alone is the module's own, or its import is mentioned already.
    fn mention(&mut self, path: Vec<String>, line: usize) {
        if path.len() > 1 {
            self.module.mentions.push((path, line));
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Const(i) => &i.attrs,
            syn::Item::Enum(i) => &i.attrs,
            syn::Item::Fn(i) => &i.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Use(i) => &i.attrs,
            syn::Item::Struct(i) => &i.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[], item.use_token.span.start().line);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |s| s.ident.span().start().line);
        if path.leading_colon.is_none() {
            self.mention(names, line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        self.tokens(invoked.tokens.clone());
        visit::visit_macro(self, invoked);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}
