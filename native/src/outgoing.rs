//! From Python's words for a request to HTTP's.

use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, USER_AGENT};
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::decompress::ACCEPTED;
use crate::failure::{Failure, Kind};
use crate::origin::{Origin, Proxy};

/// Room for what is added to each request.
const OURS: usize = 4;

/// Where this address leads to, and the address as it is sent.
pub fn address(url: &str, proxy: Option<Arc<Proxy>>) -> Result<(Origin, Uri), Failure> {
    let uri: Uri = url
        .parse()
        .map_err(|error: InvalidUri| Failure::new(Kind::Address, error.to_string()))?;
    let origin = Origin::of(&uri, proxy);
    let origin = origin.ok_or_else(|| Failure::new(Kind::Address, "not http:// or https://"))?;
    Ok((origin, uri))
}

/// The headers as they are sent to this server.
pub fn headers(given: &Bound<'_, PyDict>, origin: &Origin) -> PyResult<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(given.len() + OURS);
    headers.insert(HOST, host(origin)?);
    for (name, value) in given {
        let (name, value) = (name.cast::<PyString>()?, value.cast::<PyString>()?);
        let name = HeaderName::try_from(name.to_str()?).map_err(unwritable)?;
        let value = HeaderValue::from_bytes(value.to_str()?.as_bytes()).map_err(unwritable)?;
        headers.insert(name, value);
    }
    for (name, value) in [
        (ACCEPT, "*/*"),
        (ACCEPT_ENCODING, ACCEPTED),
        (USER_AGENT, "polyvox"),
    ] {
        let value = HeaderValue::from_static(value);
        headers.entry(name).or_insert(value);
    }
    Ok(headers)
}

/// The name in `host`, and the port unless it is the usual one.
fn host(origin: &Origin) -> Result<HeaderValue, Failure> {
    let authority = origin.authority();
    let usual = if origin.tls { ":443" } else { ":80" };
    let shown = authority.strip_suffix(usual).unwrap_or(&authority);
    HeaderValue::from_str(shown).map_err(unwritable)
}

/// Which header it is remains unsaid, as its value may be a secret.
#[allow(clippy::needless_pass_by_value)] // as `map_err` calls it
fn unwritable(error: impl ToString) -> Failure {
    Failure::new(Kind::Header, error.to_string())
}
