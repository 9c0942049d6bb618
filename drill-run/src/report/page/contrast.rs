//! Distinguishable colours, in both themes.

use std::collections::BTreeMap;

type Colours = BTreeMap<String, f64>;

/// The luminance of each colour that a part of the style sheet defines.
fn luminances(style: &str) -> Colours {
    let defined = |part: &str| {
        let (name, value) = part.trim().strip_prefix("--")?.split_once(": #")?;
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        Some((name.to_owned(), 0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)))
    };
    style.split([';', '{']).filter_map(defined).collect()
}

fn contrast(colours: &Colours, a: &str, b: &str) -> f64 {
    let (a, b) = (colours[a] + 0.05, colours[b] + 0.05);
    a.max(b) / a.min(b)
}

#[test]
fn text_has_a_contrast_of_4_5_and_bars_have_3_in_both_themes() {
    let style = include_str!("../style.css");
    let (light, rest) = style.split_once("@media screen and (prefers-color-scheme: dark)").unwrap();
    let (dark, _) = rest.split_once("* {").unwrap();
    let [light, dark] = [light, dark].map(luminances);
    // The dark theme defines every colour again.
    assert!(light.len() > 15 && light.keys().eq(dark.keys()));
    for (theme, colours) in [("light", &light), ("dark", &dark)] {
        let check = |colour: &str, ground: &str, least: f64| {
            let contrast = contrast(colours, colour, ground);
            assert!(contrast >= least, "{theme}: {colour} on {ground}: {contrast:.2}");
        };
        for colour in ["text", "muted", "pass", "note", "finding", "failed", "skipped"] {
            for ground in ["panel", "head"] {
                check(colour, ground, 4.5);
            }
        }
        for ground in ["finding-soft", "failed-soft"] {
            check("text", ground, 4.5);
        }
        check("muted", "finding-soft", 4.5);
        check("muted", "failed-soft", 4.5);
        check("finding", "finding-soft", 4.5);
        check("failed", "failed-soft", 4.5);
        for bar in ["accent", "finding", "failed"] {
            check(bar, "panel", 3.0);
            check(bar, "track", 3.0);
        }
    }
}
