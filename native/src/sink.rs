//! From a body's frames into the mailbox: decompressed, gathered, and never more than there is room for.

use bytes::Bytes;
use http::HeaderMap;

use crate::decompress::Decoder;
use crate::failure::{Failure, Kind};
use crate::mailbox::Mailbox;

/// So much is gathered before the reader is told, though more is at hand.
const BATCH: usize = 64 * 1024;
/// Compressed bytes are unpacked in pieces of this size: each may become a thousand times as much.
const SLICE: usize = 2 * 1024;

/// Where the pieces of one body go.
pub struct Sink<'a> {
    mailbox: &'a Mailbox,
    decoder: Option<Decoder>,
    packed: Bytes,
    gathered: Vec<u8>,
}

impl<'a> Sink<'a> {
    /// For a body with these headers.
    pub fn new(mailbox: &'a Mailbox, headers: &HeaderMap) -> Self {
        Self {
            mailbox,
            decoder: Decoder::of(headers),
            packed: Bytes::new(),
            gathered: Vec::new(),
        }
    }

    /// Take a frame. Whether there is room for another one.
    pub fn take(&mut self, frame: Bytes) -> Result<bool, Failure> {
        if self.decoder.is_some() {
            self.packed = frame;
            return self.unpack();
        }
        self.gathered.extend_from_slice(&frame);
        Ok(self.gathered.len() < BATCH || self.flush())
    }

    /// Tell the reader what there is. Whether there is room for more.
    pub fn flush(&mut self) -> bool {
        self.mailbox.put(&mut self.gathered)
    }

    /// Wait for room, and fill it with what is at hand already. Whether there is still some left.
    pub async fn make_room(&mut self) -> Result<bool, Failure> {
        self.mailbox.room().await;
        self.unpack()
    }

    /// There are no more frames. Fails if the compressed data are not at their end.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if let Some(decoder) = &mut self.decoder {
            let finished = decoder.finish(&mut self.gathered);
            self.mailbox.hold(&mut self.gathered);
            finished.map_err(malformed)?;
        }
        self.hold();
        Ok(())
    }

    /// Leave what there is with the mailbox; the end follows at once, and tells the reader of both.
    pub fn hold(&mut self) {
        self.mailbox.hold(&mut self.gathered);
    }

    fn unpack(&mut self) -> Result<bool, Failure> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(true);
        };
        while !self.packed.is_empty() {
            let slice = self.packed.split_to(SLICE.min(self.packed.len()));
            let done = decoder.feed(&slice, &mut self.gathered);
            if done.is_err() || self.gathered.len() >= BATCH {
                let has_room = self.mailbox.put(&mut self.gathered);
                done.map_err(malformed)?;
                if !has_room {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` calls it
fn malformed(error: std::io::Error) -> Failure {
    Failure::new(
        Kind::Broken,
        format!("its compression is malformed ({error})"),
    )
}
