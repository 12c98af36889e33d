//! As much HTTP as asking a ClickHouse takes: one request, one answer, one connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Where to send a statement, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// A statement of a test or of a start takes milliseconds.
const LIMIT: Duration = Duration::from_mins(1);

/// Sends one statement with its parameters (`param_p1`, the value escaped), and returns what the server answered; an error it reports is an error here.
pub(crate) fn query(
    target: &Target,
    statement: &str,
    params: &[(String, String)],
) -> io::Result<String> {
    let params: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    let mut stream = TcpStream::connect(&target.address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // Version 1.0: the answer is not chunked and ends with the connection.
    let request = format!(
        "POST /?{} HTTP/1.0\r\nHost: {}\r\nX-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\n\
         Content-Length: {}\r\n\r\n{statement}",
        params.join("&"),
        target.address,
        target.user,
        target.password,
        statement.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    body(&String::from_utf8_lossy(&answer))
}

fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

fn body(answer: &str) -> io::Result<String> {
    let short = || io::Error::other("the answer ends before its body begins");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(short)?;
    if head.split(' ').nth(1) == Some("200") {
        return Ok(body.to_owned());
    }
    Err(io::Error::other(body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::body;

    #[test]
    fn an_answer_is_its_body_or_an_error() {
        let text = |answer: &str| body(answer).map_err(|it| it.to_string());
        assert_eq!(text("HTTP/1.0 200 OK\r\nA: b\r\n\r\n1\n"), Ok("1\n".to_owned()));
        assert_eq!(text("HTTP/1.0 404 No\r\n\r\nCode: 60.\n"), Err("Code: 60.".to_owned()));
        let short = "the answer ends before its body begins".to_owned();
        assert_eq!(text("HTTP/1.0 200"), Err(short));
    }
}
