//! Chunks of `OpenAI`'s chat completions that bring a piece of text and nothing else.
//!
//! The Python decoder defines what a chunk means (`polyvox.dialects.openai_chat.stream`, there
//! `_only_text`). Keys that it reads must be empty here, keys that it ignores may hold anything, and
//! a key that stands in neither list makes the chunk unknown.

use std::borrow::Cow;

use crate::json::{Cursor, Seen};
use crate::pieces::Piece;

/// What the decoder ignores: around the choices, in a choice, in a delta.
const AROUND: [&str; 11] = [
    "created",
    "system_fingerprint",
    "service_tier",
    "obfuscation",
    "p",                     // Mistral
    "provider",              // OpenRouter
    "prompt_filter_results", // Azure
    "nvext",                 // NVIDIA
    "timings",               // llama.cpp
    "input_sensitive",       // MiniMax
    "output_sensitive",      // MiniMax
];
const CHOICE: [&str; 10] = [
    "logprobs",
    "native_finish_reason",   // OpenRouter
    "stop_reason",            // vLLM
    "token_ids",              // vLLM
    "matched_stop",           // SGLang
    "content_filter_results", // Azure
    "content_filter_offsets", // Azure
    "text",                   // Together
    "seed",                   // Together
    "raw_output",             // Fireworks
];
const DELTA: [&str; 4] = ["role", "annotations", "name", "token_id"];

/// The piece of text of a chunk that brings nothing else.
pub fn only_text<'a>(data: &'a [u8], event: &str) -> Option<Piece<'a>> {
    if !event.is_empty() {
        return None;
    }
    let mut cursor = Cursor::new(std::str::from_utf8(data).ok()?);
    let mut seen = Seen::default();
    let mut text = None;
    cursor.object(|key, cursor| match key {
        "id" => seen.once(0).and_then(|()| cursor.string_or_null()),
        "object" => seen.once(1).and_then(|()| cursor.string_or_null()),
        "model" => seen.once(2).and_then(|()| cursor.string_or_null()),
        "usage" => seen.once(3).and_then(|()| cursor.null()),
        "x_groq" => seen.once(4).and_then(|()| cursor.null()),
        "error" => seen.once(5).and_then(|()| cursor.null()),
        "choices" => {
            seen.once(6)?;
            text = Some(the_choice(cursor)?);
            Some(())
        }
        _ => passed_over(key, &AROUND, cursor),
    })?;
    cursor.end()?;
    let (index, kind) = (0, "text");
    text.map(|text| Piece { text, index, kind })
}

/// The text of the only choice.
fn the_choice<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let mut text = None;
    cursor.array(|cursor| {
        if text.is_some() {
            return None;
        }
        text = Some(choice(cursor)?);
        Some(())
    })?;
    text
}

fn choice<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let mut seen = Seen::default();
    let mut text = None;
    cursor.object(|key, cursor| match key {
        "index" => {
            seen.once(0)?;
            (cursor.index()? == 0).then_some(())
        }
        "delta" => {
            seen.once(1)?;
            text = Some(delta(cursor)?);
            Some(())
        }
        "finish_reason" => seen.once(2).and_then(|()| cursor.nothing("\"\"")),
        "message" => seen.once(3).and_then(|()| cursor.null()),
        "usage" => seen.once(4).and_then(|()| cursor.null()),
        "error" => seen.once(5).and_then(|()| cursor.null()),
        _ => passed_over(key, &CHOICE, cursor),
    })?;
    text
}

fn delta<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let mut seen = Seen::default();
    let mut text = None;
    cursor.object(|key, cursor| match key {
        "content" => {
            seen.once(0)?;
            text = Some(cursor.string()?);
            Some(())
        }
        "tool_calls" => seen.once(1).and_then(|()| cursor.nothing("[]")),
        "reasoning_content" => seen.once(2).and_then(|()| cursor.nothing("\"\"")),
        "reasoning" => seen.once(3).and_then(|()| cursor.nothing("\"\"")),
        "reasoning_details" => seen.once(4).and_then(|()| cursor.nothing("[]")),
        "refusal" => seen.once(5).and_then(|()| cursor.nothing("\"\"")),
        "function_call" => seen.once(6).and_then(|()| cursor.null()),
        "images" => seen.once(7).and_then(|()| cursor.nothing("[]")),
        _ => passed_over(key, &DELTA, cursor),
    })?;
    text.filter(|text| !text.is_empty())
}

/// A member that means nothing, whatever it holds, as long as that is JSON.
fn passed_over(key: &str, ignored: &[&str], cursor: &mut Cursor<'_>) -> Option<()> {
    if ignored.contains(&key) {
        return cursor.skip();
    }
    None
}
