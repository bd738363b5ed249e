//! From an origin to a stream of bytes: addresses, TCP, the proxy's tunnel, TLS.
//!
//! Whoever drops one of these futures closes the sockets that it has opened so far.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Kind, said};
use crate::origin::{Origin, Proxy};
use crate::reactor::Reactor;
use crate::readiness::Readiness;
use crate::tcp::TcpStream;
use crate::tls::{Tls, Trust, not_shaken};

/// How long an address may keep us waiting before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Longest answer of a proxy that is to open a tunnel.
const LONGEST_HEAD: usize = 64 * 1024;

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream of whatever kind.
pub type AnyStream = Box<dyn Stream>;

/// A stream to an origin.
pub struct Opened {
    /// The stream.
    pub stream: AnyStream,
    /// What is known of its socket.
    pub readiness: Arc<Readiness>,
    /// Whether HTTP/2 is spoken there.
    pub speaks_http2: bool,
}

/// Opens connections.
pub struct Connector {
    /// What drives them.
    pub reactor: Arc<Reactor>,
    trust: Arc<Trust>,
    tls: OnceCell<Arc<Tls>>,
}

impl Connector {
    /// For one event loop. Whom we trust is the same for all.
    pub fn new(reactor: Arc<Reactor>, trust: Arc<Trust>) -> Self {
        let tls = OnceCell::new();
        Self {
            reactor,
            trust,
            tls,
        }
    }

    /// Connect to this origin.
    pub async fn open(&self, origin: &Origin) -> Result<Opened, Failure> {
        let proxy = origin.proxy.as_deref();
        if origin.tls || proxy.is_some_and(|proxy| proxy.tls) {
            self.tls().await?; // first of all: without certificates nobody is bothered
        }
        let (mut stream, readiness) = match proxy {
            Some(proxy) => self.open_proxy(proxy).await?,
            None => self.dial(&origin.host, origin.port).await?,
        };
        if !origin.tls {
            let speaks_http2 = false;
            return Ok(Opened {
                stream,
                readiness,
                speaks_http2,
            });
        }
        if let Some(proxy) = proxy {
            tunnel(&mut stream, origin, proxy).await?;
        }
        let config = self.tls().await?.servers.clone();
        let (stream, speaks_http2) = shake_hands(stream, config, &origin.host, origin.port).await?;
        Ok(Opened {
            stream,
            readiness,
            speaks_http2,
        })
    }

    async fn open_proxy(&self, proxy: &Proxy) -> Result<(AnyStream, Arc<Readiness>), Failure> {
        let Proxy { host, port, .. } = proxy;
        let dialled = self.dial(host, *port).await;
        let (stream, readiness) = dialled.map_err(|failure| Failure {
            kind: Kind::Proxy,
            ..failure
        })?;
        if !proxy.tls {
            return Ok((stream, readiness));
        }
        let config = self.tls().await?.proxies.clone();
        let (stream, _) = shake_hands(stream, config, host, *port).await?;
        Ok((stream, readiness))
    }

    async fn tls(&self) -> Result<&Tls, Failure> {
        let load = || async {
            let trust = self.trust.clone();
            self.reactor.aside(move || trust.tls()).await?
        };
        self.tls.get_or_try_init(load).await.map(Arc::as_ref)
    }

    /// Connect to the first address that answers.
    async fn dial(&self, host: &str, port: u16) -> Result<(AnyStream, Arc<Readiness>), Failure> {
        let mut addresses = self.addresses(host, port).await?.into_iter();
        let mut attempts = Vec::new(); // dropping it ends those that are left
        let mut failure = Failure::new(Kind::Resolve, "it has no address").of(host, port);
        loop {
            if let Some(address) = addresses.next() {
                let attempt = TcpStream::connect(address, self.reactor.clone());
                attempts.push(Box::pin(attempt));
            } else if attempts.is_empty() {
                return Err(failure);
            }
            tokio::select! {
                biased;
                attempt = first_of(&mut attempts) => match attempt {
                    Ok(stream) => {
                        let readiness = stream.readiness().clone();
                        return Ok((Box::new(stream), readiness));
                    }
                    Err(error) => failure = not_connected(&error).of(host, port),
                },
                () = self.reactor.sleep(HEAD_START), if addresses.len() > 0 => {}
            }
        }
    }

    /// What the system's resolver says: the same as to every other program on the machine.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let asked = (host.to_owned(), port);
        let found = self.reactor.aside(move || asked.to_socket_addrs()).await?;
        found.map(Iterator::collect).map_err(|error| Failure {
            whom: host.to_owned(),
            ..Failure::new(Kind::Resolve, reason_of_resolver(&error))
        })
    }
}

/// What the first of them comes to that comes to anything; it is none of them then.
async fn first_of<F: Future>(futures: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|context| {
        for number in 0..futures.len() {
            if let Poll::Ready(output) = futures[number].as_mut().poll(context) {
                drop(futures.remove(number));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

fn not_connected(error: &io::Error) -> Failure {
    Failure::new(Kind::Connect, said(&error.to_string())).coded(error.raw_os_error())
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
