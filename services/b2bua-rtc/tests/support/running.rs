//! The whole gateway with its threads and sockets, on the loopback interface.

use offhook_b2bua_rtc::{CommandRequest, Config, LocalLink, ROLE, run};
use offhook_media_control::{Command, CommandError, Event, Reply};
use offhook_process::{Context, NodeName, Shutdown, ShutdownTrigger, TraceLimits};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Long enough for a busy machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Gateway {
    pub(crate) context: Context,
    pub(crate) trigger: Option<ShutdownTrigger>,
    pub(crate) task: JoinHandle<()>,
    pub(crate) commands: mpsc::Sender<CommandRequest>,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Gateway {
    /// A gateway with ports of its own, which are below those that the system gives out by itself; `extra` is merged into its
    /// configuration.
    pub(crate) async fn start(rtp_ports: &str, extra: serde_json::Value) -> Self {
        let mut config = serde_json::json!({"webrtc": "127.0.0.1:0", "rtp_ports": rtp_ports, "workers": 2});
        config
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let config: Config = serde_json::from_value(config).unwrap();
        let context = Context::new(NodeName::new("test").unwrap(), TraceLimits::default());
        let (trigger, shutdown) = Shutdown::new();
        let (commands, command_receiver) = mpsc::channel(64);
        let (event_sender, events) = mpsc::channel(4096);
        let link = LocalLink {
            name: "test".to_owned(),
            commands: command_receiver,
            events: event_sender,
        };
        let running = run(config, context.clone(), shutdown, Some(link));
        let task = tokio::spawn(async move { running.await.unwrap() });
        assert!(context.readiness.wait_for(&[ROLE], PATIENCE).await, "not ready");
        Self {
            context,
            trigger: Some(trigger),
            task,
            commands,
            events,
        }
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.context.readiness.address(ROLE, name).unwrap()
    }

    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send((command, reply)).await.unwrap();
        tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap()
    }

    /// The first event that `pick` takes.
    pub(crate) async fn event<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv())
                .await
                .expect("no event")
                .unwrap();
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    /// A value of the metrics page.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.context.metrics.encode();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("offhook_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Looks until the metric has this value: figures are published twice a second.
    pub(crate) async fn wait_for_metric(&self, name: &str, value: u64) {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let reached = async {
            while self.metric(name) != value {
                looks.tick().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reached).await.is_ok();
        assert!(in_time, "{name} stays at {}", self.metric(name));
    }

    pub(crate) async fn stop(mut self) {
        drop(self.trigger.take());
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("does not stop")
            .unwrap();
    }
}
