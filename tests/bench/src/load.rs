//! The client while the clock runs: connections that are kept alive, one thread, no cryptography.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::fleet::Prepared;
use crate::peer::Peer;

/// What came back for one request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) request: Prepared,
    /// The body of a 200, or what came instead.
    pub(crate) body: Result<Bytes, String>,
    pub(crate) took: Duration,
}

/// One turn of one system.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) answers: Vec<Answered>,
    pub(crate) elapsed: Duration,
}

/// Sends all requests, so many at a time, each connection one after the other.
pub(crate) async fn enrol(peer: &Peer, requests: Vec<Prepared>, concurrency: usize) -> Turn {
    let url = peer.url("PKIOperation");
    let waiting = Rc::new(RefCell::new(VecDeque::from(requests)));
    let answers = Rc::new(RefCell::new(Vec::with_capacity(waiting.borrow().len())));
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        connections.push(connect(&peer.address).await.expect("the server accepts connections"));
    }
    let local = LocalSet::new();
    let begin = Instant::now();
    for mut connection in connections {
        let (waiting, answers) = (Rc::clone(&waiting), Rc::clone(&answers));
        let (url, address) = (url.clone(), peer.address.clone());
        local.spawn_local(async move {
            loop {
                let next = waiting.borrow_mut().pop_front();
                let Some(request) = next else { break };
                let begin = Instant::now();
                let sent = send(&mut connection, "POST", &address, &url, request.message.clone());
                let body = match sent.await {
                    Ok((StatusCode::OK, body)) => Ok(body),
                    Ok((status, _)) => Err(format!("HTTP {status}")),
                    Err(error) => {
                        let again = connect(&address).await;
                        connection = again.expect("the server accepts connections");
                        Err(format!("no answer: {error}"))
                    }
                };
                answers.borrow_mut().push(Answered { request, body, took: begin.elapsed() });
            }
        });
    }
    local.await;
    let elapsed = begin.elapsed();
    let answers = answers.take();
    Turn { answers, elapsed }
}

/// Sends a request each `interval`, whether those before were answered or not, as devices do that do
/// not know of each other. What each took counts from when it was due.
pub(crate) async fn arrive(peer: &Peer, requests: Vec<Prepared>, interval: Duration) -> Turn {
    let url = peer.url("PKIOperation");
    let answers = Rc::new(RefCell::new(Vec::with_capacity(requests.len())));
    let idle = Rc::new(RefCell::new(Vec::new()));
    let local = LocalSet::new();
    let begin = Instant::now();
    let mut due = begin;
    for request in requests {
        let (url, address) = (url.clone(), peer.address.clone());
        let (answers, idle) = (Rc::clone(&answers), Rc::clone(&idle));
        local.spawn_local(async move {
            tokio::time::sleep_until(due.into()).await;
            let kept = idle.borrow_mut().pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => connect(&address).await.expect("the server accepts connections"),
            };
            let sent = send(&mut connection, "POST", &address, &url, request.message.clone());
            let body = match sent.await {
                Ok((StatusCode::OK, body)) => Ok(body),
                Ok((status, _)) => Err(format!("HTTP {status}")),
                Err(error) => Err(format!("no answer: {error}")),
            };
            if !body.as_ref().is_err_and(|error| error.starts_with("no answer")) {
                idle.borrow_mut().push(connection);
            }
            answers.borrow_mut().push(Answered { request, body, took: due.elapsed() });
        });
        due += interval;
    }
    local.await;
    let elapsed = begin.elapsed();
    let answers = answers.take();
    Turn { answers, elapsed }
}

/// GETs of one URL for so long, on 16 connections; how many a second were answered with 200.
pub(crate) async fn gets_per_second(address: &str, url: &str, time: Duration) -> f64 {
    let good = Rc::new(Cell::new(0_u32));
    let local = LocalSet::new();
    let begin = Instant::now();
    for _ in 0..16 {
        let mut connection = connect(address).await.expect("the server accepts connections");
        let (good, address, url) = (Rc::clone(&good), address.to_owned(), url.to_owned());
        local.spawn_local(async move {
            while begin.elapsed() < time {
                let sent = send(&mut connection, "GET", &address, &url, Bytes::new()).await;
                let (status, _) = sent.expect("an answer");
                good.set(good.get() + u32::from(status == StatusCode::OK));
            }
        });
    }
    local.await;
    f64::from(good.get()) / begin.elapsed().as_secs_f64()
}

/// One GET on a connection of its own.
pub(crate) async fn get(address: &str, url: &str) -> (StatusCode, Bytes) {
    let mut connection = connect(address).await.expect("the server accepts connections");
    send(&mut connection, "GET", address, url, Bytes::new()).await.expect("an answer")
}

/// A connection that is kept alive.
pub(crate) async fn connect(address: &str) -> std::io::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    // Ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(
    connection: &mut SendRequest<Full<Bytes>>,
    method: &str,
    address: &str,
    url: &str,
    body: Bytes,
) -> hyper::Result<(StatusCode, Bytes)> {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("host", address)
        .header("content-type", "application/x-pki-message")
        .body(Full::new(body))
        .expect("a request");
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// Waits until somebody accepts connections there.
pub(crate) async fn wait_for(address: &str) {
    let begin = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20), "nobody listens on {address}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
