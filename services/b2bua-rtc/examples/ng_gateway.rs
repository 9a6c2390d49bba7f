//! The gateway alone, driven over `ng`: for load generators and for SIP servers that want to try it.
//!
//! `ng_gateway [--ng 127.0.0.1:2223] [--workers N] [--io auto|epoll|io_uring] [--webrtc 127.0.0.1:3478]`

use offhook_b2bua_rtc::{Config, run};
use offhook_process::{Context, NodeName, Shutdown, TraceLimits};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = serde_json::json!({
        "ng": "127.0.0.1:2223",
        "rtp_ports": "30000-59999",
    });
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or("every option has a value")?;
        config[name.trim_start_matches("--").replace('-', "_")] =
            value.parse::<u64>().map_or(value.into(), Into::into);
    }
    let config: Config = serde_json::from_value(config)?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let context = Context::new(NodeName::new("ng")?, TraceLimits::default());
        let (trigger, shutdown) = Shutdown::new();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                trigger.drain(Instant::now());
            }
            std::future::pending::<()>().await;
        });
        run(config, context, shutdown, Vec::new()).await?;
        Ok(())
    })
}
