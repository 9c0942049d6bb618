//! What a file may look like: its length, its functions' lengths, its names, its comments.

use crate::modules::is_test;
use std::path::Path;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

pub const LONGEST_FUNCTION: usize = 60;
pub const LONGEST_FILE: usize = 400;

/// Words that describe nothing in a name.
const EMPTY_WORDS: [&str; 6] = ["told", "tell", "tells", "say", "said", "untold"];

/// What is wrong with one file.
pub fn faults(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut checker = Checker { faults: Vec::new() };
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        checker.faults.push("long file".into());
    }
    checker.visit_file(&parsed);
    checker.faults.sort();
    checker.faults.dedup();
    checker.faults
}

struct Checker {
    faults: Vec<String>,
}

impl Checker {
    fn function(&mut self, signature: &syn::Signature, body: Option<&syn::Block>) {
        self.name("function", &signature.ident);
        let Some(body) = body else { return };
        let lines = body.span().end().line - signature.span().start().line + 1;
        if lines > LONGEST_FUNCTION {
            self.faults.push(format!("long function {}", signature.ident));
        }
    }

    fn name(&mut self, what: &str, name: &syn::Ident) {
        if words(&name.to_string()).iter().any(|word| EMPTY_WORDS.contains(&word.as_str())) {
            self.faults.push(format!("{what} named {name}"));
        }
    }
}

/// The words of `snake_case`, `CamelCase` or `UPPER_CASE`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let is_upper = c.is_uppercase();
        if c == '_' || (is_upper && was_lower) {
            words.push(String::new());
        }
        was_lower = !is_upper;
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words
}

impl<'ast> Visit<'ast> for Checker {
    fn visit_item_fn(&mut self, f: &'ast syn::ItemFn) {
        // A test may be longer: its name is a sentence, and its body a sequence of steps.
        if is_test(&f.attrs) {
            self.name("test", &f.sig.ident);
            return visit::visit_block(self, &f.block);
        }
        self.function(&f.sig, Some(&f.block));
        visit::visit_item_fn(self, f);
    }

    fn visit_impl_item_fn(&mut self, f: &'ast syn::ImplItemFn) {
        self.function(&f.sig, Some(&f.block));
        visit::visit_impl_item_fn(self, f);
    }

    fn visit_trait_item_fn(&mut self, f: &'ast syn::TraitItemFn) {
        self.function(&f.sig, f.default.as_ref());
        visit::visit_trait_item_fn(self, f);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.name("type", &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.name("type", &item.ident);
        if item.ident == "From" {
            self.faults.push("enum From".into());
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.name("type", &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.name("type", &item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.name("variant", &variant.ident);
        visit::visit_variant(self, variant);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(name) = &field.ident {
            self.name("field", name);
        }
        visit::visit_field(self, field);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.name("variable", &pattern.ident);
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.name("module", &item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::NameValue(value) = &attribute.meta
            && value.path.is_ident("doc")
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &value.value
            && text.value().trim() == "See the module."
        {
            self.faults.push("comment See the module.".into());
        }
    }
}
