//! Who is calling: peer credentials of the Unix socket, a token, or a loopback address; and which Host may be asked for.

use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use base64::prelude::{BASE64_STANDARD, Engine};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::App;
use super::fault;
use super::wandb;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::Actor;
use crate::capability::access::{self, Role};
use crate::capability::audit::{Via, Who};

/// The other end of a connection.
#[derive(Debug, Clone)]
pub enum Peer {
    Tcp(SocketAddr),
    /// The user's number, as the kernel says it.
    Unix(Option<u32>),
}

/// A TCP listener whose connections send small answers at once.
pub struct Prompt(pub TcpListener);

impl Listener for Prompt {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!("nodelay: {e}");
        }
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Prompt>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Prompt>) -> Self {
        Self::Tcp(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::Unix(stream.io().peer_cred().ok().map(|c| c.uid()))
    }
}

/// Says who the caller is in front of every handler; refuses what it may not even ask.
pub async fn identify(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let _busy = app.busy();
    let (parts, body) = request.into_parts();
    let dialect = fault::dialect(parts.uri.path());
    match admit(&app, &peer, &parts).await {
        Ok(actor) => {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(actor);
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            headers.insert("x-content-type-options", axum::http::HeaderValue::from_static("nosniff"));
            headers.insert("x-frame-options", axum::http::HeaderValue::from_static("SAMEORIGIN"));
            response
        }
        Err(refusal) => fault::response(&refusal, dialect).into_response(),
    }
}

async fn admit(app: &App, peer: &Peer, request: &Parts) -> Result<Actor> {
    let path = request.uri.path();
    let open = matches!(path, "/health" | "/version");
    if !open && matches!(peer, Peer::Tcp(_)) {
        check_host(&request.headers, &app.settings().allowed_hosts)?;
        check_origin(&request.method, &request.headers, &app.settings().allowed_origins)?;
    }
    if wandb::is_signed(path) {
        // The address itself is the credential; its handler checks it.
        let who = Who { name: "signed address".to_owned(), verified: false, via: Via::Api };
        return Ok(Actor { who, role: Role::Viewer, can_give_reason: false });
    }
    let actor = identity(app, peer, &request.headers, open).await?;
    if actor.role < Role::Client && !open && !is_read(&request.method, path) {
        return Err(Fault::denied(format!("{} may only read", actor.who.name))
            .why(format!("its role is {}", actor.role.name()))
            .next("come with an operator's token"));
    }
    Ok(actor)
}

async fn identity(app: &App, peer: &Peer, headers: &HeaderMap, open: bool) -> Result<Actor> {
    let via = headers.get("x-opsroom-via").and_then(|v| v.to_str().ok()).and_then(Via::parse);
    let own = via.is_some_and(|v| v != Via::Monitor);
    let via = via.filter(|_| own).unwrap_or(Via::Api);
    let actor = |name: String, verified: bool, role: Role| Actor {
        who: Who { name, verified, via },
        role,
        can_give_reason: own,
    };
    if let Some(secret) = secret(headers)? {
        let token = access::check(app.ctx().db.read(), &secret, app.now()).await?;
        return match token {
            Some(token) => Ok(actor(token.name, true, token.role)),
            None => Err(unauthenticated("the token is unknown, expired or revoked")),
        };
    }
    match peer {
        Peer::Unix(Some(uid)) => {
            let ours = rustix::process::geteuid().as_raw();
            if *uid != ours && *uid != 0 {
                return Err(unauthenticated("this socket belongs to another user"));
            }
            Ok(actor(user_name(*uid), true, Role::Admin))
        }
        Peer::Unix(None) => Err(unauthenticated("the kernel does not say who is calling")),
        Peer::Tcp(address) if address.ip().to_canonical().is_loopback() => {
            let claimed = headers.get("x-opsroom-actor").and_then(|v| v.to_str().ok()).filter(|n| !n.is_empty());
            let name = claimed.map_or_else(|| "loopback".to_owned(), |n| n.chars().take(100).collect());
            Ok(actor(name, false, Role::Client))
        }
        Peer::Tcp(_) if open => Ok(actor("anyone".to_owned(), false, Role::Viewer)),
        Peer::Tcp(_) => Err(unauthenticated("from another host a token is needed")),
    }
}

fn unauthenticated(why: &str) -> Fault {
    Fault::new(Kind::Unauthenticated, "not authenticated")
        .why(why)
        .next("set OPSROOM_TOKEN (own tools) or MLFLOW_TRACKING_TOKEN (MLflow) or WANDB_API_KEY (W&B) to a token from `opsroom token create`")
}

