//! Content codings of answers: gzip, deflate and br, piece by piece.

use std::io::{Error, ErrorKind, Result, Write};
use std::mem::take;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// What we can read; goes out with each request.
pub const ACCEPTED: &str = "gzip, deflate, br";

const BROTLI_BUFFER: usize = 16 * 1024;

/// Unpacks one body.
pub struct Decoder {
    inner: Inner,
    begun: bool,
}

enum Inner {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zlib(Box<ZlibDecoder<Vec<u8>>>),
    /// Without the frame that RFC 9110 asks for; some servers leave it out.
    Raw(Box<DeflateDecoder<Vec<u8>>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
}

impl Decoder {
    /// The one for a body with these headers; None if it comes as it is, or in a coding we don't know.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let coding = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim();
        let inner = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Inner::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Inner::Zlib(Box::new(ZlibDecoder::new(Vec::new()))),
            "br" => Inner::Brotli(Box::new(DecompressorWriter::new(Vec::new(), BROTLI_BUFFER))),
            _ => return None,
        };
        Some(Self {
            inner,
            begun: false,
        })
    }

    /// Unpack these bytes; what can be told of them by now is appended.
    pub fn feed(&mut self, packed: &[u8], unpacked: &mut Vec<u8>) -> Result<()> {
        if !self.begun {
            self.begin(packed);
        }
        let written = match &mut self.inner {
            Inner::Gzip(writer) => push(writer, packed),
            Inner::Zlib(writer) => push(writer, packed),
            Inner::Raw(writer) => push(writer, packed),
            Inner::Brotli(writer) => push(writer, packed),
        };
        self.hand_over(unpacked);
        written
    }

    /// See to it that the end is there, too.
    pub fn finish(&mut self, unpacked: &mut Vec<u8>) -> Result<()> {
        if !self.begun {
            return Ok(()); // an empty body needs no coding
        }
        let finished = match &mut self.inner {
            Inner::Gzip(writer) => writer.try_finish(),
            Inner::Zlib(writer) => writer.try_finish(),
            Inner::Raw(writer) => writer.try_finish(),
            Inner::Brotli(writer) => writer.close(),
        };
        self.hand_over(unpacked);
        finished
    }

    /// A zlib header's first byte says 8 in its lower half (RFC 1950, section 2.2).
    fn begin(&mut self, packed: &[u8]) {
        self.begun = true;
        if let Inner::Zlib(_) = self.inner
            && packed[0] & 0x0F != 8
        {
            self.inner = Inner::Raw(Box::new(DeflateDecoder::new(Vec::new())));
        }
    }

    fn hand_over(&mut self, unpacked: &mut Vec<u8>) {
        let made = match &mut self.inner {
            Inner::Gzip(writer) => writer.get_mut(),
            Inner::Zlib(writer) => writer.get_mut(),
            Inner::Raw(writer) => writer.get_mut(),
            Inner::Brotli(writer) => writer.get_mut(),
        };
        if unpacked.is_empty() {
            *unpacked = take(made);
        } else {
            unpacked.append(made);
        }
    }
}

fn push(writer: &mut impl Write, packed: &[u8]) -> Result<()> {
    match writer.write_all(packed) {
        Err(error) if error.kind() == ErrorKind::WriteZero => {
            Err(Error::new(ErrorKind::InvalidData, "data after its end"))
        }
        Err(error) => Err(error),
        Ok(()) => writer.flush(),
    }
}
