//! A dump by docs/FORMAT.md alone: its members, its index, and the same text in members of another size.

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::{Read, Write};

const MAGIC: [u8; 4] = [0x1f, 0x8b, 8, 4];

/// Where each member begins, by the length in its header.
pub fn beginnings(dump: &[u8]) -> Result<Vec<usize>> {
    let (mut beginnings, mut at) = (Vec::new(), 0);
    while at < dump.len() {
        let member = &dump[at..];
        ensure!(member.starts_with(&MAGIC), "no member at {at}");
        beginnings.push(at);
        at += length(member).with_context(|| format!("no length at {at}"))?;
    }
    ensure!(at == dump.len(), "the last member ends at {at} of {}", dump.len());
    Ok(beginnings)
}

/// The length of a member, in the subfield `PS` of its header.
fn length(member: &[u8]) -> Option<usize> {
    let extra = usize::from(u16::from_le_bytes([*member.get(10)?, *member.get(11)?]));
    let mut fields = member.get(12..12 + extra)?;
    while let [a, b, low, high, rest @ ..] = fields {
        let (value, others) =
            rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
        if [*a, *b] == *b"PS" {
            return Some(u32::from_le_bytes(value.try_into().ok()?) as usize);
        }
        fields = others;
    }
    None
}

/// The members themselves.
pub fn members(dump: &[u8]) -> Result<Vec<&[u8]>> {
    let mut ends = beginnings(dump)?;
    ends.push(dump.len());
    Ok(ends.windows(2).map(|pair| &dump[pair[0]..pair[1]]).collect())
}

pub fn member(dump: &[u8], at: usize) -> Result<String> {
    let mut text = String::new();
    GzDecoder::new(&dump[at..]).read_to_string(&mut text).context("a member")?;
    Ok(text)
}

/// Where the index begins, and its sections.
pub fn index(dump: &[u8]) -> Result<(usize, Vec<Value>)> {
    let beginnings = beginnings(dump)?;
    let last = member(dump, *beginnings.last().context("no members")?)?;
    let at = last.strip_prefix("-- pg-snap-index-at: ").context("no locator")?.trim().parse()?;
    let mut text = String::new();
    MultiGzDecoder::new(&dump[at..]).read_to_string(&mut text)?;
    let sections = text.lines().filter_map(|line| line.strip_prefix("-- {"));
    let sections = sections.map(|json| serde_json::from_str(&format!("{{{json}")));
    Ok((at, sections.collect::<Result<_, _>>()?))
}

/// The bytes of a section's members.
pub fn section<'a>(dump: &'a [u8], section: &Value) -> Result<&'a [u8]> {
    let number = |name: &str| section[name].as_u64().with_context(|| format!("{name}: {section}"));
    let begin = usize::try_from(number("offset")?)?;
    let end = begin + usize::try_from(number("length")?)?;
    dump.get(begin..end).context("a section beyond the end")
}

pub fn section_text(dump: &[u8], one: &Value) -> Result<String> {
    let mut text = String::new();
    MultiGzDecoder::new(section(dump, one)?).read_to_string(&mut text)?;
    Ok(text)
}

/// The dump as a version wrote it that had nothing but the length in its headers, in members of so many
/// bytes of text.
pub fn rewritten(dump: &[u8], size: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut index_text = String::from("--\n-- pg-snap-index: 1\n");
    for mut section in index(dump)?.1 {
        let offset = out.len();
        for text in section_text(dump, &section)?.as_bytes().chunks(size) {
            out.extend(old_member(text, Compression::new(1))?);
        }
        section["offset"] = offset.into();
        section["length"] = (out.len() - offset).into();
        index_text += &format!("-- {section}\n");
    }
    let at = out.len();
    out.extend(old_member(format!("{index_text}--\n").as_bytes(), Compression::new(1))?);
    let locator = format!("-- pg-snap-index-at: {at:020}\n");
    let locator = old_member(locator.as_bytes(), Compression::none())?;
    ensure!(locator.len() == 75, "a locator of {} bytes", locator.len());
    out.extend(locator);
    Ok(out)
}

/// A member with a header of 20 bytes.
fn old_member(text: &[u8], level: Compression) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(text)?;
    let plain = encoder.finish()?;
    let length = u32::try_from(plain.len() + 10)?;
    let extra = [8, 0, b'P', b'S', 4, 0];
    let head = [&MAGIC[..], &[0, 0, 0, 0, 0, 255], &extra, &length.to_le_bytes()].concat();
    Ok([&head, &plain[10..]].concat())
}
