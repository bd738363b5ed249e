//! Where a request goes: the server, and the proxy before it if there is one.

use std::sync::Arc;

use http::Uri;

/// A proxy as Python found it in the environment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Whether the proxy itself is spoken to over TLS.
    pub tls: bool,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it wants to hear in `proxy-authorization`.
    pub authorization: Option<String>,
}

/// What connections are kept by: those of equal origins take each other's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether the server is spoken to over TLS.
    pub tls: bool,
    /// Its name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The proxy on the way.
    pub proxy: Option<Arc<Proxy>>,
}

impl Origin {
    /// The server of this address; None if it is no http:// or https:// address.
    pub fn of(uri: &Uri, proxy: Option<Arc<Proxy>>) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?;
        let address = uri.authority()?.as_str().rsplit('@').next()?;
        if host.is_empty() || (address.len() > host.len() && uri.port_u16().is_none()) {
            return None; // what follows the name is no port
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            tls,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            proxy,
        })
    }

    /// Whether requests go to a proxy that is to pass them on, rather than through a tunnel.
    pub fn is_forwarded(&self) -> bool {
        self.proxy.is_some() && !self.tls
    }

    /// The name with brackets where it is an IPv6 address, and the port.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            return format!("[{host}]:{port}");
        }
        format!("{host}:{port}")
    }
}
