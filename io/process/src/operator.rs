//! What the operator asks of a role by the admin port: pages hand work to the loop that owns the role's state, and wait for
//! what comes of it.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::fmt;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the role; further ones wait at the admin port, which has few connections.
const REQUESTS_MAX: usize = 16;

/// Something that the operator asks of the owner of an `S`: to be called with it once.
pub type Request<S> = Box<dyn FnOnce(&mut S) + Send>;

/// The asking end: the state of the role's pages.
pub struct Operator<S> {
    requests: mpsc::Sender<Request<S>>,
    role: &'static str,
}

/// The receiving end, for the role.
pub struct Requests<S>(mpsc::Receiver<Request<S>>);

/// Nobody is there any more who could answer; as a response it is status 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has ended")]
pub struct RoleEnded(&'static str);

/// Both ends; `role` is how errors name who is asked.
pub fn channel<S>(role: &'static str) -> (Operator<S>, Requests<S>) {
    let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
    (Operator { requests, role }, Requests(receiver))
}

impl<S> Operator<S> {
    /// Has the role do `work` between two of its own steps, and gives what comes of it.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, RoleEnded> {
        let ended = RoleEnded(self.role);
        let (answer, answered) = oneshot::channel();
        let request = move |state: &mut S| {
            // Who does not wait any more has hung up.
            let _ = answer.send(work(state));
        };
        self.requests.send(Box::new(request)).await.map_err(|_| ended)?;
        answered.await.map_err(|_| ended)
    }
}

impl<S> Requests<S> {
    /// The next one; `None` when nobody can ask any more. Safe to drop half way (in `select!`).
    pub async fn next(&mut self) -> Option<Request<S>> {
        self.0.recv().await
    }
}

impl<S> Clone for Operator<S> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            role: self.role,
        }
    }
}

impl<S> fmt::Debug for Operator<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Operator").field(&self.role).finish()
    }
}

impl<S> fmt::Debug for Requests<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Requests").finish()
    }
}

impl IntoResponse for RoleEnded {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.to_string() }));
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_owner_does_it_and_the_answer_comes_back() {
        let (operator, mut requests) = channel::<Vec<u32>>("the counter");
        let role = tokio::spawn(async move {
            let mut state = vec![1];
            while let Some(request) = requests.next().await {
                request(&mut state);
            }
            state
        });
        let push = |value| move |state: &mut Vec<u32>| (state.push(value), state.len()).1;
        assert_eq!(operator.ask(push(2)).await, Ok(2));
        assert_eq!(operator.clone().ask(push(3)).await, Ok(3));
        drop(operator);
        assert_eq!(role.await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn who_has_ended_is_named() {
        let (operator, mut requests) = channel::<()>("the VSP");
        let asked = tokio::spawn({
            let operator = operator.clone();
            async move { operator.ask(|()| ()).await }
        });
        // It ends between question and answer.
        let _ = requests.next().await;
        drop(requests);
        assert_eq!(asked.await.unwrap(), Err(RoleEnded("the VSP")));
        let late = operator.ask(|()| ()).await.unwrap_err();
        assert_eq!(late.to_string(), "the VSP has ended");
        assert_eq!(late.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
