//! The data plane: worker threads that own sockets and sessions. A session lives wholly on one worker; between
//! receiving and sending a packet there is no lock, no allocation and no await.

mod epoll;
mod host;
mod interfaces;
mod io;
mod io_uring;
mod ports;
mod sockaddr;
mod timers;
mod worker;

pub(crate) use host::{Figures, session_of};
pub(crate) use interfaces::local_addresses;
pub(crate) use worker::{
    SharedAddress, ToWorker, WorkerConfig, WorkerEvent, WorkerHandle, bind_shared, refuse, spawn,
};
