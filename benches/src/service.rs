//! A web service for lookups to ask, on loopback: it answers, or does what services do on bad days.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use serde::Serialize;

/// What a service does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Service {
    /// It answers at once, the same row for every key.
    Answers,
    /// Nobody listens.
    Gone,
    /// It takes requests and says nothing.
    Hangs,
    /// It answers the same way after two seconds.
    Slow,
    /// It says what is no JSON.
    Lies,
}

impl Service {
    /// Starts it, with the row that it knows, and returns its port. It ends with the process.
    pub fn start(self, row: &'static str) -> anyhow::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        if self != Self::Gone {
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    thread::spawn(move || self.serve(stream, row));
                }
            });
        }
        Ok(port)
    }

    /// One connection: request after request.
    fn serve(self, mut stream: TcpStream, row: &str) {
        let mut bytes = Vec::new();
        while let Ok(body) = request(&mut stream, &mut bytes) {
            let answer = match self {
                Self::Gone | Self::Hangs => {
                    thread::sleep(Duration::from_hours(1));
                    return;
                }
                Self::Lies => "[{\"tier\": 7}, {\"tier\"".to_owned(),
                Self::Answers | Self::Slow => {
                    let keys = body.matches("\",\"").count() + 1;
                    format!("[{}]", vec![row; keys].join(","))
                }
            };
            if self == Self::Slow {
                thread::sleep(Duration::from_secs(2));
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
            if stream.write_all((head + &answer).as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// The body of the next request.
fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<String> {
    let mut chunk = [0; 16 << 10];
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let (_, length) = text.split_once("content-length: ").context("has a length")?;
            let length: usize = length.lines().next().context("has a length")?.trim().parse()?;
            if bytes.len() >= head + 4 + length {
                let body =
                    String::from_utf8_lossy(&bytes[head + 4..head + 4 + length]).into_owned();
                bytes.drain(..head + 4 + length);
                return Ok(body);
            }
        }
        let read = stream.read(&mut chunk)?;
        anyhow::ensure!(read > 0, "closed");
        bytes.extend_from_slice(&chunk[..read]);
    }
}
