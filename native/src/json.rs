//! A strict reader of JSON that goes through a text once and builds nothing.
//!
//! It is for recognising: whatever it does not read to the last byte, by the letter of RFC 8259, it
//! leaves to a decoder that knows better. So every method gives `None` in doubt, and never a guess.
//! A text of several lines is in doubt, too: frames can then be kept as lines.

use std::borrow::Cow;

/// How deep a value may be nested that is passed over.
const MAX_DEPTH: usize = 16;

/// A place in a JSON text.
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of the text.
    pub fn new(text: &'a str) -> Self {
        Cursor { text, at: 0 }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.text.len() - self.at
    }

    /// Nothing but white space is left.
    pub fn end(mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// An object; `member` is called with each key and reads its value. Keys with escapes are in doubt.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&'a str, &mut Self) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let Cow::Borrowed(key) = self.string()? else {
                return None;
            };
            self.expect(b':')?;
            member(key, self)?;
            if self.take(b'}') {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    /// An array; `item` is called to read each of its values.
    pub fn array(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Some(());
        }
        loop {
            item(self)?;
            if self.take(b']') {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    /// A string, without its quotes and escapes. A surrogate without its other half is in doubt.
    pub fn string(&mut self) -> Option<Cow<'a, str>> {
        self.expect(b'"')?;
        self.rest_of_string()
    }

    /// A string of which the first quote was read.
    pub fn rest_of_string(&mut self) -> Option<Cow<'a, str>> {
        let (text, escaped) = self.plain()?;
        if !escaped {
            return Some(Cow::Borrowed(text));
        }
        let mut whole = String::with_capacity(text.len() + 32);
        whole.push_str(text);
        loop {
            whole.push(self.escape()?);
            let (more, escaped) = self.plain()?;
            whole.push_str(more);
            if !escaped {
                return Some(Cow::Owned(whole));
            }
        }
    }

    /// `null`.
    pub fn null(&mut self) -> Option<()> {
        self.peek()?;
        self.word("null")
    }

    /// `null` or a string.
    pub fn string_or_null(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            _ => self.word("null"),
        }
    }

    /// `null`, `""` or `[]`, whichever of the latter two `empty` begins.
    pub fn nothing(&mut self, empty: &str) -> Option<()> {
        match self.peek()? {
            b'n' => self.word("null"),
            _ => self.word(empty),
        }
    }

    /// A whole number of at most nine digits.
    pub fn index(&mut self) -> Option<u32> {
        self.peek()?;
        let digits = self.digits(9)?;
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        digits.parse().ok()
    }

    /// Any value, passed over.
    pub fn skip(&mut self) -> Option<()> {
        self.skip_within(MAX_DEPTH)
    }

    fn skip_within(&mut self, depth: usize) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(|_, cursor| cursor.skip_within(deeper)),
            b'[' => self.array(|cursor| cursor.skip_within(deeper)),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.number(),
        }
    }

    /// A number, of a size that nobody could have trouble with.
    fn number(&mut self) -> Option<()> {
        self.take_byte(b'-');
        let whole = self.digits(18)?;
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        if self.take_byte(b'.') {
            self.digits(40)?;
        }
        if self.take_byte(b'e') || self.take_byte(b'E') {
            let _sign = self.take_byte(b'-') || self.take_byte(b'+');
            self.digits(2)?;
        }
        Some(())
    }

    /// Digits from here on, at least one and at most so many.
    fn digits(&mut self, most: usize) -> Option<&'a str> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 || count > most {
            return None;
        }
        self.at += count;
        self.text.get(self.at - count..self.at)
    }

    /// The inside of a string up to the quote that ends it, or up to an escape, and which it was.
    fn plain(&mut self) -> Option<(&'a str, bool)> {
        let rest = &self.text.as_bytes()[self.at..];
        // Most strings are short: to look at every byte is faster than to search for some.
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
        if rest[length] < b' ' {
            return None;
        }
        let plain = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        Some((plain, rest[length] == b'\\'))
    }

    /// What an escape stands for, whose backslash was read.
    fn escape(&mut self) -> Option<char> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' => Some(char::from(byte)),
            b'b' => Some('\u{8}'),
            b'f' => Some('\u{c}'),
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'u' => self.unicode(),
            _ => None,
        }
    }

    /// The character that one or two units of UTF-16 mean; the first `\u` was read.
    fn unicode(&mut self) -> Option<char> {
        let high = self.unit()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        self.word("\\u")?;
        let low = self.unit()?.checked_sub(0xdc00)?;
        if low >= 0x400 {
            return None;
        }
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    /// The next byte that is no white space, not taken yet.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        self.peek();
        self.take_byte(wanted)
    }

    fn take_byte(&mut self, wanted: u8) -> bool {
        let found = self.text.as_bytes().get(self.at) == Some(&wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        self.take(wanted).then_some(())
    }

    fn word(&mut self, wanted: &str) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let found = rest.starts_with(wanted.as_bytes());
        self.at += if found { wanted.len() } else { 0 };
        found.then_some(())
    }
}

/// The keys of one object that were seen: each may come once.
#[derive(Default)]
pub struct Seen(u32);

impl Seen {
    /// `None` if the key of this number came before.
    pub fn once(&mut self, number: u32) -> Option<()> {
        let bit = 1_u32.checked_shl(number)?;
        let fresh = self.0 & bit == 0;
        self.0 |= bit;
        fresh.then_some(())
    }

    /// Whether the key of this number came.
    pub fn has(&self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }
}