/// The token of a request: Bearer, or the password of Basic.
fn secret(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let unreadable = || unauthenticated("the Authorization header cannot be read");
    let text = value.to_str().map_err(|_| unreadable())?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(unreadable)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(rest.trim().to_owned()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded =
            BASE64_STANDARD.decode(rest.trim()).ok().and_then(|b| String::from_utf8(b).ok()).ok_or_else(unreadable)?;
        let (user, password) = decoded.split_once(':').unwrap_or((&decoded, ""));
        // W&B's client does not start without a key: one of this form stands for none.
        let none = user == "api" && password.starts_with(access::NO_KEY);
        return Ok((!none).then(|| password.to_owned()));
    }
    Err(unreadable())
}

/// The user's name from the passwd file, else `uid N`.
fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse::<u32>().ok()? == uid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

/// Requests that change nothing, whatever their method.
fn is_read(method: &Method, path: &str) -> bool {
    let asks = ["/search", "/runs/groups", "/get-latest-versions", "/search-datasets"];
    method == Method::GET
        || method == Method::HEAD
        || method == Method::OPTIONS
        // Its handler tells queries from mutations.
        || path == "/graphql"
        || asks.iter().any(|a| path.ends_with(a))
}

/// A page on another site must not reach the agent through the browser's idea of a name (DNS rebinding).
fn check_host(headers: &HeaderMap, allowed: &[String]) -> Result<()> {
    let Some(host) = headers.get(HOST).and_then(|h| h.to_str().ok()) else { return Ok(()) };
    if allowed.iter().any(|a| a == "*" || a.eq_ignore_ascii_case(host) || a.eq_ignore_ascii_case(name_of(host)))
        || is_private(name_of(host))
    {
        return Ok(());
    }
    Err(Fault::denied("Invalid Host header - possible DNS rebinding attack detected")
        .why(format!("host {host:?} is not one of this agent's"))
        .next("use localhost, or allow the name with agent.allowed_hosts"))
}

fn check_origin(method: &Method, headers: &HeaderMap, allowed: &[String]) -> Result<()> {
    let Some(origin) = headers.get(ORIGIN).and_then(|o| o.to_str().ok()) else { return Ok(()) };
    let name = origin.split_once("://").map_or(origin, |(_, rest)| name_of(rest));
    let local = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !changes || local || allowed.iter().any(|a| a == "*" || a.eq_ignore_ascii_case(origin)) {
        return Ok(());
    }
    Err(Fault::denied("Cross-origin request blocked")
        .why(format!("origin {origin:?}"))
        .next("allow it with agent.allowed_origins"))
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split(':').next().unwrap_or(host)
}

fn is_private(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_unspecified(),
        Ok(std::net::IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unspecified(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn hosts_of_this_machine_and_of_private_nets_may_be_asked_for() {
        for good in [
            "localhost",
            "localhost:6270",
            "127.0.0.1:1",
            "[::1]:6270",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.9:80",
            "0.0.0.0",
        ] {
            assert!(check_host(&with(HOST, good), &[]).is_ok(), "{good}");
        }
        for bad in ["evil.example", "8.8.8.8", "172.32.0.1", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(check_host(&with(HOST, bad), &[]).is_err(), "{bad}");
        }
        assert!(check_host(&with(HOST, "ops.example:443"), &["ops.example".to_owned()]).is_ok());
    }

    #[test]
    fn a_page_elsewhere_cannot_change_anything() {
        assert!(check_origin(&Method::POST, &with(ORIGIN, "https://evil.example"), &[]).is_err());
        assert!(check_origin(&Method::GET, &with(ORIGIN, "https://evil.example"), &[]).is_ok());
        assert!(check_origin(&Method::POST, &with(ORIGIN, "http://localhost:3000"), &[]).is_ok());
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_the_password_of_basic() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode("kim:opr_x"));
        assert_eq!(secret(&with(AUTHORIZATION, &basic)).unwrap().as_deref(), Some("opr_x"));
        assert_eq!(secret(&with(AUTHORIZATION, "Bearer opr_y")).unwrap().as_deref(), Some("opr_y"));
        let basic = |text: String| secret(&with(AUTHORIZATION, &format!("Basic {}", BASE64_STANDARD.encode(text))));
        assert_eq!(basic(format!("api:{}", access::no_key())).unwrap(), None, "W&B's client needs something to send");
        assert_eq!(basic(format!("kim:{}", access::no_key())).unwrap(), Some(access::no_key()));
        assert!(secret(&with(AUTHORIZATION, "Digest x")).is_err());
    }
}
