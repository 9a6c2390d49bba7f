//! Runs roles until somebody says stop: the story of the process.

use crate::{
    config::Config,
    demo::{self, Demo},
    fleet::UnexpectedEnd,
    roles::{self, Operators, Role},
};
use offhook_process::{
    Context, Readiness, RoleState, Shutdown,
    admin::{Admin, AdminError, Pages},
};
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// How long roles may take to be ready before it is said, and said again, that they are not; they go on trying.
const READY_WAIT: Duration = Duration::from_secs(10);

/// Why the process ends with an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The admin port cannot be opened.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// A role has ended.
    #[error(transparent)]
    Role(#[from] UnexpectedEnd),
}

/// What is known once all roles serve.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) readiness: Readiness,
    pub(crate) admin: SocketAddr,
}

enum Left {
    /// Ctrl-C: a person waits.
    Interrupted,
    /// SIGTERM: a machine asks, and calls may go on for a while.
    Terminated,
    Failed(UnexpectedEnd),
}

/// Runs `roles` with `config` until somebody says stop. With `demo` the softphone knows the demo's users and numbers,
/// and a page of what to try is printed.
pub(crate) async fn run(config: Config, roles: &[Role], demo: Option<Demo>) -> Result<(), ServeError> {
    let context = Context::new(config.node.name.clone(), config.traces.limits());
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;

    let (pages, operators) = operator_pages(roles);
    let admin = Admin::bind(&config.admin, context.clone(), pages).await?;
    let serving = Serving {
        readiness: context.readiness.clone(),
        admin: admin.local_address(),
    };
    let (admin_trigger, admin_shutdown) = Shutdown::new();
    let admin = tokio::spawn(admin.serve(admin_shutdown));
    let mut fleet = roles::start(&config, roles, &context, operators, demo);

    let names = fleet.roles();
    let ready = async {
        while !context.readiness.wait_for(&names, READY_WAIT).await {
            report_unready(&context.readiness);
        }
        tracing::info!(roles = names.join(" "), admin = %serving.admin, "ready");
        if demo.is_some() {
            demo::announce(&serving);
        }
        std::future::pending::<()>().await;
    };
    let left = tokio::select! {
        () = ready => unreachable!("it waits for ever"),
        end = fleet.first_end() => Left::Failed(end),
        _ = interrupt.recv() => Left::Interrupted,
        _ = terminate.recv() => Left::Terminated,
    };

    let go_on = if matches!(left, Left::Terminated) {
        config.node.drain()
    } else {
        Duration::ZERO
    };
    tracing::info!(calls_may_go_on_s = go_on.as_secs(), "leaving");
    let at_once = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    fleet.leave(Instant::now() + go_on, at_once).await;
    drop(admin_trigger);
    // It has nothing to finish, and its result is already logged.
    let _ = admin.await;
    match left {
        Left::Failed(end) => Err(end.into()),
        Left::Interrupted | Left::Terminated => Ok(()),
    }
}

/// What each role has for its operator, and where what is asked there comes out.
fn operator_pages(roles: &[Role]) -> (Pages, Operators) {
    let (vsp_routes, vsp) = offhook_vsp::run::operator::channel();
    let (geo_dns_routes, geo_dns) = offhook_geo_dns::run::operator::channel();
    let mut pages = Pages::default();
    if roles.contains(&Role::Vsp) {
        pages = pages.merge(vsp_routes, offhook_vsp::run::operator::INDEX);
    }
    if roles.contains(&Role::GeoDns) {
        pages = pages.merge(geo_dns_routes, offhook_geo_dns::run::operator::INDEX);
    }
    (pages, Operators { vsp, geo_dns })
}

fn report_unready(readiness: &Readiness) {
    for status in readiness.roles() {
        if let RoleState::Starting(reason) | RoleState::NotReady(reason) = status.state {
            tracing::warn!(role = status.role, reason, "not ready yet");
        }
    }
}
