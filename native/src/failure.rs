//! What went wrong, in the few kinds that Python tells apart. Its words are made there.

use pyo3::PyErr;

mod exception {
    #![allow(missing_docs)] // the macro writes the type
    pyo3::create_exception!(
        polyvox_native,
        Failure,
        pyo3::exceptions::PyException,
        "An exchange failed. Its args: kind, text, whom (host:port), code."
    );
}

pub use exception::Failure as FailureError;

/// The kind of a failure: what Python says, and whether it advises to ask again, hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No address for the name.
    Resolve,
    /// No connection to the address; the code is the system's.
    Connect,
    /// No connection to the proxy.
    Proxy,
    /// No connection within the time given for it.
    Timeout,
    /// The server is not who it says it is.
    Certificate,
    /// No TLS, for another reason.
    Tls,
    /// What came instead of TLS is plain text.
    Plain,
    /// The proxy opens no tunnel; the code is its status.
    Refused,
    /// What came is no HTTP.
    Http,
    /// The connection ended before an answer began.
    HangUp,
    /// The connection broke.
    Broken,
    /// The answer ended before its end.
    Cut,
    /// We closed it.
    Closed,
    /// A fault of ours.
    Panic,
    /// The environment names certificates that are none.
    Roots,
    /// What was given as an address is none.
    Address,
    /// A header that can't be written.
    Header,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Timeout => "timeout",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Plain => "plain",
            Self::Refused => "refused",
            Self::Http => "http",
            Self::HangUp => "hang-up",
            Self::Broken => "broken",
            Self::Cut => "cut",
            Self::Closed => "closed",
            Self::Panic => "panic",
            Self::Roots => "roots",
            Self::Address => "address",
            Self::Header => "header",
        }
    }
}

/// Why there is no answer, or no more of it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind of failure this is.
    pub kind: Kind,
    /// What the system or the other side said.
    pub text: String,
    /// Who it is about, where that is not the server that was asked.
    pub whom: String,
    /// The system's number of the error, or the status of a proxy.
    pub code: Option<i32>,
}

impl Failure {
    /// A failure of which nothing more is known than this.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            whom: String::new(),
            code: None,
        }
    }

    /// The same, about this host.
    pub fn of(mut self, host: &str, port: u16) -> Self {
        self.whom = format!("{host}:{port}");
        self
    }

    /// The same, with the number of the error.
    pub fn coded(mut self, code: Option<i32>) -> Self {
        self.code = code;
        self
    }

    /// What hyper says, before an answer's head is there or within its body.
    pub fn from_hyper(error: &hyper::Error, in_body: bool) -> Self {
        let text = innermost(error);
        if error.is_parse() && !in_body {
            return Self::new(Kind::Http, text);
        }
        if in_body {
            let cut = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
            return Self::new(if cut { Kind::Cut } else { Kind::Broken }, text);
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::new(Kind::HangUp, text);
        }
        Self::new(Kind::Broken, text)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        FailureError::new_err((
            failure.kind.word(),
            failure.text,
            failure.whom,
            failure.code,
        ))
    }
}

/// The reason below all that was wrapped around it: the outer texts say nothing of their own.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut reason = error;
    while let Some(below) = reason.source() {
        reason = below;
    }
    said(&reason.to_string())
}

/// Without the number that Rust appends to the system's text.
pub fn said(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_owned()
}
