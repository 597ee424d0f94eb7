//! A dumb SCEP server that only writes down what a client sends: for making golden messages.
//!
//! ```text
//! record DIRECTORY STEM CAPABILITIES [pending]
//! ```
//! DIRECTORY holds `bundle.p7` (GetCACert) and, for `pending`, `rep.der` and `rep.key`. Prints its
//! port, answers GetCACaps and GetCACert, writes the first PKIOperation to `STEM.der` (POST) or
//! `STEM.get` (the raw query of a GET), and ends. With `pending` it answers the first one PENDING
//! and writes the second one, which is the client's poll.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a tool for the author of golden messages; it may stop where it stands"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use countersign_scep::client::DeviceKey;
use countersign_scep::{Bounds, CertRep, Certificate, Message, Nonce, Operation, Query};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let directory = Path::new(&arguments[1]);
    let (stem, capabilities) = (&arguments[2], arguments[3].replace(',', "\n") + "\n");
    let mut pending = arguments.get(4).is_some_and(|word| word == "pending");

    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let request = Request::read(&mut stream);
        let query = Query::parse(&request.query, &Bounds::REQUEST).unwrap();
        match query.operation.unwrap_or(Operation::PkiOperation) {
            Operation::GetCaCaps => respond(&mut stream, "text/plain", capabilities.as_bytes()),
            Operation::GetCaCert => {
                let bundle = fs::read(directory.join("bundle.p7")).unwrap();
                respond(&mut stream, "application/x-x509-ca-ra-cert", &bundle);
            }
            Operation::GetNextCaCert => panic!("nobody asks for this"),
            Operation::PkiOperation if pending => {
                pending = false;
                let message = Message::parse(&request.body, &Bounds::REQUEST).unwrap();
                let certificate = fs::read(directory.join("rep.der")).unwrap();
                let key = fs::read(directory.join("rep.key")).unwrap();
                let key = DeviceKey::from_pkcs8(&key).unwrap();
                let reply = CertRep::pending(&message).to_be_signed(
                    &Certificate::parse(&certificate).unwrap(),
                    &Nonce::random().unwrap(),
                );
                let digest = reply.digest();
                let reply = reply.sign_with(|bytes| key.sign(digest, bytes)).unwrap();
                respond(&mut stream, "application/x-pki-message", &reply);
            }
            Operation::PkiOperation => {
                if request.body.is_empty() {
                    fs::write(directory.join(format!("{stem}.get")), &request.query).unwrap();
                } else {
                    fs::write(directory.join(format!("{stem}.der")), &request.body).unwrap();
                }
                return;
            }
        }
    }
}

struct Request {
    query: String,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &mut TcpStream) -> Request {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let target = line.split(' ').nth(1).unwrap().to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let query = target.split_once('?').map_or("", |(_, query)| query).to_owned();
        Request { query, body }
    }
}

fn respond(stream: &mut TcpStream, content_type: &str, body: &[u8]) {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
}
