//! From an origin to a stream of bytes: addresses, TCP, the proxy's tunnel, TLS.
//!
//! Whoever drops one of these futures closes the sockets that it has opened so far.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Kind, said};
use crate::origin::{Origin, Proxy};
use crate::tls::{Roots, Tls, not_shaken};

/// How long an address may keep us waiting before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Longest answer of a proxy that is to open a tunnel.
const LONGEST_HEAD: usize = 64 * 1024;

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream of whatever kind.
pub type AnyStream = Box<dyn Stream>;

/// Opens connections.
pub struct Connector {
    roots: Roots,
    tls: OnceCell<Tls>,
}

impl Connector {
    /// Nothing is read before it is needed.
    pub fn new(roots: Roots) -> Self {
        let tls = OnceCell::new();
        Self { roots, tls }
    }

    /// Connect to this origin. Whether HTTP/2 is spoken there comes with the stream.
    pub async fn open(&self, origin: &Origin) -> Result<(AnyStream, bool), Failure> {
        let proxy = origin.proxy.as_deref();
        if origin.tls || proxy.is_some_and(|proxy| proxy.tls) {
            self.tls().await?; // first of all: without certificates nobody is bothered
        }
        let mut stream: AnyStream = match proxy {
            Some(proxy) => self.open_proxy(proxy).await?,
            None => Box::new(dial(&origin.host, origin.port).await?),
        };
        if !origin.tls {
            return Ok((stream, false));
        }
        if let Some(proxy) = proxy {
            tunnel(&mut stream, origin, proxy).await?;
        }
        let config = self.tls().await?.servers.clone();
        shake_hands(stream, config, &origin.host, origin.port).await
    }

    async fn open_proxy(&self, proxy: &Proxy) -> Result<AnyStream, Failure> {
        let Proxy { host, port, .. } = proxy;
        let dialled = dial(host, *port).await;
        let stream = dialled.map_err(|failure| Failure {
            kind: Kind::Proxy,
            ..failure
        })?;
        if !proxy.tls {
            return Ok(Box::new(stream));
        }
        let config = self.tls().await?.proxies.clone();
        let shaken = shake_hands(Box::new(stream), config, host, *port).await;
        shaken.map(|(stream, _)| stream)
    }

    async fn tls(&self) -> Result<&Tls, Failure> {
        let load = || async {
            let roots = self.roots.clone();
            let loaded = spawn_blocking(move || Tls::load(&roots)).await;
            loaded.unwrap_or_else(|error| Err(Failure::new(Kind::Panic, error.to_string())))
        };
        self.tls.get_or_try_init(load).await
    }
}

/// Connect to the first address that answers.
async fn dial(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let mut addresses = addresses(host, port).await?.into_iter();
    let mut attempts = JoinSet::new(); // dropping it ends those that are left
    let mut failure = Failure::new(Kind::Resolve, "it has no address").of(host, port);
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(connect(address));
        }
        tokio::select! {
            attempt = attempts.join_next() => match attempt {
                None => return Err(failure),
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => failure = not_connected(&error).of(host, port),
                Some(Err(error)) => failure = Failure::new(Kind::Panic, error.to_string()),
            },
            () = sleep(HEAD_START), if addresses.len() > 0 => {}
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn not_connected(error: &io::Error) -> Failure {
    Failure::new(Kind::Connect, said(&error.to_string())).coded(error.raw_os_error())
}

/// What the system's resolver says: the same as to every other program on the machine.
async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match lookup_host((host, port)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(Failure {
            whom: host.to_owned(),
            ..Failure::new(Kind::Resolve, reason_of_resolver(&error))
        }),
    }
}

fn reason_of_resolver(error: &io::Error) -> String {
    let text = said(&error.to_string());
    let known = text.strip_prefix("failed to lookup address information: ");
    known.unwrap_or(&text).to_owned()
}

async fn shake_hands(
    stream: AnyStream,
    config: Arc<ClientConfig>,
    host: &str,
    port: u16,
) -> Result<(AnyStream, bool), Failure> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| Failure::new(Kind::Tls, error.to_string()).of(host, port))?;
    let shaken = TlsConnector::from(config).connect(name, stream).await;
    let stream = shaken.map_err(|error| not_shaken(&error).of(host, port))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Box::new(stream), http2))
}

/// Have the proxy connect us to the origin (RFC 9110, section 9.3.6).
async fn tunnel(stream: &mut AnyStream, origin: &Origin, proxy: &Proxy) -> Result<(), Failure> {
    let authority = origin.authority();
    let authorization = proxy.authorization.as_ref();
    let authorization =
        authorization.map_or_else(String::new, |it| format!("Proxy-Authorization: {it}\r\n"));
    let request =
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n");
    let spoken = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        read_head(stream).await
    };
    let head = spoken
        .await
        .map_err(|error| Failure::new(Kind::Broken, said(&error.to_string())))?;
    let (status, reason) = status_of(&head)
        .ok_or_else(|| Failure::new(Kind::Http, "the proxy's answer is no HTTP"))?;
    if (200..300).contains(&status) {
        return Ok(());
    }
    Err(Failure::new(Kind::Refused, reason).coded(Some(status)))
}

async fn read_head(stream: &mut AnyStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte: what follows belongs to somebody else. The head is short, and read once.
        head.push(stream.read_u8().await?);
        if head.len() > LONGEST_HEAD {
            return Err(io::Error::other("the proxy's answer has no end"));
        }
    }
    Ok(head)
}

fn status_of(head: &[u8]) -> Option<(i32, String)> {
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next()?);
    let mut parts = line.strip_prefix("HTTP/1.")?.splitn(3, ' ');
    let status = parts.nth(1)?.parse().ok()?;
    Some((status, parts.next().unwrap_or_default().to_owned()))
}
