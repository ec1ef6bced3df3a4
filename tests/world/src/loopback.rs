//! An HTTP server on loopback that can be taken down, brought up on the same port, and whose connections can be cut
//! from within a handler. It owns sockets, not what is said over them.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{DefaultBodyLimit, connect_info::Connected},
    response::Response,
    serve::{IncomingStream, Listener},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{fault::Fault, journal::Receipt};

/// A free port on the loopback interface.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The largest request body any server here reads, in bytes.
const LARGEST_BODY: usize = 16 << 20;

/// A running server; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    router: Router,
    connections: Connections,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Loopback {
    /// Serves the router at this address, [`ANY_PORT`] for a free one.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(address: SocketAddr, router: Router) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot bind {address}"))?;
        let server = Self {
            address: listener.local_addr()?,
            router: router.layer(DefaultBodyLimit::max(LARGEST_BODY)),
            connections: Connections::default(),
            accepting: Mutex::new(None),
        };
        server.serve(listener);
        Ok(server)
    }

    /// Where it listens, or would if it were up.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its root, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes it down: connections are closed, new ones refused. What it has received stays.
    pub async fn take_down(&self) {
        let accepting = self.accepting().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Cancelled, as was just asked for; awaited because only then is the port closed.
            let _ = accepting.await;
        }
        self.connections.cut_all();
    }

    /// Brings it up again on the same port; nothing to do if it is up.
    ///
    /// # Errors
    /// If something else took the port.
    pub async fn bring_up(&self) -> anyhow::Result<()> {
        if self.accepting().is_none() {
            let address = self.address;
            let listener =
                TcpListener::bind(address).await.with_context(|| format!("cannot bind {address} again"))?;
            self.serve(listener);
        }
        Ok(())
    }

    fn serve(&self, listener: TcpListener) {
        let door = Door { listener, connections: self.connections.clone() };
        let service = self.router.clone().into_make_service_with_connect_info::<Connection>();
        let task = tokio::spawn(async move {
            // Never fails: the listener retries by itself.
            let _ = axum::serve(door, service).await;
        });
        *self.accepting() = Some(task);
    }

    fn accepting(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting().take() {
            accepting.abort();
        }
        self.connections.cut_all();
    }
}

/// A handle on the connection that a request came over; handlers get it as `ConnectInfo<Connection>`.
#[derive(Debug, Clone)]
pub struct Connection(Option<Arc<std::net::TcpStream>>);

impl Connection {
    /// Closes the connection in both directions, whatever the HTTP layer is about to do with it.
    pub fn cut(&self) {
        if let Some(socket) = &self.0 {
            // Fails only where the other side was faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Gives the answer as the fault would have it, and puts the request on record accordingly.
    pub async fn deliver<T>(&self, fault: Fault, receipt: Receipt<T>, response: Response) -> Response {
        match fault {
            Fault::None | Fault::Status { .. } | Fault::RateLimit => {}
            Fault::Late(by) => tokio::time::sleep(by).await,
            Fault::Hang => {
                receipt.withheld();
                return std::future::pending().await;
            }
            Fault::Cut => {
                receipt.withheld();
                self.cut();
                return std::future::pending().await;
            }
        }
        receipt.answered(response.status().as_u16());
        response
    }
}

impl Connected<IncomingStream<'_, Door>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

/// The connections that are open, so that they can be closed with the server.
#[derive(Debug, Clone, Default)]
struct Connections(Arc<Mutex<Vec<Weak<std::net::TcpStream>>>>);

impl Connections {
    fn add(&self, stream: &TcpStream) -> Connection {
        let socket = stream.as_fd().try_clone_to_owned().ok();
        let socket = socket.map(|fd| Arc::new(std::net::TcpStream::from(fd)));
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|socket| socket.strong_count() > 0);
        open.extend(socket.as_ref().map(Arc::downgrade));
        Connection(socket)
    }

    fn cut_all(&self) {
        let open = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for socket in open {
            Connection(socket.upgrade()).cut();
        }
    }
}

/// Accepts connections and hands out a handle on each in place of the peer's address.
struct Door {
    listener: TcpListener,
    connections: Connections,
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = Connection;

    async fn accept(&mut self) -> (TcpStream, Connection) {
        let (stream, _) = Listener::accept(&mut self.listener).await;
        // Latency is measured through these servers; without this an answer may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let connection = self.connections.add(&stream);
        (stream, connection)
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Ok(Connection(None))
    }
}
