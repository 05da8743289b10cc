//! What lies between one process and one broker, and can get in the way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use xtask::kafka::Detour;

/// How soon a new connection is seen.
const STEP: Duration = Duration::from_millis(25);
/// Connections come by the hundred, and their threads do next to nothing.
const STACK_BYTES: usize = 128 << 10;
const CHUNK_BYTES: usize = 64 << 10;

/// What becomes of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Nobody listens.
    Refusing,
    /// Connections stand, and nothing comes through, as where a cable is pulled.
    Stalled,
    /// For good.
    Closed,
}

/// A way from one process to one broker, closed when dropped.
#[derive(Debug)]
pub(crate) struct Proxy(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    detour: Detour,
    mode: Mutex<Mode>,
    changed: Condvar,
    /// Both ends of every connection that may still stand.
    ends: Mutex<Vec<(TcpStream, TcpStream)>>,
}

impl Proxy {
    /// Opens the way, to be served by threads of its own.
    pub(crate) fn open(detour: &Detour) -> Result<Self> {
        let way = Arc::new(Connection {
            detour: detour.clone(),
            mode: Mutex::new(Mode::Open),
            changed: Condvar::new(),
            ends: Mutex::default(),
        });
        let listener = way.listen()?;
        let served = Arc::clone(&way);
        spawn("gate", move || serve(&served, listener)).context("cannot serve a gate")?;
        Ok(Self(way))
    }

    /// From now on.
    pub(crate) fn set(&self, mode: Mode) {
        *lock(&self.0.mode) = mode;
        self.0.changed.notify_all();
    }

    /// Breaks every connection there is.
    pub(crate) fn cut(&self) {
        for (client, broker) in lock(&self.0.ends).drain(..) {
            // They may be broken already.
            let _ = client.shutdown(Shutdown::Both);
            let _ = broker.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Closed);
        self.cut();
    }
}

impl Connection {
    fn listen(&self) -> Result<TcpListener> {
        let listener = TcpListener::bind(&self.detour.advertised);
        let listener = listener.and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        listener.with_context(|| format!("cannot listen on {}", self.detour.advertised))
    }

    fn mode(&self) -> Mode {
        *lock(&self.mode)
    }

    /// Waits while nothing comes through.
    fn pass(&self) {
        let stalled = |mode: &mut Mode| *mode == Mode::Stalled;
        let passed = self.changed.wait_while(lock(&self.mode), stalled);
        drop(passed);
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        let broker = TcpStream::connect(&self.detour.listens)?;
        for end in [&client, &broker] {
            end.set_nodelay(true)?;
        }
        let again = |end: &TcpStream| end.try_clone();
        let mut ends = lock(&self.ends);
        ends.retain(|(client, _)| client.peer_addr().is_ok());
        ends.push((again(&client)?, again(&broker)?));
        drop(ends);
        for (from, to) in [(again(&client)?, again(&broker)?), (broker, client)] {
            let way = Arc::clone(self);
            spawn("gate-pump", move || pump(&way, from, to))?;
        }
        Ok(())
    }
}

/// Takes connections until the gate is closed.
fn serve(way: &Arc<Connection>, listener: TcpListener) {
    let mut listener = Some(listener);
    loop {
        match way.mode() {
            Mode::Closed => return,
            // Only where nobody listens is a connection refused.
            Mode::Refusing => listener = None,
            // The port may be busy for a moment.
            Mode::Open | Mode::Stalled if listener.is_none() => listener = way.listen().ok(),
            Mode::Open | Mode::Stalled => {}
        }
        match listener.as_ref().map(TcpListener::accept) {
            // A client that is not taken to its broker is hung up on, as by a broker that is down.
            Some(Ok((client, _))) => drop(way.connect(client)),
            Some(Err(_)) | None => thread::sleep(STEP),
        }
    }
}

/// Carries bytes one way until either end is gone; that news does not come through either.
fn pump(way: &Connection, mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        way.pass();
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    way.pass();
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.stack_size(STACK_BYTES).spawn(work).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn port() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    /// A gate to somebody who says everything again.
    fn proxy() -> (Proxy, String) {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let detour = Detour {
            advertised: port(),
            listens: echo.local_addr().unwrap().to_string(),
        };
        let said_again = move || {
            while let Ok((mut end, _)) = echo.accept() {
                let mut again = end.try_clone().unwrap();
                spawn("echo", move || drop(io::copy(&mut end, &mut again))).unwrap();
            }
        };
        spawn("echo", said_again).unwrap();
        (Proxy::open(&detour).unwrap(), detour.advertised)
    }

    fn client(address: &str) -> TcpStream {
        let client = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(20));
        client.set_read_timeout(patience).unwrap();
        client
    }

    fn hear(client: &mut TcpStream) -> io::Result<usize> {
        client.read(&mut [0; 8])
    }

    #[test]
    fn what_is_held_up_arrives_later() {
        let (proxy, address) = proxy();
        let mut client = client(&address);
        client.write_all(b"1").unwrap();
        assert_eq!(hear(&mut client).unwrap(), 1);
        proxy.set(Mode::Stalled);
        client.write_all(b"2").unwrap();
        let short = Some(Duration::from_millis(50));
        client.set_read_timeout(short).unwrap();
        assert_eq!(hear(&mut client).unwrap_err().kind(), ErrorKind::WouldBlock);
        proxy.set(Mode::Open);
        client.set_read_timeout(None).unwrap();
        assert_eq!(hear(&mut client).unwrap(), 1);
    }

    #[test]
    fn what_is_cut_is_gone_and_the_next_is_let_in() {
        let (proxy, address) = proxy();
        let mut first = client(&address);
        first.write_all(b"1").unwrap();
        assert_eq!(hear(&mut first).unwrap(), 1);
        proxy.cut();
        assert!(matches!(hear(&mut first), Ok(0) | Err(_)));
        let mut second = client(&address);
        second.write_all(b"2").unwrap();
        assert_eq!(hear(&mut second).unwrap(), 1);
    }

    #[test]
    fn who_is_refused_is_let_in_afterwards() {
        let (proxy, address) = proxy();
        let is_refused = || TcpStream::connect(&address).is_err();
        proxy.set(Mode::Refusing);
        flockwise_tests::eventually("refused", is_refused);
        proxy.set(Mode::Open);
        flockwise_tests::eventually("let in", || !is_refused());
    }
}
