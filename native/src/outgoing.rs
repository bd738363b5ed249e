//! From Python's words for a request to HTTP's.

use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::decompress::ACCEPTED;
use crate::failure::{Failure, Kind};
use crate::origin::{Origin, Proxy};

/// Room for what is added to each request.
const OURS: usize = 6;

/// An address, and all that can be said of requests to it before there is one.
pub struct Address {
    /// Where they go.
    pub origin: Arc<Origin>,
    /// All of it.
    pub uri: Uri,
    /// What stands in a request's first line where it goes by HTTP/1.1.
    pub line: Uri,
    host: HeaderValue,
    /// Who asks, if the address said that.
    authorization: Option<HeaderValue>,
    /// What the proxy that passes them on wants to hear.
    proxy_authorization: Option<HeaderValue>,
}

impl Address {
    /// What this URL means.
    pub fn of(
        url: &str,
        proxy: Option<Proxy>,
        authorization: Option<&str>,
    ) -> Result<Self, Failure> {
        let uri: Uri = url
            .parse()
            .map_err(|error: InvalidUri| Failure::new(Kind::Address, error.to_string()))?;
        let origin = Origin::of(&uri, proxy.map(Arc::new));
        let origin =
            origin.ok_or_else(|| Failure::new(Kind::Address, "not http:// or https://"))?;
        let proxy_authorization = origin.proxy.as_ref().filter(|_| origin.is_forwarded());
        let proxy_authorization =
            proxy_authorization.and_then(|proxy| proxy.authorization.as_ref()?.parse().ok());
        let line = if origin.is_forwarded() {
            uri.clone()
        } else {
            let path = uri.path_and_query().cloned();
            path.map_or_else(Uri::default, Uri::from)
        };
        Ok(Self {
            host: host(&origin)?,
            origin: Arc::new(origin),
            uri,
            line,
            authorization: authorization.map(value).transpose()?,
            proxy_authorization,
        })
    }

    /// The headers of a request to it, but those that hang on the way it is sent.
    pub fn headers(&self, given: &Bound<'_, PyDict>) -> PyResult<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(given.len() + OURS);
        headers.insert(HOST, self.host.clone());
        for (name, text) in given {
            let (name, text) = (name.cast::<PyString>()?, text.cast::<PyString>()?);
            let name = HeaderName::from_bytes(name.to_str()?.as_bytes()).map_err(unwritable)?;
            headers.insert(name, value(text.to_str()?)?);
        }
        for (name, value) in [
            (ACCEPT, "*/*"),
            (ACCEPT_ENCODING, ACCEPTED),
            (USER_AGENT, "polyvox"),
        ] {
            let value = HeaderValue::from_static(value);
            headers.entry(name).or_insert(value);
        }
        if let Some(authorization) = &self.authorization {
            let entry = headers.entry(AUTHORIZATION);
            entry.or_insert_with(|| authorization.clone());
        }
        if let Some(authorization) = &self.proxy_authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        Ok(headers)
    }
}

/// An address that Python holds, to send one request after the other there.
#[pyclass(frozen)]
pub struct Target(pub Arc<Address>);

/// The name in `host`, and the port unless it is the usual one.
fn host(origin: &Origin) -> Result<HeaderValue, Failure> {
    let authority = origin.authority();
    let usual = if origin.tls { ":443" } else { ":80" };
    value(authority.strip_suffix(usual).unwrap_or(&authority))
}

fn value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(unwritable)
}

/// Which header it is remains unsaid, as its value may be a secret.
#[allow(clippy::needless_pass_by_value)] // as `map_err` calls it
fn unwritable(error: impl ToString) -> Failure {
    Failure::new(Kind::Header, error.to_string())
}
