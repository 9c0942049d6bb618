//! HTML elements. Text gets in only escaped: there is no way to insert markup but another element.

use super::numbers::visible;
use std::fmt::{self, Display, Write as _};

/// Elements without content and end tag.
const VOID: [&str; 2] = ["meta", "br"];

/// An element with its attributes and content.
pub struct Element {
    name: &'static str,
    attributes: String,
    content: String,
}

/// An empty element.
pub fn element(name: &'static str) -> Element {
    Element { name, attributes: String::new(), content: String::new() }
}

impl Element {
    /// Adds an attribute.
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        let _ = write!(self.attributes, " {name}=\"{}\"", escaped(&value.to_string()));
        self
    }

    /// Adds the attribute `class`.
    pub fn class(self, value: impl Display) -> Self {
        self.with("class", value)
    }

    /// Appends text.
    pub fn text(mut self, text: impl Display) -> Self {
        self.content += &escaped(&text.to_string());
        self
    }

    /// Appends text of this program, with its line breaks: a style sheet.
    pub fn verbatim(mut self, text: &'static str) -> Self {
        self.content += text;
        self
    }

    /// Appends an element.
    pub fn child(mut self, child: Element) -> Self {
        let _ = write!(self.content, "{child}");
        self
    }

    /// Appends elements.
    pub fn children(self, children: impl IntoIterator<Item = Element>) -> Self {
        children.into_iter().fold(self, Self::child)
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, attributes, content } = self;
        if VOID.contains(name) {
            return write!(f, "<{name}{attributes}>");
        }
        // A line for each element of some size, so that a difference between two reports can be read.
        let end = match *name {
            "html" | "head" | "title" | "style" | "body" | "header" | "main" | "section"
            | "div" | "h1" | "h2" | "p" | "table" | "caption" | "thead" | "tbody" | "tr" | "dl"
            | "g" => "\n",
            _ => "",
        };
        write!(f, "<{name}{attributes}>{content}</{name}>{end}")
    }
}

fn escaped(text: &str) -> String {
    visible(text).chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_element_is_written_with_its_attributes_and_content() {
        let cell = element("td").class("a").with("title", "\"x\" & 'y'").text("1 < 2");
        let row = element("b").child(cell).children([element("br"), element("i")]);
        assert_eq!(
            row.to_string(),
            "<b><td class=\"a\" title=\"&quot;x&quot; &amp; &#39;y&#39;\">1 &lt; 2</td><br><i></i></b>"
        );
    }

    #[test]
    fn characters_that_are_not_seen_are_written_out() {
        let text = element("i").text("a\u{0}\n\u{202e}b\u{fffe}").to_string();
        assert_eq!(text, "<i>a\\u{0}\\n\\u{202e}b\\u{fffe}</i>");
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in any::<String>()) {
            let written = element("i").with("title", &text).text(&text).to_string();
            let inner = written.strip_prefix("<i title=\"").unwrap();
            let (value, content) = inner.split_once("\">").unwrap();
            let content = content.strip_suffix("</i>").unwrap();
            prop_assert_eq!(value, content);
            prop_assert!(!content.contains(['<', '>', '"', '\'']));
            let plain = content.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            let plain = plain.replace("&#39;", "'").replace("&amp;", "&");
            prop_assert_eq!(plain, visible(&text));
        }
    }
}
