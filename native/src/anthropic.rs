//! Events of Anthropic's messages that let one block grow by a piece of text.
//!
//! The Python decoder defines what an event means (`polyvox.dialects.anthropic_messages.answer_in`);
//! here are only its `content_block_delta` with text, thinking or a piece of a tool's input.

use std::borrow::Cow;

use crate::json::{Cursor, Seen};
use crate::pieces::Piece;

/// The piece that such an event brings.
pub fn delta<'a>(data: &'a [u8], event: &str) -> Option<Piece<'a>> {
    if !matches!(event, "content_block_delta" | "") {
        return None;
    }
    let mut cursor = Cursor::new(std::str::from_utf8(data).ok()?);
    let mut seen = Seen::default();
    let mut index = None;
    let mut piece = None;
    cursor.object(|key, cursor| match key {
        "type" => {
            seen.once(0)?;
            (cursor.string()? == "content_block_delta").then_some(())
        }
        "index" => {
            seen.once(1)?;
            index = Some(cursor.index()?);
            Some(())
        }
        "delta" => {
            seen.once(2)?;
            piece = Some(content(cursor)?);
            Some(())
        }
        _ => None,
    })?;
    cursor.end()?;
    let ((text, kind), index) = (piece?, index?);
    seen.has(0).then_some(Piece { text, index, kind })
}

/// The text in a `delta`, and the type of the blocks that it belongs to.
fn content<'a>(cursor: &mut Cursor<'a>) -> Option<(Cow<'a, str>, &'static str)> {
    let mut seen = Seen::default();
    let mut kind = None;
    let mut piece = None;
    cursor.object(|key, cursor| match key {
        "type" => {
            seen.once(0)?;
            kind = Some(cursor.string()?);
            Some(())
        }
        "text" | "thinking" | "partial_json" => {
            seen.once(1)?;
            piece = Some((key, cursor.string()?));
            Some(())
        }
        _ => None,
    })?;
    let (key, text) = piece?;
    if text.is_empty() {
        return None;
    }
    match (kind?.as_ref(), key) {
        ("text_delta", "text") => Some((text, "text")),
        ("thinking_delta", "thinking") => Some((text, "thinking")),
        ("input_json_delta", "partial_json") => Some((text, "tool_use")),
        _ => None,
    }
}
