//! Server-sent events cut out of bytes, exactly as `polyvox.dialects.sse.SSEReader` cuts them.
//!
//! That class says what is read and why; here it is done again without a Python object for a line.

use memchr::{memchr, memchr_iter};

const BOM: &[u8] = b"\xef\xbb\xbf";
const KEPT: usize = 1 << 16;

/// Takes the events, in order.
pub trait Sink {
    /// Why it may refuse one.
    type Refusal;

    /// An event: its data lines, joined by LF, and its name.
    fn event(&mut self, data: &[u8], name: &str) -> Result<(), Self::Refusal>;
}

/// Why the cutting stopped.
pub enum Stop<R> {
    /// An event holds back more than its bound.
    TooLong,
    /// The sink did not take an event.
    Refused(R),
}

/// Cuts a body into events, wherever the network cut it.
pub struct Splitter {
    limit: usize,
    head: Option<Vec<u8>>,
    after_cr: bool,
    tail: Vec<u8>,
    event: Event,
}

/// What the only data line says, where it stands in the bytes just fed: most need no copy.
type InPlace<'a> = Option<&'a [u8]>;

/// The event that is being read.
#[derive(Default)]
struct Event {
    /// Whether there is a data line.
    begun: bool,
    /// What the data lines say, unless that is still in place.
    data: Vec<u8>,
    /// Bytes of the data lines so far, as sent.
    size: usize,
    name: String,
}

impl Splitter {
    /// A splitter whose events hold back at most `limit` bytes each.
    pub fn new(limit: usize) -> Self {
        Splitter {
            limit,
            head: Some(Vec::new()),
            after_cr: false,
            tail: Vec::new(),
            event: Event::default(),
        }
    }

    /// The next bytes of the body.
    pub fn feed<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), Stop<S::Refusal>> {
        if let Some(head) = self.head.take() {
            let start = [&head, chunk].concat();
            if BOM.starts_with(&start) {
                self.head = Some(start);
                return Ok(());
            }
            return self.cut(start.strip_prefix(BOM).unwrap_or(&start), sink);
        }
        self.cut(chunk, sink)
    }

    /// The body is over. An event that no blank line ends is given out when it has data.
    pub fn close<S: Sink>(&mut self, sink: &mut S) -> Result<(), Stop<S::Refusal>> {
        let last = std::mem::take(&mut self.tail);
        let mut in_place = None;
        for line in [&last, &b""[..]] {
            self.event.line(line, &mut in_place, self.limit, sink)?;
        }
        Ok(())
    }

    /// Hold nothing any more.
    pub fn let_go(&mut self) {
        self.tail = Vec::new();
        self.event = Event::default();
    }

    fn cut<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), Stop<S::Refusal>> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.after_cr || memchr(b'\r', chunk).is_some() {
            let chunk = self.with_line_feeds(chunk);
            return self.lines(&chunk, sink);
        }
        self.lines(chunk, sink)
    }

    /// CR and CRLF become LF. A CR that comes last ends its line at once: no event waits.
    fn with_line_feeds(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut lines = Vec::with_capacity(chunk.len());
        for byte in chunk {
            match byte {
                b'\r' => lines.push(b'\n'),
                b'\n' if self.after_cr => {}
                _ => lines.push(*byte),
            }
            self.after_cr = *byte == b'\r';
        }
        lines
    }

    fn lines<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), Stop<S::Refusal>> {
        let mut start = 0;
        let mut in_place = None;
        for end in memchr_iter(b'\n', chunk) {
            let line = &chunk[start..end];
            start = end + 1;
            if self.tail.is_empty() {
                self.event.line(line, &mut in_place, self.limit, sink)?;
            } else {
                self.joined_line(line, sink)?;
            }
        }
        self.event.keep(in_place);
        self.tail.extend_from_slice(&chunk[start..]);
        if start < chunk.len() && self.event.size + self.tail.len() > self.limit {
            return Err(Stop::TooLong);
        }
        Ok(())
    }

    /// A line that began in bytes fed before.
    fn joined_line<S: Sink>(&mut self, rest: &[u8], sink: &mut S) -> Result<(), Stop<S::Refusal>> {
        self.tail.extend_from_slice(rest);
        let mut in_place = None;
        self.event
            .line(&self.tail, &mut in_place, self.limit, sink)?;
        self.event.keep(in_place);
        empty(&mut self.tail);
        Ok(())
    }
}

impl Event {
    fn line<'a, S: Sink>(
        &mut self,
        line: &'a [u8],
        in_place: &mut InPlace<'a>,
        limit: usize,
        sink: &mut S,
    ) -> Result<(), Stop<S::Refusal>> {
        if line.is_empty() {
            return self.end(in_place.take(), sink);
        }
        let (name, value) = match memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        if self.size + line.len() > limit {
            return Err(Stop::TooLong);
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => self.add(line.len(), value, in_place),
            b"event" => {
                self.name.clear();
                self.name.push_str(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
        Ok(())
    }

    fn add<'a>(&mut self, size: usize, value: &'a [u8], in_place: &mut InPlace<'a>) {
        self.size += size;
        if !self.begun {
            self.begun = true;
            *in_place = Some(value);
            return;
        }
        self.keep(in_place.take());
        self.data.push(b'\n');
        self.data.extend_from_slice(value);
    }

    /// Copy what can't stay in place.
    fn keep(&mut self, in_place: InPlace<'_>) {
        if let Some(value) = in_place {
            self.data.extend_from_slice(value);
        }
    }

    /// A blank line: the event is complete, and the next one has no name yet.
    fn end<S: Sink>(
        &mut self,
        in_place: InPlace<'_>,
        sink: &mut S,
    ) -> Result<(), Stop<S::Refusal>> {
        if self.begun {
            let data = in_place.unwrap_or(&self.data);
            sink.event(data, &self.name).map_err(Stop::Refused)?;
            self.begun = false;
            self.size = 0;
            empty(&mut self.data);
        }
        self.name.clear();
        Ok(())
    }
}

/// Empty a buffer; its memory stays for the next time, unless that was an unusual lot.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT);
}
