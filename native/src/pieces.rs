//! What a frame can be recognised as: a piece of text, and of what.

use std::borrow::Cow;

use crate::anthropic;
use crate::chat;
use crate::json::Cursor;

/// A piece of text, which is all that a frame brings.
pub struct Piece<'a> {
    /// The text, which is not empty.
    pub text: Cow<'a, str>,
    /// Which block it belongs to.
    pub index: u32,
    /// The kind of that block, in the dialect's own words.
    pub kind: &'static str,
}

/// Recognises the frames of one stream.
///
/// From one frame to the next mostly the text alone is another. So what stands around the text is
/// remembered, and a frame with the same around it need not be read again.
pub struct Recogniser {
    read: Option<Read>,
    around: Option<Around>,
}

type Read = for<'a> fn(&'a [u8], &str) -> Option<Piece<'a>>;

/// A frame that was recognised, without its text.
#[derive(Default)]
struct Around {
    before: Vec<u8>,
    after: Vec<u8>,
    event: String,
    index: u32,
    kind: &'static str,
}

impl Recogniser {
    /// The one for the dialect of this name; nothing of others is recognised.
    pub fn of(dialect: &str) -> Self {
        let read: Option<Read> = match dialect {
            "openai-chat" => Some(chat::only_text),
            "anthropic-messages" => Some(anthropic::delta),
            _ => None,
        };
        Recogniser { read, around: None }
    }

    /// The piece that a frame brings. In doubt, `None`: then the decoder decides what the frame means.
    pub fn piece<'a>(&mut self, data: &'a [u8], event: &str) -> Option<Piece<'a>> {
        let read = self.read?;
        if let Some(around) = &self.around
            && let Some(piece) = around.piece(data, event)
        {
            return Some(piece);
        }
        let piece = read(data, event)?;
        if let Cow::Borrowed(text) = piece.text {
            let start = text.as_ptr().addr() - data.as_ptr().addr();
            let after = &data[start + text.len()..];
            let around = self.around.get_or_insert_default();
            around.learn(&data[..start], after, event, &piece);
        }
        Some(piece)
    }
}

impl Around {
    fn learn(&mut self, before: &[u8], after: &[u8], event: &str, piece: &Piece<'_>) {
        before.clone_into(&mut self.before);
        after.clone_into(&mut self.after);
        event.clone_into(&mut self.event);
        (self.index, self.kind) = (piece.index, piece.kind);
    }

    /// The piece of a frame that is the same but for its text.
    fn piece<'a>(&self, data: &'a [u8], event: &str) -> Option<Piece<'a>> {
        let rest = data.strip_prefix(self.before.as_slice())?;
        if !same_name(event, &self.event) || !rest.ends_with(&self.after) {
            return None;
        }
        let mut cursor = Cursor::new(std::str::from_utf8(rest).ok()?);
        let text = cursor.rest_of_string()?;
        let same = cursor.left() + 1 == self.after.len();
        (same && !text.is_empty()).then_some(Piece {
            text,
            index: self.index,
            kind: self.kind,
        })
    }
}

/// Whether two names of events are equal. An empty `String` points nowhere, and to compare bytes
/// there, though there are none, costs as much as all the rest: some processors take their time.
pub fn same_name(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}
