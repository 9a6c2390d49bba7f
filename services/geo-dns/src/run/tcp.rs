//! One TCP connection: questions one after the other, each behind its length (RFC 1035 §4.2.2, RFC 7766).

use super::shell::Question;
use crate::query::QUERY_LEN_MAX;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time,
};

/// Serves until the client goes, is silent for `idle`, or sends what is no question.
pub(super) async fn serve(
    mut stream: TcpStream,
    from: SocketAddr,
    idle: Duration,
    questions: mpsc::Sender<Question>,
) {
    // Ends with an error in one way or another; who is right about why does not matter here.
    while let Ok(Ok(Some(()))) = time::timeout(idle, exchange(&mut stream, from, &questions)).await {}
}

/// One question and its answer; none if the connection is to be closed.
async fn exchange(
    stream: &mut TcpStream,
    from: SocketAddr,
    questions: &mpsc::Sender<Question>,
) -> io::Result<Option<()>> {
    let len = usize::from(stream.read_u16().await?);
    if len > QUERY_LEN_MAX {
        return Ok(None);
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    let (answer, answered) = oneshot::channel();
    let question = Question {
        message,
        from,
        answer,
    };
    if questions.send(question).await.is_err() {
        return Ok(None);
    }
    let Ok(Some(reply)) = answered.await else {
        return Ok(None);
    };
    let Ok(len) = u16::try_from(reply.len()) else {
        return Ok(None);
    };
    // In one piece: some resolvers give up on a length that comes alone.
    let framed = [&len.to_be_bytes(), reply.as_slice()].concat();
    stream.write_all(&framed).await?;
    Ok(Some(()))
}
