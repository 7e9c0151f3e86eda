//! A proxy between a client and a server over TCP that is slow, busy, cut, or away, as told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// Each waits for so long.
    Slow(Duration),
    /// So many are answered 503, as a server does that restarts behind its proxy.
    Busy(usize),
    /// After so many more, the line breaks in the middle of an answer.
    Cut(usize),
    /// What a server and the proxy before it say while it is upgraded: one after the other.
    Upgrading,
    /// What has this text in its address or body is answered 500, as MLflow does when its store is at fault.
    Poison(&'static str),
    /// Nobody is there.
    Away,
}

const UPGRADING: [&str; 4] = [
    "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 19\r\nconnection: close\r\n\r\n404 page not found\n",
    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 22\r\nconnection: close\r\n\r\n<html>Back soon</html>",
    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    "HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
];
const POISONED: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 53\r\nconnection: close\r\n\r\n\
                        {\"error_code\": \"INTERNAL_ERROR\", \"message\": \"no row\"}";

struct State {
    to: Mutex<String>,
    fault: Mutex<Fault>,
    seen: AtomicUsize,
    stop: AtomicBool,
}

pub struct Proxy {
    pub url: String,
    address: String,
    state: Arc<State>,
}

impl Proxy {
    /// In front of a server at `http://HOST:PORT`.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let to = Mutex::new(address_of(server));
        let (fault, seen, stop) = (Mutex::new(Fault::None), AtomicUsize::new(0), AtomicBool::new(false));
        let state = Arc::new(State { to, fault, seen, stop });
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let state = shared.clone();
                std::thread::spawn(move || drop(state.serve(client)));
            }
        });
        Self { url: format!("http://{address}"), address, state }
    }

    /// In front of another server from now on.
    pub fn lead_to(&self, server: &str) {
        *self.state.to.lock().unwrap() = address_of(server);
    }

    pub fn set(&self, fault: Fault) {
        self.state.seen.store(0, Ordering::SeqCst);
        *self.state.fault.lock().unwrap() = fault;
    }

    /// Requests since the fault was set.
    pub fn seen(&self) -> usize {
        self.state.seen.load(Ordering::SeqCst)
    }
}

fn address_of(server: &str) -> String {
    server.trim_start_matches("http://").to_owned()
}

fn has(request: &[u8], text: &str) -> bool {
    request.windows(text.len()).any(|part| part == text.as_bytes())
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        if self.fault() == Fault::Away {
            return client.shutdown(Shutdown::Both);
        }
        let mut buffer = vec![0; 64 << 10];
        if self.fault() == Fault::Upgrading {
            // Nobody stands behind it.
            let _ = client.read(&mut buffer)?;
            let nth = self.seen.fetch_add(1, Ordering::SeqCst);
            client.write_all(UPGRADING[nth % UPGRADING.len()].as_bytes())?;
            return client.shutdown(Shutdown::Both);
        }
        let to = self.to.lock().unwrap().clone();
        let mut server = TcpStream::connect(to)?;
        let (mut from, mut back) = (server.try_clone()?, client.try_clone()?);
        let answers = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut back);
            let _ = back.shutdown(Shutdown::Both);
        });
        loop {
            // Requests are small: each comes in one piece.
            let n = client.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            let nth = self.seen.fetch_add(1, Ordering::SeqCst);
            match self.fault() {
                Fault::Slow(wait) => std::thread::sleep(wait),
                Fault::Busy(count) if nth < count => {
                    client.write_all(
                        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    )?;
                    break;
                }
                Fault::Cut(after) if nth >= after => {
                    client.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"runs\": [")?;
                    break;
                }
                Fault::Poison(text) if has(&buffer[..n], text) => {
                    client.write_all(POISONED.as_bytes())?;
                    break;
                }
                Fault::Away | Fault::Upgrading => break,
                _ => {}
            }
            server.write_all(&buffer[..n])?;
        }
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both), answers.join());
        Ok(())
    }
}
