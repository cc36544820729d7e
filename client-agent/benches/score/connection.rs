//! One connection of HTTP/1.1 that is kept alive: a payment, then its whole answer, then the next.
//! As little as this takes, so that the machine is left to the agent; everything the agent does
//! not say is an error.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::Load;

pub(crate) struct Connection {
    stream: TcpStream,
    body: Vec<u8>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            body: Vec::with_capacity(ROOM),
            request: Vec::with_capacity(ROOM),
            answer: Vec::with_capacity(ROOM),
        })
    }

    /// Sends payment `number`, and waits for its answer's status.
    pub(crate) async fn ask(&mut self, load: &Load, number: u64) -> Result<u16> {
        self.body.clear();
        load.write(number, &mut self.body);
        self.request.clear();
        let length = self.body.len().to_string();
        for part in [HEAD, length.as_bytes(), HEAD_END, self.body.as_slice()] {
            self.request.extend_from_slice(part);
        }
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
            if let Some(status) = whole(&self.answer)? {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer that has come whole; nothing while some of it is on its way.
fn whole(answer: &[u8]) -> Result<Option<u16>> {
    let Some(end) = answer.windows(4).position(|part| part == HEAD_END) else {
        return Ok(None);
    };
    let wrong = |what: &str| Error::new(ErrorKind::InvalidData, format!("found no {what}"));
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| wrong("text in the head"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse::<u16>().ok());
    let status = status.ok_or_else(|| wrong("status"))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(|| wrong("content-length"))?;
    Ok((answer.len() >= end + 4 + length).then_some(status))
}

const HEAD: &[u8] = b"POST /v1/score HTTP/1.1\r\nhost: 127.0.0.1\r\n\
    content-type: application/json\r\ncontent-length: ";

const HEAD_END: &[u8] = b"\r\n\r\n";

/// An answer with reasons takes some 3 KiB.
const ROOM: usize = 16 << 10;
