//! HTTP/1.1 on the wire, as far as a proxy must see it: where a head ends, how long a body is.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A head longer than this is none.
const HEAD_MAX: usize = 256 << 10;

/// What was read of a stream and not used yet.
#[derive(Debug, Default)]
pub(crate) struct Rest(Vec<u8>);

/// The first lines of a request or an answer.
#[derive(Debug)]
pub(crate) struct Head {
    /// As it came, with the empty line.
    pub(crate) bytes: Vec<u8>,
}

impl Head {
    /// The next head; `None` if the stream ends before one begins.
    pub(crate) async fn read(stream: &mut TcpStream, rest: &mut Rest) -> io::Result<Option<Self>> {
        loop {
            if let Some(end) = rest.0.windows(4).position(|four| four == b"\r\n\r\n") {
                let behind = rest.0.split_off(end + 4);
                return Ok(Some(Self { bytes: std::mem::replace(&mut rest.0, behind) }));
            }
            if rest.0.len() > HEAD_MAX {
                return Err(io::Error::other("a head without end"));
            }
            if stream.read_buf(&mut rest.0).await? == 0 {
                return if rest.0.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// The first line.
    pub(crate) fn line(&self) -> String {
        let line = self.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }

    /// The value of a header, by its lowercase name.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        String::from_utf8_lossy(&self.bytes).lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// How long the body is, where it says so.
    pub(crate) fn length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }
}

/// The next bytes of a stream, at most `max`; empty at its end.
pub(crate) async fn some(
    stream: &mut TcpStream,
    rest: &mut Rest,
    max: usize,
) -> io::Result<Vec<u8>> {
    if rest.0.is_empty() {
        stream.read_buf(&mut rest.0).await?;
    }
    let behind = rest.0.split_off(max.min(rest.0.len()));
    Ok(std::mem::replace(&mut rest.0, behind))
}

/// Passes on `length` bytes.
pub(crate) async fn pass(
    from: &mut TcpStream,
    rest: &mut Rest,
    to: &mut TcpStream,
    length: usize,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let bytes = some(from, rest, left).await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= bytes.len();
        to.write_all(&bytes).await?;
    }
    Ok(())
}

/// Reads a body of that length and forgets it.
pub(crate) async fn swallow(
    from: &mut TcpStream,
    rest: &mut Rest,
    length: usize,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let bytes = some(from, rest, left).await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= bytes.len();
    }
    Ok(())
}

/// A whole answer as it came: head, body with its framing. `None` if the server hung up before it began.
pub(crate) async fn answer(server: &mut TcpStream, rest: &mut Rest) -> io::Result<Option<Vec<u8>>> {
    let Some(head) = Head::read(server, rest).await? else { return Ok(None) };
    let mut whole = head.bytes.clone();
    if let Some(length) = head.length() {
        let mut left = length;
        while left > 0 {
            let bytes = some(server, rest, left).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= bytes.len();
            whole.extend_from_slice(&bytes);
        }
    } else if head.header("transfer-encoding").is_some_and(|how| how.contains("chunked")) {
        let begin = whole.len();
        // Answers here are small: looking for the end again after each read costs nothing.
        while !ended(&whole[begin..]) {
            let bytes = some(server, rest, usize::MAX).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            whole.extend_from_slice(&bytes);
        }
    }
    Ok(Some(whole))
}

/// Whether a chunked body is complete.
fn ended(mut body: &[u8]) -> bool {
    loop {
        let Some(line) = body.windows(2).position(|two| two == b"\r\n") else { return false };
        let size = std::str::from_utf8(&body[..line]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let Some(size) = size else { return false };
        let end = line + 2 + size + 2;
        if body.len() < end {
            return false;
        }
        if size == 0 {
            return true;
        }
        body = &body[end..];
    }
}

#[test]
fn the_end_of_a_chunked_body_is_seen() {
    assert!(ended(b"0\r\n\r\n"));
    assert!(ended(b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n"));
    assert!(!ended(b"3\r\nabc\r\n0\r\n"));
    assert!(!ended(b"ff\r\nabc"));
}
