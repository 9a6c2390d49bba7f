//! The connections of the admin port: so many at once and no more, and none that keeps others out by being there.

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// Most connections at once: a scraper, probes and some people. One more ends the oldest: who holds connections open, from
/// wherever, must not make a healthy process look dead to its probes.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take for the head of a request, and so how long it may be idle between two.
const HEAD_WAIT: Duration = Duration::from_secs(30);

/// Serves until dropped.
pub(super) async fn serve(mut listener: TcpListener, routes: Router) {
    let mut open = Open::default();
    loop {
        // Waits by itself while the process has no file descriptor left.
        let (stream, _) = Listener::accept(&mut listener).await;
        open.add(exchange(stream, routes.clone()));
    }
}

/// One connection. How it ends is its client's business.
async fn exchange(stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of the admin port broke");
    }
}

/// The connections that are open; dropping it ends them.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    /// In the order in which they came; with those that have ended since, until room is needed.
    order: VecDeque<AbortHandle>,
}

impl Open {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        if self.order.len() >= CONNECTIONS_MAX {
            self.order.retain(|task| !task.is_finished());
        }
        if self.order.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
        }
        self.order.push_back(self.tasks.spawn(connection));
    }
}
